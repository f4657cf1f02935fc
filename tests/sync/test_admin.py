from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.urls import reverse
from django.utils import timezone

from billing_console.states import EntryState, RecordState
from mappings.models import Person, ProjectMapping
from sync.models import (
    Difference,
    RejectedDelivery,
    RemoteRecord,
    TimeEntry,
    UpstreamCall,
    UpstreamPin,
    WebhookDelivery,
    WorkItem,
)
from tests.factories import (
    DeliveryFactory,
    DifferenceFactory,
    RejectedDeliveryFactory,
    TimeEntryFactory,
    UpstreamCallFactory,
    UpstreamPinFactory,
)
from tests.people import GROUPS, browser_of, post

pytestmark = pytest.mark.django_db

FROM_CLERK = [("viewer", False), ("clerk", True), ("approver", True), ("administrator", True)]
FROM_APPROVER = [("viewer", False), ("clerk", False), ("approver", True), ("administrator", True)]

LISTS = (
    "timeentry",
    "webhookdelivery",
    "rejecteddelivery",
    "upstreamcall",
    "remoterecord",
    "difference",
    "upstreampin",
)


def make_rows(count: int) -> list[TimeEntry]:
    """`count` held entries, each with everything that stands around it."""
    entries = TimeEntryFactory.create_batch(count)
    for entry in entries:
        DifferenceFactory(entry=entry)
        DeliveryFactory(item_taiga_id=entry.item.taiga_id, item_ref=entry.item.ref)
        UpstreamCallFactory(item=entry.item)
        RejectedDeliveryFactory()
    UpstreamPinFactory()
    return entries


def queries_of(browser: Any, url: str, capture: Any) -> int:
    with capture() as queries:
        assert browser.get(url).status_code == 200
    return len(queries)


@pytest.mark.parametrize("model", LISTS)
def test_a_list_costs_the_same_queries_for_1_and_30_rows(model: str, django_assert_max_num_queries: Any) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    browser, url = browser_of("viewer"), reverse(f"admin:sync_{model}_changelist")
    make_rows(1)
    browser.get(url)
    one = queries_of(browser, url, lambda: CaptureQueriesContext(connection))
    Difference.objects.all().delete()
    TimeEntry.objects.all().delete()
    for rows in (WebhookDelivery, UpstreamCall, RejectedDelivery, RemoteRecord, WorkItem, ProjectMapping, Person):
        rows.objects.all().delete()
    make_rows(30)

    assert queries_of(browser, url, lambda: CaptureQueriesContext(connection)) == one


def test_the_page_of_attention_costs_the_same_queries_for_1_and_30_rows() -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    browser, url = browser_of("viewer"), reverse("admin:sync_attention")
    unreadable = {"is_dirty": True, "dirty_at": timezone.now(), "read_attempts": 3, "error": "It is no JSON."}
    make_rows(1)
    WorkItem.objects.update(**unreadable)
    browser.get(url)
    one = queries_of(browser, url, lambda: CaptureQueriesContext(connection))
    for rows in (Difference, TimeEntry, WebhookDelivery, UpstreamCall, RejectedDelivery, RemoteRecord, WorkItem):
        rows.objects.all().delete()
    ProjectMapping.objects.all().delete()
    Person.objects.all().delete()
    make_rows(30)
    WorkItem.objects.update(**unreadable)

    assert queries_of(browser, url, lambda: CaptureQueriesContext(connection)) == one


@pytest.mark.parametrize(
    ("who", "status"),
    [*((name, 200) for name in GROUPS), ("stranger", 403), ("", 302)],
)
@pytest.mark.parametrize("model", [*LISTS, "attention"])
def test_who_may_look(model: str, who: str, status: int) -> None:
    name = "admin:sync_attention" if model == "attention" else f"admin:sync_{model}_changelist"

    assert browser_of(who).get(reverse(name)).status_code == status


@pytest.mark.parametrize("model", ["timeentry", "webhookdelivery", "remoterecord", "difference", "upstreamcall"])
def test_a_row_opens(model: str) -> None:
    make_rows(1)
    row = {
        "timeentry": TimeEntry,
        "webhookdelivery": WebhookDelivery,
        "remoterecord": RemoteRecord,
        "difference": Difference,
        "upstreamcall": UpstreamCall,
    }[model].objects.get()

    page = browser_of("viewer").get(reverse(f"admin:sync_{model}_change", args=[row.pk]), follow=True)

    assert page.status_code == 200


def test_an_entrys_page_shows_the_six_steps_in_the_guides_order() -> None:
    (entry,) = make_rows(1)

    text = browser_of("viewer").get(reverse("admin:sync_timeentry_change", args=[entry.pk])).content.decode()

    steps = [
        "1. Task completed in Taiga",
        "2. Webhook fires to the console",
        "3. Billable status checked",
        "4. Time data read from the attributes",
        "5. Create time entry in Invoice Ninja",
        "6. Update task status in Taiga",
    ]
    assert [step for step in steps if step in text] == steps
    assert sorted(text.index(step) for step in steps) == [text.index(step) for step in steps]


# --- acts -----------------------------------------------------------------------------------------------------------

ENTRY_ACTS = {
    "hold": (EntryState.HELD, "by_person"),
    "exclude_for_good": (EntryState.EXCLUDED, ""),
    "write_off": (EntryState.WRITTEN_OFF, ""),
}


def posted(reason: str) -> dict[str, str]:
    """What the kit's dialog posts."""
    return {"reason": reason, "_form_submitted": "1"}


def act_url(model: str, act: str, row: Any) -> str:
    return reverse(f"admin:sync_{model}_{act}", args=[row.pk])


@pytest.mark.parametrize("act", [*ENTRY_ACTS, "release", "confirm", "include", "try_entry_again"])
def test_getting_an_acts_address_asks_and_changes_nothing(act: str) -> None:
    (entry,) = make_rows(1)
    before = TimeEntry.objects.values().get()

    answer = browser_of("clerk").get(act_url("timeentry", act, entry), headers={"HX-Request": "true"})

    assert answer.status_code == 200
    assert TimeEntry.objects.values().get() == before


@pytest.mark.parametrize("act", ENTRY_ACTS)
@pytest.mark.parametrize(
    ("who", "may"),
    [*FROM_CLERK, ("stranger", False)],
)
def test_who_may_act_on_an_entry(act: str, who: str, may: bool) -> None:
    (entry,) = make_rows(1)

    answer = post(browser_of(who), act_url("timeentry", act, entry), posted("because"))

    entry.refresh_from_db()
    if may:
        assert answer.status_code == 302
        assert (entry.state, entry.reason if entry.state == "held" else "") == ENTRY_ACTS[act]
    else:
        assert answer.status_code == 403
        assert (entry.state, entry.reason) == (EntryState.HELD, "no_rate")


@pytest.mark.parametrize("act", ["exclude_for_good", "write_off", "hold"])
def test_a_second_click_changes_nothing_and_says_so(act: str) -> None:
    (entry,) = make_rows(1)
    browser = browser_of("clerk")
    post(browser, act_url("timeentry", act, entry), posted("because"))
    before = TimeEntry.objects.values().get()

    answer = post(browser, act_url("timeentry", act, entry), posted("again"))

    assert TimeEntry.objects.values().get() == before
    assert [message.level_tag for message in get_messages(answer.wsgi_request)][-1] == "error"


def test_an_act_without_a_reason_does_nothing() -> None:
    (entry,) = make_rows(1)

    post(browser_of("clerk"), act_url("timeentry", "exclude_for_good", entry), posted(" "))

    entry.refresh_from_db()
    assert entry.state == EntryState.HELD


@pytest.mark.parametrize(("who", "may"), FROM_CLERK)
def test_who_may_take_over_what_the_server_holds(who: str, may: bool) -> None:
    make_rows(1)
    record = RemoteRecord.objects.get()

    answer = post(browser_of(who), act_url("remoterecord", "adopt", record), posted("looked there"))

    record.refresh_from_db()
    assert answer.status_code == (302 if may else 403)
    assert record.state == (RecordState.SYNCED if may else RecordState.ATTENTION)


@pytest.mark.parametrize(("who", "may"), [("clerk", False), ("approver", False), ("administrator", True)])
def test_only_an_administrator_confirms_another_server(who: str, may: bool) -> None:
    pin = UpstreamPin.objects.create(
        server="invoice_ninja",
        base_url="https://old.example",
        identity="old",
        seen_base_url="https://new.example",
        seen_identity="new",
        is_paused=True,
        pause_reason="Another server answers.",
    )

    answer = post(browser_of(who), act_url("upstreampin", "confirm_server", pin), posted("moved"))

    pin.refresh_from_db()
    assert answer.status_code == (302 if may else 403)
    assert (pin.is_paused, pin.identity) == ((False, "new") if may else (True, "old"))


@pytest.mark.parametrize(("who", "status"), [(name, 302 if may else 403) for name, may in FROM_CLERK])
def test_who_may_try_a_group_again(who: str, status: int) -> None:
    make_rows(2)

    assert post(browser_of(who), reverse("admin:sync_attention"), {"reason": "no_rate"}).status_code == status


def test_trying_a_group_again_makes_its_items_dirty() -> None:
    make_rows(2)
    WorkItem.objects.update(is_dirty=False)

    post(browser_of("clerk"), reverse("admin:sync_attention"), {"reason": "no_rate"})

    assert list(WorkItem.objects.values_list("is_dirty", flat=True)) == [True, True]


def test_the_list_action_needs_the_right_and_reads_again() -> None:
    make_rows(2)
    WorkItem.objects.update(is_dirty=False)
    form = {"action": "try_again", "_selected_action": list(TimeEntry.objects.values_list("pk", flat=True))}
    url = reverse("admin:sync_timeentry_changelist")

    post(browser_of("viewer"), url, form)
    assert not WorkItem.objects.filter(is_dirty=True).exists()

    post(browser_of("clerk"), url, form)
    assert WorkItem.objects.filter(is_dirty=True).count() == 2


@pytest.mark.parametrize("who", ["viewer", "clerk"])
@pytest.mark.parametrize(
    ("model", "action", "then"),
    [("remoterecord", "try_again", "pending"), ("webhookdelivery", "process_selected_again", "received")],
)
def test_many_stuck_writes_and_deliveries_are_tried_at_once(who: str, model: str, action: str, then: str) -> None:
    make_rows(2)
    RemoteRecord.objects.update(state=RecordState.ATTENTION)
    WebhookDelivery.objects.update(state="failed", attempts=5)
    rows = {"remoterecord": RemoteRecord, "webhookdelivery": WebhookDelivery}[model].objects.order_by("pk")
    before = list(rows.values_list("state", flat=True))
    form = {"action": action, "_selected_action": list(rows.values_list("pk", flat=True))}

    for _click in range(2):
        post(browser_of(who), reverse(f"admin:sync_{model}_changelist"), form)

    assert len(before) == 2
    assert list(rows.values_list("state", flat=True)) == ([then, then] if who == "clerk" else before)


def test_all_stuck_writes_are_tried_from_the_page_of_attention() -> None:
    make_rows(2)
    first, second = RemoteRecord.objects.order_by("pk")
    RemoteRecord.objects.filter(pk=first.pk).update(state=RecordState.ATTENTION)
    RemoteRecord.objects.filter(pk=second.pk).update(state=RecordState.RETRY, attempts=5, sentence="It is blocked.")
    url = reverse("admin:sync_attention")
    assert "It is blocked." in browser_of("viewer").get(url).content.decode()
    assert post(browser_of("viewer"), url, {"writes": "stuck"}).status_code == 403

    post(browser_of("clerk"), url, {"writes": "stuck"})

    assert list(RemoteRecord.objects.values_list("state", flat=True)) == [RecordState.PENDING] * 2


def test_items_that_cannot_be_read_are_said_and_read_again_from_the_page_of_attention() -> None:
    make_rows(3)
    never, refused, once = WorkItem.objects.order_by("pk")
    later = timezone.now() + dt.timedelta(hours=1)
    waits = {"is_dirty": True, "dirty_at": timezone.now(), "not_before": later}
    WorkItem.objects.filter(pk=never.pk).update(**waits, ref=None, read_attempts=3, error="Taiga does not let us.")
    WorkItem.objects.filter(pk=refused.pk).update(**waits, read_attempts=7, error="It is an <odd> page.")
    WorkItem.objects.filter(pk=once.pk).update(**waits, read_attempts=1, error="Taiga was away for a moment.")
    url = reverse("admin:sync_attention")

    page = browser_of("viewer").get(url).content.decode()
    assert "Items that cannot be read" in page
    assert f"Not read yet (id {never.taiga_id} in Taiga)" in page
    assert "Taiga does not let us." in page
    assert "It is an &lt;odd&gt; page." in page
    assert "away for a moment" not in page
    assert post(browser_of("viewer"), url, {"items": "unreadable"}).status_code == 403
    assert WorkItem.objects.filter(not_before=later).count() == 3

    for _click in range(2):
        post(browser_of("clerk"), url, {"items": "unreadable"})

    assert list(WorkItem.objects.filter(not_before=None).order_by("pk")) == [never, refused]


def test_the_calls_of_an_entrys_item_are_one_click_away() -> None:
    entry, other = make_rows(2)
    browser = browser_of("clerk")
    page = browser.get(reverse("admin:sync_timeentry_change", args=[entry.pk])).content.decode()
    url = f"{reverse('admin:sync_upstreamcall_changelist')}?item__id__exact={entry.item_id}"
    assert url in page

    (row,) = browser.get(url).context["cl"].result_list

    assert row.item_id == entry.item_id != other.item_id
