"""Run both servers for as long as a block lasts, and keep them running meanwhile."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from billing_console.embedded.folders import (
    CLONE,
    EmbeddedError,
    Purpose,
    clear_leftovers,
    hold_lock,
    locate_folders,
    prepare_folders,
    remove_data,
)
from billing_console.embedded.postgres import LEFTOVER_STEPS, OwnPostgres
from billing_console.embedded.redis import OwnRedis
from billing_console.spawn import deaf_to_signals, raising_on_signals

WATCH_SECONDS: Final = 0.25
MAX_PAUSE_SECONDS: Final = 10.0

Log = Callable[[str], None]


@dataclass(frozen=True)
class ServiceUrls:
    """Where the two servers listen. DATABASE_URL contains the password: never log it."""

    database_url: str
    redis_url: str

    def environment(self) -> dict[str, str]:
        """The two variables that the settings read."""
        return {"DATABASE_URL": self.database_url, "REDIS_URL": self.redis_url}


def log_to_stderr(line: str) -> None:
    """Print one line where a person sees it and a script's JSON is not disturbed."""
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def embedded_services(
    purpose: Purpose = "demo", *, is_reset: bool = False, log: Log = log_to_stderr, clone: Path | None = None
) -> Iterator[ServiceUrls]:
    """Run our PostgreSQL and Redis while the block runs; restart one that dies; stop both at its end.

    `demo` keeps its data, safely through `kill -9`; `test` starts from nothing each time and does not wait
    for the disk. `is_reset` deletes the demo's data first; `clone` is the copy of the console they belong to.
    Raises EmbeddedError, with one sentence, if another copy runs here or a server cannot start. Call it in
    the main thread: SIGTERM and SIGHUP then raise inside the block, so that it is left in order.
    """
    folders = locate_folders(purpose, clone=clone or CLONE)
    with raising_on_signals(), hold_lock(folders):
        if is_reset or purpose == "test":
            for folder in (folders.postgres_data, folders.redis_dir):
                clear_leftovers(folder, LEFTOVER_STEPS)
            remove_data(folders)
        prepare_folders(folders)
        postgres, redis = OwnPostgres(folders, purpose), OwnRedis(folders)
        with contextlib.ExitStack() as stack:
            # Registered before the start, so that a signal in the middle of it stops them as well.
            stack.callback(_stop, redis, postgres)
            postgres.make_cluster()
            postgres.start()
            redis.start()
            stack.enter_context(_keeping_alive((postgres, redis), log))
            yield ServiceUrls(postgres.url, redis.url)


def _stop(*servers: OwnPostgres | OwnRedis) -> None:
    with deaf_to_signals():
        for server in servers:
            server.stop()


@contextlib.contextmanager
def _keeping_alive(servers: tuple[OwnPostgres | OwnRedis, ...], log: Log) -> Iterator[None]:
    """Start again, from a thread, whichever server dies in the block; pauses grow to 10 seconds."""
    is_over = threading.Event()

    def watch() -> None:
        pause = WATCH_SECONDS
        while not is_over.wait(pause):
            pause = WATCH_SECONDS
            for server in servers:
                if server.process is None or server.process.poll() is None or is_over.is_set():
                    continue
                log(f"{server.name} died (code {server.process.returncode}); starting it again.")
                try:
                    server.start()
                except (EmbeddedError, OSError) as error:
                    log(f"{server.name} did not start: {error}")
                    pause = min(MAX_PAUSE_SECONDS, pause * 2 + 1)

    thread = threading.Thread(target=watch, name="keep-services-alive", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(timeout=MAX_PAUSE_SECONDS)
