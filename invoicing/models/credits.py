"""Money given back: a credit in Invoice Ninja, what it takes off which lines, and the invoices it is set against."""

from __future__ import annotations

import uuid
from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from billing_console.states import RecordState
from sync.exact_json import ExactDecoder, ExactEncoder


class WriteOffCause(models.TextChoices):
    """Why a rest of an invoice will not be paid."""

    BANK_COSTS = "bank_costs", _("bank costs")
    GOODWILL = "goodwill", _("goodwill")
    BAD_DEBT = "bad_debt", _("bad debt")


class CreditMeaning(models.TextChoices):
    """What a credit that a person gives on an invoice means for the work (billing-rules: What was billed)."""

    HOURS = "hours", _("The hours were wrong: they are given back, and may be billed otherwise")
    PRICE = "price", _("A price, a text or a line by hand was wrong: the hours stay billed")
    GOODWILL = "goodwill", _("Goodwill: nothing of the work was wrong, and the hours stay billed")


class Credit(models.Model):
    """One decided Difference as a credit, one that a person gives on an invoice (`meaning`), or a rest that is written
    off (`cause`).

    Amounts are positive, in `currency`, net before tax, taxed as the invoice; a rest that is written off has no tax.
    Where it is, says its record: wanted, there, or given up (dropped). `uses` are the invoices it is set against.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    invoice = models.ForeignKey("invoicing.Invoice", models.PROTECT, related_name="credits", verbose_name=_("invoice"))
    difference = models.ForeignKey(
        "sync.Difference",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="credits",
        verbose_name=_("difference"),
        help_text=_("None of a rest that is written off, or where a person credits an invoice."),
    )
    meaning = models.CharField(_("what it means for the work"), max_length=8, choices=CreditMeaning.choices, blank=True)
    cause = models.CharField(_("why written off"), max_length=20, choices=WriteOffCause.choices, blank=True)
    lines = models.JSONField(
        _("lines"),
        default=list,
        encoder=ExactEncoder,
        decoder=ExactDecoder,
        help_text=_("Text, hours, rate and amount of each, as text."),
    )
    currency = models.CharField(_("currency"), max_length=3)
    net = models.DecimalField(_("total before tax"), max_digits=14, decimal_places=3)
    tax_name = models.CharField(_("tax name"), max_length=50, blank=True)
    tax_rate = models.DecimalField(_("tax rate, %"), max_digits=6, decimal_places=3, default=0)
    tax = models.DecimalField(_("tax amount"), max_digits=14, decimal_places=3, default=0)
    gross = models.DecimalField(_("total with tax"), max_digits=14, decimal_places=3)
    credit_date = models.DateField(_("credit date"))
    reason = models.TextField(_("reason"))
    made_by = models.ForeignKey("accounts.User", models.PROTECT, related_name="+", verbose_name=_("decided by"))
    made_at = models.DateTimeField(_("decided"), auto_now_add=True)
    remote = models.OneToOneField(
        "sync.RemoteRecord", models.PROTECT, related_name="credit", verbose_name=_("in Invoice Ninja")
    )
    number = models.CharField(_("number"), max_length=191, blank=True, help_text=_("Given by Invoice Ninja."))
    used = models.DecimalField(_("set against invoices"), max_digits=14, decimal_places=3, default=0)
    is_given_up = models.BooleanField(_("given up"), default=False)

    class Meta:
        verbose_name = _("credit")
        verbose_name_plural = _("credits")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["difference"], condition=Q(is_given_up=False), name="credit_one_per_difference"
            ),
            models.CheckConstraint(
                condition=Q(difference__isnull=False, cause="", meaning="")
                | (Q(difference__isnull=True, meaning="") & ~Q(cause=""))
                | (Q(difference__isnull=True, cause="") & ~Q(meaning="")),
                name="credit_of_a_difference_a_rest_or_a_person",
            ),
            models.CheckConstraint(condition=Q(gross__gt=0, net__gt=0), name="credit_gives_something"),
        ]

    def __str__(self) -> str:
        return f"{self.number or _('credit')}, {self.invoice}"

    @property
    def key(self) -> str:
        """Our key in Invoice Ninja's private notes; ends with a delimiter, so no key is a prefix of another."""
        return f"bc-{self.uuid};"

    @property
    def is_there(self) -> bool:
        """Whether Invoice Ninja is proven to hold it."""
        return self.remote.state == RecordState.SYNCED and not self.is_given_up

    @property
    def rest(self) -> Decimal:
        """What of it was set against no invoice yet, gross."""
        return self.gross - self.used


class CreditedPart(models.Model):
    """What a credit takes off one line, before tax and with the sign of the line; or off the invoice as a whole.

    `hours` are printed hours that the amount is made of, 0 for an amount alone. Where the hours were wrong,
    `difference` says so to the work.
    """

    credit = models.ForeignKey(Credit, models.CASCADE, related_name="parts", verbose_name=_("credit"))
    line = models.ForeignKey(
        "invoicing.InvoiceLine", models.PROTECT, null=True, related_name="credited_parts", verbose_name=_("line")
    )
    difference = models.ForeignKey(
        "sync.Difference", models.PROTECT, null=True, related_name="credited_parts", verbose_name=_("difference")
    )
    hours = models.DecimalField(_("hours"), max_digits=10, decimal_places=2, default=0)
    amount = models.DecimalField(_("amount"), max_digits=14, decimal_places=3)

    class Meta:
        verbose_name = _("part of a credit")
        verbose_name_plural = _("parts of credits")
        ordering = ["credit", "id"]

    def __str__(self) -> str:
        return f"{self.credit}: {self.line or _('the invoice')}"


class CreditProposal(models.Model):
    """A credit that one approver proposed where the company wants four eyes: another one confirms the same.

    `mark` is what was on the screen. One for each invoice; another replaces it, and it goes when it is done.
    """

    invoice = models.OneToOneField(
        "invoicing.Invoice", models.CASCADE, related_name="credit_proposal", verbose_name=_("invoice")
    )
    asked = models.JSONField(_("what is asked"), default=dict, help_text=_("As the form sends it."))
    mark = models.TextField(_("what was shown"))
    gross = models.DecimalField(_("total with tax"), max_digits=14, decimal_places=3)
    reason = models.TextField(_("reason"))
    proposed_by = models.ForeignKey("accounts.User", models.PROTECT, related_name="+", verbose_name=_("proposed by"))
    proposed_at = models.DateTimeField(_("proposed"), auto_now=True)

    class Meta:
        verbose_name = _("proposed credit")
        verbose_name_plural = _("proposed credits")

    def __str__(self) -> str:
        return f"{self.invoice}: {self.gross}"


class CreditUse(models.Model):
    """A credit that is set against an invoice: at once, or once both are in Invoice Ninja and the invoice is sent.

    The credit is ours, or one that somebody made there by hand (`ninja_id`). Amounts are gross, in the currency of the
    invoice: at most `amount`, `used` once it is done. `remote` is the payment without money that does it.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    credit = models.ForeignKey(
        Credit, models.PROTECT, null=True, blank=True, related_name="uses", verbose_name=_("credit")
    )
    ninja_id = models.CharField(
        _("credit there"), max_length=64, blank=True, help_text=_("Of a credit made by hand in Invoice Ninja.")
    )
    number = models.CharField(_("its number there"), max_length=191, blank=True)
    invoice = models.ForeignKey(
        "invoicing.Invoice", models.PROTECT, related_name="credit_uses", verbose_name=_("invoice")
    )
    amount = models.DecimalField(_("at most"), max_digits=14, decimal_places=3)
    used = models.DecimalField(_("set against the invoice"), max_digits=14, decimal_places=3, default=0)
    remote = models.OneToOneField(
        "sync.RemoteRecord",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="credit_use",
        verbose_name=_("in Invoice Ninja"),
    )
    chosen_by = models.ForeignKey(
        "accounts.User", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("chosen by")
    )
    chosen_at = models.DateTimeField(_("chosen"), auto_now_add=True)
    is_dropped = models.BooleanField(_("taken back"), default=False)

    class Meta:
        verbose_name = _("use of a credit")
        verbose_name_plural = _("uses of credits")
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["credit", "invoice"], condition=Q(is_dropped=False), name="credit_use_once_per_invoice"
            ),
            models.UniqueConstraint(
                fields=["ninja_id", "invoice"],
                condition=Q(is_dropped=False, credit__isnull=True),
                name="credit_use_of_theirs_once_per_invoice",
            ),
            models.CheckConstraint(
                condition=Q(credit__isnull=False, ninja_id="") | (Q(credit__isnull=True) & ~Q(ninja_id="")),
                name="credit_use_of_ours_or_theirs",
            ),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(remote__isnull=True, is_dropped=False), name="credit_use_planned")
        ]

    def __str__(self) -> str:
        return f"{self.credit.number if self.credit else self.number}, {self.invoice}"


class OpenCredit(models.Model):
    """A credit that Invoice Ninja lists as sent and with something left, ours or made there by hand; as last polled.

    Amounts are gross, in the client's currency. One that has nothing left is no row any more.
    """

    ninja_id = models.CharField(_("id there"), max_length=64, unique=True)
    client = models.ForeignKey("mappings.Client", models.CASCADE, related_name="+", verbose_name=_("client"))
    number = models.CharField(_("number"), max_length=191, blank=True)
    date = models.DateField(_("credit date"), null=True, blank=True)
    amount = models.DecimalField(_("total with tax"), max_digits=18, decimal_places=6)
    balance = models.DecimalField(_("left"), max_digits=18, decimal_places=6)
    is_ours = models.BooleanField(_("bears a key of ours"), default=False)
    seen_at = models.DateTimeField(_("read"))

    class Meta:
        verbose_name = _("open credit")
        verbose_name_plural = _("open credits")
        ordering = ["client", "id"]

    def __str__(self) -> str:
        return f"{self.client}, {self.number}"
