from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from sync import discovery, upstreams
from tests.standins import World

PASSED_ON = (
    "TAIGA_API",
    "TAIGA_USERNAME",
    "TAIGA_PASSWORD",
    "TAIGA_TOKEN",
    "INVOICE_NINJA_API",
    "INVOICE_NINJA_TOKEN",
    "LOOK_UP_AFTER_SECONDS",
    "RETRY_BASE_SECONDS",
)


@dataclass
class Nursery:
    """Runs functions in processes of their own, which may be killed at a given moment."""

    process: subprocess.Popen[str]

    def run(
        self,
        call: str,
        *args: Any,
        die_at: tuple[str, str, str, str] | None = None,
        freeze_at: tuple[str, int, str] | None = None,
        stop_at: tuple[str, str, int, str] | None = None,
        lacks_at: tuple[str, str, int, str] | None = None,
        middle: Callable[[int], None] | None = None,
    ) -> int:
        """Run `call`; `middle` is given the pid while it works. Returns the exit code, -9 for a kill.

        `freeze_at` and `stop_at` are points as `nursery` has them, the second with its signal, SIGINT or SIGTERM,
        and `lacks_at` with what it lacks, EMFILE or MemoryError.
        """
        order = {
            "call": call,
            "args": args,
            "die_at": die_at,
            "strike_at": ("SIGSTOP", *freeze_at) if freeze_at else stop_at or lacks_at,
            "database": connection.settings_dict["NAME"],
            "settings": {name: getattr(settings, name) for name in PASSED_ON},
        }
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        pid = self._answer()["pid"]
        if middle is not None:
            middle(pid)
        return int(self._answer()["code"])

    def _answer(self) -> dict[str, int]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the nursery died"
        answer: dict[str, int] = json.loads(line)
        return answer


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """One process that forks all workers of the session."""
    yield from hired()


@pytest.fixture(scope="session")
def second_nursery() -> Iterator[Nursery]:
    """One more, whose worker runs at the same time."""
    yield from hired()


def hired() -> Iterator[Nursery]:
    """A nursery, closed at the end."""
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.crash.nursery"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    yield Nursery(process)
    assert process.stdin is not None
    process.stdin.close()
    process.wait(timeout=10)


@pytest.fixture
def near(world: World) -> World:
    """The world, where both servers and what they hold are known already: only the writes themselves are new."""
    upstreams.check_pin("taiga")
    upstreams.check_pin("invoice_ninja")
    discovery.ensure_fresh()
    return world


def kill_when(is_done: Callable[[], bool], by: signal.Signals = signal.SIGKILL) -> Callable[[int], None]:
    """For `run(middle=…)`: kill the process as soon as `is_done`, at most ten seconds later, or send it `by`."""

    def middle(pid: int) -> None:
        wait_for(is_done)
        os.kill(pid, by)

    return middle


def is_frozen(pid: int) -> bool:
    """Wait until the process froze (True) or ended; fails after ten seconds."""
    until = time.monotonic() + 10
    while (state := _state_of(pid)) not in ("T", "Z", ""):
        assert time.monotonic() < until, "it neither froze nor ended"
        time.sleep(0.02)
    return state == "T"


def _state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def wait_for(is_done: Callable[[], bool]) -> None:
    """Wait until `is_done`; fails after ten seconds."""
    until = time.monotonic() + 10
    while not is_done():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)
