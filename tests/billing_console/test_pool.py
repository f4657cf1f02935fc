"""PostgreSQL was away: how long the pool of a process lets wait after it is back."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from billing_console.processes import choose_free_ports

AWAY_SECONDS = 18.0  # attempts after 0, 1, 3, 7 and 15 s, and the next one would come after 31 s
ASKING = """
import sys, time
import django; django.setup()
from django.db import DatabaseError, connection
end = time.monotonic() + 50
while time.monotonic() < end:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        print("answered", flush=True)
        break
    except DatabaseError:
        connection.close()
        print("away", flush=True)
        time.sleep(0.2)
"""


def forward(listener: socket.socket, address: str) -> None:
    """Connections to `listener` lead to PostgreSQL's socket."""
    while True:
        try:
            here, _peer = listener.accept()
        except OSError:
            return
        there = socket.socket(socket.AF_UNIX)
        there.connect(address)
        for source, target in ((here, there), (there, here)):
            threading.Thread(target=pump, args=(source, target), daemon=True).start()


def pump(source: socket.socket, target: socket.socket) -> None:
    while data := source.recv(65536):
        target.sendall(data)


@pytest.mark.slow
def test_a_pool_comes_back_within_ten_seconds_after_an_outage() -> None:
    url = urlsplit(os.environ["DATABASE_URL"])
    folder = parse_qs(url.query)["host"][0]
    number = parse_qs(url.query).get("port", ["5432"])[0]
    (port,) = choose_free_ports(1)
    environment = {
        **os.environ,
        "DATABASE_URL": f"postgres://{url.netloc.rpartition('@')[0]}@127.0.0.1:{port}{url.path}",
        "DATABASE_POOL": "true",
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    asking = subprocess.Popen([sys.executable, "-c", ASKING], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert asking.stdout is not None
        assert asking.stdout.readline() == "away\n"
        time.sleep(AWAY_SECONDS - 10)
        with socket.create_server(("127.0.0.1", port)) as listener:
            threading.Thread(target=forward, args=(listener, f"{folder}/.s.PGSQL.{number}"), daemon=True).start()
            back = time.monotonic()
            for line in asking.stdout:
                if line == "answered\n":
                    break
            assert time.monotonic() - back < 10
    finally:
        asking.kill()
        asking.wait()
