"""The PDF of a sent invoice, kept in the database so that a backup holds it."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class InvoicePdf(models.Model):
    """Kept when `sha256` is there, wanted until then; `sentence` says why it is not here yet. Claimed like a sending.

    `is_as_sent`: right before and after it was fetched the invoice was what was sealed, in its currency. Else it is
    kept as what it is, the invoice as it was then, and `sentence` says what differed.

    The hash, the size and the time stay when the content is thrown away after KEEP_PDFS_DAYS.
    """

    invoice = models.OneToOneField("invoicing.Invoice", models.PROTECT, related_name="pdf", verbose_name=_("invoice"))
    number = models.CharField(_("number"), max_length=191, blank=True)
    content = models.BinaryField(_("content"), null=True, blank=True)
    sha256 = models.CharField(_("sha256"), max_length=64, blank=True)
    size = models.PositiveIntegerField(_("bytes"), default=0)
    is_as_sent = models.BooleanField(_("as the client got it"), default=False)
    fetched_at = models.DateTimeField(_("fetched"), null=True, blank=True)
    sentence = models.TextField(_("why it is not here, or not as it was sent"), blank=True)
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
