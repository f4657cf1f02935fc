"""A census of a project: every item that Taiga has against every item that we have. It detects; the reader bills.

Flipped and deleted statuses, promotions, items deleted with something else and values that were changed while no
delivery came leave no trace in the timeline that says which item it was. One CSV for each kind holds them all (design:
Catching what webhooks never say). Who is no administrator of the project sees no CSV: then lists are read, and the
items whose values may have changed are read one by one.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from django.db import transaction
from django.utils.translation import gettext as _

from billing_console.batches import in_batches
from billing_console.errors import (
    ConsoleError,
    DeadlineExceeded,
    Forbidden,
    NotFound,
    NotJson,
    OutcomeUnknown,
    ServerFault,
    UnexpectedAnswer,
    said_by,
)
from billing_console.states import EntryState, ItemKind, ItemState
from mappings.models import Company
from sync import attributes, stories
from sync.attribute_names import configured_names
from sync.bounds import bounded
from sync.clients.taiga import TaigaClient
from sync.clients.taiga_rows import TaigaId, TaigaItem
from sync.marks import BILLED_KINDS, Mark, mark_many
from sync.models import FoundBy, WorkItem

logger = logging.getLogger(__name__)

BATCH: Final = 500
# Fixed columns of the CSV that nothing reads, and that hold whatever people write.
_UNUSED: Final = frozenset(
    {"description", "tags", "watchers", "voters", "attachments", "external_reference", "due_date_reason"}
)
_SECOND: Final = dt.timedelta(seconds=1)
_UNBILLED: Final = (EntryState.HELD, EntryState.READY, EntryState.VOID, EntryState.BELOW_MINIMUM, EntryState.CLAIMED)


@dataclass(frozen=True)
class Counted:
    """One item as Taiga counts it. `attributes` are by our own names, as texts; None where they were not asked."""

    kind: str
    taiga_id: int
    ref: int | None
    subject: str
    is_closed: bool
    finished_at: dt.datetime | None
    assignee: str
    attributes: dict[str, Any] | None


@dataclass(frozen=True)
class Census:
    """How many items Taiga has, and which of them differ from what we have."""

    counted: int
    marks: list[Mark]


def take(
    taiga_project_id: int,
    taiga: TaigaClient,
    *,
    since: dt.datetime | None = None,
    still_ours: Callable[[], None] = lambda: None,
) -> Census:
    """Compare the whole project and mark what differs; `since` marks every item closed from that instant on as well.

    `still_ours` is called between the kinds and may raise. Raises UpstreamError when Taiga cannot be read.
    """
    counted, marks = 0, []
    for kind in BILLED_KINDS:
        still_ours()
        if not stories.may_be_billed(kind, taiga_project_id):
            continue
        seen: set[int] = set()
        for batch in in_batches(count(taiga_project_id, kind, taiga), BATCH):
            seen |= {row.taiga_id for row in batch}
            marks += _differing(taiga_project_id, kind, batch, since)
        marks += _missing(taiga_project_id, kind, seen)
        counted += len(seen)
    with transaction.atomic():
        mark_many(marks, found_by=FoundBy.SWEEP)
    return Census(counted, marks)


def count(taiga_project_id: int, kind: str, taiga: TaigaClient) -> Iterator[Counted]:
    """Every item of one kind in the project, from its CSV; from its list for who may not have that, or where it fails.

    Raises UpstreamError when neither can be read.
    """
    project_id = TaigaId(taiga_project_id)
    project = taiga.project(project_id)
    uuid = project.csv_uuids.get(kind, "")
    try:
        if not uuid and project.is_admin:
            uuid = taiga.make_csv_uuid(kind, project_id)  # only where there is none: another one would stop working
        if uuid:
            names = configured_names(Company.current())
            return iter([_from_csv(kind, row, names) for row in taiga.csv_rows(kind, uuid, _is_used)])
    except (Forbidden, NotFound) as error:
        logger.info("no CSV of project %s: %s", project_id, error.sentence)
    except _NOT_READ as error:
        logger.warning("the CSV of project %s is not used, its list is read: %s", project_id, said_by(error).sentence)
    return (_from_list(item) for item in taiga.items(kind, project_id))


def _is_used(column: str) -> bool:
    return column not in _UNUSED


class _OddRow(ConsoleError):
    """A row of the CSV that cannot be read; the sentence names the item."""


# The list may be read all the same: it holds no long text, and Taiga makes it otherwise.
_NOT_READ: Final = (DeadlineExceeded, NotJson, OutcomeUnknown, ServerFault, UnexpectedAnswer, _OddRow)


def _from_csv(kind: str, row: dict[str, str], names: Mapping[str, str]) -> Counted:
    words = {"id": row["id"][:20], "ref": row["ref"][:20]}
    try:
        return _counted(kind, row, names)
    except ValueError:
        raise _OddRow(_("Taiga's CSV says of #%(ref)s (id %(id)s) what cannot be read.") % words) from None


def _counted(kind: str, row: dict[str, str], names: Mapping[str, str]) -> Counted:
    columns = {str(number): name for number, name in enumerate(row)}
    cells: dict[str, Any] = {number: row[name] or None for number, name in columns.items()}
    found = attributes.find_attributes(columns, cells, names).raw
    finished = row.get("finish_date" if kind == ItemKind.STORY else "finished_date", "")
    return Counted(
        kind=kind,
        taiga_id=int(row["id"]),
        ref=int(row["ref"]) if row["ref"] else None,
        subject=row.get("subject", ""),
        is_closed=row.get("is_closed") == "True",
        finished_at=dt.datetime.fromisoformat(finished) if finished else None,
        assignee=row.get("assigned_to", ""),
        attributes=found,
    )


def _from_list(item: TaigaItem) -> Counted:
    return Counted(
        item.kind, item.id, item.ref, item.subject, item.is_closed, item.finished_at, item.assigned_to_username, None
    )


def _differing(project_id: int, kind: str, batch: list[Counted], since: dt.datetime | None) -> list[Mark]:
    known = {
        item.taiga_id: item for item in WorkItem.objects.filter(kind=kind, taiga_id__in=[row.taiga_id for row in batch])
    }
    unbilled: set[int] = set()
    if any(row.attributes is None for row in batch):  # their values are not told: look at each that is not billed yet
        entries = WorkItem.objects.filter(pk__in=[item.pk for item in known.values()], entries__state__in=_UNBILLED)
        unbilled = set(entries.values_list("taiga_id", flat=True))
    return [
        Mark(kind, row.taiga_id, project_id)
        for row in batch
        if _differs(row, known.get(row.taiga_id), project_id)
        or row.taiga_id in unbilled
        or (since is not None and row.finished_at is not None and row.is_closed and row.finished_at >= since)
    ]


def _differs(row: Counted, item: WorkItem | None, project_id: int) -> bool:
    if item is not None and item.is_dirty:
        return False  # it is read anyway
    if item is None:
        return row.is_closed  # an open one has nothing to bill yet
    if item.state == ItemState.GONE or item.taiga_project_id != project_id or item.ref != row.ref:
        return True
    if row.is_closed != (item.state == ItemState.CLOSED):
        return True
    if row.is_closed and not _same_instant(row.finished_at, item.finished_at):
        return True
    return row.attributes is not None and any(
        not _same_value(item.attributes.get(name), row.attributes.get(name)) for name in attributes.READ
    )


def _same_instant(left: dt.datetime | None, right: dt.datetime | None) -> bool:
    if left is None or right is None:
        return left is right
    return abs(left - right) < _SECOND


def _same_value(ours: Any, text: Any) -> bool:
    """Whether a cell of the CSV says what we hold. In doubt False: then the item is read again, which harms nobody."""
    cell = str(text or "")
    if ours is None:
        return cell == ""
    if isinstance(ours, bool) or not isinstance(ours, int | Decimal):
        return bounded(cell.removeprefix("'")) == str(ours).removeprefix("'")
    try:
        return Decimal(cell) == ours
    except InvalidOperation:
        return False


def _missing(project_id: int, kind: str, seen: set[int]) -> list[Mark]:
    """Items that we have in this project and Taiga has not: deleted, promoted, or moved away."""
    ours = WorkItem.objects.filter(kind=kind, taiga_project_id=project_id)
    ids = ours.exclude(state=ItemState.GONE).values_list("taiga_id", flat=True)
    return [Mark(kind, taiga_id) for taiga_id in ids.iterator() if taiga_id not in seen]
