"""Each reason why an entry waits: one plain sentence that says what to do, and the one place to mend it.

Pure: no database, no settings. `facts` is the entry's snapshot; missing facts leave a gap in no sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_console.errors import Text
from billing_console.states import Reason

TAIGA: Final = "taiga"  # the item itself, in Taiga
ENTRY: Final = "admin:sync_timeentry_change"


@dataclass(frozen=True)
class ReasonText:
    """`sentence` is a template over the facts; `mend` the name of a URL, or TAIGA; `verb` what the link says."""

    sentence: Text
    mend: str
    verb: Text


TEXTS: Final[Mapping[str, ReasonText]] = {
    Reason.UNREADABLE_HOURS: ReasonText(
        gettext_lazy("%(attribute)s of #%(ref)s holds %(quoted)s, which is no number of hours. Correct it in Taiga."),
        TAIGA,
        gettext_lazy("Correct in Taiga"),
    ),
    Reason.NO_HOURS: ReasonText(
        gettext_lazy(
            "#%(ref)s is billable and closed with 0 hours. Type the hours in Taiga, or untick Billable there."
        ),
        TAIGA,
        gettext_lazy("Type the hours"),
    ),
    Reason.TOO_MANY_HOURS: ReasonText(
        gettext_lazy(
            "#%(ref)s has %(hours)s hours, more than the %(limit)s that are billed without asking. "
            "Confirm them, or correct them in Taiga."
        ),
        ENTRY,
        gettext_lazy("Confirm the hours"),
    ),
    Reason.UNREADABLE_BILLABLE: ReasonText(
        gettext_lazy("%(attribute)s of #%(ref)s holds %(quoted)s, which is neither yes nor no. Correct it in Taiga."),
        TAIGA,
        gettext_lazy("Correct in Taiga"),
    ),
    Reason.UNREADABLE_RATE: ReasonText(
        gettext_lazy("%(attribute)s of #%(ref)s holds %(quoted)s, which is no rate. Correct it in Taiga."),
        TAIGA,
        gettext_lazy("Correct in Taiga"),
    ),
    Reason.FREE_OF_CHARGE: ReasonText(
        gettext_lazy("#%(ref)s has a rate of 0. Confirm that it is free of charge, or correct the rate in Taiga."),
        ENTRY,
        gettext_lazy("Confirm free of charge"),
    ),
    Reason.STORY_AND_TASK: ReasonText(
        gettext_lazy(
            "#%(ref)s and %(others)s are a user story and its own task, and both are billable. "
            "Say whether both are billed or the tasks only; exclude the task to bill the story alone."
        ),
        ENTRY,
        gettext_lazy("Decide"),
    ),
    Reason.BILLED_ELSEWHERE: ReasonText(
        gettext_lazy(
            '#%(ref)s says "Invoiced" in Taiga, but Invoice Ninja does not know it. '
            "Confirm that it was billed elsewhere, or release it to bill it here."
        ),
        ENTRY,
        gettext_lazy("Confirm"),
    ),
    Reason.UNMAPPED_PROJECT: ReasonText(
        gettext_lazy("The Taiga project %(project)s belongs to no client on this day. Map it to a client."),
        "admin:sync_unmapped",
        gettext_lazy("Map the project"),
    ),
    Reason.UNKNOWN_CLIENT: ReasonText(
        gettext_lazy("Invoice Ninja has no living client %(client)s. Mend the project's mapping or the client there."),
        "admin:sync_unmapped",
        gettext_lazy("Mend the client"),
    ),
    Reason.NO_RATE: ReasonText(
        gettext_lazy("%(person)s has no rate for %(project)s on %(work_date)s. Add a rate."),
        "admin:mappings_rate_add",
        gettext_lazy("Add a rate"),
    ),
    Reason.CURRENCY: ReasonText(
        gettext_lazy(
            "The rate is in %(rate_currency)s, but %(client)s is invoiced in %(client_currency)s. "
            "Add a rate in the client's currency."
        ),
        "admin:mappings_rate_changelist",
        gettext_lazy("Mend the rate"),
    ),
    Reason.REOPENED: ReasonText(
        gettext_lazy("#%(ref)s was reopened in Taiga. It is billed once it is closed again."),
        TAIGA,
        gettext_lazy("Look in Taiga"),
    ),
    Reason.GONE: ReasonText(
        gettext_lazy("#%(ref)s is no longer in Taiga, or our user cannot see it. Exclude it or write it off."),
        ENTRY,
        gettext_lazy("Decide"),
    ),
    Reason.INVOICED_BY_HAND: ReasonText(
        gettext_lazy(
            "The task of #%(ref)s is on an invoice that somebody made by hand in Invoice Ninja. "
            "Exclude it here, or take it off that invoice and release it."
        ),
        ENTRY,
        gettext_lazy("Decide"),
    ),
    Reason.ON_UNKNOWN_INVOICE: ReasonText(
        gettext_lazy(
            "The task of #%(ref)s is on an invoice in Invoice Ninja that bears our key and that this database does not "
            "know: a backup older than it was restored. Exclude #%(ref)s here, or cancel that invoice there and "
            "release it."
        ),
        ENTRY,
        gettext_lazy("Decide"),
    ),
    Reason.NEXT_RUN: ReasonText(
        gettext_lazy("#%(ref)s was taken off a draft. It joins the next run by itself."),
        ENTRY,
        gettext_lazy("Look"),
    ),
    Reason.BY_PERSON: ReasonText(
        gettext_lazy("Somebody put #%(ref)s on hold. Release it when it may be billed."),
        ENTRY,
        gettext_lazy("Release"),
    ),
    Reason.SAID_OTHERWISE: ReasonText(
        gettext_lazy(
            "%(who)s wrote %(said)s over %(first)s of #%(ref)s (%(said_why)s). Taiga says %(now)s h now, which would "
            "bill %(billed)s h. Confirm that, write it off, or correct it in Taiga."
        ),
        ENTRY,
        gettext_lazy("Confirm the hours"),
    ),
    Reason.BILLED_TO_ANOTHER: ReasonText(
        gettext_lazy(
            "Earlier hours of #%(ref)s were billed to %(billed_to)s, and Taiga names %(client)s since. Decide first "
            "under Differences whether they are given back and billed to %(client)s, or stay with %(billed_to)s; the "
            "%(billed)s h that came later wait for it."
        ),
        "admin:sync_difference_changelist",
        gettext_lazy("Decide who pays"),
    ),
    Reason.BRAKE_RATE: ReasonText(
        gettext_lazy(
            "#%(ref)s is priced at %(rate_now)s an hour, but %(person)s's work in %(project)s before it "
            "(#%(ref_before)s) at %(rate_before)s: that differs by more than %(percent)s %%. "
            "Confirm the rate, or correct it."
        ),
        ENTRY,
        gettext_lazy("Confirm the rate"),
    ),
    Reason.BRAKE_MONTH: ReasonText(
        gettext_lazy(
            "#%(ref)s brings %(month)s of %(client)s to %(total)s, more than %(factor)s times the usual %(usual)s "
            "a month. Confirm it, or correct the hours or the rate."
        ),
        ENTRY,
        gettext_lazy("Confirm the month"),
    ),
    Reason.BRAKE_UPLIFT: ReasonText(
        gettext_lazy(
            "#%(ref)s is raised from %(raw)s h to %(billed)s h, more than %(percent)s %% and %(least)s h. "
            "Confirm it, or correct the rule set."
        ),
        ENTRY,
        gettext_lazy("Confirm the uplift"),
    ),
    Reason.BRAKE_LATE: ReasonText(
        gettext_lazy(
            "The %(hours)s h of #%(ref)s were typed %(days)s days after it was closed, more than the %(limit)s that "
            "pass without asking. Confirm them, or correct them in Taiga."
        ),
        ENTRY,
        gettext_lazy("Confirm the hours"),
    ),
    Reason.BRAKE_CLIENT: ReasonText(
        gettext_lazy(
            "#%(ref)s lies in a project of %(owner)s, but its client attribute names %(client)s (%(typed)s). "
            "Confirm who pays, or correct it in Taiga."
        ),
        ENTRY,
        gettext_lazy("Confirm the client"),
    ),
    Reason.NO_TAX_DECISION: ReasonText(
        gettext_lazy("Nobody has decided the tax of %(client)s. Choose it in the client's rule set."),
        "admin:mappings_ruleset_changelist",
        gettext_lazy("Choose the tax"),
    ),
}
_BLANK = gettext_lazy("%(attribute)s of #%(ref)s is empty. Type the hours in Taiga, or untick Billable there.")
_LEFT_BEHIND = gettext_lazy(
    "#%(ref)s was moved here from another project of Taiga, and what was typed for billing stayed behind. "
    "Type it again in Taiga, or exclude it here if it is not billed."
)
_TYPED_CLIENT = gettext_lazy(
    "%(attribute)s of #%(ref)s holds %(quoted)s, but Invoice Ninja has no living client of that id. "
    "Correct it in Taiga, or make the client there."
)
_NOBODY = gettext_lazy(
    "Nobody is assigned to #%(ref)s, and %(project)s has no default rate on %(work_date)s. Add a rate for the project."
)
_BRAKE = gettext_lazy("A brake holds #%(ref)s. Look at it, then release it.")


class _Gaps(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "–"


def sentence(reason: str, facts: Mapping[str, Any]) -> str:
    """One translated sentence for `reason`: what happened and what to do. "" for no reason."""
    if not reason:
        return ""
    found = TEXTS.get(reason)
    template = found.sentence if found else _BRAKE
    if reason == Reason.UNREADABLE_HOURS and facts.get("is_blank"):
        template = _BLANK
    elif reason == Reason.UNREADABLE_BILLABLE and facts.get("is_left_behind"):
        template = _LEFT_BEHIND
    elif reason == Reason.UNKNOWN_CLIENT and facts.get("quoted"):
        template = _TYPED_CLIENT
    elif reason == Reason.NO_RATE and not facts.get("person"):
        template = _NOBODY
    return str(template) % _Gaps({key: value for key, value in facts.items() if value not in (None, "")})


def word_sentence(word: Mapping[str, Any]) -> str:
    """What a person wrote over a line that was billed: `word` as `pricing.word_facts` makes it."""
    return _("%(who)s had written %(said)s over %(first)s: %(said_why)s.") % _Gaps(word)


def mend_url_name(reason: str) -> str:
    """Name of the admin page that mends `reason`, or "taiga" for the item itself in Taiga."""
    found = TEXTS.get(reason)
    return found.mend if found else ENTRY


def mend_verb(reason: str) -> str:
    """What the link to the place that mends `reason` says."""
    found = TEXTS.get(reason)
    return str(found.verb) if found else _("Look")


def label(reason: str) -> str:
    """The short name of `reason` in a list; a brake's own code where it has none; "" for no reason."""
    return str(Reason(reason).label) if reason in Reason.values else reason
