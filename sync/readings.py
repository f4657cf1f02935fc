"""What Taiga says about one item: the item, its values, and what must be known to understand them. Writes no item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from billing_console.errors import NotFound
from billing_console.states import ItemKind
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
    is_known_there: bool = False


@dataclass
class Batch:
    """What readings right after each other have in common: the names of attributes and the roles of people.

    They come from our rows while these are fresh, asked once a batch. `configured` are the names of our attributes.
    """

    configured: Mapping[str, str]
    _names: dict[tuple[str, int], dict[str, str]] = field(default_factory=dict)
    _roles: set[tuple[int, int]] = field(default_factory=set)

    def names_for(self, kind: str, project_id: int, values: Mapping[str, Any], taiga: TaigaClient) -> dict[str, str]:
        """As `attribute_names.names_for`."""
        names = self._names.get((kind, project_id))
        if names is None or not set(values) <= set(names):
            names = self._names[kind, project_id] = names_for(kind, project_id, values, taiga)
        return names

    def ensure_role(self, project_id: int, user_id: int, taiga: TaigaClient) -> None:
        """As `discovery.ensure_role`."""
        if (project_id, user_id) not in self._roles:
            discovery.ensure_role(project_id, user_id, taiga)
            self._roles.add((project_id, user_id))


def fetch(item: WorkItem, batch: Batch) -> Reading:
    """Ask Taiga: the item, then its values, and what the batch does not know yet.

    Invoice Ninja is asked too where Taiga says "Invoiced" and we never said so. Raises UpstreamError or ConfigError.
    """
    taiga = upstreams.taiga_client(item_id=item.pk, correlation_id=item.correlation_id, attempt=item.read_attempts + 1)
    taiga_id = TaigaId(item.taiga_id)
    try:
        row = taiga.item(item.kind, taiga_id)
    except NotFound:
        return Reading(None)
    values = _fetch_values(taiga, item)
    if values is None:
        return Reading(None)
    names = batch.names_for(item.kind, row.project_id, values.values, taiga)
    if row.user_story_id is not None:  # its story closes with it: are stories billed here?
        batch.names_for(ItemKind.STORY, row.project_id, {}, taiga)
    if row.assigned_to_id is not None:  # of an unmapped project too: it is priced the moment it is mapped
        batch.ensure_role(row.project_id, row.assigned_to_id, taiga)
    is_known_there = row.is_closed and _is_known_there(item, values, names, batch.configured)
    return Reading(row, values, names, is_known_there)


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
    ninja = upstreams.ninja_client(item_id=item.pk, correlation_id=item.correlation_id)
    return bool(ninja.find_tasks(number))
