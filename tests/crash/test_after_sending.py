"""Reminders, credits, payments and cancellations under all faults, with workers killed, frozen and cut off."""

from __future__ import annotations

import os

import pytest

from tests.crash.after_sending import AfterSending
from tests.crash.conftest import Nursery
from tests.standins import World

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
SEEDS = int(os.environ.get("AFTER_SENDING", "12"))
STEPS = int(os.environ.get("AFTER_SENDING_STEPS", "40"))


def play(near: World, nursery: Nursery, seed: int, steps: int) -> AfterSending:
    office = AfterSending(near, nursery, seed)
    office.bill()
    office.bill()
    for _step in range(steps):
        office.step()
    office.come_to_rest()
    office.judge()
    return office


def test_what_follows_a_sent_invoice_happens_once_under_all_faults(near: World, nursery: Nursery) -> None:
    office = play(near, nursery, 1, 7)

    assert office.done.total() >= 3


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 2 + SEEDS))
def test_what_follows_sent_invoices_happens_once_in_long_rounds(near: World, nursery: Nursery, seed: int) -> None:
    play(near, nursery, seed, STEPS)
