"""The review page of a draft with 2,000 lines, 100 of them a page, against that of a draft with 20."""

from __future__ import annotations

import time

from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from bench import month
from bench.results import Result, interleaved, middle
from billing_console import clock
from invoicing import build
from invoicing.models import Invoice, RunTrigger
from invoicing.run import start_run

NAMES = ("review_page_ratio", "review_page_queries")
LARGE, SMALL, ROUNDS = 2_000, 20, 15


def run(large: int = LARGE, small: int = SMALL, rounds: int = ROUNDS) -> list[Result]:
    """Medians of interleaved requests of both pages; the second page of the long draft counts as well."""
    with clock.set_to(month.IN_JANUARY):
        month.fill(1, large)
        month.fill(1, small, first=1)
        start_run("monthly", month.DECEMBER, timezone=month.ZONE, trigger=RunTrigger.SCHEDULE)
        while build.build_due():
            pass
        long_one = Invoice.objects.get(client__ninja_id="client0")
        short_one = Invoice.objects.get(client__ninja_id="client1")
        pages = [_address(short_one), _address(long_one), _address(long_one) + "?page=2"]
        browser = _browser()
        queries = [_queries(browser, page) for page in pages]
        taken = interleaved(rounds, *(lambda page=page: _seconds(browser, page) for page in pages))
    if len(set(queries)) != 1:
        raise RuntimeError(f"the pages ask {queries} queries")
    short, first, second = (middle(each) for each in taken)
    words = f"{large} lines {first * 1000:.0f} ms, page 2 {second * 1000:.0f} ms, {small} lines {short * 1000:.0f} ms"
    return [
        Result("review_page_ratio", max(first, second) / short, ("≤", 3), words),
        Result("review_page_queries", queries[0], None, "the same for each of the three"),
    ]


def _address(invoice: Invoice) -> str:
    return reverse("admin:invoicing_invoice_review", args=[invoice.pk])


def _browser() -> Client:
    browser = Client()
    browser.force_login(get_user_model().objects.create_superuser("bench", password=None))
    return browser


def _seconds(browser: Client, address: str) -> float:
    began = time.perf_counter()
    answer = browser.get(address, HTTP_HOST="localhost")
    if answer.status_code != 200:
        raise RuntimeError(f"{address} answered {answer.status_code}")
    return time.perf_counter() - began


def _queries(browser: Client, address: str) -> int:
    _seconds(browser, address)  # whatever is read once per process
    with CaptureQueriesContext(connection) as queries:
        _seconds(browser, address)
    return len(queries)
