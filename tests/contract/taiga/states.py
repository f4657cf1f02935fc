"""States that recordings need and that no recorded answer shows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sandbox.taiga.kinds import TASK
from tests.contract.taiga.lab import NOW, Lab

THROTTLED = {"kind": "status", "status": 429}


def project_fields(**fields: Any) -> Any:
    def then(lab: Lab) -> None:
        with lab.store.memory.transaction():
            lab.store.projects.update(2, **fields)

    return then


def beta(**fields: Any) -> Any:
    """Task 8 moved to Client Beta, where alice has a role and a hook listens."""

    def then(lab: Lab) -> None:
        lab.join(6, 2, 7)
        lab.load("331-webhook-create-project-2", "333-task-after-move-attempt", "344-archived-project-get-task")
        project_fields(**fields)(lab)

    return then


ARCHIVED = beta(archived_code="archived")
BLOCKED = beta(blocked_code="blocked-by-staff")


def refresh(lab: Lab) -> dict[str, Any]:
    return {"body": {"refresh": lab.token("admin", "refresh")}}


def refresh_used(lab: Lab) -> dict[str, Any]:
    changes = refresh(lab)
    lab.send({"request": {"method": "POST", "path": "/api/v1/auth/refresh", "headers": JSON}}, changes)
    return changes


JSON = {"Content-Type": "application/json"}


def old_refresh_used(lab: Lab) -> dict[str, Any]:
    token = lab.token("admin")
    refresh_used(lab)
    return {"authorization": f"Bearer {token}"}


def expired(kind: str) -> Any:
    def changes(lab: Lab) -> dict[str, Any]:
        token = lab.token("admin", kind)
        lab.running.clock.set(NOW + timedelta(days=9))
        return {"authorization": f"Bearer {token}"} if kind == "access" else {"body": {"refresh": token}}

    return changes


def header(value: str) -> Any:
    return lambda lab: {"authorization": value}


def application(lab: Lab) -> dict[str, Any]:
    token = "sandbox-application-token"
    row = {"application": "lab-app", "user": 9, "token": token, "auth_code": None, "state": None}
    with lab.store.memory.transaction():
        lab.store.application_tokens.insert(row)
    return {"authorization": f"Application {token}"}


def inactive(lab: Lab) -> None:
    with lab.store.memory.transaction():
        lab.store.users.update(10, is_active=False)


def throttled(wait: int, method: str) -> Any:
    def then(lab: Lab) -> None:
        lab.app.faults.add({**THROTTLED, "wait_seconds": wait, "method": method})

    return then


def bot_is_admin(lab: Lab) -> None:
    membership = lab.store.membership(9, 1)
    assert membership is not None
    with lab.store.memory.transaction():
        lab.store.memberships.update(membership["id"], is_admin=True)


def private_blocked(lab: Lab) -> None:
    lab.store.settings.allow_private_address = False


def hook_to(path: str) -> Any:
    def then(lab: Lab) -> None:
        with lab.store.memory.transaction():
            lab.store.webhooks.update(2, url=f"{lab.hooks}{path}")

    return then


def hook(**fields: Any) -> Any:
    def then(lab: Lab) -> None:
        with lab.store.memory.transaction():
            lab.store.webhooks.update(2, **fields)

    return then


dead_hook = hook(url="http://127.0.0.1:1/hook")


def no_people_yet(lab: Lab) -> None:
    lab.projects(is_staffed=False)


def bob_left(lab: Lab) -> None:
    membership = lab.store.membership(7, 1)
    assert membership is not None
    with lab.store.memory.transaction():
        lab.store.memberships.delete(membership["id"])


def bob_returned(lab: Lab) -> None:
    bob_left(lab)
    with lab.store.memory.transaction():
        lab.store.memberships.insert({"id": 8, "project": 2, "user": None, "user_order": 0})
    lab.join(7, 1, 3)
    bot_is_admin(lab)


def as_exported(lab: Lab) -> None:
    lab.exact_dates()
    with lab.store.memory.transaction():
        lab.store.milestones.update(1, name="Sprint 1b")
        lab.store.items(TASK).update(1, description="new desc", attachments=1)
        values = {"1": True, "2": 5.0, "3": 85.25, "4": "INV-1", "5": "Invoiced"}
        lab.store.values(TASK).update(1, attributes_values=values)


def renamed(lab: Lab) -> None:
    with lab.store.memory.transaction():
        lab.store.projects.update(1, name="Client Alpha GmbH")


def values_are(number: int, values: dict[str, Any], version: int) -> Any:
    def check(lab: Lab) -> None:
        row = lab.store.values(TASK).get(number)
        assert row is not None
        assert (row["attributes_values"], row["version"]) == (values, version)

    return check


def deleted(name: str, number: int) -> Any:
    def then(lab: Lab) -> None:
        with lab.store.memory.transaction():
            lab.store.memory.table(name).delete(number)

    return then


def set_version(lab: Lab, number: int, version: int) -> None:
    with lab.store.memory.transaction():
        lab.store.values(TASK).update(number, version=version, attributes_values={"1": True, "2": 243, "3": 100})
