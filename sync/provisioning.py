"""Connecting a Taiga project: who pays for it, and what it needs in Taiga, wanted as rows of the outbox.

Nothing is called from here: `provision_calls` makes the things, one row each, and repeating it makes nothing twice.
Nothing is ever deleted or changed in Taiga; what is wrong there is said.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console.errors import NotAllowed, StaleRevision
from billing_console.states import ItemKind, RecordState
from mappings import hooks
from mappings.matching import Candidate
from mappings.models import Client, Company, NinjaProject, ProjectMapping, TaigaProject
from sync import doorbell, provision_plan
from sync.attribute_names import configured_names
from sync.models import RecordKind, RemoteRecord, Server
from sync.provision_plan import Door
from sync.transitions import advance, record
from sync.wanted import WANTED, description_of

if TYPE_CHECKING:
    from accounts.models import User

ATTRIBUTE, HOOK, TEST = "attribute", "hook", "test"
KEY_BYTES: Final = 32
_REST: Final = (RecordState.SYNCED, RecordState.ATTENTION, RecordState.DROPPED, RecordState.RETRY)


@dataclass(frozen=True)
class Target:
    """Who pays: a client, and the project of Invoice Ninja that the work goes to, where there is one."""

    client: Client
    project: NinjaProject | None = None

    @property
    def code(self) -> str:
        """A short name for a form: c5 is client 5 without a project, p7 is project 7 with its client."""
        return f"p{self.project.pk}" if self.project else f"c{self.client.pk}"

    def __str__(self) -> str:
        return f"{self.client} / {self.project}" if self.project else str(self.client)


# --- who may pay ------------------------------------------------------------------------------------------------------


def targets() -> list[Target]:
    """Every client and project of Invoice Ninja that may be billed; two queries. A project stands behind its client."""
    alive = {"is_known": True, "is_deleted": False}
    projects: dict[int, list[NinjaProject]] = {}
    for project in NinjaProject.objects.filter(**alive, is_archived=False):
        projects.setdefault(project.client_id, []).append(project)
    found = []
    for client in Client.objects.filter(**alive, is_archived=False):
        found.append(Target(client))
        found += [Target(client, project) for project in projects.get(client.pk, [])]
    return found


def candidates(among: Sequence[Target]) -> list[Candidate]:
    """The same as names to match; the value is the Target."""
    return [Candidate(each, each.client.name, each.project.name if each.project else "") for each in among]


def target_of(mapping: ProjectMapping) -> Target:
    """Who pays for a project that is mapped already."""
    return Target(mapping.client, mapping.ninja_project)


# --- connecting -------------------------------------------------------------------------------------------------------


def revision_of(mapping: ProjectMapping | None, records: Sequence[RemoteRecord]) -> str:
    """What a person had on screen: who pays, and how often it was connected before."""
    times = max((row.revision for row in records), default=0)
    return f"{mapping.client_id}.{mapping.ninja_project_id or 0}.{times}" if mapping else "new"


def connect(
    taiga_project_id: int,
    name: str,
    slug: str,
    target: Target,
    kinds: Collection[str],
    *,
    user: User | None = None,
    revision: str | None = None,
) -> ProjectMapping:
    """Map the project to who pays, give it a webhook key, and want its things in Taiga made; calls nobody.

    Tasks are always among `kinds`. A mapping that exists keeps its days and its key. Raises StaleRevision when
    `revision` is not what stands there (any more), NotAllowed for a project of another client.
    """
    if target.project is not None and target.project.client_id != target.client.pk:
        words = {"project": target.project, "client": target.client}
        raise NotAllowed(_("The project %(project)s does not belong to %(client)s in Invoice Ninja.") % words)
    with transaction.atomic():
        # Two who connect a new project at once: the second waits here, where there is no mapping to lock yet.
        TaigaProject.objects.select_for_update().filter(taiga_id=taiga_project_id).first()
        mapping = ProjectMapping.objects.select_for_update().filter(taiga_project_id=taiga_project_id).first()
        if revision is not None and revision != revision_of(mapping, things_of(taiga_project_id)):
            raise StaleRevision(
                _("Somebody connected this project since you opened the page, perhaps you. Here is how it stands.")
            )
        is_new = mapping is None
        mapping = mapping or ProjectMapping(taiga_project_id=taiga_project_id)
        before = None if is_new else (mapping.client_id, mapping.ninja_project_id)
        mapping.taiga_project_name, mapping.taiga_slug = name or str(taiga_project_id), slug
        mapping.client, mapping.ninja_project = target.client, target.project
        mapping.webhook_key = mapping.webhook_key or secrets.token_urlsafe(KEY_BYTES)
        mapping._history_user = user  # type: ignore[attr-defined]
        mapping._change_reason = _("connected")  # type: ignore[attr-defined]
        mapping.save()
        if before != (mapping.client_id, mapping.ninja_project_id):
            hooks.changed(mapping)
        want(mapping, kinds, user=user)
    return mapping


def want(mapping: ProjectMapping, kinds: Collection[str], *, user: User | None = None) -> None:
    """Want the attributes of these kinds and the webhook to be there, once more where they are already."""
    company = Company.current()
    names = configured_names(company)
    for kind in provision_plan.KINDS:
        if kind != ItemKind.TASK and kind not in kinds:
            continue
        for wanted in WANTED.values():
            desired = {
                "thing": ATTRIBUTE,
                "kind": str(kind),
                "field": wanted.field,
                "name": names[wanted.field],
                "type": wanted.type,
                "options": list(wanted.options) if wanted.options else None,
                "description": description_of(wanted.field, kind),
            }
            _want(mapping, f"{kind}/{wanted.field}", desired, user)
    _want(mapping, HOOK, {"thing": HOOK, "address": door_of(mapping).own}, user)
    transaction.on_commit(lambda: doorbell.ring("provision"))


def want_test(mapping: ProjectMapping) -> None:
    """Want Taiga's own test of the webhook to be sent (again) and to arrive. In the caller's transaction."""
    _want(mapping, TEST, {"thing": TEST, "asked_at": timezone.now().isoformat()}, None)


def check_again(mapping: ProjectMapping, *, user: User | None = None) -> int:
    """Look at everything once more that was wanted for this project; returns how many things. Makes what is missing."""
    with transaction.atomic():
        kinds = {row.desired["kind"] for row in things_of(mapping.taiga_project_id) if "kind" in row.desired}
        want(mapping, kinds, user=user)
    return len(things_of(mapping.taiga_project_id))


def _want(mapping: ProjectMapping, thing: str, desired: dict[str, Any], user: User | None) -> None:
    desired = {"mapping": mapping.pk, **desired}
    key = f"P{mapping.taiga_project_id}/{thing}"
    row = (
        RemoteRecord.objects.select_for_update()
        .filter(server=Server.TAIGA, kind=RecordKind.PROVISION, our_key=key)
        .first()
    )
    if row is None:
        row = RemoteRecord.objects.create(
            server=Server.TAIGA, kind=RecordKind.PROVISION, our_key=key, desired=desired, correlation_id=mapping.uuid
        )
        record(row, "", RecordState.PENDING, why=_("the project was connected"), user=user)
        return
    row.desired, row.revision = desired, row.revision + 1
    row.save(update_fields=["desired", "revision"])
    if row.state in _REST:
        advance(row, RecordState.PENDING, why=_("connected again"), user=user, not_before=None)


# --- how far it is ----------------------------------------------------------------------------------------------------


def things_of(taiga_project_id: int) -> list[RemoteRecord]:
    """What was wanted for a project, in the order of making; one query."""
    rows = RemoteRecord.objects.filter(
        server=Server.TAIGA, kind=RecordKind.PROVISION, our_key__startswith=f"P{taiga_project_id}/"
    )
    return list(rows.order_by("pk"))


def door_of(mapping: ProjectMapping) -> Door:
    """Where Taiga sends for this project."""
    return provision_plan.door_of(settings.PUBLIC_URL, mapping.uuid, settings.WEBHOOK_SECRET)


def is_running(things: Sequence[RemoteRecord]) -> bool:
    """Whether a worker still has something to do by itself."""
    return any(row.state not in (RecordState.SYNCED, RecordState.ATTENTION, RecordState.DROPPED) for row in things)
