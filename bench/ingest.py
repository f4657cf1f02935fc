"""How fast deliveries are taken, against a bare Django view in the same server; Redis frozen; others slow."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from redis import Redis

from bench import servers
from bench.results import Result, interleaved, middle
from sync.signature import sign

NAMES = (
    "ingest_throughput_ratio",
    "ingest_p99_ratio",
    "ingest_redis_frozen_p99_ratio",
    "ingest_servers_slow_p99_ratio",
    "ingest_clients_slow_p99_ratio",
)
SLOW_CLIENTS = 200
CONNECTIONS, REQUESTS, ROUNDS = 16, 2000, 5
SLOW_SECONDS = 5.0
SAMPLE = Path("tests/data/taiga_deliveries/sample-12-task-change-many-fields-description_diff-is-a-string.json")
_numbers = itertools.count(1)


def run() -> list[Result]:
    """Real deliveries of 4 KB over 16 connections, each different; 5 interleaved rounds, medians."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS bench_bare (id bigserial PRIMARY KEY, body bytea, at timestamptz)")
    speeds: dict[str, list[float]] = {"bare": [], "console": [], "frozen": [], "slow": [], "crowd": []}
    with servers.stand_ins() as urls, servers.web(**servers.addresses(urls)) as port:
        troubles = {"frozen": frozen_redis, "slow": lambda: slow_servers(urls), "crowd": lambda: slow_clients(port)}

        def measure(kind: str) -> Callable[[], float]:
            def once() -> float:
                with troubles.get(kind, nullcontext)():
                    speed, p99 = send(port, "/bench/bare" if kind == "bare" else "/webhooks/taiga")
                speeds[kind].append(speed)
                return p99

            return once

        for path in ("/bench/bare", "/webhooks/taiga"):
            send(port, path)  # warm
        measured = interleaved(ROUNDS, *(measure(kind) for kind in speeds))
    rate = {kind: middle(values) for kind, values in speeds.items()}
    p99 = {kind: middle(values) for kind, values in zip(speeds, measured, strict=True)}
    words = "{:.0f}/s against {:.0f}/s bare".format(rate["console"], rate["bare"])
    return [
        Result("ingest_throughput_ratio", rate["console"] / rate["bare"], ("≥", 0.5), words),
        Result(
            "ingest_p99_ratio",
            p99["console"] / p99["bare"],
            ("≤", 3),
            "{:.0f} ms against {:.0f} ms bare".format(p99["console"], p99["bare"]),
        ),
        Result(
            "ingest_redis_frozen_p99_ratio",
            p99["frozen"] / p99["console"],
            ("≤", 3),
            "{:.0f} ms, {:.0f}/s while Redis hangs".format(p99["frozen"], rate["frozen"]),
        ),
        Result(
            "ingest_servers_slow_p99_ratio",
            p99["slow"] / p99["console"],
            ("≤", 3),
            "{:.0f} ms, {:.0f}/s while both servers take {:.0f} s".format(p99["slow"], rate["slow"], SLOW_SECONDS),
        ),
        Result(
            "ingest_clients_slow_p99_ratio",
            p99["crowd"] / p99["console"],
            ("≤", 3),
            "{:.0f} ms, {:.0f}/s beside {:d} half requests".format(p99["crowd"], rate["crowd"], SLOW_CLIENTS),
        ),
    ]


@contextmanager
def slow_clients(port: int) -> Iterator[None]:
    """Two hundred connections with half a delivery, a byte a second each; one that is dropped comes back."""
    stop = threading.Event()
    half = _request("/webhooks/taiga")[:-2000]

    def trickle() -> None:
        clients: list[socket.socket | None] = [None] * SLOW_CLIENTS
        while not stop.wait(1):
            for number, client in enumerate(clients):
                try:
                    if client is None:
                        client = clients[number] = socket.create_connection(("127.0.0.1", port), timeout=5)
                        client.sendall(half)
                    client.sendall(b" ")
                except OSError:
                    clients[number] = None
        for client in clients:
            if client is not None:
                client.close()

    thread = threading.Thread(target=trickle, daemon=True)
    thread.start()
    time.sleep(3)  # all of them are there
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def slow_servers(urls: tuple[str, str]) -> Iterator[None]:
    """Both servers take five seconds for each answer."""
    servers.delay(urls, SLOW_SECONDS)
    try:
        yield
    finally:
        servers.delay(urls, 0)


def send(port: int, path: str) -> tuple[float, float]:
    """Requests a second and p99 in ms, measured by a process of its own."""
    with tempfile.NamedTemporaryFile(suffix=".requests") as file:
        for _number in range(REQUESTS):
            request = _request(path)
            file.write(b"%08d" % len(request) + request)
        file.flush()
        argv = [sys.executable, "-m", "bench.load", str(port), str(CONNECTIONS), file.name]
        answer = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    speed, p99 = float(answer[0]), float(answer[1])
    return speed, p99


def _request(path: str) -> bytes:
    """A signed delivery that came never before, as Taiga sends it."""
    raw = request_body()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(raw)}\r\n"
        f"X-TAIGA-WEBHOOK-SIGNATURE: {sign(raw, settings.WEBHOOK_SECRET)}\r\n\r\n"
    )
    return head.encode() + raw


def request_body() -> bytes:
    """A delivery of about 4 KB that came never before."""
    body = dict(_sample())
    number = next(_numbers) + int(time.time() * 1000) % 10**9 * 10**6
    body["data"] = {**body["data"], "id": number, "ref": number % 10**6}
    return json.dumps(body).encode()


@cache
def _sample() -> dict[str, Any]:
    recorded = json.loads((Path(__file__).parent.parent / SAMPLE).read_text())
    sample: dict[str, Any] = json.loads(b64decode(recorded["body_base64"]))
    return sample


@contextmanager
def frozen_redis() -> Iterator[None]:
    """Redis is stopped in the middle of everything: it takes connections and answers nobody."""
    facts: Any = Redis.from_url(settings.REDIS_URL).info("server")
    os.kill(facts["process_id"], signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(facts["process_id"], signal.SIGCONT)
