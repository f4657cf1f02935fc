"""What holds for a client, a project and a person right now: few queries, used for every entry."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max, Q, Subquery

from billing_console import clock
from billing_console.errors import StaleRevision
from mappings import hooks, rules
from mappings.models import (
    Client,
    Company,
    Frequency,
    Membership,
    Person,
    ProjectMapping,
    Rate,
    RateLevel,
    RuleSet,
)
from mappings.rates import ChosenRate, RateRow, choose_rate, fold

__all__ = [
    "find_rate",
    "fold",
    "hour_rules",
    "mapping_of",
    "new_rule_set_version",
    "person_of",
    "rule_set_for",
    "rule_sets_for",
    "zone_of",
]

RULE_FIELDS = tuple(
    field.name
    for field in RuleSet._meta.concrete_fields
    if field.name not in ("id", "client", "version", "is_current", "created_at", "created_by")
)


# --- Rules ------------------------------------------------------------------------------------------------------


def rule_set_for(client: Client | None) -> RuleSet:
    """The rules of `client`: its current version, else the company's, which is made with defaults when absent."""
    scope = Q(client__isnull=True)
    if client is not None:
        scope |= Q(client=client)
    found = sorted(RuleSet.objects.filter(scope, is_current=True), key=lambda row: row.client_id is None)
    return found[0] if found else _company_rule_set()


def rule_sets_for(client_ids: Iterable[int]) -> dict[int, RuleSet]:
    """The rules of each client, by client id, in at most two queries; clients without their own get the company's."""
    wanted = list(client_ids)
    current = RuleSet.objects.filter(Q(client_id__in=wanted) | Q(client__isnull=True), is_current=True)
    by_client = {row.client_id: row for row in current}
    if not wanted:
        return {}
    company = by_client.get(None) or _company_rule_set()
    return {client_id: by_client.get(client_id, company) for client_id in wanted}


def zone_of(rule_set: RuleSet) -> str:
    """IANA name of the zone in which the rules count days: their own, else the console's BILLING_TIMEZONE."""
    return rule_set.billing_timezone or settings.BILLING_TIMEZONE


def hour_rules(rule_set: RuleSet) -> rules.HourRules:
    """The rounding and minimum of `rule_set`, for `rules.bill_hours`."""
    return rules.HourRules(
        rounding=rule_set.rounding,
        mode=rule_set.rounding_mode,
        minimum=rule_set.min_billable_hours,
        minimum_mode=rule_set.min_mode,
    )


def new_rule_set_version(
    client: Client | None, changes: Mapping[str, Any], user: Any = None, *, based_on: RuleSet | None = None
) -> RuleSet:
    """Make the next version of the rules of `client` (None: the company's) and return it, current from now on.

    Starts from the client's current version, else from the company's; `changes` are field names and values. Where
    nothing would change, the current version is returned and nothing is written. A biweekly schedule without an
    anchor begins on the Monday of this week (business time). Locks the company's row, so that two at once make
    two versions; with `based_on`, the version that was on the screen, the second raises StaleRevision instead.
    Raises ValidationError for a value the rules do not allow, KeyError for an unknown name.
    """
    if unknown := set(changes) - set(RULE_FIELDS):
        raise KeyError(", ".join(sorted(unknown)))
    with transaction.atomic():
        Company.current()
        Company.objects.select_for_update().get(pk=1)
        own = RuleSet.objects.filter(client=client, is_current=True).first()
        if based_on is not None and based_on.pk != (own.pk if own else None):
            raise StaleRevision()
        base = own or RuleSet.objects.filter(client__isnull=True, is_current=True).first() or RuleSet()
        values = {name: getattr(base, name) for name in RULE_FIELDS} | dict(changes)
        new = RuleSet(client=client, created_by=user, **values)
        if new.frequency == Frequency.BIWEEKLY and new.anchor_date is None:
            new.anchor_date = rules.iso_week(clock.today(zone_of(new))).start
        new.full_clean(exclude=["client", "created_by"], validate_unique=False, validate_constraints=False)
        if own is not None and all(getattr(own, name) == getattr(new, name) for name in RULE_FIELDS):
            return own
        highest = RuleSet.objects.filter(client=client).aggregate(highest=Max("version"))["highest"]
        new.version = (highest or 0) + 1
        RuleSet.objects.filter(client=client, is_current=True).update(is_current=False)
        new.save(force_insert=True)
        hooks.changed(new)
    return new


def _company_rule_set() -> RuleSet:
    return RuleSet.objects.get_or_create(client=None, is_current=True)[0]


# --- Projects, people, rates ------------------------------------------------------------------------------------


def mapping_of(taiga_project_id: int) -> ProjectMapping | None:
    """The mapping of a Taiga project with its client and Invoice Ninja project, or None; one query."""
    related = ProjectMapping.objects.select_related("client", "ninja_project")
    return related.filter(taiga_project_id=taiga_project_id).first()


def person_of(taiga_user_id: int, username: str = "", full_name: str = "") -> Person:
    """The person of a Taiga user; made when new, renamed when Taiga says another name (empty names say nothing)."""
    names = {key: value for key, value in {"username": username, "full_name": full_name}.items() if value}
    person, is_new = Person.objects.get_or_create(taiga_user_id=taiga_user_id, defaults=names)
    stale = {key: value for key, value in names.items() if getattr(person, key) != value}
    if not is_new and stale:
        for key, value in stale.items():
            setattr(person, key, value)
        person.save(update_fields=list(stale))
    return person


def find_rate(
    *,
    item_rate: Decimal | None,
    person: Person | None,
    project: ProjectMapping,
    client: Client | None,
    on: dt.date,
    prefer: str,
) -> ChosenRate | None:
    """The hourly rate of work by `person` in `project` on the local day `on`, or None; one query.

    `item_rate` is the item's own, in the currency of the client (the company's while that is unknown). The role
    is the person's in this Taiga project. Without a person the levels of persons are skipped.
    """
    rows = Rate.objects.filter(_candidates(person, project, client)).select_related(
        "person", "role", "project", "client"
    )
    currency = (client.currency if client is not None else "") or ""
    if item_rate is not None and not currency:
        currency = Company.current().currency
    return choose_rate(
        item_rate,
        [_as_row(rate) for rate in rows],
        prefer=prefer,
        on=on,
        currency=currency,
        has_person=person is not None,
    )


def _candidates(person: Person | None, project: ProjectMapping, client: Client | None) -> Q:
    candidates = Q(level=RateLevel.PROJECT, project=project)
    if client is not None:
        candidates |= Q(level=RateLevel.CLIENT, client=client)
    if person is not None:
        role_keys = Membership.objects.filter(person=person, taiga_project_id=project.taiga_project_id)
        candidates |= Q(level=RateLevel.USER_IN_PROJECT, person=person, project=project)
        candidates |= Q(level=RateLevel.USER, person=person)
        candidates |= Q(level=RateLevel.ROLE, role__key__in=Subquery(role_keys.values("role_key")))
    return candidates


def _as_row(rate: Rate) -> RateRow:
    level = RateLevel(rate.level)
    named: dict[RateLevel, Any] = {
        RateLevel.USER_IN_PROJECT: rate.person,
        RateLevel.USER: rate.person,
        RateLevel.ROLE: rate.role,
        RateLevel.PROJECT: rate.project,
        RateLevel.CLIENT: rate.client,
    }
    return RateRow(
        level=level.value,
        amount=rate.amount,
        currency=rate.currency,
        row_id=rate.pk,
        valid_from=rate.valid_from,
        valid_to=rate.valid_to,
        label=str(named[level]),
    )
