"""What ties a user story to its own tasks: it closes silently with the last of them, and only one side is billed.

Taiga closes and opens a story with its tasks without a webhook and without a new version. A story and one of its own
tasks, both billable with hours, are never both billed unless a person says so (billing-rules: Billable).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from django.db.models import Q

from billing_console.states import EntryState, ItemKind, ItemState, Reason
from mappings.models import Company
from sync import attributes
from sync.models import TaigaAttributes, TimeEntry, WorkItem
from sync.world import configured_names

# A person said that the story and its task are both billed.
BOTH: Final = "story_and_task"
# A person said that only the tasks of the story are billed, as long as one of them is.
TASKS_ONLY: Final = "tasks_only"
_BILLED: Final = (EntryState.CLAIMED, EntryState.INVOICED)
_BILLABLE: Final = (*_BILLED, EntryState.HELD, EntryState.READY, EntryState.BELOW_MINIMUM)


def with_family(item_ids: Iterable[int], *story_taiga_ids: int | None) -> list[int]:
    """The ids of these rows, of the stories of the tasks among them, and of tasks that wait for such a story.

    They are locked together in their order. Whoever evaluates a task evaluates its story too, and the other way round
    where the task waits for it; `story_taiga_ids` are stories that a task is about to join.
    """
    ids = set(item_ids)
    tasks = WorkItem.objects.filter(pk__in=ids, kind=ItemKind.TASK, story_taiga_id__isnull=False)
    scope = Q(taiga_id__in=tasks.values("story_taiga_id")) | Q(pk__in=ids)
    if joined := [story for story in story_taiga_ids if story is not None]:
        scope |= Q(taiga_id__in=joined)
    stories = dict(WorkItem.objects.filter(scope, kind=ItemKind.STORY).values_list("pk", "taiga_id"))
    if stories:
        held = TimeEntry.objects.filter(state=EntryState.HELD, reason=Reason.STORY_AND_TASK)
        waiting = held.filter(item__kind=ItemKind.TASK, item__story_taiga_id__in=stories.values())
        ids |= set(waiting.values_list("item_id", flat=True))
    return sorted(ids | set(stories))


def billable_tasks(story_ids: Iterable[int]) -> dict[int, list[int]]:
    """Refs of the billable tasks with hours of each story (by Taiga id), as their entries say; one query."""
    rows = TimeEntry.objects.filter(
        item__kind=ItemKind.TASK, item__story_taiga_id__in=list(story_ids), state__in=_BILLABLE, raw_hours__gt=0
    )
    refs: dict[int, list[int]] = {}
    for story, ref in rows.values_list("item__story_taiga_id", "item__ref").order_by("item__ref"):
        if story is not None and ref is not None and ref not in refs.setdefault(story, []):
            refs[story].append(ref)
    return refs


def billed_stories(story_ids: Iterable[int]) -> dict[int, int | None]:
    """Which of these stories (by Taiga id) are on an invoice or a draft, with their refs; not those that a person
    let stand beside their tasks."""
    rows = TimeEntry.objects.filter(
        item__kind=ItemKind.STORY, item__taiga_id__in=list(story_ids), state__in=_BILLED, raw_hours__gt=0
    )
    return {
        story: ref
        for story, ref, confirmed in rows.values_list("item__taiga_id", "item__ref", "confirmed_value")
        if BOTH not in confirmed.split()
    }


def is_closed(story_taiga_id: int | None) -> bool:
    """Whether a story counts as closed here: a new task that is open has opened it again, silently."""
    if story_taiga_id is None:
        return False
    return WorkItem.objects.filter(kind=ItemKind.STORY, taiga_id=story_taiga_id, state=ItemState.CLOSED).exists()


def may_be_billed(kind: str, taiga_project_id: int | None) -> bool:
    """Whether items of `kind` in the project could be billable: they have the attribute or hours, or nobody looked yet.

    Most projects bill tasks alone; their stories and issues then cost no call. The sweep looks at the attributes again
    every ten minutes, and the night's comparison reads what was closed before an attribute came.
    """
    if kind == ItemKind.TASK or taiga_project_id is None:
        return True
    known = TaigaAttributes.objects.filter(taiga_project_id=taiga_project_id, kind=kind).first()
    if known is None or any(is_billable_name(name) for name in known.names.values()):
        return True
    # Somebody renamed or deleted the attribute: what we have of them is still followed.
    return TimeEntry.objects.filter(item__kind=kind, item__taiga_project_id=taiga_project_id).exists()


def is_billable_name(name: str) -> bool:
    """Whether an attribute of this name says if an item is billable: the configured name, or the guide's other one."""
    configured = configured_names(Company.current())[attributes.BILLABLE]
    return name.casefold() in (configured.casefold(), attributes.ALIASES[attributes.BILLABLE].casefold())
