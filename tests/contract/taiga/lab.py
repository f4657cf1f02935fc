"""The laboratory of the recordings, rebuilt in the stand-in: its people and projects, and states read back from
what the real server had answered just before."""

from __future__ import annotations

import csv
import io
import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from werkzeug.wrappers import Request, Response

from sandbox.http_server import ConnectionDropped, Server
from sandbox.server import serve
from sandbox.taiga.auth import make_token
from sandbox.taiga.items import insert_item, refresh_milestone, refresh_story
from sandbox.taiga.kinds import BY_PATH, KINDS, STORY, TASK, Kind
from sandbox.taiga.projects import make_project
from sandbox.taiga.seed import seed

RECORDINGS = Path(__file__).parent / "recordings"
NOW = datetime(2026, 11, 22, 8, 5, tzinfo=UTC)
EARLY = datetime(2026, 1, 1, tzinfo=UTC)
_PEOPLE = [
    (5, "admin", "Administrator", "admin@admin.com", "123123"),
    (6, "alice", "Alice Adams", "alice@example.test", "labpass123"),
    (7, "bob", "Bob Brown", "bob@example.test", "labpass123"),
    (8, "carol", "Carol Clark", "carol@example.test", "labpass123"),
    (9, "integrbot", "Integration Bot", "integrbot@example.test", "labpass123"),
    (10, "outsider", "Otto Outsider", "outsider@example.test", "labpass123"),
]


def read_recording(name: str) -> dict[str, Any]:
    """A recorded exchange by its file name without .json."""
    return json.loads((RECORDINGS / f"{name}.json").read_text(encoding="utf-8"))


@dataclass
class Receiver:
    """A webhook receiver that answers as its path says: /hook/ok, /hook/500, /hook/redirect, /hook/drop."""

    received: list[tuple[list[tuple[str, str]], bytes]] = field(default_factory=list)

    def __call__(self, request: Request) -> Response:
        self.received.append((list(request.headers.items()), request.get_data()))
        wanted = request.path.rsplit("/", 1)[-1]
        if wanted == "drop":
            raise ConnectionDropped
        if wanted == "redirect":
            return Response("", 302, {"Location": "/hook/ok"})
        status = int(wanted) if wanted.isdigit() else 200
        return Response(json.dumps({"ok": status == 200}), status, content_type="application/json")


class Lab:
    """One stand-in Taiga and one receiver, emptied before each case."""

    def __init__(self) -> None:
        self.running = serve(ninja_port=None)
        self.app = self.running.taiga
        self.store = self.app.store
        self.receiver = Receiver()
        self._server = Server("127.0.0.1", 0, self.receiver)
        self._server.start()
        self.hooks = self._server.url

    def stop(self) -> None:
        self._server.stop()
        self.running.stop()

    def clear(self) -> None:
        self.app.reset()
        self.app.faults.clear()
        self.app.mode = "inline"
        self.running.clock.set(NOW)
        self.receiver.received.clear()

    # worlds

    def people(self) -> None:
        """Six people with the laboratory's ids."""
        rows = [
            {"id": i, "username": n, "full_name": f, "email": e, "password": p, "is_superuser": n == "admin"}
            for i, n, f, e, p in _PEOPLE
        ]
        with self.store.memory.transaction():
            seed(self.store, {"users": rows, "applications": [{"id": "lab-app", "name": "Lab billing app"}]})

    def projects(self, *, is_staffed: bool = True) -> None:
        """People, Client Alpha (1) and Client Beta (2), both private, of the administrator."""
        self.people()
        store = self.store
        admin = store.users.get(5)
        assert admin is not None
        with store.memory.transaction():
            for number, name, text in ((1, "Client Alpha", "billing lab"), (2, "Client Beta", "second project")):
                data = {"id": number, "name": name, "description": text, "creation_template": number}
                make_project(store, admin, data)
            store.memberships.insert(
                {
                    "project": 1,
                    "user": None,
                    "role": 4,
                    "is_admin": False,
                    "created_at": NOW,
                    "invited_by": 5,
                    "email": "newperson@example.test",
                    "user_order": 1795333906516,
                }
            )
            staff = [(6, 4), (7, 3), (8, 6), (9, 4)]
            for user, role in staff if is_staffed else []:
                self.join(user, 1, role)

    def join(self, user: int, project: int, role: int, *, is_admin: bool = False) -> None:
        """A membership."""
        person = self.store.users.get(user)
        assert person is not None
        row = {"project": project, "user": user, "role": role, "is_admin": is_admin, "created_at": NOW}
        row |= {"invited_by": 5, "email": person["email"], "user_order": 0}
        with self.store.memory.transaction():
            self.store.memberships.insert(row)

    def attributes(self) -> None:
        """The guide's five attributes for tasks, stories and issues, and two more for tasks."""
        names = ("billable", "duration-hours", "hourly-rate", "client-invoice-id", "invoice-status")
        for number, (kind, name) in enumerate(((k, n) for k in ("task", "userstory", "issue") for n in names), 57):
            self.load(f"{number:03}-{kind}-custom-attribute-create-{name}")
        self.load("072-task-custom-attribute-extra-notes", "073-task-custom-attribute-extra-url")

    def alpha(self) -> None:
        """Client Alpha with attributes, one webhook, two sprints and a story, without tasks."""
        self.projects()
        self.attributes()
        self.load("090-webhook-create", "097-milestone-create", "098-milestone-create-2")
        self.load("099-userstory-create")

    # states

    def load(self, *names: str) -> None:
        """Puts what the real server answered in these recordings into the stand-in's memory."""
        for name in names:
            recorded = read_recording(name)
            body, path = recorded["response"]["body"], recorded["request"]["path"]
            with self.store.memory.transaction():
                for pattern, loader in _LOADERS:
                    match = re.fullmatch(rf"/api/v1{pattern}(\?.*)?", path)
                    if match:
                        for row in body if isinstance(body, list) else [body]:
                            loader(self, row, **match.groupdict())
                        break
                else:
                    raise AssertionError(f"nothing loads {path}")

    def item(self, row: dict[str, Any], path: str) -> None:
        """An item as a list or a detail showed it; the rest is a new item's."""
        kind, store = BY_PATH[path], self.store
        known = {key: row[key] for key in _ITEM_FIELDS if key in row}
        stored = {**_BLANK[kind.name], **known}
        for key in ("created_date", "modified_date", kind.closed_field):
            stored[key] = parse(row[key])
        stored["tags"] = [tag[0] for tag in row["tags"]]
        stored["voters"] = list(range(100, 100 + row["total_voters"]))
        if kind.name != "task":
            stored.pop("user_story", None)
        extra = row.get("user_story_extra_info")
        if extra and store.items(STORY).get(extra["id"]) is None:
            project = store.projects.get(row["project"])
            assert project is not None
            fields = {"subject": extra["subject"], "ref": extra["ref"]}
            insert_item(store, STORY, project, 6, fields, row_id=extra["id"])
        table = store.items(kind)
        if table.get(row["id"]):
            table.delete(row["id"])
        table.insert(stored, row_id=row["id"])
        if store.values(kind).get(row["id"]) is None:
            store.values(kind).insert({"attributes_values": {}, "version": 1}, row_id=row["id"])
        refresh_story(store, stored.get("user_story"))
        refresh_milestone(store, row["milestone"])
        project = store.projects.get(row["project"])
        if project is not None and project["last_ref"] < row["ref"]:
            store.projects.update(project["id"], last_ref=row["ref"])
        for _ in range(row.get("total_comments", 0) - len(store.history.find(key=f"{kind.model}:{row['id']}"))):
            self.comment(kind, row["id"])

    def exact_dates(self) -> None:
        """Microseconds as the recorded CSV of the tasks says them; JSON only has milliseconds."""
        recorded = read_recording("279-tasks-csv")["response"]["body"]
        with self.store.memory.transaction():
            for row in csv.DictReader(io.StringIO(recorded)):
                names = ("created_date", "modified_date", "finished_date")
                self.store.items(TASK).update(int(row["id"]), **{name: parse(row[name]) for name in names})

    def older(self, name: str, count: int) -> None:
        """As many older rows of a table as its first row's copies."""
        table = self.store.memory.table(name)
        row = table.all()[0]
        with self.store.memory.transaction():
            for number in range(count):
                if name == "history":
                    table.insert({**row, "created_at": EARLY}, row_id=str(uuid.uuid1()))
                else:
                    table.insert({**row, "created": EARLY}, row_id=100_000 + number)

    def comment(self, kind: Kind, number: int, text: str = "a comment") -> str:
        """A history entry that is only a comment; answers its id."""
        entry = {**_ENTRY, "key": f"{kind.model}:{number}", "user": 6, "created_at": NOW, "comment": text}
        with self.store.memory.transaction():
            return str(self.store.history.insert(entry, row_id=str(uuid.uuid1()))["id"])

    def token(self, name: str, kind: str = "access") -> str:
        """A token of a person; names as in the recordings."""
        user = self.store.users.first(username=name)
        assert user is not None
        return make_token(self.store, user["id"], kind)

    def send(self, recorded: dict[str, Any], changes: dict[str, Any]) -> requests.Response:
        """Sends a recorded request; `changes` gives what was redacted: authorization, body, path."""
        request = recorded["request"]
        headers = dict(request["headers"])
        match = re.fullmatch(r"Bearer <token of (\w+)>", headers.get("Authorization", ""))
        if "authorization" in changes:
            headers["Authorization"] = changes["authorization"]
        elif match:
            headers["Authorization"] = f"Bearer {self.token(match.group(1))}"
        body = changes["body"] if "body" in changes else request["body"]
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode() if body is not None else None
        path = changes.get("path", request["path"])
        method: Callable[..., requests.Response] = requests.request
        return method(
            request["method"], self.app.url + path, headers=headers, data=data, timeout=10, allow_redirects=False
        )


def parse(text: str | None) -> datetime | None:
    """A time as the wire said it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


_ITEM_FIELDS = [
    "project",
    "status",
    "assigned_to",
    "owner",
    "ref",
    "milestone",
    "subject",
    "us_order",
    "taskboard_order",
    "is_iocaine",
    "external_reference",
    "version",
    "watchers",
    "is_blocked",
    "blocked_note",
    "due_date",
    "description",
    "user_story",
    "is_closed",
    "points",
    "backlog_order",
    "sprint_order",
    "kanban_order",
    "client_requirement",
    "team_requirement",
    "generated_from_issue",
    "generated_from_task",
    "from_task_ref",
    "assigned_users",
    "type",
    "priority",
    "severity",
]
_BLANK: dict[str, dict[str, Any]] = {
    name: {
        "description": "",
        "promoted_to": [],
        "attachments": 0,
        "silent": {},
        "is_unrecorded": False,
        "user_story": None,
    }
    for name in KINDS
}
_ENTRY: dict[str, Any] = {
    "diff": {},
    "values": {},
    "values_diff": {},
    "comment": "",
    "comment_versions": None,
    "delete_comment_date": None,
    "delete_comment_user": None,
    "edit_comment_date": None,
    "is_hidden": False,
}


def _load_item(lab: Lab, row: dict[str, Any], path: str) -> None:
    lab.item(row, path)


def _load_values(lab: Lab, row: dict[str, Any], path: str) -> None:
    kind = BY_PATH[path]
    table = lab.store.values(kind)
    if table.get(row[kind.field]):
        table.delete(row[kind.field])
    stored = {"attributes_values": row["attributes_values"], "version": row["version"]}
    table.insert(stored, row_id=row[kind.field])


def _dated(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {**row, **{name: parse(row[name]) for name in names}}


def _load_attribute(lab: Lab, row: dict[str, Any], kind: str) -> None:
    lab.store.attributes(KINDS[kind]).insert(_dated(row, "created_date", "modified_date"))


def _load_status(lab: Lab, row: dict[str, Any], kind: str) -> None:
    table = lab.store.memory.table(KINDS[kind].statuses)
    if table.get(row["id"]):
        table.delete(row["id"])
    table.insert(row)


def _load_webhook(lab: Lab, row: dict[str, Any]) -> None:
    stored = {field: row[field] for field in ("id", "project", "name", "key")}
    lab.store.webhooks.insert({**stored, "url": row["url"].replace("http://127.0.0.1:9100", lab.hooks)})


def _load_log(lab: Lab, row: dict[str, Any]) -> None:
    url = row["url"].replace("http://127.0.0.1:9100", lab.hooks)
    lab.store.webhooklogs.insert({**_dated(row, "created"), "url": url})


def _load_milestone(lab: Lab, row: dict[str, Any]) -> None:
    table = lab.store.milestones
    if table.get(row["id"]):
        table.delete(row["id"])
    names = ("id", "project", "name", "slug", "owner", "estimated_start", "estimated_finish", "closed", "order")
    stored = {name: row[name] for name in names}
    table.insert(stored | _dated({n: row[n] for n in _DATES}, *_DATES))


_DATES = ("created_date", "modified_date")


def _load_timeline(lab: Lab, row: dict[str, Any]) -> None:
    kept = ("id", "event_type", "project", "data", "data_content_type")
    lab.store.timeline.insert({**{name: row[name] for name in kept}, "created": parse(row["created"])})


def _load_history(lab: Lab, row: dict[str, Any]) -> None:
    entry = {**_ENTRY, **{name: row[name] for name in ("id", "key", "diff", "values", "values_diff", "comment")}}
    entry |= {"delete_comment_user": row["delete_comment_user"]}
    entry |= {name: parse(row[name]) for name in ("edit_comment_date", "delete_comment_date")}
    if lab.store.history.get(row["id"]) is None:
        lab.store.history.insert({**entry, "user": row["user"]["pk"], "created_at": parse(row["created_at"])})


def _load_project(lab: Lab, row: dict[str, Any]) -> None:
    names = ("name", "description", "blocked_code", "archived_code")
    changes = {name: row[name] for name in names} | {n: row[n] for n in row if n.endswith("_csv_uuid")}
    lab.store.projects.update(row["id"], **changes)


_KIND = "(?P<path>tasks|userstories|issues)"
_LOADERS: list[tuple[str, Callable[..., None]]] = [
    (rf"/{_KIND}(/\d+|/by_ref|/bulk_create)?", _load_item),
    (rf"/{_KIND}/custom-attributes-values/\d+", _load_values),
    (r"/(?P<kind>task|userstory|issue)-custom-attributes", _load_attribute),
    (r"/(?P<kind>task|userstory|issue)-statuses(/\d+)?", _load_status),
    (r"/webhooks", _load_webhook),
    (r"/(webhooklogs|webhooks/\d+/test)", _load_log),
    (r"/milestones(/\d+)?", _load_milestone),
    (r"/timeline/project/\d+", _load_timeline),
    (r"/history/\w+/\d+", _load_history),
    (r"/projects/\d+", _load_project),
]
