"""Random days of an office end with each item billed exactly once for its last hours (see `office` and `rest`)."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.machine.office import Office

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
MANY = int(os.environ.get("RANDOM_DAYS", "300"))
COMMON: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "suppress_health_check": list(HealthCheck),
    "phases": (Phase.generate,),
}


def test_random_days_bill_each_item_once(office: Callable[[], Office]) -> None:
    run_state_machine_as_test(
        office, settings=settings(max_examples=6, stateful_step_count=20, derandomize=True, **COMMON)
    )


@pytest.mark.long
def test_many_random_days_bill_each_item_once(office: Callable[[], Office]) -> None:
    run_state_machine_as_test(office, settings=settings(max_examples=MANY, stateful_step_count=30, **COMMON))
