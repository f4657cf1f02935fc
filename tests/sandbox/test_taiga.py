"""Traps of the stand-in Taiga that no single recorded exchange shows."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from werkzeug.wrappers import Request, Response

from sandbox.http_server import ConnectionDropped, Server
from sandbox.server import serve
from sandbox.taiga.app import Taiga

NOON = datetime(2025, 12, 1, 12, 0, tzinfo=UTC)
ATTRIBUTES = [("Billable", "checkbox"), ("Duration (Hours)", "number"), ("Invoice Status", "dropdown")]
SEED: dict[str, Any] = {
    "users": [
        {"username": "admin", "is_superuser": True},
        {"username": "alice", "full_name": "Alice Adams"},
        {"username": "bot"},
    ],
    "applications": [{"id": "console", "name": "Billing console"}],
    "application_tokens": [{"application": "console", "user": "bot", "token": "sandbox-taiga-token"}],
    "projects": [
        {
            "name": "Website",
            "owner": "admin",
            "members": [{"username": "alice"}, {"username": "bot", "role": "Back", "is_admin": True}],
            "attributes": [
                {"kind": kind, "name": name, "type": type_}
                for kind in ("task", "userstory", "issue")
                for name, type_ in ATTRIBUTES
            ],
            "stories": [{"subject": "Checkout"}],
        }
    ],
}


class World:
    """A stand-in Taiga with one project, a receiver that remembers, and calls as alice and as the bot."""

    def __init__(self, app: Taiga) -> None:
        self.app = app
        self.received: list[dict[str, Any]] = []
        self.raw: list[tuple[str, bytes]] = []
        self.wait = threading.Event()
        self.is_dropping = False
        self.is_slow = False
        self._server = Server("127.0.0.1", 0, self._receive)
        self._server.start()
        hook = {"name": "console", "url": f"{self._server.url}/webhooks/taiga", "key": "sandbox-webhook-key"}
        projects = [{**SEED["projects"][0], "webhooks": [hook]}]
        self.ids = app.seed({**SEED, "projects": projects})
        answer = self.call("POST", "/auth", {"type": "normal", "username": "alice", "password": "sandbox"}, who="")
        self.alice = f"Bearer {answer.json()['auth_token']}"
        self.refresh = answer.json()["refresh"]

    def _receive(self, request: Request) -> Response:
        if self.is_slow:
            self.wait.wait(10)
        if self.is_dropping:
            raise ConnectionDropped
        self.raw.append((request.headers["X-TAIGA-WEBHOOK-SIGNATURE"], request.get_data()))
        self.received.append(json.loads(request.get_data()))
        return Response("{}", 202, content_type="application/json")

    def stop(self) -> None:
        self.wait.set()
        self._server.stop()

    def call(self, method: str, path: str, body: Any = None, who: str = "alice") -> requests.Response:
        headers = {"Authorization": self.alice if who == "alice" else "Application sandbox-taiga-token"}
        url = f"{self.app.url}/api/v1{path}"
        return requests.request(method, url, json=body, headers=headers if who else {}, timeout=20)

    def task(self, *, story: int | None = 1, **fields: Any) -> dict[str, Any]:
        body = {"project": 1, "subject": "A task", "user_story": story, **fields}
        return dict(self.call("POST", "/tasks", body).json())

    def values(self, number: int, version: int, **values: Any) -> requests.Response:
        body = {"attributes_values": {key.strip("_"): value for key, value in values.items()}, "version": version}
        return self.call("PATCH", f"/tasks/custom-attributes-values/{number}", body)


@pytest.fixture(params=["inline", "async"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    running = serve(ninja_port=None, taiga_mode=request.param)
    running.clock.set(NOON)
    world = World(running.taiga)
    yield world
    world.stop()
    running.stop()


@pytest.fixture
def inline() -> Iterator[World]:
    running = serve(ninja_port=None)
    running.clock.set(NOON)
    world = World(running.taiga)
    yield world
    world.stop()
    running.stop()


def test_seeding_again_changes_nothing(inline: World) -> None:
    before = inline.app.state()
    inline.app.seed(SEED)
    assert inline.app.state() == before


def test_each_kind_counts_by_itself_from_one(inline: World) -> None:
    """As Taiga does: an id means nothing without its kind (recordings 501 to 505), nor does an attribute's."""
    task = inline.task()
    issue = inline.call("POST", "/issues", {"project": 1, "subject": "A bug"}).json()
    story = inline.call("GET", "/userstories?project=1").json()[0]
    assert (task["id"], story["id"], issue["id"]) == (1, 1, 1)
    for kind in ("task", "userstory", "issue"):
        rows = inline.call("GET", f"/{kind}-custom-attributes?project=1").json()
        assert [row["id"] for row in rows] == [1, 2, 3]


def test_each_change_is_told_once_signed_and_by_attribute_name(world: World) -> None:
    task = world.task()
    world.values(task["id"], 1, _1=True, _2=2.5, _3=None)
    assert world.app.drain()
    assert sorted((body["action"], body["type"]) for body in world.received) == [("change", "task"), ("create", "task")]
    change = next(body for body in world.received if body["action"] == "change")
    assert change["data"]["custom_attributes_values"] == {"Billable": True, "Duration (Hours)": 2.5}
    assert change["by"]["username"] == "alice"
    for signature, raw in world.raw:
        assert signature == hmac.new(b"sandbox-webhook-key", raw, hashlib.sha1).hexdigest()


def test_a_task_without_a_story_is_saved_but_never_told(world: World) -> None:
    status = 500 if world.app.mode == "inline" else 201
    answer = world.call("POST", "/tasks", {"project": 1, "subject": "No story"})
    assert answer.status_code == status
    assert world.app.drain()
    [row] = world.call("GET", "/tasks?project=1").json()
    assert (row["subject"], row["version"]) == ("No story", 1)
    answer = world.values(row["id"], 1, _1=True)
    assert answer.status_code == (500 if world.app.mode == "inline" else 200)
    assert world.app.drain()
    values = world.call("GET", f"/tasks/custom-attributes-values/{row['id']}").json()
    assert values["attributes_values"] == {"1": True}
    assert world.received == []
    assert world.call("GET", "/webhooklogs", who="bot").json() == []
    told = world.call("GET", "/timeline/project/1").json()
    assert [entry["event_type"] for entry in told][:2] == ["tasks.task.change", "tasks.task.create"]
    assert "userstory" not in told[0]["data"]["task"]
    assert list(told[0]["data"]["values_diff"]) == ["custom_attributes"]


def test_without_a_webhook_a_task_without_a_story_is_no_trouble(inline: World) -> None:
    inline.call("DELETE", "/webhooks/1", who="bot")
    assert inline.call("POST", "/tasks", {"project": 1, "subject": "No story"}).status_code == 201


def test_attribute_values_change_neither_version_nor_date_of_the_task(inline: World) -> None:
    task = inline.task()
    inline.app.clock.set(NOON + timedelta(hours=1))
    inline.values(task["id"], 1, _1=True)
    after = inline.call("GET", f"/tasks/{task['id']}").json()
    assert (after["version"], after["modified_date"]) == (1, "2025-12-01T12:00:00Z")


def test_a_write_in_between_shows_only_in_the_version(inline: World) -> None:
    task = inline.task()
    read = inline.values(task["id"], 1, _1=True, _2=1).json()
    person = inline.values(task["id"], read["version"], _1=True, _2=7).json()
    assert person["version"] == read["version"] + 1
    ours = inline.values(task["id"], read["version"], _1=True, _2=1, _3="Invoiced")
    assert ours.status_code == 200
    assert ours.json()["version"] == read["version"] + 2
    assert ours.json()["attributes_values"]["2"] == 1
    history = inline.call("GET", f"/history/task/{task['id']}").json()
    changed = [entry["values_diff"]["custom_attributes"]["changed"] for entry in history]
    assert [[row["changes"]["value"] for row in rows] for rows in changed] == [[[7, 1]], [[1, 7]], []]


def test_what_is_left_out_of_the_values_is_gone(inline: World) -> None:
    task = inline.task()
    inline.values(task["id"], 1, _1=True, _2=2)
    inline.values(task["id"], 2, _3="Invoiced")
    values = inline.call("GET", f"/tasks/custom-attributes-values/{task['id']}").json()
    assert values["attributes_values"] == {"3": "Invoiced"}


def test_attributes_of_different_kinds_share_ids(inline: World) -> None:
    attributes = inline.ids["projects"]["Website"]["attributes"]
    assert attributes["task"] == attributes["userstory"] == attributes["issue"]
    inline.call("PATCH", "/task-custom-attributes/1", {"name": "Charged"}, who="bot")
    names = inline.call("GET", "/userstory-custom-attributes?project=1").json()
    assert names[0]["name"] == "Billable"


def test_a_renamed_attribute_renames_the_key_in_webhooks(inline: World) -> None:
    task = inline.task()
    inline.values(task["id"], 1, _1=True)
    inline.call("PATCH", "/task-custom-attributes/1", {"name": "Charged"}, who="bot")
    told = len(inline.received)
    inline.call("PATCH", f"/tasks/{task['id']}", {"version": 1, "subject": "again"})
    assert len(inline.received) == told + 1
    assert inline.received[-1]["data"]["custom_attributes_values"] == {"Charged": True}


def test_the_closing_date_is_kept_lost_and_set_anew(inline: World) -> None:
    task, statuses = inline.task(), inline.ids["projects"]["Website"]["task_statuses"]
    seen = []
    for hour, status in enumerate(("Closed", "Closed", "New", "Closed"), 1):
        inline.app.clock.set(NOON + timedelta(hours=hour))
        body = {"version": hour, "status": statuses[status]}
        seen.append(inline.call("PATCH", f"/tasks/{task['id']}", body).json()["finished_date"])
    assert seen == ["2025-12-01T13:00:00Z", "2025-12-01T13:00:00Z", None, "2025-12-01T16:00:00Z"]


def test_a_flipped_status_closes_without_a_date_and_without_a_word(inline: World) -> None:
    task = inline.task(status=2)
    told = len(inline.received)
    inline.call("PATCH", "/task-statuses/2", {"is_closed": True}, who="bot")
    after = inline.call("GET", f"/tasks/{task['id']}").json()
    assert (after["is_closed"], after["finished_date"], after["version"]) == (True, None, 1)
    assert len(inline.received) == told


def test_a_deleted_status_leaves_the_closing_date_on_open_tasks(inline: World) -> None:
    task = inline.task(status=4)
    assert inline.call("DELETE", "/task-statuses/4?moveTo=1", who="bot").status_code == 204
    after = inline.call("GET", f"/tasks/{task['id']}").json()
    assert (after["is_closed"], after["finished_date"]) == (False, "2025-12-01T12:00:00Z")
    inline.call("PATCH", f"/tasks/{task['id']}", {"version": 1, "subject": "later"})
    assert inline.received[-1]["change"]["diff"]["status"] == {"from": None, "to": "New"}


def test_a_story_closes_and_opens_with_its_tasks_silently(inline: World) -> None:
    task = inline.task()
    told = len(inline.received)
    inline.call("PATCH", f"/tasks/{task['id']}", {"version": 1, "status": 4})
    story = inline.call("GET", "/userstories/1").json()
    assert (story["is_closed"], story["status_extra_info"]["is_closed"]) == (True, False)
    assert (story["finish_date"], story["version"]) == ("2025-12-01T12:00:00Z", 1)
    inline.call("PATCH", f"/tasks/{task['id']}", {"version": 2, "status": 1})
    assert inline.call("GET", "/userstories/1").json()["is_closed"] is False
    assert [body["type"] for body in inline.received[told:]] == ["task", "task"]


def test_deleting_a_story_takes_its_tasks_without_a_word(inline: World) -> None:
    task = inline.task()
    told = len(inline.received)
    assert inline.call("DELETE", "/userstories/1").status_code == 204
    assert inline.call("GET", f"/tasks/{task['id']}").status_code == 404
    assert [(body["action"], body["type"]) for body in inline.received[told:]] == [("delete", "userstory")]
    assert inline.received[-1]["data"]["custom_attributes_values"] is None


def test_a_promoted_task_vanishes_and_its_story_is_told_late_as_created(inline: World) -> None:
    task = inline.task()
    told = len(inline.received)
    assert inline.call("POST", f"/tasks/{task['id']}/promote_to_user_story", {"project_id": 1}).json() == [3]
    assert inline.call("GET", f"/tasks/{task['id']}").status_code == 404
    assert len(inline.received) == told
    inline.call("PATCH", "/userstories/2", {"version": 1, "subject": "now a story"})
    assert (inline.received[-1]["action"], inline.received[-1]["type"]) == ("create", "userstory")


def test_an_edited_comment_repeats_the_old_diff(inline: World) -> None:
    task = inline.task()
    inline.call("PATCH", f"/tasks/{task['id']}", {"version": 1, "status": 4, "comment": "done, 2h"})
    inline.call("PATCH", f"/tasks/{task['id']}", {"version": 2, "status": 2})
    entry = inline.call("GET", f"/history/task/{task['id']}?type=comment").json()[0]
    path = f"/history/task/{task['id']}/edit_comment?id={entry['id']}"
    assert inline.call("POST", path, {"comment": "done, 3h"}).status_code == 200
    told = inline.received[-1]
    assert told["change"]["diff"] == {"status": {"from": "New", "to": "Closed"}}
    assert told["data"]["status"]["name"] == "In progress"
    assert told["change"]["comment_versions"][0]["comment"] == "done, 2h"
    timeline = inline.call("GET", "/timeline/project/1").json()
    edited = [entry["data"]["comment"] for entry in timeline if entry["data"].get("comment_edited")]
    assert edited == ["done, 3h"]


def test_access_tokens_last_a_day_and_refresh_tokens_rotate(inline: World) -> None:
    inline.app.clock.set(NOON + timedelta(hours=23, minutes=59))
    assert inline.call("GET", "/users/me").status_code == 200
    inline.app.clock.set(NOON + timedelta(hours=24))
    refused = inline.call("GET", "/users/me")
    assert (refused.status_code, refused.json()["code"]) == (401, "token_not_valid")
    fresh = inline.call("POST", "/auth/refresh", {"refresh": inline.refresh}, who="").json()
    assert inline.call("POST", "/auth/refresh", {"refresh": inline.refresh}, who="").status_code == 401
    inline.alice = f"Bearer {fresh['auth_token']}"
    assert inline.call("GET", "/users/me").status_code == 200
    inline.app.clock.set(NOON + timedelta(days=10))
    assert inline.call("POST", "/auth/refresh", {"refresh": fresh["refresh"]}, who="").status_code == 401
    assert inline.call("GET", "/users/me", who="bot").status_code == 200


def test_an_application_token_is_granted_once_and_taken_back(inline: World) -> None:
    wanted = {"application": "console", "state": "xyz"}
    code = inline.call("POST", "/application-tokens/authorize", wanted).json()["auth_code"]
    answer = inline.call("POST", "/application-tokens/validate", {**wanted, "auth_code": code}, who="")
    headers = {"Authorization": f"Application {answer.json()['token']}"}
    url = f"{inline.app.url}/api/v1/users/me"
    assert requests.get(url, headers=headers, timeout=5).json()["username"] == "alice"
    again = inline.call("POST", "/application-tokens/validate", {**wanted, "auth_code": code}, who="")
    assert again.status_code == 404
    [grant] = inline.call("GET", "/application-tokens").json()
    inline.call("DELETE", f"/application-tokens/{grant['id']}")
    assert requests.get(url, headers=headers, timeout=5).json()["_error_message"] == "Invalid token"


def test_ten_logs_are_kept_and_a_failed_delivery_is_not_repeated(inline: World) -> None:
    inline.is_dropping = True
    task = inline.task()
    for version in range(1, 12):
        inline.call("PATCH", f"/tasks/{task['id']}", {"version": version, "subject": f"v{version}"})
    inline.is_dropping = False
    logs = inline.call("GET", "/webhooklogs?webhook=1", who="bot").json()
    assert [log["status"] for log in logs] == [0] * 10
    assert logs[0]["response_data"].startswith("error-in-request: ")
    assert logs[0]["request_data"]["data"]["subject"] == "v11"
    assert inline.received == []
    resent = inline.call("POST", f"/webhooklogs/{logs[0]['id']}/resend", who="bot").json()
    assert resent["status"] == 202
    assert inline.received == [logs[0]["request_data"]]


def test_inline_the_save_waits_and_dies_with_the_receiver(inline: World) -> None:
    task = inline.task()
    inline.app.store.settings.worker_timeout_seconds = 0.2
    inline.is_slow = True
    answer = inline.call("PATCH", f"/tasks/{task['id']}", {"version": 1, "subject": "saved"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (500, "text/html")
    assert inline.call("GET", f"/tasks/{task['id']}").json()["subject"] == "saved"
    assert len(inline.call("GET", "/webhooklogs", who="bot").json()) == 1


@pytest.mark.parametrize("world", ["async"], indirect=True)
def test_async_tells_what_is_true_when_it_is_sent(world: World) -> None:
    task = world.task()
    assert world.app.drain()
    world.received.clear()
    world.is_slow = True
    begun = time.monotonic()
    for version, hours in enumerate((1, 2, 3, 4, 5), 1):
        world.values(task["id"], version, _2=hours)
    assert time.monotonic() - begun < 5
    world.wait.set()
    assert world.app.drain()
    newer = 0
    for body in world.received:
        diff = body["change"]["diff"]["custom_attributes"]
        told = [row["value"] for row in diff["new"]] + [row["changes"]["value"][1] for row in diff["changed"]]
        assert body["data"]["custom_attributes_values"]["Duration (Hours)"] >= told[0]
        newer += body["data"]["custom_attributes_values"]["Duration (Hours)"] > told[0]
    assert len(world.received) == 5
    assert newer > 0


def test_a_receiver_that_asks_back_before_it_answers_is_served(inline: World) -> None:
    seen: list[int] = []

    def receive(request: Request) -> Response:
        seen.append(inline.call("GET", f"/tasks/{json.loads(request.get_data())['data']['id']}").status_code)
        return Response("{}", 202)

    server = Server("127.0.0.1", 0, receive)
    server.start()
    inline.call("PATCH", "/webhooks/1", {"url": server.url}, who="bot")
    inline.task()
    server.stop()
    assert seen == [200]


def test_a_receiver_that_asks_back_deadlocks_a_server_with_few_workers(inline: World) -> None:
    tasks = [inline.task(subject=f"T{number}") for number in range(2)]
    barrier = threading.Barrier(2)

    def receive(request: Request) -> Response:
        barrier.wait(5)
        inline.call("GET", f"/tasks/{json.loads(request.get_data())['data']['id']}")
        return Response("{}", 202)

    server = Server("127.0.0.1", 0, receive)
    server.start()
    inline.call("PATCH", "/webhooks/1", {"url": server.url}, who="bot")
    inline.app.store.settings.worker_count = 2
    inline.app.store.settings.worker_timeout_seconds = 0.5
    statuses: list[int] = []

    def change(number: int) -> None:
        statuses.append(inline.call("PATCH", f"/tasks/{number}", {"version": 1, "subject": "saved"}).status_code)

    threads = [threading.Thread(target=change, args=(task["id"],)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    server.stop()
    assert 500 in statuses
    assert {row["subject"] for row in inline.call("GET", "/tasks?project=1").json()} == {"saved"}


def test_members_come_and_go_in_the_timeline_without_a_diff(inline: World) -> None:
    body = {"project": 1, "role": 3, "username": "carol@example.test"}
    inline.app.seed({"users": [{"username": "carol"}]})
    member = inline.call("POST", "/memberships", body, who="bot").json()
    assert inline.call("DELETE", f"/memberships/{member['id']}", who="bot").status_code == 204
    entries = inline.call("GET", "/timeline/project/1").json()
    assert [entry["event_type"] for entry in entries] == ["projects.membership.delete", "projects.membership.create"]
    assert list(entries[0]["data"]) == ["role", "user", "project"]


def test_a_moved_task_keeps_values_of_the_old_project(inline: World) -> None:
    other = {"name": "Mobile", "owner": "admin", "members": [{"username": "alice"}], "stories": [{"subject": "S"}]}
    inline.app.seed({**SEED, "projects": [other]})
    task = inline.task()
    inline.values(task["id"], 1, _1=True)
    body = {"version": 1, "project": 2, "user_story": 2}
    refused = inline.call("PATCH", f"/tasks/{task['id']}", body)
    assert (refused.status_code, refused.json()["_error_type"].rsplit(".", 1)[-1]) == (400, "WrongArguments")
    moved = inline.call("PATCH", f"/tasks/{task['id']}", {**body, "status": task["status"]}).json()
    assert (moved["project"], moved["ref"], moved["id"]) == (2, 2, task["id"])
    values = inline.call("GET", f"/tasks/custom-attributes-values/{task['id']}").json()
    assert values["attributes_values"] == {"1": True}
    assert inline.values(task["id"], 2, _1=True).status_code == 400


@pytest.mark.parametrize(("named", "arrives"), [("old", "Closed"), ("new", "New")])
def test_a_moved_task_keeps_a_status_of_the_old_project_and_loses_one_of_the_new(
    inline: World, named: str, arrives: str
) -> None:
    other = {"name": "Mobile", "owner": "admin", "members": [{"username": "alice"}], "stories": [{"subject": "S"}]}
    inline.app.seed({**SEED, "projects": [other]})
    task = inline.task()
    closed = {row["project"]: row["id"] for row in inline.app.store.memory.table("task_statuses").find(name="Closed")}
    inline.call("PATCH", f"/tasks/{task['id']}", {"version": 1, "status": closed[1]})
    body = {"version": 2, "project": 2, "user_story": 2, "status": closed[1 if named == "old" else 2]}
    moved = inline.call("PATCH", f"/tasks/{task['id']}", body).json()
    assert (moved["status_extra_info"]["name"], moved["is_closed"]) == (arrives, arrives == "Closed")


def test_the_csv_shows_true_values_and_guards_formulas(inline: World) -> None:
    task = inline.task(subject="=cmd()")
    inline.values(task["id"], 1, _1=True, _2=2.5, _3="@x")
    key = inline.call("POST", "/projects/1/regenerate_tasks_csv_uuid", who="bot").json()["uuid"]
    lines = inline.call("GET", f"/tasks/csv?uuid={key}", who="").text.splitlines()
    assert lines[0].endswith(",Billable,Duration (Hours),Invoice Status")
    assert lines[1].startswith("1,2,'=cmd(),")
    assert lines[1].endswith(",True,2.5,'@x")
    assert inline.call("GET", "/projects/1", who="bot").json()["tasks_csv_uuid"] == key
    assert "tasks_csv_uuid" not in inline.call("GET", "/projects/1").json()


def test_faults_are_worded_as_taiga_words_them(inline: World) -> None:
    inline.app.faults.add({"kind": "status", "status": 429, "wait_seconds": 57})
    throttled = inline.call("GET", "/users/me")
    assert (throttled.status_code, throttled.headers["X-Throttle-Wait-Seconds"]) == (429, "57")
    inline.app.faults.add({"kind": "status", "status": 429}, {"kind": "status", "status": 451})
    assert "X-Throttle-Wait-Seconds" not in inline.call("GET", "/users/me").headers
    inline.app.faults.clear()
    inline.app.faults.add({"kind": "status", "status": 451})
    assert inline.call("GET", "/users/me").json()["_error_message"] == "Blocked element"


def test_pages_hold_everything_once(inline: World) -> None:
    for number in range(7):
        inline.task(subject=f"T{number}")
    seen, path = [], "/tasks?project=1&page_size=3&order_by=created_date"
    while path:
        answer = inline.call("GET", path)
        seen += [row["subject"] for row in answer.json()]
        path = answer.headers.get("X-Pagination-Next", "").removeprefix(f"{inline.app.url}/api/v1")
    assert seen == [f"T{number}" for number in range(7)]


def test_what_it_holds_can_be_seen(inline: World) -> None:
    task = inline.task(subject="A <b>task</b>", assigned_to=2)
    inline.values(task["id"], 1, _2=2.5)
    page = requests.get(f"{inline.app.url}/sandbox/", timeout=5).text
    assert "A &lt;b&gt;task&lt;/b&gt;" in page
    assert "Duration (Hours): 2.5" in page
    state = requests.get(f"{inline.app.url}/sandbox/state.json", timeout=5).json()
    assert state["mode"] == "inline"
    assert state["task_values"] == [{"attributes_values": {"2": 2.5}, "version": 2, "id": 1}]
    assert [row["action"] for row in state["deliveries"]] == ["create", "change"]
    assert state["broken"] == ""
