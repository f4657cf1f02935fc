"""A month end: 100,000 entries of 1,000 clients into drafts, against the bare claim-and-insert over the same rows."""

from __future__ import annotations

import time

from django.db import connection, transaction

from bench import month
from bench.results import Result, interleaved, middle, peak, reset_peak
from billing_console import clock
from billing_console.states import InvoiceState
from invoicing import build
from invoicing.models import Invoice, InvoiceLine, InvoiceRun, RunTrigger
from invoicing.run import start_run
from mappings.lookups import rule_sets_for
from mappings.models import Client

NAMES = ("run_sql_ratio", "run_growth_ratio", "run_peak_mb", "run_seconds")
CLIENTS, EACH, ROUNDS, SECONDS = 1_000, 100, 5, 100
# design.md, The flow as rows: a run claims first and writes lines from what it claimed, in one statement.
_BARE = """
    WITH c AS (
        UPDATE sync_timeentry SET state = 'claimed', state_since = now()
        WHERE state = 'ready' AND work_date < %s
        RETURNING *
    ) INSERT INTO invoicing_invoiceline (
        invoice_id, entry_id, position, project_name, person_name, notes, original_notes, edit_reason, meaning,
        adjust_reason, dropped_sentence, work_date, raw_hours, billed_hours, rate, amount, facts, is_late,
        change_sentence, is_voided, void_reason, is_waiting, became
    ) SELECT invoice.id, c.id, 0, '', '', '', '', '', '', '', '', c.work_date, c.raw_hours, c.billed_hours,
        c.rate, c.amount, c.facts, false, '', false, '', false, ''
    FROM c JOIN invoicing_invoice AS invoice ON invoice.client_id = c.client_id
"""


def run(clients: int = CLIENTS, each: int = EACH, rounds: int = ROUNDS) -> list[Result]:
    """Medians of five interleaved rounds, three on a slow machine: all clients, a tenth of them, the bare statement."""
    with clock.set_to(month.IN_JANUARY):
        month.fill(clients, each)
        few = list(Client.objects.order_by("pk")[: clients // 10])
        build_all(few, each)  # plans and caches are warm for every round
        everybody = list(Client.objects.order_by("pk"))
        reset_peak()
        ours, tenth, bare = interleaved(
            rounds,
            lambda: build_all(everybody, each),
            lambda: build_all(few, each),
            lambda: claim_bare(clients, each),
            within=SECONDS,
        )
    most = peak()
    large, small, least = middle(ours), middle(tenth), middle(bare)
    words = f"{clients * each} entries of {clients} clients, median of {len(ours)}"
    return [
        Result("run_sql_ratio", large / least, ("≤", 3), f"{words}: {large:.1f} s, bare {least:.1f} s"),
        Result("run_growth_ratio", large / small, ("≤", 12), f"{large:.1f} s, a tenth of it {small:.2f} s"),
        Result("run_peak_mb", most, ("≤", 300), "resident memory at most, of the process that builds"),
        Result("run_seconds", large, None, words),
    ]


def build_all(chosen: list[Client], each: int) -> float:
    """Seconds from the start of the run until every draft stands; checked, then undone."""
    began = time.perf_counter()
    start_run("monthly", month.DECEMBER, timezone=month.ZONE, trigger=RunTrigger.SCHEDULE, clients=chosen)
    while build.build_due():
        pass
    seconds = time.perf_counter() - began
    _check(len(chosen), each)
    if Invoice.objects.filter(state=InvoiceState.DRAFT, net__gt=0).count() != len(chosen):
        raise RuntimeError("some draft holds nothing")
    month.bill_nothing()
    return seconds


def claim_bare(clients: int, each: int) -> float:
    """Seconds of the one statement over the same rows, into invoices that stand already."""
    _make_invoices()
    began = time.perf_counter()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_BARE, [month.DECEMBER.end])
    seconds = time.perf_counter() - began
    _check(clients, each)
    month.bill_nothing()
    return seconds


def _make_invoices() -> None:
    run = InvoiceRun.objects.create(
        frequency="monthly",
        period_start=month.DECEMBER.start,
        period_end=month.DECEMBER.end,
        timezone=month.ZONE,
        trigger=RunTrigger.SCHEDULE,
        requested_at=clock.now(),
    )
    rules = rule_sets_for(set(Client.objects.values_list("pk", flat=True)))
    Invoice.objects.bulk_create(
        Invoice(
            run=run,
            client_id=client,
            rule_set=rule_set,
            currency="EUR",
            period_start=run.period_start,
            period_end=run.period_end,
            timezone=run.timezone,
            tax_decision="tax",
            product_key="Consulting",
        )
        for client, rule_set in rules.items()
    )


def _check(clients: int, each: int) -> None:
    if InvoiceLine.objects.count() != clients * each or Invoice.objects.count() != clients:
        raise RuntimeError(f"{InvoiceLine.objects.count()} lines on {Invoice.objects.count()} invoices")
