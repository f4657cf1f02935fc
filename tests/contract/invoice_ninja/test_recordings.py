"""The stand-in answers every recorded request as the server did."""

from __future__ import annotations

import pytest

from sandbox.clock import Clock
from sandbox.memory import Memory
from sandbox.ninja.app import InvoiceNinja
from sandbox.ninja.data import currencies
from tests.contract.invoice_ninja.cases import CASES, OTHER_CASES, Case
from tests.contract.invoice_ninja.comparing import differences
from tests.contract.invoice_ninja.recording import recordings
from tests.contract.invoice_ninja.sending import send

ALL = [
    pytest.param(case, id=f"{method}-{case.recording}")
    for method, cases in (*CASES.items(), *OTHER_CASES.items())
    for case in cases
]


@pytest.mark.parametrize("case", ALL)
def test_the_stand_in_answers_as_recorded(case: Case) -> None:
    ninja = InvoiceNinja(Memory("ninja"), Clock())
    case.arrange(ninja)

    response = send(ninja, recordings()[case.number])

    assert ninja.broken == ""
    assert differences(recordings()[case.number], response, case.ignore) == []


def test_currencies_have_the_ids_and_decimals_of_the_newer_server() -> None:
    shown = {row["id"]: row for row in recordings()[775].answer["currencies"]}

    for currency_id, ours in currencies().items():
        assert {name: ours[name] for name in shown[currency_id]} == shown[currency_id]
