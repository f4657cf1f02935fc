"""Offices that all begin alike, with both stand-ins in this process."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection

from sandbox.taiga import delivery
from sync import discovery, upstreams
from sync.clients import http
from tests.emptying import empty_our_tables
from tests.machine.office import Office
from tests.machine.wire import Fate, StraightAdapter
from tests.standins import World, _rows
from tests.trail import watcher


@pytest.fixture
def office(world: World, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Office]]:
    """Makes offices that all begin alike: the world, its servers known, and nothing done yet."""
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
        world.mapping, world.client = _rows(world.running)
        machine = type("TestOffice", (Office,), {"world": world, "fate": fate, "mail": mail, "names": names})()
        upstreams.check_pin("taiga")
        upstreams.check_pin("invoice_ninja")
        discovery.ensure_fresh()
        return machine

    with connection.execute_wrapper(watcher(fate.arrow)):
        yield begin
