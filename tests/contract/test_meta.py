"""Every method of our clients has exchanges that were recorded on a running server."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest

from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.taiga import TaigaClient
from tests.contract.invoice_ninja.cases import CASES as NINJA_CASES
from tests.contract.taiga.cases import CASES as TAIGA_CASES

# They call nothing.
WITHOUT_A_CALL = {"close", "slot"}


def methods_of(client: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(client, inspect.isfunction) if not name.startswith("_")}


@pytest.mark.parametrize(("client", "cases"), [(TaigaClient, TAIGA_CASES), (InvoiceNinjaClient, NINJA_CASES)])
def test_every_method_has_a_recorded_case_and_every_case_a_method(client, cases):
    assert methods_of(client) - WITHOUT_A_CALL == set(cases)


ALL = {
    **{f"taiga.{name}": cases for name, cases in TAIGA_CASES.items()},
    **{f"invoice_ninja.{name}": cases for name, cases in NINJA_CASES.items()},
}


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_success_of_every_method_was_recorded(name):
    folder = Path(__file__).parent / name.partition(".")[0] / "recordings"
    recordings = [json.loads((folder / f"{case.recording}.json").read_text(encoding="utf-8")) for case in ALL[name]]
    assert any(200 <= recording["response"]["status"] < 300 for recording in recordings)
