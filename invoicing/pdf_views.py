"""The kept PDF of an invoice: downloaded by everybody who sees the invoice, fetched again by who sends."""

from __future__ import annotations

import re
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _

from billing_console.admin_base import PageView
from billing_console.errors import NotAllowed
from invoicing import pdfs
from invoicing.models import Invoice, InvoicePdf


class DownloadPdf(PageView):
    """GET hands the file out, after its hash was compared; POST has it fetched again where it is missing."""

    permission = "invoicing.view_invoice"
    act_permission = "invoicing.send_invoice"
    needs_no_version = "Only fetches a file again."

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        row = get_object_or_404(InvoicePdf, invoice=self.kwargs["pk"])
        try:
            content = pdfs.content_of(row)
        except NotAllowed as refusal:
            messages.error(request, refusal.sentence)
            return HttpResponseRedirect(self.get_failure_url())
        name = re.sub(r"[^\w.-]+", "-", row.number) or str(row.pk)
        headers = {
            "Content-Disposition": f'attachment; filename="invoice-{name}.pdf"',
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "private, no-store",
        }
        return HttpResponse(content, content_type="application/pdf", headers=headers)

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        pdfs.ask_again(get_object_or_404(Invoice, pk=self.kwargs["pk"]))
        messages.success(request, _("The PDF is being fetched; look again in a moment."))
        return HttpResponseRedirect(self.get_failure_url())

    def get_failure_url(self) -> str:
        return reverse("admin:invoicing_invoice_change", args=[self.kwargs["pk"]])


PAGES = (("<int:pk>/pdf/", "pdf", DownloadPdf),)
