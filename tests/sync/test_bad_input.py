"""Whatever somebody typed into a billing attribute: a hold that quotes it, never a zero, a guess or an exception."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from billing_console.states import EntryState, Reason
from mappings.models import Client
from sync.attributes import quote
from sync.models import RemoteRecord
from tests.sync.making import Office

pytestmark = pytest.mark.django_db
HELD, READY, VOID = EntryState.HELD, EntryState.READY, EntryState.VOID


@pytest.mark.parametrize(
    "raw",
    ["two hours", [1], {}, {"a": 1}, -1, Decimal(10**30), True, "-2", "1e3", "2.5 hours", "99999", "٣", "4h60", "1:5"],
)
def test_unreadable_hours_are_held_and_quoted(office: Office, raw: Any) -> None:
    entry = office.entry(hours=raw)
    assert (entry.state, entry.reason, entry.raw_hours, entry.amount) == (HELD, Reason.UNREADABLE_HOURS, None, None)
    assert quote(raw) in entry.reason_sentence
    assert "Duration (Hours)" in entry.reason_sentence
    assert entry.reason_note == quote(raw)
    assert not RemoteRecord.objects.exists()


@pytest.mark.parametrize("raw", [None, "", "   "])
def test_no_hours_at_all_are_held_as_empty_and_never_taken_as_zero(office: Office, raw: Any) -> None:
    entry = office.entry(hours=raw)
    assert (entry.reason, entry.raw_hours) == (Reason.UNREADABLE_HOURS, None)
    assert "is empty" in entry.reason_sentence


@pytest.mark.parametrize("raw", [0, "0", "0h", "0:00", Decimal("0.0")])
def test_zero_hours_on_a_billable_item_are_asked_about(office: Office, raw: Any) -> None:
    assert office.entry(hours=raw).reason == Reason.NO_HOURS


@pytest.mark.parametrize(
    ("raw", "state", "reason"),
    [
        (True, READY, ""),
        ("Oui", READY, ""),
        (1, READY, ""),
        (None, VOID, ""),
        ("", VOID, ""),
        ("NEE", VOID, ""),
        (0, VOID, ""),
        ("perhaps", HELD, Reason.UNREADABLE_BILLABLE),
        (2, HELD, Reason.UNREADABLE_BILLABLE),
        ([True], HELD, Reason.UNREADABLE_BILLABLE),
        ({}, HELD, Reason.UNREADABLE_BILLABLE),
    ],
)
def test_the_flag_is_yes_no_or_asked_about(office: Office, raw: Any, state: str, reason: str) -> None:
    entry = office.entry(billable=raw)
    assert (entry.state, entry.reason) == (state, reason)
    assert (quote(raw) in entry.reason_sentence) is bool(reason)


@pytest.mark.parametrize("raw", [-1, "-5", "110 EUR", "€110", True, [110], {}, 1000000, "1e2", "95.001"])
def test_an_unreadable_rate_is_held_and_quoted_and_never_falls_back(office: Office, raw: Any) -> None:
    entry = office.entry(rate=raw)
    assert (entry.state, entry.reason, entry.rate, entry.amount) == (HELD, Reason.UNREADABLE_RATE, None, None)
    assert quote(raw) in entry.reason_sentence


@pytest.mark.parametrize("raw", [None, "", "  "])
def test_an_empty_rate_is_none(office: Office, raw: Any) -> None:
    assert (office.entry(rate=raw).state, office.entry(office.item(2, who=office.alice, rate=raw)).rate) == (READY, 95)


@pytest.mark.parametrize("raw", ["client_typo", "Acme Corp", 4711, [1], {"id": "client_abc123"}, True, False, []])
def test_an_unknown_or_unreadable_client_is_held_and_quoted_and_never_the_projects_own(
    office: Office, raw: Any
) -> None:
    entry = office.entry(client=raw)
    assert (entry.state, entry.reason, entry.client) == (HELD, Reason.UNKNOWN_CLIENT, None)
    assert quote(raw) in entry.reason_sentence
    assert "Client Invoice ID" in entry.reason_sentence
    assert entry.reason_note == quote(raw)
    assert office.type(entry.item, client=None).state == READY


def test_a_number_may_be_the_id_of_a_client(office: Office) -> None:
    Client.objects.filter(pk=office.client.pk).update(ninja_id="4711")
    assert office.entry(client=4711).state == READY


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        # Of several faults the first in the order of calculation is asked about.
        ({"hours": "two", "billable": "perhaps"}, Reason.UNREADABLE_BILLABLE),
        ({"hours": "two", "rate": "x"}, Reason.UNREADABLE_HOURS),
        ({"rate": "x", "client": "nobody"}, Reason.UNKNOWN_CLIENT),
        ({"hours": "two", "status": "Invoiced"}, Reason.BILLED_ELSEWHERE),
        ({"hours": "two", "billable": False}, ""),
        ({"hours": 30, "rate": 0}, Reason.TOO_MANY_HOURS),
        ({"rate": 0}, Reason.FREE_OF_CHARGE),
    ],
)
def test_one_question_at_a_time(office: Office, raw: dict[str, Any], reason: str) -> None:
    assert office.entry(**raw).reason == reason
