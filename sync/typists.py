"""Who typed the hours, where a delivery says so: deliveries are only a hint, the amount never rests on them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final

from sync import attributes
from sync.models import Verdict, WebhookDelivery, WorkItem
from sync.payloads import NAME_LENGTH, MalformedPayload, parse_body, storable

LOOK_BACK: Final = 10


@dataclass(frozen=True)
class Typist:
    """A person's username and name at Taiga, and when (aware, UTC) the value was typed."""

    name: str
    full_name: str
    at: dt.datetime | None


def find_typist(item: WorkItem, attribute: str, value: Any) -> Typist | None:
    """The person whose change set the hours to `value`, by the item's last deliveries; None where none says so."""
    recent = WebhookDelivery.objects.filter(
        item_kind=item.kind, item_taiga_id=item.taiga_id, verdict=Verdict.WORK_ITEM, action="change"
    ).order_by("-id")
    names = {attribute.casefold(), attributes.ALIASES[attributes.HOURS]}
    for raw_body, by_username, event_at in recent.values_list("raw_body", "by_username", "event_at")[:LOOK_BACK]:
        try:
            body = parse_body(bytes(raw_body))
        except MalformedPayload:
            continue  # it was read once, so this is a row that somebody damaged: it names nobody
        if any(typed == value for typed in _typed_values(body, names)):
            return Typist(by_username, _full_name(body), event_at)
    return None


def _full_name(body: dict[str, Any]) -> str:
    by = body.get("by")
    return storable(by.get("full_name"), NAME_LENGTH) if isinstance(by, dict) else ""


def _typed_values(body: dict[str, Any], names: set[str]) -> list[Any]:
    change = body.get("change")
    diff = change.get("diff") if isinstance(change, dict) else None
    changed = diff.get("custom_attributes") if isinstance(diff, dict) else None
    if not isinstance(changed, dict):
        return []
    typed = []
    for row in [*_rows(changed.get("new")), *_rows(changed.get("changed"))]:
        if str(row.get("name")).casefold() not in names:
            continue
        changes = row.get("changes")
        before_and_after = changes.get("value") if isinstance(changes, dict) else None
        if isinstance(before_and_after, list) and len(before_and_after) == 2:
            typed.append(before_and_after[1])
        elif "value" in row:
            typed.append(row["value"])
    return typed


def _rows(value: Any) -> list[dict[str, Any]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
