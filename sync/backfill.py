"""Everything that was closed since a day, read at once: for the day of the change-over, and after trouble.

The dry run prices what Taiga's CSV says without reading an item or writing a row. Days are local days of the office's
zone, hours Decimal hours, amounts before tax by currency.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from zoneinfo import ZoneInfo

from billing_console import clock
from billing_console.errors import ConsoleError
from billing_console.money import ZERO
from billing_console.states import EntryState
from mappings.lookups import rule_set_for, zone_of
from mappings.models import Person, ProjectMapping
from sync import census, pricing, stories, sweep, upstreams
from sync.census import Counted
from sync.cycles import Cycle
from sync.marks import BILLED_KINDS
from sync.models import WorkItem
from sync.world import World


@dataclass
class ProjectResult:
    """What one project has closed since the day: how many items, what would be ready and what would be held, and why.

    `error` is a sentence where it could not be looked at.
    """

    project: str
    items: int = 0
    known: int = 0
    hours: Decimal = ZERO
    amounts: dict[str, Decimal] = field(default_factory=dict)
    held: Counter[str] = field(default_factory=Counter)
    not_billable: int = 0
    error: str = ""


def begin_of(day: dt.date) -> dt.datetime:
    """The instant at which `day` begins in the office's zone."""
    return dt.datetime.combine(day, dt.time(), ZoneInfo(zone_of(rule_set_for(None))))


def preview(mapping: ProjectMapping, since: dt.date) -> ProjectResult:
    """What reading everything closed in the project since that day would bring in. Writes nothing anywhere.

    Without the right to the project's CSV only the items are counted: their values are not told.
    """
    result = ProjectResult(str(mapping))
    begin = begin_of(since)
    try:
        taiga = upstreams.taiga_client()
        for kind in BILLED_KINDS:
            if not stories.may_be_billed(kind, mapping.taiga_project_id):
                continue
            closed = [
                row
                for row in census.count(mapping.taiga_project_id, kind, taiga)
                if row.is_closed and row.finished_at is not None and row.finished_at >= begin
            ]
            ids = [row.taiga_id for row in closed]
            known = set(
                WorkItem.objects.filter(kind=kind, taiga_id__in=ids, closings__gt=0).values_list("taiga_id", flat=True)
            )
            result.items += len(closed)
            result.known += len(known)
            _price(mapping, [row for row in closed if row.taiga_id not in known and row.attributes is not None], result)
    except ConsoleError as error:
        result.error = error.sentence
    return result


def _price(mapping: ProjectMapping, rows: list[Counted], result: ProjectResult) -> None:
    people = {person.username: person for person in Person.objects.filter(username__in={row.assignee for row in rows})}
    items = [
        WorkItem(
            kind=row.kind,
            taiga_id=row.taiga_id,
            taiga_project_id=mapping.taiga_project_id,
            project=mapping,
            ref=row.ref,
            assignee=people.get(row.assignee),
            finished_at=row.finished_at,
            attributes=row.attributes,
        )
        for row in rows
    ]
    world = World.load(items, [])
    for item in items:
        judgement = pricing.judge(item, Cycle(item.finished_at or clock.now(), item.assignee), world)
        if judgement.state == EntryState.HELD:
            result.held[judgement.reason] += 1
        elif judgement.state == EntryState.READY:
            currency, amount = judgement.columns["currency"], judgement.columns["amount"]
            result.hours += judgement.columns["billed_hours"]
            result.amounts[currency] = result.amounts.get(currency, ZERO) + amount
        else:
            result.not_billable += 1


def run(mapping: ProjectMapping, since: dt.date | None) -> sweep.SweepResult:
    """Sweep the project with a census, and mark everything closed since that day; the reader does the rest."""
    return sweep.sweep_project(mapping, has_census=True, since=begin_of(since) if since else None)


def active_projects() -> list[ProjectMapping]:
    """The projects that are billed, by name."""
    return list(ProjectMapping.objects.filter(is_active=True).order_by("taiga_project_name"))


def unread() -> int:
    """How many items of billed projects still wait to be read."""
    ids = ProjectMapping.objects.filter(is_active=True).values("taiga_project_id")
    return WorkItem.objects.filter(is_dirty=True, taiga_project_id__in=ids).count()
