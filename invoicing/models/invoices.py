"""The invoice as reviewed: frozen lines, sealed on approval. Amounts in `currency`, before tax unless named gross."""

from __future__ import annotations

import uuid
from decimal import Decimal

from django.contrib.postgres.indexes import OpClass
from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing_console.formats import period_name
from billing_console.states import InvoiceState
from invoicing.models.credits import WriteOffCause
from mappings import rules
from mappings.models import TaxDecision
from sync import explain


class Invoice(models.Model):
    """One client, one currency, one period, one group. `revision` grows with every change of content."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    run = models.ForeignKey("invoicing.InvoiceRun", models.PROTECT, related_name="invoices", verbose_name=_("run"))
    client = models.ForeignKey("mappings.Client", models.PROTECT, related_name="invoices", verbose_name=_("client"))
    rule_set = models.ForeignKey("mappings.RuleSet", models.PROTECT, related_name="+", verbose_name=_("rule set"))
    currency = models.CharField(_("currency"), max_length=3)
    period_start = models.DateField(_("first day"))
    period_end = models.DateField(_("day after the last"))
    timezone = models.CharField(_("time zone"), max_length=64)
    group_key = models.CharField(_("group"), max_length=64, blank=True, help_text=_("Empty, or the project's id."))
    sequence = models.PositiveIntegerField(_("sequence"), default=1)
    state = models.CharField(_("state"), max_length=12, choices=InvoiceState.choices, default=InvoiceState.DRAFT)
    state_since = models.DateTimeField(_("in this state since"), null=True, blank=True)
    revision = models.PositiveIntegerField(_("revision"), default=1)
    is_stale = models.BooleanField(_("Taiga changed since"), default=False)
    stale_sentence = models.TextField(_("what changed"), blank=True)
    note = models.TextField(_("note"), blank=True, help_text=_("Why held or rejected."))
    attention_sentence = models.TextField(_("what to decide"), blank=True)

    net = models.DecimalField(_("total before tax"), max_digits=14, decimal_places=3, default=0)
    tax_decision = models.CharField(_("tax"), max_length=10, choices=TaxDecision.choices)
    tax_name = models.CharField(_("tax name"), max_length=50, blank=True)
    tax_rate = models.DecimalField(_("tax rate, %"), max_digits=6, decimal_places=3, default=0)
    tax = models.DecimalField(_("tax amount"), max_digits=14, decimal_places=3, default=0)
    gross = models.DecimalField(_("total with tax"), max_digits=14, decimal_places=3, default=0)
    raw_hours = models.DecimalField(_("raw hours"), max_digits=12, decimal_places=6, default=0)
    billed_hours = models.DecimalField(_("billed hours"), max_digits=12, decimal_places=2, default=0)

    payment_days = models.PositiveSmallIntegerField(_("days to pay"), default=30)
    is_end_of_month = models.BooleanField(
        _("due at the end of the month"), default=False, help_text=_("Of the month in which the days to pay end.")
    )
    terms = models.TextField(_("terms"), blank=True)
    footer = models.TextField(_("footer"), blank=True)
    public_notes = models.TextField(_("notes"), blank=True)
    po_number = models.CharField(
        _("PO number"), max_length=191, blank=True, help_text=_("Taken over from Invoice Ninja.")
    )
    product_key = models.CharField(_("product"), max_length=100)
    invoice_date = models.DateField(_("invoice date"), null=True, blank=True)
    due_date = models.DateField(_("due date"), null=True, blank=True)

    seal = models.CharField(_("seal"), max_length=64, blank=True, help_text=_("sha256 over lines, totals and dates."))
    approved_by = models.ForeignKey(
        "accounts.User",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("approved by"),
    )
    approved_at = models.DateTimeField(_("approved"), null=True, blank=True)
    remote = models.OneToOneField(
        "sync.RemoteRecord",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="invoice",
        verbose_name=_("in Invoice Ninja"),
    )
    number = models.CharField(_("number"), max_length=191, blank=True, help_text=_("Given by Invoice Ninja."))
    remote_status = models.CharField(_("status there"), max_length=4, blank=True)
    balance = models.DecimalField(_("open"), max_digits=14, decimal_places=3, null=True, blank=True)
    paid_to_date = models.DecimalField(_("paid"), max_digits=14, decimal_places=3, default=0)
    fees = models.DecimalField(
        _("fees by Invoice Ninja"),
        max_digits=14,
        decimal_places=3,
        default=0,
        help_text=_("Payment and late fees that Invoice Ninja put on it by itself, with the tax on them."),
    )
    credited = models.DecimalField(
        _("settled by credits"), max_digits=14, decimal_places=3, default=0, help_text=_("A part of what is paid.")
    )
    written_off = models.DecimalField(
        _("written off"), max_digits=14, decimal_places=3, default=0, help_text=_("A part of what credits settled.")
    )
    cancelled_rest = models.DecimalField(
        _("rest cancelled there"),
        max_digits=14,
        decimal_places=3,
        default=0,
        help_text=_("Cancelled in Invoice Ninja after money came in: owed no more, and on no credit."),
    )
    rest_cause = models.CharField(_("why its rest is lost"), max_length=20, choices=WriteOffCause.choices, blank=True)
    changed_at = models.DateTimeField(
        _("money changed"), null=True, blank=True, help_text=_("Real time; when other sums were read there.")
    )
    remote_updated_at = models.DateTimeField(_("changed there"), null=True, blank=True)
    # Real time: since when Invoice Ninja shows an older state than that, and nothing newer.
    older_seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    next_reminder_at = models.DateTimeField(
        _("next mail by Invoice Ninja's schedule"), null=True, blank=True, help_text=_("As last polled.")
    )
    reminded_on = models.JSONField(
        _("reminded by Invoice Ninja on"),
        default=list,
        blank=True,
        help_text=_("Days of reminder 1, 2, 3 and the last one, ISO or null."),
    )
    invitations = models.JSONField(
        _("invitations there"),
        null=True,
        blank=True,
        help_text=_("Whom Invoice Ninja mails, as last read: contact, what became of the mail. Empty: not read yet."),
    )
    bounce_sentence = models.TextField(
        _("what bounced"), blank=True, help_text=_("As long as nobody said what was done about it.")
    )
    last_mail_on = models.DateField(_("last mail there"), null=True, blank=True)
    compare_asked_at = models.DateTimeField(
        _("to be compared"), null=True, blank=True, help_text=_("Somebody asked; empty once it was.")
    )
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)
    created_at = models.DateTimeField(_("made"), auto_now_add=True)

    class Meta:
        verbose_name = _("invoice")
        verbose_name_plural = _("invoices")
        ordering = ["-id"]
        permissions = [
            ("prepare_invoice", _("Can edit, hold and exclude lines of drafts")),
            ("approve_invoice", _("Can approve and reject drafts")),
            ("send_invoice", _("Can send invoices")),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["client", "currency", "period_start", "period_end", "group_key", "sequence"],
                condition=~Q(state__in=["cancelled", "reversed", "rejected"]),
                name="invoice_key_unique",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["draft", "held", "rejected"]) | ~Q(seal=""),
                name="invoice_sealed_once_approved",
            ),
            models.CheckConstraint(
                condition=Q(due_date__isnull=True) | Q(due_date__gte=models.F("invoice_date")),
                name="invoice_due_not_before_date",
            ),
        ]
        indexes = [
            models.Index(fields=["state", "-id"], name="invoice_state"),
            models.Index(fields=["due_date"], condition=Q(balance__gt=0), name="invoice_open_by_due"),
            models.Index(fields=["state_since"], condition=~Q(bounce_sentence=""), name="invoice_bounced"),
            models.Index(fields=["id"], condition=Q(compare_asked_at__isnull=False), name="invoice_to_compare"),
            models.Index(fields=["id"], condition=Q(older_seen_at__isnull=False), name="invoice_shown_older"),
            # What is searched for.
            models.Index(fields=["net"], name="invoice_by_net"),
            models.Index(fields=["gross"], name="invoice_by_gross"),
            models.Index(fields=["balance"], name="invoice_by_balance"),
            models.Index(OpClass(Upper("po_number"), name="text_pattern_ops"), name="invoice_by_po"),
        ]

    def __str__(self) -> str:
        return f"{self.client}, {period_name(self.period_start, self.period_end)}"

    @property
    def key(self) -> str:
        """Our key in Invoice Ninja's private notes; ends with a delimiter, so no key is a prefix of another."""
        return f"bc-{self.uuid};"

    @property
    def payment_terms(self) -> rules.Terms:
        """When it is to be paid, counted from its date."""
        return rules.Terms(self.payment_days, self.is_end_of_month)

    @property
    def paid_by_money(self) -> Decimal:
        """What money paid of it, with tax; the server counts used credits as paid too (recordings 1213-1217)."""
        return self.paid_to_date - self.credited

    @property
    def settled(self) -> Decimal:
        """What credits settled of it that gave something back: without what is written off."""
        return self.credited - self.written_off

    @property
    def lost(self) -> Decimal:
        """What of it is written off: by credits of ours, or cancelled in Invoice Ninja after money came in."""
        return self.written_off + self.cancelled_rest

    def get_state_display(self) -> str:  # type: ignore[no-redef]
        """The state in words; one that only credits brought says so."""
        return state_words(self.state, self.paid_to_date, self.credited, self.written_off, self.cancelled_rest)


def state_words(
    state: str, paid_to_date: Decimal, credited: Decimal, written_off: Decimal, cancelled_rest: Decimal
) -> str:
    """An invoice's state as people read it: nobody paid what was settled by credits alone, or written off."""
    if state == InvoiceState.PAID and (written_off or cancelled_rest):
        return gettext("Written off") if written_off == paid_to_date > 0 else gettext("Paid, rest written off")
    if credited > 0 and credited == paid_to_date:
        if state == InvoiceState.PARTLY_PAID:
            return gettext("Partly credited")
        if state == InvoiceState.PAID:
            return gettext("Settled by credits")
    return str(InvoiceState(state).label)


class Meaning(models.TextChoices):
    """Why a person billed other hours than were priced (billing-rules: A person's word)."""

    TAIGA_IS_WRONG = "taiga", _("The hours in Taiga are wrong")
    ON_PURPOSE = "purpose", _("On purpose: the hours in Taiga are right")


class Became(models.TextChoices):
    """What became of a line by hand that was taken off its invoice and does not wait any more."""

    REMOVED = "removed", _("Taken back")
    CARRIED = "carried", _("On a later draft")
    WRITTEN_OFF = "written_off", _("Written off")


class InvoiceLine(models.Model):
    """One entry as it is billed; a frozen copy. A voided line stays, with its reason.

    A line without an entry was added by hand: `billed_hours` is then its quantity, which counts in no sum of hours.
    The originals are set where a person wrote hours or rate anew; the entry keeps its own amount.
    """

    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="lines", verbose_name=_("invoice"))
    entry = models.ForeignKey(
        "sync.TimeEntry", models.PROTECT, null=True, blank=True, related_name="lines", verbose_name=_("entry")
    )
    position = models.PositiveIntegerField(_("position"), default=0)
    project_name = models.CharField(_("project"), max_length=255, blank=True)
    person_name = models.CharField(_("person"), max_length=255, blank=True)
    ref = models.BigIntegerField(_("ref"), null=True, blank=True)
    notes = models.TextField(_("text"), help_text=_("As printed on the invoice."))
    original_notes = models.TextField(_("text before editing"), blank=True)
    edit_reason = models.TextField(_("why edited"), blank=True)
    edited_by = models.ForeignKey(
        "accounts.User", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("edited by")
    )
    edited_at = models.DateTimeField(_("edited"), null=True, blank=True)
    original_hours = models.DecimalField(_("hours before"), max_digits=10, decimal_places=2, null=True, blank=True)
    original_rate = models.DecimalField(_("rate before"), max_digits=12, decimal_places=3, null=True, blank=True)
    original_amount = models.DecimalField(_("amount before"), max_digits=14, decimal_places=3, null=True, blank=True)
    meaning = models.CharField(_("what other hours mean"), max_length=8, choices=Meaning.choices, blank=True)
    adjust_reason = models.TextField(_("why written anew or added"), blank=True)
    adjusted_by = models.ForeignKey(
        "accounts.User", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("written or added by")
    )
    adjusted_at = models.DateTimeField(_("written or added"), null=True, blank=True)
    dropped_sentence = models.TextField(
        _("what no longer holds"), blank=True, help_text=_("What a person had written before Taiga changed the line.")
    )
    work_date = models.DateField(_("work date"), null=True, blank=True)
    raw_hours = models.DecimalField(_("raw hours"), max_digits=12, decimal_places=6)
    billed_hours = models.DecimalField(_("billed hours"), max_digits=10, decimal_places=2)
    rate = models.DecimalField(_("rate"), max_digits=12, decimal_places=3)
    amount = models.DecimalField(_("amount"), max_digits=14, decimal_places=3)
    facts = models.JSONField(_("facts"), default=dict)
    is_late = models.BooleanField(_("late"), default=False, help_text=_("Worked before the period began."))
    change_sentence = models.TextField(
        _("what changed in Taiga"), blank=True, help_text=_("Set while the draft is stale because of this line.")
    )
    is_voided = models.BooleanField(_("excluded"), default=False)
    void_reason = models.TextField(_("why excluded"), blank=True)
    voided_by = models.ForeignKey(
        "accounts.User",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("excluded by"),
    )
    voided_at = models.DateTimeField(_("excluded at"), null=True, blank=True)
    is_waiting = models.BooleanField(
        _("waits for a draft"),
        default=False,
        help_text=_("Added by hand; the client's next draft takes it."),
    )
    became = models.CharField(
        _("what became of it"),
        max_length=12,
        choices=Became.choices,
        blank=True,
        help_text=_("Of a line by hand that was taken off and waits no more."),
    )
    freed_at = models.DateTimeField(
        _("set free"), null=True, blank=True, help_text=_("Its invoice ended, and the entry may be billed anew.")
    )

    class Meta:
        verbose_name = _("invoice line")
        verbose_name_plural = _("invoice lines")
        ordering = ["invoice", "project_name", "ref", "id"]
        indexes = [models.Index(fields=["work_date"], condition=Q(is_waiting=True), name="line_waiting")]
        constraints = [
            models.UniqueConstraint(fields=["entry"], condition=Q(is_voided=False), name="line_entry_billed_once"),
            models.CheckConstraint(
                condition=Q(original_hours__isnull=True, original_rate__isnull=True, original_amount__isnull=True)
                | Q(original_hours__isnull=False, original_rate__isnull=False, original_amount__isnull=False),
                name="line_originals_together",
            ),
            models.CheckConstraint(
                condition=Q(is_waiting=False) | Q(is_voided=True, entry__isnull=True), name="line_waiting_by_hand"
            ),
        ]

    def __str__(self) -> str:
        return self.notes

    @property
    def is_manual(self) -> bool:
        """Whether a person added it: it bills no task."""
        return self.entry_id is None

    @property
    def is_adjusted(self) -> bool:
        """Whether a person wrote its hours or its rate anew."""
        return self.original_amount is not None

    @property
    def adjustment(self) -> Decimal:
        """What the person's figures added to the amount; negative where they wrote it down."""
        return Decimal(0) if self.original_amount is None else self.amount - self.original_amount

    @property
    def waived_hours(self) -> Decimal:
        """Hours left out on purpose; negative for hours that were added on purpose. They are settled, never billed."""
        if self.original_hours is None or self.meaning != Meaning.ON_PURPOSE or self.is_manual:
            return Decimal(0)
        return self.original_hours - self.billed_hours

    @property
    def why(self) -> str:
        """Why its amount is what it is, from the facts that were frozen with it; "" for a line added by hand."""
        return explain.explain_facts(self.facts)
