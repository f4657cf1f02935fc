"""One row per thing of ours that lives in Invoice Ninja or in Taiga: the outbox, with claim, fence and key."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from billing_console.states import RecordState
from sync.exact_json import ExactDecoder, ExactEncoder


class Server(models.TextChoices):
    TAIGA = "taiga", "Taiga"
    NINJA = "invoice_ninja", "Invoice Ninja"


class RecordKind(models.TextChoices):
    TASK = "task", _("task in Invoice Ninja")
    STATUS = "status", _("invoice status in Taiga")
    INVOICE = "invoice", _("invoice in Invoice Ninja")
    PROVISION = "provision", _("attribute or webhook in Taiga")
    MARK_SENT = "mark_sent", _("mark an invoice as sent")
    CREDIT = "credit", _("credit in Invoice Ninja")
    CREDIT_USE = "credit_use", _("use of a credit in Invoice Ninja")


class RemoteRecord(models.Model):
    """What we want a server to hold (`desired`, at `revision`) and what it is proven to hold (`synced_revision`).

    `our_key` is chosen before the first call and looked up by. Claimed as in design: A claim is fenced.
    `kind=task`: our_key is the task's number; `status`: the item with its kind, `T20`, and so is `remote_id` (Taiga
    counts each kind by itself); `invoice` and `mark_sent`:
    `bc-<uuid of our invoice>;`; `credit`: `bc-<uuid of our credit>;`; `credit_use`: the same, used; `provision`: the
    project and the thing, e.g. `P1/T/billable` or `P1/hook` (sync/provisioning.py).
    """

    HEAVY = ("desired",)

    server = models.CharField(_("server"), max_length=15, choices=Server.choices)
    kind = models.CharField(_("kind"), max_length=10, choices=RecordKind.choices)
    our_key = models.CharField(_("our key"), max_length=100)
    remote_id = models.CharField(_("id there"), max_length=64, null=True, blank=True)
    item = models.ForeignKey(
        "sync.WorkItem", models.PROTECT, null=True, blank=True, related_name="records", verbose_name=_("item")
    )
    state = models.CharField(_("state"), max_length=12, choices=RecordState.choices, default=RecordState.PENDING)
    reason = models.CharField(_("reason"), max_length=40, blank=True)
    sentence = models.TextField(_("what happened"), blank=True)
    desired = models.JSONField(_("wanted"), default=dict, encoder=ExactEncoder, decoder=ExactDecoder)
    revision = models.PositiveIntegerField(_("revision"), default=1)
    synced_revision = models.PositiveIntegerField(_("revision there"), default=0)
    seen = models.JSONField(_("last read there"), default=dict, blank=True, encoder=ExactEncoder, decoder=ExactDecoder)
    seen_at = models.DateTimeField(_("read there"), null=True, blank=True)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    not_before = models.DateTimeField(_("not before"), null=True, blank=True)
    claim_id = models.UUIDField(null=True, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    # When a lease ran out that nobody settled, or a write was not found and is made again: a twin may turn up.
    lost_at = models.DateTimeField(null=True, blank=True, editable=False)
    missed_at = models.DateTimeField(null=True, blank=True, editable=False)  # looked for and not there, the first time
    state_since = models.DateTimeField(_("in this state since"), null=True, blank=True)
    correlation_id = models.UUIDField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("remote record")
        verbose_name_plural = _("remote records")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["server", "kind", "our_key"], name="record_key_unique"),
            models.UniqueConstraint(
                fields=["server", "kind", "remote_id"],
                condition=Q(remote_id__isnull=False),
                name="record_remote_unique",
            ),
            models.CheckConstraint(
                condition=~Q(kind="status") | Q(remote_id__isnull=True) | Q(remote_id=models.F("our_key")),
                name="record_status_names_its_kind",
            ),
            models.CheckConstraint(
                condition=~Q(state="in_flight") | (Q(claim_id__isnull=False) & Q(lease_until__isnull=False)),
                name="record_in_flight_is_fenced",
            ),
        ]
        indexes = [
            # In the order in which they are taken. By an index of waits the database would look for the first of them
            # among all that were ever finished.
            models.Index(
                fields=["kind", "id"],
                condition=Q(state__in=["pending", "retry", "in_flight", "in_doubt"]),
                name="record_unfinished",
            ),
            models.Index(fields=["state", "-id"], name="record_state"),
            models.Index(fields=["our_key"], opclasses=["varchar_pattern_ops"], name="record_our_key"),
            models.Index(fields=["remote_id"], name="record_remote_id"),
            models.Index(fields=["kind", "-lost_at"], condition=Q(lost_at__isnull=False), name="record_lost"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.our_key}"
