"""`manage.py demo --exit --json` for real, in a clone of its own: twice, in both of Taiga's modes, after kills.

Each takes one to three minutes, so they run in `make test-long`; `tests/flow` plays the same scenario in process.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from billing_console.env import VARIABLES

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("demo")]

CLONE = Path(__file__).resolve().parents[2]
NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", "var", "static_collected", "__pycache__", ".*_cache", ".hypothesis"
)
SECONDS = 600
IN_THE_MIDDLE = "App icon: closed"
WORDS = {"worker": ("celery", " worker"), "beat": ("celery", " beat"), "postgres": ("bin/postgres", " -D ")}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the sources with data of its own; what it made is removed at the end."""
    copy = tmp_path_factory.mktemp("clone") / "console"
    shutil.copytree(CLONE, copy, ignore=NOT_COPIED)
    yield copy
    subprocess.run([sys.executable, "-m", "billing_console.embedded", "remove"], cwd=copy, check=True, timeout=60)


def start(clone: Path, *extra: str) -> subprocess.Popen[str]:
    """The demo in a process group of its own, on free ports."""
    arguments = ["demo", "--exit", "--json", "--port", "0", "--taiga-port", "0", "--ninja-port", "0", *extra]
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=clone,
        env={name: value for name, value in os.environ.items() if name not in VARIABLES},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def assert_as_expected(demo: subprocess.Popen[str]) -> None:
    """It ends with exit code 0 and no difference, and leaves no process."""
    family = psutil.Process(demo.pid).children(recursive=True) if demo.poll() is None else []
    output, errors = demo.communicate(timeout=SECONDS)
    assert demo.returncode == 0, errors[-2000:]
    summary = json.loads(output)
    assert (summary["differences"], summary["is_as_expected"]) == ([], True)
    assert summary["comparisons"] > 80
    assert [process for process in family if process.is_running()] == []


def wait_for_the_middle(demo: subprocess.Popen[str]) -> None:
    """Until half of December is played."""
    assert demo.stderr is not None
    for line in demo.stderr:
        if IN_THE_MIDDLE in line:
            return
    raise AssertionError("the demo ended before its middle")


def assert_nothing_left(clone: Path) -> None:
    """No process of this clone is alive."""
    left = [
        row
        for row in psutil.process_iter(["cmdline", "cwd"])
        if str(clone) in f"{row.info['cwd']}{row.info['cmdline']}"
    ]
    assert left == []


@pytest.mark.parametrize("mode", ["inline", "async"])
def test_it_ends_as_expected_twice_in_a_row(clone: Path, mode: str) -> None:
    assert_as_expected(start(clone, "--reset", "--taiga-mode", mode))

    assert_as_expected(start(clone, "--taiga-mode", mode))
    assert_nothing_left(clone)


@pytest.mark.parametrize("victim", ["worker", "beat", "postgres"])
def test_it_ends_as_expected_after_a_kill_in_the_middle(clone: Path, victim: str) -> None:
    demo = start(clone, "--reset")
    wait_for_the_middle(demo)

    killed = 0
    for process in psutil.Process(demo.pid).children(recursive=True):
        try:
            line = " ".join(process.cmdline())
        except psutil.NoSuchProcess:  # it ended meanwhile by itself, as sessions of PostgreSQL do
            continue
        if all(word in f"{line} " for word in WORDS[victim]):
            process.kill()
            killed += 1

    assert killed
    assert_as_expected(demo)
    assert_nothing_left(clone)


def test_it_goes_on_after_the_whole_group_was_killed(clone: Path) -> None:
    demo = start(clone, "--reset")
    wait_for_the_middle(demo)
    os.killpg(demo.pid, signal.SIGKILL)
    demo.communicate(timeout=60)
    time.sleep(1)

    assert_as_expected(start(clone))
    assert_nothing_left(clone)
