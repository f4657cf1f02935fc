"""billing-rules: Rate."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.rates import RateRow, choose_rate, fold, has_currency_decimals

ON = dt.date(2025, 12, 1)


def row(level: str, amount: int, row_id: int, start: str = "", end: str = "") -> RateRow:
    return RateRow(
        level,
        Decimal(amount),
        "EUR",
        row_id,
        dt.date.fromisoformat(start) if start else None,
        dt.date.fromisoformat(end) if end else None,
        label=level,
    )


ALL = [
    row("client", 10, 1),
    row("project", 20, 2),
    row("role", 30, 3),
    row("user", 40, 4),
    row("user_in_project", 50, 5),
]


@pytest.mark.parametrize(
    ("prefer", "order"),
    [
        ("user", ["user_in_project", "user", "role", "project", "client"]),
        ("project", ["project", "user_in_project", "user", "role", "client"]),
    ],
)
def test_the_first_level_that_exists_wins(prefer: str, order: list[str]) -> None:
    rows = list(ALL)
    for level in order:
        chosen = choose_rate(None, rows, prefer=prefer, on=ON)
        assert chosen is not None
        assert chosen.source == level
        assert [loser.source for loser in chosen.losers] == [
            one for one in order if one in order[order.index(level) + 1 :]
        ]
        rows = [one for one in rows if one.level != level]
    assert choose_rate(None, rows, prefer=prefer, on=ON) is None


def test_the_items_own_rate_wins() -> None:
    chosen = choose_rate(Decimal(110), ALL, prefer="project", on=ON, currency="EUR")
    assert chosen is not None
    assert (chosen.amount, chosen.currency, chosen.source, chosen.row_id) == (Decimal(110), "EUR", "item", None)
    assert {loser.reason for loser in chosen.losers} == {"outranked"}


def test_an_item_rate_of_zero_is_free_of_charge() -> None:
    chosen = choose_rate(Decimal(0), ALL, prefer="user", on=ON, currency="EUR")
    assert chosen is not None
    assert (chosen.amount, chosen.source) == (Decimal(0), "item")


def test_a_negative_item_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        choose_rate(Decimal(-1), ALL, prefer="user", on=ON)


@pytest.mark.parametrize(
    ("on", "row_id"),
    [("2025-09-30", 1), ("2025-10-01", 2), ("2025-12-31", 2), ("2026-01-01", 3)],
)
def test_the_work_date_chooses(on: str, row_id: int) -> None:
    rows = [
        row("user", 80, 1, end="2025-10-01"),
        row("user", 90, 2, "2025-10-01", "2026-01-01"),
        row("user", 95, 3, "2026-01-01"),
    ]
    chosen = choose_rate(None, rows, prefer="user", on=dt.date.fromisoformat(on))
    assert chosen is not None
    assert chosen.row_id == row_id
    assert {loser.row_id for loser in chosen.losers} == {1, 2, 3} - {row_id}
    assert "outranked" not in {loser.reason for loser in chosen.losers}


LEVELS = ["user_in_project", "user", "role", "project", "client"]


@st.composite
def dated_rows(draw: st.DrawFn) -> list[RateRow]:
    """At most one rate per level and day, as the database keeps them: consecutive spans at each level."""
    rows = []
    for place, level in enumerate(LEVELS):
        bounds = sorted(draw(st.lists(st.dates(dt.date(2025, 11, 1), dt.date(2026, 1, 31)), max_size=3, unique=True)))
        edges: list[dt.date | None] = [None, *bounds, None]
        for number, (start, end) in enumerate(pairwise(edges)):
            if draw(st.booleans()):
                amount = Decimal(10 * place + number + 1)
                rows.append(RateRow(level, amount, "EUR", 10 * place + number, start, end, label=level))
    return rows


@given(dated_rows(), st.sampled_from(["user", "project"]), st.dates(dt.date(2025, 10, 1), dt.date(2026, 3, 1)))
def test_the_choice_is_the_first_level_with_a_rate_on_the_day(rows: list[RateRow], prefer: str, on: dt.date) -> None:
    order = LEVELS if prefer == "user" else ["project", "user_in_project", "user", "role", "client"]
    valid = {one.level: one for one in rows if one.is_valid_on(on)}
    expected = next((valid[level] for level in order if level in valid), None)
    chosen = choose_rate(None, rows, prefer=prefer, on=on)
    assert (chosen.row_id if chosen else None) == (expected.row_id if expected else None)
    if chosen is None:
        return
    # Everybody else lost, each with the reason that is true on that day.
    assert {loser.row_id for loser in chosen.losers} == {one.row_id for one in rows} - {chosen.row_id}
    by_id = {one.row_id: one for one in rows}
    for loser in chosen.losers:
        assert (loser.reason == "outranked") == by_id[loser.row_id].is_valid_on(on)
    for item in (Decimal(0), Decimal("60.50")):
        own = choose_rate(item, rows, prefer=prefer, on=on, currency="EUR")
        assert own is not None
        assert (own.source, own.amount, len(own.losers)) == ("item", item, len(rows))


@given(dated_rows(), st.dates(dt.date(2025, 10, 1), dt.date(2026, 3, 1)), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(rows: list[RateRow], on: dt.date, random: Random) -> None:
    mixed = list(rows)
    random.shuffle(mixed)
    assert choose_rate(None, mixed, prefer="user", on=on) == choose_rate(None, rows, prefer="user", on=on)


def test_rates_of_other_days_are_no_rates() -> None:
    assert choose_rate(None, [row("user", 80, 1, "2026-01-01")], prefer="user", on=ON) is None


def test_facts_are_json_and_say_who_lost_and_why() -> None:
    rows = [row("role", 95, 3), row("user", 90, 4, "2026-01-01"), row("project", 75, 2)]
    chosen = choose_rate(None, rows, prefer="user", on=ON)
    assert chosen is not None
    facts = chosen.facts()
    assert json.loads(json.dumps(facts)) == facts
    assert facts == {
        "amount": "95.00",
        "currency": "EUR",
        "source": "role",
        "row": 3,
        "label": "role",
        "valid_from": None,
        "skipped": "",
        "losers": [
            {
                "amount": "90.00",
                "currency": "EUR",
                "source": "user",
                "row": 4,
                "label": "user",
                "reason": "not_yet_valid",
            },
            {
                "amount": "75.00",
                "currency": "EUR",
                "source": "project",
                "row": 2,
                "label": "project",
                "reason": "outranked",
            },
        ],
    }


def test_why_says_that_nobody_was_assigned() -> None:
    chosen = choose_rate(None, [row("project", 85, 2)], prefer="user", on=ON, has_person=False)
    assert chosen is not None
    assert chosen.facts()["skipped"] == "no_assignee"


@pytest.mark.parametrize("text", ["senior_dev", "Senior Dev", "SENIOR-DEV", " senior - dev ", "senior__dev"])
def test_fold(text: str) -> None:
    assert fold(text) == "senior_dev"


@pytest.mark.parametrize(
    ("amount", "currency", "fits"),
    [("95.00", "EUR", True), ("95.005", "EUR", False), ("95.5", "JPY", False), ("95.005", "KWD", True)],
)
def test_rates_have_the_decimals_of_their_currency(amount: str, currency: str, fits: bool) -> None:
    assert has_currency_decimals(Decimal(amount), currency) is fits
