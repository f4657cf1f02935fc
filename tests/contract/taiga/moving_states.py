"""Taiga 6.10 of 30 November 2026: "REC Alpha" (22) and "REC Beta" (24), between which items are moved (569-579)."""

from __future__ import annotations

from typing import Any

from sandbox.taiga.items import insert_item
from sandbox.taiga.kinds import STORY, TASK, Kind
from sandbox.taiga.projects import make_project
from tests.contract.taiga.case import Arrange, named
from tests.contract.taiga.lab import Lab

_ALPHA, _BETA = 22, 24
_FIELDS = [(88, _ALPHA, "Hours worked", "number"), (89, _ALPHA, "Sort", "text"), (90, _ALPHA, "Billable", "checkbox"),
           (92, _BETA, "Hours", "number")]  # fmt: skip


def _beginning_with(lab: Lab, kind: Kind, project: int, number: int) -> None:
    """The id that a project's first status ("New") has in the recordings."""
    table = lab.store.memory.table(kind.statuses)
    first = table.find(project=project)[0]
    table.delete(first["id"])
    table.insert({**first, "id": number})
    lab.store.projects.update(project, **{kind.default_status: number})


def _story_task(lab: Lab) -> None:
    """Task 251 in Alpha, in story 76, as it was before it was moved."""
    project = lab.store.projects.get(_ALPHA)
    assert project is not None
    insert_item(lab.store, STORY, project, 5, {"subject": "REC story"}, row_id=76)
    insert_item(lab.store, TASK, project, 5, {"subject": "REC task one", "user_story": 76}, row_id=251)
    values = {"attributes_values": {"88": 2.5, "89": "Bug", "90": True}, "version": 3}
    lab.store.values(TASK).update(251, **values)


def two_projects(*numbers: int) -> Arrange:
    """Both projects, task 251 and what the real server had answered in these recordings."""

    def arrange(lab: Lab) -> dict[str, Any] | None:
        lab.people()
        admin = lab.store.users.get(5)
        assert admin is not None
        with lab.store.memory.transaction():
            for number, name in ((_ALPHA, "REC Alpha"), (_BETA, "REC Beta")):
                make_project(lab.store, admin, {"id": number, "name": name})
            _beginning_with(lab, STORY, _ALPHA, 127)
            _beginning_with(lab, TASK, _BETA, 116)
            _beginning_with(lab, STORY, _BETA, 139)
            for number, project, name, kind in _FIELDS:
                row = {"id": number, "project": project, "name": name, "type": kind, "order": 1, "extra": None}
                lab.store.attributes(TASK).insert({**row, "description": ""})
            _story_task(lab)
        lab.load(*(named(number) for number in numbers))
        return None

    return arrange
