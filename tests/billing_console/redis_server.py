"""A Redis of a test's own on a free port, as a machine's shared one is: with or without a password."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from billing_console.embedded.folders import Folders
from billing_console.embedded.redis import find_program


@contextmanager
def redis_on_a_port(folder: Path, password: str = "", unix: Path | None = None) -> Iterator[str]:
    """Yields its URL, that of its socket at `unix` where one is named; stopped at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folders = Folders(home=folder, base=folder / "test", socket_dir=folder / "s", uid=None, gid=None)
    command = [find_program(folders), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    command += ["--requirepass", password] if password else []
    command += ["--unixsocket", str(unix)] if unix else []
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"unix://{unix}" if unix else f"redis://{f':{password}@' if password else ''}127.0.0.1:{port}/0"
    try:
        for _attempt in range(100):
            try:
                with redis.Redis.from_url(url) as client:
                    client.ping()
                break
            except redis.ConnectionError:
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(10)
