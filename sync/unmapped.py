"""Everything unmapped that was seen: projects, people, roles and clients that work waits for, with its hours and money.

Read from the entries that are held for it, so what is mapped is gone from here at once. Hours are billed hours as far
as they are known, money is before tax and in the rate's currency.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from django.db.models import Q

from billing_console import clock, money
from billing_console.light import light
from billing_console.states import EntryState, Reason
from mappings.lookups import rule_set_for, zone_of
from mappings.models import Membership, Person, ProjectMapping, Rate, RateLevel, Role, TaigaProject
from sync import attributes
from sync.attributes import Unreadable
from sync.models import TimeEntry
from sync.world import World

# More than this on one page helps nobody; the page says so, and what is mended makes room.
LIMIT: Final = 2000


@dataclass
class Waiting:
    """What waits for one mapping: `count` entries, their hours, their money by currency, and since when.

    `unpriced` are those of the entries that no rate would price either.
    """

    count: int = 0
    hours: Decimal = money.ZERO
    money: dict[str, Decimal] = field(default_factory=lambda: defaultdict(lambda: money.ZERO))
    oldest: dt.datetime | None = None
    unpriced: int = 0

    def add(self, entry: TimeEntry, amount: tuple[Decimal, str] | None) -> None:
        """Count one entry."""
        self.count += 1
        self.hours += entry.billed_hours or entry.raw_hours or money.ZERO
        if amount is None:
            self.unpriced += 1
        else:
            self.money[amount[1]] += amount[0]
        since = entry.first_closed_at or entry.state_since
        if since is not None and (self.oldest is None or since < self.oldest):
            self.oldest = since


@dataclass
class UnmappedProject:
    """A Taiga project with closed billable work that nobody pays for; `mapping` where it is inactive on these days."""

    taiga_id: int
    name: str
    is_known: bool
    mapping: ProjectMapping | None
    waiting: Waiting


@dataclass
class PersonWithoutRate:
    """Somebody whose work no rate prices; None: nobody is assigned, so `project` needs a default rate."""

    person: Person | None
    project: ProjectMapping | None
    roles: list[str]
    waiting: Waiting


@dataclass
class RoleWithoutRate:
    """A role that people have in Taiga and that has no rate today; `role` where it is a row of ours already."""

    key: str
    name: str
    role: Role | None
    people: int
    waiting: Waiting


@dataclass
class UnknownClient:
    """A client that items or mappings name and Invoice Ninja does not have; `mapping` where a mapping names it."""

    name: str
    is_typed: bool
    mapping: ProjectMapping | None
    waiting: Waiting


@dataclass
class Unmapped:
    """All of it, most hours first; `is_cut` when more waits than was read.

    `quiet_roles` have no rate either, but nothing waits for one.
    """

    projects: list[UnmappedProject]
    people: list[PersonWithoutRate]
    roles: list[RoleWithoutRate]
    clients: list[UnknownClient]
    quiet_roles: list[RoleWithoutRate] = field(default_factory=list)
    is_cut: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be mapped."""
        return not (self.projects or self.people or self.roles or self.clients)


def find() -> Unmapped:
    """Read what waits; the same number of queries for one entry and for a thousand."""
    reasons = (Reason.UNMAPPED_PROJECT, Reason.NO_RATE, Reason.UNKNOWN_CLIENT)
    held = TimeEntry.objects.filter(state=EntryState.HELD, reason__in=reasons, held_by_person=False)
    related = ("item", "item__assignee", "person", "project__client", "client")
    entries = list(light(held, "item").select_related(*related).order_by("first_closed_at", "pk")[: LIMIT + 1])
    is_cut, entries = len(entries) > LIMIT, entries[:LIMIT]
    by_reason: dict[str, list[TimeEntry]] = defaultdict(list)
    for entry in entries:
        by_reason[entry.reason].append(entry)
    roles = _roles(by_reason[Reason.NO_RATE])
    return Unmapped(
        projects=_projects(by_reason[Reason.UNMAPPED_PROJECT]),
        people=_people(by_reason[Reason.NO_RATE]),
        roles=[row for row in roles if row.waiting.count],
        quiet_roles=[row for row in roles if not row.waiting.count],
        clients=_clients(by_reason[Reason.UNKNOWN_CLIENT]),
        is_cut=is_cut,
    )


def _projects(entries: list[TimeEntry]) -> list[UnmappedProject]:
    world = World.load([entry.item for entry in entries], entries)
    ids = {entry.item.taiga_project_id for entry in entries if entry.item.taiga_project_id is not None}
    known = {row.taiga_id: row for row in TaigaProject.objects.filter(taiga_id__in=ids)}
    found: dict[int, UnmappedProject] = {}
    for entry in entries:
        taiga_id = entry.item.taiga_project_id or 0
        if taiga_id not in found:
            row, mapping = known.get(taiga_id), world.mappings.get(taiga_id)
            name = str(mapping or row or entry.facts.get("project") or taiga_id)
            found[taiga_id] = UnmappedProject(taiga_id, name, bool(row and row.is_known), mapping, Waiting())
        found[taiga_id].waiting.add(entry, _would_be(entry, world))
    return sorted(found.values(), key=_most_hours)


def _would_be(entry: TimeEntry, world: World) -> tuple[Decimal, str] | None:
    """What the entry would be worth by the rates that hold in any project; None without one."""
    if entry.amount is not None:
        return entry.amount, entry.currency
    try:
        item_rate = attributes.parse_rate(entry.item.attributes.get(attributes.RATE))
    except Unreadable:
        return None
    if entry.billed_hours is None or entry.work_date is None:
        return None
    chosen = world.find_rate(
        item_rate,
        person=entry.person,
        project=ProjectMapping(taiga_project_id=entry.item.taiga_project_id or 0),
        client=None,
        on=entry.work_date,
        prefer=world.rule_set(None).prefer,
    )
    if chosen is None:
        return None
    return money.line_amount(entry.billed_hours, chosen.amount, chosen.currency), chosen.currency


def _people(entries: list[TimeEntry]) -> list[PersonWithoutRate]:
    roles = _role_names(entries)
    found: dict[tuple[int | None, int | None], PersonWithoutRate] = {}
    for entry in entries:
        # Who is assigned needs a rate of their own; where nobody is, the project needs one.
        key = (entry.person_id, None if entry.person_id else entry.project_id)
        if key not in found:
            project = None if entry.person_id else entry.project
            found[key] = PersonWithoutRate(
                entry.person, project, sorted(roles.get(entry.person_id or 0, ())), Waiting()
            )
        found[key].waiting.add(entry, None)
    return sorted(found.values(), key=_most_hours)


def _role_names(entries: Iterable[TimeEntry]) -> dict[int, set[str]]:
    people = {entry.person_id for entry in entries} - {None}
    names: dict[int, set[str]] = defaultdict(set)
    for person, name in Membership.objects.filter(person__in=people).values_list("person", "role_name"):
        names[person].add(name)
    return names


def _roles(entries: list[TimeEntry]) -> list[RoleWithoutRate]:
    today = clock.today(zone_of(rule_set_for(None)))
    valid = Q(valid_from__isnull=True) | Q(valid_from__lte=today)
    valid &= Q(valid_to__isnull=True) | Q(valid_to__gt=today)
    priced = Rate.objects.filter(valid, level=RateLevel.ROLE).values("role__key")
    found: dict[str, RoleWithoutRate] = {}
    people: dict[str, set[int]] = defaultdict(set)
    holders: dict[tuple[int, int], str] = {}
    for row in Membership.objects.exclude(role_key__in=priced).order_by("role_name"):
        found.setdefault(row.role_key, RoleWithoutRate(row.role_key, row.role_name, None, 0, Waiting()))
        people[row.role_key].add(row.person_id)
        holders[row.person_id, row.taiga_project_id] = row.role_key
    for role in Role.objects.filter(key__in=found):
        found[role.key].role = role
    for key, role_row in found.items():
        role_row.people = len(people[key])
    for entry in entries:
        held_role = holders.get((entry.person_id or 0, entry.item.taiga_project_id or 0))
        if held_role is not None:
            found[held_role].waiting.add(entry, None)
    return sorted(found.values(), key=_most_hours)


def _clients(entries: list[TimeEntry]) -> list[UnknownClient]:
    found: dict[tuple[str, int], UnknownClient] = {}
    for entry in entries:
        typed = str(entry.facts.get("inputs", {}).get("client", ""))
        is_typed = bool(typed) and (entry.project is None or typed != entry.project.client.ninja_id)
        mapping = None if is_typed else entry.project
        key = (typed, 0) if is_typed else ("", entry.client_id or 0)
        if key not in found:
            found[key] = UnknownClient(typed if is_typed else str(entry.client or ""), is_typed, mapping, Waiting())
        amount = (entry.amount, entry.currency) if entry.amount is not None else None
        found[key].waiting.add(entry, amount)
    return sorted(found.values(), key=_most_hours)


def _most_hours(row: UnmappedProject | PersonWithoutRate | RoleWithoutRate | UnknownClient) -> tuple[object, ...]:
    return -row.waiting.hours, -row.waiting.count, str(getattr(row, "name", ""))
