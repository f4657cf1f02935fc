"""What Taiga says now about each billable thing."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from billing_console.states import ItemKind, ItemState
from sync.exact_json import ExactDecoder, ExactEncoder


class FoundBy(models.TextChoices):
    WEBHOOK = "webhook", _("webhook")
    SWEEP = "sweep", _("sweep")
    PERSON = "person", _("a person")


class WorkItem(models.Model):
    """The mirror of one Taiga task, user story or issue. One reader at a time: lease and dirty flag.

    A reading whose task version or values version is smaller than the stored one is dropped.
    """

    HEAVY = ("values", "status_before_ours")

    kind = models.CharField(_("kind"), max_length=1, choices=ItemKind.choices)
    taiga_id = models.PositiveBigIntegerField(_("Taiga id"))
    taiga_project_id = models.PositiveBigIntegerField(_("Taiga project id"), null=True, blank=True, db_index=True)
    project = models.ForeignKey(
        "mappings.ProjectMapping",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="items",
        verbose_name=_("project"),
    )
    ref = models.BigIntegerField(_("ref"), null=True, blank=True, db_index=True)
    subject = models.CharField(_("subject"), max_length=500, blank=True)
    permalink = models.URLField(_("in Taiga"), max_length=500, blank=True)
    state = models.CharField(_("state"), max_length=10, choices=ItemState.choices, default=ItemState.OPEN)
    status_name = models.CharField(_("status in Taiga"), max_length=255, blank=True)
    assignee = models.ForeignKey(
        "mappings.Person",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("assigned to"),
    )
    has_story = models.BooleanField(_("belongs to a user story"), default=True)
    story_taiga_id = models.PositiveBigIntegerField(_("Taiga id of its user story"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    closed_seen_at = models.DateTimeField(
        _("first seen closed"),
        null=True,
        blank=True,
        help_text=_("Business time of our first reading of the latest closing."),
    )
    closings = models.PositiveIntegerField(
        _("closings seen"), default=0, help_text=_("How often it was seen to close; a cycle begins with a closing.")
    )
    task_version = models.BigIntegerField(_("version"), null=True, blank=True)
    values_version = models.BigIntegerField(_("values version"), null=True, blank=True)
    values = models.JSONField(
        _("attribute values"),
        default=dict,
        encoder=ExactEncoder,
        decoder=ExactDecoder,
        help_text=_("As stored, by attribute id."),
    )
    attributes = models.JSONField(
        _("billing attributes"),
        default=dict,
        encoder=ExactEncoder,
        decoder=ExactDecoder,
        help_text=_("By our own names, raw: billable, hours, rate, client, status, estimate."),
    )
    estimate_hours = models.DecimalField(
        _("estimate"),
        max_digits=12,
        decimal_places=6,
        null=True,
        blank=True,
        help_text=_("Hours; empty where nobody typed any that can be read."),
    )
    points = models.DecimalField(_("story points"), max_digits=9, decimal_places=2, null=True, blank=True)
    status_attribute_id = models.BigIntegerField(_("id of the status attribute"), null=True, blank=True)
    status_before_ours = models.JSONField(
        _("status before our first write"),
        null=True,
        blank=True,
        encoder=ExactEncoder,
        decoder=ExactDecoder,
        help_text=_("Put back when the item is no longer ours."),
    )
    status_written = models.CharField(_("status last written by us"), max_length=100, blank=True)
    read_at = models.DateTimeField(_("read"), null=True, blank=True)
    changed_at = models.DateTimeField(
        _("changed"), null=True, blank=True, help_text=_("Real time; when another state, project or hours were read.")
    )
    is_dirty = models.BooleanField(_("to be read"), default=True)
    dirty_at = models.DateTimeField(_("asked to be read"), null=True, blank=True)
    needs_evaluation = models.BooleanField(
        _("to be priced again"), default=False, help_text=_("A mapping, rate or rule that may concern it changed.")
    )
    told_at = models.DateTimeField(null=True, blank=True, editable=False)  # changed so late there, a delivery says
    missed_at = models.DateTimeField(null=True, blank=True, editable=False)  # asked for and not shown, the first time
    reading_claim = models.UUIDField(null=True, blank=True, editable=False)
    reading_until = models.DateTimeField(null=True, blank=True, editable=False)
    read_attempts = models.PositiveIntegerField(_("failed readings"), default=0)
    not_before = models.DateTimeField(_("not before"), null=True, blank=True)
    error = models.TextField(_("error"), blank=True)
    marked_by = models.CharField(
        _("asked by"), max_length=10, choices=FoundBy.choices, default=FoundBy.WEBHOOK, editable=False
    )
    found_by = models.CharField(_("found by"), max_length=10, choices=FoundBy.choices, default=FoundBy.WEBHOOK)
    closing_found_by = models.CharField(_("closing found by"), max_length=10, choices=FoundBy.choices, blank=True)
    correlation_id = models.UUIDField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("work item")
        verbose_name_plural = _("work items")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["kind", "taiga_id"], name="item_unique")]
        indexes = [
            models.Index(fields=["id"], condition=models.Q(is_dirty=True), name="item_dirty"),
            models.Index(fields=["id"], condition=models.Q(needs_evaluation=True), name="item_to_price"),
            models.Index(fields=["closed_seen_at"], name="item_closed_seen"),
            models.Index(fields=["ref"], name="item_ref"),
            models.Index(
                fields=["story_taiga_id"], condition=models.Q(story_taiga_id__isnull=False), name="item_of_story"
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.ref} {self.subject}"

    @property
    def place(self) -> str:
        """The project's name, to stand beside the reference: Taiga counts references in each project anew."""
        return place_of(self.project, self.taiga_project_id)

    @property
    def key(self) -> str:
        """Type letter and Taiga id, `T123`: Taiga counts each kind by itself, so an id alone names several things."""
        return f"{self.kind}{self.taiga_id}"


def place_of(project: object | None, taiga_project_id: int | None) -> str:
    """The name of a mapped project, the id of any other, "" where it is not known."""
    if project:
        return str(project)
    return _t("Taiga project %(number)d") % {"number": taiga_project_id} if taiga_project_id else ""


class TaigaAttributes(models.Model):
    """The custom attributes of one project and kind, as last read: most readings of an item need no call for them."""

    taiga_project_id = models.PositiveBigIntegerField(_("Taiga project id"))
    kind = models.CharField(_("kind"), max_length=1, choices=ItemKind.choices)
    names = models.JSONField(_("names"), default=dict, help_text=_("Attribute id (as text) to its name."))
    read_at = models.DateTimeField(_("read"))

    class Meta:
        verbose_name = _("attributes of a Taiga project")
        verbose_name_plural = _("attributes of Taiga projects")
        constraints = [models.UniqueConstraint(fields=["taiga_project_id", "kind"], name="attributes_one_per_project")]

    def __str__(self) -> str:
        return f"{self.taiga_project_id} {self.kind}"
