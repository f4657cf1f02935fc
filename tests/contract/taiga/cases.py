"""Every recorded case of each method of the console's TaigaClient, and of what people do in Taiga (OTHER)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sandbox.taiga.kinds import TASK
from tests.contract.taiga.case import Case, after, case, people, staffed
from tests.contract.taiga.lab import NOW, Lab

THROTTLED = {"kind": "status", "status": 429}


def _project_fields(**fields: Any) -> Any:
    def then(lab: Lab) -> None:
        with lab.store.memory.transaction():
            lab.store.projects.update(2, **fields)

    return then


def _beta(**fields: Any) -> Any:
    """Task 8 moved to Client Beta, where alice has a role and a hook listens."""

    def then(lab: Lab) -> None:
        lab.join(6, 2, 7)
        lab.load("331-webhook-create-project-2", "333-task-after-move-attempt", "344-archived-project-get-task")
        _project_fields(**fields)(lab)

    return then


ARCHIVED = _beta(archived_code="archived")
BLOCKED = _beta(blocked_code="blocked-by-staff")


def _refresh(lab: Lab) -> dict[str, Any]:
    return {"body": {"refresh": lab.token("admin", "refresh")}}


def _refresh_used(lab: Lab) -> dict[str, Any]:
    changes = _refresh(lab)
    lab.send({"request": {"method": "POST", "path": "/api/v1/auth/refresh", "headers": _JSON}}, changes)
    return changes


_JSON = {"Content-Type": "application/json"}


def _old_refresh_used(lab: Lab) -> dict[str, Any]:
    token = lab.token("admin")
    _refresh_used(lab)
    return {"authorization": f"Bearer {token}"}


def _expired(kind: str) -> Any:
    def changes(lab: Lab) -> dict[str, Any]:
        token = lab.token("admin", kind)
        lab.running.clock.set(NOW + timedelta(days=9))
        return {"authorization": f"Bearer {token}"} if kind == "access" else {"body": {"refresh": token}}

    return changes


def _header(value: str) -> Any:
    return lambda lab: {"authorization": value}


def _application(lab: Lab) -> dict[str, Any]:
    token = "sandbox-application-token"
    row = {"application": "lab-app", "user": 9, "token": token, "auth_code": None, "state": None}
    with lab.store.memory.transaction():
        lab.store.application_tokens.insert(row)
    return {"authorization": f"Application {token}"}


def _inactive(lab: Lab) -> None:
    with lab.store.memory.transaction():
        lab.store.users.update(10, is_active=False)


def _throttled(wait: int, method: str) -> Any:
    def then(lab: Lab) -> None:
        lab.app.faults.add({**THROTTLED, "wait_seconds": wait, "method": method})

    return then


def _bot_is_admin(lab: Lab) -> None:
    membership = lab.store.membership(9, 1)
    assert membership is not None
    with lab.store.memory.transaction():
        lab.store.memberships.update(membership["id"], is_admin=True)


def _private_blocked(lab: Lab) -> None:
    lab.store.settings.allow_private_address = False


def hook_to(path: str) -> Any:
    def then(lab: Lab) -> None:
        with lab.store.memory.transaction():
            lab.store.webhooks.update(2, url=f"{lab.hooks}{path}")

    return then


def _hook(**fields: Any) -> Any:
    def then(lab: Lab) -> None:
        with lab.store.memory.transaction():
            lab.store.webhooks.update(2, **fields)

    return then


dead_hook = _hook(url="http://127.0.0.1:1/hook")


def _no_people_yet(lab: Lab) -> None:
    lab.projects(is_staffed=False)


def _bob_left(lab: Lab) -> None:
    membership = lab.store.membership(7, 1)
    assert membership is not None
    with lab.store.memory.transaction():
        lab.store.memberships.delete(membership["id"])


def _bob_returned(lab: Lab) -> None:
    _bob_left(lab)
    with lab.store.memory.transaction():
        lab.store.memberships.insert({"id": 8, "project": 2, "user": None, "user_order": 0})
    lab.join(7, 1, 3)
    _bot_is_admin(lab)


def _as_exported(lab: Lab) -> None:
    lab.exact_dates()
    with lab.store.memory.transaction():
        lab.store.milestones.update(1, name="Sprint 1b")
        lab.store.items(TASK).update(1, description="new desc", attachments=1)
        values = {"1": True, "2": 5.0, "3": 85.25, "4": "INV-1", "5": "Invoiced"}
        lab.store.values(TASK).update(1, attributes_values=values)


def _renamed(lab: Lab) -> None:
    with lab.store.memory.transaction():
        lab.store.projects.update(1, name="Client Alpha GmbH")


def _values_are(number: int, values: dict[str, Any], version: int) -> Any:
    def check(lab: Lab) -> None:
        row = lab.store.values(TASK).get(number)
        assert row is not None
        assert (row["attributes_values"], row["version"]) == (values, version)

    return check


def _deleted(name: str, number: int) -> Any:
    def then(lab: Lab) -> None:
        with lab.store.memory.transaction():
            lab.store.memory.table(name).delete(number)

    return then


_TASK = (103,)
_WRONG_TYPES = {387: 383, 388: 387, 389: 388, 390: 389, 393: 390, 394: 393, 395: 394, 396: 395}
_LISTED = (237,)

CASES: dict[str, list[Case]] = {
    "log_in": [
        case(1, people()),
        case(2, people()),
        case(3, people()),
        case(4, people()),
        case(5, people()),
        case(6, people()),
        case(360, staffed(then=_throttled(58, "POST"))),
        case(361, staffed(then=_throttled(58, "POST"))),
        case(409, people(_inactive)),
    ],
    "refresh": [
        case(7, people(_refresh)),
        case(8, people(_refresh_used)),
        case(9, people()),
        case(12, people(lambda lab: {"body": {"refresh": lab.token("admin")}})),
        case(23, people(_expired("refresh"))),
    ],
    "me": [
        case(10, people(lambda lab: {"authorization": f"Bearer {lab.token('admin')}"})),
        case(11, people(_old_refresh_used)),
        case(13, people(_header("Bearer not-a-token"))),
        case(14, people(lambda lab: {"authorization": f"Bearer {lab.token('admin', 'refresh')}"})),
        case(15, people()),
        case(16, people(lambda lab: {"authorization": f"Token {lab.token('admin')}"})),
        case(17, people(lambda lab: {"authorization": f"bearer {lab.token('admin')}"})),
        case(19, people(_header("Application not-a-token"))),
        case(22, people(_expired("access"))),
        case(28, people(_application)),
        case(53, staffed()),
        case(359, staffed(), "total_private_projects"),
        case(408, people(_inactive)),
        case(428, staffed(), "total_private_projects"),
        case(435, people(_header("Application not-a-token"))),
    ],
    "project": [
        case(54, staffed(), "my_permissions"),
        case(55, staffed(), "my_permissions"),
        case(
            287,
            after(287, 231),
            "my_permissions milestones is_epics_activated tags_colors roles epic_custom_attributes",
        ),
        case(
            288,
            after(287, 231),
            "my_permissions milestones is_epics_activated tags_colors roles epic_custom_attributes",
        ),
        case(347, after(then=ARCHIVED), "my_permissions members archived_code tags_colors total_watchers"),
        case(352, after(then=BLOCKED), "my_permissions members tags_colors total_watchers"),
        case(355, staffed(then=_deleted("projects", 2))),
    ],
    "projects": [
        case(18, people(_header("Bearer not-a-token"))),
        case(56, staffed(), "my_permissions"),
    ],
    "memberships": [
        case(38, _no_people_yet, "created_at"),
        case(39, _no_people_yet),
        case(44, staffed()),
        case(45, staffed()),
        case(340, staffed(then=_bob_left)),
        case(379, staffed(then=_bob_returned)),
    ],
    "custom_attributes": [case(80, after()), case(81, after())],
    "create_custom_attribute": [
        *(case(number, staffed(), "id") for number in range(57, 62)),
        *(case(number, staffed(), "id") for number in range(62, 72)),
        case(72, staffed(), "id"),
        case(73, staffed(), "id"),
        case(74, after()),
        case(75, after()),
        case(76, after()),
        case(78, after()),
        case(79, after()),
    ],
    "item": [
        case(101, after(101)),
        case(106, after(103, 105)),
        case(137, after(137, 136), "neighbors"),
        case(160, after(101)),
        case(161, after(101)),
        case(162, after(101)),
        case(176, after(145, 176), "ref subject"),
        case(179, after(101)),
        case(183, after(181, 183, 182)),
        case(192, after(101)),
        case(194, after(101)),
        case(209, after(101)),
        case(272, after(237, 272)),
        case(320, after(237, 319, 320)),
        case(333, after(333)),
        case(344, after(then=ARCHIVED)),
        case(349, after(then=BLOCKED)),
        case(357, after(101)),
        case(399, after(101)),
    ],
    "items": [
        *(case(number, after(*_LISTED)) for number in range(231, 258) if number not in (256,)),
        *(case(number, after(*_LISTED)) for number in range(258, 272)),
        case(256, after(*_LISTED)),
        case(174, after(174)),
        case(181, after(181)),
        case(275, after(*_LISTED, then=Lab.exact_dates)),
        case(276, after(*_LISTED, then=Lab.exact_dates)),
        case(356, staffed(then=_deleted("projects", 2))),
        case(362, staffed(then=_throttled(60, "GET"))),
        case(398, people()),
        case(401, staffed()),
        case(418, after(420, then=_renamed)),
        case(419, after(420, then=_renamed)),
        case(420, after(420, then=_renamed)),
    ],
    "values": [
        case(104, after(103, 104)),
        case(115, after(103, 114)),
        case(127, after(103, 104)),
        case(128, after(103)),
        case(129, after(103)),
        case(130, after(103)),
        case(133, after(103, 131)),
        case(198, after(196, 198)),
        case(211, after(210, 211)),
        case(329, after(103, 329)),
        case(334, after(333, 334)),
        case(423, after(385, 423)),
    ],
    "patch_values": [
        case(105, after(103, 104)),
        case(107, after(103, 105), check=_values_are(1, {"2": 4}, 3)),
        case(108, after(103, 107)),
        case(109, after(103, 108)),
        case(110, after(103, 109)),
        case(111, after(103, 109)),
        case(112, after(103, 109)),
        case(113, after(103, 112)),
        case(114, after(103, 112)),
        case(116, after(103, 115)),
        case(117, after(103, 116)),
        case(118, after(103, 117)),
        case(119, after(103, 118)),
        case(120, after(103, 119)),
        case(121, after(103, 120)),
        case(122, after(103, 120)),
        case(123, after(103, 120)),
        case(124, after(103, 120)),
        case(125, after(103, 120)),
        case(126, after(103, 120)),
        case(131, after(103, 120)),
        case(134, after(103, 133)),
        case(177, after(176), check=_values_are(2, {"1": True, "2": 2}, 2)),
        case(199, after(197, 198)),
        case(212, after(210, 211)),
        case(335, after(333, 334)),
        case(346, after(then=ARCHIVED)),
        case(383, after(185, 226, 246, 385, then=lambda lab: _set_version(lab, 49, 223))),
        case(384, after(246, 385, 383)),
        *(case(number, after(246, 385, before)) for number, before in _WRONG_TYPES.items()),
        case(391, after(246, 385, 390)),
        case(392, after(246, 385, 390)),
        case(397, after(246, 385, 396)),
    ],
    "timeline": [
        case(289, after(290, then=lambda lab: lab.older("timeline", 60))),
        case(290, after(290, then=lambda lab: lab.older("timeline", 60))),
        case(410, after(410, then=_bot_is_admin), "id comment comment_html comment_edited comment_deleted subject"),
        case(411, after(410)),
    ],
    "history": [
        case(167, after(167, 166)),
        case(168, after(167, 166)),
        case(169, after(167, 166)),
        case(195, after(101)),
        case(433, after(433, 385, then=lambda lab: lab.older("history", 208))),
    ],
    "tasks_csv": [
        case(279, after(237, 287, then=_as_exported)),
        case(280, after(287)),
    ],
    "make_csv_uuid": [
        case(277, staffed()),
        case(278, staffed()),
        case(281, staffed()),
        case(283, staffed()),
        case(285, staffed()),
    ],
    "webhooks": [
        case(91, after()),
        case(92, after()),
        case(358, staffed(then=_deleted("projects", 2))),
        case(380, after(then=_bot_is_admin), "logs_counter"),
    ],
    "create_webhook": [
        case(82, staffed()),
        case(83, staffed()),
        case(84, staffed()),
        case(85, staffed()),
        case(86, staffed()),
        case(87, staffed()),
        case(88, staffed()),
        case(90, staffed(), "id"),
        case(314, after()),
        case(331, after(), "id"),
        case(348, after(then=ARCHIVED)),
        case(364, after(then=_private_blocked)),
        case(365, after(then=_private_blocked), "id"),
        case(367, after(then=_private_blocked)),
        case(381, after(then=_bot_is_admin), "id"),
    ],
    "test_webhook": [
        case(93, after()),
        case(94, after()),
        case(306, after(then=dead_hook), "id response_data"),
        case(307, after(then=hook_to("/hook/500")), "id"),
        case(313, after(then=_hook(key="clé-✓")), "id"),
        case(353, after(then=BLOCKED)),
        case(363, after(then=_throttled(60, "POST"))),
        case(366, after(365, then=_private_blocked), "id"),
        case(368, after(then=_private_blocked), "id"),
        case(374, after(), "id", mode="async"),
    ],
    "webhook_logs": [
        case(95, after(95)),
        case(291, after(291)),
        case(292, after(291)),
        case(294, after(291)),
        case(412, after(412)),
    ],
}


def _set_version(lab: Lab, number: int, version: int) -> None:
    with lab.store.memory.transaction():
        lab.store.values(TASK).update(number, version=version, attributes_values={"1": True, "2": 243, "3": 100})
