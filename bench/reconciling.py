"""The books of years beside those of a month: 100,000 billed entries against 10,000, in time and in memory."""

from __future__ import annotations

import time

from django.db.models import Q

from bench import month
from bench.results import Result, interleaved, middle, peak, reset_peak
from billing_console import clock
from invoicing import build, reconcile
from invoicing.models import Invoice, RunTrigger
from invoicing.run import start_run
from mappings.models import Client

NAMES = ("reconcile_growth_ratio", "reconcile_peak_mb")
CLIENTS, EACH, ROUNDS = 100, 1_000, 3


def run(clients: int = CLIENTS, each: int = EACH, rounds: int = ROUNDS) -> list[Result]:
    """Medians of interleaved rounds of the four identities: over everything, and over a tenth of the clients."""
    with clock.set_to(month.IN_JANUARY):
        month.fill(clients, each)
        start_run("monthly", month.DECEMBER, timezone=month.ZONE, trigger=RunTrigger.SCHEDULE)
        while build.build_due():
            pass
        few = list(Client.objects.order_by("pk").values_list("pk", flat=True)[: clients // 10])
        if Invoice.objects.count() != clients:
            raise RuntimeError(f"{Invoice.objects.count()} invoices for {clients} clients")
        reset_peak()
        everything, tenth = interleaved(rounds, lambda: _seconds(None), lambda: _seconds(few))
    large, small = middle(everything), middle(tenth)
    words = f"{clients * each} entries {large:.1f} s, a tenth of them {small:.2f} s"
    return [
        Result("reconcile_growth_ratio", large / small, ("≤", 12), words),
        Result("reconcile_peak_mb", peak(), ("≤", 300), "resident memory at most, of the process that reconciles"),
    ]


def _seconds(clients: list[int] | None) -> float:
    began = time.perf_counter()
    found = reconcile.check(None, Q(client__in=clients) if clients else None)
    seconds = time.perf_counter() - began
    if not all(identity.is_true for identity in found):
        raise RuntimeError("the books do not balance")
    return seconds
