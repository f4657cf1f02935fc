"""The page "Reconciliation": does what was worked equal what was billed, to the cent? Printable, with its hash."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext, gettext_lazy

from billing_console import clock, formats
from billing_console.admin_base import PageView, site_page
from billing_console.money import ZERO, quantize
from billing_console.plots import BarPlot, Column, Numbers, Series, numbers_of, stack_bars
from billing_console.states import InvoiceState
from invoicing import against_readings, certificate, listed_money, readings
from invoicing.drawn import Drawn, choose_currency
from invoicing.identities import Identity, Term
from invoicing.models import Invoice, InvoiceLine, InvoiceRun, Reading
from invoicing.reconcile_months import name_of, pages, read_month
from invoicing.reports import REPORTS
from invoicing.reports.filters import CLIENT, PERIOD, PERSON, PROJECT, FilterForm, Wanted
from invoicing.verdict import Proof, prove
from mappings.rules import ONE_DAY, Period, previous_month

MONEY = 2  # the third identity
SHOWN_LEFTOVERS = 200


READ = "invoicing.start_invoicerun"


@site_page("invoicing/reconcile/", "invoicing_reconcile")
class ReconcilePage(PageView):
    """The identities of any days, whole or of one client, project or person; CSV holds the same figures.

    GET compares with the last reading of both servers and calls nobody; POST asks the worker for a new reading.
    `?month=2025-12` is a month. While a reading runs the page asks (htmx) whether it is done, and then loads anew.
    """

    template_name = "invoicing/reconcile.html"
    permission = ("invoicing.view_invoice", "sync.view_timeentry")
    act_permission = READ
    title = gettext_lazy("Reconciliation")
    needs_no_version = "Only has servers read again."

    @cached_property
    def form(self) -> FilterForm:
        uses = frozenset({PERIOD, CLIENT, PROJECT, PERSON})
        asked, typed = self.request.GET.copy(), self.request.GET.get("month", "")
        month = None if asked.get("start") or asked.get("end") else read_month(typed)
        if month is not None:
            asked["start"], asked["end"] = month.start.isoformat(), month.last_day.isoformat()
        elif typed:
            asked.setdefault("start", "")
        form = FilterForm(asked, uses=uses, today=clock.today(settings.BILLING_TIMEZONE), months=1)
        last = previous_month(form.today)
        form.defaults |= {"start": last.start, "end": last.end - ONE_DAY}
        if typed and not (asked.get("start") or asked.get("end")):
            form.add_error("start", gettext("“%(typed)s” is no month; write it as 2025-12.") % {"typed": typed})
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
        if request.headers.get("HX-Request"):  # the page itself, asking whether the reading is done
            is_running = readings.running() is not None
            return HttpResponse(status=204) if is_running else HttpResponse(headers={"HX-Refresh": "true"})
        if request.GET.get("file") == "csv" and self.wanted is not None:
            return self._csv(self.wanted)
        return super().get(request, *args, **kwargs)

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if readings.ask_for_one(request.user):  # type: ignore[arg-type]
            messages.success(request, gettext("Both servers are being read. This page shows it when it is done."))
        else:
            messages.info(request, gettext("Both servers are being read already. Look again in a minute."))
        return HttpResponseRedirect(request.get_full_path())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        wanted = self.wanted
        if wanted is not None and wanted.start and wanted.end:
            proof = _prove(wanted)
            plot, numbers, drawn = _plot(proof.identities[MONEY], self.request.GET.get("draw", ""))
            kwargs |= {
                "span": Period(wanted.start, wanted.end + ONE_DAY),
                "proof": proof,
                "identities": [shown(identity, lambda term: _url(term, wanted)) for identity in proof.identities],
                "hash": certificate.hash_of(_about(wanted, proof), proof.identities),
                "plot": plot,
                "numbers": numbers,
                "drawn": drawn,
                "months": self._months(wanted.start, wanted.end),
            }
        return super().get_context_data(
            form=self.form,
            wanted=wanted,
            query=urlencode(self._query()),
            reading=readings.latest(),
            running=readings.running(),
            failed=Reading.objects.filter(finished_at__isnull=False).exclude(sentence="").order_by("-id").first(),
            zone=settings.BILLING_TIMEZONE,
            printed_at=timezone.now(),
            may_read=self.request.user.has_perm(READ),
            **kwargs,
        )

    def _query(self) -> list[tuple[str, str]]:
        """What stays in the address of the file: the days and the filters that are shown."""
        data = self.form.data if self.form.is_bound else {}
        return [(name, data[name]) for name in self.form.fields if data.get(name)]

    def _months(self, start: dt.date, end: dt.date) -> list[dict[str, Any]]:
        """The month before and the one after, with the same filters."""
        around = pages(start, end, self.form.today)
        filters = [(name, value) for name, value in self._query() if name not in ("start", "end")]
        return [
            {"rel": rel, "month": month, "query": urlencode([("month", name_of(month)), *filters])}
            for rel, month in (("prev", around.before), ("next", around.after))
            if month is not None
        ]

    def _csv(self, wanted: Wanted) -> HttpResponse:
        proof = _prove(wanted)
        content = certificate.as_csv(_about(wanted, proof), proof.identities, verdict=proof.words)
        return as_file(f"reconciliation-{wanted.start}-{wanted.end}.csv", content)


@site_page("invoicing/reconcile/run/<int:pk>/", "invoicing_run_certificate")
class RunCertificate(PageView):
    """Does one run add up: its entries in Taiga, here, on its invoices there, and paid. To be printed, or as CSV."""

    template_name = "invoicing/run_certificate.html"
    permission = ("invoicing.view_invoicerun", "invoicing.view_invoice", "sync.view_timeentry")

    @cached_property
    def run(self) -> InvoiceRun:
        run = InvoiceRun.objects.filter(pk=self.kwargs["pk"]).first()
        if run is None:
            raise Http404
        return run

    def get_title(self) -> str:
        days = formats.period(self.run.period_start, self.run.period_end)
        return gettext("Certificate of run %(days)s") % {"days": days}

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        proof, invoices = self._check()
        about = f"run {self.run.pk} {_of_reading(proof)}"
        before = _invoice_cells(invoices)
        if request.GET.get("file") == "csv":
            name = f"run-{self.run.period_start}-{self.run.period_end - ONE_DAY}-{self.run.pk}.csv"
            return as_file(name, certificate.as_csv(about, proof.identities, before, proof.words))
        context = self.get_context_data(
            run=self.run,
            invoices=invoices,
            proof=proof,
            identities=[shown(identity) for identity in proof.identities],
            hash=certificate.hash_of(about, proof.identities, before),
            reading=proof.reading,
            zone=settings.BILLING_TIMEZONE,
            printed_at=timezone.now(),
            **kwargs,
        )
        return self.render_to_response(context)

    def _check(self) -> tuple[Proof, list[Invoice]]:
        """Over the entries on its living invoices; no other entry is part of a run."""
        lines = InvoiceLine.objects.filter(is_voided=False, invoice__run=self.run)
        only = Q(pk__in=lines.filter(entry__isnull=False).values("entry"))
        rows = Invoice.objects.filter(run=self.run).exclude(state=InvoiceState.REJECTED)
        proof = prove(None, only, None, Q(invoice__run=self.run))
        return proof, list(rows.select_related("client").order_by("client__name", "pk"))


def _invoice_cells(invoices: Sequence[Invoice]) -> list[list[str]]:
    head = [
        "client",
        "number",
        "state",
        "billed hours",
        "currency",
        "net",
        "tax",
        "gross",
        "fees of Invoice Ninja",
        "settled by credits",
        "written off",
        "paid",
        "open",
    ]
    return [head] + [
        [
            *(str(row.client), row.number, row.state, f"{row.billed_hours:f}", row.currency),
            *(f"{quantize(row.net, row.currency):f}", f"{quantize(row.tax, row.currency):f}"),
            *(f"{quantize(row.gross, row.currency):f}", f"{quantize(row.fees, row.currency):f}"),
            *(f"{quantize(row.settled, row.currency):f}", f"{quantize(row.lost, row.currency):f}"),
            *(f"{quantize(row.paid_by_money, row.currency):f}", f"{quantize(row.balance or ZERO, row.currency):f}"),
        ]
        for row in invoices
    ]


def as_file(name: str, content: bytes) -> HttpResponse:
    """The answer that a browser saves."""
    response = HttpResponse(content, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _prove(wanted: Wanted) -> Proof:
    assert wanted.start is not None
    assert wanted.end is not None
    span = Period(wanted.start, wanted.end + ONE_DAY)
    # What Taiga lists and we do not know has no person yet.
    unknown = None if wanted.person else wanted.of(client="project__client", project="project")
    only = wanted.of(client="client", project="project", person="person")
    return prove(span, only, unknown, _by_hand(wanted))


def _by_hand(wanted: Wanted) -> Q | None:
    """Lines added by hand belong to a client; to a project where each has its own invoice; to nobody's hours."""
    if wanted.person is not None:
        return None
    found = wanted.of(client="invoice__client")
    return found & Q(invoice__group_key=str(wanted.project.pk)) if wanted.project is not None else found


def _about(wanted: Wanted, proof: Proof) -> str:
    parts = (wanted.start, wanted.end, wanted.client, wanted.project, wanted.person)
    return " ".join([*(str(part) for part in parts), _of_reading(proof)])


def _of_reading(proof: Proof) -> str:
    which = f"reading {proof.reading.uuid}" if proof.reading else "no reading"
    return f"{which} {proof.verdict.value}"


def shown(identity: Identity, url: Callable[[Term], str] = lambda term: "") -> dict[str, Any]:
    """An identity as the template prints it; `url` gives the list of the rows of a term."""
    terms = [
        (identity.left, "="),
        *((term, "·") for term in identity.of_left),
        *((term, "·" if term.is_beside else "+") for term in identity.right),
    ]
    return {
        "name": identity.name,
        "is_true": identity.is_true,
        "is_outdated": identity.is_outdated,
        "is_empty": identity.is_empty,
        "residue": [_residue_in_words(words) for words in identity.residue],
        "leftovers": identity.leftovers[:SHOWN_LEFTOVERS],
        "more_leftovers": max(len(identity.leftovers) - SHOWN_LEFTOVERS, 0),
        "rows": [
            {
                "name": term.name,
                "sign": sign,
                "is_beside": term.is_beside,
                "count": term.count,
                "hours": formats.hours(term.hours) if term.hours else "",
                "money": " + ".join(formats.money(amount, code) for code, amount in sorted(term.amounts.items())),
                "url": url(term),
                "rows": term.rows[:SHOWN_LEFTOVERS],
                "more_rows": max(len(term.rows) - SHOWN_LEFTOVERS, 0),
            }
            for term, sign in terms
        ],
    }


def _residue_in_words(words: str) -> str:
    """ "-1.500000 h" of the file as it is read: −1.50 h."""
    return re.sub(r"(\.\d\d)0+ h$", r"\1 h", re.sub(r"(?<!\S)-(?=\d)", "−", words))


def _url(term: Term, wanted: Wanted) -> str:
    """The list of the rows of a term: exactly its entries, or the report that has them; "" where there is none."""
    if term.report and term.count:
        return _report_url(term, wanted)
    if not (term.state or term.lookups) or not term.count:
        return ""
    query: list[tuple[str, str]] = [("state__exact", term.state)] if term.state else []
    query += term.lookups
    if term.reasons:
        query.append(("reason__in", ",".join(term.reasons)))
    days: Sequence[tuple[str, dt.date | None]] = (("work_date_from", wanted.start), ("work_date_to", wanted.end))
    query += [(name, day.isoformat()) for name, day in days if day]
    for name in ("client", "project", "person"):
        if (row := getattr(wanted, name)) is not None:
            query.append((f"{name}__id__exact", str(row.pk)))
    return f"{reverse('admin:sync_timeentry_changelist')}?{urlencode(query)}"


def _report_url(term: Term, wanted: Wanted) -> str:
    """The report with the filters of the page that it has; what Invoice Ninja lists, and money on no invoice,
    is of any day."""
    uses = REPORTS[term.report].uses
    chosen = {"client": wanted.client, "project": wanted.project, "person": wanted.person}
    query: list[tuple[str, str]] = [
        (name, str(row.pk)) for name, row in chosen.items() if row is not None and name in uses
    ]
    if term.report not in (against_readings.THEIRS, listed_money.REPORT) and wanted.start and wanted.end:
        query += [("start", wanted.start.isoformat()), ("end", wanted.end.isoformat())]
    return f"{reverse('admin:invoicing_report', args=[term.report])}?{urlencode(query)}"


def _plot(money: Identity, asked: str) -> tuple[BarPlot | None, Numbers | None, Drawn]:
    """The parts of the money identity in one currency (see `drawn`), its numbers; None where there is no money."""
    currencies = {code for term in money.right for code in term.amounts}
    if not currencies:
        return None, None, Drawn("")
    drawn = choose_currency(currencies, asked)
    main = drawn.currency
    columns = [Column(term.name, (max(term.amounts.get(main, ZERO), ZERO),)) for term in money.right]
    title = gettext("Where the money of these days is, %(currency)s") % {"currency": main}
    plot = stack_bars(title, (Series("paid", gettext("Before tax")),), columns, height=130)
    numbers = numbers_of(plot, gettext("Part"), lambda value: formats.money(value, main), gettext("Total"))
    return plot, numbers, drawn
