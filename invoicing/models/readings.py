"""What both servers said when they were last read as a whole, beside our own rows, for the reconciliation.

Rows of one `Reading` are written while it runs and are looked at only when it has finished; the next finished one takes
their place. Amounts are in the invoice's currency.
"""

from __future__ import annotations

import datetime as dt
import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _

from billing_console.states import ItemKind


class Reading(models.Model):
    """One time that both servers were read: Taiga's lists, invoices and payments. `sentence` says why it failed."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    by = models.ForeignKey("accounts.User", models.PROTECT, null=True, blank=True, verbose_name=_("by"))
    asked_at = models.DateTimeField(_("asked"), auto_now_add=True)
    read_at = models.DateTimeField(_("read"), null=True, blank=True, help_text=_("Business time of its beginning."))
    began_at = models.DateTimeField(
        _("begun"), null=True, blank=True, help_text=_("Real time; what changed here later was perhaps not read.")
    )
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    sentence = models.TextField(_("why it failed"), blank=True)
    hidden_projects = models.JSONField(
        _("projects not seen"),
        default=list,
        blank=True,
        help_text=_("Taiga ids of projects that nobody pays for and that our Taiga user may not see."),
    )
    items = models.PositiveIntegerField(_("items in Taiga"), default=0)
    invoices = models.PositiveIntegerField(_("invoices in Invoice Ninja"), default=0)
    claim_id = models.UUIDField(null=True, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("reading of both servers")
        verbose_name_plural = _("readings of both servers")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                models.Value(1), condition=models.Q(finished_at__isnull=True), name="reading_one_at_a_time"
            )
        ]

    def __str__(self) -> str:
        return f"{self.asked_at:%Y-%m-%d %H:%M}"

    def is_older_than(self, changed_at: dt.datetime | None) -> bool:
        """Whether a row of ours changed after the reading began, so that the reading says nothing of it (real time)."""
        return changed_at is not None and self.began_at is not None and changed_at >= self.began_at


class CountedItem(models.Model):
    """One item as Taiga's own list has it. `hours` is None where nobody can read them; `work_date` its closing.

    `project` is None where nobody pays for the Taiga project.
    """

    reading = models.ForeignKey(Reading, models.CASCADE, related_name="counted_items")
    kind = models.CharField(_("kind"), max_length=1, choices=ItemKind.choices)
    taiga_id = models.PositiveBigIntegerField(_("Taiga id"))
    project = models.ForeignKey("mappings.ProjectMapping", models.CASCADE, null=True, blank=True, related_name="+")
    taiga_project_id = models.PositiveBigIntegerField(_("Taiga project id"))
    item = models.ForeignKey("sync.WorkItem", models.CASCADE, null=True, blank=True, related_name="counted")
    ref = models.BigIntegerField(_("ref"), null=True, blank=True)
    subject = models.CharField(_("subject"), max_length=255, blank=True)
    is_closed = models.BooleanField(_("closed"))
    is_ticked = models.BooleanField(_("billable"), null=True)
    work_date = models.DateField(_("closed on"), null=True, blank=True)
    typed = models.CharField(_("hours as typed"), max_length=100, blank=True)
    hours = models.DecimalField(_("hours"), max_digits=12, decimal_places=6, null=True, blank=True)

    class Meta:
        verbose_name = _("item as counted")
        verbose_name_plural = _("items as counted")
        constraints = [models.UniqueConstraint(fields=["reading", "kind", "taiga_id"], name="counted_item_once")]

    def __str__(self) -> str:
        return f"#{self.ref} {self.subject}"


class CountedInvoice(models.Model):
    """One invoice as Invoice Ninja has it; `paid` and `credited` are the sums of its payments and applied credits.

    `fees` are the server's own, with the tax on them; they are in `amount`, the tax on them is not in `tax`.
    """

    reading = models.ForeignKey(Reading, models.CASCADE, related_name="counted_invoices")
    ninja_id = models.CharField(_("id there"), max_length=64)
    invoice = models.ForeignKey("invoicing.Invoice", models.CASCADE, null=True, blank=True, related_name="counted")
    number = models.CharField(_("number"), max_length=191, blank=True)
    forgotten_key = models.CharField(
        _("our key, unknown here"),
        max_length=60,
        blank=True,
        help_text=_("It lives, bears our key, and this database does not know it: an older backup was restored."),
    )
    status = models.CharField(_("status there"), max_length=4, blank=True)
    is_deleted = models.BooleanField(_("deleted"), default=False)
    amount = models.DecimalField(_("total with tax"), max_digits=18, decimal_places=6)
    tax = models.DecimalField(_("tax"), max_digits=18, decimal_places=6)
    fees = models.DecimalField(_("fees by Invoice Ninja"), max_digits=18, decimal_places=6, default=0)
    balance = models.DecimalField(_("open"), max_digits=18, decimal_places=6)
    paid_to_date = models.DecimalField(_("paid, as the invoice says"), max_digits=18, decimal_places=6)
    paid = models.DecimalField(_("paid, by its payments"), max_digits=18, decimal_places=6, default=0)
    credited = models.DecimalField(_("settled by credits"), max_digits=18, decimal_places=6, default=0)
    written_off = models.DecimalField(_("of it written off"), max_digits=18, decimal_places=6, default=0)

    class Meta:
        verbose_name = _("invoice as counted")
        verbose_name_plural = _("invoices as counted")
        constraints = [models.UniqueConstraint(fields=["reading", "ninja_id"], name="counted_invoice_once")]

    def __str__(self) -> str:
        return self.number


class CountedPayment(models.Model):
    """One living payment as Invoice Ninja has it, refunds taken off; what its credits settled is no money.

    `received` = `applied` + `unapplied`, if the server's own figures fit together; in the payment's currency.
    """

    reading = models.ForeignKey(Reading, models.CASCADE, related_name="counted_payments")
    ninja_id = models.CharField(_("id there"), max_length=64)
    client_ninja_id = models.CharField(_("client there"), max_length=64, db_index=True)
    number = models.CharField(_("number"), max_length=191, blank=True)
    currency = models.CharField(_("currency"), max_length=3)
    received = models.DecimalField(_("received"), max_digits=18, decimal_places=6)
    applied = models.DecimalField(_("on invoices"), max_digits=18, decimal_places=6)
    unapplied = models.DecimalField(_("on no invoice"), max_digits=18, decimal_places=6)

    class Meta:
        verbose_name = _("payment as counted")
        verbose_name_plural = _("payments as counted")
        constraints = [models.UniqueConstraint(fields=["reading", "ninja_id"], name="counted_payment_once")]

    def __str__(self) -> str:
        return self.number


class CountedLine(models.Model):
    """One line of such an invoice that names a task, or has an amount; `amount` is the server's rounded line total."""

    reading = models.ForeignKey(Reading, models.CASCADE, related_name="counted_lines")
    invoice = models.ForeignKey(CountedInvoice, models.CASCADE, related_name="lines")
    task_id = models.CharField(_("task there"), max_length=64, blank=True, db_index=True)
    hours = models.DecimalField(_("hours"), max_digits=18, decimal_places=6)
    amount = models.DecimalField(_("amount"), max_digits=18, decimal_places=6)
    notes = models.CharField(_("text"), max_length=255, blank=True)
    is_fee = models.BooleanField(_("fee by Invoice Ninja"), default=False)

    class Meta:
        verbose_name = _("line as counted")
        verbose_name_plural = _("lines as counted")

    def __str__(self) -> str:
        return self.notes
