"""The doors: every observed delivery, hostile ones, sizes, duplicates, a broker that is gone or asleep."""

from __future__ import annotations

import base64
import json
import logging
import random
import resource
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.db import connection
from django.test import Client, RequestFactory
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from billing_console.env import UnreadableSetting, networks_of
from billing_console.states import DeliveryState
from mappings.models import Client as Payer
from mappings.models import ProjectMapping
from sync import ingest
from sync.models import RejectedDelivery, WebhookDelivery, WorkItem
from sync.signature import sign
from sync.views import ninja_hook_secret, sender_address
from tests.sync.test_payloads import TABLE, body_of

pytestmark = pytest.mark.django_db

SECRET = "tests-webhook-secret"
URL = "/webhooks/taiga"


@pytest.fixture
def door() -> Client:
    return Client(enforce_csrf_checks=True, raise_request_exception=True)


@pytest.fixture
def mapping() -> ProjectMapping:
    payer = Payer.objects.create(ninja_id="client_abc123", name="Acme", currency="EUR", is_known=True)
    return ProjectMapping.objects.create(
        taiga_project_id=1,
        taiga_project_name="Client Alpha",
        client=payer,
        webhook_key="alpha-key",
        previous_webhook_key="old-alpha-key",
    )


def post(door: Client, raw: bytes, *, key: str = SECRET, url: str = URL, **headers: Any) -> Any:
    headers.setdefault("HTTP_X_TAIGA_WEBHOOK_SIGNATURE", sign(raw, key))
    return door.post(url, raw, content_type="application/json", **headers)


@pytest.mark.parametrize("name", TABLE)
def test_every_observed_delivery_is_accepted_stored_and_worked_on(door: Client, name: str) -> None:
    verdict, event_type, action, username, kind, item_id, ref, project_id = TABLE[name]

    answer = post(door, body_of(name))

    assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
    row = WebhookDelivery.objects.get()
    assert (row.verdict, row.event_type, row.action, row.by_username) == (verdict, event_type, action, username)
    assert (row.item_kind, row.item_taiga_id, row.item_ref, row.taiga_project_id) == (kind, item_id, ref, project_id)
    assert bytes(row.raw_body) == body_of(name)
    assert row.state == DeliveryState.RECEIVED

    ingest.process_due()

    row.refresh_from_db()
    is_read = verdict == "work_item"
    is_done = is_read or verdict == "project_event"
    assert row.state == (DeliveryState.PROCESSED if is_done else DeliveryState.IGNORED)
    assert list(WorkItem.objects.values_list("kind", "taiga_id", "is_dirty")) == (
        [(kind, item_id, True)] if is_read else []
    )


def test_the_recorded_signatures_and_headers_are_accepted_as_they_came(door: Client, settings: Any) -> None:
    settings.WEBHOOK_SECRET = "s3cr3t-lab-key"
    folder = Path(__file__).parents[1] / "data" / "taiga_deliveries"
    for path in sorted(folder.glob("*.json")):
        sample = json.loads(path.read_text())
        headers = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in sample["headers"]}
        headers.pop("HTTP_CONTENT_TYPE")
        headers.pop("HTTP_CONTENT_LENGTH")
        settings.WEBHOOK_SECRET = sample["key"]
        raw = base64.b64decode(sample["body_base64"])
        answer = door.post(URL, raw, content_type="application/json", **headers | {"HTTP_HOST": "localhost"})
        assert answer.status_code == 202, path.name
    assert WebhookDelivery.objects.count() == 28


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ("01-test", "02-test-resent-from-log-keys-reordered"),
        ("27a-task-change-original", "27b-same-change-resent-from-log"),
    ],
)
def test_a_resend_with_other_key_order_is_the_same_delivery(door: Client, first: str, again: str) -> None:
    answers = [post(door, body_of(name)).status_code for name in (first, again, first)]
    assert answers == [202, 202, 202]
    row = WebhookDelivery.objects.get()
    assert row.duplicates == 2
    assert bytes(row.raw_body) == body_of(first)


def test_the_hub_header_counts_where_taigas_own_is_absent(door: Client) -> None:
    raw = body_of("03-task-create")
    headers = {"HTTP_X_HUB_SIGNATURE": f"sha1={sign(raw, SECRET)}"}
    assert door.post(URL, raw, content_type="application/json", **headers).status_code == 202


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"HTTP_X_TAIGA_WEBHOOK_SIGNATURE": ""},
        {"HTTP_X_TAIGA_WEBHOOK_SIGNATURE": "0" * 40},
        {"HTTP_X_TAIGA_WEBHOOK_SIGNATURE": "é" * 40},
        {"HTTP_X_HUB_SIGNATURE": "sha256=" + "0" * 40},
    ],
)
def test_a_wrong_or_missing_signature_is_403_and_counted_by_the_minute(door: Client, headers: dict[str, str]) -> None:
    for _attempt in range(3):
        answer = door.post(URL, body_of("03-task-create"), content_type="application/json", **headers)
        assert answer.status_code == 403
    assert not WebhookDelivery.objects.exists()
    counted = RejectedDelivery.objects.filter(reason="signature", remote_address="127.0.0.1")
    assert sum(counted.values_list("count", flat=True)) == 3
    assert counted.count() <= 2  # the minute may turn in between


def test_an_empty_secret_lets_nobody_in(door: Client, settings: Any) -> None:
    settings.WEBHOOK_SECRET = ""
    assert post(door, body_of("03-task-create"), key="").status_code == 403


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete", "head", "options"])
def test_other_methods_are_405(door: Client, method: str) -> None:
    assert getattr(door, method)(URL).status_code == 405


def test_a_slash_at_the_end_is_no_door(door: Client) -> None:
    assert door.get(f"{URL}/").status_code == 404


def test_a_body_over_one_mebibyte_is_413_and_not_read(door: Client) -> None:
    fits = b'{"a": "' + b"x" * (1024 * 1024 - 9) + b'"}'
    assert len(fits) == 1024 * 1024
    assert post(door, fits).status_code == 202
    assert post(door, fits + b" ").status_code == 413


class _Endless:
    """A body that never ends; it notes how much of it was read."""

    def __init__(self) -> None:
        self.read_bytes = 0

    def read(self, size: int = -1) -> bytes:
        assert size >= 0, "the whole body was asked for"
        self.read_bytes += size
        return b"x" * size

    readline = read


def test_a_declared_size_over_the_limit_is_refused_before_a_byte_is_read(door: Client) -> None:
    body = _Endless()
    answer = door.generic("POST", URL, b"", **{"CONTENT_LENGTH": str(10**10), "wsgi.input": body})
    assert answer.status_code == 413
    assert body.read_bytes == 0


@pytest.mark.parametrize("length", ["abc", "-5", "1" * 30, ""])
def test_a_senseless_length_is_no_error_of_ours(door: Client, length: str) -> None:
    assert door.generic("POST", URL, b"", CONTENT_LENGTH=length).status_code == 403


HOSTILE = {
    "no JSON": b"{",
    "empty": b"",
    "not UTF-8": b'{"a": "\xff"}',
    "a list": b"[]",
    "a number": b"1",
    "null": b"null",
    "NaN": b'{"type": "task", "data": {"id": NaN}}',
    "Infinity": b'{"a": -Infinity}',
    "100,000 brackets": b"[" * 100_000,
    "100,000 objects": b'{"a":' * 100_000,
    "5,000 digits": b'{"type": "task", "action": "change", "data": {"id": ' + b"9" * 5000 + b"}}",
    "an exponent": b'{"a": 1e999999999999999999999}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_json_object_is_400(door: Client, name: str) -> None:
    answer = post(door, HOSTILE[name])
    assert answer.status_code == 400
    assert answer.json()["error"].endswith(".")
    assert not WebhookDelivery.objects.exists()


ODD = {
    "NUL": b'{"type": "task", "by": {"username": "a\\u0000"}, "data": {"id": 1, "subject": "\\u0000"}}',
    "lone surrogates": b'{"type": "task", "action": "\\ud800", "data": {"id": 1, "subject": "\\udfff x"}}',
    "lists for objects": b'{"type": "task", "action": [], "by": [], "data": []}',
    "texts for objects": b'{"type": {}, "action": {}, "by": "x", "data": "y", "date": 5}',
    "a huge id": b'{"type": "task", "action": "change", "data": {"id": 99999999999999999999}}',
    "a negative id": b'{"type": "task", "action": "change", "data": {"id": -1}}',
    "a boolean id": b'{"type": "task", "action": "change", "data": {"id": true}}',
    "long texts": b'{"type": "' + b"x" * 5000 + b'", "action": "' + b"y" * 5000 + b'", "data": {"id": 1}}',
    "a strange date": b'{"type": "task", "date": "9999-99-99", "data": {"id": 1}}',
    "a date at the end of time": b'{"type": "task", "date": "9999-12-31T23:59:59-12:00", "data": {"id": 1}}',
    "line feeds": b'{"type": "task", "by": {"username": "a\\n202 forged"}, "data": {"id": 1, "subject": "x\\r\\ny"}}',
}


@pytest.mark.parametrize("name", ODD)
def test_odd_objects_are_stored_and_never_an_error(door: Client, name: str) -> None:
    assert post(door, ODD[name]).status_code == 202
    ingest.process_due()
    assert WebhookDelivery.objects.get().state in (DeliveryState.PROCESSED, DeliveryState.IGNORED)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["task", "project", "test"]) | ANY_JSON, "data": ANY_JSON, "by": ANY_JSON},
        optional={"action": ANY_JSON, "date": ANY_JSON, "change": ANY_JSON},
    )
)
def test_no_signed_body_is_an_error_of_ours(door: Client, body: dict[str, Any]) -> None:
    raw = json.dumps(body).encode()
    assert post(door, raw).status_code in (202, 400)
    ingest.process_due()
    assert not WebhookDelivery.objects.exclude(state__in=[DeliveryState.PROCESSED, DeliveryState.IGNORED]).exists()


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.text(max_size=60))
def test_no_unsigned_body_is_an_error_of_ours(door: Client, raw: bytes, header: str) -> None:
    header = header.encode("latin-1", "replace").decode("latin-1").replace("\r", "").replace("\n", "")
    answer = door.post(
        URL, raw, content_type="application/json", HTTP_X_TAIGA_WEBHOOK_SIGNATURE=header, HTTP_X_FORWARDED_FOR=header
    )
    assert answer.status_code == 403


def test_any_accept_header_gets_its_answer(door: Client) -> None:
    assert post(door, body_of("03-task-create"), HTTP_ACCEPT="text/html").status_code == 202
    assert post(door, body_of("04-task-change-subject"), url=f"{URL}?format=xml").status_code == 202


# --- a project's own key ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["alpha-key", "old-alpha-key"])
def test_a_projects_own_key_and_the_previous_one_open_its_door(door: Client, mapping: ProjectMapping, key: str) -> None:
    assert post(door, body_of("03-task-create"), key=key, url=f"{URL}/{mapping.uuid}").status_code == 202
    row = WebhookDelivery.objects.get()
    assert (row.verdict, row.project_mapping) == ("work_item", mapping)


def test_a_projects_key_opens_no_other_door(door: Client, mapping: ProjectMapping) -> None:
    raw = body_of("03-task-create")
    assert post(door, raw, key="alpha-key").status_code == 403
    assert post(door, raw, key=SECRET, url=f"{URL}/{mapping.uuid}").status_code == 403
    assert post(door, raw, key="alpha-key", url=f"{URL}/{uuid.uuid4()}").status_code == 403


def test_a_mapping_without_a_key_lets_nobody_in(door: Client, mapping: ProjectMapping) -> None:
    ProjectMapping.objects.update(webhook_key="", previous_webhook_key="")
    assert post(door, body_of("03-task-create"), key="", url=f"{URL}/{mapping.uuid}").status_code == 403


@pytest.mark.parametrize("name", ["15-task-change-moved-from-another-project", "no project"])
def test_a_projects_key_is_believed_for_that_project_only(door: Client, mapping: ProjectMapping, name: str) -> None:
    raw = b'{"type": "task", "action": "change", "data": {"id": 1}}' if name == "no project" else body_of(name)

    assert post(door, raw, key="alpha-key", url=f"{URL}/{mapping.uuid}").status_code == 202
    ingest.process_due()
    row = WebhookDelivery.objects.get()
    assert (row.verdict, row.state) == ("project_mismatch", DeliveryState.IGNORED)
    assert not WorkItem.objects.exists()

    # The real one, from whom it concerns, is not taken for a duplicate of the forged one.
    assert post(door, raw).status_code == 202
    ingest.process_due()
    assert WorkItem.objects.count() == 1


# --- around it --------------------------------------------------------------------------------------------------------


def test_one_statement_stores_a_delivery(door: Client, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        post(door, body_of("03-task-create"))
    with django_assert_num_queries(1):
        post(door, body_of("03-task-create"))


def test_one_line_in_the_log_without_body_secret_or_forged_lines(
    door: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "webhook"):
        post(door, ODD["line feeds"])
        post(door, b"{}", key="wrong-key")
    lines = [record.getMessage() for record in caplog.records if record.name == "webhook"]
    assert len(lines) == 2
    assert lines[0].startswith("202 work_item task")
    assert not any("\n" in line or "\r" in line or SECRET in line for line in lines)
    assert lines[1] == "403 signature from 127.0.0.1"


def test_the_address_behind_our_own_proxy_is_the_last_one(door: Client) -> None:
    post(door, body_of("03-task-create"), HTTP_X_FORWARDED_FOR="1.2.3.4, 203.0.113.9")
    post(door, body_of("04-task-change-subject"), HTTP_X_FORWARDED_FOR="1.2.3.4", REMOTE_ADDR="198.51.100.7")
    addresses = WebhookDelivery.objects.order_by("id").values_list("remote_address", flat=True)
    assert list(addresses) == ["203.0.113.9", "198.51.100.7"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "seen"),
    [
        ("172.18.0.1", "203.0.113.9", "203.0.113.9"),  # a container: the peer is Docker's own address
        ("::ffff:172.18.0.1", "203.0.113.9", "203.0.113.9"),
        ("172.18.0.1", "9.9.9.9, 203.0.113.9, 10.0.0.7", "203.0.113.9"),  # two proxies of ours
        ("172.18.0.1", "9.9.9.9, nonsense", "172.18.0.1"),
        ("172.18.0.1", "", "172.18.0.1"),
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),  # not one of ours: it may say what it likes
        ("172.18.0.1", ", ".join(["10.0.0.1"] * 5000), "10.0.0.1"),
    ],
)
def test_behind_proxies_of_ours_the_address_is_the_one_they_saw(
    rf: RequestFactory, settings: Any, peer: str, forwarded: str, seen: str
) -> None:
    settings.TRUSTED_PROXIES = networks_of(["172.16.0.0/12", "10.0.0.0/8"])
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}

    assert sender_address(rf.get("/", headers=headers, REMOTE_ADDR=peer)) == seen


def test_a_network_that_is_none_is_one_sentence() -> None:
    with pytest.raises(UnreadableSetting, match="TRUSTED_PROXIES names proxy, which is neither an address nor"):
        networks_of(["10.0.0.0/8", "proxy"])


@pytest.fixture(params=["stopped", "frozen"])
def broken_broker(request: pytest.FixtureRequest, settings: Any) -> Iterator[None]:
    """A broker that refuses, or one that takes the connection and never says a word."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    if request.param == "stopped":
        listener.close()
    before = current_app.conf.broker_url
    settings.DOORBELL_ENABLED = True
    current_app.conf.broker_url = f"redis://127.0.0.1:{port}/0"
    yield
    current_app.conf.broker_url = before
    listener.close()


def test_a_broker_that_is_gone_or_asleep_costs_no_time(
    door: Client, broken_broker: None, django_capture_on_commit_callbacks: Any
) -> None:
    post(door, body_of("03-task-create"))  # warm
    took = []
    for number in range(20):
        raw = json.dumps({"type": "task", "action": "change", "data": {"id": number + 1}}).encode()
        started = time.perf_counter()
        with django_capture_on_commit_callbacks(execute=True):
            assert post(door, raw).status_code == 202
        took.append(time.perf_counter() - started)
    # Each wait for the broker alone would be 0.2 s: whatever else the machine does, most did not wait.
    assert sum(took) < 20 * 0.2 / 2


@pytest.mark.parametrize("method", ["get", "post", "put", "delete", "options"])
@pytest.mark.parametrize("path", ["right", "wrong", "", "a/b/c", "%00"])
def test_invoice_ninja_is_never_told_404_405_or_410(
    door: Client, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    rung: list[str] = []
    monkeypatch.setattr("sync.doorbell.ring", rung.append)
    secret = ninja_hook_secret() if path == "right" else path
    assert getattr(door, method)(f"/webhooks/invoice-ninja/{secret}").status_code == 204
    assert rung == (["payments"] if path == "right" else [])


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_same_delivery_from_many_at_once_is_one_row() -> None:
    from concurrent.futures import ThreadPoolExecutor

    from django.db import connection

    raw = body_of("03-task-create")

    def send(_number: int) -> int:
        try:
            return post(Client(), raw).status_code
        finally:
            connection.close()

    order = list(range(16))
    random.shuffle(order)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(send, order)) == {202}
    assert WebhookDelivery.objects.get().duplicates == 15


@pytest.mark.django_db(transaction=True)
def test_a_delivery_that_this_machine_has_no_descriptor_for_is_answered_503(door: Client) -> None:
    raw = body_of(next(iter(TABLE)))
    assert post(door, raw, key="wrong").status_code == 403  # what a refusal needs was read from the disk
    connection.close()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        answer = post(door, raw)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert answer.status_code == 503
    assert WebhookDelivery.objects.count() == 0
    assert post(door, raw).status_code == 202


def test_a_delivery_that_this_machine_has_no_memory_for_is_answered_503_and_says_so(door: Client) -> None:
    def without_memory(*_statement: Any) -> None:
        raise MemoryError

    with connection.execute_wrapper(without_memory):
        answer = post(door, body_of(next(iter(TABLE))))

    assert answer.status_code == 503
    assert answer.json() == {
        "error": "The delivery could not be stored: this machine has nothing left for it (out of memory)."
    }
