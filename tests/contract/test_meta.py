"""Every method of our clients has exchanges that were recorded on a running server."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.taiga import TaigaClient
from tests.contract.invoice_ninja.cases import CASES as NINJA_CASES
from tests.contract.invoice_ninja.cases import OTHER_CASES as OTHER_NINJA_CASES
from tests.contract.invoice_ninja.test_stories import STORIES as NINJA_STORIES
from tests.contract.left_out import LEFT_OUT, RECORDED
from tests.contract.taiga.cases import CASES as TAIGA_CASES
from tests.contract.taiga.change_stories import STORIES as TAIGA_STORIES
from tests.contract.taiga.people_cases import PEOPLE_CASES

# They call nothing.
WITHOUT_A_CALL = {"close", "slot"}
# What has a meaning only after what went before, and is played in its story: method, number of its recording.
IN_STORIES = {InvoiceNinjaClient: {"open_credits": 1254, "credit": 1208, "delete_credit": 1261}, TaigaClient: {}}


def methods_of(client: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(client, inspect.isfunction) if not name.startswith("_")}


@pytest.mark.parametrize(("client", "cases"), [(TaigaClient, TAIGA_CASES), (InvoiceNinjaClient, NINJA_CASES)])
def test_every_method_has_a_recorded_case_and_every_case_a_method(client, cases):
    played = IN_STORIES[client]

    assert methods_of(client) - WITHOUT_A_CALL == set(cases) | set(played)
    assert set(played.values()) <= {number for story in NINJA_STORIES for number in story.numbers}


ALL = {
    **{f"taiga.{name}": cases for name, cases in TAIGA_CASES.items()},
    **{f"invoice_ninja.{name}": cases for name, cases in NINJA_CASES.items()},
}


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_success_of_every_method_was_recorded(name):
    folder = Path(__file__).parent / name.partition(".")[0] / "recordings"
    recordings = [json.loads((folder / f"{case.recording}.json").read_text(encoding="utf-8")) for case in ALL[name]]
    assert any(200 <= recording["response"]["status"] < 300 for recording in recordings)


def _numbers(*groups: Iterable[Any]) -> set[int]:
    return {int(case.recording.partition("-")[0]) for group in groups for cases in group for case in cases}


REPEATED = {
    "invoice_ninja": _numbers(NINJA_CASES.values(), OTHER_NINJA_CASES.values())
    | {number for story in NINJA_STORIES for number in story.numbers},
    "taiga": _numbers(TAIGA_CASES.values(), PEOPLE_CASES.values())
    | {number for story in TAIGA_STORIES for number in story.numbers},
}


def _within(spans: Iterable[tuple[int, int]]) -> set[int]:
    return {number for first, last in spans for number in range(first, last + 1)}


@pytest.mark.parametrize("server", sorted(RECORDED))
def test_every_recording_is_repeated_or_left_out_for_a_reason(server):
    assert _within(RECORDED[server]) - REPEATED[server] - _within(LEFT_OUT[server]) == set()


@pytest.mark.parametrize("server", sorted(RECORDED))
def test_nothing_is_called_left_out_that_is_repeated_wholly(server):
    assert [span for span in LEFT_OUT[server] if _within([span]) <= REPEATED[server]] == []


@pytest.mark.parametrize("server", sorted(RECORDED))
def test_no_file_lies_there_that_nothing_reads(server):
    """A file that no case and no story repeats is read by a state of others, so its number stands in the table."""
    files = {
        int(path.name.partition("-")[0]) for path in (Path(__file__).parent / server / "recordings").glob("*.json")
    }
    assert files - REPEATED[server] - _within(LEFT_OUT[server]) == set()
