"""One Taiga project: can our user see it and write into it, and is it set up to be billed? Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from django.utils.translation import gettext as _

from billing_console.states import ItemKind
from sync.attributes import BILLABLE
from sync.clients.taiga_rows import CustomAttribute
from sync.doctor import attribute_rules, hook_rules
from sync.doctor.findings import CONSOLE, TAIGA, Finding, Place, error, ok, warning
from sync.doctor.hook_rules import Listening
from sync.wanted import named

# What our user must be allowed for each kind of item that is billed.
RIGHTS: Final[Mapping[str, tuple[str, str]]] = {
    ItemKind.TASK: ("view_tasks", "modify_task"),
    ItemKind.STORY: ("view_us", "modify_us"),
    ItemKind.ISSUE: ("view_issues", "modify_issue"),
}


@dataclass(frozen=True)
class ProjectFacts:
    """What Taiga says of a project. `listening` is None for who is no administrator there and sees no webhook; then
    `missed` says when work was closed after the last delivery, "" where none was.
    """

    project: str
    slug: str
    mapping: int
    is_member: bool = True
    is_admin: bool = True
    is_archived: bool = False
    is_blocked: bool = False
    permissions: frozenset[str] = frozenset()
    kinds: Mapping[str, Sequence[CustomAttribute]] = field(default_factory=dict)
    listening: Listening | None = None
    missed: str = ""


def judge(facts: ProjectFacts, configured: Mapping[str, str]) -> list[Finding]:
    """Everything about one project; `configured` names the five attributes."""
    found = [*_life(facts), *_rights(facts, configured)]
    found += attribute_rules.judge(facts.project, facts.slug, facts.kinds, configured)
    if facts.listening is not None:
        found += hook_rules.judge(facts.listening)
    elif facts.missed:
        place = Place(TAIGA, f"project/{facts.slug}/admin/third-parties/webhooks" if facts.slug else "")
        sentence = _(
            "Work was closed in %(project)s at %(when)s and no delivery told of it; our user may not look at the "
            "webhook there. Look at it in Taiga."
        ) % {"project": facts.project, "when": facts.missed}
        found.append(error("hook_silent", sentence, place))
    return found


def invisible(project: str, mapping: int) -> Finding:
    """Taiga does not have the project, or does not show it to our user."""
    sentence = _(
        "Taiga does not show %(project)s to our user: it was deleted, or the user is no member of it. Make the user a "
        "member there, or set the project inactive here."
    )
    place = Place(CONSOLE, "admin:mappings_projectmapping_change", (mapping,))
    return error("access", sentence % {"project": project}, place)


def _life(facts: ProjectFacts) -> list[Finding]:
    words = {"project": facts.project}
    place = Place(TAIGA, f"project/{facts.slug}/admin/project-profile/details" if facts.slug else "")
    found = []
    if facts.is_archived:
        sentence = _(
            "%(project)s is archived in Taiga: its hours are billed, but “Invoiced” cannot be written there. Take it "
            "out of the archive, or set the project inactive here."
        )
        found.append(error("archived", sentence % words, place))
    if facts.is_blocked:
        sentence = _(
            "%(project)s is blocked in Taiga: it can be read, but nothing can be written there. Ask its owner to "
            "unblock it."
        )
        found.append(error("blocked", sentence % words, place))
    return found


def _rights(facts: ProjectFacts, configured: Mapping[str, str]) -> list[Finding]:
    place = Place(TAIGA, f"project/{facts.slug}/admin/memberships" if facts.slug else "")
    words = {"project": facts.project}
    if not facts.is_member:
        sentence = _(
            "Our user is no member of %(project)s in Taiga: it sees what everybody sees, and may write nothing there. "
            "Make it a member."
        )
        return [error("access", sentence % words, place)]
    found: list[Finding] = []
    for kind, needed in RIGHTS.items():
        present = facts.kinds.get(kind, ())
        if kind != ItemKind.TASK and not named(BILLABLE, configured[BILLABLE], present):
            continue
        sees, writes = (right in facts.permissions or facts.is_admin for right in needed)
        words |= {"kind": attribute_rules.plural(kind), "right": needed[1] if sees else needed[0]}
        if not sees:
            sentence = _(
                "Our user may not see the %(kind)s of %(project)s (%(right)s), so none of them is billed. Give its "
                "role that right in Taiga."
            )
            found.append(error("right", sentence % words, place, subject=str(kind)))
        elif not writes:
            sentence = _(
                "Our user may not change the %(kind)s of %(project)s (%(right)s), so “Invoiced” is never written "
                "there. Give its role that right in Taiga."
            )
            found.append(error("right", sentence % words, place, subject=str(kind)))
    if not facts.is_admin:
        sentence = _(
            "Our user is no administrator of %(project)s: its webhook and its log cannot be looked at, and the nightly "
            "comparison reads item by item instead of one table. Make it an administrator of the project in Taiga."
        )
        found.append(warning("admin", sentence % words, place))
    if not found:
        found.append(ok("access", _("Our user sees %(project)s and may write there.") % words))
    return found
