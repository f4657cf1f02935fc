"""How amounts, hours, dates and ages are written on pages, in the reader's language. Pure text, rounded by money."""

from __future__ import annotations

import datetime as dt
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing_console import clock
from billing_console.money import exact, exponent, quantize, round_to

NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"


def number(value: Decimal, decimals: int, *, is_signed: bool = False, is_grouped: bool = True) -> str:
    """`value` with exactly `decimals` decimals, which it must already have: this never rounds money by itself.

    Minus is U+2212; `is_signed` writes + before a positive number.
    """
    text: str = formats.number_format(abs(value), decimal_pos=decimals, use_l10n=True, force_grouping=is_grouped)
    if value < 0:
        return MINUS + text
    return "+" + text if is_signed and value > 0 else text


def money(amount: Decimal | None, currency: str, *, is_signed: bool = False) -> str:
    """`amount` rounded half up to the decimals of `currency` (ISO code), e.g. "14,212.50 EUR"; a dash for None."""
    if amount is None:
        return NOTHING
    figure = number(quantize(amount, currency), exponent(currency), is_signed=is_signed)
    return f"{figure}{NO_BREAK_SPACE}{currency}" if currency else figure


def exact_money(amount: Decimal, currency: str) -> str:
    """`amount` as `money` writes it, or with all its decimals where it is finer than `currency`: none is rounded."""
    finer = exact(amount, currency)
    if finer == quantize(amount, currency):
        return money(amount, currency)
    return f"{number(finer, -int(finer.as_tuple().exponent))}{NO_BREAK_SPACE}{currency}"


def amount(value: Decimal | None, currency: str, *, is_signed: bool = False) -> str:
    """`value` as `money` writes it, without the code: for a column whose header carries the currency."""
    if value is None:
        return NOTHING
    return number(quantize(value, currency), exponent(currency), is_signed=is_signed)


def rate(value: Decimal | None, currency: str) -> str:
    """An amount per hour with the currency's decimals, or all it has when it is finer (87.125 EUR)."""
    if value is None:
        return NOTHING
    decimals = exponent(currency)
    if value != quantize(value, currency):
        decimals = -int(value.normalize().as_tuple().exponent)
    figure = number(value, decimals)
    return f"{figure}{NO_BREAK_SPACE}{currency}" if currency else figure


def hours(value: Decimal | None, *, is_signed: bool = False) -> str:
    """Hours with two decimals and the unit, e.g. "2.25 h"; raw hours that are finer keep their decimals."""
    if value is None:
        return NOTHING
    return f"{_hour_figure(value, is_signed=is_signed)}{NO_BREAK_SPACE}h"


def raw_to_billed(raw: Decimal | None, billed: Decimal | None) -> SafeString:
    """HTML of one cell: "2.10 → 2.25 h" and below "+0.15 h" or "exact"; only what is known of the two."""
    if billed is None:
        return format_html('<span class="bc-num">{}</span>', hours(raw))
    if raw is None or raw == billed:
        below = _("exact") if raw is not None else ""
        return format_html(
            '<span class="bc-num"><strong>{}</strong><span class="bc-sub">{}</span></span>', hours(billed), below
        )
    return format_html(
        '<span class="bc-num">{} → <strong>{}</strong><span class="bc-sub">{}</span></span>',
        _hour_figure(raw),
        hours(billed),
        hours(billed - raw, is_signed=True),
    )


def raw_to_written(raw: Decimal, first: Decimal, written: Decimal) -> SafeString:
    """The same where a person wrote other hours: "2.10 → 2.25 1.50 h", the first figure struck through."""
    return format_html(
        '<span class="bc-num">{} → <span class="bc-struck">{}</span> <strong>{}</strong>'
        '<span class="bc-sub">{}</span></span>',
        _hour_figure(raw),
        _hour_figure(first),
        hours(written),
        hours(written - raw, is_signed=True),
    )


def cell(text: str, below: str = "") -> SafeString:
    """HTML of a cell with a number in a list: its column is aligned right; `below` is its second, smaller line."""
    if below:
        return format_html('<span class="bc-num">{}<span class="bc-sub">{}</span></span>', text, below)
    return format_html('<span class="bc-num">{}</span>', text)


def percent(value: Decimal | None, *, is_signed: bool = False, decimals: int = 1) -> str:
    """`value` is already in per cent; rounded half up to `decimals`, e.g. "+0.8 %"."""
    if value is None:
        return NOTHING
    rounded = round_to(value, Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    return f"{number(rounded, decimals, is_signed=is_signed)}{NO_BREAK_SPACE}%"


def day(value: dt.date | None) -> str:
    """A date in lists, e.g. "12 Jan 2026"; a dash for None."""
    return formats.date_format(value, "j M Y") if value else NOTHING


def period(start: dt.date, end: dt.date) -> str:
    """A half-open period in words: first day to the day before `end`, e.g. "1–31 Dec 2025"."""
    last = end - dt.timedelta(days=1)
    if start == last:
        return day(start)
    if (start.year, start.month) == (last.year, last.month):
        return f"{start.day}–{day(last)}"
    first = formats.date_format(start, "j M") if start.year == last.year else day(start)
    return f"{first} – {day(last)}"


def period_name(start: dt.date, end: dt.date) -> str:
    """What a half-open period is called: "December 2025", "week 41 of 2025" (ISO), else its days as `period` has them.

    No two periods of one frequency have the same name.
    """
    if start.day == 1 and end == (start + dt.timedelta(days=31)).replace(day=1):
        return formats.date_format(start, "F Y")
    if start.isoweekday() == 1 and end - start == dt.timedelta(days=7):
        year, week, _weekday = start.isocalendar()
        return _("week %(week)d of %(year)d") % {"week": week, "year": year}
    return period(start, end)


def moment(instant: dt.datetime | None, zone: str, *, has_zone: bool = False) -> str:
    """An aware instant in the IANA zone `zone`, e.g. "12 Jan 2026 09:12"; `has_zone` adds the zone's name."""
    if instant is None:
        return NOTHING
    text = formats.date_format(instant.astimezone(ZoneInfo(zone)), "j M Y H:i")
    return f"{text} {zone}" if has_zone else text


def time_of_day(instant: dt.datetime | None, zone: str) -> str:
    """Only the time when `instant` is of today (real time) in `zone`, "09:12", else date and time; "never" for None."""
    if instant is None:
        return _("never")
    local = instant.astimezone(ZoneInfo(zone))
    if local.date() == clock.local_date(timezone.now(), zone):
        return local.strftime("%H:%M")
    return moment(instant, zone)


def days_since(since: dt.date | dt.datetime, zone: str = "UTC") -> int:
    """Whole days in `zone` from `since` until today; never negative.

    A date (work date, due date) is measured by the business clock, an instant (when a row moved) by real time.
    """
    if isinstance(since, dt.datetime):
        return max((clock.local_date(timezone.now(), zone) - clock.local_date(since, zone)).days, 0)
    return max((clock.today(zone) - since).days, 0)


def age(since: dt.date | dt.datetime | None, zone: str = "UTC") -> str:
    """How long ago in whole days, as `days_since` counts: "today", "1 day", "6 days"; a dash for None."""
    if since is None:
        return NOTHING
    days = days_since(since, zone)
    if days == 0:
        return _("today")
    return ngettext("%(count)d day", "%(count)d days", days) % {"count": days}


def _hour_figure(value: Decimal, *, is_signed: bool = False) -> str:
    decimals = max(2, -int(value.normalize().as_tuple().exponent)) if value else 2
    return number(value, decimals, is_signed=is_signed)
