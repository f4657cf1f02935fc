"""What is worth a look on drafts before they are approved, counted in the database for lists and pages of lines."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, F, Max, Min, Q, QuerySet
from django.utils.translation import gettext as _

from billing_console import formats
from billing_console.states import InvoiceState
from invoicing.calculator import LOOK_AT_UPLIFT, Oddity, find_oddities, uplift_percent
from invoicing.models import Invoice, InvoiceLine
from invoicing.review import obstacles_on_row
from sync import weeks
from sync.weeks import LongWeek

IS_LATE = Q(is_late=True)
IS_UPLIFTED = Q(billed_hours__gt=F("raw_hours") * (1 + LOOK_AT_UPLIFT))
IS_EDITED = ~Q(original_notes="")
IS_ODD = IS_LATE | IS_UPLIFTED | IS_EDITED
NEVER = Q(pk__in=())


@dataclass(frozen=True)
class Oddities:
    """How many lines of one draft are odd in which way; `lines` counts each line once."""

    lines: int = 0
    late: int = 0
    uplift: int = 0
    edited: int = 0
    week: int = 0

    @property
    def words(self) -> str:
        """For example "late 1, uplift 2"; "" for none."""
        named = (
            (_("late"), self.late),
            (_("uplift"), self.uplift),
            (_("edited"), self.edited),
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
            week=Count("pk", filter=in_long_week),
        )
    )
    return {
        row["invoice"]: Oddities(row["lines"], row["late"], row["uplift"], row["edited"], row["week"]) for row in rows
    }


def odd_lines(invoice: Invoice, found: list[LongWeek]) -> QuerySet[InvoiceLine]:
    """The printed lines of a draft that are worth a look, in order; `found` are its long weeks."""
    lines = invoice.lines.filter(IS_ODD | _is_in(found), is_voided=False).select_related("entry")
    return lines.order_by("position", "pk")


def words_of(line: InvoiceLine, found_weeks: list[LongWeek]) -> list[tuple[str, str]]:
    """Each oddity of a line as (badge state, words), for example ("late", "late: worked in November").

    `found_weeks` are the long weeks of its draft.
    """
    found = find_oddities(
        raw_hours=line.raw_hours,
        billed_hours=line.billed_hours,
        is_late=line.is_late,
        is_edited=bool(line.original_notes),
    )
    words = []
    for oddity in found:
        if oddity == Oddity.LATE:
            words.append(("late", _("late: worked on %(day)s") % {"day": formats.day(line.work_date)}))
        elif oddity == Oddity.UPLIFT:
            percent = uplift_percent(line.raw_hours, line.billed_hours)
            text = (
                _("uplift %(percent)s") % {"percent": formats.percent(percent, decimals=0)} if percent else _("uplift")
            )
            words.append(("warning", text))
        else:
            words.append(("warning", _("edited")))
    if line.entry is not None and line.entry.work_date is not None:
        monday = weeks.monday_of(line.entry.work_date)
        own = (week for week in found_weeks if week.person.pk == line.entry.person_id and week.monday == monday)
        words += [("warning", week.sentence) for week in own]
    return words


def is_clean(invoice: Invoice, oddities: Oddities | None) -> bool:
    """Whether a draft may be approved with others in one act: nothing odd on it and nothing in its way."""
    return invoice.state == InvoiceState.DRAFT and not oddities and not obstacles_on_row(invoice)
