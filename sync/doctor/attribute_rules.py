"""The billing attributes of one project and kind of item: is one missing, of a wrong type, without an option? Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _

from billing_console.states import ItemKind
from sync import attributes
from sync.attributes import ALIASES, BILLABLE, CLIENT, HOURS, RATE, STATUS
from sync.doctor.findings import TAIGA, Finding, Place, error, ok, warning

# The types of Taiga in which people can type what we read; the first is what the manual says.
TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    BILLABLE: ("checkbox",),
    HOURS: ("number", "text"),
    RATE: ("number", "text"),
    CLIENT: ("text", "dropdown"),
    STATUS: ("dropdown", "text"),
}
# The options of the Invoice Status, as the console writes them or people choose them.
OPTIONS: Final = ("Not Billable", "Pending Invoice", "Invoiced")
MISSING, WRONG_TYPE, NO_OPTION, DUPLICATE = "missing", "wrong_type", "no_option", "duplicate"


@dataclass(frozen=True)
class Attribute:
    """A custom attribute of a project, of items of one kind."""

    id: int
    name: str
    type: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Flaw:
    """One thing that is wrong with one of the five: `what` is MISSING, WRONG_TYPE, NO_OPTION or DUPLICATE.

    `options` are those that are missing, `attribute` the one that is there.
    """

    field: str
    what: str
    name: str
    attribute: Attribute | None = None
    options: tuple[str, ...] = ()


def find(present: Sequence[Attribute], field: str, configured: Mapping[str, str]) -> list[Attribute]:
    """The attributes that count as `field`, the one that is read first: the configured name, else the guide's."""
    for name in (configured[field], ALIASES[field]):
        found = [attribute for attribute in present if _fold(attribute.name) == _fold(name)]
        if found:
            return sorted(found, key=lambda attribute: attribute.id)
    return []


def flaws(present: Sequence[Attribute], configured: Mapping[str, str]) -> list[Flaw]:
    """Everything that is wrong with the five, in their order; nothing where all is right."""
    found = []
    for field in attributes.FIELDS:
        same = find(present, field, configured)
        if not same:
            found.append(Flaw(field, MISSING, configured[field]))
            continue
        attribute = same[0]
        if len(same) > 1:
            found.append(Flaw(field, DUPLICATE, attribute.name, attribute))
        if attribute.type not in TYPES[field]:
            found.append(Flaw(field, WRONG_TYPE, attribute.name, attribute))
        elif field == STATUS and attribute.type == "dropdown" and (missing := missing_options(attribute.options)):
            found.append(Flaw(field, NO_OPTION, attribute.name, attribute, missing))
    return found


def missing_options(options: Sequence[str]) -> tuple[str, ...]:
    """Which of the three words a dropdown lacks; either spelling of the guide counts."""
    there = {attributes.parse_status(option) for option in options}
    return tuple(option for option in OPTIONS if attributes.parse_status(option) not in there)


def judge(
    project: str, slug: str, kinds: Mapping[str, Sequence[Attribute]], configured: Mapping[str, str]
) -> list[Finding]:
    """The attributes of every kind of item that is billed: a kind without Billable is left alone (manual)."""
    place = Place(TAIGA, f"project/{slug}/admin/project-values/custom-fields" if slug else "")
    billed = [kind for kind, present in kinds.items() if find(present, BILLABLE, configured)]
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
        words |= {"type": flaw.attribute.type if flaw.attribute else "", "wanted": TYPES[flaw.field][0]}
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
    sentence = _(
        "The %(kind)s of %(project)s have two attributes that both read as “%(name)s”; the older one counts. Rename or "
        "delete the other in Taiga."
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


def _fold(name: str) -> str:
    return " ".join(name.split()).casefold()
