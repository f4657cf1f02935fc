"""The formats and parts of billing_console for templates: `{% load console %}`."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from django import template
from django.conf import settings
from django.utils.safestring import SafeString

from billing_console import badges, formats, pages

register = template.Library()


@register.filter
def may_open(user: Any, url: str) -> bool:
    """`{% if line.url and user|may_open:line.url %}`: no link to a page that would answer 403."""
    return pages.may_open(user, url)


@register.simple_tag
def badge(state: str, label: str | None = None) -> SafeString:
    """`{% badge invoice.state %}`, `{% badge "late" "closed in November" %}`."""
    return badges.badge(state, label or None)


@register.simple_tag
def shape(name: str) -> SafeString:
    """`{% shape "triangle" %}`: the shape alone, hidden from screen readers."""
    return badges.shape(name)


@register.simple_tag
def money(amount: Decimal | None, currency: str, is_signed: bool = False) -> str:
    """`{% money invoice.net invoice.currency %}` → 14,212.50 EUR."""
    return formats.money(amount, currency, is_signed=is_signed)


@register.simple_tag
def amount(value: Decimal | None, currency: str, is_signed: bool = False) -> str:
    """`{% amount line.amount invoice.currency %}` → 14,212.50, for a column of one currency."""
    return formats.amount(value, currency, is_signed=is_signed)


@register.simple_tag
def rate(value: Decimal | None, currency: str) -> str:
    """`{% rate line.rate invoice.currency %}` → 95.00 EUR."""
    return formats.rate(value, currency)


@register.simple_tag
def raw_to_billed(raw: Decimal | None, billed: Decimal | None) -> SafeString:
    """`{% raw_to_billed line.raw_hours line.billed_hours %}` → 2.10 → 2.25 h, +0.15 h below."""
    return formats.raw_to_billed(raw, billed)


@register.simple_tag
def raw_to_written(raw: Decimal, first: Decimal, written: Decimal) -> SafeString:
    """`{% raw_to_written line.raw_hours line.original_hours line.billed_hours %}` → 2.10 → 2.25 (struck) 1.50 h."""
    return formats.raw_to_written(raw, first, written)


@register.simple_tag
def period(start: dt.date, end: dt.date) -> str:
    """`{% period run.period_start run.period_end %}` (end exclusive) → 1–31 Dec 2025."""
    return formats.period(start, end)


@register.simple_tag
def moment(instant: dt.datetime | None, zone: str = "", has_zone: bool = False) -> str:
    """`{% moment invoice.sent_at %}` → 12 Jan 2026 09:12, in `zone` or the console's BILLING_TIMEZONE."""
    return formats.moment(instant, zone or settings.BILLING_TIMEZONE, has_zone=has_zone)


@register.filter
def hours(value: Decimal | None) -> str:
    """`{{ line.billed_hours|hours }}` → 2.25 h."""
    return formats.hours(value)


@register.filter
def quantity(value: Decimal | None) -> str:
    """`{{ line.billed_hours|quantity }}` → 3.00, of a line that is no hours."""
    return formats.NOTHING if value is None else formats.number(value, 2)


@register.filter
def signed_hours(value: Decimal | None) -> str:
    """`{{ uplift|signed_hours }}` → +0.15 h."""
    return formats.hours(value, is_signed=True)


@register.filter
def signed_percent(value: Decimal | None) -> str:
    """`{{ change|signed_percent }}` → +0.8 %."""
    return formats.percent(value, is_signed=True)


@register.filter
def percent(value: Decimal | None) -> str:
    """`{{ uplift|percent }}` → 0.8 %."""
    return formats.percent(value)


@register.filter
def day(value: dt.date | None) -> str:
    """`{{ invoice.due_date|day }}` → 12 Jan 2026."""
    return formats.day(value)


@register.filter
def age(since: dt.date | dt.datetime | None) -> str:
    """`{{ entry.state_since|age }}` → 6 days, in BILLING_TIMEZONE."""
    return formats.age(since, settings.BILLING_TIMEZONE)


@register.filter
def plain(value: Any) -> str:
    """A number or id without separators, for attributes, ids and refs."""
    return str(value)
