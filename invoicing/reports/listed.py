"""What both servers listed when they were last read as a whole: the rows behind the reconciliation's terms."""

from __future__ import annotations

from typing import Any

from django.db.models import CharField, Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Cast, Coalesce
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing_console.states import ItemKind
from invoicing import readings
from invoicing.models import CountedItem, CountedLine
from invoicing.reports.base import Report, sums_in_words
from invoicing.reports.cells import task_words
from invoicing.reports.columns import CURRENCY, Column, Kind, Row
from invoicing.reports.filters import Wanted
from mappings.models import TaigaProject
from sync.clients.ninja_rows import CANCELLED, DRAFT, PAID, PARTIAL, REVERSED, SENT

STATUSES = {
    DRAFT: _("Draft"),
    SENT: _("Sent"),
    PARTIAL: _("Partly paid"),
    PAID: _("Paid"),
    CANCELLED: _("Cancelled"),
    REVERSED: _("Reversed"),
}


class TaigaListed(Report):
    """Closed items as Taiga lists them."""

    name = "taiga-list"
    title = _("What Taiga lists")
    question = _("Which closed items does Taiga itself list, and does the console know them?")
    basis = _("Of the last reading of both servers; by the day of the latest closing, hours as typed.")
    uses = frozenset({"period", "client", "project"})

    whose = Q(project__isnull=False)
    columns = (
        Column(
            "task",
            _("Item"),
            value=lambda row: task_words(row["ref"], row["subject"]),
            url=lambda row: (
                reverse("admin:sync_timeentry_changelist") + f"?item__id__exact={row['item_id']}"
                if row["item_id"]
                else ""
            ),
            sub=lambda row: row["place"],
        ),
        Column("kind", _("Kind"), value=lambda row: str(ItemKind(row["kind"]).label)),
        Column("place", _("Project"), in_files_only=True),
        Column("project__client__name", _("Client")),
        Column("work_date", _("Closed on"), Kind.DAY),
        Column("is_ticked", _("Billable"), value=lambda row: _ticked(row["is_ticked"])),
        Column("typed", _("As typed")),
        Column("hours", _("Hours"), Kind.HOURS),
        Column("known", _("Known here"), value=lambda row: gettext("yes") if row["item_id"] else gettext("no")),
    )

    def rows(self, wanted: Wanted) -> QuerySet[CountedItem, Row]:
        return (
            self._items(wanted)
            .order_by(F("work_date").desc(nulls_last=True), "pk")
            .annotate(place=_place())
            .values(
                *("pk", "item_id", "kind", "ref", "subject", "place", "project__client__name"),
                *("work_date", "is_ticked", "typed", "hours"),
            )
        )

    def totals(self, wanted: Wanted) -> list[tuple[str, str]]:
        sums = self._items(wanted).aggregate(count_sum=Count("pk"), hours_sum=Sum("hours"))
        return sums_in_words([sums], count=gettext("Items"), hours=gettext("Hours"))

    def _items(self, wanted: Wanted) -> QuerySet[Any]:
        condition = wanted.within("work_date") & wanted.of(client="project__client", project="project")
        rows = CountedItem.objects.filter(condition, self.whose, reading=readings.latest(), is_closed=True)
        return rows.order_by()


class TaigaListedUnpaid(TaigaListed):
    """Closed items of projects without a payer, as Taiga lists them."""

    name = "taiga-list-nobody"
    title = _("What Taiga lists and nobody pays for")
    question = _("Which closed items does Taiga list in projects that nobody pays for, and does the console know them?")
    uses = frozenset({"period"})
    whose = Q(project__isnull=True)


class NinjaListed(Report):
    """Lines of ours as Invoice Ninja lists them."""

    name = "invoice-ninja-list"
    title = _("What Invoice Ninja lists")
    question = _("Which lines does Invoice Ninja itself have on our invoices, and on others that name our tasks?")
    basis = _("Of the last reading of both servers; by invoice date, amounts before tax as the server adds them up.")
    uses = frozenset({"period", "client"})

    columns = (
        Column(
            "number",
            _("Invoice"),
            value=lambda row: row["number"] or gettext("no number yet"),
            url=lambda row: reverse("admin:invoicing_invoice_change", args=[row["ours"]]) if row["ours"] else "",
            sub=lambda row: "" if row["ours"] else gettext("not made by the console"),
        ),
        Column("state", _("State there"), value=lambda row: _state(row)),
        Column("client", _("Client"), value=lambda row: row["client"] or ""),
        Column("notes", _("Line"), sub=lambda row: gettext("Invoice Ninja's own, not billed") if row["is_fee"] else ""),
        Column("hours", _("Quantity"), Kind.NUMBER),
        CURRENCY,
        Column("amount", _("Amount"), Kind.MONEY),
    )

    def rows(self, wanted: Wanted) -> QuerySet[CountedLine, Row]:
        names = {
            "number": F("invoice__number"),
            "ours": F("invoice__invoice"),
            "client": F("invoice__invoice__client__name"),
            "currency": F("invoice__invoice__currency"),
            "status": F("invoice__status"),
            "is_deleted": F("invoice__is_deleted"),
        }
        rows: QuerySet[Any, Row] = (
            self._lines(wanted)
            .order_by("-invoice_id", "pk")
            .annotate(**names)
            .values("pk", "notes", "hours", "amount", "is_fee", *names)
        )
        return rows

    def totals(self, wanted: Wanted) -> list[tuple[str, str]]:
        sums = self._lines(wanted).filter(is_fee=False).order_by().values(currency=F("invoice__invoice__currency"))
        figures = list(sums.annotate(count_sum=Count("pk"), amount_sum=Sum("amount")).order_by("currency"))
        rows = [{**row, "currency": row["currency"] or ""} for row in figures]
        return sums_in_words(rows, count=gettext("Lines"), amount=gettext("Before tax"))

    def _lines(self, wanted: Wanted) -> QuerySet[CountedLine]:
        condition = wanted.within("invoice__invoice__invoice_date") & wanted.of(client="invoice__invoice__client")
        ours = CountedLine.objects.filter(
            reading=OuterRef("reading"), task_id=OuterRef("task_id"), invoice__invoice__isnull=False
        ).exclude(task_id="")
        names_ours = Q(invoice__invoice__isnull=False) | Q(Exists(ours))
        return CountedLine.objects.filter(condition, names_ours, reading=readings.latest())


def _place() -> Coalesce:
    """The name of the Taiga project, of one without a payer as it was last listed; its id where neither is known."""
    unpaid = TaigaProject.objects.filter(taiga_id=OuterRef("taiga_project_id")).exclude(name="")
    number = Cast("taiga_project_id", CharField())
    return Coalesce("project__taiga_project_name", Subquery(unpaid.values("name")[:1]), number)


def _ticked(is_ticked: bool | None) -> str:
    if is_ticked is None:
        return gettext("cannot be read")
    return gettext("yes") if is_ticked else gettext("no")


def _state(row: Row) -> str:
    if row["is_deleted"]:
        return gettext("Deleted")
    return str(STATUSES.get(row["status"], row["status"]))
