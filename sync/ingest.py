"""What Taiga sends: stored before anything can fail, worked on later (design: Store first, answer 202, work later).

`receive` runs in the request: one statement, no call. `process_due` runs in the worker and only asks for items to be
read; what is true is read from the API, never from the delivery.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
import uuid
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console.errors import ConsoleError
from billing_console.states import DeliveryState, EntryState, ItemKind, ItemState
from mappings.models import Company, ProjectMapping
from sync import attributes, doorbell, leases, stories, upstreams
from sync.attribute_names import configured_names
from sync.clients.wire import Row, ShapeError
from sync.doctor import overtaken
from sync.marks import BILLED_KINDS, Mark, mark_dirty, mark_many
from sync.models import (
    FoundBy,
    ProjectSweep,
    RecordKind,
    RejectedDelivery,
    RemoteRecord,
    Transition,
    Verdict,
    WebhookDelivery,
)
from sync.models import WorkItem as Item
from sync.payloads import Delivery, MalformedPayload, parse_body
from sync.transitions import advance
from sync.waits import back_off

logger = logging.getLogger(__name__)

MAX_ATTEMPTS: Final = 5
_BATCH: Final = 50
_HEARD_STEP: Final = dt.timedelta(minutes=10)


@dataclass(frozen=True)
class Received:
    """The row that holds a delivery; `is_duplicate` when the same content had come before."""

    uuid: uuid.UUID
    verdict: str
    is_duplicate: bool


# --- in the request ---------------------------------------------------------------------------------------------------

_INSERT: Final = """
    INSERT INTO sync_webhookdelivery (
        uuid, fingerprint, raw_body, headers, received_at, remote_address, project_mapping_id, verdict, event_type,
        action, event_at, by_taiga_user_id, by_username, taiga_project_id, item_kind, item_taiga_id, item_ref,
        item_subject, duplicates, state, attempts, error
    ) VALUES (%s, %s, %s, %s, clock_timestamp(), %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 0, %s, 0, '')
    ON CONFLICT (fingerprint) DO UPDATE SET duplicates = sync_webhookdelivery.duplicates + 1
    RETURNING uuid, verdict, duplicates
"""


def receive(
    raw: bytes, delivery: Delivery, *, headers: dict[str, str], address: str | None, mapping: ProjectMapping | None
) -> Received:
    """Store a signed delivery, or count it at the row that already holds the same content. One statement.

    `mapping` is the project whose own key signed it: it is believed for that project only.
    """
    verdict, fingerprint = delivery.verdict, delivery.fingerprint
    if mapping is not None and _is_foreign(delivery, mapping):
        verdict = Verdict.PROJECT_MISMATCH
        # A key of another project must not take the place of the delivery that is to be believed.
        fingerprint = hashlib.sha256(f"{mapping.pk}:{fingerprint}".encode()).hexdigest()
    state = DeliveryState.IGNORED if verdict == Verdict.PROJECT_MISMATCH else DeliveryState.RECEIVED
    new = uuid.uuid4()
    with connection.cursor() as cursor:
        cursor.execute(
            _INSERT,
            [
                new,
                fingerprint,
                raw,
                json.dumps(headers),
                address,
                mapping.pk if mapping is not None else None,
                verdict,
                delivery.type,
                delivery.action,
                delivery.date,
                delivery.by_id,
                delivery.by_username,
                delivery.project_id,
                delivery.kind,
                delivery.item_id,
                delivery.item_ref,
                delivery.subject,
                state,
            ],
        )
        stored, stored_verdict, _duplicates = cursor.fetchone()
    transaction.on_commit(lambda: doorbell.ring("deliveries"))
    return Received(stored, stored_verdict, is_duplicate=stored != new)


def _is_foreign(delivery: Delivery, mapping: ProjectMapping) -> bool:
    if delivery.project_id is None:
        return delivery.verdict == Verdict.WORK_ITEM  # an item that names no project belongs to nobody's key
    return delivery.project_id != mapping.taiga_project_id


def count_rejected(address: str | None, reason: str) -> None:
    """Count a refused attempt at its address and minute (real time): a flood is one row a minute. Nobody is blocked."""
    minute = timezone.now().replace(second=0, microsecond=0)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {RejectedDelivery._meta.db_table} (remote_address, minute, reason, count) "  # noqa: S608
            "VALUES (%s, %s, %s, 1) ON CONFLICT ON CONSTRAINT rejected_per_address_minute "
            f"DO UPDATE SET count = {RejectedDelivery._meta.db_table}.count + 1",
            [address or "0.0.0.0", minute, reason[:40]],  # noqa: S104 -- no address: it came through a local socket
        )


# --- in the worker ----------------------------------------------------------------------------------------------------


def process_due(limit: int = 500) -> int:
    """Turn received deliveries into items to read; returns how many. Safe in several workers; calls no server."""
    _expire_leases()
    done = 0
    while done < limit:
        claimed = _claim(min(_BATCH, limit - done))
        if not claimed:
            break
        for delivery in claimed:
            _process(delivery)
        done += len(claimed)
    return done


def _expire_leases() -> None:
    expired = WebhookDelivery.objects.filter(leases.has_ended(), state=DeliveryState.PROCESSING)
    for delivery in expired.defer("raw_body")[:1000]:
        fence = Q(claim_id=delivery.claim_id) & leases.has_ended()
        advance(delivery, DeliveryState.RECEIVED, why=_("the lease ran out"), only_if=fence, claim=delivery.claim_id)


def _claim(count: int) -> list[WebhookDelivery]:
    claim, now = uuid.uuid4(), timezone.now()
    with transaction.atomic():
        due = WebhookDelivery.objects.select_for_update(skip_locked=True, of=("self",)).filter(
            Q(not_before__isnull=True) | Q(not_before__lte=now), state=DeliveryState.RECEIVED
        )
        rows = list(due.order_by("id")[:count])
        WebhookDelivery.objects.filter(pk__in=[row.pk for row in rows]).update(
            state=DeliveryState.PROCESSING,
            claim_id=claim,
            lease_until=leases.end_of(),
            attempts=F("attempts") + 1,
        )
        Transition.objects.bulk_create(
            Transition(
                model="sync.webhookdelivery",
                row_id=row.pk,
                from_state=DeliveryState.RECEIVED,
                to_state=DeliveryState.PROCESSING,
                why=_("claimed"),
                claim_id=claim,
                correlation_id=row.uuid,
            )
            for row in rows
        )
    for row in rows:
        row.state, row.claim_id, row.attempts = DeliveryState.PROCESSING, claim, row.attempts + 1
    return rows


def _process(delivery: WebhookDelivery) -> None:
    try:
        with transaction.atomic():
            state, verdict, why = _act_on(delivery)
            _settle(delivery, state, why, verdict=verdict, error="", processed_at=timezone.now(), not_before=None)
    except Exception as error:
        # Whatever it was, the row must not block the ones behind it: it waits, or fails with a sentence.
        logger.exception("delivery %s could not be processed", delivery.uuid)
        sentence = error.sentence if isinstance(error, ConsoleError) else _("The console failed on this delivery.")
        delivery.state = DeliveryState.PROCESSING
        if delivery.attempts >= MAX_ATTEMPTS:
            sentence += " " + _("Its item is still found by the sweep; process it again once the cause is mended.")
            _settle(delivery, DeliveryState.FAILED, sentence, error=sentence)
        else:
            wait = timezone.now() + back_off(delivery.attempts)
            _settle(delivery, DeliveryState.RECEIVED, sentence, error=sentence, not_before=wait)


def _settle(delivery: WebhookDelivery, state: str, why: str, **changes: Any) -> None:
    advance(
        delivery,
        state,
        why=why,
        only_if=Q(claim_id=delivery.claim_id),
        claim=delivery.claim_id,
        correlation_id=delivery.uuid,
        claim_id=None,
        lease_until=None,
        **changes,
    )


def _act_on(delivery: WebhookDelivery) -> tuple[str, str, str]:
    """Do what the delivery asks for; returns its new state, its verdict and why."""
    verdict = delivery.verdict
    if delivery.taiga_project_id is not None:
        sweeps = ProjectSweep.objects.filter(project__taiga_project_id=delivery.taiga_project_id)
        sweeps.filter(Q(heard_at__isnull=True) | Q(heard_at__lt=delivery.received_at - _HEARD_STEP)).update(
            heard_at=delivery.received_at
        )
    overtaken.by_delivery(delivery)
    if verdict == Verdict.PROJECT_EVENT:
        _follow_project(delivery)
        return DeliveryState.PROCESSED, verdict, _("the project is read again")
    if verdict != Verdict.WORK_ITEM or delivery.item_taiga_id is None:
        return DeliveryState.IGNORED, verdict, _("nothing billable")
    if delivery.item_kind == ItemKind.STORY and delivery.action == "delete":
        # Its tasks vanish with it, without a delivery of their own.
        _mark_unclaimed(delivery, taiga_project_id=delivery.taiga_project_id)
    if delivery.item_kind not in BILLED_KINDS:
        return DeliveryState.IGNORED, verdict, _("nothing billable")
    if not stories.may_be_billed(delivery.item_kind, delivery.taiga_project_id) and not _has_billing_values(delivery):
        return DeliveryState.IGNORED, verdict, _("items of this kind have no attribute to bill by in this project")
    if is_echo(delivery):
        return DeliveryState.IGNORED, Verdict.ECHO, _("our own write-back")
    mark_dirty(
        delivery.item_kind,
        delivery.item_taiga_id,
        found_by=FoundBy.WEBHOOK,
        project_id=delivery.taiga_project_id,
        correlation_id=delivery.uuid,
    )
    _note_told(delivery)
    return DeliveryState.PROCESSED, verdict, _("the item is read again")


def _note_told(delivery: WebhookDelivery) -> None:
    """Keep when the item was changed there: a reading that is older than that was answered by an old copy of Taiga."""
    try:
        data = Row(parse_body(bytes(delivery.raw_body)).get("data"), "data")
        told = data.optional_instant("modified_date")
    except (MalformedPayload, ShapeError):
        return
    if told is not None and delivery.item_taiga_id is not None:
        rows = Item.objects.filter(kind=delivery.item_kind, taiga_id=delivery.item_taiga_id)
        rows.filter(Q(told_at__isnull=True) | Q(told_at__lt=told)).update(told_at=told)


def _has_billing_values(delivery: WebhookDelivery) -> bool:
    """Whether the item has a value to bill by: the attribute may be newer than our last look at the project."""
    try:
        data = parse_body(bytes(delivery.raw_body)).get("data")
    except MalformedPayload:
        return False
    values = data.get("custom_attributes_values") if isinstance(data, dict) else None
    return isinstance(values, dict) and any(stories.is_billable_name(name) for name in values)


def _follow_project(delivery: WebhookDelivery) -> None:
    """A project event names no project: only its own hook tells which one it was; the sweep looks at all."""
    if delivery.project_mapping is not None:
        _mark_unclaimed(delivery, project=delivery.project_mapping)
    transaction.on_commit(lambda: doorbell.ring("sweep"))


def _mark_unclaimed(delivery: WebhookDelivery, **scope: Any) -> None:
    waiting = Item.objects.filter(
        ~Q(state=ItemState.GONE), entries__state__in=(EntryState.HELD, EntryState.READY), **scope
    )
    marks = [Mark(kind, taiga_id) for kind, taiga_id in waiting.values_list("kind", "taiga_id").distinct()]
    mark_many(marks, found_by=FoundBy.WEBHOOK, correlation_id=delivery.uuid)


# --- our own echo -----------------------------------------------------------------------------------------------------


def is_echo(delivery: WebhookDelivery) -> bool:
    """Whether the delivery only tells what we wrote: by the service user, the status alone, equal to our value.

    The delivery may come before the answer to our PATCH, so the value that we want to write counts too.
    """
    if delivery.by_taiga_user_id is None or delivery.by_taiga_user_id != upstreams.service_user_id():
        return False
    try:
        body = parse_body(bytes(delivery.raw_body))
    except MalformedPayload:
        return False
    names = {configured_names(Company.current())[attributes.STATUS].casefold(), attributes.ALIASES[attributes.STATUS]}
    changed = _only_attribute_changed(body)
    if changed is None or changed[0].casefold() not in names:
        return False
    key = f"{delivery.item_kind}{delivery.item_taiga_id}"
    record = RemoteRecord.objects.select_related("item").filter(kind=RecordKind.STATUS, our_key=key).first()
    if record is None or record.item is None:
        return False
    original = (record.item.status_before_ours or {}).get("value")
    wanted = original if record.desired.get("restore") else record.desired.get("value")
    return changed[1] in (wanted, record.item.status_written or None)


def _only_attribute_changed(body: dict[str, Any]) -> tuple[str, Any] | None:
    """Name and new value of the one custom attribute that a delivery says was changed; None for anything else."""
    change = body.get("change")
    diff = change.get("diff") if isinstance(change, dict) else None
    if not isinstance(diff, dict) or set(diff) != {"custom_attributes"} or change.get("comment"):  # type: ignore[union-attr]
        return None
    parts = diff["custom_attributes"]
    if not isinstance(parts, dict):
        return None
    rows = [(part, row) for part in ("new", "changed", "deleted") for row in parts.get(part) or []]
    if len(rows) != 1 or not isinstance(rows[0][1], dict) or not isinstance(rows[0][1].get("name"), str):
        return None
    part, row = rows[0]
    if part == "changed":
        values = (row.get("changes") or {}).get("value")
        return (row["name"], values[1]) if isinstance(values, list) and len(values) == 2 else None
    return row["name"], row.get("value") if part == "new" else None
