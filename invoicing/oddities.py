"""What is worth a look on drafts before they are approved, counted in the database for lists and pages of lines."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, fields
from decimal import Decimal

from django.db.models import Case, Count, F, Max, Min, Q, QuerySet, Sum, When
from django.db.models.functions import Abs
from django.utils.translation import gettext as _

from billing_console import formats
from billing_console.money import ZERO
from billing_console.states import InvoiceState
from invoicing.calculator import LOOK_AT_UPLIFT, Oddity, find_oddities, uplift_percent
from invoicing.models import Invoice, InvoiceLine
from invoicing.review import obstacles_on_row
from sync import weeks
from sync.weeks import LongWeek

IS_LATE = Q(is_late=True)
IS_UPLIFTED = Q(billed_hours__gt=F("raw_hours") * (1 + LOOK_AT_UPLIFT), entry__isnull=False)
IS_EDITED = ~Q(original_notes="")
IS_ADJUSTED = Q(original_amount__isnull=False)
IS_MANUAL = Q(entry__isnull=True)
IS_DROPPED = ~Q(dropped_sentence="")
IS_ODD = IS_LATE | IS_UPLIFTED | IS_EDITED | IS_ADJUSTED | IS_MANUAL | IS_DROPPED
NEVER = Q(pk__in=())


@dataclass(frozen=True)
class Oddities:
    """How many lines of one draft are odd in which way; `lines` counts each line once."""

    lines: int = 0
    late: int = 0
    uplift: int = 0
    edited: int = 0
    adjusted: int = 0
    manual: int = 0
    dropped: int = 0
    week: int = 0

    @property
    def words(self) -> str:
        """For example "late 1, uplift 2"; "" for none."""
        named = (
            (_("late"), self.late),
            (_("uplift"), self.uplift),
            (_("edited"), self.edited),
            (_("adjusted"), self.adjusted),
            (_("by hand"), self.manual),
            (_("write again?"), self.dropped),
            (_("long week"), self.week),
        )
        return ", ".join(f"{name} {count}" for name, count in named if count)


def long_weeks(invoice_ids: Iterable[int]) -> list[LongWeek]:
    """The weeks with more hours than plausible of the people on these drafts, as far as their lines reach."""
    lines = InvoiceLine.objects.filter(invoice__in=list(invoice_ids), is_voided=False, entry__isnull=False)
    days = lines.order_by().aggregate(first=Min("entry__work_date"), last=Max("entry__work_date"))
    if days["first"] is None:
        return []
    return weeks.long_weeks(days["first"], days["last"], set(lines.order_by().values_list("entry__person", flat=True)))


def _is_in(found: list[LongWeek]) -> Q:
    condition = NEVER
    for week in found:
        days = (week.monday, week.monday + weeks.WEEK - dt.timedelta(days=1))
        condition |= Q(entry__person=week.person.pk, entry__work_date__range=days)
    return condition


def count_oddities(invoice_ids: Iterable[int]) -> dict[int, Oddities]:
    """Odd lines per invoice, by id: at most six queries, however many there are."""
    ids = list(invoice_ids)
    in_long_week = _is_in(long_weeks(ids))
    rows = (
        InvoiceLine.objects.filter(invoice__in=ids, is_voided=False)
        .filter(IS_ODD | in_long_week)
        .order_by()
        .values("invoice")
        .annotate(
            lines=Count("pk"),
            late=Count("pk", filter=IS_LATE),
            uplift=Count("pk", filter=IS_UPLIFTED),
            edited=Count("pk", filter=IS_EDITED),
            adjusted=Count("pk", filter=IS_ADJUSTED),
            manual=Count("pk", filter=IS_MANUAL),
            dropped=Count("pk", filter=IS_DROPPED),
            week=Count("pk", filter=in_long_week),
        )
    )
    names = [field.name for field in fields(Oddities)]
    return {row["invoice"]: Oddities(**{name: row[name] for name in names}) for row in rows}  # type: ignore[literal-required]


def odd_lines(invoice: Invoice, found: list[LongWeek]) -> QuerySet[InvoiceLine]:
    """The printed lines of a draft that are worth a look; `found` are its long weeks.

    What a person wrote or what came late stands first, then by money, a discount by its size.
    """
    lines = invoice.lines.filter(IS_ODD | _is_in(found), is_voided=False).select_related("entry")
    rank = Case(When(IS_ADJUSTED | IS_LATE | IS_MANUAL | IS_DROPPED, then=0), default=1)
    return lines.order_by(rank, Abs("amount").desc(), "position", "pk")


@dataclass(frozen=True)
class LookAt:
    """The lines of a draft that are worth a look: how many, before tax; the `first` of them, and what is not named."""

    count: int
    net: Decimal
    first: list[InvoiceLine]

    @property
    def more(self) -> int:
        """How many are not among the first."""
        return self.count - len(self.first)

    @property
    def more_net(self) -> Decimal:
        """What those come to before tax, in the currency of the draft."""
        return self.net - sum((line.amount for line in self.first), ZERO)


def look_at(invoice: Invoice, found: list[LongWeek], most: int) -> LookAt:
    """All odd lines of a draft counted, the first `most` of them named: two queries."""
    lines = odd_lines(invoice, found)
    sums = lines.order_by().aggregate(count=Count("pk"), net=Sum("amount", default=ZERO))
    return LookAt(sums["count"], sums["net"], list(lines[:most]))


def words_of(line: InvoiceLine, currency: str, found_weeks: list[LongWeek]) -> list[tuple[str, str]]:
    """Each oddity of a line as (badge state, words), for example ("late", "late: worked in November").

    `found_weeks` are the long weeks of its draft.
    """
    found = find_oddities(
        raw_hours=line.raw_hours,
        billed_hours=line.billed_hours,
        is_late=line.is_late,
        is_edited=bool(line.original_notes),
        is_adjusted=line.is_adjusted,
        is_manual=line.is_manual,
        is_dropped=bool(line.dropped_sentence),
    )
    words = [_in_words(oddity, line, currency) for oddity in found]
    if line.entry is not None and line.entry.work_date is not None:
        monday = weeks.monday_of(line.entry.work_date)
        own = (week for week in found_weeks if week.person.pk == line.entry.person_id and week.monday == monday)
        words += [("warning", week.sentence) for week in own]
    return words


def _in_words(oddity: Oddity, line: InvoiceLine, currency: str) -> tuple[str, str]:
    if oddity == Oddity.LATE:
        return "late", _("late: worked on %(day)s") % {"day": formats.day(line.work_date)}
    if oddity == Oddity.UPLIFT:
        percent = uplift_percent(line.raw_hours, line.billed_hours)
        if percent is None:
            return "warning", _("uplift")
        return "warning", _("uplift %(percent)s") % {"percent": formats.percent(percent, decimals=0)}
    if oddity == Oddity.ADJUSTED:
        change = formats.money(line.adjustment, currency, is_signed=True)
        return "warning", _("adjusted %(change)s") % {"change": change}
    plain = {
        Oddity.EDITED: _("edited"),
        Oddity.MANUAL: _("added by hand"),
        Oddity.DROPPED: _("an adjustment no longer holds"),
    }
    return "warning", plain[oddity]


def is_clean(invoice: Invoice, oddities: Oddities | None) -> bool:
    """Whether a draft may be approved with others in one act: nothing odd on it and nothing in its way."""
    return invoice.state == InvoiceState.DRAFT and not oddities and not obstacles_on_row(invoice)
