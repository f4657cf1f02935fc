"""The page "Reconciliation": does what was worked equal what was billed, to the cent? Printable, with its hash."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from io import StringIO
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_console import clock, formats
from billing_console.admin_base import PageView, site_page
from billing_console.money import ZERO, total
from billing_console.plots import BarPlot, Column, Numbers, Series, numbers_of, stack_bars
from invoicing import certificate, reconcile
from invoicing.reconcile import Identity, Term
from invoicing.reports.columns import harmless
from invoicing.reports.filters import CLIENT, PERIOD, PERSON, PROJECT, FilterForm, Wanted
from mappings.rules import ONE_DAY, Period, previous_month

MONEY = 2  # the third identity


@site_page("invoicing/reconcile/", "invoicing_reconcile")
class ReconcilePage(PageView):
    """The four identities of any days, whole or of one client, project or person; CSV holds the same figures."""

    template_name = "invoicing/reconcile.html"
    permission = ("invoicing.view_invoice", "sync.view_timeentry")
    title = gettext_lazy("Reconciliation")

    @cached_property
    def form(self) -> FilterForm:
        uses = frozenset({PERIOD, CLIENT, PROJECT, PERSON})
        form = FilterForm(self.request.GET, uses=uses, today=clock.today(settings.BILLING_TIMEZONE), months=1)
        last = previous_month(form.today)
        form.defaults |= {"start": last.start, "end": last.end - ONE_DAY}
        return form

    @cached_property
    def wanted(self) -> Wanted | None:
        """What is asked for; without days the last full month."""
        wanted = self.form.wanted()
        if wanted is None or (wanted.start and wanted.end):
            return wanted
        month = previous_month(wanted.today)
        start = wanted.start or min(month.start, wanted.end or month.start)
        end = wanted.end or max(start, month.end - ONE_DAY)
        return Wanted(wanted.today, start, end, wanted.client, wanted.project, wanted.person)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.GET.get("file") == "csv" and self.wanted is not None:
            return self._csv(self.wanted)
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        wanted = self.wanted
        if wanted is not None and wanted.start and wanted.end:
            identities = _check(wanted)
            plot, numbers = _plot(identities[MONEY])
            kwargs |= {
                "span": Period(wanted.start, wanted.end + ONE_DAY),
                "identities": [_shown(identity, wanted) for identity in identities],
                "is_true": all(identity.is_true for identity in identities),
                "hash": certificate.hash_of(_about(wanted), identities),
                "plot": plot,
                "numbers": numbers,
            }
        query = [(name, value) for name, value in self.request.GET.items() if name in self.form.fields]
        return super().get_context_data(form=self.form, wanted=wanted, query=urlencode(query), **kwargs)

    def _csv(self, wanted: Wanted) -> HttpResponse:
        identities = _check(wanted)
        file = StringIO()
        writer = csv.writer(file)
        writer.writerow(["identity", "side", "term", "count", "hours", "amounts"])
        for row in certificate.rows(identities):
            writer.writerow([harmless(cell) if column < 3 else cell for column, cell in enumerate(row)])
        writer.writerow(["sha256", "", certificate.hash_of(_about(wanted), identities), "", "", ""])
        response = HttpResponse(b"\xef\xbb\xbf" + file.getvalue().encode(), content_type="text/csv; charset=utf-8")
        name = f"reconciliation-{wanted.start}-{wanted.end}.csv"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response


def _check(wanted: Wanted) -> list[Identity]:
    assert wanted.start is not None
    assert wanted.end is not None
    span = Period(wanted.start, wanted.end + ONE_DAY)
    only = wanted.of(client="client", project="project", person="person")
    return reconcile.check(span, only, _by_hand(wanted))


def _by_hand(wanted: Wanted) -> Q | None:
    """Lines added by hand belong to a client; to a project where each has its own invoice; to nobody's hours."""
    if wanted.person is not None:
        return None
    found = wanted.of(client="invoice__client")
    return found & Q(invoice__group_key=str(wanted.project.pk)) if wanted.project is not None else found


def _about(wanted: Wanted) -> str:
    return " ".join(str(part) for part in (wanted.start, wanted.end, wanted.client, wanted.project, wanted.person))


def _shown(identity: Identity, wanted: Wanted) -> dict[str, Any]:
    terms = [(identity.left, ""), *((term, "+") for term in identity.also)]
    terms += [(term, "+" if number else "=") for number, term in enumerate(identity.right)]
    return {
        "name": identity.name,
        "is_true": identity.is_true,
        "residue": identity.residue,
        "rows": [
            {
                "name": term.name,
                "sign": sign,
                "count": term.count,
                "hours": formats.hours(term.hours) if term.hours else "",
                "money": " + ".join(formats.money(amount, code) for code, amount in sorted(term.amounts.items())),
                "url": _url(term, wanted),
            }
            for term, sign in terms
        ],
    }


def _url(term: Term, wanted: Wanted) -> str:
    """The list of exactly the entries of a term; "" where it is made of something else."""
    if not term.state or not term.count:
        return ""
    query: list[tuple[str, str]] = [("state__exact", term.state)]
    days: Sequence[tuple[str, dt.date | None]] = (("work_date_from", wanted.start), ("work_date_to", wanted.end))
    query += [(name, day.isoformat()) for name, day in days if day]
    for name in ("client", "project", "person"):
        if (row := getattr(wanted, name)) is not None:
            query.append((f"{name}__id__exact", str(row.pk)))
    return f"{reverse('admin:sync_timeentry_changelist')}?{urlencode(query)}"


def _plot(money: Identity) -> tuple[BarPlot | None, Numbers | None]:
    """The parts of the money identity in the currency with the most; None with fewer than three of them."""
    currencies = {code for term in money.right for code in term.amounts}
    if not currencies:
        return None, None

    def worth(code: str) -> Decimal:
        return total(abs(term.amounts.get(code, ZERO)) for term in money.right)

    main = max(sorted(currencies), key=worth)
    columns = [Column(term.name, (max(term.amounts.get(main, ZERO), ZERO),)) for term in money.right]
    title = _("Where the money of these days is, %(currency)s") % {"currency": main}
    plot = stack_bars(title, (Series("paid", _("Before tax")),), columns, height=130)
    return plot, numbers_of(plot, _("Part"), lambda value: formats.money(value, main), _("Total"))
