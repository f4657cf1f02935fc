"""What is billed and when: hours, periods, run days and payment terms (billing-rules). Pure: no database, no settings.

Hours are Decimal hours, days are local calendar days, and only `Period.bounds` turns days into instants.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, ROUND_UP, Decimal
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from billing_console import money

INCREMENTS: Final[dict[str, Decimal | None]] = {
    "none": None,
    "quarter_hour": Decimal("0.25"),
    "half_hour": Decimal("0.5"),
    "hour": Decimal(1),
}
ROUNDINGS: Final = {"up": ROUND_UP, "nearest": ROUND_HALF_UP, "down": ROUND_DOWN}
ONE_DAY: Final = dt.timedelta(days=1)
TWO_WEEKS: Final = 14


# --- Hours ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HourRules:
    """How hours become billed hours; the words of a rule set. `minimum` in hours, per entry, 0 is none."""

    rounding: str = "quarter_hour"
    mode: str = "up"
    minimum: Decimal = Decimal("0.25")
    minimum_mode: str = "raise"

    @property
    def increment(self) -> Decimal | None:
        """The step in hours, None for no rounding."""
        return INCREMENTS[self.rounding]

    @property
    def has_uneven_minimum(self) -> bool:
        """Whether the minimum is no multiple of the increment; allowed, but usually a slip."""
        return self.increment is not None and self.minimum % self.increment != 0


@dataclass(frozen=True, slots=True)
class BilledHours:
    """`rounded`: hours after rounding; `billed`: hours charged, after the minimum. Both have 2 decimals.

    `is_below_minimum`: hours were worked, yet nothing is billed; the entry is listed, never charged.
    """

    billed: Decimal
    rounded: Decimal
    is_below_minimum: bool


def bill_hours(raw: Decimal, rules: HourRules) -> BilledHours:
    """Round `raw` hours (≥ 0) to the increment, then apply the minimum (billing-rules: Rounding, Minimum).

    Exact multiples stay, 0 stays 0. Without an increment the hours are rounded half up to 2 decimals, the
    precision of a printed line. Raises ValueError for negative hours.
    """
    if raw < 0:
        raise ValueError(f"Hours cannot be negative: {raw}")
    if rules.increment is None:
        rounded = money.quantize_hours(raw)
    else:
        rounded = money.quantize_hours(money.round_to(raw, rules.increment, ROUNDINGS[rules.mode]))
    billed = rounded
    if raw > 0 and rounded < rules.minimum:
        billed = money.quantize_hours(rules.minimum if rules.minimum_mode == "raise" else money.ZERO)
    return BilledHours(billed=billed, rounded=rounded, is_below_minimum=raw > 0 and billed == 0)


def cycle_hours(raw_total: Decimal, billed_before: Decimal, rules: HourRules) -> Decimal:
    """Hours that the next cycle of an item bills: billable(all raw hours now) − what earlier cycles billed.

    0 means nothing changed, negative means hours were taken away (billing-rules: More hours later).
    """
    return bill_hours(raw_total, rules).billed - billed_before


# --- Periods ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """Half-open span of local days: `start` belongs to it, `end` does not."""

    start: dt.date
    end: dt.date

    @property
    def last_day(self) -> dt.date:
        """The last day that belongs to it."""
        return self.end - ONE_DAY

    def contains(self, day: dt.date) -> bool:
        """Whether the local `day` belongs to it."""
        return self.start <= day < self.end

    def bounds(self, zone: str) -> tuple[dt.datetime, dt.datetime]:
        """The instants (aware, UTC) of the local midnights at `start` and `end` in the IANA zone `zone`."""
        return midnight(self.start, zone), midnight(self.end, zone)


def midnight(day: dt.date, zone: str) -> dt.datetime:
    """The instant (aware, UTC) at which the local `day` begins in the IANA zone `zone`."""
    return dt.datetime.combine(day, dt.time.min, tzinfo=ZoneInfo(zone)).astimezone(dt.UTC)


def month(year: int, number: int) -> Period:
    """The calendar month `number` (1–12) of `year`."""
    start = dt.date(year, number, 1)
    return Period(start, _first_of_next_month(start))


def previous_month(day: dt.date) -> Period:
    """The calendar month before the one of `day`."""
    end = day.replace(day=1)
    return Period((end - ONE_DAY).replace(day=1), end)


def iso_week(day: dt.date) -> Period:
    """The week, Monday to Sunday, of `day`."""
    start = day - dt.timedelta(days=day.weekday())
    return Period(start, start + dt.timedelta(days=7))


def previous_week(day: dt.date) -> Period:
    """The week, Monday to Sunday, before the one of `day`."""
    return iso_week(day - dt.timedelta(days=7))


def biweekly(anchor: dt.date, day: dt.date) -> Period:
    """The two-week period of `day`: [anchor + 14k days, +14 days), k may be negative."""
    start = day - dt.timedelta(days=(day - anchor).days % TWO_WEEKS)
    return Period(start, start + dt.timedelta(days=TWO_WEEKS))


def run_day(year: int, number: int, generation_day: int) -> dt.date:
    """Day of the monthly run in month `number` of `year`: the configured day, or the month's last day if shorter."""
    return dt.date(year, number, min(generation_day, calendar.monthrange(year, number)[1]))


def _first_of_next_month(day: dt.date) -> dt.date:
    return (day.replace(day=28) + dt.timedelta(days=4)).replace(day=1)


# --- Schedules --------------------------------------------------------------------------------------------------


class Schedule(Protocol):
    """What `due_runs` reads; a rule set has it, `PlainSchedule` too."""

    @property
    def frequency(self) -> str: ...
    @property
    def generation_day(self) -> int: ...
    @property
    def generation_weekday(self) -> int: ...
    @property
    def anchor_date(self) -> dt.date | None: ...


@dataclass(frozen=True, slots=True)
class PlainSchedule:
    """A schedule without a database: `frequency` monthly | weekly | biweekly, `generation_weekday` ISO (1 Monday)."""

    frequency: str = "monthly"
    generation_day: int = 1
    generation_weekday: int = 1
    anchor_date: dt.date | None = None


def last_run_on_or_before(schedule: Schedule, day: dt.date) -> tuple[dt.date, Period]:
    """The latest run day that is not after `day`, and the period that run bills.

    Monthly bills the calendar month before, weekly the ISO week before, biweekly the two weeks that end that day
    (billing-rules: When a run bills what). Raises ValueError for a biweekly schedule without an anchor.
    """
    match schedule.frequency:
        case "monthly":
            run_on = run_day(day.year, day.month, schedule.generation_day)
            if run_on > day:
                before = previous_month(day).start
                run_on = run_day(before.year, before.month, schedule.generation_day)
            return run_on, previous_month(run_on)
        case "weekly":
            run_on = day - dt.timedelta(days=(day.isoweekday() - schedule.generation_weekday) % 7)
            return run_on, previous_week(run_on)
        case "biweekly":
            if schedule.anchor_date is None:
                raise ValueError("A biweekly schedule needs an anchor date.")
            period = biweekly(schedule.anchor_date, day - dt.timedelta(days=TWO_WEEKS))
            return period.end, period
    raise ValueError(f"Unknown frequency: {schedule.frequency}")


def next_run_after(schedule: Schedule, day: dt.date) -> tuple[dt.date, Period]:
    """The first run day later than `day`, and the period that run bills."""
    match schedule.frequency:
        case "monthly":
            following = _first_of_next_month(day)
            # The run day of this month may still lie ahead; that of the next month always does.
            for first in (day.replace(day=1), following):
                run_on = run_day(first.year, first.month, schedule.generation_day)
                if run_on > day:
                    return run_on, previous_month(run_on)
            raise AssertionError("A month without a run day.")
        case "weekly":
            return last_run_on_or_before(schedule, day + dt.timedelta(days=7))
        case _:
            return last_run_on_or_before(schedule, day + dt.timedelta(days=TWO_WEEKS))


def due_runs(schedule: Schedule, after: dt.date | None, today: dt.date) -> list[tuple[dt.date, Period]]:
    """Every run due later than `after` (day of the last run) and not later than `today`, in order, with its period.

    Missed days are caught up one by one. Without a last run only the latest one due is returned.
    """
    latest = last_run_on_or_before(schedule, today)
    if after is None:
        return [latest]
    due = []
    run = next_run_after(schedule, after)
    while run[0] <= today:
        due.append(run)
        run = next_run_after(schedule, run[0])
    return due


# --- Payment terms ----------------------------------------------------------------------------------------------

_TERMS = re.compile(r"net ?(\d{1,3}) end of month|net(\d{1,3})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Terms:
    """When an invoice is to be paid: so many calendar days after its date, or at the end of the month they end in."""

    days: int
    is_end_of_month: bool = False

    def due_date(self, invoice_date: dt.date) -> dt.date:
        """Local date on which an invoice of `invoice_date` is due (billing-rules: Terms; Figures as at a day)."""
        day = invoice_date + dt.timedelta(days=self.days)
        return _first_of_next_month(day) - ONE_DAY if self.is_end_of_month else day

    @property
    def text(self) -> str:
        """As printed on an invoice. English: the client's language, not that of who approves, would decide."""
        if self.is_end_of_month:
            days = "" if self.days == 0 else f" {self.days} day," if self.days == 1 else f" {self.days} days,"
            return f"Payment due{days} end of month"
        if self.days == 0:
            return "Payment due on receipt"
        return f"Payment due within {self.days} day" if self.days == 1 else f"Payment due within {self.days} days"


def read_terms(text: str) -> Terms:
    """The terms in `text`: `net30`, `due_on_receipt` or `net 30 end of month`. Raises ValueError with a sentence."""
    word = " ".join(text.casefold().split())
    if word == "due_on_receipt":
        return Terms(0)
    if found := _TERMS.fullmatch(word):
        return Terms(int(found[1] or found[2]), is_end_of_month=found[1] is not None)
    raise ValueError(
        _("“%(terms)s” is no payment term. Write it like net30, net 30 end of month, or due_on_receipt.")
        % {"terms": text}
    )
