"""Deliveries that come twice, late, in another order or not at all, and workers that work at the same time."""

from __future__ import annotations

import json
from threading import Barrier, Thread

import pytest
from django.db import connections
from django_celery_beat.models import PeriodicTask

from invoicing.tasks import build_runs, poll_payments
from sandbox.scenario import PROJECTS, WEBSITE
from sync import schedule
from sync.models import FoundBy, TimeEntry, Transition, UpstreamCall, Verdict, WebhookDelivery, WorkItem
from sync.tasks import sweep_projects
from tests.flow.post_box import PostBox
from tests.flow.steps import DRAINS, Flow, calls_since, december, fresh, record_of

HAPPY_PATH = ["GET", "GET", "POST", "GET", "GET", "PATCH"]


def test_eight_closings_with_lost_doubled_and_reordered_deliveries_are_eight_tasks(
    office: Flow, post_box: PostBox
) -> None:
    tasks = [office.close(1 + n / 4, subject=f"Task {n}", at=december(1 + n), who="bob") for n in range(8)]
    lost, doubled, reordered = tasks[:2], tasks[2:4], tasks[4:6]
    for task in tasks[2:]:
        posts = post_box.of(task)
        assert [json.loads(body)["action"] for body, _headers in posts] == ["create", "change", "change"]
        post_box.deliver(*(reversed(posts) if task in reordered else posts))
    for task in doubled:
        post_box.deliver(*post_box.of(task))

    office.work()
    assert TimeEntry.objects.count() == len(office.tasks()) == 6
    assert sum(WebhookDelivery.objects.values_list("duplicates", flat=True)) == 6
    office.sweep()

    assert sorted(row["number"] for row in office.tasks()) == sorted(f"TAIGA-T{task}-1" for task in tasks)
    entries = TimeEntry.objects.order_by("item__taiga_id")
    assert [entry.item.taiga_id for entry in entries] == tasks
    assert [float(entry.raw_hours) for entry in entries] == [1 + n / 4 for n in range(8)]
    assert {entry.state for entry in entries} == {"ready"}
    assert {office.values(task)["status"] for task in tasks} == {"Invoiced"}
    found = WorkItem.objects.filter(found_by=FoundBy.SWEEP).values_list("taiga_id", flat=True)
    assert sorted(found) == lost
    (draft,) = office.bill()
    assert (draft.lines.count(), draft.raw_hours) == (8, sum(1 + n / 4 for n in range(8)))


def test_old_news_after_new_ones_change_nothing(office: Flow, post_box: PostBox) -> None:
    task = office.close(2)
    office.type(task, hours=3)
    first_three, last = post_box.of(task)[:3], post_box.of(task)[3]
    post_box.deliver(last)
    office.work()
    assert office.entry(task).raw_hours == 3

    post_box.deliver(*reversed(first_three))
    office.work()

    entry = office.entry(task)
    assert (entry.raw_hours, entry.cycle, record_of(entry).synced_revision) == (3, 1, 1)


def test_resent_from_taigas_log_with_another_key_order_is_counted_and_costs_no_call(office: Flow) -> None:
    office.closed(2)
    deliveries, mark = WebhookDelivery.objects.count(), UpstreamCall.objects.count()
    hook = office.taiga().get(f"/webhooks?project={WEBSITE.taiga_id}")[0]["id"]
    logs = office.taiga().get(f"/webhooklogs?webhook={hook}")

    for log in logs:
        assert office.taiga().do("POST", f"/webhooklogs/{log['id']}/resend")["status"] == 202
    office.work()

    assert WebhookDelivery.objects.count() == deliveries == len(logs)
    assert {delivery.duplicates for delivery in WebhookDelivery.objects.all()} == {1}
    assert calls_since(mark) == []


def test_an_edited_comment_that_repeats_an_old_closing_bills_nothing(office: Flow) -> None:
    entry = office.closed(2)
    task = entry.item.taiga_id
    office.move(task, "In progress")
    office.change(task, comment="done, I think", who="alice", status=closed_status(office))
    office.move(task, "In progress")
    office.work()
    assert (fresh(entry).state, fresh(entry).reason) == ("held", "reopened")
    history = office.taiga().get(f"/history/task/{task}?type=comment")[0]

    office.taiga("alice").do("POST", f"/history/task/{task}/edit_comment?id={history['id']}", {"comment": "not yet"})
    office.work()

    last = WebhookDelivery.objects.latest("id")
    body = json.loads(bytes(last.raw_body))
    assert body["change"]["diff"]["status"]["to"] == "Closed"
    assert (last.state, last.verdict) == ("processed", Verdict.WORK_ITEM)
    assert (fresh(entry).state, fresh(entry).reason, TimeEntry.objects.count()) == ("held", "reopened", 1)


def closed_status(office: Flow) -> int:
    rows = office.taiga().get(f"/task-statuses?project={WEBSITE.taiga_id}")
    return next(row["id"] for row in rows if row["name"] == "Closed")


def test_our_own_echo_is_recognised_and_costs_no_call(office: Flow) -> None:
    office.closed(1, subject="Warm-up")
    mark = UpstreamCall.objects.count()

    office.closed(2)
    office.work()

    assert [call.split()[0] for call in calls_since(mark)] == HAPPY_PATH
    assert WebhookDelivery.objects.filter(verdict=Verdict.ECHO, state="ignored").count() == 2


def test_a_persons_write_of_the_same_word_is_no_echo(office: Flow) -> None:
    entry = office.closed(2)
    office.type(entry.item.taiga_id, status="Pending Invoice")
    office.work()

    assert office.values(entry.item.taiga_id)["status"] == "Invoiced"  # once more, because a stale page undid it
    assert fresh(entry).state == "ready"


def test_a_sweep_after_webhooks_reads_nothing_again(office: Flow) -> None:
    office.closed(2)
    mark = UpstreamCall.objects.count()

    office.sweep()

    assert all("/timeline/" in call for call in calls_since(mark)), calls_since(mark)


def test_beat_rings_all_that_these_tests_call(db: None) -> None:
    schedule.set_up()
    rung = set(PeriodicTask.objects.values_list("task", flat=True))
    called = {each.name for each in (*DRAINS, sweep_projects, build_runs, poll_payments)}
    assert rung == called | {
        "sync.tasks.beat",
        "sync.tasks.keep_house",
        "sync.tasks.probe_upstreams",
        "sync.tasks.watch",
        "sync.tasks.look_around",
        "sync.tasks.import_files",
        "sync.tasks.provision_projects",
        "invoicing.tasks.ask_for_a_reading",
        "invoicing.tasks.check_invoices",
        "invoicing.tasks.fetch_pdfs",
        "invoicing.tasks.keep_books",
        "invoicing.tasks.mark_invoices",
        "invoicing.tasks.read_both_servers",
        "invoicing.tasks.send_reminders",
    }


@pytest.mark.slow
def test_two_workers_at_once_make_no_double(office: Flow) -> None:
    tasks = [
        office.close(1, subject=f"{project.name} {n}", project=project, who="bob", at=december(2 + n))
        for n in range(4)
        for project in PROJECTS
    ]
    start, errors = Barrier(2), []

    def worker() -> None:
        try:
            start.wait()
            for _round in range(8):
                for drain in DRAINS:
                    drain()
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [Thread(target=worker) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    office.work()

    assert sorted(row["number"] for row in office.tasks()) == sorted(f"TAIGA-T{task}-1" for task in tasks)
    assert {entry.state for entry in TimeEntry.objects.all()} == {"ready"}
    assert UpstreamCall.objects.filter(method="POST", path__contains="/tasks").count() == 12
    assert {office.values(task)["status"] for task in tasks} == {"Invoiced"}
    assert UpstreamCall.objects.filter(method="PATCH").count() == 12
    twice = Transition.objects.filter(model="sync.remoterecord", to_state="in_doubt")
    assert list(twice) == []
