"""The names of a project's custom attributes: read once, kept in a row, read again when old or when one is missing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

from django.utils import timezone

from mappings.models import Company
from sync import attributes
from sync.clients.taiga import TaigaClient
from sync.clients.taiga_rows import TaigaId
from sync.models import TaigaAttributes
from sync.texts import clean_text

MAX_AGE: Final = dt.timedelta(minutes=10)


def names_for(kind: str, project_id: int, values: Mapping[str, Any], taiga: TaigaClient) -> dict[str, str]:
    """Attribute id (as text) to name, for items of `kind` in a project.

    Asks Taiga when the row is older than ten minutes (real time), or when `values` holds an id that it lacks. An item
    that moved in from another project keeps that project's ids for ever: they are remembered without a name.
    Raises UpstreamError.
    """
    row = TaigaAttributes.objects.filter(taiga_project_id=project_id, kind=kind).first()
    if row is not None and row.read_at > timezone.now() - MAX_AGE and set(values) <= set(row.names):
        return row.names
    return read_names(kind, project_id, values, taiga)


def read_names(kind: str, project_id: int, values: Mapping[str, Any], taiga: TaigaClient) -> dict[str, str]:
    """The same, asked of Taiga now: somebody may just have added, renamed or deleted one. Raises UpstreamError."""
    names = dict.fromkeys(values, "") | {
        str(attribute.id): clean_text(attribute.name, 64)
        for attribute in taiga.custom_attributes(kind, TaigaId(project_id))
    }
    TaigaAttributes.objects.update_or_create(
        taiga_project_id=project_id, kind=kind, defaults={"names": names, "read_at": timezone.now()}
    )
    return names


def configured_names(company: Company) -> dict[str, str]:
    """The names of the six attributes in Taiga, by our own names."""
    return {name: getattr(company, f"attribute_{name}") for name in attributes.READ}


def is_left_behind(kind: str, names: Mapping[str, str], values: Mapping[str, Any]) -> bool:
    """Whether an item is billable by a value under the attribute id of another project, from which it was moved here.

    Taiga keeps such values and shows them to nobody. One query, and none for an item that never moved.
    """
    foreign = [number for number in values if not names.get(number)]
    if not foreign:
        return False
    billable = (
        configured_names(Company.current())[attributes.BILLABLE].casefold(),
        attributes.ALIASES[attributes.BILLABLE],
    )
    others = TaigaAttributes.objects.filter(kind=kind, names__has_any_keys=foreign).values_list("names", flat=True)
    return any(
        (other.get(number) or "").casefold() in billable and attributes.is_ticked(values[number])
        for other in others
        for number in foreign
    )
