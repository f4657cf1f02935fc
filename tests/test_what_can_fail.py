"""The page of all faults names a test for each, and every test that it names is there."""

from __future__ import annotations

import re

from billing_console.processes import CLONE

PAGE = (CLONE / "docs" / "what-can-fail.md").read_text()


def rows() -> list[list[str]]:
    """The cells of every fault."""
    tables = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| fault |")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in tables]


def test_every_fault_has_what_happens_what_is_said_what_to_do_and_a_test() -> None:
    assert len(rows()) >= 14
    for row in rows():
        assert len(row) == 5, row
        assert all(row), row
        assert re.search(r"`tests/\S+::test_\w+`", row[4]), row


def test_every_test_that_is_named_is_there() -> None:
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE):
        assert f"\ndef {name}(" in (CLONE / path).read_text(), f"{path}::{name}"
