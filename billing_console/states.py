"""The states of every row of the flow and the arrows between them.

One map per model is the truth: it guards `sync.transitions.advance`, draws the buttons and generates
the test tables. Pure: no database, no settings.
"""

from __future__ import annotations

from typing import Final

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

TransitionMap = dict[str, frozenset[str]]


class ItemKind(TextChoices):
    """What Taiga calls a billable thing; the letter is part of our key at Invoice Ninja (`TAIGA-T123-1`)."""

    TASK = "T", _("Task")
    STORY = "U", _("User story")
    ISSUE = "I", _("Issue")


# The word before the reference, on tasks and invoice lines. Printed for clients, so not translated: the text under
# review is the text that is sent (billing-rules: Terms, dates and text).
KIND_WORDS: dict[str, str] = {ItemKind.TASK: "Task", ItemKind.STORY: "User story", ItemKind.ISSUE: "Issue"}


class DeliveryState(TextChoices):
    RECEIVED = "received", _("Received")
    PROCESSING = "processing", _("Processing")
    PROCESSED = "processed", _("Processed")
    IGNORED = "ignored", _("Ignored")
    FAILED = "failed", _("Failed")


class ItemState(TextChoices):
    OPEN = "open", _("Open")
    CLOSED = "closed", _("Closed")
    GONE = "gone", _("Gone")


class EntryState(TextChoices):
    HELD = "held", _("Held")
    READY = "ready", _("Ready")
    CLAIMED = "claimed", _("In a draft")
    INVOICED = "invoiced", _("Invoiced")
    EXCLUDED = "excluded", _("Excluded")
    VOID = "void", _("Not billable")
    BELOW_MINIMUM = "below_minimum", _("Below minimum")
    WRITTEN_OFF = "written_off", _("Written off")


class RecordState(TextChoices):
    PENDING = "pending", _("Pending")
    IN_FLIGHT = "in_flight", _("In flight")
    SYNCED = "synced", _("Synced")
    RETRY = "retry", _("Retry")
    IN_DOUBT = "in_doubt", _("In doubt")
    ATTENTION = "attention", _("Attention")
    DROPPED = "dropped", _("Dropped")


class RunState(TextChoices):
    BUILDING = "building", _("Building")
    IN_REVIEW = "in_review", _("In review")
    DONE = "done", _("Done")
    CANCELLED = "cancelled", _("Cancelled")


class InvoiceState(TextChoices):
    DRAFT = "draft", _("Draft")
    HELD = "held", _("Held")
    REJECTED = "rejected", _("Rejected")
    APPROVED = "approved", _("Approved")
    CREATED = "created", _("Created")
    SENDING = "sending", _("Sending")
    ATTENTION = "attention", _("Attention")
    SENT = "sent", _("Sent")
    PARTLY_PAID = "partly_paid", _("Partly paid")
    PAID = "paid", _("Paid")
    CANCELLED = "cancelled", _("Cancelled")
    REVERSED = "reversed", _("Reversed")


class ReminderState(TextChoices):
    PENDING = "pending", _("Asked for")
    SENDING = "sending", _("Sending")
    ATTENTION = "attention", _("Attention")
    SENT = "sent", _("Sent")
    REFUSED = "refused", _("Not sent")


class DifferenceState(TextChoices):
    OPEN = "open", _("Open")
    SUPPLEMENTED = "supplemented", _("Supplemented")
    CREDITED = "credited", _("Credited")
    WRITTEN_OFF = "written_off", _("Written off")
    IGNORED = "ignored", _("Ignored")
    CLOSED = "closed", _("Closed")


class Reason(TextChoices):
    """Why an entry or a draft waits (billing-rules: Reason codes). Each has one sentence and one place to mend it."""

    UNREADABLE_HOURS = "unreadable_hours", _("Unreadable hours")
    NO_HOURS = "no_hours", _("No hours")
    TOO_MANY_HOURS = "too_many_hours", _("Too many hours")
    UNREADABLE_BILLABLE = "unreadable_billable", _("Unreadable billable flag")
    UNREADABLE_RATE = "unreadable_rate", _("Unreadable rate")
    FREE_OF_CHARGE = "free_of_charge", _("Free of charge?")
    STORY_AND_TASK = "story_and_task", _("Story and task both billable")
    BILLED_ELSEWHERE = "billed_elsewhere", _("Billed elsewhere")
    UNMAPPED_PROJECT = "unmapped_project", _("Unmapped project")
    UNKNOWN_CLIENT = "unknown_client", _("Unknown client")
    NO_RATE = "no_rate", _("No rate")
    CURRENCY = "currency", _("Currency differs")
    REOPENED = "reopened", _("Reopened")
    GONE = "gone", _("Gone from Taiga")
    INVOICED_BY_HAND = "invoiced_by_hand", _("Invoiced by hand")
    ON_UNKNOWN_INVOICE = "on_unknown_invoice", _("On an unknown invoice of ours")
    NEXT_RUN = "next_run", _("Put off to the next run")
    BY_PERSON = "by_person", _("Held by a person")
    SAID_OTHERWISE = "said_otherwise", _("Billed otherwise before?")
    BILLED_TO_ANOTHER = "billed_to_another", _("Billed to another client before")
    BRAKE_RATE = "brake_rate", _("Unusual rate?")
    BRAKE_MONTH = "brake_month", _("Unusual month?")
    BRAKE_UPLIFT = "brake_uplift", _("Unusual uplift?")
    BRAKE_LATE = "brake_late", _("Hours typed late?")
    BRAKE_CLIENT = "brake_client", _("Another client's project?")
    NO_TAX_DECISION = "no_tax_decision", _("No tax decision")


# The entry's task is on an invoice in Invoice Ninja that this database does not know.
TAKEN: Final = (Reason.INVOICED_BY_HAND, Reason.ON_UNKNOWN_INVOICE)


def _map(**arrows: str) -> TransitionMap:
    return {state: frozenset(targets.split()) for state, targets in arrows.items()}


DELIVERY: TransitionMap = _map(
    received="processing",
    processing="processed ignored failed received",  # back to received: its lease ran out
    processed="received",  # a person asked to process it again
    ignored="received",
    failed="received",
)

ITEM: TransitionMap = _map(
    open="closed gone",
    closed="open gone",
    gone="open closed",  # Taiga's backup was restored, or our user may see it again
)

ENTRY: TransitionMap = _map(
    held="ready excluded void below_minimum written_off",
    ready="held claimed excluded void below_minimum written_off",
    claimed="invoiced ready held",
    invoiced="ready",
    excluded="ready held",
    void="ready held below_minimum",
    below_minimum="ready held void",
    written_off="ready held",
)

RECORD: TransitionMap = _map(
    pending="in_flight dropped",
    in_flight="synced retry in_doubt attention",
    synced="pending",  # a new revision
    retry="in_flight pending dropped",
    in_doubt="synced pending attention",
    attention="pending synced",  # tried again, or adopted by a person
    dropped="pending",
)

RUN: TransitionMap = _map(
    building="in_review done cancelled",
    in_review="building done cancelled",
    done="building in_review",
    cancelled="",
)

INVOICE: TransitionMap = _map(
    draft="held rejected approved",
    held="draft",
    rejected="",
    approved="created draft",
    created="sending sent partly_paid paid cancelled reversed",
    sending="sent attention",
    attention="sent created",
    sent="partly_paid paid cancelled reversed",
    partly_paid="sent paid cancelled reversed",
    paid="sent partly_paid cancelled reversed",
    cancelled="",
    reversed="",
)

REMINDER: TransitionMap = _map(
    pending="sending refused", sending="sent attention refused pending", attention="sent refused", sent="", refused=""
)

DIFFERENCE: TransitionMap = _map(
    open="supplemented credited written_off ignored closed",
    supplemented="",
    credited="open",  # the credit could not be made, and a person gave it up
    written_off="",
    ignored="open",
    closed="",
)

# Every state of every model has a tone and a shape; a test walks them all (ui: Badges).
NEUTRAL, INFO, SUCCESS, WARNING, DANGER, ACCENT = "neutral", "info", "success", "warning", "danger", "accent"
BADGES: dict[str, tuple[str, str]] = {
    "draft": (NEUTRAL, "pencil"),
    "rejected": (NEUTRAL, "cross"),
    "excluded": (NEUTRAL, "cross"),
    "void": (NEUTRAL, "cross"),
    "cancelled": (NEUTRAL, "cross"),
    "ignored": (NEUTRAL, "cross"),
    "dropped": (NEUTRAL, "cross"),
    "refused": (NEUTRAL, "cross"),
    "closed": (NEUTRAL, "cross"),
    "gone": (NEUTRAL, "cross"),
    "open": (NEUTRAL, "ring"),
    "below_minimum": (NEUTRAL, "ring"),
    "written_off": (NEUTRAL, "square"),
    "ready": (INFO, "ring"),
    "pending": (INFO, "ring"),
    "created": (INFO, "ring"),
    "claimed": (INFO, "dot"),
    "received": (INFO, "dot"),
    "building": (INFO, "half"),
    "sending": (INFO, "half"),
    "processing": (INFO, "half"),
    "in_flight": (INFO, "half"),
    "in_review": (INFO, "pencil"),
    "approved": (INFO, "seal"),
    "sent": (INFO, "arrow"),
    "paid": (SUCCESS, "check"),
    "synced": (SUCCESS, "check"),
    "processed": (SUCCESS, "check"),
    "invoiced": (SUCCESS, "check"),
    "done": (SUCCESS, "check"),
    "ok": (SUCCESS, "check"),
    "partly_paid": (SUCCESS, "half"),
    "built": (SUCCESS, "check"),
    "waiting": (INFO, "ring"),
    "empty": (NEUTRAL, "ring"),
    "held": (WARNING, "pause"),
    "attention": (WARNING, "triangle"),
    "warning": (WARNING, "triangle"),
    "retry": (WARNING, "half"),
    "late": (WARNING, "half"),
    "overdue": (DANGER, "triangle"),
    "failed": (DANGER, "octagon"),
    "error": (DANGER, "octagon"),
    "in_doubt": (ACCENT, "half"),
    "reversed": (ACCENT, "back"),
    "credited": (ACCENT, "back"),
    "supplemented": (ACCENT, "back"),
}
