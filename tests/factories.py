"""Rows of the flow, each complete by itself: `TimeEntryFactory()` is a held entry of a task of a mapped project."""

from __future__ import annotations

from decimal import Decimal

import factory
from django.utils import timezone

from billing_console.states import EntryState, ItemState, RecordState
from mappings.models import Client, Person, ProjectMapping
from sync.models import (
    Difference,
    RecordKind,
    RejectedDelivery,
    RemoteRecord,
    Server,
    TimeEntry,
    UpstreamCall,
    UpstreamPin,
    WebhookDelivery,
    WorkItem,
)


class ClientFactory(factory.django.DjangoModelFactory[Client]):
    """One client for all rows of a test, invoiced in EUR."""

    class Meta:
        model = Client
        django_get_or_create = ("ninja_id",)

    ninja_id = "client_a"
    name = "Acme Corp"
    currency = "EUR"
    is_known = True


class PersonFactory(factory.django.DjangoModelFactory[Person]):
    class Meta:
        model = Person

    taiga_user_id = factory.Sequence(lambda number: number + 1)
    username = factory.LazyAttribute(lambda person: f"user{person.taiga_user_id}")


class ProjectFactory(factory.django.DjangoModelFactory[ProjectMapping]):
    class Meta:
        model = ProjectMapping

    taiga_project_id = factory.Sequence(lambda number: number + 1)
    taiga_project_name = factory.LazyAttribute(lambda project: f"Project {project.taiga_project_id}")
    client = factory.SubFactory(ClientFactory)


class WorkItemFactory(factory.django.DjangoModelFactory[WorkItem]):
    """A task that was seen closed once."""

    class Meta:
        model = WorkItem

    kind = "T"
    taiga_id = factory.Sequence(lambda number: number + 1)
    ref = factory.SelfAttribute("taiga_id")
    subject = factory.LazyAttribute(lambda item: f"Task {item.taiga_id}")
    project = factory.SubFactory(ProjectFactory)
    state = ItemState.CLOSED
    closings = 1


class RemoteTaskFactory(factory.django.DjangoModelFactory[RemoteRecord]):
    """A task in Invoice Ninja that waits for a person's decision."""

    class Meta:
        model = RemoteRecord

    server = Server.NINJA
    kind = RecordKind.TASK
    item = factory.SubFactory(WorkItemFactory)
    our_key = factory.LazyAttribute(lambda record: f"TAIGA-T{record.item.taiga_id}-1")
    remote_id = factory.LazyAttribute(lambda record: f"id{record.item.taiga_id}")
    state = RecordState.ATTENTION
    sentence = "Look there."


class TimeEntryFactory(factory.django.DjangoModelFactory[TimeEntry]):
    """2 hours at 50 EUR on 1 December 2025, held for want of a rate, its task in Invoice Ninja stuck as well."""

    class Meta:
        model = TimeEntry

    item = factory.SubFactory(WorkItemFactory)
    remote_task = factory.SubFactory(RemoteTaskFactory, item=factory.SelfAttribute("..item"))
    project = factory.SelfAttribute("item.project")
    client = factory.SelfAttribute("item.project.client")
    person = factory.SubFactory(PersonFactory)
    state = EntryState.HELD
    reason = "no_rate"
    reason_sentence = "Add a rate."
    raw_hours = billed_hours = Decimal(2)
    rate = Decimal(50)
    amount = Decimal(100)
    currency = "EUR"
    work_date = "2025-12-01"
    state_since = factory.LazyFunction(timezone.now)


class DeliveryFactory(factory.django.DjangoModelFactory[WebhookDelivery]):
    class Meta:
        model = WebhookDelivery

    fingerprint = factory.Sequence(lambda number: f"{number:064}")
    raw_body = b"{}"
    received_at = factory.LazyFunction(timezone.now)
    verdict = "work_item"
    event_type = "task"
    action = "change"
    item_kind = "T"
    item_taiga_id = item_ref = factory.Sequence(lambda number: number + 1)


class RejectedDeliveryFactory(factory.django.DjangoModelFactory[RejectedDelivery]):
    class Meta:
        model = RejectedDelivery

    remote_address = factory.Sequence(lambda number: f"10.0.{number // 250}.{number % 250 + 1}")
    minute = factory.LazyFunction(timezone.now)
    reason = "signature"


class UpstreamCallFactory(factory.django.DjangoModelFactory[UpstreamCall]):
    class Meta:
        model = UpstreamCall

    upstream = "taiga"
    method = "GET"
    path = "/tasks"
    status = 200
    duration_ms = 5
    at = factory.LazyFunction(timezone.now)


class DifferenceFactory(factory.django.DjangoModelFactory[Difference]):
    """One hour more than was billed."""

    class Meta:
        model = Difference

    entry = factory.SubFactory(TimeEntryFactory)
    item = factory.SelfAttribute("entry.item")
    billed_hours = Decimal(2)
    hours_now = Decimal(3)
    amount = Decimal(50)
    currency = "EUR"
    sentence = "+1 h"
    noticed_at = factory.LazyFunction(timezone.now)


class UpstreamPinFactory(factory.django.DjangoModelFactory[UpstreamPin]):
    class Meta:
        model = UpstreamPin
        django_get_or_create = ("server",)

    server = "invoice_ninja"
    base_url = "https://ninja.example"
    identity = "k"
