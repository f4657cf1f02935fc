"""Runs: what they claim, what stays out, asking again, and two at once."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal as D
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from billing_console import clock
from billing_console.errors import NotAllowed
from billing_console.states import EntryState, InvoiceState, RunState
from invoicing import build, review
from invoicing.models import Invoice, InvoiceLine, InvoiceRun, RunClient, RunTrigger
from invoicing.run import build_again, refresh_draft, refresh_run, start_run
from mappings.rules import month
from sync.models import ProjectSweep, RemoteRecord, TimeEntry, Transition
from tests.invoicing.world import (
    DECEMBER,
    IN_JANUARY,
    JANUARY,
    ZONE,
    built,
    change_hours,
    make_client,
    make_project,
    make_user,
    make_work,
    on_screen,
    prove,
    sweep_project,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _in_january() -> Iterator[None]:
    with clock.set_to(IN_JANUARY):
        yield


def states(run: InvoiceRun) -> dict[str, str]:
    return {row.client.name: row.state for row in run.clients.select_related("client")}


def test_the_scenarios_api_draft_to_the_cent() -> None:
    project = make_project(make_client())
    for hours, rate in (("2.6", "85"), ("1", "75"), ("2.3", "95")):
        make_work(project, hours, rate=D(rate))
    run = built()
    invoice = run.invoices.get()
    assert (invoice.net, invoice.tax, invoice.gross) == (D("546.25"), D("114.71"), D("660.96"))
    assert (invoice.raw_hours, invoice.billed_hours) == (D("5.9"), D("6.25"))
    assert (run.state, invoice.state, invoice.terms) == ("in_review", "draft", "Payment due within 30 days")
    assert set(TimeEntry.objects.values_list("state", flat=True)) == {EntryState.CLAIMED}


def test_the_period_ends_at_local_midnight() -> None:
    project = make_project(make_client())
    last = make_work(project, closed=dt.datetime(2025, 12, 31, 22, 59, 59, tzinfo=dt.UTC))
    first = make_work(project, closed=dt.datetime(2025, 12, 31, 23, 0, 0, tzinfo=dt.UTC))
    built()
    last.refresh_from_db()
    first.refresh_from_db()
    assert (last.state, first.state) == (EntryState.CLAIMED, EntryState.READY)


def test_lines_are_frozen_words_in_order_and_late_ones_flagged() -> None:
    client = make_client()
    web, api = make_project(client, "Webshop"), make_project(client, "Api")
    make_work(web, ref=9, subject="Report for :MONTH")
    make_work(web, ref=2, closed=dt.datetime(2025, 11, 30, 12, tzinfo=dt.UTC))
    make_work(api, ref=12)
    invoice = built().invoices.get()
    lines = list(invoice.lines.order_by("position"))
    assert [(line.position, line.project_name, line.ref, line.is_late) for line in lines] == [
        (1, "Api", 12, False),
        (2, "Webshop", 2, True),
        (3, "Webshop", 9, False),
    ]
    assert lines[2].notes == "Task #9: Report for \u2236MONTH"
    assert {line.person_name for line in lines} == {"Alice Adams"}
    assert (lines[0].raw_hours, lines[0].billed_hours, lines[0].rate, lines[0].amount) == (
        D("2.1"),
        D("2.25"),
        D(95),
        D("213.75"),
    )
    assert lines[0].facts["ref"] == 12


def test_every_claim_leaves_a_transition() -> None:
    entry = make_work(make_project(make_client()))
    built()
    trail = Transition.objects.filter(model="sync.timeentry", row_id=entry.pk).order_by("id")
    assert [(row.from_state, row.to_state) for row in trail] == [("", "ready"), ("ready", "claimed")]


def test_unsynced_entries_stay_out_and_are_told() -> None:
    project = make_project(make_client())
    make_work(project)
    waiting = make_work(project, is_synced=False)
    RemoteRecord.objects.filter(entry=waiting).update(state="attention")
    run = built()
    assert run.invoices.get().lines.count() == 1
    assert "1 entry is not in Invoice Ninja yet" in run.clients.get().sentence


def test_a_push_on_its_way_is_waited_for_then_billed_without() -> None:
    project = make_project(make_client())
    make_work(project)
    make_work(project, is_synced=False)
    run = built()
    row = run.clients.get()
    assert (run.state, row.state, row.sentence) == ("building", "waiting", "Writing 1 task into Invoice Ninja.")
    RunClient.objects.update(asked_at=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    build.build_due()
    assert run.invoices.get().lines.count() == 1


def test_one_invoice_per_currency_and_project() -> None:
    client = make_client(grouping="project")
    make_work(make_project(client, "Webshop"))
    make_work(make_project(client, "Api"))
    run = built()
    assert sorted(run.invoices.values_list("net", flat=True)) == [D("213.75"), D("213.75")]
    assert run.invoices.exclude(group_key="").count() == 2


@pytest.mark.parametrize(
    ("start", "end", "name"),
    [
        (dt.date(2025, 12, 1), dt.date(2026, 1, 1), "Acme Corp, December 2025"),
        (dt.date(2025, 10, 6), dt.date(2025, 10, 13), "Acme Corp, week 41 of 2025"),
        (dt.date(2025, 9, 29), dt.date(2025, 10, 13), "Acme Corp, 29 Sep – 12 Oct 2025"),
    ],
)
def test_an_invoice_is_called_by_its_client_and_period(start: dt.date, end: dt.date, name: str) -> None:
    assert str(Invoice(client=make_client(), period_start=start, period_end=end)) == name


def test_a_total_of_zero_makes_no_invoice() -> None:
    project = make_project(make_client())
    entry = make_work(project)
    TimeEntry.objects.filter(pk=entry.pk).update(rate=0, amount=0)
    run = built()
    entry.refresh_from_db()
    assert (run.invoices.count(), entry.state, states(run)) == (0, EntryState.READY, {"Acme Corp": "empty"})
    assert run.state == RunState.DONE


def test_a_client_without_work_is_empty_and_the_run_done() -> None:
    make_project(make_client())
    run = built()
    assert (states(run), run.state) == ({"Acme Corp": "empty"}, "done")
    assert run.finished_at is not None


def test_a_client_that_was_not_swept_since_the_period_fails_alone_and_mends_itself(settings: Any) -> None:
    settings.TAIGA_API, settings.TAIGA_TOKEN = "http://127.0.0.1:9/api/v1", "sandbox-taiga-token"  # nobody listens
    good, bad = make_project(make_client("Good")), make_project(make_client("Bad"))
    make_work(good)
    make_work(bad)
    sweep_project(bad, dt.datetime(2025, 12, 31, 22, 0, tzinfo=dt.UTC), error="Taiga cannot be reached.")
    run = built()
    assert states(run) == {"Good": "built", "Bad": "failed"}
    sentence = run.clients.get(client__name="Bad").sentence
    assert sentence.startswith("Webshop could not be swept: Taiga cannot be reached")
    assert run.state == RunState.IN_REVIEW
    assert ProjectSweep.objects.get(project=bad).census_wanted  # by the next sweep, not by the one of the day
    sweep_project(bad, IN_JANUARY)
    build.build_due()
    assert states(run) == {"Good": "built", "Bad": "built"}


def test_whatever_goes_wrong_with_one_client_the_others_are_built() -> None:
    for name in ("Acme", "Bad", "Coop"):
        make_work(make_project(make_client(name)))
    # A row that no code of ours would write: the rules of one client cannot be applied.
    from mappings.models import RuleSet

    RuleSet.objects.filter(client__name="Bad").update(payment_terms="whenever")
    run = built()
    assert states(run) == {"Acme": "built", "Bad": "failed", "Coop": "built"}
    assert "The drafts could not be built (ValueError)" in run.clients.get(client__name="Bad").sentence
    RuleSet.objects.filter(client__name="Bad").update(payment_terms="net30")
    build.build_due()
    assert states(run) == {"Acme": "built", "Bad": "built", "Coop": "built"}
    assert InvoiceLine.objects.count() == 3


def test_many_ordinary_clients_cost_the_statements_of_one() -> None:
    def make(count: int) -> None:
        for _ in range(count):
            make_work(make_project(make_client()))

    make(1)
    start_run("monthly", DECEMBER, timezone=ZONE, trigger=RunTrigger.PERSON)
    with CaptureQueriesContext(connection) as one:
        assert build.build_due() == 1
    make(20)
    start_run("monthly", month(2026, 1), timezone=ZONE, trigger=RunTrigger.PERSON, is_early=True)
    with CaptureQueriesContext(connection) as many:
        assert build.build_due() == 21
    assert len(many) <= len(one) + 1  # the first client has nothing left: one more word for that
    assert Invoice.objects.filter(net=D("213.75")).count() == 21


def test_clients_that_come_to_nothing_do_not_stop_those_that_are_built_with_them() -> None:
    for name in ("Acme", "Zero", "Coop"):
        entry = make_work(make_project(make_client(name)))
        if name == "Zero":
            TimeEntry.objects.filter(pk=entry.pk).update(rate=0, amount=0)
    run = built()
    assert states(run) == {"Acme": "built", "Zero": "empty", "Coop": "built"}
    assert "come to 0.00" in run.clients.get(client__name="Zero").sentence


def test_entries_without_a_project_get_a_draft_of_their_own_where_each_project_has_one() -> None:
    client = make_client(grouping="project")
    make_work(make_project(client, "Webshop"))
    entry = make_work(make_project(client, "Gone"), "1.0")
    TimeEntry.objects.filter(pk=entry.pk).update(project=None)
    run = built()
    assert sorted(run.invoices.values_list("group_key", "net"))[0] == ("", D("95.00"))
    assert InvoiceLine.objects.count() == 2


def test_build_again_asks_for_a_failed_client() -> None:
    project = make_project(make_client())
    make_work(project)
    sweep_project(project, dt.datetime(2025, 12, 1, tzinfo=dt.UTC), error="Taiga cannot be reached.")
    run = built()
    sweep_project(project, IN_JANUARY)
    build_again(run.clients.get(), user=make_user())
    assert states(run) == {"Acme Corp": "waiting"}
    build.build_due()
    assert states(run) == {"Acme Corp": "built"}


def test_running_again_adds_what_is_new_and_doubles_nothing() -> None:
    project = make_project(make_client())
    make_work(project)
    first = built()
    make_work(project, "1.0")
    again = built()
    assert again.pk == first.pk
    invoice = first.invoices.get()
    assert (invoice.net, invoice.lines.count(), invoice.revision) == (D("308.75"), 2, 3)


def test_after_approval_running_again_changes_nothing() -> None:
    project = make_project(make_client())
    make_work(project)
    run = built()
    invoice = review.approve(run.invoices.get(), revision=2, user=make_user())
    late = make_work(project, "1.0")
    refresh_run(run)
    build.build_due()
    late.refresh_from_db()
    invoice.refresh_from_db()
    assert (invoice.net, invoice.state, late.state) == (D("213.75"), "approved", "ready")
    assert "95.00" in run.clients.get().sentence
    assert Invoice.objects.count() == 1


def test_an_excluded_line_stays_out_of_this_run_and_joins_the_next() -> None:
    project = make_project(make_client())
    make_work(project)
    entry = make_work(project, "1.0")
    run = built()
    invoice = run.invoices.get()
    review.exclude_line(
        invoice.lines.get(entry=entry),
        seen=on_screen(invoice.lines.get(entry=entry)),
        user=make_user(),
        reason="Asked for by Acme",
    )
    refresh_run(run)
    build.build_due()
    entry.refresh_from_db()
    assert (entry.state, entry.reason) == ("held", "next_run")
    with clock.set_to(dt.datetime(2026, 2, 1, 9, tzinfo=dt.UTC)):
        january = built(JANUARY)
    line = january.invoices.get().lines.get()
    assert (line.entry_id, line.is_late, line.amount) == (entry.pk, True, D("95.00"))


def test_a_stale_draft_is_refreshed_with_what_taiga_says_now() -> None:
    project = make_project(make_client())
    make_work(project, "1.0", ref=1)
    entry = make_work(project, "2.1", ref=45)
    run = built()
    change_hours(entry, "3.1")
    invoice = run.invoices.get()
    assert invoice.is_stale
    assert "#45" in invoice.stale_sentence
    refresh_draft(invoice)
    build.build_due()
    assert states(run) == {"Acme Corp": "waiting"}  # its task must be written again first
    prove(entry)
    build.build_due()
    invoice.refresh_from_db()
    assert (invoice.is_stale, invoice.stale_sentence, invoice.net) == (False, "", D("403.75"))
    assert invoice.lines.get(entry=entry).billed_hours == D("3.25")


def test_an_edited_text_outlives_the_refresh() -> None:
    project = make_project(make_client())
    entry = make_work(project, "2.1", ref=45)
    make_work(project, "1")
    run = built()
    user = make_user()
    review.edit_text(
        run.invoices.get().lines.get(entry=entry),
        seen=on_screen(run.invoices.get().lines.get(entry=entry)),
        user=user,
        text="Payments",
        reason="Shorter",
    )
    change_hours(entry, "3.1")
    refresh_run(run)
    build.build_due()
    prove(entry)
    build.build_due()
    line = run.invoices.get().lines.get(entry=entry)
    assert (line.notes, line.original_notes, line.edit_reason, line.edited_by, line.billed_hours) == (
        "Payments",
        "Task #45: Implement payment gateway",
        "Shorter",
        user,
        D("3.25"),
    )


def test_a_draft_from_which_everything_left_is_taken_away() -> None:
    entry = make_work(make_project(make_client()))
    run = built()
    item = entry.item
    item.attributes = {**item.attributes, "billable": False}
    item.save()
    from sync import entries

    entries.evaluate(item)
    refresh_run(run)
    build.build_due()
    entry.refresh_from_db()
    run.refresh_from_db()
    assert (run.invoices.get().state, entry.state, run.state) == ("rejected", "void", "done")


def test_a_period_that_is_not_over_must_be_asked_for() -> None:
    make_work(make_project(make_client()))
    with pytest.raises(NotAllowed, match="is not over"):
        start_run("monthly", JANUARY, timezone=ZONE, trigger=RunTrigger.PERSON)
    run = start_run("monthly", JANUARY, timezone=ZONE, trigger=RunTrigger.PERSON, is_early=True)
    assert run.requested_at == IN_JANUARY


def test_an_early_run_waits_for_a_sweep_after_the_request() -> None:
    project = make_project(make_client())
    make_work(project)
    sweep_project(project, IN_JANUARY - dt.timedelta(seconds=1), error="Taiga cannot be reached.")
    run = built(JANUARY, is_early=True)
    assert states(run) == {"Acme Corp": "failed"}
    sweep_project(project, IN_JANUARY)
    build.build_due()
    assert states(run) == {"Acme Corp": "built"}


def test_a_supplement_is_a_second_invoice_with_a_reason() -> None:
    project = make_project(make_client())
    make_work(project)
    run = built()
    review.approve(run.invoices.get(), revision=2, user=make_user())
    make_work(project, "1.0")
    with pytest.raises(NotAllowed):
        start_run("monthly", DECEMBER, timezone=ZONE, trigger=RunTrigger.PERSON, is_supplement=True)
    extra = built(is_supplement=True, reason="Forgotten in December")
    assert (extra.sequence, extra.invoices.get().net, extra.invoices.get().sequence) == (2, D("95.00"), 2)


def test_supplements_are_numbered_and_none_is_started_twice() -> None:
    project = make_project(make_client())
    make_work(project)
    run = built()
    review.approve(run.invoices.get(), revision=2, user=make_user())
    for number in (2, 3):
        make_work(project, "1.0")
        extra = built(is_supplement=True, reason="More", expected_sequence=number)
        review.approve(extra.invoices.get(), revision=2, user=make_user())
        assert extra.sequence == number
    with pytest.raises(NotAllowed, match="Supplement 3 was started already"):
        built(is_supplement=True, reason="More", expected_sequence=3)
    with pytest.raises(NotAllowed, match="nothing to supplement"):
        built(JANUARY, is_supplement=True, reason="More", is_early=True)
    assert sorted(Invoice.objects.values_list("sequence", "net")) == [(1, D("213.75")), (2, D(95)), (3, D(95))]


def test_a_supplement_bills_what_was_put_off_from_the_invoice_before() -> None:
    project = make_project(make_client())
    make_work(project)
    entry = make_work(project, "1.0")
    run = built()
    invoice = run.invoices.get()
    review.exclude_line(
        invoice.lines.get(entry=entry),
        seen=on_screen(invoice.lines.get(entry=entry)),
        user=make_user(),
        reason="Not yet",
    )
    review.approve(invoice, revision=3, user=make_user())
    extra = built(is_supplement=True, reason="Now it may")
    assert extra.invoices.get().lines.get().entry_id == entry.pk


def test_clients_of_another_frequency_or_zone_are_not_in_the_run() -> None:
    make_work(make_project(make_client("Monthly")))
    make_work(make_project(make_client("Weekly", frequency="weekly")))
    make_work(make_project(make_client("Lima", billing_timezone="America/Lima")))
    assert states(built()) == {"Monthly": "built"}


def test_the_database_refuses_a_second_line_for_an_entry() -> None:
    entry = make_work(make_project(make_client()))
    invoice = built().invoices.get()
    with pytest.raises(IntegrityError), transaction.atomic():
        InvoiceLine.objects.create(
            invoice=invoice, entry=entry, notes="again", raw_hours=1, billed_hours=1, rate=1, amount=1
        )


def test_a_run_without_a_client_is_done_at_once() -> None:
    run = start_run("monthly", month(2025, 11), timezone=ZONE, trigger=RunTrigger.PERSON)
    run.refresh_from_db()
    assert run.state == RunState.DONE


def at_once(act: Callable[[], object]) -> list[BaseException]:
    """Do it in two threads at the same moment; returns what they raised."""
    start = threading.Barrier(2)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            start.wait(10)
            act()
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return failures


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_builder_that_dies_anywhere_leaves_one_set_of_drafts_to_the_next() -> None:
    for name in ("Acme", "Brio"):
        project = make_project(make_client(name))
        for _ in range(3):
            make_work(project)
    run = start_run("monthly", DECEMBER, timezone=ZONE, trigger=RunTrigger.PERSON)

    for statement in ('INSERT INTO "invoicing_invoice"', "WITH due AS", "WITH printed AS", '"built_at" ='):
        died: list[str] = []

        def die(execute: Any, sql: str, *args: Any, at: str = statement, died: list[str] = died) -> Any:
            if at in sql:
                died.append(sql)
                raise KeyboardInterrupt
            return execute(sql, *args)

        with connection.execute_wrapper(die), pytest.raises(KeyboardInterrupt):
            build.build_due()
        assert died
        assert not Invoice.objects.exists()
        assert set(TimeEntry.objects.values_list("state", flat=True)) == {"ready"}

    build.build_due()
    build.build_due()
    assert states(run) == {"Acme": "built", "Brio": "built"}
    assert (Invoice.objects.count(), InvoiceLine.objects.count()) == (2, 6)
    assert Transition.objects.filter(model="sync.timeentry", to_state="claimed").count() == 6


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_two_supplements_started_at_once_are_one() -> None:
    project = make_project(make_client())
    make_work(project)
    run = built()
    review.approve(run.invoices.get(), revision=2, user=make_user())
    make_work(project, "1.0")

    def start() -> None:
        with clock.set_to(IN_JANUARY):
            built(is_supplement=True, reason="More", expected_sequence=2)

    failures = at_once(start)
    assert [type(failure) for failure in failures] == [NotAllowed]
    assert sorted(Invoice.objects.values_list("sequence", "net")) == [(1, D("213.75")), (2, D(95))]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_two_builders_at_once_make_one_set_of_drafts() -> None:
    for name in ("Acme", "Brio"):
        project = make_project(make_client(name))
        for _ in range(5):
            make_work(project)
    run = start_run("monthly", DECEMBER, timezone=ZONE, trigger=RunTrigger.PERSON)
    assert at_once(build.build_due) == []
    assert states(run) == {"Acme": "built", "Brio": "built"}
    assert Invoice.objects.filter(state=InvoiceState.DRAFT).count() == 2
    assert InvoiceLine.objects.count() == 10
    assert Transition.objects.filter(model="sync.timeentry", to_state="claimed").count() == 10


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_hours_changed_in_the_middle_of_a_claim_are_never_billed_as_they_were() -> None:
    entry = make_work(make_project(make_client()), "2.1")
    run = start_run("monthly", DECEMBER, timezone=ZONE, trigger=RunTrigger.PERSON)
    claimer = threading.Thread(target=lambda: (build.build_due(), connection.close()))
    with transaction.atomic():
        change_hours(entry, "3.1")  # locks entry and record, wants its task written again
        claimer.start()
        claimer.join(1)
        assert claimer.is_alive()
    claimer.join(30)
    entry.refresh_from_db()
    assert (entry.state, entry.billed_hours) == (EntryState.READY, D("3.25"))
    assert run.invoices.count() == 0
