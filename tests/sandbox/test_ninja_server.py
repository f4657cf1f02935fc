"""The stand-in Invoice Ninja as a server: tokens, webhooks, seeds, faults, memory."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sandbox.http_server import ConnectionDropped
from tests.sandbox.ninja_api import SEED, Api


@pytest.fixture
def api() -> Api:
    api = Api()
    api.seed()
    return api


def test_the_first_of_every_kind_has_one_id() -> None:
    """Hashids with an empty salt, as on every install (README a)."""
    empty = Api()
    client = empty.post("/clients", {"name": "Acme"})["id"]
    project = empty.post("/projects", {"name": "Site", "client_id": client})["id"]
    task = empty.post("/tasks", {"client_id": client, "project_id": project})["id"]
    line = {"quantity": 1, "cost": 10, "task_id": task}
    invoice = empty.post("/invoices", {"client_id": client, "line_items": [line]})["id"]
    credit = empty.post("/credits", {"client_id": client, "line_items": [line]})["id"]
    body = {"client_id": client, "amount": 10, "invoices": [{"invoice_id": invoice, "amount": 10}]}
    payment = empty.post("/payments", {**body, "date": "2026-01-02"})["id"]
    assert {client, project, task, invoice, credit, payment} == {"VolejRejNm"}


class Receiver(ThreadingHTTPServer):
    """Remembers what it was sent and answers `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[str, dict[str, str], Any]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, dict(self.headers), json.loads(body)))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def hook(api: Api, receiver: Receiver, event: str, path: str) -> Any:
    body = {"target_url": f"{receiver.url}{path}", "event_id": event, "headers": {"X-Own-Key": "abc"}}
    return api.post("/webhooks", body)


def test_a_hook_gets_the_bare_record_unsigned_inside_the_call(api: Api, receiver: Receiver) -> None:
    hook(api, receiver, "18", "/task_create")

    task = api.task()

    path, headers, body = receiver.got[0]
    assert path == "/task_create"
    assert body == {**api.get(f"/tasks/{task['id']}")}
    assert headers["X-Own-Key"] == "abc"
    assert headers["User-Agent"] == "GuzzleHttp/7"
    assert not [name for name in headers if "signature" in name.lower()]


def test_marking_as_sent_and_paying_fire_what_the_server_fires(api: Api, receiver: Receiver) -> None:
    for event, path in (("4", "/payment_create"), ("8", "/invoice_update"), ("60", "/invoice_sent")):
        hook(api, receiver, event, path)
    invoice = api.invoice()["id"]

    api.bulk("mark_sent", invoice)
    sent = [path for path, _, _ in receiver.got]
    receiver.got.clear()
    api.bulk("mark_paid", invoice)
    paid = [path for path, _, _ in receiver.got]

    assert sent == ["/invoice_update", "/invoice_sent"]
    assert paid == ["/payment_create", "/invoice_update"]
    assert {"client", "invitations"} <= set(receiver.got[1][2])


@pytest.mark.parametrize(("status", "is_gone"), [(404, True), (405, True), (410, True), (500, False), (400, False)])
def test_some_answers_end_a_hook(api: Api, receiver: Receiver, status: int, is_gone: bool) -> None:
    hook_id = hook(api, receiver, "18", "/x")["id"]
    receiver.status = status

    api.task()

    assert bool(api.get(f"/webhooks/{hook_id}")["archived_at"]) is is_gone
    api.task("B")
    assert len(receiver.got) == (1 if is_gone else 2)


def test_a_receiver_that_is_down_hinders_nothing(api: Api) -> None:
    api.post("/webhooks", {"target_url": "http://127.0.0.1:9/x", "event_id": "18"})

    assert api.task()["number"] == "TAIGA-T1-1"
    assert "Refused" in api.json("GET", "/sandbox/state.json")["deliveries"][0]["problem"]


def test_a_deleted_token_is_a_bad_token(api: Api) -> None:
    token = api.post("/tokens", {"name": "console"})
    api.headers["X-API-TOKEN"] = token["token"]
    api.get("/tasks")

    api.call("DELETE", f"/tokens/{token['id']}")

    assert api.json("GET", "/ping") == {"message": "Invalid token", "errors": {}}
    assert api.status == 403


def test_a_token_of_little_right_sees_its_own_and_breaks_on_companies(api: Api) -> None:
    api.task()
    user = {"id": "clerk", "first_name": "C", "last_name": "K", "email": "c@x.example", "permissions": "create_task"}
    api.seed({"users": [user], "tokens": [{"token": "clerk-token", "user_id": "clerk"}]})
    api.headers["X-API-TOKEN"] = "clerk-token"

    assert api.get("/tasks") == []
    mine = api.post("/tasks", {"description": "mine"})["id"]
    assert [row["id"] for row in api.get("/tasks")] == [mine]
    assert api.call("POST", "/invoices", {"client_id": "client_abc123"}).status_code == 401
    assert api.call("GET", "/companies").status_code == 500


def test_a_seed_twice_changes_nothing_and_leaves_what_was_edited(api: Api) -> None:
    api.put("/projects/proj_web001", {"task_rate": 80})
    before = {k: v for k, v in api.json("GET", "/sandbox/state.json").items() if k != "calls"}

    added = api.seed()["added"]

    assert set(added.values()) == {0}
    assert {k: v for k, v in api.json("GET", "/sandbox/state.json").items() if k != "calls"} == before
    assert api.get("/projects/proj_web001")["task_rate"] == 80


@pytest.mark.parametrize(
    "data",
    [
        {"client": []},
        {"projects": [{"id": "p", "name": "P", "client_id": "nobody"}]},
        {"company": {"currency": "XXX"}},
        {"company": {"timezone": "Mars/Olympus"}},
        {"switches": {"mail": 1}},
    ],
)
def test_a_seed_that_makes_no_sense_is_one_sentence_and_adds_nothing(api: Api, data: dict[str, Any]) -> None:
    clients = len(api.get("/clients"))

    answer = api.seed({"clients": [{"id": "new", "name": "New"}], **data})

    assert api.status == 400
    assert answer["error"].endswith(".")
    assert len(api.get("/clients")) == clients


def test_the_page_shows_what_it_holds(api: Api) -> None:
    api.bulk("email", api.invoice(api.task()["id"], number="2026-1")["id"])

    page = api.call("GET", "/sandbox/").get_data(as_text=True)

    for text in ("Website Redesign", "TAIGA-T1-1", "2026-1", "ann@website.example", "New invoice 2026-1"):
        assert text in page


def test_no_token_is_shown(api: Api) -> None:
    token = api.post("/tokens", {"name": "console"})["token"]

    assert token not in api.call("GET", "/sandbox/state.json").get_data(as_text=True)


def test_a_lost_answer_has_done_its_work(api: Api) -> None:
    api.ninja.faults.add({"kind": "lost_answer", "method": "POST", "path": "/tasks"})

    with pytest.raises(ConnectionDropped):
        api.task()

    assert [task["number"] for task in api.get("/tasks?number=TAIGA-T1-1")] == ["TAIGA-T1-1"]


def test_throttling_says_nothing_about_how_long(api: Api) -> None:
    api.ninja.faults.add({"kind": "status", "status": 429, "wait_seconds": 5})

    response = api.call("GET", "/tasks")

    assert (response.status_code, json.loads(response.get_data())) == (429, {"message": "Too many requests"})
    assert "Retry-After" not in response.headers
    assert api.call("GET", "/tasks").status_code == 200


def test_a_new_process_remembers_everything_and_counts_on(tmp_path: Path) -> None:
    api = Api(directory=tmp_path)
    api.seed()
    api.seed({"switches": {"mail_mode": "queued", "mail_delay_seconds": None}})
    first = api.post("/tasks", {"description": "first"})
    invoice = api.invoice(first["id"])["id"]
    api.bulk("email", invoice)
    held = api.ninja.state()
    del api

    again = Api(directory=tmp_path)

    assert again.ninja.state() == held
    assert again.post("/tasks", {"description": "second"})["number"] == "0002"
    assert again.json("POST", "/tasks", {"number": "0001"})["errors"]
    again.seed({"run_mail_queue": True})
    assert again.get(f"/invoices/{invoice}")["invitations"][0]["message_id"]


def test_reset_is_a_fresh_install(api: Api) -> None:
    api.task()

    api.call("POST", "/sandbox/reset")

    assert api.get("/clients") == []
    assert set(api.seed()["added"].values()) == {0, 1, 2}
    assert api.get("/clients/client_abc123")["name"] == SEED["clients"][0]["name"]  # type: ignore[index]
