"""What Taiga says, what we say and what Invoice Ninja says of one entry, each as of when. Reading only.

Each side is its last answer, not our wish: Taiga's is the last reading of the item; Invoice Ninja's the last reading of
the task, and of the invoice that bills it. Hours are hours, rates in the entry's currency. Ids are shown as names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from django.conf import settings
from django.utils.translation import gettext as _

from billing_console import formats
from billing_console.errors import ConsoleError
from mappings.models import Client
from sync import attributes
from sync.hooks import Billed
from sync.models import RecordKind, RemoteRecord, Server, TimeEntry

LONGEST: Final = 10**10  # seconds; three hundred years are a slip of somebody


@dataclass(frozen=True)
class Cell:
    """What one side says of one thing; `differs` where it is not what we say."""

    words: str
    differs: bool = False


@dataclass(frozen=True)
class Row:
    """One thing on the three sides."""

    name: str
    taiga: Cell
    ours: Cell
    ninja: Cell


def rows_of(entry: TimeEntry, billed: Billed | None, status: RemoteRecord | None = None) -> list[Row]:
    """Hours, rate, client and status, and as of when each side says so; two queries at most.

    `billed` is the living line of the entry on an invoice (`hooks.billed_of`), `status` the record of what we write
    into the item in Taiga.
    """
    typed = entry.item.attributes
    seen = entry.remote_task.seen if entry.remote_task else {}
    names = _client_names(attributes.parse_client(typed.get("client")), seen.get("client_id") or "")
    return [
        _hours(entry, billed, typed.get("hours"), seen),
        _rate(entry, billed, typed.get("rate"), seen),
        _client(entry, typed.get("client"), seen, names),
        _status(entry, billed, seen),
        Row(_("As of"), _taiga_as_of(entry, status), Cell(_moment(entry.evaluated_at)), _ninja_as_of(entry, billed)),
    ]


# --- the rows ---------------------------------------------------------------------------------------------------------


def _hours(entry: TimeEntry, billed: Billed | None, typed: Any, seen: Mapping[str, Any]) -> Row:
    ours, there = formats.hours(entry.billed_hours), _hours_there(seen.get("time_log"))
    if billed is not None and entry.billed_hours is not None and billed.hours != entry.billed_hours:
        ours = _("%(billed)s on the invoice, priced at %(priced)s") % {
            "billed": formats.hours(billed.hours),
            "priced": ours,
        }
    return Row(
        _("Hours"),
        Cell(_typed(typed), bool(entry.raw_value) and attributes.quote(typed) != entry.raw_value),
        Cell(ours),
        Cell(formats.hours(there), there != entry.billed_hours) if there is not None else _unread(seen),
    )


def _rate(entry: TimeEntry, billed: Billed | None, typed: Any, seen: Mapping[str, Any]) -> Row:
    ours = formats.rate(entry.rate, entry.currency)
    if billed is not None and entry.rate is not None and billed.rate != entry.rate:
        ours = _("%(billed)s on the invoice, priced at %(priced)s") % {
            "billed": formats.rate(billed.rate, entry.currency),
            "priced": ours,
        }
    there = Decimal(seen["rate"]) if "rate" in seen else None
    return Row(
        _("Rate"),
        Cell(_typed(typed), _is_other_rate(typed, entry.rate)),
        Cell(ours),
        Cell(formats.rate(there, entry.currency), there is not None and entry.rate is not None and there != entry.rate),
    )


def _client(entry: TimeEntry, typed: Any, seen: Mapping[str, Any], names: Mapping[str, str]) -> Row:
    ours = entry.client.ninja_id if entry.client else ""
    named, there = attributes.parse_client(typed), str(seen.get("client_id") or "")
    return Row(
        _("Client"),
        Cell(names.get(named) or _typed(typed), bool(named) and bool(ours) and named != ours),
        Cell(str(entry.client or formats.NOTHING)),
        Cell(names.get(there) or there or formats.NOTHING, bool(there) and bool(ours) and there != ours),
    )


def _status(entry: TimeEntry, billed: Billed | None, seen: Mapping[str, Any]) -> Row:
    item = entry.item
    # The values are read back with our own write; the attributes are those of the last reading.
    there = item.values.get(str(item.status_attribute_id), item.attributes.get("status"))
    ours = str(entry.get_state_display())
    if billed is not None and billed.number:
        ours = _("%(state)s, on invoice %(number)s: %(status)s") % {
            "state": ours,
            "number": billed.number,
            "status": billed.state,
        }
    return Row(
        _("Status"),
        Cell(_typed(there), bool(item.status_written) and there != item.status_written),
        Cell(ours),
        _ninja_status(entry, billed, seen),
    )


def _ninja_status(entry: TimeEntry, billed: Billed | None, seen: Mapping[str, Any]) -> Cell:
    """On which invoice the task is. What was read of the task before the invoice was made says nothing about that."""
    named = str(seen.get("invoice_id") or "")
    if billed is None or not billed.remote_id:
        if named:
            return Cell(_("on %(invoice)s, which does not bill it here") % {"invoice": _invoice_name(named)}, True)
        return Cell(_("not invoiced") if seen else formats.NOTHING)
    if named and named != billed.remote_id:
        return Cell(_("on %(invoice)s, not on ours") % {"invoice": _invoice_name(named)}, True)
    task = entry.remote_task
    is_newer = task is not None and task.seen_at is not None and billed.made_at is not None
    if not named and is_newer and task.seen_at > billed.made_at:  # type: ignore[union-attr, operator]
        return Cell(_("on no invoice any more"), True)
    words = {"invoice": _("invoice %(number)s") % {"number": billed.number}, "status": billed.there}
    return Cell(_("on %(invoice)s: %(status)s") % words, billed.differs)


def _taiga_as_of(entry: TimeEntry, status: RemoteRecord | None) -> Cell:
    read_at, written_at = entry.item.read_at, status.seen_at if status is not None else None
    if written_at is None or (read_at is not None and read_at >= written_at):
        return Cell(_moment(read_at))
    return Cell(_("%(read)s, status %(written)s") % {"read": _moment(read_at), "written": _moment(written_at)})


def _ninja_as_of(entry: TimeEntry, billed: Billed | None) -> Cell:
    task = entry.remote_task
    parts = []
    if task is not None and task.seen_at is not None:
        parts.append(_("task %(when)s") % {"when": _moment(task.seen_at)})
    if billed is not None and billed.read_at is not None:
        parts.append(_("invoice %(when)s") % {"when": _moment(billed.read_at)})
    return Cell(", ".join(parts) or formats.NOTHING)


# --- inside -----------------------------------------------------------------------------------------------------------


def _invoice_name(remote_id: str) -> str:
    """The number of an invoice that the console made, else its id there."""
    rows = RemoteRecord.objects.filter(server=Server.NINJA, kind=RecordKind.INVOICE, remote_id=remote_id)
    seen = rows.values_list("seen", flat=True).first()
    if seen and seen.get("number"):
        return _("invoice %(number)s") % {"number": seen["number"]}
    return _("an invoice that the console did not make (id %(id)s)") % {"id": remote_id}


def _client_names(*ninja_ids: str) -> dict[str, str]:
    wanted = {ninja_id for ninja_id in ninja_ids if ninja_id}
    return {row.ninja_id: str(row) for row in Client.objects.filter(ninja_id__in=wanted)} if wanted else {}


def _hours_there(time_log: str | None) -> Decimal | None:
    """The hours of a time log; None without one, or where it has a form that we do not know."""
    try:
        seconds = sum((Decimal(row[1] - row[0]) for row in json.loads(time_log or "")), Decimal(0))
        return seconds / 3600 if abs(seconds) < LONGEST else None
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
        return None


def _unread(seen: Mapping[str, Any]) -> Cell:
    """What stands in the place of hours there: nothing, or that they cannot be read."""
    return Cell(_("in a form we do not know"), True) if seen.get("time_log") else Cell(formats.hours(None))


def _is_other_rate(typed: Any, ours: Decimal | None) -> bool:
    try:
        rate = attributes.parse_rate(typed)
    except ConsoleError:
        return False  # it cannot be read; the entry's own sentence says so
    return rate is not None and ours is not None and rate != ours


def _typed(value: Any) -> str:
    return formats.NOTHING if value is None or value == "" else f"{value}"


def _moment(instant: Any) -> str:
    return formats.moment(instant, settings.BILLING_TIMEZONE) if instant else formats.NOTHING
