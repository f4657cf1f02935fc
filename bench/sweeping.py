"""A project of 10,000 tasks of which 10 were closed without a delivery: what does it cost to find them?"""

from __future__ import annotations

import time

from bench import servers
from bench.office import Office
from bench.results import Result
from mappings.models import ProjectMapping
from sync import sweep
from sync.models import UpstreamCall

NAMES = ("sweep_calls", "sweep_seconds")
TASKS, CHANGED = 10_000, 10


def run() -> list[Result]:
    """Once: the timeline to the last seen entry and the comparison of the whole project."""
    with servers.stand_ins() as urls:
        office = Office(urls)
        tasks = office.open(TASKS)
        mapping = ProjectMapping.objects.get(taiga_project_id=office.project)
        sweep.sweep_project(mapping, has_census=True)
        for task in tasks[:: TASKS // CHANGED]:
            office.close(task)
        before, began = UpstreamCall.objects.count(), time.perf_counter()
        result = sweep.sweep_project(mapping, has_census=True)
        seconds = time.perf_counter() - began
    if result.error or result.marked != CHANGED:
        raise RuntimeError(f"{result.marked} of {CHANGED} were found; {result.error}")
    calls = UpstreamCall.objects.count() - before
    words = f"{TASKS} tasks, {CHANGED} changed"
    return [Result("sweep_calls", calls, None, words), Result("sweep_seconds", seconds, None, words)]
