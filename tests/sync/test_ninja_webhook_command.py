"""The address for Invoice Ninja's webhooks is printed with the events to choose, and it is the one that works."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

pytestmark = pytest.mark.django_db


def printed(*options: str) -> str:
    out = StringIO()
    call_command("ninja_webhook", *options, stdout=out)
    return out.getvalue()


def test_the_first_line_is_the_address_and_it_rings(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.PUBLIC_URL = "https://bill.example/"
    bells: list[str] = []
    monkeypatch.setattr("sync.doorbell.ring", bells.append)

    address = printed().splitlines()[0]

    assert address.startswith("https://bill.example/webhooks/invoice-ninja/")
    assert (
        Client().post(address.removeprefix("https://bill.example"), "{}", content_type="application/json").status_code
        == 204
    )
    assert bells == ["payments"]


def test_it_names_the_events_that_tell_of_money_by_their_numbers() -> None:
    found = json.loads(printed("--json"))

    assert [event["id"] for event in found["events"]] == [4, 31, 12, 8, 60, 9]
    text = printed()
    assert found["address"] in text
    for line in ("   4  payment created", "  60  invoice sent", "   9  invoice deleted"):
        assert line in text.splitlines()


@pytest.mark.parametrize("name", ["PUBLIC_URL", "WEBHOOK_SECRET"])
def test_what_is_missing_is_one_sentence(settings: Any, name: str) -> None:
    setattr(settings, name, "")

    with pytest.raises(CommandError, match=f"^{name} is not set"):
        printed()
