"""`manage.py console` for real: web, worker and beat come up, heal, and go."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from billing_console.embedded import ServiceUrls, embedded_services
from billing_console.embedded.__main__ import remove_everything
from billing_console.env import VARIABLES
from billing_console.processes import CLONE, choose_free_ports
from billing_console.spawn import is_alive, spawn, stop_process

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("console")]


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceUrls]:
    clone = tmp_path_factory.mktemp("clone")
    with embedded_services("test", clone=clone) as urls:
        yield urls
    remove_everything(clone)


class Console:
    """One console in a process of its own."""

    def __init__(self, var_dir: Path, services: ServiceUrls) -> None:
        (self.port,) = choose_free_ports(1)
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in VARIABLES},
            **services.environment(),
            "DJANGO_SETTINGS_MODULE": "billing_console.settings",
            "ENV_FILE": "",
            "ENVIRONMENT": "sandbox",
            "VAR_DIR": str(var_dir),
        }
        self.log = var_dir.with_suffix(".log")
        with self.log.open("wb") as log:
            self.process = self.start(stdout=log)

    def start(self, stdout: object = subprocess.PIPE) -> subprocess.Popen[bytes]:
        return spawn(
            [sys.executable, "manage.py", "console", "--port", str(self.port)],
            env=self.environment,
            cwd=CLONE,
            stdout=stdout,  # type: ignore[arg-type]
            stderr=subprocess.STDOUT,
        )

    def readiness(self) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return str(json.loads(connection.getresponse().read())["status"])
        except (OSError, http.client.HTTPException):
            return "no answer"
        finally:
            connection.close()

    def children(self) -> dict[str, int]:
        """The living children by what they are."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                words = (entry / "cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if parent == self.process.pid and is_alive(int(entry.name)):
                found[next((name for name in ("gunicorn", "worker", "beat") if name in words), "step")] = int(
                    entry.name
                )
        return found

    def family(self) -> list[int]:
        """All living processes that this console started, gunicorn's own workers too."""
        mark = f"VAR_DIR={self.environment['VAR_DIR']}".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0") and is_alive(int(entry.name)):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found


def wait_until(condition: Callable[[], object], console: Console, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, console.log.read_text()[-3000:]
        time.sleep(0.1)


@pytest.fixture
def console(tmp_path: Path, services: ServiceUrls) -> Iterator[Console]:
    console = Console(tmp_path / "var", services)
    try:
        wait_until(lambda: console.readiness() == "ready" and len(console.children()) == 3, console)
        yield console
    finally:
        stop_process(console.process, seconds=30)
        assert console.family() == []


def test_killed_processes_come_back_and_sigterm_ends_all(console: Console) -> None:
    before = console.children()
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)

    wait_until(
        lambda: console.children().keys() == before.keys() and not {*console.children().values()} & {*before.values()},
        console,
    )
    wait_until(lambda: console.readiness() == "ready", console)

    second = console.start()
    out, _ = second.communicate(timeout=30)
    assert second.returncode == 1
    assert f"Another copy is already running here (process {console.process.pid})." in out.decode()

    console.process.terminate()
    assert console.process.wait(timeout=30) == 0
    assert console.family() == []


def test_ctrl_c_ends_all_and_kill_9_leaves_nothing(console: Console) -> None:
    started = time.monotonic()
    console.process.send_signal(signal.SIGINT)
    assert console.process.wait(timeout=30) == 0
    assert time.monotonic() - started < 15
    assert console.family() == []

    again = Console(Path(console.environment["VAR_DIR"]), ServiceUrls(*_urls(console)))
    wait_until(lambda: again.readiness() == "ready" and len(again.children()) == 3, again)
    again.process.kill()
    again.process.wait()
    wait_until(lambda: not again.family(), again)


def _urls(console: Console) -> tuple[str, str]:
    return console.environment["DATABASE_URL"], console.environment["REDIS_URL"]


def test_production_without_services_is_one_sentence(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}

    answer = subprocess.run(
        [sys.executable, "manage.py", "console", "--port", "0"],
        env={
            **environment,
            "DJANGO_SETTINGS_MODULE": "billing_console.settings",
            "ENV_FILE": "",
            "VAR_DIR": str(tmp_path),
        },
        cwd=CLONE,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert answer.returncode == 1
    assert answer.stderr.strip() == (
        "CommandError: Set DATABASE_URL and REDIS_URL (or try it first with ENVIRONMENT=sandbox, which brings its own)."
    )
