"""What is there already is recognised by what it is, adopted, and its faults are said in a sentence each."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from sync import attributes, provision_plan
from sync.clients.taiga_parse import parse_webhook_log
from sync.clients.taiga_rows import CustomAttribute, TaigaId, Webhook
from sync.payloads import fingerprint, read_delivery
from sync.provision_plan import Door, find_attribute, find_hook
from sync.wanted import WANTED, description_of

NAMES = {"billable": "Billable", "hours": "Duration (Hours)", "rate": "Hourly Rate", "status": "Invoice Status"}
OPTIONS = ("Not Billable", "Pending Invoice", "Invoiced")
DOOR = Door("https://billing.example/webhooks/taiga/u-1", "https://billing.example/webhooks/taiga", "everyone's")
LONG = "a-key-that-nobody-guesses"


def attribute(number: int, name: str, type: str = "checkbox", options: tuple[str, ...] = ()) -> CustomAttribute:
    return CustomAttribute("T", TaigaId(number), TaigaId(1), name, type, "", number, options, {})


def hook(number: int, url: str, key: str = LONG, name: str = "Hook") -> Webhook:
    return Webhook(TaigaId(number), TaigaId(1), name, url, key, {})


def test_the_five_are_those_of_the_guide() -> None:
    wanted = WANTED
    assert tuple(wanted) == attributes.FIELDS
    assert [each.type for each in wanted.values()] == ["checkbox", "number", "number", "text", "dropdown"]
    assert wanted["status"].options == OPTIONS
    assert [each.options for each in wanted.values()][:4] == [None] * 4
    assert description_of("billable", "T") == "Mark if this task should be invoiced"
    assert description_of("hours", "U") == "Time spent on this user story in hours"
    assert description_of("rate", "I") == "Billing rate for this issue (overrides default)"


@pytest.mark.parametrize(
    ("field", "there", "number", "words"),
    [
        ("billable", [], None, []),
        ("billable", [attribute(1, "Priority")], None, []),
        ("billable", [attribute(3, "Billable")], 3, []),
        ("billable", [attribute(3, " billable ")], 3, []),
        ("billable", [attribute(3, "Billable", "text")], 3, ["is of type text, not checkbox"]),
        ("hours", [attribute(3, "Duration (Hours)", "number")], 3, []),
        ("hours", [attribute(3, "duration_hours", "number")], 3, []),
        ("hours", [attribute(3, "Duration (Hours)", "text")], 3, []),  # for people who type 4h30
        ("hours", [attribute(3, "Duration (Hours)", "date")], 3, ["is of type date, not number"]),
        ("rate", [attribute(3, "hourly_rate", "dropdown")], 3, ["is of type dropdown, not number"]),
        ("status", [attribute(3, "Invoice Status", "dropdown", OPTIONS)], 3, []),
        ("status", [attribute(3, "Invoice Status", "dropdown", (*OPTIONS, "Later"))], 3, []),
        ("status", [attribute(3, "Invoice Status", "dropdown", OPTIONS[:2])], 3, ['has no option "Invoiced"']),
        (
            "status",
            [attribute(3, "invoice_status", "dropdown", ("pending", "invoiced", "non-billable"))],
            3,
            ['has no option "Pending Invoice", "Invoiced"'],
        ),
        ("status", [attribute(3, "Invoice Status", "text")], 3, []),
        ("status", [attribute(3, "Invoice Status", "date")], 3, ["is of type date, not dropdown"]),
        (
            "hours",
            [attribute(2, "duration_hours", "number"), attribute(3, "Duration (Hours)", "number")],
            3,
            ['"duration_hours" (attribute 2) is a second one: only "Duration (Hours)" is read'],
        ),
        (
            "billable",
            [attribute(5, "Billable"), attribute(4, "billable")],
            4,
            ['"Billable" (attribute 5) is a second one: only "billable" is read'],
        ),
    ],
)
def test_an_attribute_is_known_by_its_name(
    field: str, there: list[CustomAttribute], number: int | None, words: list[str]
) -> None:
    found = find_attribute(field, NAMES[field], there)

    assert (found.id if found else None) == number
    wrong = found.wrong if found else ()
    assert len(wrong) == len(words)
    assert all(part in sentence for part, sentence in zip(words, wrong, strict=True))


@pytest.mark.parametrize("field", attributes.FIELDS)
def test_what_is_found_is_what_is_read(field: str) -> None:
    """The one place that bills and the one that connects agree on which of three is meant."""
    names = {name: name.title() for name in attributes.READ}
    rows = [attribute(9, names[field].upper()), attribute(4, attributes.ALIASES[field]), attribute(7, names[field])]

    found = find_attribute(field, names[field], rows)

    read = attributes.find_attributes({str(row.id): row.name for row in rows}, {"4": 4, "7": 7, "9": 9}, names)
    assert found is not None
    assert read.raw[field] == found.id


OWN, SHARED = hook(1, DOOR.own), hook(2, DOOR.shared, DOOR.shared_key)


@pytest.mark.parametrize(
    ("there", "number", "is_own", "words"),
    [
        ([], None, None, []),
        ([hook(5, "https://chat.example/taiga")], None, None, []),
        ([OWN], 1, True, []),
        ([hook(1, DOOR.own.replace("billing", "BILLING"))], 1, True, []),
        ([hook(1, DOOR.own.replace(".example", ".example:443"))], 1, True, []),
        ([hook(1, DOOR.own, "secret")], 1, True, ["is short and easily guessed"]),
        ([SHARED], 2, False, ["is signed with WEBHOOK_SECRET"]),
        ([hook(2, DOOR.shared)], None, None, []),
        ([hook(2, DOOR.own + "/")], None, None, []),
        ([hook(2, DOOR.own.replace("https", "http"))], None, None, []),
        ([OWN, hook(5, "https://chat.example/taiga")], 1, True, []),
        ([SHARED, OWN], 1, True, ["tells the same a second time"]),
        ([OWN, hook(3, DOOR.own)], 1, True, ["(3) tells the same a second time"]),
        ([hook(3, DOOR.own), OWN], 1, True, ["(3) tells the same a second time"]),
        ([OWN, hook(3, DOOR.shared)], 1, True, ["is signed with another key than WEBHOOK_SECRET"]),
        ([OWN, hook(3, DOOR.own.replace("https", "http"))], 1, True, ["is not https: Taiga follows no redirect"]),
        ([OWN, hook(3, DOOR.own + "/")], 1, True, ["is not of this project"]),
        ([OWN, hook(3, DOOR.shared + "/u-2")], 1, True, ["taiga/u-2, which is not of this project"]),
        (
            [OWN, hook(3, "https://me:pw@old.example/webhooks/taiga")],
            1,
            True,
            ["sends to https://old.example/webhooks/taiga, another address"],
        ),
        ([OWN, hook(3, "https://billing.example:x/webhooks/taiga")], 1, True, ["another address"]),
    ],
)
def test_a_webhook_is_known_by_its_address(
    there: list[Webhook], number: int | None, is_own: bool | None, words: list[str]
) -> None:
    found = find_hook(DOOR, there)

    assert ((found.id, found.is_own) if found else (None, None)) == (number, is_own)
    wrong = found.wrong if found else ()
    assert len(wrong) == len(words), wrong
    assert all(part in sentence for part, sentence in zip(words, wrong, strict=True))
    assert not any("pw@" in sentence or LONG in sentence for sentence in wrong)


def test_its_key_is_taken_along_and_never_shown() -> None:
    found = find_hook(DOOR, [OWN])
    assert found is not None
    assert found.key == LONG
    assert LONG not in repr(found)


@pytest.mark.parametrize("public", ["https://billing.example", "https://billing.example/"])
def test_the_addresses_have_no_slash_at_the_end(public: str) -> None:
    door: Any = provision_plan.door_of(public, "u-1", "everyone's")
    assert door == DOOR


def test_the_answer_to_a_test_has_the_fingerprint_of_what_was_delivered() -> None:
    """Recorded together on a running Taiga: what it said it sent, and what came in."""
    tests = Path(__file__).parents[1]
    answer = json.loads((tests / "contract/taiga/recordings/093-webhook-test.json").read_text(encoding="utf-8"))
    came_in = json.loads((tests / "data/taiga_deliveries/sample-01-test.json").read_text(encoding="utf-8"))

    log = parse_webhook_log(answer["response"]["body"])

    raw = base64.b64decode(came_in["body_base64"])
    assert read_delivery(raw).verdict == "test"
    assert fingerprint(log.raw["request_data"]) == read_delivery(raw).fingerprint
