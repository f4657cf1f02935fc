"""Money that came in and is on no invoice."""

from __future__ import annotations

from django.db.models import Count, QuerySet, Sum
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from invoicing import unapplied
from invoicing.models import UnappliedPayment
from invoicing.reports.base import Report, sums_in_words
from invoicing.reports.columns import CURRENCY, Column, Kind, Row
from invoicing.reports.filters import Wanted


class Unapplied(Report):
    """One row for each payment of which something is left, the oldest first."""

    name = "unapplied"
    title = _("Money on no invoice")
    question = _("What came in without an invoice, or above what was owed?")
    basis = _(
        "By the day of the payment, as Invoice Ninja last said; without what was applied or given back. Put it on an "
        "invoice, or give it back, in Invoice Ninja."
    )
    uses = frozenset({"period", "client"})
    months = 0

    columns = (
        Column("client__name", _("Client"), value=lambda row: row["client__name"] or gettext("not in the list yet")),
        Column("number", _("Payment")),
        Column("reference", _("Reference")),
        Column("paid_on", _("Paid on"), Kind.DAY),
        CURRENCY,
        Column("received", _("Received"), Kind.MONEY),
        Column("amount", _("On no invoice"), Kind.MONEY),
    )

    def rows(self, wanted: Wanted) -> QuerySet[UnappliedPayment, Row]:
        return (
            self._payments(wanted)
            .order_by("paid_on", "pk")
            .values("pk", "client__name", "number", "reference", "paid_on", "currency", "received", "amount")
        )

    def totals(self, wanted: Wanted) -> list[tuple[str, str]]:
        sums = self._payments(wanted).order_by("currency").values("currency")
        figures = sums.annotate(count_sum=Count("pk"), amount_sum=Sum("amount"))
        return sums_in_words(list(figures), count=gettext("Payments"), amount=gettext("On no invoice"))

    def _payments(self, wanted: Wanted) -> QuerySet[UnappliedPayment]:
        return unapplied.left().filter(wanted.within("paid_on") & wanted.of(client="client"))
