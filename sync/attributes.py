"""The five billing attributes of a Taiga item: found by name, read strictly (billing-rules: Raw hours, Billable, Rate).

A sixth, the estimate, is read beside them; it is reported, never billed, and holds nothing.

Taiga validates nothing, so a "number" may hold any JSON. What cannot be read raises Unreadable: it is never taken
as zero. Pure: no database, no network, no settings. Values are as parsed from JSON, fractions as Decimal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from sync.clients.wire import WireError, encode_json

BILLABLE, HOURS, RATE, CLIENT, STATUS = "billable", "hours", "rate", "client", "status"
# Beside the five: the item was billable in the project that it was moved from.
LEFT_BEHIND: Final = "left_behind"
FIELDS: Final = (BILLABLE, HOURS, RATE, CLIENT, STATUS)
ESTIMATE: Final = "estimate"
READ: Final = (*FIELDS, ESTIMATE)

# The second spelling of the guide, for projects that were set up with it.
ALIASES: Final = {
    BILLABLE: "billable",
    HOURS: "duration_hours",
    RATE: "hourly_rate",
    CLIENT: "client_invoice_id",
    STATUS: "invoice_status",
    ESTIMATE: "estimate_hours",
}

NOT_BILLABLE, PENDING_INVOICE, INVOICED = "not_billable", "pending_invoice", "invoiced"
_STATUS_WORDS: Final = {
    "not billable": NOT_BILLABLE,
    "non-billable": NOT_BILLABLE,
    "pending invoice": PENDING_INVOICE,
    "pending": PENDING_INVOICE,
    "invoiced": INVOICED,
}
_YES: Final = frozenset({"true", "yes", "1", "on", "oui", "ja"})
_NO: Final = frozenset({"false", "no", "0", "off", "non", "nee", "nein"})

MAX_HOURS: Final = Decimal(9999)
MAX_RATE: Final = Decimal(999_999)
QUOTE_LENGTH: Final = 80
_MICRO: Final = Decimal("0.000001")
_DECIMAL_HOURS: Final = re.compile(r"(\d{1,4}(?:[.,]\d{1,4})?)h?", re.ASCII)
_CLOCK_HOURS: Final = re.compile(r"(\d{1,3})[h:]([0-5]\d)", re.ASCII)
_PLAIN_RATE: Final = re.compile(r"\d{1,6}(?:[.,]\d{1,4})?", re.ASCII)


class Unreadable(ValueError):
    """A value that means nothing we may guess at; the caller quotes it."""


@dataclass(frozen=True)
class FoundAttributes:
    """`raw`: the five values by our own names (None where absent), and the estimate where there is one.

    `status_attribute_id` is Taiga's id, None without."""

    raw: dict[str, Any]
    status_attribute_id: int | None


def find_attributes(
    names_by_id: Mapping[str, str], values: Mapping[str, Any], configured: Mapping[str, str]
) -> FoundAttributes:
    """Pick the six out of an item's `values` (by attribute id). Names count in any case.

    `configured` holds the name of each of READ; where a project has none of that name, the guide's second
    spelling counts. Of two attributes with one name the smaller id wins.
    """
    ids_by_name: dict[str, str] = {}
    for attribute_id in sorted(names_by_id, key=int, reverse=True):
        ids_by_name[fold(names_by_id[attribute_id])] = attribute_id
    raw: dict[str, Any] = {}
    chosen: dict[str, str | None] = {}
    for field in READ:
        chosen[field] = ids_by_name.get(fold(configured[field])) or ids_by_name.get(ALIASES[field])
        raw[field] = values.get(chosen[field] or "")
    if raw[ESTIMATE] is None:
        del raw[ESTIMATE]  # most projects have none
    status_id = chosen[STATUS]
    return FoundAttributes(raw, int(status_id) if status_id else None)


def parse_hours(raw: Any) -> Decimal:
    """Hours with at most 6 decimals.

    Accepts JSON numbers from 0 to 9,999 and the texts "2.5", "2,5", "2.5h", "4h30", "4:30". Raises Unreadable,
    also where nothing is typed: nothing is not zero.
    """
    if isinstance(raw, str):
        hours = _hours_of_text(raw.strip())
    elif isinstance(raw, (int, Decimal)) and not isinstance(raw, bool):
        hours = Decimal(raw)
    else:
        raise Unreadable
    if not hours.is_finite() or not 0 <= hours <= MAX_HOURS:
        raise Unreadable
    return hours.quantize(_MICRO, rounding=ROUND_HALF_UP)


def _hours_of_text(text: str) -> Decimal:
    if found := _DECIMAL_HOURS.fullmatch(text):
        return Decimal(found[1].replace(",", "."))
    if found := _CLOCK_HOURS.fullmatch(text):
        return Decimal(found[1]) + Decimal(found[2]) / 60
    raise Unreadable


def parse_billable(raw: Any) -> bool:
    """Whether the box is ticked; absent, null and empty text are not billable.

    Accepts booleans, 1 and 0, and yes/true/1/on/oui/ja or their opposites in any case. Raises Unreadable.
    """
    if is_blank(raw):
        return False
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, (int, Decimal)) and raw in (0, 1):
        return raw == 1
    if isinstance(raw, str):
        word = raw.strip().casefold()
        if word in _YES:
            return True
        if word in _NO:
            return False
    raise Unreadable


def is_ticked(raw: Any) -> bool:
    """Whether the box is surely ticked; what cannot be read is not."""
    try:
        return parse_billable(raw)
    except Unreadable:
        return False


def parse_rate(raw: Any) -> Decimal | None:
    """The item's own rate per hour (≥ 0), None where none is typed; exactly 0 means free of charge.

    Accepts JSON numbers and plain decimal texts up to 999,999. Raises Unreadable, for a negative one too.
    """
    if is_blank(raw):
        return None
    if isinstance(raw, str):
        if not _PLAIN_RATE.fullmatch(raw.strip()):
            raise Unreadable
        return Decimal(raw.strip().replace(",", "."))
    if isinstance(raw, bool) or not isinstance(raw, (int, Decimal)):
        raise Unreadable
    rate = Decimal(raw)
    if not rate.is_finite() or not 0 <= rate <= MAX_RATE:
        raise Unreadable
    return rate


def parse_estimate(raw: Any) -> Decimal | None:
    """The estimated hours, read like hours; None where nothing is typed or nobody can read it: it holds nothing."""
    try:
        return parse_hours(raw)
    except Unreadable:
        return None


def parse_status(raw: Any) -> str:
    """not_billable, pending_invoice, invoiced, or "" for nothing and for any other text."""
    return _STATUS_WORDS.get(raw.strip().casefold(), "") if isinstance(raw, str) else ""


def parse_client(raw: Any) -> str:
    """The client id that somebody typed, trimmed; "" for none.

    What is no id (a list, true) is returned as JSON: no client is called so, and it is never taken as none.
    """
    if is_blank(raw):
        return ""
    if isinstance(raw, (int, Decimal)) and not isinstance(raw, bool):
        return str(raw)
    return raw.strip() if isinstance(raw, str) else quote(raw)


def is_blank(raw: Any) -> bool:
    """Whether nothing is typed: absent, null or empty text."""
    return raw is None or (isinstance(raw, str) and not raw.strip())


def quote(raw: Any) -> str:
    """The value as JSON, as it is shown to a person; cut after 80 characters."""
    try:
        text = encode_json(raw) if not isinstance(raw, str) else f'"{raw}"'
    except WireError:
        text = str(raw)
    return text if len(text) <= QUOTE_LENGTH else text[: QUOTE_LENGTH - 1] + "…"


def fold(name: str) -> str:
    """An attribute's name as it counts: in any case, with single spaces."""
    return " ".join(name.split()).casefold()
