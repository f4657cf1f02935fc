"""User stories and issues are billed like tasks; a story beside its own task is asked about."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from billing_console.errors import IllegalTransition
from billing_console.states import EntryState, ItemKind, Reason
from sandbox import scenario
from sync import attention, explain
from sync.models import Difference, FoundBy, TaigaAttributes, TimeEntry, WorkItem
from tests.flow.steps import NAMES, Flow, calls_since, december, fresh, hours_of, january, person

PATHS = {"U": ("userstories", "userstory"), "I": ("issues", "issue")}


class Board:
    """Stories and issues as people work with them, with the attributes of billing."""

    def __init__(self, office: Flow) -> None:
        self.office = office
        self.project = office.project.taiga_id
        self._lists: dict[str, list[Any]] = {}
        office.go_to(december(1, 14))

    @property
    def taiga(self) -> Any:
        return self.office.taiga()

    def add_attributes(self, kind: str) -> None:
        """An administrator adds the attributes to the kind; their ids are those of other things too."""
        names = {scenario.BILLABLE: "checkbox", scenario.HOURS: "number", scenario.STATUS: "text"}
        for name, type_ in names.items():
            body = {"project": self.project, "name": name, "type": type_, "description": ""}
            self.taiga.do("POST", f"/{PATHS[kind][1]}-custom-attributes", body)

    def add(self, kind: str, subject: str = "Shop") -> int:
        """A new story or issue; returns its Taiga id."""
        body = {"project": self.project, "subject": subject}
        return int(self.taiga.do("POST", f"/{PATHS[kind][0]}", body)["id"])

    def add_task(self, story: int, subject: str = "Part") -> int:
        """A new task of the story."""
        body = {"project": self.project, "subject": subject, "user_story": story}
        task = int(self.taiga.do("POST", "/tasks", body)["id"])
        self.office._projects[task] = self.project
        return task

    def type(self, kind: str, number: int, **values: Any) -> None:
        """Somebody types billable, hours or status."""
        ids = {row["name"]: row["id"] for row in self._listed(self._attributes(kind))}
        path = f"/{PATHS[kind][0]}/custom-attributes-values/{number}"
        now = self.taiga.get(path)
        merged = {**now["attributes_values"], **{str(ids[NAMES[name]]): value for name, value in values.items()}}
        self.taiga.do("PATCH", path, {"attributes_values": merged, "version": now["version"]})

    def values(self, kind: str, number: int) -> dict[str, Any]:
        """What Taiga holds, by attribute name."""
        ids = {str(row["id"]): row["name"] for row in self.taiga.get(self._attributes(kind))}
        values = self.taiga.get(f"/{PATHS[kind][0]}/custom-attributes-values/{number}")["attributes_values"]
        return {ids[key]: value for key, value in values.items()}

    def close(self, kind: str, number: int, *, is_closed: bool = True) -> None:
        """Somebody moves it to a closed column, or to an open one."""
        singular = PATHS[kind][1]
        statuses = self._listed(f"/{singular}-statuses?project={self.project}")
        status = next(row["id"] for row in statuses if row["is_closed"] == is_closed)
        now = self.taiga.get(f"/{PATHS[kind][0]}/{number}")
        self.taiga.do("PATCH", f"/{PATHS[kind][0]}/{number}", {"version": now["version"], "status": status})

    def billed(self, kind: str, subject: str, hours: float = 2) -> int:
        """A new one, billable and closed; returns its Taiga id."""
        number = self.add(kind, subject)
        self.type(kind, number, billable=True, hours=hours)
        self.close(kind, number)
        return number

    def delete(self, kind: str, number: int) -> None:
        """Somebody deletes it."""
        self.taiga.do("DELETE", f"/{PATHS[kind][0]}/{number}")

    def _listed(self, path: str) -> list[Any]:
        """Rows that no test changes once they are there, read once."""
        if path not in self._lists:
            self._lists[path] = self.taiga.get(path)
        return self._lists[path]

    def _attributes(self, kind: str) -> str:
        return f"/{PATHS[kind][1]}-custom-attributes?project={self.project}"


@pytest.fixture
def board(office: Flow) -> Board:
    return Board(office)


def entry_of(kind: str, number: int) -> TimeEntry:
    return TimeEntry.objects.get(item__kind=kind, item__taiga_id=number)


@pytest.mark.parametrize("kind", ["U", "I"])
def test_a_closed_one_is_pushed_and_marked(board: Board, kind: str) -> None:
    board.add_attributes(kind)
    number = board.add(kind)
    board.type(kind, number, billable=True, hours=2.1)
    board.close(kind, number)

    board.office.work()

    entry = entry_of(kind, number)
    (task,) = board.office.tasks()
    assert (entry.state, entry.amount) == (EntryState.READY, 168.75)  # 2.25 h at the project's 75
    assert task["number"] == f"TAIGA-{kind}{number}-1"
    assert task["description"].startswith({"U": "User story #", "I": "Issue #"}[kind])
    assert board.values(kind, number)[scenario.STATUS] == "Invoiced"
    assert entry.item.closing_found_by == FoundBy.WEBHOOK


def test_the_same_taiga_id_of_three_kinds_is_three_entries(board: Board) -> None:
    for kind in "UI":
        board.add_attributes(kind)
    issue = board.add("I")
    board.type("I", issue, billable=True, hours=1)
    board.close("I", issue)
    same = WorkItem.objects.create(kind=ItemKind.TASK, taiga_id=issue, taiga_project_id=board.project, is_dirty=False)
    board.office.work()

    assert entry_of("I", issue).state == EntryState.READY
    assert not same.entries.exists()


def test_where_stories_have_nothing_to_bill_by_they_cost_nothing(board: Board) -> None:
    board.office.sweep()
    mark = len(calls_since(0))
    story = board.add("U")
    board.close("U", story)

    board.office.work()

    assert calls_since(mark) == []
    assert not WorkItem.objects.filter(kind="U").exists()


def test_a_story_that_closes_silently_with_its_last_task_is_billed(board: Board) -> None:
    board.add_attributes("U")
    story = board.add("U")
    board.type("U", story, billable=True, hours=3)
    task = board.add_task(story)
    board.office.work()
    assert not TimeEntry.objects.filter(item__kind="U").exists()

    board.office.move(task, "Closed", who="owner")
    board.office.work()

    assert entry_of("U", story).state == EntryState.READY
    assert [row["number"] for row in board.office.tasks()] == [f"TAIGA-U{story}-1"]

    board.office.move(task, "In progress", who="owner")
    board.office.work()
    assert entry_of("U", story).reason == Reason.REOPENED


def test_a_new_task_opens_its_story_silently_and_it_waits(board: Board) -> None:
    board.add_attributes("U")
    story = board.billed("U", "Shop")
    board.office.work()
    assert entry_of("U", story).state == EntryState.READY

    board.add_task(story, "Still to do")
    board.office.work()

    assert (entry_of("U", story).state, entry_of("U", story).reason) == (EntryState.HELD, Reason.REOPENED)


def test_a_renamed_billable_attribute_does_not_hide_what_is_known(board: Board) -> None:
    board.add_attributes("I")
    issue = board.billed("I", "Bug")
    board.office.work()
    rows = board.taiga.get(f"/issue-custom-attributes?project={board.project}")
    billable = next(row["id"] for row in rows if row["name"] == scenario.BILLABLE)
    board.taiga.do("PATCH", f"/issue-custom-attributes/{billable}", {"name": "To be billed"})
    TaigaAttributes.objects.update(read_at="2020-01-01T00:00:00Z")
    board.office.sweep()

    board.delete("I", issue)
    board.office.work()

    assert (entry_of("I", issue).state, entry_of("I", issue).reason) == (EntryState.HELD, Reason.GONE)


@pytest.mark.parametrize("kind", ["U", pytest.param("I", marks=pytest.mark.long)])
class TestAfterTheFact:
    """Every cell of billing-rules: After the fact, as for tasks; 2 h × 75.00 each."""

    def test_unclaimed_the_task_there_follows(self, board: Board, kind: str) -> None:
        board.add_attributes(kind)
        more, unticked, said, reopened, gone = (
            board.billed(kind, subject) for subject in ("more", "unticked", "said", "reopened", "gone")
        )
        board.office.work()
        before = board.office.tasks()

        board.type(kind, more, hours=3)
        board.type(kind, unticked, billable=False)
        board.type(kind, said, status="Not Billable")
        board.close(kind, reopened, is_closed=False)
        board.delete(kind, gone)
        board.office.work()

        after = board.office.tasks()
        assert [row["id"] for row in after] == [row["id"] for row in before]
        assert [bool(row["archived_at"]) for row in after] == [False, True, True, False, False]
        assert [hours_of(row) for row in after] == [3, 2, 2, 2, 2]
        found = [entry_of(kind, number) for number in (more, unticked, said, reopened, gone)]
        assert [entry.state for entry in found] == ["ready", "void", "void", "held", "held"]
        assert [entry.reason for entry in found] == ["", "", "", Reason.REOPENED, Reason.GONE]
        statuses = [board.values(kind, number).get(scenario.STATUS) for number in (more, unticked, said, reopened)]
        assert statuses == ["Invoiced", None, "Not Billable", "Invoiced"]

    def test_in_a_draft_it_is_stale_and_after_approval_a_difference_or_a_cycle(self, board: Board, kind: str) -> None:
        board.add_attributes(kind)
        more, unticked, again, gone = (board.billed(kind, subject) for subject in ("more", "unticked", "again", "gone"))
        board.office.work()
        (draft,) = board.office.bill()
        board.type(kind, more, hours=2.5)
        board.office.work()
        assert "hours 2 → 2.5" in fresh(draft).stale_sentence
        draft = board.office.refresh(draft)
        assert (draft.is_stale, draft.net) == (False, Decimal("637.50"))
        board.office.approve(draft)

        board.office.go_to(january(5))
        board.type(kind, more, hours=4)
        board.type(kind, unticked, billable=False)
        board.close(kind, again, is_closed=False)
        board.delete(kind, gone)
        board.office.work()
        board.type(kind, again, hours=3)
        board.close(kind, again)
        board.office.work()

        differences = Difference.objects.filter(state="open").order_by("item__taiga_id")
        assert [(row.item.taiga_id, row.hours_now, row.amount) for row in differences] == [
            (more, 4, Decimal("112.50")),
            (unticked, 0, Decimal("-150.00")),
        ]
        cycles = TimeEntry.objects.filter(item__kind=kind, cycle=2)
        assert [(entry.item.taiga_id, entry.state, entry.amount) for entry in cycles] == [(again, "ready", 75)]
        assert [row["number"] for row in board.office.tasks()][4:] == [f"TAIGA-{kind}{again}-2"]
        assert board.office.invoices()[0]["amount"] == Decimal("771.38")


class TestStoryAndTask:
    """Both billable with hours: the story waits until a person says which."""

    @pytest.fixture
    def both(self, board: Board) -> tuple[int, int]:
        board.add_attributes("U")
        story = board.add("U")
        board.type("U", story, billable=True, hours=3)
        task = board.add_task(story)
        board.office.type(task, who="owner", billable=True, hours=1)
        board.office.move(task, "Closed", who="owner")
        board.office.work()
        return story, task

    def numbers(self, board: Board) -> list[str]:
        return sorted(row["number"] for row in board.office.tasks() if not row["archived_at"])

    def test_the_story_is_held_and_says_which_task(self, board: Board, both: tuple[int, int]) -> None:
        story, task = both
        entry = entry_of("U", story)

        assert (entry.state, entry.reason) == (EntryState.HELD, Reason.STORY_AND_TASK)
        assert f"#{entry_of('T', task).item.ref} " in entry.reason_sentence
        assert entry_of("T", task).state == EntryState.READY

    def test_confirmed_both_are_billed(self, board: Board, both: tuple[int, int]) -> None:
        story, task = both
        attention.confirm_entry(entry_of("U", story), user=person())
        board.office.work()

        assert self.numbers(board) == [f"TAIGA-T{task}-1", f"TAIGA-U{story}-1"]

    def test_excluded_the_task_alone_is_billed(self, board: Board, both: tuple[int, int]) -> None:
        story, task = both
        attention.exclude_entry(entry_of("U", story), user=person(), note="the task is billed")
        board.office.work()

        assert self.numbers(board) == [f"TAIGA-T{task}-1"]

    def test_left_to_its_tasks_the_story_follows_them(self, board: Board, both: tuple[int, int]) -> None:
        story, task = both
        attention.leave_to_tasks(entry_of("U", story), user=person(), note="an umbrella")
        board.office.work()
        assert (entry_of("U", story).state, self.numbers(board)) == (EntryState.VOID, [f"TAIGA-T{task}-1"])
        assert "the tasks of this story are billed instead" in explain.explain(entry_of("U", story))
        with pytest.raises(IllegalTransition):
            attention.leave_to_tasks(entry_of("U", story), user=person())

        board.office.type(task, who="owner", billable=False)
        board.office.work()
        assert (entry_of("U", story).state, self.numbers(board)) == (EntryState.READY, [f"TAIGA-U{story}-1"])

        board.office.type(task, who="owner", billable=True)
        board.office.work()
        assert (entry_of("U", story).state, self.numbers(board)) == (EntryState.VOID, [f"TAIGA-T{task}-1"])
        attention.include_entry(entry_of("U", story), user=person())
        assert entry_of("U", story).reason == Reason.STORY_AND_TASK

    def test_a_story_taken_off_its_draft_frees_the_task_that_waits_for_it(
        self, board: Board, both: tuple[int, int]
    ) -> None:
        story, task = both
        TimeEntry.objects.filter(item__kind="U").update(state=EntryState.READY, reason="")
        TimeEntry.objects.filter(item__kind="T").update(state=EntryState.HELD, reason=Reason.STORY_AND_TASK)

        attention.exclude_entry(entry_of("U", story), user=person(), note="the task is billed")

        assert entry_of("T", task).state == EntryState.READY

    def test_a_task_that_is_excluded_frees_its_story(self, board: Board, both: tuple[int, int]) -> None:
        story, task = both
        attention.exclude_entry(entry_of("T", task), user=person(), note="the story is billed")
        board.office.work()

        assert entry_of("U", story).state == EntryState.READY

    def test_a_task_that_is_unticked_frees_its_story(self, board: Board, both: tuple[int, int]) -> None:
        story, task = both
        board.office.type(task, who="owner", billable=False)
        board.office.work()

        assert entry_of("U", story).state == EntryState.READY

    def test_a_task_that_joins_a_billed_story_is_asked_about(self, board: Board, both: tuple[int, int]) -> None:
        story, _task = both
        attention.confirm_entry(entry_of("U", story), user=person())
        TimeEntry.objects.filter(item__kind="U").update(state=EntryState.INVOICED, confirmed_value="")
        late = board.add_task(story, "Late")
        board.office.type(late, who="owner", billable=True, hours=2)
        board.office.move(late, "Closed", who="owner")
        board.office.work()

        entry = entry_of("T", late)
        assert (entry.state, entry.reason) == (EntryState.HELD, Reason.STORY_AND_TASK)
        attention.confirm_entry(entry, user=person())
        assert fresh(entry).state == EntryState.READY
