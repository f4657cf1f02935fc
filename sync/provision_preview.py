"""What connecting a project would do in Taiga, asked of Taiga now and written nowhere; and what it did."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext as _

from billing_console.errors import ConsoleError
from billing_console.states import ItemKind, RecordState
from mappings.matching import rank, suggest
from mappings.models import Client, Company, NinjaProject, ProjectMapping, TaigaProject
from sync import provision_plan, provisioning, upstreams
from sync.attribute_names import configured_names
from sync.clients.taiga_rows import TaigaId
from sync.models import RemoteRecord
from sync.provisioning import Target
from sync.wanted import WANTED

MAKE, THERE = "make", "there"


@dataclass(frozen=True)
class Thing:
    """One thing in Taiga. `state`: make, there, or the state of its record; `wrong` are sentences about it."""

    name: str
    state: str
    id: int | None = None
    wrong: tuple[str, ...] = ()


def project_of(number: int) -> TaigaProject:
    """The project as it was read last. Raises ConsoleError when our user does not see it."""
    project = TaigaProject.objects.filter(taiga_id=number, is_known=True).first()
    if project is None:
        sentence = _("Taiga has no project %(number)d that our user sees. Make that user a member of it there.")
        raise ConsoleError(sentence % {"number": number})
    return project


def target_for(project: TaigaProject, mapping: ProjectMapping | None, client_id: str, project_id: str) -> Target:
    """Who pays: what was named, else who pays now, else who is surely meant by the name.

    Raises ConsoleError for an id that Invoice Ninja does not have, and when nobody is surely meant.
    """
    if project_id:
        row = NinjaProject.objects.filter(ninja_id=project_id, is_known=True, is_deleted=False).first()
        if row is None or (client_id and row.client.ninja_id != client_id):
            raise ConsoleError(_("Invoice Ninja has no living project %(id)s of that client.") % {"id": project_id})
        return Target(row.client, row)
    if client_id:
        client = Client.objects.filter(ninja_id=client_id, is_known=True, is_deleted=False).first()
        if client is None:
            raise ConsoleError(_("Invoice Ninja has no living client %(id)s.") % {"id": client_id})
        return Target(client)
    if mapping is not None:
        return provisioning.target_of(mapping)
    among = provisioning.candidates(provisioning.targets())
    found = suggest(project.name, among)
    if found is None:
        nearest = ", ".join(_named(match.candidate.value) for match in rank(project.name, among)[:3]) or _("none")
        sentence = _(
            "Say who pays for %(project)s, with --client or --ninja-project. By the name perhaps: %(nearest)s."
        )
        raise ConsoleError(sentence % {"project": project, "nearest": nearest})
    target: Target = found.value
    return target


def _named(target: Target) -> str:
    return f"{target} ({target.project.ninja_id if target.project else target.client.ninja_id})"


def preview(project: TaigaProject, mapping: ProjectMapping | None, kinds: Collection[str]) -> list[Thing]:
    """Each thing: there already, with what is wrong with it, or to be made. Reads Taiga. Raises UpstreamError."""
    taiga, number = upstreams.taiga_client(), TaigaId(project.taiga_id)
    names = configured_names(Company.current())
    things = []
    for kind in provision_plan.KINDS:
        if kind != ItemKind.TASK and kind not in kinds:
            continue
        rows = taiga.custom_attributes(kind, number)
        for field in WANTED:
            found = provision_plan.find_attribute(field, names[field], rows)
            things.append(_planned(f"{names[field]} ({kind.label})", found))
    door = provision_plan.door_of(
        settings.PUBLIC_URL, mapping.uuid if mapping else uuid.uuid4(), settings.WEBHOOK_SECRET
    )
    hook = provision_plan.find_hook(door, taiga.webhooks(number))
    things.append(_planned(_("Webhook"), hook))
    return things


def _planned(name: str, found: provision_plan.Found | None) -> Thing:
    return Thing(name, THERE, found.id, found.wrong) if found else Thing(name, MAKE)


def outcome(record: RemoteRecord) -> Thing:
    """What became of one thing."""
    is_there = record.state == RecordState.SYNCED
    sentences = record.seen.get("wrong", []) if is_there else [record.sentence] if record.sentence else []
    return Thing(name_of(record), record.state, record.seen.get("id") if is_there else None, tuple(sentences))


def name_of(record: RemoteRecord) -> str:
    """What a person calls it."""
    desired = record.desired
    if desired["thing"] == provisioning.ATTRIBUTE:
        return f"{desired['name']} ({ItemKind(desired['kind']).label})"
    return str(_("Webhook") if desired["thing"] == provisioning.HOOK else _("Test of the webhook"))
