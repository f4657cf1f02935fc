"""Scenes of the work: entries, remote writes, deliveries, servers, schedules, and the pages about them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from billing_console.states import EntryState, Reason
from mappings.models import Company, ProjectMapping, TaigaProject
from sync import attention, gate
from sync.models import RemoteRecord, TimeEntry, UpstreamGate, UpstreamPin, WebhookDelivery, WorkItem
from sync.provisioning import target_of
from tests.acts.scene import Scene, url
from tests.factories import DeliveryFactory, UpstreamPinFactory
from tests.invoicing.world import change_hours, make_client, make_project, make_user, make_work

BECAUSE = {"reason": "because", "_form_submitted": "1"}
CLICK = {"_form_submitted": "1"}


def entry_scene(entry: TimeEntry, act: str, typed: dict[str, Any] = BECAUSE, hours: str = "300") -> Scene:
    """A dialog of an entry; meanwhile somebody types other hours in Taiga."""
    old = f"Hours as typed was “{entry.raw_hours:.2f} h”"
    return Scene(
        url(f"sync_timeentry_{act}", entry.pk), lambda: change_hours(entry, hours), old, f"is “{hours}.00 h” now", typed
    )


def ready(hours: str = "30") -> TimeEntry:
    Company.objects.update_or_create(pk=1, defaults={"max_item_hours": 1000})
    return make_work(make_project(make_client()), hours)


def held() -> TimeEntry:
    entry = ready()
    attention.hold_entry(entry, user=make_user(), note="ask them")
    return TimeEntry.objects.get(pk=entry.pk)


def implausible() -> TimeEntry:
    """30 hours on one item: the console asks whether that is right. At 95.00, 2,850.00."""
    return make_work(make_project(make_client()), "30")


def of_a_story() -> TimeEntry:
    """A story and its task are both billable."""
    entry = ready("2")
    WorkItem.objects.filter(pk=entry.item_id).update(kind="U")
    facts = {"state": EntryState.HELD, "reason": Reason.STORY_AND_TASK, "reason_sentence": "Its task is billable too."}
    TimeEntry.objects.filter(pk=entry.pk).update(**facts)
    return TimeEntry.objects.get(pk=entry.pk)


def story_scene(act: str) -> Scene:
    entry = of_a_story()
    rows = TimeEntry.objects.filter(pk=entry.pk)
    return Scene(
        url(f"sync_timeentry_{act}", entry.pk),
        lambda: rows.update(amount=1900, billed_hours=20),
        "Before tax was “190.00 EUR”",
        "is “1,900.00 EUR” now",
        BECAUSE,
    )


def excluded() -> TimeEntry:
    entry = ready()
    attention.exclude_entry(entry, user=make_user(), note="elsewhere")
    return TimeEntry.objects.get(pk=entry.pk)


def take_back() -> Scene:
    entry = excluded()
    rows = TimeEntry.objects.filter(pk=entry.pk)
    address = url("sync_timeentry_include", entry.pk)
    return Scene(
        address, lambda: rows.update(state="written_off"), "State was “Excluded”", "is “Written off” now", BECAUSE
    )


def of_list(model: str, action: str, rows: list[Any], meanwhile: Callable[[], Any], old: str, new: str) -> Scene:
    typed = {"action": action, "_selected_action": [row.pk for row in rows]}
    return Scene(url(f"{model}_changelist"), meanwhile, old, new, typed)


def entries_again() -> Scene:
    entry = held()
    WorkItem.objects.update(is_dirty=False)
    return of_list(
        "sync_timeentry", "try_again", [entry], lambda: change_hours(entry, "300"), "“30.00 h”", "is “300.00 h” now"
    )


def stuck() -> RemoteRecord:
    entry = ready()
    rows = RemoteRecord.objects.filter(entry=entry)
    rows.update(state="attention", sentence="It was changed there.")
    return rows.get()


def record_scene(act: str, typed: dict[str, Any]) -> Scene:
    row = stuck()
    rows = RemoteRecord.objects.filter(pk=row.pk)
    return Scene(
        url(f"sync_remoterecord_{act}", row.pk),
        lambda: rows.update(sentence="It is gone there."),
        "What happened was “It was changed there.”",
        "is “It is gone there.” now",
        typed,
    )


def records_again() -> Scene:
    row = stuck()
    rows = RemoteRecord.objects.filter(pk=row.pk)
    return of_list(
        "sync_remoterecord", "try_again", [row], lambda: rows.update(sentence="Gone."), "“It was changed", "“Gone.” now"
    )


def delivery_scene(act: str, *, is_list: bool = False) -> Scene:
    row = DeliveryFactory(state="failed", error="No project.")
    rows = WebhookDelivery.objects.filter(pk=row.pk)

    def meanwhile() -> None:
        rows.update(state="processed", error="")

    old, new = "State was “Failed”", "is “Processed” now"
    if is_list:
        return of_list("sync_webhookdelivery", act, [row], meanwhile, old, new)
    return Scene(url(f"sync_webhookdelivery_{act}", row.pk), meanwhile, old, new, CLICK)


def ask_now_scene() -> Scene:
    UpstreamGate.objects.filter(server="taiga").update(resume_at=timezone.now() + timedelta(minutes=5))
    row = UpstreamGate.objects.get(server="taiga")
    address = url("sync_upstreamgate_ask_now", row.pk)
    return Scene(address, lambda: gate.ask_now("taiga"), "was “yes”", "is “no” now", CLICK)


def gate_scene(act: str) -> Scene:
    user = make_user()
    gate.pause("taiga", "moving", user=user)
    if act == "pause_writing":
        gate.resume("taiga", user=user)
    row = UpstreamGate.objects.get(server="taiga")
    address = url(f"sync_upstreamgate_{act}", row.pk)
    if act == "pause_writing":
        return Scene(address, lambda: gate.pause("taiga", "moving", user=user), "was “no”", "is “yes” now", BECAUSE)
    return Scene(address, lambda: gate.resume("taiga", user=user), "was “yes”", "is “no” now", CLICK)


def new_server() -> Scene:
    row = UpstreamPinFactory(is_paused=True, seen_base_url="https://new.example", seen_identity="other")
    rows = UpstreamPin.objects.filter(pk=row.pk)
    return Scene(
        url("sync_upstreampin_confirm_server", row.pk),
        lambda: rows.update(seen_base_url="https://third.example", seen_identity="third"),
        "Identity seen was “other”",
        "is “third” now",
        BECAUSE,
    )


def brake() -> Scene:
    entry = ready()
    facts = {"state": EntryState.HELD, "reason": Reason.BRAKE_RATE, "reason_sentence": "95.00 is unusual."}
    rows = TimeEntry.objects.filter(pk=entry.pk)
    rows.update(facts={**entry.facts, "asked": "rate:95"}, **facts)
    address = f"{url('sync_confirm_brake')}?brake=brake_rate"
    return Scene(
        address,
        lambda: rows.update(amount=28500, raw_hours=300, billed_hours=300),
        "Before tax was “2,850.00 EUR”",
        "is “28,500.00 EUR” now",
        BECAUSE,
    )


def group_again() -> Scene:
    entry = held()
    WorkItem.objects.update(is_dirty=False)
    rows = TimeEntry.objects.filter(pk=entry.pk)
    return Scene(
        url("sync_attention"),
        lambda: rows.update(amount=28500),
        "Before tax was “2,850.00 EUR”",
        "is “28,500.00 EUR” now",
        {"reason": "by_person"},
    )


def writes_again() -> Scene:
    row = stuck()
    rows = RemoteRecord.objects.filter(pk=row.pk)
    return Scene(
        url("sync_attention"),
        lambda: rows.update(sentence="Gone there."),
        "“It was changed there.”",
        "is “Gone there.” now",
        {"writes": "stuck"},
    )


def connect() -> Scene:
    client = make_client()
    TaigaProject.objects.create(taiga_id=9, name="Acme site", slug="acme-site", is_known=True, is_admin=True)
    other = make_client("Globex")

    def meanwhile() -> None:
        ProjectMapping.objects.create(taiga_project_id=9, taiga_project_name="Acme site", client=other)

    mapping = ProjectMapping(taiga_project_id=9, client=client)
    typed = {"target": target_of(mapping).code}
    return Scene(url("sync_provision_connect", 9), meanwhile, "Who pays now was “nobody”", "is “Globex” now", typed)


def connected() -> Scene:
    mapping = make_project(make_client())
    number = mapping.taiga_project_id
    desired = {"thing": "attribute", "kind": "T", "field": "billable", "name": "Billable", "number": number}
    row = RemoteRecord.objects.create(
        server="taiga", kind="provision", our_key=f"P{number}/T/billable", state="attention", sentence="It is a text.",
        desired=desired,
    )  # fmt: skip
    rows = RemoteRecord.objects.filter(pk=row.pk)
    return Scene(
        url("sync_provision_progress", number),
        lambda: rows.update(sentence="It is a date."),
        "It is a text.”",
        "It is a date.” now",
    )


def schedules(act: str) -> Scene:
    every = IntervalSchedule.objects.create(every=1, period="hours")
    task = PeriodicTask.objects.create(
        name="Look", task="sync.tasks.sweep", interval=every, enabled=act != "enable_tasks"
    )
    rows = PeriodicTask.objects.filter(pk=task.pk)
    return of_list(
        "django_celery_beat_periodictask", act, [task], lambda: rows.update(name="Look twice"), "“Look”", "“Look twice”"
    )


SCENES: dict[str, Callable[[], Scene]] = {
    "sync.timeentry:hold": lambda: entry_scene(ready(), "hold"),
    "sync.timeentry:release": lambda: entry_scene(held(), "release"),
    "sync.timeentry:confirm": lambda: entry_scene(implausible(), "confirm"),
    "sync.timeentry:bill_both": lambda: story_scene("bill_both"),
    "sync.timeentry:leave_to_tasks": lambda: story_scene("leave_to_tasks"),
    "sync.timeentry:exclude_for_good": lambda: entry_scene(ready(), "exclude_for_good"),
    "sync.timeentry:include": take_back,
    "sync.timeentry:write_off": lambda: entry_scene(ready(), "write_off"),
    "sync.timeentry:try_entry_again": lambda: entry_scene(held(), "try_entry_again", CLICK),
    "sync.timeentry:try_again": entries_again,
    "sync.remoterecord:try_record_again": lambda: record_scene("try_record_again", CLICK),
    "sync.remoterecord:adopt": lambda: record_scene("adopt", BECAUSE),
    "sync.remoterecord:try_again": records_again,
    "sync.webhookdelivery:process_again": lambda: delivery_scene("process_again"),
    "sync.webhookdelivery:process_selected_again": lambda: delivery_scene("process_selected_again", is_list=True),
    "sync.upstreamgate:ask_now": ask_now_scene,
    "sync.upstreamgate:pause_writing": lambda: gate_scene("pause_writing"),
    "sync.upstreamgate:resume_writing": lambda: gate_scene("resume_writing"),
    "sync.upstreampin:confirm_server": new_server,
    "sync_confirm_brake": brake,
    "sync_attention": group_again,
    "sync_attention:writes": writes_again,
    "sync_provision_connect": connect,
    "sync_provision_progress": connected,
    "django_celery_beat.periodictask:enable_tasks": lambda: schedules("enable_tasks"),
    "django_celery_beat.periodictask:disable_tasks": lambda: schedules("disable_tasks"),
    "django_celery_beat.periodictask:toggle_tasks": lambda: schedules("toggle_tasks"),
    "django_celery_beat.periodictask:run_tasks": lambda: schedules("run_tasks"),
}
