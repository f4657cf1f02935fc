"""Whatever is lost, doubled, reordered or told wrongly: the end depends only on what Taiga holds."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from itertools import permutations
from typing import Any

from billing_console.states import Reason
from invoicing import readings, verdict
from sandbox.scenario import MOBILE, WEBSITE
from sync.models import FoundBy, RemoteRecord, TaigaAttributes, TimeEntry, UpstreamCall, WebhookDelivery, WorkItem
from sync.tasks import process_deliveries, read_items, sweep_projects
from tests.flow.post_box import PostBox
from tests.flow.steps import DECEMBER, Flow, december, fresh, hours_of, item_of


def close_at_once(office: Flow, subject: str, hours: float) -> int:
    """A task made in a closed column and filled in: two deliveries. Returns its Taiga id."""
    taiga = office.taiga("bob")
    listed = {kind: office._listed(kind, WEBSITE.taiga_id) for kind in ("task-statuses", "userstories", "users")}
    body = {
        "project": WEBSITE.taiga_id,
        "subject": subject,
        "status": next(row["id"] for row in listed["task-statuses"] if row["name"] == "Closed"),
        "user_story": listed["userstories"][0]["id"],
        "assigned_to": next(row["id"] for row in listed["users"] if row["username"] == "bob"),
    }
    task = int(taiga.do("POST", "/tasks", body)["id"])
    office._projects[task] = WEBSITE.taiga_id
    ids = office.attribute_ids(task)
    values = {str(ids["Billable"]): True, str(ids["Duration (Hours)"]): hours}
    taiga.do("PATCH", f"/tasks/custom-attributes-values/{task}", {"attributes_values": values, "version": 1})
    return task


def test_a_hundred_closings_with_lost_doubled_and_reordered_deliveries_are_a_hundred_entries(
    office: Flow, post_box: PostBox
) -> None:
    order = random.Random(3)  # noqa: S311 -- the same order every time
    hours = [1 + n % 20 / 4 for n in range(100)]
    tasks = [close_at_once(office, f"Task {n}", hours[n]) for n in range(100)]
    lost, doubled, reordered = tasks[:30], tasks[30:50], tasks[50:60]
    posts = {task: post_box.of(task) for task in tasks}
    for task in tasks[30:]:
        post_box.hand_in(*(reversed(posts[task]) if task in reordered else posts[task]))
    process_deliveries()
    read_items()
    again = [post for task in doubled for post in posts[task]]
    order.shuffle(again)
    post_box.hand_in(*again)
    process_deliveries()
    read_items()
    assert TimeEntry.objects.count() == 70
    assert sum(WebhookDelivery.objects.values_list("duplicates", flat=True)) == len(again) == 40

    sweep_projects()
    read_items()

    entries = list(TimeEntry.objects.select_related("item").order_by("item__taiga_id"))
    assert [entry.item.taiga_id for entry in entries] == tasks
    assert [float(entry.raw_hours or 0) for entry in entries] == hours
    assert {(entry.cycle, entry.state) for entry in entries} == {(1, "ready")}
    wanted = sorted(f"TAIGA-T{task}-1" for task in tasks)
    assert sorted(RemoteRecord.objects.values_list("our_key", flat=True)) == wanted
    found = WorkItem.objects.filter(found_by=FoundBy.SWEEP, kind="T").values_list("taiga_id", flat=True)
    assert sorted(found) == lost


def test_every_order_of_a_tasks_deliveries_ends_alike(office: Flow, post_box: PostBox) -> None:
    """Opened, filled in, closed, hours corrected: worked off after each delivery, in every order, one of them twice."""
    orders = list(permutations(range(4)))[::4]
    ends = set()
    for number, order in enumerate(orders):
        task = office.close(2, subject=f"Order {number}", at=december(2), who="bob")
        office.type(task, hours=3)
        posts = post_box.of(task)
        assert [json.loads(body)["action"] for body, _headers in posts] == ["create", "change", "change", "change"]
        for place in (*order, order[0]):
            post_box.hand_in(posts[place])
            process_deliveries()
            if place == order[1]:
                read_items()
        read_items()
        entry = office.entry(task)
        ends.add((entry.cycle, entry.state, entry.raw_hours, entry.amount, entry.item.closings))

    assert ends == {(1, "ready", Decimal(3), Decimal(225), 1)}
    assert TimeEntry.objects.count() == len(orders) == 6


def test_a_deleted_project_tells_nothing_but_the_sweep_holds_its_hours(office: Flow) -> None:
    """`data` is null, and nothing says which project it was where several share a hook: the sweep finds out."""
    entry = office.closed(2)

    office.taiga().call("DELETE", f"/projects/{WEBSITE.taiga_id}")
    office.work()
    delivery = WebhookDelivery.objects.get(event_type="project")
    body = json.loads(bytes(delivery.raw_body))
    assert (body["action"], body["data"], delivery.state) == ("delete", None, "processed")
    office.sweep()

    entry = fresh(entry)
    assert (entry.state, entry.reason, entry.amount) == ("held", Reason.GONE, 190)
    assert (entry.item.state, len(office.tasks())) == ("gone", 1)
    mark = UpstreamCall.objects.filter(path__contains="/tasks").count()
    office.sweep()
    assert UpstreamCall.objects.filter(path__contains="/tasks").count() == mark  # asked once, not at every sweep


def move(office: Flow, task: int, *, stays_closed: bool = True) -> dict[str, Any]:
    """Somebody moves the task to the other project: its id stays, its ref and its status are of the new one.

    Who names a status of the old project keeps it; who names one of the new project gets its first one.
    """
    mobile = office.taiga().get(f"/userstories?project={MOBILE.taiga_id}")[0]["id"]
    before = office.taiga().get(f"/tasks/{task}")
    statuses = {row["name"]: row["id"] for row in office.taiga().get(f"/task-statuses?project={MOBILE.taiga_id}")}
    status = before["status"] if stays_closed else statuses["Closed"]
    body = {"version": before["version"], "project": MOBILE.taiga_id, "user_story": mobile, "status": status}
    office.taiga().do("PATCH", f"/tasks/{task}", body)
    after = dict(office.taiga().get(f"/tasks/{task}"))
    assert (after["id"], after["project"]) == (task, MOBILE.taiga_id)
    office._projects[task] = MOBILE.taiga_id
    office.work()
    return after


def test_moved_to_another_project_a_closed_task_arrives_open_and_its_month_balances(office: Flow) -> None:
    entry = office.closed(3.1)
    office.closed(1, at=december(2))

    moved = move(office, entry.item.taiga_id, stays_closed=False)

    entry = fresh(entry)
    assert (moved["is_closed"], moved["status_extra_info"]["name"]) == (False, "New")
    assert (entry.state, entry.reason, entry.raw_hours) == ("held", Reason.REOPENED, Decimal("3.1"))
    readings.read_now()
    found = verdict.prove(DECEMBER).identities
    assert [(one.residue, one.leftovers) for one in found] == [((), ())] * 8
    (open_now,) = [term for term in found[1].right if term.name == "changed while the item is open"]
    assert (open_now.count, open_now.hours) == (1, Decimal("-3.1"))
    assert [row.sentence.replace("\u00a0", " ") for row in open_now.rows] == [
        f"#{moved['ref']} Fix header: 0.00 h typed in Taiga, its cycles carry −3.10 h otherwise"
    ]


def test_moved_to_another_project_its_values_stay_behind_and_are_asked_for(office: Flow) -> None:
    entry = office.closed(2)
    task = entry.item.taiga_id

    moved = move(office, task)

    entry = fresh(entry)
    assert (item_of(task).ref, item_of(task).taiga_project_id) == (moved["ref"], MOBILE.taiga_id)
    assert (entry.state, entry.reason) == ("held", Reason.UNREADABLE_BILLABLE)
    assert entry.reason_sentence.startswith(f"#{moved['ref']} was moved here from another project of Taiga")
    assert len(office.tasks()) == 1

    now = office.values_object(task)
    ids = office.attribute_ids(task)
    values = {str(ids["Billable"]): True, str(ids["Duration (Hours)"]): 1}
    office.taiga().do(
        "PATCH",
        f"/tasks/custom-attributes-values/{task}",
        {"attributes_values": values, "version": now["version"]},
    )
    office.work()

    (there,) = office.tasks()
    entry = fresh(entry)
    assert (entry.state, entry.cycle, entry.client.ninja_id) == ("ready", 1, MOBILE.client_id)
    assert (there["client_id"], there["number"], hours_of(there)) == (MOBILE.client_id, f"TAIGA-T{task}-1", 1)


def test_a_renamed_attribute_is_found_once_it_is_renamed_back(office: Flow) -> None:
    entry = office.closed(2)
    task = entry.item.taiga_id
    hours = office.attribute_ids(task)["Duration (Hours)"]
    office.taiga().do("PATCH", f"/task-custom-attributes/{hours}", {"name": "Effort"})
    office.type(task, rate=110)
    forget_names()
    office.work()
    entry = fresh(entry)
    assert (entry.state, entry.reason, entry.facts["is_blank"]) == ("held", Reason.UNREADABLE_HOURS, True)
    assert len(office.tasks()) == 1

    office.taiga().do("PATCH", f"/task-custom-attributes/{hours}", {"name": "Duration (hours)"})
    forget_names()
    office.type(task, rate=100)
    office.work()

    entry = fresh(entry)
    assert (entry.state, entry.raw_hours, entry.amount) == ("ready", 2, 200)


def forget_names() -> None:
    """Ten minutes pass: the attributes are read again."""
    TaigaAttributes.objects.update(read_at="2020-01-01T00:00:00Z")
