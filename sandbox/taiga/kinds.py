"""What tasks, user stories and issues have in common and where their names differ."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of work item.

    name: as webhooks and history paths say it; path: its list route; model: its key in the history;
    field: its id's field in the values resource; closed_field: when it was finished.
    """

    name: str
    path: str
    model: str
    title: str
    field: str
    closed_field: str
    statuses: str
    default_status: str
    permission: str
    short: str
    content_type: int

    @property
    def attributes(self) -> str:
        """The table of its custom attributes."""
        return f"{self.name}_attributes"

    @property
    def values(self) -> str:
        """The table of its attribute values, by item id."""
        return f"{self.name}_values"


TASK = Kind(
    name="task",
    path="tasks",
    model="tasks.task",
    title="Task",
    field="task",
    closed_field="finished_date",
    statuses="task_statuses",
    default_status="default_task_status",
    permission="task",
    short="task",
    content_type=54,
)
STORY = Kind(
    name="userstory",
    path="userstories",
    model="userstories.userstory",
    title="UserStory",
    field="user_story",
    closed_field="finish_date",
    statuses="us_statuses",
    default_status="default_us_status",
    permission="us",
    short="us",
    content_type=53,
)
ISSUE = Kind(
    name="issue",
    path="issues",
    model="issues.issue",
    title="Issue",
    field="issue",
    closed_field="finished_date",
    statuses="issue_statuses",
    default_status="default_issue_status",
    permission="issue",
    short="issue",
    content_type=55,
)
KINDS = {kind.name: kind for kind in (TASK, STORY, ISSUE)}
BY_PATH = {kind.path: kind for kind in KINDS.values()}


def view_permission(kind: Kind) -> str:
    """The permission to see items of a kind; Taiga uses the plural only here."""
    return "view_us" if kind is STORY else f"view_{kind.path}"
