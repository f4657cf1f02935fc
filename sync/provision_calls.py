"""Making a connected project's attributes and webhook in Taiga, and having Taiga test it (design: The remote writes).

Each thing is listed before it is made, and listed again afterwards: what is there already is adopted, so that doing it
twice makes nothing twice. A test that is repeated harms nobody.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console.errors import Blocked, Forbidden, NotFound, Rejected
from billing_console.fields import secret_of
from mappings.models import ProjectMapping
from sync import provision_plan, upstreams
from sync.claims import Claim, Handler, NeedsPerson, NotThere, Proof
from sync.clients.taiga import TaigaClient
from sync.clients.taiga_rows import TaigaId, WebhookLog
from sync.leases import Fence
from sync.models import RecordKind, RemoteRecord, Server, Verdict, WebhookDelivery
from sync.outbox import drain
from sync.payloads import fingerprint
from sync.provisioning import ATTRIBUTE, HOOK, TEST, door_of, want_test

NO_ADMIN, BAD_ADDRESS, NOT_ARRIVED, NO_PROJECT = "no_admin", "bad_address", "not_arrived", "no_project"


def provision_due(limit: int = 200) -> int:
    """Make every due thing, one after the other; returns how many records were handled. Safe in several workers."""
    return drain(HANDLER, limit)


def write(claim: Claim) -> Proof:
    """Look, make what is missing, look again."""
    mapping = _mapping_of(claim.record)
    taiga = _client(claim.record, claim.fence)
    upstreams.check_pin(Server.TAIGA)
    thing = claim.record.desired["thing"]
    try:
        if thing == TEST:
            return _test(taiga, mapping)
        proof = _there(taiga, mapping, claim.record, made=False)
        if proof is None:
            made = _make(taiga, mapping, claim.record.desired)
            proof = _there(taiga, mapping, claim.record, made=made)
    except Forbidden:
        raise NeedsPerson(NO_ADMIN, _no_admin(mapping)) from None
    except Blocked as blocked:
        raise NeedsPerson(NO_ADMIN, blocked.sentence) from None
    if proof is None:
        sentence = _("Taiga accepted %(what)s but does not list it. Look there, then try again.")
        raise NeedsPerson("not_listed", sentence % {"what": claim.record.our_key})
    return proof


def look_up(record: RemoteRecord) -> Proof:
    """Whether it is there, after all. Raises NotThere: then it is made again, or tested again."""
    mapping = _mapping_of(record)
    if record.desired["thing"] == TEST:
        proof = _arrived_since(mapping, record.desired["asked_at"])
    else:
        proof = _there(_client(record), mapping, record, made=True)
    if proof is None:
        raise NotThere
    return proof


def _make(taiga: TaigaClient, mapping: ProjectMapping, desired: dict[str, Any]) -> bool:
    """The writing call; False where somebody took the name a moment ago: the listing that follows finds theirs."""
    project = TaigaId(mapping.taiga_project_id)
    if desired["thing"] == ATTRIBUTE:
        try:
            taiga.create_custom_attribute(
                desired["kind"], project, desired["name"], desired["type"], desired["description"], desired["options"]
            )
        except Rejected as refusal:
            if "name" not in refusal.fields or "project" not in refusal.fields:
                raise
            return False
        return True
    key = secret_of(mapping.webhook_key)
    try:
        taiga.create_webhook(project, provision_plan.HOOK_NAME, desired["address"], key)
    except Rejected as refusal:
        if "url" not in refusal.fields:
            raise
        sentence = _(
            'Taiga does not take the address %(url)s: "%(words)s". PUBLIC_URL must be an address with a full name '
            "(a dot in it); for a private address Taiga's own setting WEBHOOKS_ALLOW_PRIVATE_ADDRESS must be on."
        )
        words = " ".join(refusal.fields["url"])
        raise NeedsPerson(BAD_ADDRESS, sentence % {"url": desired["address"], "words": words}) from None
    return True


def _there(taiga: TaigaClient, mapping: ProjectMapping, record: RemoteRecord, *, made: bool) -> Proof | None:
    """What the list in Taiga says of this thing now; None when it has none."""
    desired, project = record.desired, TaigaId(mapping.taiga_project_id)
    if desired["thing"] == ATTRIBUTE:
        rows = taiga.custom_attributes(desired["kind"], project)
        found = provision_plan.find_attribute(desired["field"], desired["name"], rows)
        prefix = f"{desired['kind']}:{desired['field']}"
        facts: dict[str, Any] = {}
    else:
        hook = provision_plan.find_hook(door_of(mapping), taiga.webhooks(project))
        if hook is not None and hook.is_own:
            _take_key(mapping, hook.key)
        found, prefix, facts = hook, HOOK, {"is_own": hook.is_own} if hook else {}
    if found is None:
        return None
    was_ours = made or record.seen.get("made", False)
    return Proof(f"{prefix}:{found.id}", {"id": found.id, "wrong": list(found.wrong), "made": was_ours, **facts})


def _take_key(mapping: ProjectMapping, key: str) -> None:
    """The key that Taiga signs with is the project's, whoever typed it there; ours stays valid beside it.

    Nothing is changed in Taiga for it: there is no moment at which a delivery is refused.
    """
    with transaction.atomic():
        row = ProjectMapping.objects.select_for_update().get(pk=mapping.pk)
        if key and row.webhook_key != key:
            row.move_key_to(key)
            row._change_reason = _("key taken over from Taiga")  # type: ignore[attr-defined]
            row.save()


# --- the test ---------------------------------------------------------------------------------------------------------


def _test(taiga: TaigaClient, mapping: ProjectMapping) -> Proof:
    """Have Taiga send its test; it answers when the delivery was answered, so that its row is there by then."""
    hook = RemoteRecord.objects.get(
        server=Server.TAIGA, kind=RecordKind.PROVISION, our_key=f"P{mapping.taiga_project_id}/{HOOK}"
    )
    try:
        log = taiga.test_webhook(TaigaId(hook.seen["id"]))
    except NotFound:
        sentence = _(
            "The webhook is not in Taiga any more, or our user does not administer the project any more. "
            "Connect the project again."
        )
        raise NeedsPerson(NO_ADMIN, sentence) from None
    digest = fingerprint(log.raw["request_data"])
    delivery = WebhookDelivery.objects.filter(fingerprint=digest, verdict=Verdict.TEST).first()
    if delivery is None:
        raise NeedsPerson(NOT_ARRIVED, _why_not(log))
    return _proof_of(delivery)


def _arrived_since(mapping: ProjectMapping, asked_at: str) -> Proof | None:
    rows = WebhookDelivery.objects.filter(
        verdict=Verdict.TEST, project_mapping=mapping, received_at__gte=datetime.fromisoformat(asked_at)
    )
    delivery = rows.order_by("-pk").first()
    return _proof_of(delivery) if delivery else None


def _proof_of(delivery: WebhookDelivery) -> Proof:
    return Proof(None, {"delivery": delivery.pk, "at": timezone.now().isoformat(), "wrong": []})


def _why_not(log: WebhookLog) -> str:
    words = {"url": log.url, "status": log.status, "answer": log.response_text[:200]}
    if log.status == 0:
        return (
            _(
                "Taiga cannot reach %(url)s (%(answer)s). Check that the console runs there and PUBLIC_URL is what "
                "Taiga's server can open; private addresses need its setting WEBHOOKS_ALLOW_PRIVATE_ADDRESS."
            )
            % words
        )
    if log.status == 403:
        return _("The test was refused: the webhook is signed with a key that the console does not know.") % words
    if 300 <= log.status < 400:
        return _("%(url)s sent the test elsewhere, which Taiga does not follow. Correct PUBLIC_URL.") % words
    if 200 <= log.status < 300:
        return _("Something else than this console answers at %(url)s. Correct PUBLIC_URL, or the proxy.") % words
    return _("%(url)s answered the test with HTTP %(status)d. Correct PUBLIC_URL, or look at the proxy.") % words


# --- inside -----------------------------------------------------------------------------------------------------------


def _client(record: RemoteRecord, fence: Fence | None = None) -> TaigaClient:
    return upstreams.taiga_client(correlation_id=record.correlation_id, attempt=record.attempts, fence=fence)


def _mapping_of(record: RemoteRecord) -> ProjectMapping:
    mapping = ProjectMapping.objects.filter(pk=record.desired["mapping"]).first()
    if mapping is None:
        raise NeedsPerson(NO_PROJECT, _("The project was taken out of the console. Connect it again if it is billed."))
    return mapping


def _no_admin(mapping: ProjectMapping) -> str:
    return _(
        "Taiga does not let our user administer %(project)s. In Taiga, Admin → Members, tick “Admin” for it (or take "
        "the project out of the archive), then try again. Or do it by hand, as the manual says."
    ) % {"project": mapping}


def _after_sync(record: RemoteRecord) -> None:
    """A webhook that is there is tested."""
    if record.desired["thing"] == HOOK:
        want_test(_mapping_of(record))


HANDLER = Handler(RecordKind.PROVISION, write, look_up, _after_sync, makes_another=True)
