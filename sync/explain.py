"""Why this amount: one paragraph from the facts that were kept when the entry was priced. Pure: no query.

Hours are hours, amounts and rates are in the currency named beside them, dates are local to the entry's zone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_console import money
from billing_console.errors import Text
from billing_console.states import EntryState

if TYPE_CHECKING:
    from sync.models import TimeEntry

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
WHY_NOT: Final[Mapping[str, Text]] = {
    "outranked": gettext_lazy("not used"),
    "not_yet_valid": gettext_lazy("not valid yet"),
    "no_longer_valid": gettext_lazy("no longer valid"),
}


def explain(entry: TimeEntry) -> str:
    """One paragraph that says how the entry's amount came about, or why there is none."""
    facts = entry.facts
    if entry.state == EntryState.VOID:
        return _why_void(facts)
    if facts.get("amount") is None:
        parts = [entry.reason_sentence, _hours_part(entry) if facts.get("hours_words") else ""]
        if entry.state == EntryState.BELOW_MINIMUM:
            parts.insert(0, _("Nothing is billed: the hours are below the minimum."))
        return " ".join(part for part in parts if part)
    paragraph = _("%(hours)s × %(rate)s = %(amount)s %(currency)s.") % {
        "hours": _hours_part(entry),
        "rate": _rate_part(facts["rate"]),
        "amount": facts["amount"],
        "currency": facts["rate"]["currency"],
    }
    return f"{paragraph} {entry.reason_sentence}".strip() if entry.state == EntryState.HELD else paragraph


def _why_void(facts: Mapping[str, Any]) -> str:
    if facts.get("not_billable_because") == "status":
        return _("Not billable: the invoice status in Taiga says so.")
    if facts.get("not_billable_because") == "tasks":
        return _("Not billable: somebody decided that the tasks of this story are billed instead.")
    return _("Not billable: the Billable box is not ticked in Taiga.")


def _hours_part(entry: TimeEntry) -> str:
    facts, words = entry.facts, entry.facts["hours_words"]
    rule = facts.get("rule_set", {})
    steps = [str(ROUNDING.get(words["rounding"], words["rounding"]))]
    if words["rounding"] != "none":
        steps[0] = f"{steps[0]}, {MODES.get(words['mode'], words['mode'])}"
    if Decimal(words["billed_total"]) != Decimal(words["rounded"]):
        steps.append(_("minimum %(hours)s h") % {"hours": words["minimum"]})
    if rule:
        steps.append(_('rule "%(name)s" v%(version)s') % {"name": rule["name"], "version": rule["version"]})
    text = _("%(raw)s h typed%(by)s → %(billed)s h (%(steps)s)") % {
        "raw": facts.get("total_raw_hours", "–"),
        "by": _typed_by(entry),
        "billed": words["billed_total"],
        "steps": "; ".join(steps),
    }
    if Decimal(words["billed_before"]) != 0:
        text += " − " + _("%(before)s h billed before = %(billed)s h") % {
            "before": words["billed_before"],
            "billed": words["billed"],
        }
    return text


def _typed_by(entry: TimeEntry) -> str:
    if not entry.typed_by:
        return ""
    at = entry.facts.get("typed_at")
    day = dt.datetime.fromisoformat(at).date() if at else None
    if day is None:
        return " " + _("by %(person)s") % {"person": entry.typed_by}
    return " " + _("by %(person)s on %(day)s") % {"person": entry.typed_by, "day": _day(day)}


def _rate_part(rate: Mapping[str, Any]) -> str:
    source = str(SOURCES.get(rate["source"], rate["source"]))
    if rate.get("label") and rate["source"] != "item":
        source += f" {rate['label']}"
    if rate.get("valid_from"):
        source += " " + _("from %(day)s") % {"day": _day(dt.date.fromisoformat(rate["valid_from"]))}
    parts = [source]
    if rate.get("skipped") == "no_assignee":
        parts.append(_("nobody was assigned, so no person's rate applies"))
    parts += [
        f"{SOURCES.get(loser['source'], loser['source'])} {loser['label']} {loser['amount']} {loser['currency']} "
        f"{WHY_NOT.get(loser['reason'], loser['reason'])}"
        for loser in rate.get("losers", [])
    ]
    amount = f"{money.quantize(Decimal(rate['amount']), rate['currency'])} {rate['currency']}"
    return f"{amount} ({'; '.join(parts)})"


def _day(day: dt.date) -> str:
    return date_format(day, "j M Y")
