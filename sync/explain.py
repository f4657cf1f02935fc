"""Why this amount: one paragraph from the facts that were kept when the entry was priced. Pure: no query.

Whatever changes afterwards (rates, rules, names, what Taiga says), it says what it said. Hours are hours, amounts and
rates are in the currency named beside them, days and times are local to the entry's zone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_console import formats, money
from billing_console.errors import Text
from billing_console.states import EntryState

if TYPE_CHECKING:
    from sync.models import TimeEntry

    Facts = Mapping[str, Any]

ROUNDING: Final[Mapping[str, Text]] = {
    "none": gettext_lazy("not rounded"),
    "quarter_hour": gettext_lazy("quarter hour"),
    "half_hour": gettext_lazy("half hour"),
    "hour": gettext_lazy("hour"),
}
MODES: Final[Mapping[str, Text]] = {
    "up": gettext_lazy("up"),
    "nearest": gettext_lazy("nearest"),
    "down": gettext_lazy("down"),
}
SOURCES: Final[Mapping[str, Text]] = {
    "item": gettext_lazy("typed on the item"),
    "user_in_project": gettext_lazy("person's rate in this project"),
    "user": gettext_lazy("person's rate"),
    "role": gettext_lazy("role rate"),
    "project": gettext_lazy("project default"),
    "client": gettext_lazy("client default"),
}
# The same inside the paragraph, with whose rate it is; the defaults are those of the entry's own project and client.
_WHOSE: Final[Mapping[str, Text]] = {
    "item": gettext_lazy("typed on the item"),
    "user_in_project": gettext_lazy("in this project, %(label)s"),
    "user": gettext_lazy("person %(label)s"),
    "role": gettext_lazy("role %(label)s"),
    "project": gettext_lazy("project default"),
    "client": gettext_lazy("client default"),
}
WHY_NOT: Final[Mapping[str, Text]] = {
    "outranked": gettext_lazy("not used"),
    "not_yet_valid": gettext_lazy("not valid yet"),
    "no_longer_valid": gettext_lazy("no longer valid"),
}


def explain(entry: TimeEntry) -> str:
    """One paragraph that says how the entry's amount came about, or why there is none."""
    facts = {"typed_by": entry.typed_by, **entry.facts}
    if entry.state == EntryState.VOID:
        return _why_void(facts)
    if facts.get("amount") is None:
        parts = [entry.reason_sentence, _hours_part(facts) if facts.get("hours_words") else ""]
        if entry.state == EntryState.BELOW_MINIMUM:
            parts.insert(0, _why_nothing(facts.get("hours_words", {})))
        return " ".join(part for part in parts if part)
    paragraph = explain_facts(facts)
    return f"{paragraph} {entry.reason_sentence}".strip() if entry.state == EntryState.HELD else paragraph


def explain_facts(facts: Facts) -> str:
    """The paragraph of a priced entry, also of the copy of its facts on an invoice's line; "" without an amount."""
    if facts.get("amount") is None:
        return ""
    rate = facts["rate"]
    return _("%(hours)s × %(rate)s = %(amount)s %(currency)s.") % {
        "hours": _hours_part(facts),
        "rate": _rate_part(facts),
        "amount": formats.number(Decimal(facts["amount"]), money.exponent(rate["currency"])),
        "currency": rate["currency"],
    }


def losers(facts: Facts) -> list[tuple[str, str]]:
    """The rates that did not apply, each with the reason, in words: ("project default 75.00", "not used")."""
    rate = facts.get("rate") or {}
    return [_loser(loser, rate["currency"]) for loser in rate.get("losers", [])]


def source(facts: Facts) -> str:
    """Where the rate came from, in words: "role senior_dev from 1 Oct 2025"; "" without a rate."""
    rate = facts.get("rate")
    if not rate:
        return ""
    words = _whose(rate["source"], rate.get("label", ""))
    if rate.get("valid_from"):
        words += " " + _("from %(day)s") % {"day": formats.day(dt.date.fromisoformat(rate["valid_from"]))}
    return words


def _why_void(facts: Facts) -> str:
    if facts.get("not_billable_because") == "status":
        return _("Not billable: the invoice status in Taiga says so.")
    if facts.get("not_billable_because") == "tasks":
        return _("Not billable: somebody decided that the tasks of this story are billed instead.")
    return _("Not billable: the Billable box is not ticked in Taiga.")


def _why_nothing(words: Facts) -> str:
    if words and Decimal(words["billed_before"]) != 0:
        return _("Nothing more is billed: earlier cycles billed these hours.")
    return _("Nothing is billed: the hours are below the minimum.")


# --- hours ---


def _hours_part(facts: Facts) -> str:
    words = facts["hours_words"]
    typed = _("%(raw)s h typed") % {"raw": _figure(facts.get("total_raw_hours"))} + _typed_by(facts)
    if facts.get("hours_confirmed"):
        typed += ", " + _("confirmed")
    text = _("%(typed)s → %(billed)s h (%(steps)s)") % {
        "typed": typed,
        "billed": _figure(words["billed_total"]),
        "steps": "; ".join(_steps(facts)),
    }
    if Decimal(words["billed_before"]) != 0:
        text += " − " + _("%(before)s h billed before = %(billed)s h") % {
            "before": _figure(words["billed_before"]),
            "billed": _figure(words["billed"]),
        }
    return text


def _steps(facts: Facts) -> list[str]:
    words, rule = facts["hours_words"], facts.get("rule_set")
    steps = [str(ROUNDING.get(words["rounding"], words["rounding"]))]
    if words["rounding"] != "none":
        steps[0] = f"{steps[0]}, {MODES.get(words['mode'], words['mode'])}"
    elif Decimal(facts.get("total_raw_hours", "0")) != Decimal(words["rounded"]):
        steps[0] = _("not rounded, only to 2 decimals: %(hours)s h") % {"hours": _figure(words["rounded"])}
    if Decimal(words["billed_total"]) > Decimal(words["rounded"]):
        steps.append(_("raised to the minimum of %(hours)s h") % {"hours": _figure(words["minimum"])})
    elif Decimal(words["billed_total"]) < Decimal(words["rounded"]):
        steps.append(_("less than the minimum of %(hours)s h, not billed") % {"hours": _figure(words["minimum"])})
    if rule:
        steps.append(_('rule "%(name)s" v%(version)s') % {"name": rule["name"], "version": rule["version"]})
    return steps


def _typed_by(facts: Facts) -> str:
    if not facts.get("typed_by"):
        return ""
    if not facts.get("typed_at"):
        return " " + _("by %(person)s") % {"person": facts["typed_by"]}
    at = dt.datetime.fromisoformat(facts["typed_at"])
    zone = facts.get("zone") or "UTC"
    return " " + _("by %(person)s, %(time)s") % {
        "person": facts["typed_by"],
        "time": formats.moment(at.astimezone(ZoneInfo(zone)), zone),
    }


def _figure(hours: str | None) -> str:
    """Hours with two decimals at least: "2.1" is 2.10, "4.333333" stays."""
    if hours is None:
        return formats.NOTHING
    whole, _point, decimals = hours.partition(".")
    return f"{whole}.{decimals.ljust(2, '0')}"


# --- rate ---


def _rate_part(facts: Facts) -> str:
    rate = facts["rate"]
    first = source(facts)
    if Decimal(rate["amount"]) == 0:
        is_confirmed = facts.get("free_confirmed", True)  # what was frozen before this was kept, was billed
        first += ": " + (_("free of charge, confirmed") if is_confirmed else _("free of charge, not confirmed yet"))
    elif rate["source"] == "project" and facts.get("prefer") == "project":
        first += ", " + _("which this rule puts first")
    parts = [first]
    if rate.get("skipped") == "no_assignee":
        parts.append(_("nobody was assigned, so no person's rate applies"))
    parts += [f"{what} {why}" for what, why in losers(facts)]
    amount = f"{money.quantize(Decimal(rate['amount']), rate['currency'])} {rate['currency']}"
    return f"{amount} ({'; '.join(parts)})"


def _loser(loser: Facts, currency: str) -> tuple[str, str]:
    amount = loser["amount"] if loser["currency"] == currency else f"{loser['amount']} {loser['currency']}"
    return f"{_whose(loser['source'], loser['label'])} {amount}", str(WHY_NOT.get(loser["reason"], loser["reason"]))


def _whose(level: str, label: str) -> str:
    return str(_WHOSE.get(level, level)) % {"label": label}
