"""Everything that pricing a batch of items needs to know, read at once: a handful of queries for one or a hundred."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal

from django.db.models import Q

from billing_console.states import ItemKind
from mappings.effects import Change
from mappings.lookups import rule_set_for, rule_sets_for
from mappings.models import Client, Company, Membership, Person, ProjectMapping, Rate, RateLevel, RuleSet
from mappings.rates import ChosenRate, RateRow, choose_rate
from sync import attributes, hooks, stories
from sync.attribute_names import configured_names
from sync.hooks import Printed
from sync.models import TimeEntry, WorkItem
from sync.past import Past


@dataclass
class World:
    """Who pays what, for the items it was loaded for.

    Reads after `load` only the company's rule set, families and what brakes ask of the past, once for all items.
    """

    company: Company
    mappings: dict[int, ProjectMapping]
    typed_clients: dict[str, Client]
    rule_sets: dict[int, RuleSet]
    rates: list[Rate]
    role_keys: dict[tuple[int, int], frozenset[str]]
    past: Past
    printed: dict[int, Printed] = field(default_factory=dict)
    story_ids: frozenset[int] = frozenset()
    stories_of_tasks: frozenset[int] = frozenset()
    _company_rules: RuleSet | None = field(default=None, repr=False)
    _billable_tasks: dict[int, list[int]] | None = field(default=None, repr=False)
    _billed_stories: dict[int, int | None] | None = field(default=None, repr=False)
    _rows: dict[tuple[object, ...], list[RateRow]] = field(init=False, default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Find rates by what they are for: an entry asks for a handful among hundreds."""
        for rate in self.rates:
            self._rows.setdefault(_target_of(rate), []).append(_as_row(rate))

    @classmethod
    def load(cls, items: Iterable[WorkItem], entries: Iterable[TimeEntry]) -> World:
        """Read what concerns these items; at most eight queries, however many there are."""
        items, entries = list(items), list(entries)
        company = Company.current()
        project_ids = {item.taiga_project_id for item in items if item.taiga_project_id is not None}
        mapped = ProjectMapping.objects.select_related("client", "ninja_project").filter(
            taiga_project_id__in=project_ids
        )
        mappings = {mapping.taiga_project_id: mapping for mapping in mapped}
        typed = {attributes.parse_client(item.attributes.get(attributes.CLIENT)) for item in items} - {""}
        clients = {row.ninja_id: row for row in Client.objects.filter(ninja_id__in=typed)} if typed else {}
        client_ids = {mapping.client_id for mapping in mappings.values()} | {row.pk for row in clients.values()}
        people = {row.assignee_id for row in items} | {row.person_id for row in entries}
        people.discard(None)
        roles: dict[tuple[int, int], frozenset[str]] = {}
        found = Membership.objects.filter(person__in=people, taiga_project_id__in=project_ids) if people else []
        for membership in found:
            key = (membership.person_id, membership.taiga_project_id)
            roles[key] = roles.get(key, frozenset()) | {membership.role_key}
        candidates = Q(level=RateLevel.PROJECT, project__in=mappings.values())
        candidates |= Q(level=RateLevel.CLIENT, client__in=client_ids)
        candidates |= Q(level__in=(RateLevel.USER_IN_PROJECT, RateLevel.USER), person__in=people)
        candidates |= Q(level=RateLevel.ROLE, role__key__in=frozenset().union(*roles.values()))
        rates = list(Rate.objects.filter(candidates).select_related("person", "role", "project", "client"))
        past = Past(items, entries, mappings)
        own = frozenset(item.taiga_id for item in items if item.kind == ItemKind.STORY)
        above = frozenset(item.story_taiga_id for item in items if item.story_taiga_id is not None)
        printed = hooks.printed([entry.pk for entry in entries if entry.pk is not None])
        return cls(company, mappings, clients, rule_sets_for(client_ids), rates, roles, past, printed, own, above)

    def changed_by(self, change: Change) -> World:
        """This world as it would be after `change`, which is not stored. Reads nothing; this one stays as it is."""
        replaced = {rate.pk for rate in change.rates}
        rates = [*(rate for rate in self.rates if rate.pk not in replaced), *change.rates]
        rule_sets, company_rules, new = dict(self.rule_sets), self._company_rules, change.rule_set
        if new is not None and new.client_id is not None:
            rule_sets[new.client_id] = new
        elif new is not None:
            rule_sets = {pk: new if rules.client_id is None else rules for pk, rules in rule_sets.items()}
            company_rules = new
        return replace(self, rates=rates, rule_sets=rule_sets, _company_rules=company_rules)

    def others_of_family(self, item: WorkItem) -> list[int]:
        """Refs of what stands against billing `item`: a story's billable tasks, or a task's story already billed.

        Reads once for all items it was loaded for, when it is first asked: a story after its tasks were evaluated.
        """
        if item.kind == ItemKind.STORY:
            if self._billable_tasks is None:
                self._billable_tasks = stories.billable_tasks(self.story_ids)
            return self._billable_tasks.get(item.taiga_id, [])
        if item.story_taiga_id is None:
            return []
        if self._billed_stories is None:
            self._billed_stories = stories.billed_stories(self.stories_of_tasks)
        if item.story_taiga_id not in self._billed_stories:
            return []
        return [self._billed_stories[item.story_taiga_id] or 0]

    @property
    def configured(self) -> dict[str, str]:
        """The names of the five attributes in Taiga, by our own names."""
        return configured_names(self.company)

    def rule_set(self, client: Client | None) -> RuleSet:
        """The rules of `client`, the company's without one."""
        if client is not None and client.pk in self.rule_sets:
            return self.rule_sets[client.pk]
        if self._company_rules is None:
            self._company_rules = rule_set_for(None)
        return self._company_rules

    def currency_of(self, client: Client | None) -> str:
        """The currency that `client` is invoiced in; the company's where Invoice Ninja names none."""
        return (client.currency if client is not None else "") or self.company.currency

    def find_rate(
        self,
        item_rate: Decimal | None,
        *,
        person: Person | None,
        project: ProjectMapping,
        client: Client | None,
        on: dt.date,
        prefer: str,
    ) -> ChosenRate | None:
        """The hourly rate on the local day `on`, or None, as `mappings.lookups.find_rate`, without a query."""
        wanted: list[tuple[object, ...]] = [(RateLevel.PROJECT, project.pk)]
        if client is not None:
            wanted.append((RateLevel.CLIENT, client.pk))
        if person is not None:
            wanted += [(RateLevel.USER_IN_PROJECT, person.pk, project.pk), (RateLevel.USER, person.pk)]
            roles = self.role_keys.get((person.pk, project.taiga_project_id), frozenset())
            wanted += [(RateLevel.ROLE, role) for role in sorted(roles)]
        rows = [row for target in wanted for row in self._rows.get(target, ())]
        return choose_rate(
            item_rate, rows, prefer=prefer, on=on, currency=self.currency_of(client), has_person=person is not None
        )


def _target_of(rate: Rate) -> tuple[object, ...]:
    level = RateLevel(rate.level)
    match level:
        case RateLevel.PROJECT:
            return level, rate.project_id
        case RateLevel.CLIENT:
            return level, rate.client_id
        case RateLevel.USER_IN_PROJECT:
            return level, rate.person_id, rate.project_id
        case RateLevel.ROLE:
            return level, rate.role.key if rate.role is not None else None
    return level, rate.person_id


def _as_row(rate: Rate) -> RateRow:
    target = {
        RateLevel.PROJECT: rate.project,
        RateLevel.CLIENT: rate.client,
        RateLevel.ROLE: rate.role,
    }.get(RateLevel(rate.level), rate.person)
    return RateRow(
        level=rate.level,
        amount=rate.amount,
        currency=rate.currency,
        row_id=rate.pk,
        valid_from=rate.valid_from,
        valid_to=rate.valid_to,
        label=str(target),
    )
