"""Random days of an office end with each item billed exactly once for its last hours (see `office` and `rest`)."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import cache
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from sandbox.taiga import delivery
from sync import discovery, upstreams
from sync.clients import http
from sync.models import Transition
from tests.emptying import empty_our_tables
from tests.machine.office import Office
from tests.machine.wire import Fate, StraightAdapter
from tests.standins import World, _rows

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
MANY = int(os.environ.get("RANDOM_DAYS", "300"))
COMMON: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "suppress_health_check": list(HealthCheck),
    "phases": (Phase.generate,),
}


@pytest.fixture
def office(world: World, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Office]]:
    """Makes offices that all begin alike: the world, its servers known, and nothing done yet."""
    from django.db.models.signals import post_save

    settings.WEBHOOK_SECRET = "sandbox-webhook-secret"
    fate = Fate()
    mail: list[tuple[bytes, dict[str, str]]] = []

    def post(url: str, body: bytes, headers: dict[str, str], timeout: float | None) -> delivery.Outcome:
        mail.append((body, headers))
        return delivery.Outcome(202, "")

    monkeypatch.setattr(delivery, "_post", post)
    monkeypatch.setattr(
        http, "DeadlineAdapter", type("Straight", (StraightAdapter,), {"running": world.running, "fate": fate})
    )
    post_save.connect(fate.watch, sender=Transition, weak=False)
    names = {
        "story": world.story(),
        "alice": world.user("alice"),
        "statuses": world.statuses(),
        "attributes": world.attribute_ids(),
    }
    kept = [(standin, copy.deepcopy(standin.memory.dump())) for standin in (world.taiga, world.ninja)]

    def begin() -> Office:
        empty_our_tables()
        cache.clear()
        upstreams._logins.clear()
        mail.clear()
        for standin, tables in kept:
            standin.faults.clear()
            for name, rows in tables.items():
                table = standin.memory.table(name)
                table.clear()
                for row in copy.deepcopy(rows):
                    table.apply(row["id"], row)
        world.mapping, world.client = _rows()
        machine = type("TestOffice", (Office,), {"world": world, "fate": fate, "mail": mail, "names": names})()
        upstreams.check_pin("taiga")
        upstreams.check_pin("invoice_ninja")
        discovery.ensure_fresh()
        return machine

    yield begin
    post_save.disconnect(fate.watch, sender=Transition)


def test_random_days_bill_each_item_once(office: Callable[[], Office]) -> None:
    run_state_machine_as_test(
        office, settings=settings(max_examples=8, stateful_step_count=20, derandomize=True, **COMMON)
    )


@pytest.mark.long
def test_many_random_days_bill_each_item_once(office: Callable[[], Office]) -> None:
    run_state_machine_as_test(office, settings=settings(max_examples=MANY, stateful_step_count=30, **COMMON))
