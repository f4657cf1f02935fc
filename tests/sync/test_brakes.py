"""What can be priced and is held all the same until a person confirms it: each brake at its edge, and its setting."""

from __future__ import annotations

import html
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.groups import update_groups
from accounts.models import User
from billing_console import clock
from billing_console.errors import IllegalTransition
from billing_console.states import EntryState, Reason
from mappings.lookups import new_rule_set_version
from mappings.models import Client, Company, Rate
from sync import attention, entries, reevaluate
from sync.models import RemoteRecord, TimeEntry, Transition
from tests.people import browser_of, hidden_fields, post
from tests.sync.making import CLOSED_AT, Office

pytestmark = pytest.mark.django_db
HELD, READY = EntryState.HELD, EntryState.READY


@pytest.fixture(autouse=True)
def empty_cache() -> None:
    cache.clear()


def set_company(**values: Any) -> None:
    Company.objects.update(**values)


def closed(office: Office, taiga_id: int, at: datetime, **raw: Any) -> TimeEntry:
    """An item that was closed at `at`, evaluated."""
    item = office.item(taiga_id, who=raw.pop("who", office.alice), **raw)
    item.finished_at = item.closed_seen_at = at
    item.save()
    return office.entry(item)


# --- the rate --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "now", "reason"),
    [
        (80, 80, ""),
        (80, 120, ""),  # exactly 50 % more passes
        (80, "120.01", Reason.BRAKE_RATE),
        (80, 40, ""),
        (80, "39.99", Reason.BRAKE_RATE),
        (80, 800, Reason.BRAKE_RATE),
        (80, 0, Reason.FREE_OF_CHARGE),  # a rate of 0 is asked about by its own name
    ],
)
def test_a_rate_far_from_the_persons_last_one_in_the_project_is_held(
    office: Office, before: int, now: Any, reason: str
) -> None:
    office.entry(office.item(1, who=office.alice, rate=before))
    entry = office.entry(office.item(2, who=office.alice, rate=Decimal(now)))
    assert (entry.state, entry.reason) == (HELD if reason else READY, reason)
    if reason == Reason.BRAKE_RATE:
        assert "#101" in entry.reason_sentence
        assert "80.00 EUR" in entry.reason_sentence
        assert "Alice" in entry.reason_sentence


def test_another_person_another_project_and_a_held_entry_are_no_comparison(office: Office) -> None:
    office.entry(office.item(1, who=office.carol, rate=20))
    held = office.entry(office.item(2, who=office.alice, rate=20))
    attention.hold_entry(held, user=office.user, note="wait")
    assert office.entry(office.item(3, who=office.alice, rate=200)).state == READY


def test_an_earlier_closing_is_not_compared_with_a_later_one(office: Office) -> None:
    closed(office, 1, CLOSED_AT + timedelta(days=3), rate=200)
    assert closed(office, 2, CLOSED_AT, rate=50).state == READY


def test_a_confirmed_rate_passes_until_it_is_another_one(office: Office) -> None:
    office.entry(office.item(1, who=office.alice, rate=80))
    entry = office.entry(office.item(2, who=office.alice, rate=200))
    assert not RemoteRecord.objects.filter(item=entry.item).exists()
    entry = attention.confirm_entry(entry, user=office.user, note="agreed")
    assert (entry.state, entry.amount, entry.confirmed_value) == (READY, Decimal(900), "rate=200EUR")
    assert Transition.objects.filter(row_id=entry.pk, model="sync.timeentry", why="agreed").exists()
    assert office.type(entry.item, hours=5).state == READY
    again = office.type(entry.item, rate=210)
    assert (again.state, again.reason) == (HELD, Reason.BRAKE_RATE)
    with pytest.raises(IllegalTransition):
        attention.release_entry(again, user=office.user)
    assert office.type(entry.item, rate=100).state == READY


def test_a_rate_row_that_doubles_holds_what_it_moves(office: Office) -> None:
    first, second = office.entry(office.item(1, who=office.alice)), office.entry(office.item(2, who=office.alice))
    Rate.objects.filter(role__key="senior_dev").update(amount=190)
    entries.evaluate_many([first.item_id, second.item_id])
    assert list(TimeEntry.objects.order_by("item__ref").values_list("state", "reason")) == [
        (HELD, Reason.BRAKE_RATE),
        (HELD, Reason.BRAKE_RATE),
    ]


# --- the uplift ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rounding", "minimum", "hours", "reason"),
    [
        ("quarter_hour", "0.25", "0.10", ""),  # +150 %, and nine minutes
        ("hour", "0.25", "0.10", ""),  # rounding to hours adds less than one
        ("hour", "0.25", "1.05", ""),
        ("quarter_hour", "1.25", "0.25", ""),  # +1.00 h passes
        ("quarter_hour", "1.50", "0.25", Reason.BRAKE_UPLIFT),
        ("quarter_hour", "25", "0.25", Reason.BRAKE_UPLIFT),  # the comma forgotten
        ("quarter_hour", "4", "2.75", ""),  # +1.25 h, but only 45 %
    ],
)
def test_an_uplift_beyond_both_limits_is_held(
    office: Office, rounding: str, minimum: str, hours: str, reason: str
) -> None:
    new_rule_set_version(None, {"rounding": rounding, "min_billable_hours": Decimal(minimum)})
    entry = office.entry(hours=Decimal(hours))
    assert (entry.state, entry.reason) == (HELD if reason else READY, reason)


def test_an_uplift_is_quoted_and_confirmed_for_these_hours_only(office: Office) -> None:
    new_rule_set_version(None, {"min_billable_hours": Decimal(4)})
    entry = office.entry(hours=Decimal("0.5"))
    assert "from 0.5 h to 4 h" in entry.reason_sentence
    entry = attention.confirm_entry(entry, user=office.user)
    assert (entry.state, entry.billed_hours) == (READY, Decimal(4))
    assert office.type(entry.item, hours=Decimal("0.75")).reason == Reason.BRAKE_UPLIFT


# --- hours typed late ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "reason"), [(10, ""), (45, ""), (46, Reason.BRAKE_LATE), (400, Reason.BRAKE_LATE)])
def test_hours_typed_long_after_the_closing_are_held(office: Office, days: int, reason: str) -> None:
    item = office.item(who=office.alice, hours=None)
    item.values_version = 1
    item.save()
    assert office.entry(item).reason == Reason.UNREADABLE_HOURS
    with clock.set_to(CLOSED_AT + timedelta(days=days)):
        item.values_version = 2
        entry = office.type(item, hours=2)
    assert (entry.state, entry.reason) == (HELD if reason else READY, reason)
    assert entry.work_date == CLOSED_AT.date()
    if reason:
        assert f"{days} days after" in entry.reason_sentence
        confirmed = attention.confirm_entry(entry, user=office.user)
        assert (confirmed.state, confirmed.amount) == (READY, Decimal(190))
        with clock.set_to(CLOSED_AT + timedelta(days=days + 1)):
            item.values_version = 3
            assert office.type(item, hours=3).reason == Reason.BRAKE_LATE


def test_hours_that_were_there_under_another_name_of_the_attribute_are_not_late(office: Office) -> None:
    item = office.item(who=office.alice, hours=None)
    item.values_version = 1
    item.save()
    office.entry(item)
    with clock.set_to(CLOSED_AT + timedelta(days=100)):
        assert office.type(item, hours=2).state == READY


def test_ticking_billable_late_is_no_late_hour(office: Office) -> None:
    item = office.item(who=office.alice, billable=False)
    item.values_version = 1
    item.save()
    office.entry(item)
    with clock.set_to(CLOSED_AT + timedelta(days=100)):
        item.values_version = 2
        assert office.type(item, billable=True).state == READY


# --- another client's item -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["", "client_abc123", " client_abc123 "])
def test_the_projects_own_client_pulls_no_brake(office: Office, typed: str) -> None:
    assert office.entry(client=typed).state == READY


def test_a_confirmed_client_is_asked_about_again_when_it_is_another_one(office: Office) -> None:
    Client.objects.create(ninja_id="client_xyz789", name="Beacon", currency="EUR", is_known=True)
    third = Client.objects.create(ninja_id="client_def456", name="Cobalt", currency="EUR", is_known=True)
    entry = office.entry(client="client_xyz789")
    assert "project of Acme Corp" in entry.reason_sentence
    assert "Beacon (client_xyz789)" in entry.reason_sentence
    entry = attention.confirm_entry(entry, user=office.user)
    assert (entry.state, entry.client.name) == (READY, "Beacon")
    again = office.type(entry.item, client="client_def456")
    assert (again.reason, again.client) == (Reason.BRAKE_CLIENT, third)


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        (None, Reason.UNKNOWN_CLIENT),
        ({"is_known": False}, Reason.UNKNOWN_CLIENT),
        ({"is_deleted": True}, Reason.UNKNOWN_CLIENT),
        ({"currency": "USD"}, Reason.CURRENCY),
        ({"is_archived": True}, Reason.BRAKE_CLIENT),
    ],
)
def test_a_typed_client_must_exist_live_and_be_invoiced_in_the_rates_currency(
    office: Office, client: dict[str, Any] | None, reason: str
) -> None:
    if client is not None:
        Client.objects.create(
            **{"ninja_id": "client_x", "name": "Xenon", "currency": "EUR", "is_known": True, **client}
        )
    assert office.entry(client="client_x").reason == reason


# --- the month -------------------------------------------------------------------------------------------------------


def past_months(office: Office, *amounts: int) -> None:
    """One invoiced entry a month, of carol, the last in November 2025."""
    for number, amount in enumerate(amounts):
        month = 12 - len(amounts) + number
        entry = closed(office, 1000 + number, datetime(2025, month, 15, tzinfo=UTC), who=office.carol, hours=1)
        TimeEntry.objects.filter(pk=entry.pk).update(state="invoiced", amount=amount)
    cache.clear()


@pytest.mark.parametrize(
    ("months", "hours", "reason"),
    [
        ((100, 200), 10, ""),  # two months are no habit
        ((100, 200, 900), 6, ""),  # 6 × 95 = 570 ≤ 3 × 200
        ((100, 200, 900), "6.50", Reason.BRAKE_MONTH),  # 617.50
        ((100, 100, 200, 200), "4.50", ""),  # 427.50 ≤ 3 × 150
        ((100, 100, 200, 200), 5, Reason.BRAKE_MONTH),  # 475
    ],
)
def test_an_entry_that_lifts_the_month_far_above_the_usual_one_is_held(
    office: Office, months: tuple[int, ...], hours: Any, reason: str
) -> None:
    past_months(office, *months)
    entry = office.entry(hours=Decimal(hours))
    assert (entry.state, entry.reason) == (HELD if reason else READY, reason)


def test_the_month_counts_what_is_in_it_already_and_a_confirmed_amount_passes(office: Office) -> None:
    past_months(office, 200, 200, 200)
    assert office.entry(office.item(1, who=office.alice, hours=6)).state == READY  # 570
    entry = office.entry(office.item(2, who=office.alice, hours=1))
    assert entry.reason == Reason.BRAKE_MONTH
    assert "665.00 EUR" in entry.reason_sentence
    assert "December 2025" in entry.reason_sentence
    entry = attention.confirm_entry(entry, user=office.user)
    assert (entry.state, entry.amount) == (READY, Decimal(95))
    assert office.entry(office.item(3, who=office.alice, hours="0.25")).reason == Reason.BRAKE_MONTH
    entry.refresh_from_db()
    assert entries.evaluate(entry.item).state == READY  # type: ignore[union-attr]
    assert office.type(entry.item, hours=2).reason == Reason.BRAKE_MONTH


def test_items_of_one_batch_see_each_other(office: Office) -> None:
    past_months(office, 200, 200, 200)
    items = [office.item(number, who=office.alice, hours=2).pk for number in range(1, 6)]  # 190 each
    entries.evaluate_many(items)
    found = TimeEntry.objects.filter(item__in=items).order_by("item_id").values_list("reason", flat=True)
    assert list(found) == ["", "", "", Reason.BRAKE_MONTH, Reason.BRAKE_MONTH]


# --- the settings and the queries ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "off", "milder"),
    [
        (Reason.BRAKE_RATE, {"brake_rate_percent": None}, {"brake_rate_percent": 1000}),
        (Reason.BRAKE_UPLIFT, {"brake_uplift_percent": None}, {"brake_uplift_hours": Decimal(5)}),
        (Reason.BRAKE_LATE, {"brake_late_days": None}, {"brake_late_days": 100}),
        (Reason.BRAKE_CLIENT, {"brake_client": False}, {"brake_client": False}),
        (Reason.BRAKE_MONTH, {"brake_month_factor": None}, {"brake_month_factor": Decimal(30)}),
    ],
)
@pytest.mark.parametrize("setting", ["off", "milder"])
def test_each_brake_is_adjusted_on_the_company_and_frees_what_it_held(
    office: Office, reason: str, off: dict[str, Any], milder: dict[str, Any], setting: str
) -> None:
    Client.objects.create(ninja_id="client_xyz789", name="Beacon", currency="EUR", is_known=True)
    entry = {
        Reason.BRAKE_RATE: _of_an_unusual_rate,
        Reason.BRAKE_UPLIFT: _of_an_unusual_uplift,
        Reason.BRAKE_LATE: _of_late_hours,
        Reason.BRAKE_CLIENT: lambda office: office.entry(client="client_xyz789"),
        Reason.BRAKE_MONTH: _of_an_unusual_month,
    }[Reason(reason)](office)
    assert entry.reason == reason
    company = Company.current()
    for name, value in (off if setting == "off" else milder).items():
        setattr(company, name, value)
    company.save()
    reevaluate.evaluate_marked()
    entry.refresh_from_db()
    assert (entry.state, entry.reason) == (READY, "")


def _of_an_unusual_rate(office: Office) -> TimeEntry:
    office.entry(office.item(1, who=office.alice, rate=80))
    return office.entry(office.item(2, who=office.alice, rate=200))


def _of_an_unusual_uplift(office: Office) -> TimeEntry:
    new_rule_set_version(None, {"min_billable_hours": Decimal(4)})
    return office.entry(hours=Decimal("0.5"))


def _of_late_hours(office: Office) -> TimeEntry:
    item = office.item(who=office.alice, hours=None)
    item.values_version = 1
    item.save()
    office.entry(item)
    item.values_version = 2
    with clock.set_to(CLOSED_AT + timedelta(days=60)):
        return office.type(item, hours=2)


def _of_an_unusual_month(office: Office) -> TimeEntry:
    past_months(office, 20, 20, 20)
    return office.entry(office.item(1, who=office.alice, hours=2))


def test_brakes_cost_the_same_queries_for_one_and_thirty(office: Office) -> None:
    past_months(office, 100, 200, 300)
    counts = []
    for numbers in (range(2, 3), range(10, 40)):
        items = [office.item(number, who=office.alice, hours=20).pk for number in numbers]
        cache.clear()
        with CaptureQueriesContext(connection) as queries:
            entries.evaluate_many(items)
        asked = [query["sql"] for query in queries if query["sql"].lstrip().startswith("SELECT")]
        # Who typed the hours is looked for item by item.
        counts.append(len([sql for sql in asked if "webhookdelivery" not in sql]))
        assert TimeEntry.objects.filter(item__in=items, reason=Reason.BRAKE_MONTH).count() == len(items)
    assert counts[0] == counts[1] <= 14


def test_a_brake_is_a_group_of_needs_attention_with_a_button_on_its_entry(office: Office, client: Any) -> None:
    entry = _of_an_unusual_rate(office)
    client.force_login(User.objects.create_superuser("root"))
    page = client.get(f"/admin/sync/timeentry/{entry.pk}/change/").content.decode()
    assert "Confirm value…" in page
    assert "200.00 EUR" in page
    groups = client.get("/admin/sync/attention/").content.decode()
    assert groups.count("Unusual rate? (1 entry, 900.00") == 1
    assert "Confirm the rate" in groups


# --- many at once ---

CONFIRM = "/admin/sync/attention/confirm/"


def three_of_an_unusual_rate(office: Office) -> list[TimeEntry]:
    """Three entries that one changed rate row holds, after one that was invoiced at the old rate."""
    office.claim(closed(office, 9, CLOSED_AT - timedelta(days=1)))
    found = [office.entry(office.item(number, who=office.alice)) for number in (1, 2, 3)]
    Rate.objects.filter(role__key="senior_dev").update(amount=190)
    entries.evaluate_many([entry.item_id for entry in found])
    return found


def test_what_one_brake_holds_is_confirmed_at_once_after_a_question(office: Office) -> None:
    three_of_an_unusual_rate(office)
    User.objects.filter(pk=office.user.pk).update(username="office")
    update_groups("sync")
    browser = browser_of("clerk")
    groups = browser.get("/admin/sync/attention/").content.decode()
    assert f'href="{CONFIRM}?brake=brake_rate"' in groups
    page = browser.get(f"{CONFIRM}?brake=brake_rate")
    words = html.unescape(page.content.decode()).replace("\xa0", " ")
    assert "bill 3 entries, 2,565.00 EUR, as they stand?" in words
    assert "Confirm 2,565.00 EUR" in words
    assert TimeEntry.objects.filter(state=HELD).count() == 3

    address = f"{CONFIRM}?brake=brake_rate"
    form = {"shown": hidden_fields(browser, address)["shown"]}
    assert browser.post(address, {**form, "reason": ""}).status_code == 302
    assert TimeEntry.objects.filter(state=HELD).count() == 3
    # One of them gets another value while the question stands on the screen.
    moved = TimeEntry.objects.get(item__taiga_id=3)
    office.type(moved.item, rate=500)
    answer = browser.post(address, {**form, "reason": "new rates"}, follow=True)
    said = html.unescape(answer.content.decode()).replace("\xa0", " ")
    assert "2 entries confirmed." in said
    assert "and is “500.00 EUR” now" in said
    states = dict(TimeEntry.objects.values_list("item__taiga_id", "state"))
    assert states == {1: READY, 2: READY, 3: HELD, 9: "invoiced"}
    assert Transition.objects.filter(why="new rates").count() == 2
    said = html.unescape(browser.post(address, {**form, "reason": "again"}, follow=True).content.decode())
    assert "0 entries confirmed." in said


@pytest.mark.parametrize("given", [None, "", "7", "eyJ4IjoxfQ:1:x"])
def test_a_confirmation_that_does_not_say_what_it_showed_confirms_nothing(office: Office, given: str | None) -> None:
    three_of_an_unusual_rate(office)
    update_groups("sync")
    form = {"reason": "x"} if given is None else {"reason": "x", "shown": given}
    answer = browser_of("administrator").post(f"{CONFIRM}?brake=brake_rate", form, follow=True)
    assert "The form came without what you saw, so nothing was done." in answer.content.decode()
    assert TimeEntry.objects.filter(state=HELD).count() == 3


@pytest.mark.parametrize("brake", ["", "no_rate", "by_person", "brake_uplift"])
def test_there_is_nothing_to_confirm_for_another_reason(office: Office, brake: str) -> None:
    three_of_an_unusual_rate(office)
    update_groups("sync")
    answer = browser_of("administrator").get(f"{CONFIRM}?brake={brake}", follow=True)
    assert "Nothing waits for this confirmation" in answer.content.decode()


def test_a_viewer_confirms_nothing(office: Office) -> None:
    three_of_an_unusual_rate(office)
    update_groups("sync")
    browser = browser_of("viewer")
    assert [browser.get(CONFIRM).status_code, post(browser, CONFIRM, {}).status_code] == [403, 403]
    assert "Confirm all…" not in browser.get("/admin/sync/attention/").content.decode()
