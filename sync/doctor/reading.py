"""What the doctor's rules need to know, asked of both servers and of our own rows. Reads only."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from django.conf import settings
from django.db.models import F, Max, Q

from billing_console import clock
from billing_console.errors import Forbidden, ServerFault, Unauthorized, UpstreamError
from billing_console.fields import UnreadableSecret
from billing_console.formats import moment
from billing_console.states import ItemKind
from mappings.lookups import find_rate, rule_set_for
from mappings.models import Client, Membership, ProjectMapping
from sync import heartbeats
from sync.clients.invoice_ninja import InvoiceNinjaClient
from sync.clients.ninja_company import NinjaSelfCheck
from sync.clients.ninja_rows import NinjaClient, NinjaCompany
from sync.clients.taiga import TaigaClient
from sync.clients.taiga_rows import TaigaId, TaigaProject
from sync.clients.taiga_rows import Webhook as TaigaHook
from sync.doctor import hook_rules
from sync.doctor.client_rules import ClientFacts, OtherRate
from sync.doctor.hook_logs import HookLog
from sync.doctor.hook_rules import Address, Hook, Listening
from sync.doctor.ninja_rules import CompanyFacts
from sync.doctor.project_rules import ProjectFacts
from sync.doctor.server_rules import NinjaHealth, ServerFacts
from sync.marks import BILLED_KINDS
from sync.models import FoundBy, Server, WebhookDelivery, WorkItem

NOTICED_WITHIN: Final = dt.timedelta(hours=1)
MISSED_WITHIN: Final = dt.timedelta(days=7)
_ALL: Final = "active,archived,deleted"


def is_production() -> bool:
    """Whether real money goes through this installation."""
    return bool(settings.ENVIRONMENT != "sandbox")


# --- the servers ------------------------------------------------------------------------------------------------------


def taiga_server(taiga: TaigaClient) -> ServerFacts:
    """Who we are at Taiga, or why it does not let us in."""
    failure, who = "", ""
    try:
        user = taiga.me()
        who = user.username or user.full_name
    except UpstreamError as error:
        failure = error.sentence
    return ServerFacts(Server.TAIGA, taiga.base_url, is_production(), failure, who, taiga.skew)


def ninja_server(ninja: InvoiceNinjaClient) -> tuple[ServerFacts, NinjaHealth | None, CompanyFacts | None]:
    """Who we are at Invoice Ninja, what it says of itself, and its company's settings as far as we may see them."""
    try:
        ping = ninja.ping()
    except UpstreamError as error:
        return ServerFacts(Server.NINJA, ninja.base_url, is_production(), error.sentence, "", ninja.skew), None, None
    server = ServerFacts(Server.NINJA, ninja.base_url, is_production(), "", ping.user_name, ninja.skew)
    company, own = _company(ninja), _self_check(ninja)
    health = NinjaHealth(
        version=ping.version,
        is_admin=company is not None,
        is_told=own is not None,
        is_well=own is None or own.is_well,
        mailer=own.mailer if own else "",
        has_pending_migrations=bool(own and own.has_pending_migrations),
        queue_error=own.queue_error if own else "",
    )
    if company is None:
        return server, health, None
    modules = company.raw.get("enabled_modules")
    return (
        server,
        health,
        CompanyFacts(
            settings=company.settings,
            invoice_task_lock=company.is_task_locked_when_invoiced,
            update_products=company.updates_products,
            enabled_modules=modules if isinstance(modules, int) and not isinstance(modules, bool) else None,
            pdf_engine=own.pdf_engine if own else None,
            may_execute=own is None or own.may_execute,
            product=rule_set_for(None).product_key,
        ),
    )


def _company(ninja: InvoiceNinjaClient) -> NinjaCompany | None:
    """The company; None for a token of no administrator, on which the server breaks."""
    try:
        return ninja.company()
    except (ServerFault, Forbidden):
        return None


def _self_check(ninja: InvoiceNinjaClient) -> NinjaSelfCheck | None:
    """The server's own health check; None on a hosted one, which tells nobody."""
    try:
        return ninja.self_check()
    except (Forbidden, Unauthorized):
        return None


# --- a project --------------------------------------------------------------------------------------------------------


def project(mapping: ProjectMapping, taiga: TaigaClient) -> ProjectFacts:
    """Everything about one mapped project; raises UpstreamError, NotFound where our user does not see it."""
    row = taiga.project(TaigaId(mapping.taiga_project_id))
    kinds = {str(kind): taiga.custom_attributes(kind, row.id) for kind in BILLED_KINDS}
    return ProjectFacts(
        project=str(mapping),
        slug=row.slug,
        mapping=mapping.pk,
        is_member=row.raw.get("i_am_member") is not False or row.is_admin,
        is_admin=row.is_admin,
        is_archived=row.is_archived,
        is_blocked=row.is_blocked,
        permissions=frozenset(row.permissions),
        kinds=kinds,
        listening=_listening(mapping, row, taiga) if row.is_admin else None,
        missed="" if row.is_admin else _missed_since_told(mapping),
    )


def _listening(mapping: ProjectMapping, row: TaigaProject, taiga: TaigaClient) -> Listening:
    address = Address(settings.PUBLIC_URL, str(mapping.uuid))
    hooks = [_hook(mapping, hook, ()) for hook in taiga.webhooks(row.id)]
    ours = {hook.id for hook in hook_rules.ours_among(hooks, address)}
    hooks = [_with_logs(hook, taiga) if hook.id in ours else hook for hook in hooks]
    is_unlogged = any(hook.id in ours and not hook.logs for hook in hooks)
    heard_common, heard_own = _heard(mapping) if is_unlogged else (None, None)
    return Listening(
        project=str(mapping),
        slug=row.slug,
        address=address,
        hooks=tuple(hooks),
        is_production=is_production(),
        missed_at=_missed_at(mapping),
        zone=settings.BILLING_TIMEZONE,
        mapping=mapping.pk,
        heard_common=heard_common,
        heard_own=heard_own,
    )


def _heard(mapping: ProjectMapping) -> tuple[dt.datetime | None, dt.datetime | None]:
    """When the last believed delivery of the project came that WEBHOOK_SECRET signed, and that its own key signed."""
    # One that Taiga told with a time that has not come yet says nothing: its clock was ahead.
    rows = WebhookDelivery.objects.filter(
        taiga_project_id=mapping.taiga_project_id, event_at__lte=clock.now() + heartbeats.AHEAD
    )
    last = rows.aggregate(
        common=Max("event_at", filter=Q(project_mapping__isnull=True)),
        own=Max("event_at", filter=Q(project_mapping=mapping)),
    )
    return last["common"], last["own"]


def _hook(mapping: ProjectMapping, hook: TaigaHook, logs: tuple[HookLog, ...]) -> Hook:
    return Hook(hook.id, hook.name, hook.url, _key_of(mapping, hook), logs)


def _key_of(mapping: ProjectMapping, hook: TaigaHook) -> str:
    """Whether the webhook's key is the one that its address asks for. Only the word leaves this function."""
    if not hook_rules.uuid_in(hook.url):
        return hook_rules.KEY_RIGHT if hook.key == settings.WEBHOOK_SECRET else hook_rules.KEY_WRONG
    if not mapping.webhook_key and not mapping.previous_webhook_key:
        return hook_rules.KEY_NOT_SET
    if isinstance(mapping.webhook_key, UnreadableSecret):
        return hook_rules.KEY_UNREADABLE
    if hook.key == mapping.webhook_key:
        return hook_rules.KEY_RIGHT
    return hook_rules.KEY_PREVIOUS if hook.key == mapping.previous_webhook_key else hook_rules.KEY_WRONG


def _with_logs(hook: Hook, taiga: TaigaClient) -> Hook:
    logs = taiga.webhook_logs(TaigaId(hook.id))
    newest = sorted(logs, key=lambda log: (log.created_at, log.id), reverse=True)
    return Hook(
        hook.id,
        hook.name,
        hook.url,
        hook.key,
        tuple(HookLog(log.status, log.response_text, log.created_at) for log in newest),
    )


def _missed_at(mapping: ProjectMapping) -> dt.datetime | None:
    """The last closing that only a sweep noticed and that a webhook tells: a task with a story, or an issue.

    What was closed before the console looked at the project was not missed: only what was noticed soon counts.
    """
    told = Q(kind=ItemKind.TASK, has_story=True) | Q(kind=ItemKind.ISSUE)
    rows = WorkItem.objects.filter(
        told,
        project=mapping,
        closing_found_by=FoundBy.SWEEP,
        finished_at__gte=F("closed_seen_at") - NOTICED_WITHIN,
        closed_seen_at__gte=clock.now() - MISSED_WITHIN,
    )
    newest: dt.datetime | None = rows.aggregate(newest=Max("closed_seen_at"))["newest"]
    return newest


def _missed_since_told(mapping: ProjectMapping) -> str:
    """When work was closed after the last delivery of the project, in words; "" where nothing was missed since."""
    missed = _missed_at(mapping)
    deliveries = WebhookDelivery.objects.filter(taiga_project_id=mapping.taiga_project_id)
    told: dt.datetime | None = deliveries.aggregate(newest=Max("event_at"))["newest"]
    if missed is None or (told is not None and missed <= told + hook_rules.PATIENCE):
        return ""
    return moment(missed, settings.BILLING_TIMEZONE)


# --- the clients ------------------------------------------------------------------------------------------------------


def clients(ninja: InvoiceNinjaClient) -> tuple[list[ClientFacts], Mapping[str, Any]]:
    """The clients of all active projects, and the settings of the company ({} where we may not see them)."""
    found = _company(ninja)
    company: Mapping[str, Any] = found.settings if found else {}
    codes = {row.id: row.code for row in ninja.currencies()}
    there = {str(row.id): row for row in ninja.clients(_ALL)}
    mappings: dict[Client, list[ProjectMapping]] = defaultdict(list)
    for mapping in ProjectMapping.objects.filter(is_active=True).select_related("client").order_by("pk"):
        mappings[mapping.client].append(mapping)
    return [
        _client(client, of_client, there.get(client.ninja_id), codes, company) for client, of_client in mappings.items()
    ], company


def _client(
    client: Client,
    mappings: list[ProjectMapping],
    row: NinjaClient | None,
    codes: Mapping[Any, str],
    company: Mapping[str, Any],
) -> ClientFacts:
    names = tuple(str(mapping) for mapping in mappings)
    if row is None:
        return ClientFacts(client.ninja_id, str(client), names, is_known=False, first_mapping=mappings[0].pk)
    currency = codes.get(row.currency_id or company.get("currency_id"), "") or client.currency
    own = row.raw.get("settings")
    return ClientFacts(
        ninja_id=client.ninja_id,
        name=row.name or str(client),
        projects=names,
        is_deleted=row.is_deleted,
        is_archived=row.archived_at is not None and not row.is_deleted,
        emails=tuple(contact.email for contact in row.contacts if contact.gets_mail and contact.email),
        currency=currency,
        settings=own if isinstance(own, dict) else {},
        other_rates=tuple(_other_rates(client, currency, mappings)),
        first_mapping=mappings[0].pk,
    )


def _other_rates(client: Client, currency: str, mappings: Iterable[ProjectMapping]) -> Iterable[OtherRate]:
    """The rates that would price today's work of each member of these projects, where their currency is another."""
    if not currency:
        return
    prefer, today = rule_set_for(client).prefer, clock.today(settings.BILLING_TIMEZONE)
    for mapping in mappings:
        members = Membership.objects.filter(taiga_project_id=mapping.taiga_project_id).select_related("person")
        for person in [*(member.person for member in members), None]:
            rate = find_rate(item_rate=None, person=person, project=mapping, client=client, on=today, prefer=prefer)
            if rate is not None and rate.currency != currency:
                yield OtherRate(str(person) if person else rate.label, str(mapping), rate.currency)
