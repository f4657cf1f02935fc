"""One call: what is sent, what every kind of answer becomes, and that no secret leaks."""

from __future__ import annotations

import gzip
import pickle
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billing_console import errors
from sync.clients.answers import error_class_for
from sync.clients.http import Call, JsonClient
from tests.sync.clients.scripted import ScriptedServer, reply

TOKEN = "sandbox-secret-token"


def make_client(url: str, calls: list[Call] | None = None, **options: object) -> JsonClient:
    return JsonClient(
        url,
        upstream="taiga",
        classify=lambda answer: error_class_for(answer.status),
        headers={"X-API-TOKEN": TOKEN},
        journal=None if calls is None else calls.append,
        allow_http=True,
        **{"deadline_seconds": 5, **options},  # type: ignore[arg-type]
    )


def failure_of(*steps, method="GET", **options) -> errors.UpstreamError:
    with ScriptedServer(*steps) as server:
        client = make_client(server.url, **options)
        with pytest.raises(errors.UpstreamError) as caught:
            client.call(method, "/things", body={"a": 1}) if method != "GET" else client.call(method, "/things")
        return caught.value


# --- What is sent ---


def test_a_write_is_sent_as_exact_json_with_the_headers_the_servers_need():
    with ScriptedServer(reply(200, {"ok": 1})) as server:
        answer = make_client(server.url).call("POST", "/things", body={"rate": Decimal("95.10"), "on": True})
    seen = server.seen[0]
    assert (seen.method, seen.path) == ("POST", "/api/v1/things")
    assert seen.body == b'{"rate": 95.10, "on": true}'
    assert seen.headers["Content-Type"] == "application/json"
    assert seen.headers["Accept"] == "application/json"
    assert seen.headers["X-Requested-With"] == "XMLHttpRequest"
    assert seen.headers["User-Agent"] == "billing-console"
    assert seen.headers["X-API-TOKEN"] == TOKEN
    assert answer.data == {"ok": 1}


def test_a_read_has_no_body_and_a_quoted_query():
    with ScriptedServer(reply(200, [])) as server:
        make_client(server.url).call("GET", "/things", query={"at": "2025-12-01T00:00:00+01:00", "q": "a b&c", "n": 2})
    assert server.seen[0].path == "/api/v1/things?at=2025-12-01T00%3A00%3A00%2B01%3A00&q=a%20b%26c&n=2"
    assert server.seen[0].body == b""
    assert "Content-Type" not in server.seen[0].headers


def test_an_empty_filter_is_refused_before_anything_is_sent():
    with ScriptedServer() as server, pytest.raises(ValueError, match="number is empty"):
        make_client(server.url).call("GET", "/things", query={"number": " "})
    assert server.seen == []


def test_numbers_of_an_answer_are_exact():
    with ScriptedServer(reply(200, b'{"a": 2.50, "b": 3}')) as server:
        data = make_client(server.url).call("GET", "/things").data
    assert (str(data["a"]), type(data["b"])) == ("2.50", int)


def test_compressed_answers_are_read():
    packed = gzip.compress(b'{"a": 1}')
    with ScriptedServer(reply(200, packed, {"Content-Encoding": "gzip"})) as server:
        assert make_client(server.url).call("GET", "/things").data == {"a": 1}


def test_no_content_is_a_success_without_data():
    with ScriptedServer(reply(204)) as server:
        assert make_client(server.url).call("DELETE", "/things/1").data is None


def test_text_is_given_as_it_came_where_no_json_is_wanted():
    with ScriptedServer(reply(200, "id,ref\r\n1,é\r\n")) as server:
        assert make_client(server.url).call("GET", "/things", wants_json=False).text == "id,ref\r\n1,é\r\n"


def test_text_of_unknown_length_is_not_believed_to_be_whole():
    answer = b"HTTP/1.1 200 OK\r\n\r\nid,ref\r\n1,2\r\n"
    with ScriptedServer(lambda sock: sock.sendall(answer)) as server, pytest.raises(errors.NotJson):
        make_client(server.url).call("GET", "/things", wants_json=False)


# --- What answers become ---


@pytest.mark.parametrize(
    ("status", "kind", "is_permanent", "is_unknown_for_writes"),
    [
        (301, errors.Redirected, True, True),
        (302, errors.Redirected, True, True),
        (400, errors.Rejected, True, False),
        (401, errors.Unauthorized, True, False),
        (403, errors.Forbidden, True, False),
        (404, errors.NotFound, True, False),
        (405, errors.Rejected, True, False),
        (422, errors.Rejected, True, False),
        (429, errors.Throttled, False, False),
        (500, errors.ServerFault, False, True),
        (502, errors.ServerFault, False, True),
        (503, errors.Maintenance, False, False),
        (504, errors.ServerFault, False, True),
    ],
)
def test_each_status_is_one_error(status, kind, is_permanent, is_unknown_for_writes):
    answer = reply(status, {"message": "No."}, {"Location": "http://127.0.0.1:1/"})
    write = failure_of(answer, method="POST")
    read = failure_of(answer)
    assert type(write) is type(read) is kind
    assert (write.status, write.method, write.path, write.upstream) == (status, "POST", "/things", "taiga")
    assert write.is_permanent is is_permanent
    assert write.is_outcome_unknown is is_unknown_for_writes
    assert read.is_outcome_unknown is False
    assert "Taiga" in write.sentence
    assert "%" not in write.sentence


def test_a_redirect_is_not_followed():
    with ScriptedServer() as elsewhere:
        failure = failure_of(reply(302, "gone there", {"Location": elsewhere.url}))
    assert isinstance(failure, errors.Redirected)
    assert elsewhere.seen == []


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"name": ["One.", "Two."], "key": "Only text."}, {"name": ["One.", "Two."], "key": ["Only text."]}),
        ({"message": "", "errors": {"number": "This invoice is locked"}}, {"number": ["This invoice is locked"]}),
        ({"message": "The given data was invalid.", "errors": {"a.0.b": ["No."]}}, {"a.0.b": ["No."]}),
        ({"_error_message": "invalid login type", "_error_type": "x"}, {}),
        ({"message": "Record is deleted"}, {}),
        ([], {}),
        ("<html>", {}),
    ],
)
def test_the_messages_of_a_refusal_are_lists_per_field(body, fields):
    failure = failure_of(reply(422, body), method="POST")
    assert isinstance(failure, errors.Rejected)
    assert failure.fields == fields
    for name in fields:
        assert name in failure.sentence


def test_a_refusal_without_fields_quotes_the_message():
    assert "Record is deleted" in failure_of(reply(400, {"message": "Record is deleted"}), method="PUT").sentence


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"X-Throttle-Wait-Seconds": "57"}, 57),
        ({"Retry-After": "60"}, 60),
        ({"X-Throttle-Wait-Seconds": "9", "Retry-After": "60"}, 9),
        ({"Retry-After": "99999999999999999999"}, 86_400),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "Mon, 12 Jan 99999999999 08:12:30 GMT"}, None),
        ({"Retry-After": "Mon, 12 Jan 2026 08:12:30 +9999999999"}, None),
        ({}, None),
    ],
)
def test_how_long_to_wait_is_read_from_the_headers(headers, seconds):
    failure = failure_of(reply(429, {"message": "Too many requests"}, headers))
    assert isinstance(failure, errors.Throttled)
    assert failure.wait_seconds == seconds


def test_a_time_to_retry_at_becomes_seconds():
    at = (datetime.now(UTC) + timedelta(seconds=90)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    failure = failure_of(reply(503, {}, {"Retry-After": at}))
    assert isinstance(failure, errors.Maintenance)
    assert 85 <= (failure.wait_seconds or 0) <= 91


@pytest.mark.parametrize(
    "body", ["<!DOCTYPE html><p>Hello", b"", b"{", b'{"a": NaN}', b"[" * 100_000, b"\xff\xfe", b'"text"', b"1", b"null"]
)
def test_a_success_that_is_no_json_object_is_an_error(body):
    write = failure_of(reply(200, body), method="POST")
    assert type(write) is errors.NotJson
    assert write.is_outcome_unknown
    assert not failure_of(reply(200, body)).is_outcome_unknown


# --- Broken connections and time ---


def test_a_refused_connection_was_surely_not_done():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = make_client(f"http://127.0.0.1:{port}")
    with pytest.raises(errors.Unreachable) as caught:
        client.call("POST", "/things", body={})
    assert (caught.value.is_outcome_unknown, caught.value.is_permanent) == (False, False)


def test_an_unknown_name_was_surely_not_done():
    client = make_client("http://no-such-host.invalid.localhost")
    with pytest.raises(errors.Unreachable):
        client.call("POST", "/things", body={})


def test_a_server_without_tls_behind_https_was_surely_not_done():
    with ScriptedServer(reply(200, {})) as server:
        client = make_client(server.url.replace("http:", "https:"))
        with pytest.raises(errors.Unreachable) as caught:
            client.call("POST", "/things", body={})
    assert not caught.value.is_outcome_unknown


@pytest.mark.parametrize(
    "step",
    [
        lambda sock: None,
        lambda sock: sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Le"),
        lambda sock: sock.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"a": 1}'),
        lambda sock: sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"),
        lambda sock: sock.sendall(b"this is not HTTP\r\n\r\n"),
        lambda sock: sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"),
    ],
    ids=["dropped", "half a head", "half a body", "half a chunk", "no http", "broken gzip"],
)
def test_an_answer_that_breaks_off_leaves_a_write_unknown(step):
    write = failure_of(step, method="POST")
    # A head that breaks off reads as an empty answer, which is no JSON.
    assert type(write) in (errors.OutcomeUnknown, errors.NotJson)
    assert write.is_outcome_unknown
    assert "not known" in write.sentence
    read = failure_of(step)
    assert not read.is_outcome_unknown


def trickle(head: bytes, byte: bytes):
    def step(sock: socket.socket) -> None:
        sock.sendall(head)
        for _ in range(200):
            time.sleep(0.05)
            sock.sendall(byte)

    return step


@pytest.mark.parametrize(
    "step",
    [
        lambda sock: time.sleep(5),
        trickle(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Slow: ", b"x"),
        trickle(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n", b" "),
        trickle(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b" "),
        trickle(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    ],
    ids=["silence", "slow head", "slow body", "slow body without a length", "slow chunks"],
)
def test_the_deadline_is_total_however_the_server_trickles(step):
    started = time.monotonic()
    failure = failure_of(step, method="POST", deadline_seconds=0.4)
    assert type(failure) is errors.DeadlineExceeded
    assert failure.is_outcome_unknown
    assert 0.3 < time.monotonic() - started < 2


def test_nothing_is_sent_once_the_time_ran_out_while_connecting(monkeypatch):
    # Looking up a name cannot be interrupted; what comes after it must not go out any more.
    with ScriptedServer(reply(200, {})) as server:
        lookup = socket.getaddrinfo

        def slow_lookup(*args, **kwargs):
            time.sleep(0.5)
            return lookup(*args, **kwargs)

        monkeypatch.setattr(socket, "getaddrinfo", slow_lookup)
        with pytest.raises(errors.Unreachable) as caught:
            make_client(server.url, deadline_seconds=0.3).call("POST", "/things", body={})
        assert not caught.value.is_outcome_unknown
        time.sleep(0.1)
        assert server.seen == []


@pytest.mark.parametrize("is_new", [True, False], ids=["new connection", "used again"])
def test_what_is_asked_before_the_bytes_leave_keeps_head_and_body_back(is_new):
    """And it is no call: nothing of it stands in the journal, and the next one goes out on the same connection."""
    calls: list[Call] = []
    asked = []

    def refuse() -> None:
        asked.append(len(server.seen))
        if len(asked) == 1:
            raise errors.ClaimLost

    with ScriptedServer(*[reply(200, {})] * 3) as server:
        client = make_client(server.url, calls, before_write=refuse)
        if not is_new:
            client.call("GET", "/things")
        with pytest.raises(errors.ClaimLost):
            client.call("POST", "/things", body={"a": 1})
        assert [row.method for row in server.seen] == ([] if is_new else ["GET"])
        client.call("POST", "/things", body={"a": 1})

    assert [row.method for row in server.seen] == [*([] if is_new else ["GET"]), "POST"]
    assert [call.method for call in calls] == [row.method for row in server.seen]
    assert len(asked) == 2  # and never for what only reads


def test_a_request_leaves_in_one_piece(monkeypatch):
    """Between what is asked and the last byte of the body there is no other moment to sleep in."""
    sent = []
    sendall = socket.socket.sendall

    def spy(sock, data, *flags):
        sent.append(bytes(data))
        sendall(sock, data, *flags)

    with ScriptedServer(reply(200, {})) as server:
        monkeypatch.setattr(socket.socket, "sendall", spy)
        make_client(server.url).call("POST", "/things", body={"a": "x" * 100_000})
    (request,) = [data for data in sent if data.startswith(b"POST")]
    assert request.endswith(b'"}')
    assert len(request) > 100_000
    assert server.seen[0].body == b'{"a": "' + b"x" * 100_000 + b'"}'


def test_a_connection_is_used_again_at_once_and_not_after_idling(monkeypatch):
    with ScriptedServer(*[reply(200, {})] * 3) as server:
        client = make_client(server.url)
        client.call("GET", "/things")
        client.call("GET", "/things")
        assert server.connections == 1
        client._adapter._used_at -= 2
        client.call("POST", "/things", body={})
        assert server.connections == 2


def test_after_a_deadline_the_next_call_works():
    with ScriptedServer(lambda sock: time.sleep(2), reply(200, {"a": 1})) as server:
        client = make_client(server.url, deadline_seconds=0.3)
        with pytest.raises(errors.DeadlineExceeded):
            client.call("GET", "/things")
        assert client.call("GET", "/things").data == {"a": 1}


def test_an_answer_that_is_too_large_is_not_read_to_its_end():
    failure = failure_of(reply(200, {"a": "x" * 2000}), max_body_bytes=1000, method="POST")
    assert type(failure) is errors.OutcomeUnknown
    assert failure.is_outcome_unknown
    assert "too large" in failure.sentence


def test_no_watch_outlives_its_call():
    with ScriptedServer(reply(200, {}), lambda sock: None) as server:
        client = make_client(server.url, deadline_seconds=30)
        client.call("GET", "/things")
        with pytest.raises(errors.OutcomeUnknown):
            client.call("GET", "/things")
    time.sleep(0.05)
    assert [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)] == []


# --- The journal, and what must not be in it ---


def test_every_call_is_in_the_journal_with_its_outcome():
    calls: list[Call] = []
    with ScriptedServer(reply(200, {}), reply(500, {}), lambda sock: None) as server:
        client = make_client(server.url, calls)
        client.call("GET", "/things", query={"page": 2, "uuid": "secret-uuid"})
        with pytest.raises(errors.ServerFault):
            client.call("POST", "/things", body={})
        with pytest.raises(errors.OutcomeUnknown):
            client.call("PUT", "/things/1", body={})
    assert [(call.method, call.path, call.status, call.error) for call in calls] == [
        ("GET", "/things?page=2&uuid=…", 200, ""),
        ("POST", "/things", 500, "ServerFault"),
        ("PUT", "/things/1", None, "OutcomeUnknown"),
    ]
    assert {call.upstream for call in calls} == {"taiga"}
    assert all(call.at.tzinfo is UTC and 0 <= call.duration_ms < 5000 for call in calls)


def test_no_secret_is_in_an_error_its_chain_or_the_journal():
    calls: list[Call] = []
    echo = {"message": f"bad token {TOKEN}", "errors": {"token": [f"{TOKEN} is bad"], "password": "hunter2"}}
    steps = [reply(422, echo), reply(200, f"<p>{TOKEN}</p>"), lambda sock: None, reply(500, f'"token":"{TOKEN}"')]
    with ScriptedServer(*steps) as server:
        client = make_client(server.url, calls)
        for _ in steps:
            with pytest.raises(errors.UpstreamError) as caught:
                client.call("GET", "/things", query={"uuid": "secret-uuid"})
            failure = caught.value
            told = [repr(failure), str(failure), failure.sentence, failure.body_excerpt, failure.detail, failure.path]
            told += [str(getattr(failure, "fields", ""))]
            assert failure.__cause__ is None
            assert failure.__suppress_context__ or failure.__context__ is None
            assert not any(TOKEN in text or "secret-uuid" in text for text in told)
        assert TOKEN not in repr(client)
    assert TOKEN not in repr(calls)
    assert "secret-uuid" not in repr(calls)


@pytest.mark.parametrize("value", ["", " ", "tök", "a\nb", "a\x00b"])
def test_a_token_that_cannot_be_sent_is_refused_without_being_quoted(value):
    with pytest.raises(errors.ConfigError) as caught:
        JsonClient("https://taiga.example", upstream="taiga", classify=lambda _: errors.Rejected, headers={"X": value})
    assert "tök" not in caught.value.sentence


# --- Addresses ---


@pytest.mark.parametrize(
    ("url", "allow_http"),
    [
        ("https://taiga.example.com/api/v1/", False),
        ("http://127.0.0.1:9101/api/v1", True),
        ("http://[::1]:9101/api/v1", True),
        ("http://10.1.2.3/api/v1", True),
        ("http://192.168.1.5/api/v1", True),
        ("http://localhost:9000/api/v1", True),
        ("http://taiga-back:8000/api/v1", True),
        ("http://taiga.internal/api/v1", True),
    ],
)
def test_addresses_that_may_be_called(url, allow_http):
    client = JsonClient(url, upstream="taiga", classify=lambda _: errors.Rejected, allow_http=allow_http)
    assert client.base_url == url.rstrip("/")


@pytest.mark.parametrize(
    ("url", "allow_http"),
    [
        ("http://127.0.0.1:9101", False),
        ("http://taiga.example.com", True),
        ("http://8.8.8.8", True),
        ("ftp://taiga.example.com", True),
        ("taiga.example.com", True),
        ("", True),
        ("https://", True),
        ("https://user:hunter2@taiga.example.com", True),
        ("https://taiga.example.com?token=hunter2", True),
    ],
)
def test_addresses_that_may_not_be_called(url, allow_http):
    with pytest.raises(errors.ConfigError) as caught:
        JsonClient(url, upstream="taiga", classify=lambda _: errors.Rejected, allow_http=allow_http)
    assert "hunter2" not in caught.value.sentence


def test_upstream_errors_survive_the_way_between_processes():
    failure = errors.Rejected("taiga", "POST", "/things", fields={"a": ["No."]}, status=400)
    copy = pickle.loads(pickle.dumps(failure))
    assert (type(copy), copy.fields, copy.status, copy.sentence) == (
        errors.Rejected,
        {"a": ["No."]},
        400,
        failure.sentence,
    )
