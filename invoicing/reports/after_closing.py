"""What changed after its month was closed: facts of invoices, and work that came late. Dated when it was noticed."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Sum
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from invoicing.books import facts
from invoicing.models import Closing, Fact, Posting, Stage, UnbilledWork
from invoicing.reports.base import Report, sums_in_words
from invoicing.reports.cells import CLIENT, PERSON, PROJECT_IN_FILES, TASK, WORK_DATE, entry_values
from invoicing.reports.columns import CURRENCY, Column, Kind, Row
from invoicing.reports.filters import Wanted
from mappings.rules import Period


def _closed_before(day: str) -> Exists:
    """Whether the month of the row's date `day` had been closed, and stands so, when the row was noted."""
    return Exists(
        Closing.objects.filter(
            reopened_at__isnull=True,
            period_start__lte=OuterRef(day),
            period_end__gt=OuterRef(day),
            closed_at__lt=OuterRef("noted_at"),
        )
    )


class AfterClosing(Report):
    """Postings whose own date lies in a month that was closed before they were made."""

    name = "after-closing"
    title = _("After the closing")
    question = _("What changed on invoices of a month after it was closed?")
    basis = _(
        "Each counts on the day on which it was noticed, in a month that was open then; its own date is that of the "
        "invoice, the payment or the credit. A minus takes away."
    )
    uses = frozenset({"period", "client"})
    months = 0

    columns = (
        Column("day", _("Counts on"), Kind.DAY),
        Column("fact_day", _("Its own date"), Kind.DAY),
        Column(
            "number",
            _("Invoice"),
            value=lambda row: row["number"] or gettext("no number yet"),
            url=lambda row: reverse("admin:invoicing_invoice_change", args=[row["invoice_id"]]),
        ),
        Column("client", _("Client")),
        Column("fact", _("What"), value=lambda row: str(Fact(row["fact"]).label)),
        CURRENCY,
        Column("net", _("Before tax"), Kind.MONEY, is_signed=True),
        Column("tax", _("Tax"), Kind.MONEY, is_signed=True),
        Column("gross", _("With tax"), Kind.MONEY, is_signed=True),
    )

    def rows(self, wanted: Wanted) -> QuerySet[Posting, Row]:
        names = {"number": F("invoice__number"), "client": F("invoice__client__name")}
        rows: QuerySet[Any, Row] = (
            self._postings(wanted)
            .order_by("-day", "-id")
            .annotate(**names)
            .values("day", "fact_day", "invoice_id", "fact", "net", "tax", "gross", "currency", *names)
        )
        return rows

    def totals(self, wanted: Wanted) -> list[tuple[str, str]]:
        sums = self._postings(wanted).order_by("currency").values("currency")
        figures = sums.annotate(count_sum=Count("pk"), amount_sum=Sum("net", filter=Q(fact__in=facts.REVENUE)))
        return sums_in_words(list(figures), count=gettext("Changes"), amount=gettext("Revenue, before tax"))

    def _postings(self, wanted: Wanted) -> QuerySet[Any]:
        condition = wanted.within("fact_day") & wanted.of(client="invoice__client")
        rows = Posting.objects.filter(condition, _closed_before("fact_day"))
        return rows.annotate(currency=F("invoice__currency"))


class LateWork(Report):
    """Work of a closed month that the console came to know only after that."""

    name = "late-work"
    title = _("Work that came after the closing")
    question = _("Which work of a closed month came only after it was closed?")
    basis = _("By work date; hours and amount before tax as they were when it came. The next run bills it.")
    uses = frozenset({"period", "client", "project", "person"})
    months = 0

    columns = (
        Column("starts_on", _("Came on"), Kind.DAY),
        TASK,
        CLIENT,
        PROJECT_IN_FILES,
        PERSON,
        WORK_DATE,
        Column("stage", _("State"), value=lambda row: str(Stage(row["stage"]).label)),
        Column("hours", _("Hours"), Kind.HOURS),
        CURRENCY,
        Column("amount", _("Amount"), Kind.MONEY),
    )

    def rows(self, wanted: Wanted) -> QuerySet[UnbilledWork, Row]:
        names = [name for name in entry_values() if name not in ("pk", "state", "reason")]
        return (
            self._work(wanted).order_by("-starts_on", "-pk").values(*names, "entry_id", "stage", "starts_on", "hours")
        )

    def totals(self, wanted: Wanted) -> list[tuple[str, str]]:
        sums = self._work(wanted).order_by("currency").values("currency")
        figures = sums.annotate(count_sum=Count("pk"), hours_sum=Sum("hours"), amount_sum=Sum("amount"))
        words = {"count": gettext("Entries"), "hours": gettext("Hours"), "amount": gettext("Before tax")}
        return sums_in_words(list(figures), **words)

    def _work(self, wanted: Wanted) -> QuerySet[UnbilledWork]:
        condition = wanted.within("work_date") & wanted.of(client="client", project="project", person="person")
        before = UnbilledWork.objects.filter(entry=OuterRef("entry"), pk__lt=OuterRef("pk"))
        rows = UnbilledWork.objects.filter(condition, _closed_before("work_date"), entry__isnull=False)
        return rows.filter(~Exists(before))


def count_changes(period: Period) -> list[tuple[Report, int]]:
    """Both reports of what came after the closing of a month, with how many rows each has."""
    wanted = Wanted(period.end, start=period.start, end=period.last_day)
    return [(report, report.rows(wanted).count()) for report in (AfterClosing(), LateWork())]
