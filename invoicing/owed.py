"""Who owes what since when: open invoices by how long they are overdue; amounts gross, days by the business clock."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Count, F, Q, QuerySet, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing_console import clock, formats
from invoicing import payments
from invoicing.models import Invoice
from invoicing.payments import OWED

# The days overdue of each bucket, both included; None is without an end.
BUCKETS: dict[str, tuple[int, int | None]] = {
    "1-30": (1, 30),
    "31-60": (31, 60),
    "61-90": (61, 90),
    "over-90": (91, None),
}
NOT_DUE = "open"


@dataclass(frozen=True)
class BucketRow:
    """One bucket: how many invoices, what is asked for (fees of Invoice Ninja, too), what credits settled, what was

    written off, what money paid, what is open; "" for nothing.
    """

    label: str
    url: str
    is_late: bool
    count: int
    gross: str
    credited: str
    lost: str
    paid: str
    balance: str


class OwedFilter(admin.SimpleListFilter):
    """Sent and not paid in full: not due yet, overdue, or overdue by so many days."""

    title = _("owed")
    parameter_name = "owed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("overdue", _("Overdue")), *((key, label_of(key)) for key in (NOT_DUE, *BUCKETS))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> QuerySet[Invoice]:
        wanted = self.value()
        if wanted == "overdue":
            return payments.overdue(queryset)
        return in_bucket(wanted, queryset) if wanted in (NOT_DUE, *BUCKETS) else queryset


def in_bucket(key: str | None, invoices: QuerySet[Invoice]) -> QuerySet[Invoice]:
    """The open invoices of one bucket."""
    if key not in BUCKETS:
        return invoices.filter(state__in=OWED, balance__gt=0).exclude(pk__in=payments.overdue())
    first, last = BUCKETS[key]
    zones = set(Invoice.objects.filter(state__in=OWED).values_list("timezone", flat=True).distinct())
    late = Q(pk__in=[])
    for zone in zones:
        today = clock.today(zone)
        days = Q(due_date__lte=today - dt.timedelta(days=first))
        if last is not None:
            days &= Q(due_date__gte=today - dt.timedelta(days=last))
        late |= days & Q(timezone=zone)
    return invoices.filter(late, state__in=OWED, balance__gt=0)


def label_of(key: str) -> str:
    """The bucket in words."""
    if key not in BUCKETS:
        return gettext("Open, not due yet")
    first, last = BUCKETS[key]
    if last is None:
        return gettext("More than %(days)d days overdue") % {"days": first - 1}
    return gettext("%(first)d to %(last)d days overdue") % {"first": first, "last": last}


def buckets() -> list[BucketRow]:
    """Every bucket with its sums by currency; two queries each."""
    return [_row(key) for key in (NOT_DUE, *BUCKETS)]


def _row(key: str) -> BucketRow:
    rows = in_bucket(key, Invoice.objects.all()).order_by("currency").values("currency")
    sums: list[Any] = list(
        rows.annotate(
            count=Count("pk"),
            gross_sum=Sum(F("gross") + F("fees")),
            credited_sum=Sum(F("credited") - F("written_off")),
            lost_sum=Sum(F("written_off") + F("cancelled_rest")),
            paid_sum=Sum(F("paid_to_date") - F("credited")),
            open_sum=Sum("balance"),
        )
    )

    def words(column: str, *, with_zero: bool = True) -> str:
        return " + ".join(formats.money(row[column], row["currency"]) for row in sums if row[column] or with_zero)

    return BucketRow(
        label=label_of(key),
        url=f"{reverse('admin:invoicing_invoice_changelist')}?{urlencode({'owed': key})}",
        is_late=key in BUCKETS,
        count=sum(row["count"] for row in sums),
        gross=words("gross_sum"),
        credited=words("credited_sum", with_zero=False),
        lost=words("lost_sum", with_zero=False),
        paid=words("paid_sum"),
        balance=words("open_sum"),
    )
