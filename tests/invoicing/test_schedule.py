"""Which run is due: catch-up in order, no empty runs on a fresh install, safe to tick twice."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_console import clock
from invoicing import build, schedule
from invoicing.models import ClientSchedule, InvoiceRun
from tests.invoicing.world import make_client, make_project, make_work

pytestmark = pytest.mark.django_db


def at(year: int, month: int, day: int, hour: int = 9) -> dt.datetime:
    return dt.datetime(year, month, day, hour, tzinfo=dt.UTC)


def tick_and_build(now: dt.datetime) -> list[str]:
    """Tick and build until nothing more is started; the periods that were started, in order."""
    started = []
    with clock.set_to(now):
        while runs := schedule.tick():
            started += [f"{run.frequency} {run.period_start}" for run in runs]
            build.build_due()
    return started


def test_nothing_worked_nothing_started() -> None:
    make_project(make_client())
    assert tick_and_build(at(2026, 1, 2)) == []


def test_the_month_is_billed_on_its_run_day_not_before() -> None:
    make_work(make_project(make_client()))
    assert tick_and_build(dt.datetime(2025, 12, 31, 22, 59, tzinfo=dt.UTC)) == []
    assert tick_and_build(dt.datetime(2025, 12, 31, 23, 0, tzinfo=dt.UTC)) == ["monthly 2025-12-01"]
    assert InvoiceRun.objects.get().trigger == "schedule"
    assert tick_and_build(at(2026, 1, 31)) == []


def test_a_later_run_day_waits() -> None:
    make_work(make_project(make_client(generation_day=5)))
    assert tick_and_build(at(2026, 1, 4)) == []
    assert tick_and_build(at(2026, 1, 5)) == ["monthly 2025-12-01"]


def test_clients_with_other_run_days_join_the_same_run() -> None:
    make_work(make_project(make_client("Acme")))
    make_work(make_project(make_client("Brio", generation_day=5)))
    assert tick_and_build(at(2026, 1, 1)) == ["monthly 2025-12-01"]
    run = InvoiceRun.objects.get()
    assert [row.client.name for row in run.clients.all()] == ["Acme"]
    assert tick_and_build(at(2026, 1, 5)) == ["monthly 2025-12-01"]
    assert [row.client.name for row in run.clients.all()] == ["Acme", "Brio"]
    assert run.invoices.count() == 2


def test_missed_months_are_caught_up_in_order_and_each_bills_its_own() -> None:
    project = make_project(make_client())
    for month in (9, 11):
        make_work(project, closed=at(2025, month, 10))
    assert tick_and_build(at(2026, 1, 15)) == ["monthly 2025-09-01", "monthly 2025-11-01", "monthly 2025-12-01"]
    runs = InvoiceRun.objects.order_by("period_start")
    assert [run.invoices.count() for run in runs] == [1, 1, 0]
    assert not any(line.is_late for run in runs for invoice in run.invoices.all() for line in invoice.lines.all())


def test_years_of_old_work_make_one_run_not_hundreds() -> None:
    entry = make_work(make_project(make_client()), closed=at(2015, 3, 10))
    entry.state = "invoiced"
    entry.save()
    assert tick_and_build(at(2026, 1, 15)) == ["monthly 2025-12-01"]
    assert ClientSchedule.objects.get().last_run_on == dt.date(2026, 1, 1)


def test_the_next_period_waits_for_the_one_before() -> None:
    project = make_project(make_client())
    for month in (10, 11):
        make_work(project, closed=at(2025, month, 10))
    with clock.set_to(at(2026, 1, 15)):
        assert len(schedule.tick()) == 1
        assert schedule.tick() == []
        build.build_due()
        assert [run.period_start for run in schedule.tick()] == [dt.date(2025, 11, 1)]


def test_weekly_clients_get_every_week() -> None:
    project = make_project(make_client(frequency="weekly"))
    make_work(project, closed=at(2026, 1, 6))
    make_work(project, closed=at(2026, 1, 13))
    assert tick_and_build(at(2026, 1, 19)) == ["weekly 2026-01-05", "weekly 2026-01-12"]


def test_two_weekly_clients_are_caught_up_in_order_and_what_comes_late_is_flagged() -> None:
    anchor = dt.date(2025, 12, 22)
    project = make_project(make_client(frequency="biweekly", anchor_date=anchor))
    make_work(project, closed=at(2025, 12, 23))  # in the first two weeks, over new year
    make_work(project, closed=at(2026, 1, 4))  # their last day
    make_work(project, closed=at(2026, 1, 5))  # in the second
    late = at(2026, 2, 3)
    assert tick_and_build(late) == ["biweekly 2025-12-22", "biweekly 2026-01-05", "biweekly 2026-01-19"]
    runs = list(InvoiceRun.objects.order_by("period_start"))
    assert [sum(invoice.lines.count() for invoice in run.invoices.all()) for run in runs] == [2, 1, 0]

    make_work(project, closed=at(2026, 1, 20))  # known only when its two weeks were billed
    make_work(project, closed=at(2026, 2, 4))
    assert tick_and_build(at(2026, 2, 17))[-1] == "biweekly 2026-02-02"
    last = InvoiceRun.objects.get(period_start=dt.date(2026, 2, 2)).invoices.get()
    assert list(last.lines.order_by("work_date").values_list("is_late", flat=True)) == [True, False]


def test_the_tick_costs_the_same_for_one_client_and_for_ten() -> None:
    counts = []
    for names in (["One"], [f"More {number}" for number in range(9)]):
        for name in names:
            make_work(make_project(make_client(name)), is_synced=True)
        with (
            clock.set_to(at(2025, 12, 20)),
            CaptureQueriesContext(
                connection,
            ) as queries,
        ):
            assert schedule.tick() == []
        counts.append(len(queries))
    assert counts[0] == counts[1]
