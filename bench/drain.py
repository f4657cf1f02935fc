"""How fast closed tasks become proven tasks in Invoice Ninja and a word in Taiga, when every call takes 50 ms."""

from __future__ import annotations

import time

from django.conf import settings

from bench import servers
from bench.office import Office
from bench.results import Result, middle
from billing_console.states import RecordState
from mappings.models import ProjectMapping
from sync import ingest, sweep, tasks, work_items
from sync.marks import Mark, mark_many
from sync.models import FoundBy, RecordKind, RemoteRecord, UpstreamCall, WorkItem
from sync.payloads import read_delivery

NAMES = ("drain_ratio", "calls_per_entry", "calls_per_irrelevant_delivery")
ENTRIES, ROUNDS, SECONDS = 96, 5, 0.05


def run() -> list[Result]:
    """The console's workers with their threads; 5 rounds of 96 closings, medians."""
    rates: list[float] = []
    calls: list[float] = []
    with servers.stand_ins() as urls:
        office = Office(urls)
        sweep.sweep_project(ProjectMapping.objects.get(taiga_project_id=office.project))
        work_items.read_due()
        settings.DOORBELL_ENABLED = True
        with servers.workers():
            for number in range(ROUNDS + 1):
                servers.delay(urls, 0)
                closed = office.open(ENTRIES)
                for task in closed:
                    office.close(task)
                servers.delay(urls, SECONDS)
                rate, per_entry = _drain(office, closed)
                if number:  # the first round warms
                    rates.append(rate)
                    calls.append(per_entry)
    at_once = settings.UPSTREAM_CALLS_AT_A_TIME
    per_entry = middle(calls)
    bound = at_once / (per_entry * SECONDS)
    words = f"{middle(rates):.1f} of {bound:.1f} entries/s, {at_once} calls at a time of {SECONDS * 1000:.0f} ms"
    return [
        Result("drain_ratio", middle(rates) / bound, ("≥", 0.8), words),
        Result("calls_per_entry", per_entry, ("≤", 6), "on the happy path, calls of the journal ÷ entries"),
        Result("calls_per_irrelevant_delivery", _irrelevant(), ("≤", 0), "a changed wiki page"),
    ]


def _drain(office: Office, closed: list[int]) -> tuple[float, float]:
    """(entries a second, calls an entry) from the marks of the deliveries until all is proven."""
    before = UpstreamCall.objects.count()
    began = time.perf_counter()
    mark_many([Mark("T", task, office.project) for task in closed], found_by=FoundBy.WEBHOOK)
    tasks.read_items.delay()
    keys = [f"T{task}" for task in closed]
    done = RemoteRecord.objects.filter(kind=RecordKind.STATUS, our_key__in=keys, state=RecordState.SYNCED)
    until = time.monotonic() + 300
    while done.count() < len(closed):
        if time.monotonic() > until:
            left = WorkItem.objects.filter(is_dirty=True).count()
            raise RuntimeError(f"{done.count()} of {len(closed)} were written back, {left} wait to be read")
        time.sleep(0.05)
    seconds = time.perf_counter() - began
    made = UpstreamCall.objects.count() - before
    return len(closed) / seconds, made / len(closed)


def _irrelevant() -> float:
    before = UpstreamCall.objects.count()
    raw = (
        b'{"action": "change", "type": "wikipage", "by": {"id": 1}, "date": "2025-12-01T10:00:00Z", "data": {"id": 1}}'
    )
    ingest.receive(raw, read_delivery(raw), headers={}, address=None, mapping=None)
    ingest.process_due()
    return float(UpstreamCall.objects.count() - before)
