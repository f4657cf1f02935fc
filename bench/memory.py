"""Whether a worker grows: its memory after ten times as many entries, without being recycled."""

from __future__ import annotations

import time
from pathlib import Path

from django.conf import settings

from bench import servers
from bench.office import Office
from bench.results import Result
from billing_console.states import RecordState
from mappings.models import ProjectMapping
from sync import sweep, tasks, work_items
from sync.marks import Mark, mark_many
from sync.models import FoundBy, RecordKind, RemoteRecord

NAMES = ("worker_memory_ratio",)
FEW, MANY, AT_ONCE = 200, 2000, 200


def run(few: int = FEW, many: int = MANY) -> list[Result]:
    """Resident memory of the workers after `many` entries ÷ after `few`."""
    with servers.stand_ins() as urls:
        office = Office(urls)
        sweep.sweep_project(ProjectMapping.objects.get(taiga_project_id=office.project))
        work_items.read_due()
        settings.DOORBELL_ENABLED = True
        with servers.workers() as pids:
            done, small = 0, 0
            while done < many:
                _drain(office, AT_ONCE)
                done += AT_ONCE
                small = small or (_resident(pids) if done >= few else 0)
            large = _resident(pids)
    words = f"{large / 1024:.0f} MB after {many} entries, {small / 1024:.0f} MB after {few}"
    return [Result("worker_memory_ratio", large / small, ("≤", 1.1), words)]


def run_long() -> list[Result]:
    """The same for 10,000 entries against 1,000."""
    return run(1000, 10_000)


def _drain(office: Office, count: int) -> None:
    closed = office.open(count)
    for task in closed:
        office.close(task)
    mark_many([Mark("T", task, office.project) for task in closed], found_by=FoundBy.WEBHOOK)
    tasks.read_items.delay()
    keys = [f"T{task}" for task in closed]
    done = RemoteRecord.objects.filter(kind=RecordKind.STATUS, our_key__in=keys, state=RecordState.SYNCED)
    until = time.monotonic() + 300
    while done.count() < count:
        if time.monotonic() > until:
            raise RuntimeError(f"{done.count()} of {count} were written back")
        time.sleep(0.05)


def _resident(pids: list[int]) -> int:
    """Resident memory of these processes together, in KB."""
    return sum(int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) for pid in pids)
