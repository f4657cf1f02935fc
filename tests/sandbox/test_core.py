"""The stand-ins' core: durable memory, clock, faults, control surface, process."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.wrappers import Request, Response

from sandbox.app import StandIn, json_response
from sandbox.clock import Clock
from sandbox.http_server import Server
from sandbox.memory import Memory

ROOT = Path(__file__).parents[2]
NOON = datetime(2025, 12, 1, 12, 0, tzinfo=UTC)


class Counter(StandIn):
    """Inserts a row for each POST and tells how many there are."""

    name = "counter"
    title = "A <counting> stand-in"

    def answer(self, request: Request) -> Response:
        table = self.memory.table("rows")
        if request.method == "POST":
            with self.memory.transaction():
                table.insert({"body": request.get_data(as_text=True)})
        return json_response({"rows": len(table)})

    def seed(self, data: dict[str, Any]) -> dict[str, Any]:
        return data


@pytest.fixture
def counter(tmp_path: Path) -> Iterator[Counter]:
    app = Counter(Memory("counter"), Clock(tmp_path / "clock.json"))
    server = Server("127.0.0.1", 0, app)
    server.start()
    app.url = server.url
    yield app
    server.stop()


# memory


def test_a_reopened_memory_has_what_was_committed(tmp_path: Path) -> None:
    memory = Memory("m", tmp_path)
    table = memory.table("rows", indexes=("kind",))
    with memory.transaction():
        first = table.insert({"kind": "a", "amount": Decimal("1.10"), "at": NOON})
        table.insert({"kind": "b"}, row_id="text-id")
        table.insert({"kind": "a"})
    with memory.transaction():
        table.update(first["id"], kind="c")
        table.delete(2)
    again = Memory("m", tmp_path).table("rows", indexes=("kind",))
    assert again.all() == [
        {"kind": "c", "amount": Decimal("1.10"), "at": NOON, "id": 1},
        {"kind": "b", "id": "text-id"},
    ]
    assert again.find(kind="c") == [again.get(1)]
    assert again.find(kind="a") == []
    assert again.last_id == 2


def test_an_exception_undoes_the_whole_transaction(tmp_path: Path) -> None:
    memory = Memory("m", tmp_path)
    table = memory.table("rows", indexes=("kind",))
    with memory.transaction():
        table.insert({"kind": "kept"})
    with pytest.raises(ZeroDivisionError), memory.transaction():  # noqa: PT012 - what is undone is all of it
        table.update(1, kind="changed")
        table.insert({"kind": "new"})
        table.delete(1)
        raise ZeroDivisionError
    assert table.all() == [{"kind": "kept", "id": 1}]
    assert table.find(kind="kept") == [{"kind": "kept", "id": 1}]
    assert table.last_id == 1
    assert Memory("m", tmp_path).table("rows").all() == table.all()


def test_a_line_torn_by_a_kill_is_left_out(tmp_path: Path) -> None:
    memory = Memory("m", tmp_path)
    with memory.transaction():
        memory.table("rows").insert({"n": 1})
    with (tmp_path / "m.jsonl").open("ab") as journal:
        journal.write(b'{"rows":[["rows",2,{"n":')
    assert Memory("m", tmp_path).table("rows").all() == [{"n": 1, "id": 1}]


def test_a_row_that_was_read_stays_as_it_was() -> None:
    memory = Memory("m")
    table = memory.table("rows")
    with memory.transaction():
        before = table.insert({"n": 1})
        table.update(1, n=2)
    assert before == {"n": 1, "id": 1}


def test_rows_change_only_in_a_transaction() -> None:
    with pytest.raises(RuntimeError):
        Memory("m").table("rows").insert({})


def test_the_journal_is_compacted_when_it_is_opened(tmp_path: Path) -> None:
    memory = Memory("m", tmp_path)
    with memory.transaction():
        memory.table("rows").insert({"n": 0})
    for n in range(100):
        with memory.transaction():
            memory.table("rows").update(1, n=n)
    Memory("m", tmp_path)
    assert len((tmp_path / "m.jsonl").read_bytes().splitlines()) == 1


CHANGES = st.lists(st.tuples(st.sampled_from("iud"), st.integers(1, 5), st.integers()), max_size=30)


@given(changes=CHANGES, is_broken=st.lists(st.booleans(), min_size=30, max_size=30))
def test_memory_and_journal_agree_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, int, int]], is_broken: list[bool]
) -> None:
    folder = tmp_path_factory.mktemp("memory")
    memory, expected = Memory("m", folder), {}
    table = memory.table("rows", indexes=("n",))
    for (what, number, value), breaks in zip(changes, is_broken, strict=False):
        attempt = dict(expected)
        try:
            with memory.transaction():
                if what == "i":
                    table.insert({"n": value}, row_id=number)
                    attempt[number] = value
                elif what == "u":
                    table.update(number, n=value)
                    attempt[number] = value
                else:
                    table.delete(number)
                    attempt.pop(number)
                if breaks:
                    raise ZeroDivisionError
            expected = attempt
        except (KeyError, ZeroDivisionError):
            pass
    assert {row["id"]: row["n"] for row in table.all()} == expected
    again = Memory("m", folder).table("rows", indexes=("n",))
    assert {row["id"]: row["n"] for row in again.all()} == expected
    for value in set(expected.values()):
        assert {row["id"] for row in again.find(n=value)} == {k for k, v in expected.items() if v == value}


# clock


def test_the_clock_is_frozen_runs_on_and_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "clock.json"
    clock = Clock(path)
    clock.set(NOON)
    assert clock.now() == NOON
    assert json.loads(path.read_text()) == {"frozen": "2025-12-01T12:00:00Z"}
    assert Clock(path).now() == NOON
    clock.set(NOON, frozen=False)
    assert timedelta(0) <= Clock(path).now() - NOON < timedelta(seconds=30)
    assert list(json.loads(path.read_text())) == ["offset_seconds"]
    clock.set_real()
    assert abs(Clock(path).now() - datetime.now(UTC)) < timedelta(seconds=30)


# control surface


def test_the_clock_is_set_over_http(counter: Counter) -> None:
    answer = requests.post(f"{counter.url}/sandbox/clock", json={"now": "2025-12-31T23:59:59+01:00"}, timeout=5)
    assert answer.json() == {"now": "2025-12-31T22:59:59Z", "frozen": "2025-12-31T22:59:59Z"}
    assert counter.clock.now() == datetime(2025, 12, 31, 22, 59, 59, tzinfo=UTC)
    assert requests.post(f"{counter.url}/sandbox/clock", json={"real": True}, timeout=5).json()["offset_seconds"] == 0


def test_state_page_and_counters(counter: Counter) -> None:
    session = requests.Session()
    for number in range(3):
        session.post(f"{counter.url}/things/{number}", data="x<y", timeout=5)
    state = session.get(f"{counter.url}/sandbox/state.json", timeout=5).json()
    assert 0 <= state["calls"].pop("busy_seconds") < 3
    assert state["calls"] == {
        "total": 3,
        "by_endpoint": {"POST /things/{id}": 3},
        "in_flight": 0,
        "most_in_flight": 1,
    }
    assert len(state["rows"]) == 3
    page = session.get(f"{counter.url}/sandbox/", timeout=5)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "A &lt;counting&gt; stand-in" in page.text
    assert "x<y" not in page.text
    session.post(f"{counter.url}/sandbox/reset", timeout=5)
    assert session.get(f"{counter.url}/sandbox/state.json", timeout=5).json()["calls"]["total"] == 0
    assert counter.memory.table("rows").all() == []


def test_what_makes_no_sense_is_one_sentence(counter: Counter) -> None:
    for path, body in (("faults", {"kind": "fire"}), ("faults", {"kind": "html", "paths": "x"}), ("seed", [])):
        answer = requests.post(f"{counter.url}/sandbox/{path}", json=body, timeout=5)
        assert answer.status_code == 400
        assert answer.json()["error"].endswith(".")
    assert requests.get(f"{counter.url}/sandbox/nothing", timeout=5).status_code == 404


def test_many_calls_at_once_are_counted(counter: Counter) -> None:
    counter.faults.add({"kind": "delay", "seconds": 0.2, "count": None})
    threads = [threading.Thread(target=requests.get, args=(f"{counter.url}/x",), kwargs={"timeout": 5}) for _ in "1234"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.calls()["most_in_flight"] >= 2
    assert counter.calls()["in_flight"] == 0
    assert counter.calls()["busy_seconds"] >= 0.8  # together, longer than the clock on the wall


# faults


def _rows(counter: Counter) -> int:
    return len(counter.memory.table("rows"))


def test_a_lost_answer_comes_after_the_work(counter: Counter) -> None:
    counter.faults.add({"kind": "lost_answer"})
    with pytest.raises(requests.ConnectionError):
        requests.post(f"{counter.url}/x", timeout=5)
    assert _rows(counter) == 1
    assert requests.post(f"{counter.url}/x", timeout=5).json() == {"rows": 2}


def test_a_refused_call_did_nothing(counter: Counter) -> None:
    counter.faults.add({"kind": "refused"})
    with pytest.raises(requests.ConnectionError):
        requests.post(f"{counter.url}/x", timeout=5)
    assert _rows(counter) == 0


@pytest.mark.parametrize(("after", "rows"), [(False, 0), (True, 1)])
def test_a_status_comes_before_or_after_the_work(counter: Counter, after: bool, rows: int) -> None:
    requests.post(f"{counter.url}/sandbox/faults", json=[{"kind": "status", "status": 503, "after": after}], timeout=5)
    assert requests.post(f"{counter.url}/x", timeout=5).status_code == 503
    assert _rows(counter) == rows


def test_a_fault_hits_its_method_and_path_so_often(counter: Counter) -> None:
    counter.faults.add({"kind": "status", "status": 500, "method": "POST", "path": r"^/tasks\?a=1$", "count": 2})
    session = requests.Session()
    assert session.get(f"{counter.url}/tasks?a=1", timeout=5).status_code == 200
    assert session.post(f"{counter.url}/tasks", timeout=5).status_code == 200
    statuses = [session.post(f"{counter.url}/tasks?a=1", timeout=5).status_code for _ in range(3)]
    assert statuses == [500, 500, 200]


def test_a_fault_for_ever_is_taken_back(counter: Counter) -> None:
    counter.faults.add({"kind": "redirect", "count": None})
    for _ in range(3):
        answer = requests.get(f"{counter.url}/x", timeout=5, allow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (302, "/login")
    requests.delete(f"{counter.url}/sandbox/faults", timeout=5)
    assert requests.get(f"{counter.url}/x", timeout=5).status_code == 200


def test_headers_are_put_on_the_real_answer(counter: Counter) -> None:
    counter.faults.add({"kind": "headers", "headers": {"Date": "Thu, 01 Jan 2026 00:00:00 GMT"}})
    answer = requests.post(f"{counter.url}/x", timeout=5)
    assert (answer.headers["Date"], _rows(counter)) == ("Thu, 01 Jan 2026 00:00:00 GMT", 1)


def test_html_where_json_belongs(counter: Counter) -> None:
    counter.faults.add({"kind": "html"})
    answer = requests.post(f"{counter.url}/x", timeout=5)
    assert (answer.status_code, _rows(counter)) == (200, 0)
    assert answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("after", [False, True])
def test_a_delay_lets_the_work_happen_all_the_same(counter: Counter, after: bool) -> None:
    counter.faults.add({"kind": "delay", "seconds": 0.5, "after": after})
    with pytest.raises(requests.ReadTimeout):
        requests.post(f"{counter.url}/x", timeout=0.2)
    assert _rows(counter) == (1 if after else 0)
    time.sleep(0.5)
    assert _rows(counter) == 1


# server


def test_a_connection_is_kept_and_a_head_has_no_body(counter: Counter) -> None:
    with socket.create_connection(counter.url.removeprefix("http://").split(":")) as connection:
        connection.sendall(b"HEAD /x HTTP/1.1\r\nHost: x\r\n\r\nGET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.settimeout(5)
        data = b""
        while b'{"rows": 0}' not in data:
            data += connection.recv(4096)
    assert data.count(b"HTTP/1.1 200 OK") == 2
    assert data.count(b'{"rows": 0}') == 1


def test_a_chunked_body_is_read(counter: Counter) -> None:
    parts = iter([b"ab", b"cd"])
    requests.post(f"{counter.url}/x", data=parts, timeout=5)
    assert counter.memory.table("rows").all()[0]["body"] == "abcd"


# process


def _start(tmp_path: Path, *more: str) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "sandbox", "--taiga-port", "0", "--ninja-port", "0", "--state", str(tmp_path)]
    process = subprocess.Popen([*command, *more], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().split()[1]


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    process, url = _start(tmp_path)
    try:
        requests.post(f"{url}/sandbox/clock", json={"now": "2025-12-01T14:30:00Z"}, timeout=10)
        data = {"users": [{"username": "alice"}], "projects": [{"name": "Website", "owner": "alice"}]}
        assert requests.post(f"{url}/sandbox/seed", json=data, timeout=10).status_code == 200
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    process, url = _start(tmp_path)
    try:
        state = requests.get(f"{url}/sandbox/state.json", timeout=10).json()
        assert [project["name"] for project in state["projects"]] == ["Website"]
        assert state["clock"]["now"] == "2025-12-01T14:30:00Z"
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 0


def test_a_busy_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "sandbox", "--taiga-port", str(port), "--ninja-port", "0"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert f"Port {port} on 127.0.0.1" in done.stderr
