"""What people do in Taiga, recorded: the stand-in must take it as the real one did, webhooks included."""

from __future__ import annotations

from typing import Any

from sandbox.taiga.items import insert_item
from sandbox.taiga.kinds import STORY, TASK
from tests.contract.taiga.case import Case, after, case, people, staffed
from tests.contract.taiga.lab import Lab
from tests.contract.taiga.moving_states import two_projects
from tests.contract.taiga.states import ARCHIVED, BLOCKED, dead_hook, hook_to


def _task_is(number: int, **fields: Any) -> Any:
    """The task was saved, whatever the answer said."""

    def check(lab: Lab) -> None:
        row = lab.store.items(TASK).get(number)
        assert row is not None
        assert {name: row[name] for name in fields} == fields

    return check


def _is_gone(number: int) -> Any:
    def check(lab: Lab) -> None:
        assert lab.store.items(TASK).get(number) is None

    return check


def _history(*changes: tuple[int, dict[str, Any]]) -> Any:
    """Entries of task 1 that the version rule looks at: how often, what changed."""

    def then(lab: Lab) -> None:
        for times, diff in changes:
            for _ in range(times):
                number = lab.comment(TASK, 1, "")
                with lab.store.memory.transaction():
                    lab.store.history.update(number, diff=diff)

    return then


def _moved_with_its_story(lab: Lab) -> None:
    with lab.store.memory.transaction():
        lab.store.items(TASK).update(1, silent={"milestone": 1})


def _story(lab: Lab, number: int, project: int, ref: int, **fields: Any) -> None:
    row = lab.store.projects.get(project)
    assert row is not None
    with lab.store.memory.transaction():
        lab.store.projects.update(project, last_ref=ref)
        fields = {"subject": "P2 story", "ref": ref, "kanban_order": 1, **fields}
        insert_item(lab.store, STORY, row, 5 if project == 2 else 6, fields, row_id=number)


def _story_elsewhere(lab: Lab) -> None:
    _story(lab, 8, 2, 2)


def _story_with_open_task(lab: Lab) -> None:
    _story(lab, 9, 1, 58, subject="Multi")
    project = lab.store.projects.get(1)
    assert project is not None
    with lab.store.memory.transaction():
        insert_item(lab.store, TASK, project, 6, {"subject": "open", "user_story": 9})


def _promoted(lab: Lab) -> None:
    origin = {"from_task_ref": "Task #7", "is_unrecorded": True, "milestone": 1}
    _story(lab, 3, 1, 12, subject="Bulk one", **origin)


def _before_the_edit(lab: Lab) -> None:
    with lab.store.memory.transaction():
        lab.store.projects.update(1, name="Client Alpha GmbH")
    entry = next(e for e in lab.store.history.all() if e["comment"] == "done, 3h")
    with lab.store.memory.transaction():
        changes = {"comment": "done, 2h", "edit_comment_date": None, "comment_versions": None}
        lab.store.history.update(entry["id"], **changes)


def _broker_down(lab: Lab) -> None:
    lab.store.settings.is_broker_down = True


def _granted(lab: Lab) -> None:
    row = {"application": "lab-app", "user": 9, "token": "sandbox", "auth_code": None, "state": None}
    with lab.store.memory.transaction():
        lab.store.application_tokens.insert(row)


def _unstaffed(lab: Lab) -> None:
    lab.projects(is_staffed=False)


_PATCHES = {
    102: (101,),
    103: (102,),
    132: (103,),
    135: (132, 134),
    136: (135, 134),
    138: (136, 134),
    139: (138, 134),
    141: (139, 134),
    143: (142,),
    145: (144, 134),
    146: (145,),
    147: (146,),
    148: (147,),
    149: (148,),
    150: (149,),
    153: (152,),
    154: (152,),
    155: (152,),
    156: (152,),
    157: (152,),
    158: (152,),
    159: (152,),
}
# The order of a task that changed its place is the instant of the change.
_ORDERS = "us_order taskboard_order created_date"
_RECEIVERS = {
    295: ((186,), "500"),
    296: ((295,), "404"),
    297: ((296,), "204"),
    298: ((297,), "410"),
    299: ((298,), "429"),
    300: ((299,), "redirect"),
}

PEOPLE_CASES: dict[str, list[Case]] = {
    "application_tokens": [
        case(24, people()),
        case(25, people(), "next_url"),
        case(26, people(), "next_url auth_code"),
        case(434, people(_granted)),
    ],
    "auth": [case(20, people()), case(21, people())],
    "users": [
        case(46, staffed()),
        case(47, staffed()),
        case(48, staffed()),
        case(49, staffed()),
        case(50, staffed()),
        case(51, staffed()),
        case(52, staffed()),
        case(424, staffed(), "members_count"),
    ],
    "memberships": [
        case(33, _unstaffed),
        case(37, _unstaffed, "id email user_order"),
        case(40, _unstaffed, "id"),
        case(339, Lab.projects),
    ],
    "projects": [
        case(31, people(), "total_activity my_permissions is_epics_activated"),
        case(343, staffed()),
        case(354, after(331)),
        case(273, after(237)),
    ],
    "tasks": [
        case(100, after(), "id ref"),
        *(case(number, after(*before)) for number, before in _PATCHES.items()),
        case(142, after(141, 134), "total_comments"),
        case(144, after(143), "total_comments"),
        case(151, after(152, then=_history((17, {"subject": []})))),
        case(152, after(149, then=_history((16, {"status": []})))),
        case(166, after(152), "total_comments total_watchers watchers"),
        case(163, after()),
        case(164, after()),
        case(165, after(101)),
        case(173, after(152), check=_task_is(2, subject="Standalone", version=1)),
        case(175, after(174), check=_task_is(2, status=2, version=2)),
        case(178, after(174), check=_is_gone(2)),
        case(180, after(152), check=_task_is(3, subject="Bulk B", milestone=2)),
        case(184, after(183, 182, then=_moved_with_its_story)),
        case(186, after(185, 184), "total_watchers"),
        case(187, after(185, 181), "id ref"),
        case(188, after(185, 187, 186)),
        case(189, after(185, 187), "id ref"),
        case(190, after(185, 189), "id ref"),
        case(191, after(185, 187, 190)),
        case(193, after(185, 187)),
        case(400, staffed()),
        case(402, after(185, 237), "id ref project_extra_info"),
        case(403, after(385)),
        case(404, after(385)),
        case(425, after(185, 386), "project_extra_info"),
        case(430, after(185, 429), "total_comments project_extra_info"),
        case(431, after(185, 430), "total_comments project_extra_info"),
        case(336, after(331, 226, 185, 189, then=_story_elsewhere)),
        case(570, two_projects()),
        case(571, two_projects()),
        case(572, two_projects(), _ORDERS),
        case(577, two_projects(572)),
        case(578, two_projects(535)),
        case(579, two_projects(535), "ref kanban_order points"),
        case(345, after(then=ARCHIVED)),
        case(350, after(then=BLOCKED)),
        case(351, after(then=BLOCKED)),
        case(386, after(185, 385), "is_watcher total_watchers watchers"),
        *(
            case(number, after(185, *before, then=hook_to(f"/hook/{path}")), "total_watchers watchers total_voters")
            for number, (before, path) in _RECEIVERS.items()
        ),
        case(301, after(185, 300, then=dead_hook), "total_watchers watchers total_voters"),
    ],
    "comments": [
        case(170, after(166, 134, 168)),
        case(171, after(166, 168)),
        case(432, after(226, 185, 431, 423, 433, then=_before_the_edit)),
        case(172, after(166, 168)),
    ],
    "stories": [
        case(182, after(152)),
        case(197, after(196)),
        case(200, after(197)),
        case(201, after(200, 199)),
        case(202, after(201)),
        case(208, after(203)),
        case(337, after(226, then=_promoted)),
        case(338, after(then=_story_with_open_task)),
    ],
    "issues": [
        case(210, after(), "id ref"),
        case(213, after(210, 212)),
        case(214, after(213)),
        case(215, after(214)),
        case(216, after(214), "id ref"),
        case(217, after(216)),
        case(427, after(), "id ref project_extra_info severity priority type"),
    ],
    "setup": [
        case(77, after(76)),
        case(325, after()),
        case(327, after()),
        case(328, after()),
        case(317, staffed()),
        case(319, staffed(317)),
        case(322, staffed(319)),
        case(323, staffed(319)),
        case(324, staffed(319)),
        case(97, staffed(90), "id"),
    ],
    "webhooks": [
        case(89, staffed(88)),
        case(310, after()),
        case(311, after(), "logs_counter"),
        case(312, after(), "logs_counter"),
        case(315, after(185, 314, 309)),
        case(316, after(314)),
        case(96, after(95)),
        case(293, after(291), "id"),
        case(413, after(412), "id"),
        case(375, after(374), "id", mode="async"),
    ],
    "async": [
        case(371, after(185), "id ref", mode="async"),
        case(372, after(), "id ref", mode="async"),
        case(373, after(372), mode="async"),
        case(377, after(371, then=_broker_down), mode="async"),
    ],
}
