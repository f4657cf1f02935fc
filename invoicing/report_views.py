"""The pages of the reports: the list of questions, and one page that shows any of them, with CSV and XLSX."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from billing_console import clock
from billing_console.admin_base import PageView, site_page
from invoicing.reports import REPORTS, Report, files
from invoicing.reports.columns import Column, Row
from invoicing.reports.filters import FilterForm, Wanted

VIEW = ("invoicing.view_invoice", "sync.view_timeentry")
ROWS_ON_A_PAGE = 100
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@site_page("invoicing/reports/", "invoicing_reports")
class ReportList(PageView):
    """Which questions there are."""

    template_name = "invoicing/reports.html"
    permission = VIEW
    title = _("Reports")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(reports=REPORTS.values(), **kwargs)


@site_page("invoicing/reports/<slug:name>/", "invoicing_report")
class ReportPage(PageView):
    """One report: filters, plot, rows, totals; `?file=csv` and `?file=xlsx` hold exactly what the filter shows."""

    template_name = "invoicing/report.html"
    permission = VIEW

    @cached_property
    def report(self) -> Report:
        report = REPORTS.get(self.kwargs["name"])
        if report is None:
            raise Http404
        return report

    @cached_property
    def form(self) -> FilterForm:
        today = clock.today(settings.BILLING_TIMEZONE)
        return FilterForm(self.request.GET, uses=self.report.uses, today=today, months=self.report.months)

    @cached_property
    def wanted(self) -> Wanted | None:
        """What is asked for; None where something typed is wrong or something needed is missing."""
        wanted = self.form.wanted()
        if wanted is not None and self.report.needs and getattr(wanted, self.report.needs) is None:
            return None
        return replace(wanted, draw=self.request.GET.get("draw", "")) if wanted else None

    def get_title(self) -> str:
        return self.report.heading(self.wanted) if self.wanted else str(self.report.title)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        kind = request.GET.get("file")
        if kind in ("csv", "xlsx") and self.wanted is not None:
            return self._file(kind, self.wanted)  # type: ignore[return-value]
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        report, wanted = self.report, self.wanted
        if wanted is not None:
            page = Paginator(report.rows(wanted), ROWS_ON_A_PAGE).get_page(self.request.GET.get("page"))
            kwargs |= {
                "rows": [_cells(report.page_columns, row) for row in page],
                "page_of_rows": page,
                "list_totals": report.totals(wanted),
                "plots": report.plots(wanted),
            }
        return super().get_context_data(
            report=report,
            form=self.form,
            wanted=wanted,
            columns=report.page_columns,
            query=self._query(),
            **kwargs,
        )

    def _query(self) -> str:
        """What stays in the address of the files and of the other pages."""
        return urlencode([(name, value) for name, value in self.request.GET.items() if name in self.form.fields])

    def _file(self, kind: str, wanted: Wanted) -> HttpResponseBase:
        report = self.report
        rows = report.rows(wanted).iterator(chunk_size=2000)
        name = f"{report.file_name(wanted)}.{kind}"
        if kind == "xlsx":
            book = files.xlsx(report.heading(wanted), report.columns, rows)
            return FileResponse(book, as_attachment=True, filename=name, content_type=XLSX)
        response = StreamingHttpResponse(files.csv_lines(report.columns, rows), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response


def _cells(columns: list[Column], row: Row) -> list[dict[str, Any]]:
    return [
        {
            "text": column.on_page(row),
            "sub": column.sub(row) if column.sub else "",
            "url": column.url(row) if column.url else "",
            "is_number": column.is_number,
        }
        for column in columns
    ]
