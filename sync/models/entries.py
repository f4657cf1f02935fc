"""The time entry: one item × one billing cycle, with every fact that made its amount."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from billing_console.states import EntryState

IS_BILLED = Q(state__in=("ready", "claimed", "invoiced"))


class TimeEntry(models.Model):
    """One person's hours on one item in one cycle: `raw_hours` is what it adds, `billed_hours` what is charged."""

    item = models.ForeignKey("sync.WorkItem", models.PROTECT, related_name="entries", verbose_name=_("item"))
    cycle = models.PositiveIntegerField(_("cycle"), default=1)
    closing = models.PositiveIntegerField(
        _("closing"), default=1, editable=False, help_text=_("The item's latest closing that this cycle has counted.")
    )
    state = models.CharField(_("state"), max_length=15, choices=EntryState.choices, default=EntryState.HELD)
    reason = models.CharField(_("reason"), max_length=40, blank=True, help_text=_("Why it waits; a reason code."))
    reason_note = models.TextField(_("note"), blank=True, help_text=_("What a person wrote, or the raw value quoted."))
    reason_sentence = models.TextField(_("what to do"), blank=True)
    held_by_person = models.BooleanField(_("held by a person"), default=False)
    is_confirmed = models.BooleanField(
        _("confirmed"), default=False, help_text=_("A person confirmed unusual hours or a free item.")
    )
    confirmed_value = models.TextField(_("confirmed values"), blank=True, help_text=_("Separated by spaces."))

    project = models.ForeignKey(
        "mappings.ProjectMapping",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="entries",
        verbose_name=_("project"),
    )
    client = models.ForeignKey(
        "mappings.Client",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="entries",
        verbose_name=_("client"),
    )
    person = models.ForeignKey(
        "mappings.Person",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="entries",
        verbose_name=_("person"),
    )
    rule_set = models.ForeignKey("mappings.RuleSet", models.PROTECT, null=True, blank=True, verbose_name=_("rule set"))
    rate_row = models.ForeignKey(
        "mappings.Rate",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="entries",
        verbose_name=_("rate row"),
    )
    raw_value = models.TextField(_("as typed"), blank=True, help_text=_("The hours as Taiga holds them, as JSON."))
    raw_hours = models.DecimalField(_("raw hours"), max_digits=12, decimal_places=6, null=True, blank=True)
    billed_hours = models.DecimalField(_("billed hours"), max_digits=10, decimal_places=2, null=True, blank=True)
    rate = models.DecimalField(_("rate"), max_digits=12, decimal_places=3, null=True, blank=True)
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    amount = models.DecimalField(_("amount before tax"), max_digits=14, decimal_places=3, null=True, blank=True)
    work_date = models.DateField(_("work date"), null=True, blank=True)
    first_closed_at = models.DateTimeField(_("first closed"), null=True, blank=True)
    typed_by = models.CharField(_("typed by"), max_length=255, blank=True)
    facts = models.JSONField(
        _("facts"),
        default=dict,
        help_text=_("Snapshot that explains the amount; never recomputed once claimed."),
    )
    remote_task = models.OneToOneField(
        "sync.RemoteRecord",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="entry",
        verbose_name=_("task in Invoice Ninja"),
    )
    evaluated_at = models.DateTimeField(_("evaluated"), null=True, blank=True)
    state_since = models.DateTimeField(_("in this state since"), null=True, blank=True)
    correlation_id = models.UUIDField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("time entry")
        verbose_name_plural = _("time entries")
        ordering = ["-id"]
        permissions = [
            ("work_timeentry", _("Can hold, release, exclude and try time entries again")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["item", "cycle"], name="entry_item_cycle_unique"),
            models.CheckConstraint(condition=~Q(state="held") | ~Q(reason=""), name="entry_held_has_reason"),
            models.CheckConstraint(
                condition=~Q(state__in=["ready", "claimed", "invoiced"])
                | (
                    Q(billed_hours__isnull=False)
                    & Q(rate__isnull=False)
                    & Q(amount__isnull=False)
                    & Q(work_date__isnull=False)
                    & Q(client__isnull=False)
                    & ~Q(currency="")
                ),
                name="entry_priced_when_ready",
            ),
        ]
        indexes = [
            models.Index(fields=["client", "work_date"], condition=Q(state="ready"), name="entry_ready"),
            models.Index(fields=["state", "reason", "-id"], name="entry_state"),
            models.Index(fields=["work_date"], name="entry_work_date"),
            models.Index(fields=["person", "project", "first_closed_at"], name="entry_of_person"),
            models.Index(fields=["client", "work_date"], condition=IS_BILLED, name="entry_of_month"),
        ]

    def __str__(self) -> str:
        return f"{self.item} ({self.cycle})" if self.cycle > 1 else str(self.item)

    @property
    def number(self) -> str:
        """The part of our key after the prefix: type letter, Taiga id, cycle (`T123-1`)."""
        return f"{self.item.key}-{self.cycle}"
