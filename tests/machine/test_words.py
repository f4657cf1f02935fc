"""What people say over what was worked: each hour and cent is where they said (see `words`, `desk`, `ledger`)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.machine.desk import IN_TAIGA, ON_DRAFTS
from tests.machine.office import Office
from tests.machine.words import QUESTIONS, Words
from tests.machine.years import months

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


class GivenBack(Words):
    """Months in which much is credited by hand, and open credits are set against the next drafts."""

    on_drafts = (*ON_DRAFTS, "use_open_credit", "use_open_credit")
    after = (*IN_TAIGA, *QUESTIONS, "credit", "credit", "credit")


def play(office: Office, count: int, seed: int, kind: type[Words] = Words) -> Words:
    """So many months, each balanced as it ends; then the books are closed, and each item costs what it must."""
    words = kind(office, seed)
    *periods, last = months((2026, 1), count + 1)
    try:
        for period in periods:
            words.play(period)
            assert words.balance(period) == {}, period
        words.close_the_books(last)
        for period in (*periods, last):
            assert words.balance(period) == {}, period
        words.compare_with_what_people_did()
    finally:
        office.clocks.close()
    ledger = office.desk.ledger
    assert ledger.asked == words.asked_there()
    for item in ledger.items.values():
        wanted = ledger.wanted(item)
        assert wanted in (None, item.asked), item
    return words


def test_a_month_of_words_ends_with_each_item_at_what_people_said(office: Callable[[], Office]) -> None:
    words = play(office(), 1, seed=4)
    assert {"write", "change_rules", "answer"} <= set(words.office.desk.done)


@pytest.mark.long
@pytest.mark.parametrize("seed", [11])
def test_two_months_of_words_end_with_each_item_at_what_people_said(office: Callable[[], Office], seed: int) -> None:
    words = play(office(), 2, seed)
    assert len(words.office.desk.done) >= 12


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 4])
def test_months_of_credits_end_with_each_item_at_what_people_said(office: Callable[[], Office], seed: int) -> None:
    words = play(office(), 2, seed, GivenBack)
    assert "credit" in words.office.desk.done
