"""What Taiga says about one item: the item, its values, and what must be known to understand them. Writes no item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings

from billing_console.errors import NotFound
from billing_console.states import ItemKind
from mappings.lookups import mapping_of
from mappings.models import ProjectMapping
from sync import attributes, discovery, upstreams
from sync.attribute_names import names_for
from sync.clients.taiga import TaigaClient
from sync.clients.taiga_rows import AttributeValues, TaigaId, TaigaItem
from sync.models import WorkItem


@dataclass(frozen=True)
class Reading:
    """What Taiga says about an item: None for `item` means that it is gone. Times are aware, in UTC."""

    item: TaigaItem | None
    values: AttributeValues | None = None
    names: dict[str, str] | None = None
    mapping: ProjectMapping | None = None
    is_known_there: bool = False


def fetch(item: WorkItem, configured: Mapping[str, str]) -> Reading:
    """Ask Taiga: the item, then its values. Attribute names and roles come from our rows while these are fresh.

    Invoice Ninja is asked too where Taiga says "Invoiced" and we never said so. `configured` are the names of
    our attributes. Raises UpstreamError or ConfigError.
    """
    taiga = upstreams.taiga_client(item=item, correlation_id=item.correlation_id, attempt=item.read_attempts + 1)
    taiga_id = TaigaId(item.taiga_id)
    try:
        row = taiga.item(item.kind, taiga_id)
    except NotFound:
        return Reading(None)
    values = _fetch_values(taiga, item)
    if values is None:
        return Reading(None)
    names = names_for(item.kind, row.project_id, values.values, taiga)
    if row.user_story_id is not None:  # its story closes with it: are stories billed here?
        names_for(ItemKind.STORY, row.project_id, {}, taiga)
    mapping = mapping_of(row.project_id)
    if row.assigned_to_id is not None:  # of an unmapped project too: it is priced the moment it is mapped
        discovery.ensure_role(row.project_id, row.assigned_to_id, taiga)
    is_known_there = row.is_closed and _is_known_there(item, values, names, configured)
    return Reading(row, values, names, mapping, is_known_there)


def _fetch_values(taiga: TaigaClient, item: WorkItem) -> AttributeValues | None:
    """The item's values; None when the item vanished between the two calls."""
    taiga_id = TaigaId(item.taiga_id)
    try:
        return taiga.values(item.kind, taiga_id)
    except NotFound:
        try:
            taiga.item(item.kind, taiga_id)
        except NotFound:
            return None
        return AttributeValues(taiga_id, {}, 0, {})


def _is_known_there(
    item: WorkItem, values: AttributeValues, names: dict[str, str], configured: Mapping[str, str]
) -> bool:
    """Whether Invoice Ninja holds our task of an item that says "Invoiced" though we know of none (a lost outcome,
    a restored backup)."""
    raw = attributes.find_attributes(names, values.values, configured).raw
    if attributes.parse_status(raw[attributes.STATUS]) != attributes.INVOICED:
        return False
    if item.entries.filter(remote_task__isnull=False).exists():
        return True
    number = f"{settings.TASK_NUMBER_PREFIX}{item.kind}{item.taiga_id}-1"
    ninja = upstreams.ninja_client(item=item, correlation_id=item.correlation_id)
    return bool(ninja.find_tasks(number))
