"""The books: dated facts that are only ever added, what stood unbilled from which day on, and closed months.

Days are business days in the console's zone. Amounts are in the currency of the invoice or the work.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from sync.exact_json import ExactDecoder, ExactEncoder


class Fact(models.TextChoices):
    """What a posting says. The first three are revenue; the others add to what a client owes, or take away from it."""

    INVOICED = "invoiced", _("Invoiced")
    TAX = "tax", _("Tax")
    CREDITED = "credited", _("Credited")
    ASKED = "asked", _("Sent")
    FEES = "fees", _("Fees of Invoice Ninja")
    PAID = "paid", _("Paid")
    SETTLED = "settled", _("Settled by a credit")
    WRITTEN_OFF = "written_off", _("Written off")
    REST = "rest", _("Rest cancelled")


class Posting(models.Model):
    """One fact of an invoice on its day, or by how much it changed later. Never changed, never deleted.

    The sum of a fact's postings is what stands now; up to a day, what stood then (billing-rules: Figures as at a day).
    `key` tells the parts of one fact apart: the month of the work of what is invoiced, a payment, a credit. `net`,
    `tax` and `gross` have a minus where they take away. `fact_day` is the fact's own date, `day` the one it counts
    on: the same, unless it came later, or its own lies in a closed month.
    """

    invoice = models.ForeignKey("invoicing.Invoice", models.PROTECT, related_name="postings", verbose_name=_("invoice"))
    fact = models.CharField(_("what"), max_length=12, choices=Fact.choices)
    key = models.CharField(_("part"), max_length=80, blank=True)
    day = models.DateField(_("counts on"))
    fact_day = models.DateField(_("its own date"), null=True, blank=True)
    net = models.DecimalField(_("before tax"), max_digits=14, decimal_places=3, default=0)
    tax = models.DecimalField(_("tax"), max_digits=14, decimal_places=3, default=0)
    gross = models.DecimalField(_("with tax"), max_digits=14, decimal_places=3, default=0)
    hours = models.DecimalField(_("hours billed"), max_digits=12, decimal_places=2, default=0)
    documents = models.SmallIntegerField(_("documents"), default=0, help_text=_("−1 where one ended."))
    due_date = models.DateField(_("due date"), null=True, blank=True, help_text=_("Of what was sent."))
    is_move = models.BooleanField(_("another date"), default=False, help_text=_("Taken off one date, put on another."))
    noted_at = models.DateTimeField(_("noted"), auto_now_add=True)

    class Meta:
        verbose_name = _("posting")
        verbose_name_plural = _("postings")
        ordering = ["day", "id"]
        indexes = [
            models.Index(fields=["invoice", "fact", "key", "id"], name="posting_of_fact"),
            models.Index(fields=["day"], name="posting_by_day"),
            models.Index(fields=["fact_day"], name="posting_by_own_date"),
        ]

    def __str__(self) -> str:
        return f"{self.get_fact_display()} {self.gross} {self.day:%Y-%m-%d}"


class Stage(models.TextChoices):
    """How far unbilled work is."""

    OPEN = "open", _("Open, hours typed")
    NO_PRICE = "no_price", _("Closed, no price yet")
    HELD = "held", _("Held")
    READY = "ready", _("Ready")
    DRAFT = "draft", _("In a draft")


class UnbilledWork(models.Model):
    """What an item was as unbilled work from the day `starts_on` until the day before `ends_on` (None: until now).

    A row is never changed but for its end, and never in a closed month. Without an entry it is an item that is open
    and has hours typed: `typed` quotes them. `amount` is before tax; in a draft hours and amount are as printed.
    """

    item = models.ForeignKey("sync.WorkItem", models.PROTECT, related_name="+", verbose_name=_("item"))
    entry = models.ForeignKey(
        "sync.TimeEntry", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("entry")
    )
    stage = models.CharField(_("stage"), max_length=8, choices=Stage.choices)
    client = models.ForeignKey("mappings.Client", models.PROTECT, null=True, related_name="+", verbose_name=_("client"))
    project = models.ForeignKey(
        "mappings.ProjectMapping", models.PROTECT, null=True, related_name="+", verbose_name=_("project")
    )
    person = models.ForeignKey("mappings.Person", models.PROTECT, null=True, related_name="+", verbose_name=_("person"))
    work_date = models.DateField(_("work date"), null=True)
    hours = models.DecimalField(_("hours"), max_digits=12, decimal_places=6, null=True)
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    amount = models.DecimalField(_("amount before tax"), max_digits=14, decimal_places=3, null=True)
    typed = models.CharField(_("hours as typed"), max_length=80, blank=True)
    starts_on = models.DateField(_("from"))
    ends_on = models.DateField(_("until before"), null=True)
    noted_at = models.DateTimeField(_("noted"), auto_now_add=True)

    class Meta:
        verbose_name = _("unbilled work")
        verbose_name_plural = _("unbilled work")
        ordering = ["id"]
        indexes = [
            models.Index(fields=["item"], condition=Q(ends_on__isnull=True), name="unbilled_now"),
            models.Index(fields=["ends_on", "starts_on"], name="unbilled_by_day"),
            models.Index(fields=["entry", "starts_on"], name="unbilled_of_entry"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["entry"], condition=Q(ends_on__isnull=True), name="unbilled_entry_once_now"
            ),
            models.UniqueConstraint(
                fields=["item"], condition=Q(ends_on__isnull=True, entry__isnull=True), name="unbilled_item_once_now"
            ),
            models.CheckConstraint(
                condition=Q(ends_on__isnull=True) | Q(ends_on__gt=models.F("starts_on")), name="unbilled_not_empty"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.item} {self.starts_on:%Y-%m-%d}"


class Closing(models.Model):
    """A month that a person closed, with the certificate as it was that moment. Reopening keeps the row.

    `figures` are the sums of the month as they are shown, `marks` a sha256 over the rows behind each of the three
    lists, by which the books are compared with later; `hash` is the certificate's own.
    """

    period_start = models.DateField(_("first day"))
    period_end = models.DateField(_("day after the last"))
    closed_on = models.DateField(_("closed on"), help_text=_("Business date."))
    closed_at = models.DateTimeField(_("closed"), auto_now_add=True)
    closed_by = models.ForeignKey(
        "accounts.User", models.PROTECT, null=True, related_name="+", verbose_name=_("closed by")
    )
    verdict = models.CharField(_("verdict"), max_length=20)
    verdict_words = models.TextField(_("verdict in words"))
    reason = models.TextField(_("why it was closed all the same"), blank=True)
    figures = models.JSONField(_("figures"), encoder=ExactEncoder, decoder=ExactDecoder)
    marks = models.JSONField(_("hashes of the lists"))
    hash = models.CharField(_("hash"), max_length=64)
    reopened_at = models.DateTimeField(_("reopened"), null=True, blank=True)
    reopened_by = models.ForeignKey(
        "accounts.User", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("reopened by")
    )
    reopen_reason = models.TextField(_("why it was reopened"), blank=True)

    class Meta:
        verbose_name = _("closing")
        verbose_name_plural = _("closings")
        ordering = ["-period_start", "-id"]
        permissions = [
            ("close_month", _("Can close a month")),
            ("reopen_month", _("Can reopen a month")),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["period_start"], condition=Q(reopened_at__isnull=True), name="closing_once_per_month"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.period_start:%Y-%m}"


class ClosingFile(models.Model):
    """One file of a closing, as it was: the certificate, or one of its lists. CSV, UTF-8."""

    closing = models.ForeignKey(Closing, models.CASCADE, related_name="files", verbose_name=_("closing"))
    name = models.CharField(_("name"), max_length=100)
    content = models.BinaryField(_("content"))
    sha256 = models.CharField(_("sha256"), max_length=64)

    class Meta:
        verbose_name = _("file of a closing")
        verbose_name_plural = _("files of a closing")
        constraints = [models.UniqueConstraint(fields=["closing", "name"], name="closing_file_once")]

    def __str__(self) -> str:
        return self.name
