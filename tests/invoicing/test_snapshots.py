"""Both sides in one form, and side by side: which line is which, and which cells differ."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoicing import snapshots


def line(task: str = "", notes: str = "Work", quantity: str = "2", cost: str = "75", amount: str = "150") -> Any:
    return {"task_id": task, "notes": notes, "quantity": quantity, "cost": cost, "amount": amount}


def side(*lines: Any, **more: Any) -> Any:
    return {
        "client_id": "c1", "date": "2026-01-02", "due_date": "2026-02-01", "terms": "", "footer": "", "status": "1",
        "public_notes": "", "currency": "EUR", "tax_name": "VAT", "tax_rate": "21", "net": "150", "tax": "31.5",
        "gross": "181.5", "lines": list(lines), **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "theirs", "pairs"),
    [
        ([line("a"), line("b")], [line("a"), line("b")], [(0, 0), (1, 1)]),
        ([line("a"), line("b")], [line("b"), line("a")], [(1, 0), (0, 1)]),
        ([line("a"), line("b")], [line("b")], [(1, 0), (0, None)]),
        ([line("a")], [line("", "Hosting"), line("a")], [(None, 0), (0, 1)]),
        ([line("a")], [line("", "Work")], [(None, 0), (0, None)]),  # a manual line is no task's, whatever it says
        ([line("", "x"), line("", "y")], [line("", "y"), line("", "z")], [(1, 0), (0, 1)]),
        ([], [], []),
    ],
)
def test_lines_are_paired_by_task_then_text_then_turn(ours: Any, theirs: Any, pairs: Any) -> None:
    assert snapshots.pair_lines(ours, theirs) == pairs


@pytest.mark.parametrize(
    ("ours", "theirs", "differing"),
    [
        (side(line("a")), side(line("a")), []),
        (side(line("a")), side(line("a"), due_date="2026-03-01"), [("Invoice", "Due", "1 Feb 2026", "1 Mar 2026")]),
        (side(line("a")), side(line("a"), tax_rate="0"), [("Invoice", "Tax", "VAT 21 %", "none")]),
        (side(line("a")), side(line("a"), terms="theirs"), []),  # the server's default may stand where ours is empty
        (side(line("a"), terms="30 days"), side(line("a"), terms="30\n days"), []),
        (side(line("a"), terms="30 days"), side(line("a")), [("Invoice", "Terms", "30 days", "–")]),
        (
            side(line("a")),
            side(line("a", quantity="3.125")),
            [("Line 1: Work", "Hours or quantity", "2.00", "3.125")],
        ),
        (
            side(line("a")),
            side(line("a"), line("", "Hosting", "1", "50", "50")),
            [
                ("Line 2: Hosting", "Text", "not there", "Hosting"),
                ("Line 2: Hosting", "Hours or quantity", "not there", "1.00"),
                ("Line 2: Hosting", "Rate", "not there", "50.00 EUR"),
                ("Line 2: Hosting", "Amount", "not there", "50.00 EUR"),
            ],
        ),
        (
            side(line("a"), line("b")),
            side(line("b"), line("a")),
            [("Line 2: Work", "Place", "2", "1"), ("Line 1: Work", "Place", "1", "2")],
        ),
    ],
)
def test_only_what_differs_is_marked(ours: Any, theirs: Any, differing: Any) -> None:
    cells = snapshots.side_by_side(ours, theirs)
    found = [(cell.where, cell.what, cell.ours, cell.theirs) for cell in cells if cell.differs]
    assert [tuple(text.replace("\u00a0", " ") for text in row) for row in found] == differing


SIDES = st.lists(st.sampled_from([line("a"), line("b"), line("c"), line("", "x"), line("", "y")]), max_size=6)


@given(SIDES, SIDES)
def test_every_line_of_both_sides_is_in_exactly_one_pair(ours: Any, theirs: Any) -> None:
    pairs = snapshots.pair_lines(ours, theirs)
    assert sorted(mine for mine, _their in pairs if mine is not None) == list(range(len(ours)))
    assert [their for _mine, their in pairs if their is not None] == list(range(len(theirs)))
    for mine, their in pairs:
        assert mine is None or their is None or ours[mine]["task_id"] == theirs[their]["task_id"]
