"""What a new project begins with: Taiga's own Scrum template (1) and Kanban template (2)."""

from __future__ import annotations

from typing import Any

from sandbox.memory import Row

_GREY, _RED, _ORANGE, _YELLOW, _GREEN, _PALE, _BLUE = (
    "#70728F",
    "#E44057",
    "#E47C40",
    "#E4CE40",
    "#A8E440",
    "#A9AABC",
    "#5178D3",
)


def _closable(*rows: tuple[str, str, str, bool]) -> list[Row]:
    return [
        {"name": name, "slug": slug, "order": order, "is_closed": is_closed, "color": color}
        for order, (name, slug, color, is_closed) in enumerate(rows, 1)
    ]


def _coloured(*rows: tuple[str, int, str]) -> list[Row]:
    return [{"name": name, "order": order, "color": color} for name, order, color in rows]


_COMMON = (("New", "new", _GREY, False),)
_STORY = _closable(
    *_COMMON,
    ("Ready", "ready", _RED, False),
    ("In progress", "in-progress", _ORANGE, False),
    ("Ready for test", "ready-for-test", _YELLOW, False),
    ("Done", "done", _GREEN, True),
)
TABLES: dict[str, list[Row]] = {
    "epic_statuses": _STORY,
    "us_statuses": [
        *({**row, "wip_limit": None, "is_archived": False} for row in _STORY),
        {
            "name": "Archived",
            "slug": "archived",
            "order": 6,
            "is_closed": True,
            "color": _PALE,
            "wip_limit": None,
            "is_archived": True,
        },
    ],
    "task_statuses": _closable(
        *_COMMON,
        ("In progress", "in-progress", _ORANGE, False),
        ("Ready for test", "ready-for-test", _YELLOW, False),
        ("Closed", "closed", _GREEN, True),
        ("Needs Info", "needs-info", _BLUE, False),
    ),
    "issue_statuses": _closable(
        *_COMMON,
        ("In progress", "in-progress", "#40A8E4", False),
        ("Ready for test", "ready-for-test", _YELLOW, False),
        ("Closed", "closed", _GREEN, True),
        ("Needs Info", "needs-info", _RED, False),
        ("Rejected", "rejected", _PALE, True),
        ("Postponed", "postponed", _BLUE, False),
    ),
    "issue_types": _coloured(("Bug", 1, _RED), ("Question", 2, _BLUE), ("Enhancement", 3, "#40E4CE")),
    "priorities": _coloured(("Low", 1, _GREEN), ("Normal", 3, _YELLOW), ("High", 5, _ORANGE)),
    "severities": _coloured(
        ("Wishlist", 1, _GREY),
        ("Minor", 2, "#40A8E4"),
        ("Normal", 3, "#40E47C"),
        ("Important", 4, "#E4A240"),
        ("Critical", 5, "#D35450"),
    ),
    "points": [
        {"name": name, "order": order, "value": value}
        for order, (name, value) in enumerate(
            [("?", None), ("0", 0), ("1/2", 0.5), *((str(n), n) for n in (1, 2, 3, 5, 8, 10, 13, 20, 40))], 1
        )
    ],
}
DEFAULTS = {
    "default_epic_status": ("epic_statuses", "New"),
    "default_points": ("points", "?"),
    "default_us_status": ("us_statuses", "New"),
    "default_task_status": ("task_statuses", "New"),
    "default_priority": ("priorities", "Normal"),
    "default_severity": ("severities", "Normal"),
    "default_issue_status": ("issue_statuses", "New"),
    "default_issue_type": ("issue_types", "Bug"),
}
ALL_PERMISSIONS = [
    "add_issue",
    "modify_issue",
    "delete_issue",
    "view_issues",
    "add_milestone",
    "modify_milestone",
    "delete_milestone",
    "view_milestones",
    "view_project",
    "add_task",
    "modify_task",
    "delete_task",
    "view_tasks",
    "add_us",
    "modify_us",
    "delete_us",
    "view_us",
    "add_wiki_page",
    "modify_wiki_page",
    "delete_wiki_page",
    "view_wiki_pages",
    "add_wiki_link",
    "delete_wiki_link",
    "view_wiki_links",
    "view_epics",
    "add_epic",
    "modify_epic",
    "delete_epic",
    "comment_epic",
    "comment_us",
    "comment_task",
    "comment_issue",
    "comment_wiki_page",
]
_STAKEHOLDER = [
    "add_issue",
    "modify_issue",
    "delete_issue",
    "view_issues",
    "view_milestones",
    "view_project",
    "view_tasks",
    "view_us",
    "modify_wiki_page",
    "view_wiki_pages",
    "add_wiki_link",
    "delete_wiki_link",
    "view_wiki_links",
    "view_epics",
    "comment_epic",
    "comment_us",
    "comment_task",
    "comment_issue",
    "comment_wiki_page",
]
ROLES: list[dict[str, Any]] = [
    {
        "name": name,
        "slug": name.lower().replace(" ", "-"),
        "order": order * 10,
        "computable": order <= 4,
        "permissions": _STAKEHOLDER if name == "Stakeholder" else ALL_PERMISSIONS,
    }
    for order, name in enumerate(("UX", "Design", "Front", "Back", "Product Owner", "Stakeholder"), 1)
]
DUE_DATES = [
    {"name": "Default", "order": 1, "by_default": True, "color": "#9dce0a", "days_to_due": None},
    {"name": "Due soon", "order": 2, "by_default": False, "color": "#ff9900", "days_to_due": 14},
    {"name": "Past due", "order": 3, "by_default": False, "color": _RED, "days_to_due": 0},
]
