"""Taiga 6.10 of 30 November 2026 (501 to 598): attributes, roles, promotions, people who leave, storyless tasks."""

from __future__ import annotations

from typing import Any

from sandbox.taiga.auth import make_token
from sandbox.taiga.items import insert_item
from sandbox.taiga.kinds import ISSUE, STORY, TASK
from sandbox.taiga.template import TABLES
from tests.contract.taiga.lab import Lab
from tests.contract.taiga.stories import Step, Story, steps

ALPHA, SECOND, GONE, APPLICATION = 22, 23, 18, "5a9c2f5e-0000-4000-8000-000000000001"
VALUES = "/tasks/custom-attributes-values/251"
_SETTINGS = "total_activity my_permissions is_epics_activated"
# What a deleted user is called tells the instant.
_RENAMED = "username gravatar_id email verified_email"


def _server(lab: Lab) -> None:
    """A server with 21 projects before, whose people are the administrator and Developer 1."""
    lab.people()
    store = lab.store
    with store.memory.transaction():
        store.users.update(5, lang="en")
        store.users.update(6, username="dev1", full_name="Developer 1", email="dev1@example.test", lang="en")
        for name, rows in TABLES.items():
            store.memory.table(name).last_id = 21 * len(rows)
        store.projects.last_id, store.roles.last_id, store.memberships.last_id = 21, 128, 78
        for kind, last in ((STORY, 75), (TASK, 250), (ISSUE, 15)):
            store.items(kind).last_id = last
        store.attributes(TASK).last_id = 87


def _did(method: str, path: str, body: Any, who: str = "admin") -> Step:
    """What somebody did that was not recorded."""

    def step(lab: Lab) -> None:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer <token of {who}>"}
        request = {"method": method, "path": f"/api/v1{path}", "headers": headers, "body": body}
        answer = lab.send({"request": request}, {})
        assert answer.ok, answer.text

    return step


def _post(path: str, **body: Any) -> Step:
    return _did("POST", path, body)


def _world(lab: Lab) -> None:
    """As 501 made it, with the projects after it and Developer 1 as "Back"."""
    _server(lab)
    for step in (_post("/projects", name="REC Alpha", description="REC recordings"), *_MORE):
        step(lab)  # type: ignore[operator]


_MEMBER = {"project": ALPHA, "role": 132, "username": "dev1@example.test"}
_MORE = (
    _post("/projects", name="REC Alpha", description="the second"),
    _post("/memberships", **_MEMBER),
    _post("/userstories", project=ALPHA, subject="REC story one"),
    _post("/tasks", project=ALPHA, subject="REC task one", user_story=76),
)
_FIRST_VALUES = {"attributes_values": {"88": 2.5, "89": "Bug", "90": True, "91": "hello"}, "version": 1}
_ATTRIBUTES = tuple(
    _post("/task-custom-attributes", project=ALPHA, name=name, type=kind, order=1, extra=extra)
    for name, kind, extra in (
        ("Hours", "number", None),
        ("Kind", "dropdown", ["Bug", "Feature", "Chore"]),
        ("Billable", "checkbox", None),
        ("Note", "text", None),
    )
)


def _gone_person(lab: Lab) -> None:
    """REC Gone registered, became a "Back" in Alpha and the owner of the second project."""
    store = lab.store
    with store.memory.transaction():
        row = {"username": "recgone", "full_name": "REC Gone", "email": "recgone@example.test", "lang": ""}
        store.users.insert({**(store.users.get(10) or {}), **row, "id": GONE}, row_id=GONE)
        store.memberships.update(82, user=GONE)


def _owns_the_second(lab: Lab) -> None:
    lab.join(GONE, SECOND, 139, is_admin=True)
    with lab.store.memory.transaction():
        lab.store.projects.update(SECOND, owner=GONE)


def _tasks_of_the_gone(lab: Lab) -> None:
    store = lab.store
    alpha, second = store.projects.get(ALPHA), store.projects.get(SECOND)
    assert alpha is not None
    assert second is not None
    with store.memory.transaction():
        gone = {"subject": "REC task of the gone", "user_story": 76, "assigned_to": GONE, "ref": 8}
        insert_item(store, TASK, alpha, 5, gone, row_id=253)
        insert_item(store, STORY, second, 5, {"subject": "REC story Q"}, row_id=80)
        insert_item(store, TASK, second, 5, {"subject": "REC task Q", "user_story": 80, "ref": 2}, row_id=254)


def _at_254(lab: Lab) -> None:
    with lab.store.memory.transaction():
        lab.store.items(TASK).last_id = 254
        lab.store.projects.update(ALPHA, last_ref=8)


def _hook(lab: Lab) -> None:
    _post("/webhooks", project=ALPHA, name="REC", url=f"{lab.hooks}/hook/ok", key="rec")(lab)  # type: ignore[operator]


def _without_hook(lab: Lab) -> None:
    with lab.store.memory.transaction():
        for row in lab.store.webhooks.all():
            lab.store.webhooks.delete(row["id"])


def _application(lab: Lab) -> None:
    about = {"web": "http://127.0.0.1:9100", "description": "local test application"}
    row = {"id": APPLICATION, "name": "Test target app", "next_url": "http://127.0.0.1:9199/callback", **about}
    with lab.store.memory.transaction():
        lab.store.applications.insert(row)
        lab.store.application_tokens.last_id = 1
        grant = {"application": APPLICATION, "user": 6, "auth_code": "old", "state": "old", "token": None}
        lab.store.application_tokens.insert(grant)


def _code(lab: Lab) -> dict[str, Any]:
    (row,) = lab.store.application_tokens.all()
    code = row["auth_code"] or "used"
    return {"body": {"application": APPLICATION, "auth_code": code, "state": "rec-state"}}


def _by_the_gone(lab: Lab) -> dict[str, Any]:
    return {"authorization": f"Bearer {make_token(lab.store, GONE, 'access')}"}


def _next_membership(lab: Lab) -> None:
    with lab.store.memory.transaction():
        lab.store.memberships.last_id = 81


def _with_token(lab: Lab) -> dict[str, Any]:
    rows = lab.store.application_tokens.all()
    return {"authorization": f"Application {rows[0]['token'] if rows else 'deleted'}"}


STORIES = [
    Story(
        "project",
        steps(_server, "501-503"),
        loose={**dict.fromkeys((501, 502), _SETTINGS), 503: "total_private_projects"},
    ),
    Story(
        "attributes",
        steps(
            _world, "504", *_ATTRIBUTES, _did("PATCH", "/tasks/custom-attributes-values/251", _FIRST_VALUES), "506-518"
        ),
        loose={504: "neighbors", 518: "id value_diff"},
    ),
    Story(
        "roles and promotions",
        steps(
            *(_world, "519-523", _did("PATCH", "/memberships/81", {"role": 132})),
            *(_post("/issues", project=ALPHA, subject="REC issue", assigned_to=6, tags=["rec"]), "524-526"),
            *(_post("/tasks", project=ALPHA, subject="REC to promote", user_story=76, assigned_to=6), "527-534"),
        ),
        loose={522: "my_permissions"},
        partial=frozenset({522}),
    ),
    Story(
        "a person who leaves",
        steps(
            *(_world, _next_membership, "536-537", _gone_person, _tasks_of_the_gone, "540-541"),
            *(_owns_the_second, "545-547 549-561"),
        ),
        loose={541: "verified_email", **dict.fromkeys((549, 550, 555, 556), _RENAMED)},
        partial=frozenset({545, 556, 561}),
        changes={553: _by_the_gone},
    ),
    Story(
        "tasks without a story",
        steps(*(_world, *_ATTRIBUTES, _at_254, _hook, "562-567", _without_hook, "568")),
        loose={565: "neighbors"},
    ),
    Story(
        "applications",
        steps(_world, _application, "589-595", _did("DELETE", "/application-tokens/2", None, "dev1"), "596"),
        loose=dict.fromkeys((590, 591), "auth_code next_url") | {592: "token", 593: "total_private_projects"},
        changes={592: _code, 593: _with_token, 594: _code, 596: _with_token},
    ),
    Story("logins of other kinds", steps(_world, "597-598")),
]
