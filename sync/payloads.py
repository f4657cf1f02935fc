"""What a webhook delivery of Taiga says, read without trusting a byte of it.

A delivery only says that item N changed; what is true is read from the API (design: never bill on the diff).
Pure: no database, no settings, no framework.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NoReturn

from django.utils.translation import gettext_lazy

from billing_console.errors import ConsoleError

WORK_ITEM: Final = "work_item"
TEST: Final = "test"
IRRELEVANT: Final = "irrelevant"
PROJECT_EVENT: Final = "project_event"

KINDS: Final[dict[str, str]] = {"task": "T", "userstory": "U", "issue": "I"}

MAX_DEPTH: Final = 100
_MAX_ID: Final = 2**63 - 1
_TYPE_LENGTH, _ACTION_LENGTH, NAME_LENGTH, _SUBJECT_LENGTH = 40, 20, 255, 500


class MalformedPayload(ConsoleError):
    """The body is not JSON, no object, nested absurdly deep, or holds a number of absurd length."""

    default_sentence = gettext_lazy("The body of the delivery is no JSON object. Check what sends to this address.")


@dataclass(frozen=True)
class Delivery:
    """One delivery, classified. Every text fits its column and can be stored; every id fits 64 bits.

    `verdict` is "work_item" (`kind` T, U or I and `item_id` are set), "test", "project_event" (no project id
    is in it) or "irrelevant". `date` is the time of the event (UTC), the same on every resend. `ref`,
    `subject`, project and person are None or "" where the sender did not say.
    """

    verdict: str
    action: str
    type: str
    by_id: int | None
    by_username: str
    date: datetime | None
    kind: str
    item_id: int | None
    item_ref: int | None
    subject: str
    project_id: int | None
    project_name: str
    fingerprint: str


def read_delivery(raw: bytes) -> Delivery:
    """Read and classify one raw body; raises MalformedPayload for what is no JSON object, and nothing else."""
    body = parse_body(raw)
    action, event_type = storable(body.get("action"), _ACTION_LENGTH), storable(body.get("type"), _TYPE_LENGTH)
    by, data = _object(body.get("by")), _object(body.get("data"))
    project = _object(data.get("project"))
    kind = KINDS.get(event_type, "")
    item_id = _integer(data.get("id")) if kind else None
    if kind and item_id is not None:
        verdict = WORK_ITEM
    elif event_type == "test":
        verdict = TEST
    elif event_type == "project":
        verdict = PROJECT_EVENT
    else:
        verdict, kind = IRRELEVANT, ""
    is_item = verdict == WORK_ITEM
    return Delivery(
        verdict=verdict,
        action=action,
        type=event_type,
        by_id=_integer(by.get("id")),
        by_username=storable(by.get("username"), NAME_LENGTH),
        date=_instant(body.get("date")),
        kind=kind,
        item_id=item_id,
        item_ref=_integer(data.get("ref")) if is_item else None,
        subject=storable(data.get("subject"), _SUBJECT_LENGTH) if is_item else "",
        project_id=_integer(project.get("id")),
        project_name=storable(project.get("name"), NAME_LENGTH),
        fingerprint=fingerprint(body),
    )


def parse_body(raw: bytes) -> dict[str, Any]:
    """Parse a body into an object with exact numbers; raises MalformedPayload."""
    try:
        body = json.loads(raw.decode("utf-8"), parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, InvalidOperation, RecursionError):
        raise MalformedPayload from None
    if not isinstance(body, dict) or _is_deeper_than(body, MAX_DEPTH):
        raise MalformedPayload
    return body


def fingerprint(parsed: object) -> str:
    """Return the sha256 (64 hex digits) of the canonical JSON of a parsed body.

    The order of keys does not count, the spelling of a number does (2.0 is not 2): a delivery resent from
    Taiga's log, whose keys come in another order, has the fingerprint of the first one. Raises
    MalformedPayload for a value nested too deeply to be one of ours, and nothing else.
    """
    try:
        text = _canonical(parsed)
    except RecursionError:
        raise MalformedPayload from None
    except ValueError:
        # Python refuses to write a number of more than 4,300 digits.
        text = _canonical(_with_spelled_integers(parsed))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _canonical(value: object) -> str:
    # The compiled encoder: this runs in the request, for every delivery.
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=_spell_number)


def _spell_number(value: object) -> dict[str, str]:
    # An object that no sender writes: so that 2.0 stays apart from 2 and from "2.0".
    return {"\x00number": str(value)}


def _with_spelled_integers(value: object) -> object:
    if isinstance(value, dict):
        return {key: _with_spelled_integers(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_spelled_integers(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return {"\x00integer": hex(value)}
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _is_deeper_than(value: object, limit: int) -> bool:
    """Return whether containers nest deeper than `limit`; without recursion, so that nothing can break it."""
    level = [value]
    for _ in range(limit + 1):
        inner: list[object] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        if not inner:
            return False
        level = inner
    return any(isinstance(item, (dict, list)) for item in level)


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _integer(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _MAX_ID:
        return None
    return value


def storable(value: object, length: int) -> str:
    """Return text that PostgreSQL can store: no NUL, no lone surrogate, cut to its column."""
    if not isinstance(value, str):
        return ""
    return "".join("\ufffd" if char == "\x00" or "\ud800" <= char <= "\udfff" else char for char in value[:length])


def _instant(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
