"""1,000 created invoices, one confirmation: how many calls are in the air while they are mailed, each of 100 ms?"""

from __future__ import annotations

import re
import time
from datetime import date
from decimal import Decimal

from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client as Browser
from django.urls import reverse

from bench import servers
from bench.office import Office
from bench.results import Result
from billing_console.states import InvoiceState
from invoicing import content, creating, tasks
from invoicing.models import Invoice, InvoiceLine, InvoiceRun, Sending
from mappings.lookups import rule_sets_for
from mappings.models import Client
from mappings.rules import month
from sandbox import scenario
from sandbox.player import Http

NAMES = ("send_in_flight_ratio", "send_calls", "send_confirm_seconds")
INVOICES, SECONDS = 1000, 0.1
DECEMBER = month(2025, 12)


def run() -> list[Result]:
    """Once: asked for as a person does, by the confirm page; the stand-in counts calls in flight and mails."""
    with servers.stand_ins() as urls:
        Office(urls)
        make_invoices(INVOICES)
        settings.DOORBELL_ENABLED = True
        with servers.workers():
            tasks.create_invoices.delay()
            _wait_for(InvoiceState.CREATED)
            servers.delay(urls, SECONDS)
            seconds = _confirm()
            before, began = Http(urls[1]).get("/sandbox/state.json")["calls"], time.perf_counter()
            _wait_for(InvoiceState.SENT)
            taken = time.perf_counter() - began
            state = Http(urls[1]).get("/sandbox/state.json")
    _check_mails(state["mails"])
    in_flight = float(state["calls"]["busy_seconds"] - before["busy_seconds"]) / taken
    calls = (state["calls"]["total"] - before["total"]) / INVOICES
    at_once = settings.UPSTREAM_CALLS_AT_A_TIME
    words = f"{in_flight:.2f} of {at_once} calls in flight on average, {INVOICES} invoices in {taken:.0f} s"
    return [
        Result("send_in_flight_ratio", in_flight / at_once, ("≥", 0.85), words),
        Result("send_calls", calls, ("≤", 6.1), "calls for each invoice sent, one of them the mail"),
        Result("send_confirm_seconds", seconds, None, f"the click on “Send {INVOICES} invoices”"),
    ]


def make_invoices(count: int) -> None:
    """Approved December invoices of one client, one line of 100.00 each, that wait for their creation."""
    client = Client.objects.get(ninja_id=scenario.WEBSITE.client_id)
    rule_set = rule_sets_for({client.pk})[client.pk]
    rule_set.tax_decision, rule_set.tax_name, rule_set.tax_rate = "tax", "VAT", Decimal(21)
    start, end = DECEMBER.start, DECEMBER.end
    period = {"period_start": start, "period_end": end, "timezone": "Europe/Brussels"}
    run = InvoiceRun.objects.create(
        frequency="monthly", **period, trigger="command", requested_at="2026-01-02T09:00:00Z", state="done"
    )
    for number in range(1, count + 1):
        invoice = Invoice(run=run, client=client, currency="EUR", **period, sequence=number, state="approved")
        content.apply_rules(invoice, rule_set)
        invoice.invoice_date, invoice.due_date, invoice.seal = date(2026, 1, 2), date(2026, 2, 1), "-"
        invoice.save()
        InvoiceLine.objects.create(
            invoice=invoice,
            notes=f"Work {number}",
            raw_hours=1,
            billed_hours=Decimal("1.00"),
            rate=Decimal(100),
            amount=Decimal(100),
        )
        content.retotal(invoice)
        invoice.seal = content.seal_of(invoice)
        invoice.save(update_fields=["seal"])
        creating.request_invoice(invoice)


def _confirm() -> float:
    """Seconds that the page takes on which a person confirms that all are sent."""
    browser = Browser(headers={"host": "localhost"})
    browser.force_login(get_user_model().objects.create_superuser("bench", password=None))
    ids = list(Invoice.objects.values_list("pk", flat=True))
    question = browser.post(reverse("admin:invoicing_invoice_send_select"), {"invoice": ids})
    address = question.headers["Location"]
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', browser.get(address).content.decode())
    began = time.perf_counter()
    answer = browser.post(address, dict(hidden))
    if answer.status_code != 302 or Sending.objects.count() != len(ids):
        raise RuntimeError(f"{Sending.objects.count()} of {len(ids)} were asked for")
    return time.perf_counter() - began


def _wait_for(state: InvoiceState) -> None:
    until = time.monotonic() + 600
    while left := Invoice.objects.exclude(state=state).count():
        if time.monotonic() > until:
            raise RuntimeError(f"{left} of {INVOICES} are not {state}")
        time.sleep(0.2)


def _check_mails(mails: list[dict[str, str]]) -> None:
    """One mail each, whatever the speed."""
    invoices = [mail["invoice_id"] for mail in mails]
    if len(invoices) != INVOICES or len(set(invoices)) != INVOICES:
        raise RuntimeError(f"{len(invoices)} mails left for {len(set(invoices))} of {INVOICES} invoices")
