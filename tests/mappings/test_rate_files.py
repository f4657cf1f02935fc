"""Rates as CSV and XLSX, in and out."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
import tablib
from django.contrib import admin
from django.db import IntegrityError, transaction
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from mappings import hooks
from mappings.admin.rate_resource import RateResource
from mappings.admin.rates import RateAdmin
from mappings.models import Client, Person, ProjectMapping, Rate, Role
from tests.people import browser_of

pytestmark = pytest.mark.django_db

HEADERS = ["level", "person", "role", "project", "client", "amount", "currency", "valid_from", "valid_to"]


@pytest.fixture(autouse=True)
def rows() -> None:
    client = Client.objects.create(ninja_id="client_abc123", name="Acme")
    Person.objects.create(taiga_user_id=6, username="alice")
    Role.objects.create(key="pm")
    ProjectMapping.objects.create(taiga_project_id=1, taiga_project_name="Website", client=client)


def load(*lines: list[Any], **options: Any) -> list[str]:
    """Import the lines; the sentences of what was wrong."""
    result = RateResource().import_data(tablib.Dataset(*lines, headers=HEADERS), **options)
    sentences = [str(error.error) for row in result.rows for error in row.errors]
    return sentences + [" ".join(row.error.messages) for row in result.invalid_rows]


ALICE = ["user", "alice", "", "", "", "90.00", "EUR", "", "2026-01-01"]
ALICE_LATER = ["user", "alice", "", "", "", "99,5", "EUR", "2026-01-01", ""]
IN_PROJECT = ["user_in_project", "alice", "", "1", "", 120.5, "EUR", "", ""]
PM = ["role", "", "pm", "", "", "85", "EUR", "", ""]
CLIENT = ["client", "", "", "", "client_abc123", "60.00", "USD", "", ""]


def test_out_and_in_again_changes_nothing() -> None:
    assert load(ALICE, ALICE_LATER, IN_PROJECT, PM, CLIENT) == []
    assert {(rate.target, str(rate.amount)) for rate in Rate.objects.all()} == {
        ("alice", "90.000"),
        ("alice", "99.500"),
        ("alice / Website", "120.500"),
        ("pm", "85.000"),
        ("Acme", "60.000"),
    }
    exported = RateResource().export()
    assert exported.headers == HEADERS
    assert [row[5] for row in exported] == sorted([row[5] for row in exported], key=[row[5] for row in exported].index)
    assert set(exported["amount"]) == {"90.00", "99.50", "120.50", "85.00", "60.00"}
    before = Rate.history.count()
    again = tablib.Dataset().load(exported.export("csv"), format="csv")
    result = RateResource().import_data(again)
    assert not result.has_errors()
    assert result.totals["skip"] == 5
    assert Rate.history.count() == before


def test_a_changed_line_changes_its_rate() -> None:
    load(PM)
    assert load([*PM[:5], "88", *PM[6:]]) == []
    assert Rate.objects.get().amount == Decimal(88)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ([*PM[:5], "1.234", *PM[6:]], "“1.234” can mean 1234 or 1.234."),
        ([*PM[:5], "lots", *PM[6:]], "“lots” is no number that we can read."),
        ([*PM[:5], "", *PM[6:]], "This field is required."),
        ([*PM[:5], "85.005", *PM[6:]], "85.005” can mean 85005 or 85.005"),
        (["role", "", "ghost", *PM[3:]], "There is not exactly one role “ghost”."),
        (["role", "alice", "pm", *PM[3:]], "Choose exactly what the level names"),
        (["user", "alice", "", "", "", "5", "EUR", "2026-01-01", "2025-01-01"], "Valid until"),
        ([*PM[:6], "euro", "", ""], "Ensure this value has at most 3 characters"),
        (["boss", *PM[1:]], "Value 'boss' is not a valid choice."),
        ([*PM[:7], "31/01/2026", ""], "“31/01/2026” is no day. Write it like 2026-01-31."),
        ([*PM[:5], "-85", *PM[6:]], "A rate is more than 0."),
        ([*PM[:5], "NaN", *PM[6:]], "“NaN” is no number that we can read."),
    ],
)
def test_bad_lines_are_named(line: list[Any], sentence: str) -> None:
    assert any(sentence in fault for fault in load(line)), load(line)
    assert not Rate.objects.exists()


@pytest.mark.parametrize("day", ["2026-01-01", "2026-01-01 00:00:00", dt.date(2026, 1, 1), dt.datetime(2026, 1, 1)])  # noqa: DTZ001
def test_a_day_is_read_as_text_and_as_a_spreadsheets_cell(day: Any) -> None:
    assert load([*PM[:7], day, None]) == []
    assert Rate.objects.get().valid_from == dt.date(2026, 1, 1)


def test_overlapping_lines_are_refused() -> None:
    faults = load(ALICE, ["user", "alice", "", "", "", "95", "EUR", "2025-06-01", ""])
    assert faults == ["Another rate of this kind is valid on some of these days. End that one first."]


def test_a_trial_run_stores_nothing_and_tells_nobody(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    heard: list[Any] = []
    monkeypatch.setattr(hooks, "_callbacks", [heard.append])
    with django_capture_on_commit_callbacks(execute=True):
        load(PM, dry_run=True)
    assert heard == []
    assert not Rate.objects.exists()
    with django_capture_on_commit_callbacks(execute=True):
        load(PM)
    assert [type(row) for row in heard] == [Rate]


days = st.none() | st.dates(dt.date(2025, 1, 1), dt.date(2025, 3, 1))


class TestOverlap(TestCase):
    """The database itself refuses two rates of one kind on one day."""

    @given(days, days, days, days)
    def test_overlapping_days_are_refused_by_the_database(
        self, a_from: dt.date | None, a_to: dt.date | None, b_from: dt.date | None, b_to: dt.date | None
    ) -> None:
        low, high = dt.date.min, dt.date.max
        if (a_from or low) >= (a_to or high) or (b_from or low) >= (b_to or high):
            return
        role = Role.objects.create(key="overlap")
        Rate.objects.create(
            level="role", role=role, amount=Decimal(1), currency="EUR", valid_from=a_from, valid_to=a_to
        )
        other = Rate(level="role", role=role, amount=Decimal(2), currency="EUR", valid_from=b_from, valid_to=b_to)
        is_overlapping = (a_from or low) < (b_to or high) and (b_from or low) < (a_to or high)
        if not is_overlapping:
            other.save()
            return
        with pytest.raises(IntegrityError), transaction.atomic():
            other.save()


@pytest.mark.parametrize("begin", ["=", "-", "+", "@", "＝"])  # noqa: RUF001
@pytest.mark.parametrize("title", ["csv", "xlsx"])
def test_a_name_that_could_be_a_formula_goes_out_harmless_and_comes_back(begin: str, title: str) -> None:
    person = Person.objects.create(taiga_user_id=9, username=f"{begin}cmd|' /C calc'!A0")
    Rate.objects.create(level="user", person=person, amount=50, currency="EUR")
    titles = [one().get_extension() for one in RateAdmin(Rate, admin.site).get_export_formats()]
    form = {"format": str(titles.index(title)), "resource": "", **{f"rateresource_{name}": "on" for name in HEADERS}}

    answer = browser_of("administrator").post("/admin/mappings/rate/export/", form)

    file = answer.content.decode("utf-8-sig") if title == "csv" else answer.content
    data = tablib.Dataset().load(file, format=title)
    assert [row["person"] for row in data.dict] == [f"'{person.username}"]
    assert load(*[[row[header] or "" for header in HEADERS] for row in data.dict]) == []
    assert Rate.objects.count() == 1
