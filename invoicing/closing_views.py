"""The pages of closed months: the list, one closing with its stored certificate, and the two questions."""

from __future__ import annotations

import csv
import io
import itertools
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing_console import formats
from billing_console.admin_base import Confirmation, ConfirmView, PageView, site_page
from billing_console.errors import NotAllowed
from invoicing.books import closing as closings
from invoicing.books import figures
from invoicing.models import Closing
from invoicing.reconcile_months import name_of, read_month
from invoicing.reconcile_views import as_file
from invoicing.reports import REPORTS
from invoicing.reports.after_closing import count_changes
from invoicing.verdict import BADGES, Verdict
from mappings.rules import Period

VIEW = ("invoicing.view_closing", "invoicing.view_invoice", "sync.view_timeentry")
CLOSE, REOPEN = "invoicing.close_month", "invoicing.reopen_month"
SHOWN = 60  # months of the list: five years


@site_page("invoicing/closings/", "invoicing_closings")
class Closings(PageView):
    """Every closed month, the newest first, and the one that can be closed next."""

    template_name = "invoicing/closings.html"
    permission = VIEW
    title = gettext_lazy("Closed months")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        coming = closings.next_month()
        rows = Closing.objects.select_related("closed_by", "reopened_by").defer("figures", "marks")
        return super().get_context_data(
            rows=[{"closing": row, "badge": BADGES[Verdict(row.verdict)]} for row in rows[:SHOWN]],
            coming=coming,
            coming_name=formats.period_name(coming.start, coming.end),
            coming_query=urlencode({"month": name_of(coming)}),
            why_not=closings.why_not(coming),
            may_close=self.request.user.has_perm(CLOSE),
            zone=settings.BILLING_TIMEZONE,
            **kwargs,
        )


class _OfClosing(PageView):
    """Base: the closing of the address."""

    @cached_property
    def closing(self) -> Closing:
        row = Closing.objects.select_related("closed_by", "reopened_by").filter(pk=self.kwargs["pk"]).first()
        if row is None:
            raise Http404
        return row

    @property
    def name(self) -> str:
        """The month in words."""
        return formats.period_name(self.closing.period_start, self.closing.period_end)


@site_page("invoicing/closings/<int:pk>/", "invoicing_closing")
class ClosingPage(_OfClosing):
    """One closing: what was signed, its files, what came after it, and whether the books still say the same."""

    template_name = "invoicing/closing.html"
    permission = VIEW

    def get_title(self) -> str:
        return _("Closing of %(month)s") % {"month": self.name}

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if wanted := request.GET.get("file"):
            file = self.closing.files.filter(name=wanted).first()
            if file is None:
                raise Http404
            return as_file(f"{self.closing.period_start:%Y-%m}-{file.name}", bytes(file.content))
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        closing = self.closing
        period = closings.period_of(closing)
        days = urlencode({"start": period.start.isoformat(), "end": period.last_day.isoformat()})
        return super().get_context_data(
            closing=closing,
            badge=BADGES[Verdict(closing.verdict)],
            figures=figures.in_words(closing.figures),
            files=closing.files.order_by("name").defer("content"),
            certificate=_rows(closing),
            changed=[str(REPORTS[name].title) for name in closings.changed_lists(closing)],
            after=[
                {"title": report.title, "count": count, "url": f"{_report(report.name)}?{days}"}
                for report, count in count_changes(period)
            ],
            may_reopen=self.request.user.has_perm(REOPEN) and not closings.why_not_reopened(closing),
            zone=settings.BILLING_TIMEZONE,
            printed_at=timezone.now(),
            **kwargs,
        )


@site_page("invoicing/closings/close/", "invoicing_close_month")
class ConfirmClose(ConfirmView):
    """Close this month? Shows what is signed: the verdict and every figure. `?month=2025-12`."""

    permission = (*VIEW, CLOSE)
    act_permission = (*VIEW, CLOSE)
    title = gettext_lazy("Close a month")

    @cached_property
    def month(self) -> Period:
        """The month of the address. Raises Http404 for anything else."""
        found = read_month(self.request.GET.get("month", ""))
        if found is None:
            raise Http404
        return found

    def get_confirmation(self) -> Confirmation:
        if why := closings.why_not(self.month):
            raise NotAllowed(why)
        found = closings.certify(self.month)
        words = {"month": formats.period_name(self.month.start, self.month.end)}
        consequence = _(
            "Its certificate and lists are kept as they are now. Nothing is dated into it afterwards: what still "
            "changes counts on the day on which it is noticed, and is listed as after the closing."
        )
        if found.needs_reason:
            consequence = f"{found.proof.words}. {found.proof.sentence} {_('Say why it is closed all the same.')}"
        return Confirmation(
            question=_("Close %(month)s?") % words,
            consequence=consequence,
            submit_label=_("Close %(month)s") % words,
            cancel_label=_("Back, close nothing"),
            cancel_url=self.get_failure_url(),
            facts=[(_("Verdict"), found.proof.words), *figures.in_words(found.figures)],
            marks={"hash": found.hash},
            needs_reason=found.needs_reason,
            is_destructive=found.needs_reason,
        )

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        closing = closings.close(
            self.month,
            user=request.user,  # type: ignore[arg-type]
            reason=request.POST.get("reason", ""),
            seen=self.mark("hash"),
        )
        name = formats.period_name(closing.period_start, closing.period_end)
        messages.success(request, _("%(month)s is closed.") % {"month": name})
        return HttpResponseRedirect(reverse("admin:invoicing_closing", args=[closing.pk]))

    def get_failure_url(self) -> str:
        return reverse("admin:invoicing_closings")


@site_page("invoicing/closings/<int:pk>/reopen/", "invoicing_reopen_month")
class ConfirmReopen(_OfClosing, ConfirmView):
    """Reopen the last closed month? Its certificate stays."""

    permission = (*VIEW, REOPEN)
    act_permission = (*VIEW, REOPEN)
    title = gettext_lazy("Reopen a month")

    def get_confirmation(self) -> Confirmation:
        if why := closings.why_not_reopened(self.closing):
            raise NotAllowed(why)
        words = {"month": self.name}
        return Confirmation(
            question=_("Reopen %(month)s?") % words,
            consequence=_(
                "Invoices and payments can be dated into it again, so its figures may become other ones than the "
                "certificate says. The certificate and its files stay."
            ),
            submit_label=_("Reopen %(month)s") % words,
            cancel_label=_("Back, leave it closed"),
            cancel_url=self.get_failure_url(),
            facts=figures.in_words(self.closing.figures),
            is_destructive=True,
            needs_reason=True,
        )

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        closings.reopen(self.closing, user=request.user, reason=request.POST.get("reason", ""))  # type: ignore[arg-type]
        messages.success(request, _("%(month)s is open again.") % {"month": self.name})
        return HttpResponseRedirect(self.get_failure_url())

    def get_failure_url(self) -> str:
        return reverse("admin:invoicing_closing", args=[self.kwargs["pk"]])


def _report(name: str) -> str:
    return reverse("admin:invoicing_report", args=[name])


def _rows(closing: Closing) -> list[list[str]]:
    """The identities of the stored certificate as they were written, row by row, their heads first."""
    file = closing.files.filter(name=closings.CERTIFICATE).first()
    if file is None:
        return []
    rows = csv.reader(io.StringIO(bytes(file.content).decode("utf-8-sig")))
    return list(itertools.dropwhile(lambda row: row[:1] != ["identity"], rows))
