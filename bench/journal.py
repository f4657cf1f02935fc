"""Whether the journal of deliveries stays quick: 1,000,000 stored against 10,000. Long."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client

from bench.ingest import request_body
from bench.results import Result, middle
from sync import ingest
from sync.payloads import read_delivery

NAMES = ("journal_growth_ratio",)
SMALL, LARGE, TIMES = 10_000, 1_000_000, 21
LIST = "/admin/sync/webhookdelivery/"
# Every act shows a full page of 50 rows at either size: what is found must not grow with what is stored.
_FILL = """
    INSERT INTO sync_webhookdelivery (
        uuid, fingerprint, raw_body, headers, received_at, verdict, event_type, action, by_username, taiga_project_id,
        item_kind, item_taiga_id, item_ref, item_subject, duplicates, state, attempts, error
    ) SELECT gen_random_uuid(), encode(sha256(n::text::bytea), 'hex'),
        convert_to(repeat('{"type": "task"}', 64), 'UTF8'),
        '{}', now() - n * interval '30 seconds', 'work_item', 'task', 'change', 'alice', n %% 50, 'T', n,
        CASE WHEN n <= 50 THEN 4711 ELSE 20000 + n %% 20000 END,
        'Work ' || n, 0, CASE WHEN n %% 100 = 0 THEN 'failed' ELSE 'processed' END, 1, ''
    FROM generate_series(%s, %s) n
"""


def run() -> list[Result]:
    """Medians of 21 of each act; the number is the worst growth of any."""
    browser = _browser()
    measures = {
        "ingest": _ingest,
        "list": lambda: _get(browser, LIST),
        "failed": lambda: _get(browser, f"{LIST}?state__exact=failed"),
        "search by ref": lambda: _get(browser, f"{LIST}?q=4711"),
        "last page": lambda: _get(browser, f"{LIST}?p=-1"),
    }
    _fill(1, SMALL)
    small = {name: _median(act) for name, act in measures.items()}
    _fill(SMALL + 1, LARGE)
    large = {name: _median(act) for name, act in measures.items()}
    growth = {name: large[name] / small[name] for name in measures}
    worst = max(growth, key=lambda name: growth[name])
    words = ", ".join(f"{name} {small[name]:.1f} → {large[name]:.1f} ms" for name in measures)
    return [Result("journal_growth_ratio", growth[worst], ("≤", 1.5), words)]


def _fill(first: int, last: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute(_FILL, [first, last])
        cursor.execute("ANALYZE sync_webhookdelivery")


def _browser() -> Client:
    user = get_user_model().objects.create_superuser("bench", password=None)
    browser = Client()
    browser.force_login(user)
    return browser


def _get(browser: Client, address: str) -> None:
    answer = browser.get(address, HTTP_HOST="localhost", follow=True)
    if answer.status_code != 200:
        raise RuntimeError(f"{address} answered {answer.status_code}")


def _ingest() -> None:
    raw = request_body()
    ingest.receive(raw, read_delivery(raw), headers={}, address="127.0.0.1", mapping=None)


def _median(act: Callable[[], None]) -> float:
    """Milliseconds."""
    act()
    taken = []
    for _time in range(TIMES):
        began = time.perf_counter()
        act()
        taken.append((time.perf_counter() - began) * 1000)
    return middle(taken)
