"""Bring configuration files into the database: all of them or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePath
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils.translation import gettext as _

from billing_console import clock
from mappings import hooks, lookups
from mappings.config_files import Fault, Place
from mappings.config_specs import (
    CompanySpec,
    Config,
    KeyedRateSpec,
    ProjectSpec,
    RateSpec,
    RoleSpec,
    RulesSpec,
    read_config,
)
from mappings.import_report import ADDED, CHANGED, FLAGGED, UNCHANGED, Change, ImportReport
from mappings.models import (
    Client,
    Company,
    Membership,
    NinjaProject,
    Person,
    ProjectMapping,
    Rate,
    RateLevel,
    Role,
    TaigaProject,
)
from mappings.models.rates import LEVEL_KEYS
from mappings.rate_changes import refusal_of_change
from mappings.rates import fold, has_currency_decimals

Tell = Callable[[int, int], None]


def import_config(
    files: Iterable[tuple[str, str]], *, is_dry_run: bool = False, user: Any = None, tell: Tell | None = None
) -> ImportReport:
    """Store what the (name, text) files ask for and report it; importing the same again changes nothing.

    With a single fault, or in a dry run, nothing is stored. Locks the company's row, so that imports and new rule
    sets follow one another. Rates without a currency are in the company's. Raises IntegrityError when somebody
    else stored a contradicting rate meanwhile (nothing is stored then). `tell` is told how many of how many things are
    done.
    """
    config = read_config(files)
    report = ImportReport(is_dry_run=is_dry_run, faults=list(config.faults))
    if report.faults:
        return report
    with transaction.atomic():
        Company.current()
        company = Company.objects.select_for_update().get(pk=1)
        _Import(company, config, report, user).run(tell or (lambda done, total: None))
        if report.faults or is_dry_run:
            transaction.set_rollback(True)
    if report.faults:
        report.changes.clear()
    report.faults.sort()
    return report


class _Import:
    """One import inside its transaction: what is there is read once, then only what differs is written."""

    def __init__(self, company: Company, config: Config, report: ImportReport, user: Any) -> None:
        self.company, self.config, self.report, self.user = company, config, report, user
        self.noted: set[tuple[str, str]] = set()
        self.clients = {row.ninja_id: row for row in Client.objects.all()}
        self.ninja_projects = {row.ninja_id: row for row in NinjaProject.objects.select_related("client")}
        self.projects = {row.taiga_project_id: row for row in ProjectMapping.objects.select_related("client")}
        self.seen_in_taiga = set(TaigaProject.objects.filter(is_known=True).values_list("taiga_id", flat=True))
        self.roles = {row.key: row for row in Role.objects.all()}
        self.role_keys = set(Membership.objects.values_list("role_key", flat=True).distinct())
        self.people: dict[str, list[Person]] = {}
        for person in Person.objects.all():
            self.people.setdefault(person.username.casefold(), []).append(person)
        self.people_by_id = {row.taiga_user_id: row for rows in self.people.values() for row in rows}
        self.rates: dict[tuple[Any, ...], list[Rate]] = {}
        self.beginning: dict[tuple[tuple[Any, ...], Any], Rate] = {}
        for rate in Rate.objects.order_by("valid_from"):
            self.keep(rate)

    def run(self, tell: Tell) -> None:
        dated = sorted(self.config.rates, key=lambda spec: str(spec.valid_from or ""))
        steps: list[tuple[Callable[[Any], None], Sequence[Any]]] = [
            (self.put_company, self.config.company),
            (self.put_role, self.config.roles),
            (self.put_project, self.config.projects),
            (self.put_keyed_rate, self.config.keyed_rates),
            (self.put_dated_rate, dated),
            (self.put_rules, self.config.rules),
        ]
        total, done = sum(len(specs) for _put, specs in steps), 0
        for put, specs in steps:
            for spec in specs:
                tell(done, total)
                put(spec)
                done += 1

    def put_company(self, spec: CompanySpec) -> None:
        self.update(self.company, dict(spec.changes), _("The company's settings."), spec.place)

    def keep(self, rate: Rate) -> None:
        """Know a stored rate by whose it is, and by the day on which it begins."""
        self.rates.setdefault(_rate_key(rate), []).append(rate)
        self.beginning.setdefault((_rate_key(rate), rate.valid_from), rate)

    # --- projects ---

    def client(self, ninja_id: str, place: Place) -> Client:
        client = self.clients.get(ninja_id)
        if client is None:
            client = self.clients[ninja_id] = Client(ninja_id=ninja_id)
            self.save(client, ADDED, _("Client %(id)s.") % {"id": ninja_id}, place)
        if not client.is_known:
            sentence = _("Client %(id)s was not seen in Invoice Ninja yet; its work is held until it is.")
            self.note(FLAGGED, sentence % {"id": ninja_id}, place)
        return client

    def ninja_project(self, ninja_id: str, client: Client, place: Place) -> NinjaProject | None:
        project = self.ninja_projects.get(ninja_id)
        if project is None:
            project = self.ninja_projects[ninja_id] = NinjaProject(ninja_id=ninja_id, client=client)
            self.save(project, ADDED, _("Invoice Ninja project %(id)s.") % {"id": ninja_id}, place)
        elif project.client_id != client.pk and project.is_known:
            facts = {"id": ninja_id, "owner": project.client.ninja_id, "client": client.ninja_id}
            self.fault(
                place,
                _("Project %(id)s belongs to client %(owner)s in Invoice Ninja, not to %(client)s.") % facts,
            )
            return None
        elif project.client_id != client.pk:
            project.client = client
            self.save(project, CHANGED, _("Invoice Ninja project %(id)s.") % {"id": ninja_id}, place)
        return project

    def put_project(self, spec: ProjectSpec) -> None:
        client = self.client(spec.client_id, spec.place)
        wanted: dict[str, Any] = {"taiga_project_name": spec.taiga_project_name, "client": client}
        for name in ("taiga_slug", "is_active", "active_from", "active_to"):
            if (value := getattr(spec, name)) is not None:
                wanted[name] = value
        if spec.ninja_project_id is not None:
            wanted["ninja_project"] = self.ninja_project(spec.ninja_project_id, client, spec.place)
        what = _("Project %(name)s (%(id)s).") % {"name": spec.taiga_project_name, "id": spec.taiga_project_id}
        if self.seen_in_taiga and spec.taiga_project_id not in self.seen_in_taiga:
            sentence = _("Taiga shows our user no project %(id)s; nothing of it is read until it does.")
            self.note(FLAGGED, sentence % {"id": spec.taiga_project_id}, spec.place)
        project = self.projects.get(spec.taiga_project_id)
        if project is None:
            project = ProjectMapping(taiga_project_id=spec.taiga_project_id, **wanted)
            self.projects[spec.taiga_project_id] = project
            self.save(project, ADDED, what, spec.place)
        else:
            self.update(project, wanted, what, spec.place)
        if spec.default_rate is not None and project.pk is not None:
            currency = spec.currency or self.company.currency
            target = {"level": RateLevel.PROJECT.value, "project": project}
            self.put_always(spec.place, target, spec.taiga_project_name, spec.default_rate, currency)

    # --- rates ---

    def put_keyed_rate(self, spec: KeyedRateSpec) -> None:
        key = fold(spec.key)
        people = self.people.get(spec.key.casefold(), [])
        if key not in self.role_keys and len(people) > 1:
            self.fault(spec.place, _("More than one person has the username %(key)s.") % {"key": spec.key})
        elif key not in self.role_keys and people:
            target: dict[str, Any] = {"level": RateLevel.USER.value, "person": people[0]}
            self.put_always(spec.place, target, spec.key, spec.amount, self.company.currency)
        else:
            target = {"level": RateLevel.ROLE.value, "role": self.role(key, spec.key, spec.place)}
            self.put_always(spec.place, target, spec.key, spec.amount, self.company.currency)
            if key not in self.role_keys:
                sentence = _(
                    "%(key)s is kept as a role that nobody has yet. A username? Import again once it is known."
                )
                self.note(FLAGGED, sentence % {"key": spec.key}, spec.place)

    def put_role(self, spec: RoleSpec) -> None:
        role, words = self.roles.get(spec.key), _("Role %(name)s.") % {"name": spec.name or spec.key}
        if role is None:
            self.roles[spec.key] = Role(key=spec.key, name=spec.name)
            self.save(self.roles[spec.key], ADDED, words, spec.place, is_checked=False)
        else:
            self.update(role, {"name": spec.name}, words, spec.place, is_checked=False)

    def role(self, key: str, name: str, place: Place) -> Role:
        if key not in self.roles:
            self.roles[key] = Role(key=key, name="" if name == key else name)
            self.save(self.roles[key], ADDED, _("Role %(name)s.") % {"name": name}, place, is_checked=False)
        return self.roles[key]

    def put_always(self, place: Place, target: dict[str, Any], name: str, amount: Any, currency: str) -> None:
        """One rate without days at a level; where there are dated ones already, today's must be equal."""
        rate = Rate(amount=amount, currency=currency, source=_source(place), **target)
        stored = self.rates.get(_rate_key(rate), [])
        always = next((row for row in stored if row.valid_from is None and row.valid_to is None), None)
        if always is not None or not stored:
            self.put_rate(rate, always, name, place)
            return
        today = clock.today(lookups.zone_of(lookups.rule_set_for(None)))
        present = [row for row in stored if _is_valid_on(row, today)]
        if [(row.amount, row.currency) for row in present] == [(amount, currency)]:
            self.note(UNCHANGED, self.rate_words(rate, name), place)
        else:
            self.fault(place, _("%(name)s has rates with dates already. Change them in Rates.") % {"name": name})

    def put_dated_rate(self, spec: RateSpec) -> None:
        target = self.target_of(spec)
        if target is None:
            return
        rate = Rate(
            amount=spec.amount,
            currency=spec.currency or self.company.currency,
            valid_from=spec.valid_from,
            valid_to=spec.valid_to,
            source=_source(spec.place),
            **target,
        )
        same_start = self.beginning.get((_rate_key(rate), spec.valid_from))
        name = " / ".join(str(value) for key, value in target.items() if key != "level")
        self.put_rate(rate, same_start, name, spec.place)

    def target_of(self, spec: RateSpec) -> dict[str, Any] | None:
        target: dict[str, Any] = {"level": spec.level}
        wanted = LEVEL_KEYS[RateLevel(spec.level)]
        if "person" in wanted:
            target["person"] = self.person(spec)
        if "project" in wanted:
            target["project"] = self.projects.get(spec.project or 0)
            if target["project"] is None:
                self.fault(spec.place, _("Taiga project %(id)s is not mapped.") % {"id": spec.project})
        if "role" in wanted:
            target["role"] = self.role(fold(spec.role or ""), spec.role or "", spec.place)
        if "client" in wanted:
            target["client"] = self.client(spec.client or "", spec.place)
        return None if None in target.values() else target

    def person(self, spec: RateSpec) -> Person | None:
        named = self.people.get((spec.person or "").casefold(), [])
        if spec.taiga_user_id is not None:
            found = self.people_by_id.get(spec.taiga_user_id)
            if found is None:
                found = Person(taiga_user_id=spec.taiga_user_id, username=spec.person or "")
                self.save(found, ADDED, _("Person %(name)s.") % {"name": found}, spec.place)
                self.people.setdefault(found.username.casefold(), []).append(found)
                self.people_by_id[spec.taiga_user_id] = found
            return found
        if len(named) == 1:
            return named[0]
        if named:
            self.fault(spec.place, _("More than one person has the username %(key)s.") % {"key": spec.person})
        else:
            sentence = _("Nobody with the username %(key)s was seen in Taiga yet. Add taiga_user_id.")
            self.fault(spec.place, sentence % {"key": spec.person})
        return None

    def put_rate(self, rate: Rate, stored: Rate | None, name: str, place: Place) -> None:
        """Store `rate`, or bring `stored`, the row in its place, to its values."""
        words = self.rate_words(rate, name)
        if not has_currency_decimals(rate.amount, rate.currency):
            facts = {"amount": rate.amount, "currency": rate.currency}
            self.fault(place, _("%(amount)s has more decimals than %(currency)s.") % facts)
            return
        if stored is None:
            self.save(rate, ADDED, words, place)
            self.keep(rate)
            return
        wanted = {name: getattr(rate, name) for name in ("amount", "currency", "valid_from", "valid_to")}
        is_same = all(getattr(stored, name) == value for name, value in wanted.items())
        if not is_same and (refusal := refusal_of_change(stored, **wanted)):
            self.fault(place, refusal)
        else:
            self.update(stored, wanted if is_same else wanted | {"source": rate.source}, words, place)

    def rate_words(self, rate: Rate, name: str) -> str:
        facts = {"name": name, "amount": f"{rate.amount:f}", "currency": rate.currency}
        return _("Rate of %(name)s: %(amount)s %(currency)s.") % facts

    # --- rules ---

    def put_rules(self, spec: RulesSpec) -> None:
        client = None if spec.client_id is None else self.client(spec.client_id, spec.place)
        before = lookups.rule_set_for(client)
        try:
            after = lookups.new_rule_set_version(client, spec.changes, self.user)
        except ValidationError as error:
            self.fault(spec.place, " ".join(error.messages))
            return
        facts = {"name": after.name, "version": after.version, "whose": client or _("the company")}
        words = _("Rules of %(whose)s: %(name)s, version %(version)s.") % facts
        self.note(UNCHANGED if after == before else CHANGED, words, spec.place)

    # --- writing and telling ---

    def update(
        self, row: models.Model, wanted: dict[str, Any], words: str, place: Place, *, is_checked: bool = True
    ) -> None:
        differing = {name: value for name, value in wanted.items() if getattr(row, name) != value}
        if not differing:
            self.note(UNCHANGED, words, place)
            return
        for name, value in differing.items():
            setattr(row, name, value)
        self.save(row, CHANGED, words, place, is_checked=is_checked)

    def save(self, row: models.Model, action: str, words: str, place: Place, *, is_checked: bool = True) -> None:
        try:
            if is_checked:
                row.full_clean()
        except ValidationError as error:
            self.fault(place, " ".join(error.messages))
            return
        row._history_user = self.user  # type: ignore[attr-defined]  # who the history names
        row._change_reason = _source(place)  # type: ignore[attr-defined]
        row.save()
        hooks.changed(row)
        self.note(action, words, place)

    def note(self, action: str, sentence: str, place: Place) -> None:
        if (action, sentence) not in self.noted:
            self.noted.add((action, sentence))
            self.report.changes.append(Change(action, sentence, place))

    def fault(self, place: Place, sentence: str) -> None:
        self.report.faults.append(Fault(place, sentence))


def _source(place: Place) -> str:
    # The name is what people know; the path of a machine says nothing a year later.
    return PurePath(place.file).name[:100]


def _rate_key(rate: Rate) -> tuple[Any, ...]:
    return (rate.level, *(getattr(rate, f"{key}_id") for key in LEVEL_KEYS[RateLevel(rate.level)]))


def _is_valid_on(rate: Rate, day: Any) -> bool:
    return (rate.valid_from is None or rate.valid_from <= day) and (rate.valid_to is None or day < rate.valid_to)
