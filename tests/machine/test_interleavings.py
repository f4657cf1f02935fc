"""Two workers at every call of each other: one comes in between, or the first sleeps past its lease and wakes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sync.models import RemoteRecord
from tests.machine.office import Office
from tests.machine.rest import DRAINS

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("sleeps", [False, True], ids=["beside", "asleep"])
@pytest.mark.parametrize("step", ["items", "push", "writeback"])
def test_two_workers_at_any_call_write_everything_once(office: Callable[[], Office], step: str, sleeps: bool) -> None:
    day = office()
    before = list(DRAINS)[1 : list(DRAINS).index(step)]
    for call in range(4):
        day.close(1, has_story=True, types_late=False)
        day.deliver_all()
        for earlier in before:
            DRAINS[earlier]()
        day.work_at_once(step, step, call, sleeps)
        day.nothing_is_there_twice()
    day.teardown()
    assert RemoteRecord.objects.filter(kind="task", state="synced").count() == 4


@pytest.mark.parametrize("sleeps", [False, True], ids=["beside", "asleep"])
def test_two_workers_at_any_call_make_one_invoice_a_month(office: Callable[[], Office], sleeps: bool) -> None:
    day = office()
    for call in range(0, 8, 2):
        day.close(1, has_story=True, types_late=False)
        day.deliver_all()
        for earlier in ("items", "push", "writeback"):
            DRAINS[earlier]()
        day.bill(is_sent=False)
        day.work_at_once("invoices", "invoices", call, sleeps)
        day.nothing_is_there_twice()
    day.teardown()
    assert len(day.world.invoices()) == 4
