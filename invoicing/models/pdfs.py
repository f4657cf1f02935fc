"""The PDF of a sent invoice, kept in the database so that a backup holds it."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class InvoicePdf(models.Model):
    """Kept when `sha256` is there, wanted until then; `sentence` says why it is not here yet. Claimed like a sending.

    The hash, the size and the time stay when the content is thrown away after KEEP_PDFS_DAYS.
    """

    invoice = models.OneToOneField("invoicing.Invoice", models.PROTECT, related_name="pdf", verbose_name=_("invoice"))
    number = models.CharField(_("number"), max_length=191, blank=True)
    content = models.BinaryField(_("content"), null=True, blank=True)
    sha256 = models.CharField(_("sha256"), max_length=64, blank=True)
    size = models.PositiveIntegerField(_("bytes"), default=0)
    fetched_at = models.DateTimeField(_("fetched"), null=True, blank=True)
    sentence = models.TextField(_("why it is not here"), blank=True)
    needs_engine = models.BooleanField(_("waits for a PDF engine"), default=False)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    not_before = models.DateTimeField(_("not before"), null=True, blank=True)
    claim_id = models.UUIDField(null=True, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("PDF of an invoice")
        verbose_name_plural = _("PDFs of invoices")
        ordering = ["-id"]
        indexes = [models.Index(fields=["id"], condition=models.Q(sha256=""), name="pdf_wanted")]

    def __str__(self) -> str:
        return self.number or str(self.invoice)
