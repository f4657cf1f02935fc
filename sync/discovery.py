"""What both servers have that we need: clients, projects, products, currencies, the tax, people and their roles.

Read, never written there. A change is told to everybody who priced by it (`mappings.hooks`).
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from django.db import models, transaction
from django.utils import timezone

from billing_console.errors import ConsoleError
from mappings import hooks
from mappings.lookups import fold
from mappings.models import Client, Company, Membership, NinjaProject, Person, Product, ProjectMapping
from sync import heartbeats, upstreams
from sync.clients import ninja_parse, ninja_rows, taiga_rows
from sync.clients.taiga import TaigaClient
from sync.models import Heartbeat

logger = logging.getLogger(__name__)

MAX_AGE: Final = dt.timedelta(minutes=10)
NINJA_HEARTBEAT: Final = "invoice_ninja_discovery"
_THOUSANDTH: Final = Decimal("0.001")  # as fine as a rule set's rate
_ALL: Final = "active,archived,deleted"
_UNKNOWN_WAIT: Final = dt.timedelta(minutes=1)
_AFTER_FAILURE: Final = dt.timedelta(minutes=1)
_NINJA_FAILED: Final = NINJA_HEARTBEAT + heartbeats.FAILED


def refresh_all() -> list[str]:
    """Read everything again; returns a sentence for each server or project that could not be read."""
    failures = []
    try:
        refresh_invoice_ninja()
    except ConsoleError as error:
        failures.append(error.sentence)
    for mapping in ProjectMapping.objects.filter(is_active=True).order_by("pk"):
        try:
            refresh_project(mapping)
        except ConsoleError as error:
            logger.warning("project %s could not be refreshed: %s", mapping.taiga_project_id, error.sentence)
            failures.append(f"{mapping}: {error.sentence}")
    return failures


# --- Invoice Ninja ----------------------------------------------------------------------------------------------------


def ensure_fresh(max_age: dt.timedelta = MAX_AGE) -> None:
    """Read Invoice Ninja's clients and projects again unless that was done within `max_age` (real time).

    Raises UpstreamError when it has to and cannot.
    """
    heartbeat = Heartbeat.objects.filter(name=NINJA_HEARTBEAT).first()
    if heartbeat is None or heartbeat.at < timezone.now() - max_age:
        refresh_invoice_ninja()


def ensure_clients_known() -> None:
    """`ensure_fresh`, sooner where a project is mapped to a client that Invoice Ninja was not yet seen to have."""
    is_waiting = ProjectMapping.objects.filter(is_active=True, client__is_known=False).exists()
    ensure_fresh(_UNKNOWN_WAIT if is_waiting else MAX_AGE)


def refresh_when_old() -> None:
    """`ensure_clients_known` in a worker; after a failure not again within a minute, and `failure` says what it was."""
    failed = Heartbeat.objects.filter(name=_NINJA_FAILED, at__gt=timezone.now() - _AFTER_FAILURE)
    if failure() and failed.exists():
        return
    try:
        ensure_clients_known()
    except ConsoleError as error:
        logger.warning("the lists of Invoice Ninja could not be read: %s", error.sentence)
        heartbeats.note_failure(NINJA_HEARTBEAT, error.sentence)


def read_at() -> dt.datetime | None:
    """When the lists were read last (real time); None also while they are asked for and were not read again yet."""
    return Heartbeat.objects.filter(name=NINJA_HEARTBEAT).values_list("at", flat=True).first()


def failure() -> str:
    """Why the lists could not be read since, as a sentence; "" when they could."""
    failed = Heartbeat.objects.filter(name=_NINJA_FAILED).first()
    last = read_at()
    return failed.detail if failed and (last is None or failed.at > last) else ""


def forget() -> None:
    """Whoever looks next reads the lists anew."""
    Heartbeat.objects.filter(name__in=(NINJA_HEARTBEAT, _NINJA_FAILED)).delete()


def is_client_alive(ninja_id: str) -> bool:
    """Whether Invoice Ninja's list, as last read, has that client, not deleted (archived ones may be billed)."""
    return Client.objects.filter(ninja_id=ninja_id, is_known=True, is_deleted=False).exists()


def refresh_invoice_ninja() -> None:
    """Read Invoice Ninja's company, clients, projects and products into our cached rows; what it lost is unknown."""
    ninja = upstreams.ninja_client()
    company, currencies = ninja.company(), {row.id: row for row in ninja.currencies()}
    clients, projects, products = ninja.clients(_ALL), ninja.projects(status=_ALL), ninja.products(_ALL)
    default = currencies.get(ninja_rows.NinjaId(str(company.settings.get("currency_id") or "")))
    now = timezone.now()
    with transaction.atomic():
        _store_company(company, default.code if default else "")
        changed = _store_clients(clients, currencies, default, now, company.settings)
        _store_projects(projects, now)
        _store_products(products, now)
        heartbeats.note(NINJA_HEARTBEAT)
        for row in changed:
            hooks.changed(row)


def _store_company(there: ninja_rows.NinjaCompany, currency: str) -> None:
    company = Company.current()
    rate = there.tax_rate.quantize(_THOUSANDTH) if 0 <= there.tax_rate <= 100 else None
    values = {
        "name": there.name,
        "currency": currency or company.currency,
        "tax_name": there.tax_name,
        "tax_rate": rate if there.tax_name else None,
    }
    changed = [name for name, value in values.items() if getattr(company, name) != value]
    if not changed:
        return
    for name in changed:
        setattr(company, name, values[name])
    company.save(update_fields=changed)
    if {"name", "currency"} & set(changed):
        hooks.changed(company)


def _store_clients(
    rows: Iterable[ninja_rows.NinjaClient],
    currencies: dict[Any, ninja_rows.NinjaCurrency],
    default: ninja_rows.NinjaCurrency | None,
    now: dt.datetime,
    of_company: dict[str, Any],
) -> list[Client]:
    """Returns the clients that are new or not what entries were priced by any more."""
    known = {client.ninja_id: client for client in Client.objects.select_for_update()}
    fresh, changed = {}, []
    for row in rows:
        client = known.get(row.id) or Client(ninja_id=row.id)
        currency = currencies.get(row.currency_id) or default
        values = {
            "name": row.name,
            "currency": currency.code if currency else "",
            "currency_decimals": currency.precision if currency else None,
            "contacts": [_contact(contact) for contact in row.contacts],
            "rounds_to_five_cents": _rounds_to_five_cents(row, of_company),
            "is_known": True,
            "is_archived": row.archived_at is not None,
            "is_deleted": row.is_deleted,
        }
        prices = ("currency", "is_known", "is_deleted")
        if client.pk is None or any(getattr(client, name) != values[name] for name in prices):
            changed.append(client)
        for name, value in values.items():
            setattr(client, name, value)
        client.refreshed_at = now
        fresh[row.id] = client
    Client.objects.bulk_create(
        fresh.values(),
        update_conflicts=True,
        unique_fields=["ninja_id"],
        update_fields=[
            "name",
            "currency",
            "currency_decimals",
            "contacts",
            "rounds_to_five_cents",
            "is_known",
            "is_archived",
            "is_deleted",
            "refreshed_at",
        ],
    )
    missing = [client for ninja_id, client in known.items() if ninja_id not in fresh and client.is_known]
    Client.objects.filter(pk__in=[client.pk for client in missing]).update(is_known=False)
    return changed + missing


def _rounds_to_five_cents(row: ninja_rows.NinjaClient, of_company: dict[str, Any]) -> bool:
    """The client's own setting, else the company's (recordings 792 to 798)."""
    own = row.rounds_to_five_cents
    return bool(ninja_parse.five_cents(of_company)) if own is None else own


def keep_contacts(row: ninja_rows.NinjaClient) -> None:
    """Keep the contacts of a client that was just read by itself."""
    Client.objects.filter(ninja_id=row.id).update(contacts=[_contact(contact) for contact in row.contacts])


def _contact(contact: ninja_rows.NinjaContact) -> dict[str, Any]:
    return {
        "id": contact.id,
        "name": contact.name,
        "email": contact.email,
        "send_email": contact.gets_mail,
        "is_primary": contact.is_primary,
    }


def _store_projects(rows: Iterable[ninja_rows.NinjaProject], now: dt.datetime) -> None:
    clients = {client.ninja_id: client for client in Client.objects.all()}
    known = {project.ninja_id: project for project in NinjaProject.objects.select_for_update()}
    fresh = {}
    for row in rows:
        client = clients.get(row.client_id)
        if client is None:
            continue  # its client is not visible to our token, so nothing of it can be billed
        project = known.get(row.id) or NinjaProject(ninja_id=row.id)
        project.client, project.name = client, row.name
        project.is_known, project.is_deleted = True, row.is_deleted
        project.is_archived, project.refreshed_at = row.archived_at is not None, now
        fresh[row.id] = project
    NinjaProject.objects.bulk_create(
        fresh.values(),
        update_conflicts=True,
        unique_fields=["ninja_id"],
        update_fields=["client", "name", "is_known", "is_archived", "is_deleted", "refreshed_at"],
    )
    NinjaProject.objects.exclude(ninja_id__in=fresh).update(is_known=False)


def _store_products(rows: Iterable[ninja_rows.NinjaProduct], now: dt.datetime) -> None:
    fresh = [
        Product(
            ninja_id=row.id,
            product_key=row.product_key,
            notes=row.notes,
            is_known=True,
            is_archived=row.archived_at is not None,
            is_deleted=row.is_deleted,
            refreshed_at=now,
        )
        for row in rows
    ]
    columns = ["product_key", "notes", "is_known", "is_archived", "is_deleted", "refreshed_at"]
    Product.objects.bulk_create(fresh, update_conflicts=True, unique_fields=["ninja_id"], update_fields=columns)
    Product.objects.exclude(ninja_id__in=[row.ninja_id for row in fresh]).update(is_known=False)


# --- Taiga ------------------------------------------------------------------------------------------------------------


def refresh_project(mapping: ProjectMapping) -> None:
    """Read the name of a mapped Taiga project and who has which role in it. Raises UpstreamError."""
    taiga = upstreams.taiga_client()
    project = taiga.project(taiga_rows.TaigaId(mapping.taiga_project_id))
    ProjectMapping.objects.filter(pk=mapping.pk).update(
        taiga_project_name=project.name[:255] or mapping.taiga_project_name, taiga_slug=project.slug[:255]
    )
    refresh_memberships(mapping.taiga_project_id, taiga)


def ensure_role(taiga_project_id: int, taiga_user_id: int, taiga: TaigaClient) -> None:
    """Make sure that we know the user's role before something is priced by it.

    Reads the project's memberships when they are older than ten minutes, or the user is in none of them and they were
    not read within the last minute (real time). Raises UpstreamError.
    """
    rows = Membership.objects.filter(taiga_project_id=taiga_project_id)
    newest = rows.aggregate(newest=models.Max("refreshed_at"))["newest"]
    age = timezone.now() - newest if newest else None
    is_known = rows.filter(person__taiga_user_id=taiga_user_id).exists()
    if age is None or age > MAX_AGE or (not is_known and age > _UNKNOWN_WAIT):
        refresh_memberships(taiga_project_id, taiga)


def refresh_memberships(taiga_project_id: int, taiga: TaigaClient) -> None:
    """Read who has which role in a Taiga project; a role that is new or changed is told to whoever prices by it."""
    roles: dict[int, taiga_rows.Membership] = {}
    for row in taiga.memberships(taiga_rows.TaigaId(taiga_project_id)):
        if row.user_id is not None:
            roles[row.user_id] = row
    now = timezone.now()
    with transaction.atomic():
        people = _store_people(roles)
        before = {
            row.person_id: row
            for row in Membership.objects.select_for_update().filter(taiga_project_id=taiga_project_id)
        }
        fresh = [
            Membership(
                person=people[user_id],
                taiga_project_id=taiga_project_id,
                role_name=row.role_name[:255],
                role_key=fold(row.role_name)[:255],
                refreshed_at=now,
            )
            for user_id, row in roles.items()
        ]
        changed = [
            new for new in fresh if new.person_id not in before or before[new.person_id].role_key != new.role_key
        ]
        Membership.objects.bulk_create(
            fresh,
            update_conflicts=True,
            unique_fields=["person", "taiga_project_id"],
            update_fields=["role_name", "role_key", "refreshed_at"],
        )
        # Who left the project keeps the role: it prices work that was done before.
        for membership in changed:
            hooks.changed(membership)


def _store_people(roles: dict[int, taiga_rows.Membership]) -> dict[int, Person]:
    people = {person.taiga_user_id: person for person in Person.objects.filter(taiga_user_id__in=roles)}
    renamed = []
    for user_id, row in roles.items():
        person = people.get(user_id)
        if person is not None and row.full_name and person.full_name != row.full_name[:255]:
            person.full_name = row.full_name[:255]
            renamed.append(person)
    Person.objects.bulk_update(renamed, ["full_name"])
    new = [Person(taiga_user_id=key, full_name=row.full_name[:255]) for key, row in roles.items() if key not in people]
    Person.objects.bulk_create(new, ignore_conflicts=True)
    return {person.taiga_user_id: person for person in Person.objects.filter(taiga_user_id__in=roles)}
