"""The keys of configuration files: what each is called here, and how its value is read and checked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from django.utils.translation import gettext as _

from mappings import rules
from mappings.config_files import FileReader, Value
from mappings.models import (
    Frequency,
    Grouping,
    InvoiceDate,
    InvoicedWhen,
    MinimumMode,
    Prefer,
    RateLevel,
    Rounding,
    RoundingMode,
    TaxDecision,
)
from mappings.models.rule_sets import is_time_zone

HIGHEST_RATE: Final = Decimal("999999.999")
HIGHEST_ID: Final = 2**63 - 1
HIGHEST_WHOLE: Final = 2**31 - 1

Read = Callable[[FileReader, Value, str], Any]


def _text(longest: int = 255, *, may_be_empty: bool = False) -> Read:
    return lambda reader, value, key: reader.text(value, key, longest=longest, may_be_empty=may_be_empty)


def _number(low: Decimal | int | str, high: Decimal | int | str, decimals: int) -> Read:
    return lambda reader, value, key: reader.number(value, key, low=Decimal(low), high=Decimal(high), decimals=decimals)


def _whole(low: int, high: int) -> Read:
    def read(reader: FileReader, value: Value, key: str) -> int | None:
        number = reader.number(value, key, low=Decimal(low), high=Decimal(high), decimals=0)
        return None if number is None else int(number)

    return read


def _choice(choices: list[str]) -> Read:
    return lambda reader, value, key: reader.choice(value, key, choices)


def _currency(reader: FileReader, value: Value, key: str) -> str | None:
    text = reader.text(value, key, longest=3)
    if text is not None and not (len(text) == 3 and text.isascii() and text.isalpha() and text.isupper()):
        reader.fault(value.place, _("%(key)s must be a currency code like EUR.") % {"key": key})
        return None
    return text


def _zone(reader: FileReader, value: Value, key: str) -> str | None:
    text = reader.text(value, key, longest=64)
    if text is not None and not is_time_zone(text):
        facts = {"key": key, "value": text}
        reader.fault(value.place, _("%(key)s must be a time zone like Europe/Brussels, not “%(value)s”.") % facts)
        return None
    return text


def _terms(reader: FileReader, value: Value, key: str) -> str | None:
    text = reader.text(value, key, longest=24)
    try:
        if text is not None:
            rules.read_terms(text)
    except ValueError as error:
        reader.fault(value.place, str(error))
        return None
    return text


def _flag(reader: FileReader, value: Value, key: str) -> bool | None:
    return reader.flag(value, key)


def _day(reader: FileReader, value: Value, key: str) -> dt.date | None:
    return reader.day(value, key)


def _zone_or_none(reader: FileReader, value: Value, key: str) -> str | None:
    # Empty: the console's own zone, also where the company's rules name one.
    return "" if reader.is_empty(value) else _zone(reader, value, key)


def _day_or_none(reader: FileReader, value: Value, key: str) -> dt.date | str | None:
    return NONE if reader.is_word(value, NONE) else _day(reader, value, key)


def _or_never(read: Read) -> Read:
    return lambda reader, value, key: IS_NEVER if reader.is_word(value, NEVER) else read(reader, value, key)


NONE: Final = "none"
NEVER: Final = "never"
# What the word is read as where it is no name: None would mean that the value could not be read.
IS_NEVER: Final = object()
read_amount = _number("0.001", HIGHEST_RATE, 3)
_read_id = _whole(1, HIGHEST_ID)

# key in the file → (name here, how it is read)
PROJECT_KEYS: Final[dict[str, tuple[str, Read]]] = {
    "taiga_project_id": ("taiga_project_id", _read_id),
    "taiga_project_name": ("taiga_project_name", _text()),
    "invoiceninja_client_id": ("client_id", _text(64)),
    "invoiceninja_project_id": ("ninja_project_id", _text(64)),
    "default_hourly_rate": ("default_rate", read_amount),
    "currency": ("currency", _currency),
    "taiga_slug": ("taiga_slug", _text()),
    "is_active": ("is_active", _flag),
    "active_from": ("active_from", _day),
    "active_to": ("active_to", _day),
}
RATE_KEYS: Final[dict[str, tuple[str, Read]]] = {
    "level": ("level", _choice(list(RateLevel.values))),
    "amount": ("amount", read_amount),
    "currency": ("currency", _currency),
    "person": ("person", _text()),
    "taiga_user_id": ("taiga_user_id", _read_id),
    "role": ("role", _text(100)),
    "project": ("project", _read_id),
    "client": ("client", _text(64)),
    "valid_from": ("valid_from", _day),
    "valid_to": ("valid_to", _day),
}
RULE_KEYS: Final[dict[str, tuple[str, Read]]] = {
    "frequency": ("frequency", _choice(list(Frequency.values))),
    "generation_day": ("generation_day", _whole(1, 31)),
    "min_billable_hours": ("min_billable_hours", _number(0, "9999.99", 2)),
    "rounding": ("rounding", _choice(list(Rounding.values))),
    "auto_send": ("auto_send", _flag),
    "payment_terms": ("payment_terms", _terms),
    "name": ("name", _text(100)),
    "generation_weekday": ("generation_weekday", _whole(1, 7)),
    "anchor_date": ("anchor_date", _day_or_none),
    "min_mode": ("min_mode", _choice(list(MinimumMode.values))),
    "rounding_mode": ("rounding_mode", _choice(list(RoundingMode.values))),
    "prefer": ("prefer", _choice(list(Prefer.values))),
    "billing_timezone": ("billing_timezone", _zone_or_none),
    "grouping": ("grouping", _choice(list(Grouping.values))),
    "tax_decision": ("tax_decision", _choice([TaxDecision.UNDECIDED.value])),
    "tax_name": ("tax_name", _text(50)),
    "tax_rate": ("tax_rate", _number(0, 100, 3)),
    "no_tax_text": ("no_tax_text", _text()),
    "footer": ("footer", _text(10_000, may_be_empty=True)),
    "product_key": ("product_key", _text(100)),
    "taiga_invoiced_when": ("taiga_invoiced_when", _choice(list(InvoicedWhen.values))),
}
COMPANY_KEYS: Final[dict[str, tuple[str, Read]]] = {
    "currency": ("currency", _currency),
    "attribute_billable": ("attribute_billable", _text(64)),
    "attribute_hours": ("attribute_hours", _text(64)),
    "attribute_rate": ("attribute_rate", _text(64)),
    "attribute_client": ("attribute_client", _text(64)),
    "attribute_status": ("attribute_status", _text(64)),
    "attribute_estimate": ("attribute_estimate", _text(64)),
    "needs_four_eyes": ("needs_four_eyes", _flag),
    "invoice_date": ("invoice_date", _choice(list(InvoiceDate.values))),
    "max_item_hours": ("max_item_hours", _number(0, "9999.99", 2)),
    "brake_rate_percent": ("brake_rate_percent", _or_never(_whole(0, HIGHEST_WHOLE))),
    "brake_month_factor": ("brake_month_factor", _or_never(_number(1, "9999.99", 2))),
    "brake_uplift_percent": ("brake_uplift_percent", _or_never(_whole(0, HIGHEST_WHOLE))),
    "brake_uplift_hours": ("brake_uplift_hours", _number(0, "9999.99", 2)),
    "brake_late_days": ("brake_late_days", _or_never(_whole(0, HIGHEST_WHOLE))),
    "brake_client": ("brake_client", _flag),
    "week_hours": ("week_hours", _number(1, 168, 2)),
}
