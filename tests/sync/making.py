"""Rows as a reading leaves them, without a server: for tests of what is made of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from accounts.models import User
from billing_console.states import ItemState
from mappings.models import Client, Company, Membership, NinjaProject, Person, ProjectMapping, Rate, Role, RuleSet
from sync import entries
from sync.models import TimeEntry, WorkItem

CLOSED_AT = datetime(2025, 12, 1, 14, 30, tzinfo=UTC)


@dataclass
class Office:
    """One client (EUR) with one mapped project at 75, alice as senior_dev at 95, carol as junior_dev at 50."""

    client: Client
    mapping: ProjectMapping
    alice: Person
    carol: Person
    rules: RuleSet
    user: User

    def item(self, taiga_id: int = 1, *, who: Person | None = None, closed: bool = True, **raw: Any) -> WorkItem:
        """A task, closed once, with the five attributes raw: billable, hours, rate, client, status."""
        raw = {"billable": True, "hours": Decimal("4.5"), "rate": None, "client": None, "status": None} | raw
        return WorkItem.objects.create(
            kind="T",
            taiga_id=taiga_id,
            taiga_project_id=self.mapping.taiga_project_id,
            project=self.mapping,
            ref=taiga_id + 100,
            subject="Implement payment gateway",
            state=ItemState.CLOSED if closed else ItemState.OPEN,
            assignee=who,
            finished_at=CLOSED_AT if closed else None,
            closed_seen_at=CLOSED_AT if closed else None,
            closings=1 if closed else 0,
            attributes=raw,
            values={},
            is_dirty=False,
        )

    def entry(self, item: WorkItem | None = None, **raw: Any) -> TimeEntry:
        """The entry of a new item (or of `item`), evaluated."""
        item = item or self.item(who=raw.pop("who", self.alice), **raw)
        found = entries.evaluate(item)
        assert found is not None
        return found

    def type(self, item: WorkItem, **raw: Any) -> TimeEntry:
        """Somebody types other values, and they are read."""
        item.attributes = {**item.attributes, **raw}
        item.save()
        found = entries.evaluate(item)
        assert found is not None
        return found

    def reopen(self, item: WorkItem) -> TimeEntry | None:
        """Somebody reopens the item, and that is read."""
        item.state, item.finished_at = ItemState.OPEN, None
        item.save()
        return entries.evaluate(item)

    def close(self, item: WorkItem, at: datetime = CLOSED_AT, **raw: Any) -> TimeEntry:
        """Somebody closes the item (again), with other values perhaps, and that is read."""
        item.state, item.finished_at, item.closed_seen_at = ItemState.CLOSED, at, at
        item.closings += 1
        return self.type(item, **raw)

    def claim(self, entry: TimeEntry, state: str = "invoiced") -> TimeEntry:
        """An invoice takes the entry."""
        TimeEntry.objects.filter(pk=entry.pk).update(state=state)
        return TimeEntry.objects.get(pk=entry.pk)


def make_office() -> Office:
    """The rows of an Office, in December 2025, Europe/Brussels, quarter hour up, minimum 0.25."""
    Company.objects.update_or_create(pk=1, defaults={"currency": "EUR"})
    client = Client.objects.create(ninja_id="client_abc123", name="Acme Corp", currency="EUR", is_known=True)
    project = NinjaProject.objects.create(ninja_id="proj_web001", client=client, name="Website", is_known=True)
    mapping = ProjectMapping.objects.create(
        taiga_project_id=7, taiga_project_name="Website Redesign", client=client, ninja_project=project
    )
    people = []
    for number, (name, role, amount) in enumerate([("alice", "senior_dev", 95), ("carol", "junior_dev", 50)], 1):
        person = Person.objects.create(taiga_user_id=number, username=name, full_name=name.title())
        Membership.objects.create(person=person, taiga_project_id=7, role_name=role, role_key=role)
        Rate.objects.create(level="role", role=Role.objects.create(key=role), amount=Decimal(amount), currency="EUR")
        people.append(person)
    Rate.objects.create(level="project", project=mapping, amount=Decimal(75), currency="EUR")
    rules = RuleSet.objects.create(billing_timezone="Europe/Brussels")
    user = User.objects.create(username="clerk")
    return Office(client, mapping, *people, rules, user)
