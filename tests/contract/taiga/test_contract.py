"""The stand-in Taiga answers every recorded request as the real one did."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.taiga.case import Case
from tests.contract.taiga.cases import CASES
from tests.contract.taiga.compare import differences, header_differences
from tests.contract.taiga.lab import Lab, read_recording
from tests.contract.taiga.people_cases import PEOPLE_CASES


@pytest.fixture(scope="module")
def the_lab() -> Iterator[Lab]:
    lab = Lab()
    yield lab
    lab.stop()


@pytest.fixture
def lab(the_lab: Lab) -> Lab:
    the_lab.clear()
    return the_lab


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(c, id=f"{name}-{c.recording}")
        for name, cases in [*CASES.items(), *PEOPLE_CASES.items()]
        for c in cases
    ],
)
def test_answers_as_recorded(lab: Lab, case: Case) -> None:
    lab.app.mode = case.mode
    recorded = read_recording(case.recording)
    changes = case.arrange(lab) or {}
    answer = lab.send(recorded, changes)
    expected = recorded["response"]
    assert answer.status_code == expected["status"], (answer.text[:500], lab.app.broken)
    is_json = (expected["headers"].get("Content-Type") or "").startswith("application/json")
    was_json = is_json or isinstance(expected["body"], dict)
    body = answer.json() if was_json else answer.text
    found = header_differences(expected["headers"], answer.headers)
    found += differences(expected["body"], body, case.loose)
    assert not found, "\n".join(found[:40])
    assert lab.app.drain()
    assert len(lab.receiver.received) == len(recorded["webhook_deliveries"])
    if case.check is not None:
        case.check(lab)
