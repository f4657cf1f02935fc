"""`manage.py console` for real: web, worker and beat come up, heal, and go."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from billing_console.embedded import ServiceUrls, embedded_services
from billing_console.embedded.__main__ import remove_everything
from billing_console.embedded.folders import Folders, locate_folders
from billing_console.env import VARIABLES
from billing_console.processes import CLONE, choose_free_ports
from billing_console.spawn import find_processes_in, is_alive, spawn, stop_process

PARTS = ("gunicorn", "worker-1", "worker-2", "beat")

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("console")]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    clone = tmp_path_factory.mktemp("clone")
    yield clone
    remove_everything(clone)


@pytest.fixture(scope="module")
def services(clone: Path) -> Iterator[ServiceUrls]:
    with embedded_services("demo", clone=clone) as urls:
        yield urls


class Console:
    """One console in a process of its own."""

    def __init__(self, var_dir: Path, services: ServiceUrls, env_file: str = "") -> None:
        (self.port,) = choose_free_ports(1)
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in VARIABLES},
            **services.environment(),
            "DJANGO_SETTINGS_MODULE": "billing_console.settings",
            "ENV_FILE": env_file,
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
                found[next((name for name in PARTS if f"{name}@%h" in words or name in words), "step")] = int(
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
        assert console.process.poll() is None, console.log.read_text()[-3000:]
        assert time.monotonic() < deadline, console.log.read_text()[-3000:]
        time.sleep(0.1)


def come_up(tmp_path: Path, services: ServiceUrls, env_file: str = "") -> Console:
    console = Console(tmp_path / "var", services, env_file)
    wait_until(lambda: console.readiness() == "ready" and console.children().keys() == set(PARTS), console, 150)
    return console


def kill_and_wait_for_others(console: Console) -> None:
    before = console.children()
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)

    def are_others() -> bool:
        now = console.children()
        return now.keys() == before.keys() and not {*now.values()} & {*before.values()}

    wait_until(lambda: are_others() and console.readiness() == "ready", console)


def kill_services_and_wait_for_work(console: Console, services: ServiceUrls, folders: Folders) -> None:
    def last_work() -> datetime | None:
        with psycopg.connect(services.database_url) as connection:
            row = connection.execute("SELECT at FROM sync_heartbeat WHERE name = 'worker'").fetchone()
        return row[0] if row else None

    wait_until(last_work, console)
    for pid in (postmaster_of(folders.postgres_data), *find_processes_in(folders.redis_dir)):
        os.kill(pid, signal.SIGKILL)
    killed_at = datetime.now(UTC)

    def works_again() -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            worked_at = last_work()
            return worked_at is not None and worked_at > killed_at and console.readiness() == "ready"
        return False

    wait_until(works_again, console)


def postmaster_of(data: Path) -> int:
    return int((data / "postmaster.pid").read_text().splitlines()[0])


@pytest.mark.long
def test_it_heals_is_alone_and_leaves_nothing(tmp_path: Path, services: ServiceUrls, clone: Path) -> None:
    console = come_up(tmp_path, services)
    try:
        kill_and_wait_for_others(console)
        kill_services_and_wait_for_work(console, services, locate_folders("demo", clone=clone))

        out, _ = console.start().communicate(timeout=60)
        assert f"Another copy is already running here (process {console.process.pid})." in out.decode()

        console.process.send_signal(signal.SIGINT)
        assert console.process.wait(timeout=20) == 0
        assert console.family() == []

        again = come_up(tmp_path, services)
        again.process.kill()
        again.process.wait()
        deadline = time.monotonic() + 20
        while again.family() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert again.family() == []
    finally:
        stop_process(console.process, seconds=30)


@pytest.mark.long
def test_its_parts_keep_one_set_of_settings_and_rest_on_tables_of_another_version(
    tmp_path: Path, services: ServiceUrls
) -> None:
    file = tmp_path / "settings.env"
    file.write_text("TASK_NUMBER_PREFIX=ONE-\n")
    console = come_up(tmp_path, services, str(file))

    def ask(sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(services.database_url, autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def told(what: str, besides: int = 0) -> list[Any]:
        return [row[0] for row in ask(f"SELECT {what} FROM sync_consoleprocess WHERE pid <> {besides} ORDER BY kind")]

    try:
        # Those of the tests before were killed and said no goodbye.
        ask("DELETE FROM sync_consoleprocess")
        wait_until(lambda: told("kind") == ["beat", "web", "web", "worker", "worker"], console)
        assert set(told("trouble")) == {""}

        file.write_text("TASK_NUMBER_PREFIX=TWO-\n")
        killed = console.children()["worker-1"]
        os.kill(killed, signal.SIGKILL)
        said = f"Restart the console: {file} was changed after it was started, and it runs with the old one."
        wait_until(lambda: told("trouble", killed) == [said] * 5, console)
        assert len(set(told("prints ->> 'TASK_NUMBER_PREFIX'"))) == 1

        ask("INSERT INTO django_migrations (app, name, applied) VALUES ('sync', '0999_newer', now())")
        wait_until(lambda: console.readiness() == "not ready", console)
        living = "SELECT bool_and(is_idle) FROM sync_consoleprocess WHERE seen_at > now() - interval '30 s'"
        wait_until(lambda: ask(living) == [(True,)], console)
        stood_at = ask("SELECT at FROM sync_heartbeat WHERE name = 'worker'")
        time.sleep(5)  # two rings of a sandbox
        assert ask("SELECT at FROM sync_heartbeat WHERE name = 'worker'") == stood_at

        ask("DELETE FROM django_migrations WHERE name = '0999_newer'")
        wait_until(lambda: console.readiness() == "ready", console)
        wait_until(lambda: ask("SELECT at FROM sync_heartbeat WHERE name = 'worker'") > stood_at, console)

        console.process.send_signal(signal.SIGINT)
        assert console.process.wait(timeout=20) == 0
        assert told("pid") == [killed]  # the others said goodbye
    finally:
        stop_process(console.process, seconds=30)


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
