"""Lists that change between two of their pages: what was there all the time is never missed, nor counted twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing_console import errors
from sync.clients import ninja_lists
from sync.clients import taiga as taiga_module
from tests.sync.clients.test_invoice_ninja import invoice_body, task_body

NINE = datetime(2026, 1, 2, 9, tzinfo=UTC)


def meanwhile(world: Any, path: str, act: Callable[[], object], count: int | None = 1) -> None:
    """Somebody does `act` right before these pages are answered."""
    world.app.faults.add({"kind": "meanwhile", "path": path, "act": act, "count": count})


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ninja_lists, "PAGE_SIZE", 3)
    monkeypatch.setattr(taiga_module, "PAGE_SIZE", 3)


def made_tasks(ninja: Any, *numbers: int) -> list[Any]:
    return [ninja.client().create_task(task_body(ninja, f"N-{number}")) for number in numbers]


def delete_task(ninja: Any, task: Any) -> None:
    with ninja.app.store.memory.transaction():
        ninja.app.store["tasks"].update(task.id, is_deleted=True)


def test_one_vanishes_and_a_new_one_comes_so_that_the_total_is_the_same(ninja: Any) -> None:
    tasks = made_tasks(ninja, *range(8))

    def swap() -> None:
        delete_task(ninja, tasks[0])
        made_tasks(ninja, 8)

    meanwhile(ninja, "/tasks.*&page=2$", swap)

    assert [row.number for row in ninja.client().tasks()] == [f"N-{number}" for number in range(1, 9)]


@pytest.mark.parametrize("page", [2, 3])
def test_one_vanishes_between_two_pages(ninja: Any, page: int) -> None:
    tasks = made_tasks(ninja, *range(8))
    meanwhile(ninja, f"/tasks.*per_page=3&page={page}$", lambda: delete_task(ninja, tasks[0]))

    assert [row.number for row in ninja.client().tasks()] == [f"N-{number}" for number in range(1, 8)]


def test_one_comes_between_two_pages(ninja: Any) -> None:
    made_tasks(ninja, *range(8))
    meanwhile(ninja, "/tasks.*per_page=3&page=3$", lambda: made_tasks(ninja, 8))

    numbers = [row.number for row in ninja.client().tasks()]
    assert len(set(numbers)) == len(numbers) == 9


def test_a_list_that_never_stands_still_is_no_list(ninja: Any) -> None:
    tasks = iter(made_tasks(ninja, *range(12)))
    meanwhile(ninja, "/tasks.*per_page=3&page=2$", lambda: delete_task(ninja, next(tasks)), None)

    with pytest.raises(errors.ListChanged):
        ninja.client().tasks()


def test_of_many_changes_in_one_second_none_is_missed_when_one_of_them_changes_again(ninja: Any) -> None:
    """It leaves the second, so that the next page begins one row later."""
    ninja.clock.set(NINE)
    client = ninja.client()
    made = [client.create_invoice(invoice_body(ninja, private_notes=f"bc-{number};")).id for number in range(8)]
    ninja.clock.set(NINE + timedelta(minutes=1))
    meanwhile(ninja, "/invoices.*per_page=3&page=2$", lambda: ninja.client().mark_invoice_sent(made[0]))

    found = [row.id for row in client.invoices_updated_since(NINE)]

    assert set(found) == set(made)
    assert found.count(made[0]) == 2  # as it was, and as it is


def test_a_second_that_never_stands_still_is_not_passed_by(ninja: Any) -> None:
    ninja.clock.set(NINE)
    client = ninja.client()
    made = iter([client.create_invoice(invoice_body(ninja, private_notes=f"bc-{number};")).id for number in range(12)])
    ninja.clock.set(NINE + timedelta(minutes=1))
    mark = ninja.client().mark_invoice_sent
    meanwhile(ninja, "/invoices.*per_page=3&page=2$", lambda: _mark_a_second_later(ninja, mark, next(made)), None)

    with pytest.raises(errors.ListChanged):
        list(client.invoices_updated_since(NINE))


def _mark_a_second_later(ninja: Any, mark: Callable[[Any], object], invoice_id: Any) -> None:
    ninja.clock.set(ninja.clock.now() + timedelta(seconds=2))
    ninja.app.store.guard.clear()
    mark(invoice_id)


def test_in_taiga_one_vanishes_and_a_new_one_comes(taiga: Any) -> None:
    tasks = [taiga.add_task(f"Task {number}") for number in range(7)]

    def swap() -> None:
        taiga.do("DELETE", f"/tasks/{tasks[0]['id']}")
        taiga.add_task("New")

    meanwhile(taiga, "/tasks.*page=2&page_size=3", swap)

    with pytest.raises(errors.ListChanged):
        list(taiga.client().items("T", taiga.project_id))
    subjects = sorted(item.subject for item in taiga.client().items("T", taiga.project_id))
    assert subjects == ["New", *(f"Task {number}" for number in range(1, 7))]


def test_a_timeline_that_grows_while_it_is_read_misses_nothing(taiga: Any) -> None:
    for number in range(5):
        taiga.add_task(f"Task {number}")
    meanwhile(taiga, "/timeline.*page=2", lambda: taiga.add_task("New"))
    client, seen, page = taiga.client(), set(), 1
    before = {row.id for row in client.timeline(taiga.project_id, 1, 100).entries}
    while True:
        answer = client.timeline(taiga.project_id, page, 3)
        seen |= {row.id for row in answer.entries}
        if not answer.has_next:
            break
        page += 1

    assert before <= seen
