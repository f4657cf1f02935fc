"""The billing attributes of one project and kind of item: is one missing, of a wrong type, without an option? Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from billing_console.states import ItemKind
from sync import attributes
from sync.attributes import BILLABLE, HOURS, RATE, STATUS
from sync.clients.taiga_rows import CustomAttribute
from sync.doctor.findings import TAIGA, Finding, Place, error, ok, warning
from sync.wanted import WANTED, can_hold, missing_options, named

MISSING, WRONG_TYPE, NO_OPTION, DUPLICATE = "missing", "wrong_type", "no_option", "duplicate"


@dataclass(frozen=True)
class Flaw:
    """One thing that is wrong with one of the five: `what` is MISSING, WRONG_TYPE, NO_OPTION or DUPLICATE.

    `options` are those that are missing, `attribute` the one that is there.
    """

    field: str
    what: str
    name: str
    attribute: CustomAttribute | None = None
    options: tuple[str, ...] = ()


def flaws(present: Sequence[CustomAttribute], configured: Mapping[str, str]) -> list[Flaw]:
    """Everything that is wrong with the five, in their order; nothing where all is right."""
    found = []
    for field in attributes.FIELDS:
        same = named(field, configured[field], present)
        if not same:
            found.append(Flaw(field, MISSING, configured[field]))
            continue
        attribute = same[0]
        if len(same) > 1:
            found.append(Flaw(field, DUPLICATE, attribute.name, attribute))
        if not can_hold(field, attribute.type):
            found.append(Flaw(field, WRONG_TYPE, attribute.name, attribute))
        elif missing := missing_options(field, attribute):
            found.append(Flaw(field, NO_OPTION, attribute.name, attribute, missing))
    return found


def judge(
    project: str, slug: str, kinds: Mapping[str, Sequence[CustomAttribute]], configured: Mapping[str, str]
) -> list[Finding]:
    """The attributes of every kind of item that is billed: a kind without Billable is left alone (manual)."""
    place = Place(TAIGA, f"project/{slug}/admin/project-values/custom-fields" if slug else "")
    billed = [kind for kind, present in kinds.items() if named(BILLABLE, configured[BILLABLE], present)]
    if not billed:
        sentence = _(
            "%(project)s has no attribute “%(name)s” on its tasks, so nothing of it is ever billed. Add the billing "
            "attributes in Taiga."
        ) % {"project": project, "name": configured[BILLABLE]}
        return [error("attributes", sentence, place)]
    found = []
    for kind in billed:
        wrong = flaws(kinds[kind], configured)
        found += [_say(flaw, project, kind, place) for flaw in wrong]
        if not wrong:
            words = {"project": project, "kind": plural(kind)}
            sentence = _("The %(kind)s of %(project)s have the five billing attributes.") % words
            found.append(ok("attributes", sentence, subject=str(kind)))
    return found


def _say(flaw: Flaw, project: str, kind: str, place: Place) -> Finding:
    words = {"project": project, "kind": plural(kind), "name": flaw.name}
    subject = f"{kind}:{flaw.field}"
    if flaw.what == MISSING:
        say = error if flaw.field in (HOURS, STATUS) else warning
        return say("attribute_missing", _missing(flaw.field) % words, place, subject=subject)
    if flaw.what == WRONG_TYPE:
        words |= {"type": flaw.attribute.type if flaw.attribute else "", "wanted": WANTED[flaw.field].type}
        sentence = _(
            "“%(name)s” of the %(kind)s of %(project)s has the type %(type)s, in which nobody can type what is needed. "
            "Make it %(wanted)s in Taiga."
        )
        return error("attribute_type", sentence % words, place, subject=subject)
    if flaw.what == NO_OPTION:
        words |= {"options": ", ".join(f"“{option}”" for option in flaw.options)}
        sentence = _(
            "“%(name)s” of the %(kind)s of %(project)s lacks the option %(options)s, so Taiga shows an empty field "
            "where it is written. Add it in Taiga."
        )
        return warning("attribute_option", sentence % words, place, subject=subject)
    words |= {"number": str(flaw.attribute.id) if flaw.attribute else ""}
    sentence = _(
        "The %(kind)s of %(project)s have a second attribute beside “%(name)s” that goes by its name; only “%(name)s” "
        "(attribute %(number)s) is read. Rename or delete the other in Taiga."
    )
    return warning("attribute_duplicate", sentence % words, place, subject=subject)


def _missing(field: str) -> str:
    if field == HOURS:
        return _(
            "The %(kind)s of %(project)s have no attribute “%(name)s”, so their hours cannot be typed and each is "
            "held. Add it in Taiga."
        )
    if field == STATUS:
        return _(
            "The %(kind)s of %(project)s have no attribute “%(name)s”, so the console cannot say there what is "
            "invoiced, and each is a write that is stuck. Add it in Taiga."
        )
    if field == RATE:
        return _(
            "The %(kind)s of %(project)s have no attribute “%(name)s”, so one of them cannot have a rate of its own. "
            "Add it in Taiga."
        )
    return _(
        "The %(kind)s of %(project)s have no attribute “%(name)s”, so one of them cannot be billed to another client. "
        "Add it in Taiga."
    )


def plural(kind: str) -> str:
    """Tasks, user stories or issues, in the middle of a sentence."""
    return {ItemKind.TASK: _("tasks"), ItemKind.STORY: _("user stories"), ItemKind.ISSUE: _("issues")}[ItemKind(kind)]
