"""What configuration files ask for: projects, rates and rules, read and checked, not yet stored."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from django.utils.translation import gettext as _

from mappings.config_files import Fault, FileReader, Place, Value
from mappings.config_keys import (
    COMPANY_KEYS,
    IS_NEVER,
    NONE,
    PROJECT_KEYS,
    RATE_KEYS,
    RULE_KEYS,
    Read,
    read_amount,
)
from mappings.models import RateLevel, TaxDecision
from mappings.models.rates import LEVEL_KEYS
from mappings.rates import fold

SECTIONS: Final = frozenset(
    {"company", "project_mappings", "roles", "user_rates", "billing_rules", "client_billing_rules", "rates"}
)


@dataclass(frozen=True, slots=True)
class ProjectSpec:
    """One project mapping; None means that the file does not say. `default_rate` is per hour."""

    place: Place
    taiga_project_id: int
    taiga_project_name: str
    client_id: str
    ninja_project_id: str | None = None
    default_rate: Decimal | None = None
    currency: str | None = None
    taiga_slug: str | None = None
    is_active: bool | None = None
    active_from: dt.date | None = None
    active_to: dt.date | None = None


@dataclass(frozen=True, slots=True)
class KeyedRateSpec:
    """One line of `user_rates`: a role's or a person's amount per hour, always valid."""

    place: Place
    key: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class RateSpec:
    """One row of `rates`: an amount per hour at a level, with its days."""

    place: Place
    level: str
    amount: Decimal
    currency: str | None = None
    person: str | None = None
    taiga_user_id: int | None = None
    role: str | None = None
    project: int | None = None
    client: str | None = None
    valid_from: dt.date | None = None
    valid_to: dt.date | None = None


@dataclass(frozen=True, slots=True)
class RulesSpec:
    """Rules of the company (`client_id` None) or of a client: field names of a rule set and their values."""

    place: Place
    client_id: str | None
    changes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CompanySpec:
    """Settings of the company: field names and their values."""

    place: Place
    changes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RoleSpec:
    """How a role is called; its key is its name in Taiga, folded."""

    place: Place
    key: str
    name: str


@dataclass
class Config:
    """Everything that a set of files asks for, and what is wrong with it."""

    projects: list[ProjectSpec] = field(default_factory=list)
    keyed_rates: list[KeyedRateSpec] = field(default_factory=list)
    rates: list[RateSpec] = field(default_factory=list)
    rules: list[RulesSpec] = field(default_factory=list)
    company: list[CompanySpec] = field(default_factory=list)
    roles: list[RoleSpec] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def read_config(files: Iterable[tuple[str, str]]) -> Config:
    """Read (name, text) pairs; every fault of every file is in `.faults`, with its line."""
    config = Config()
    for name, text in files:
        reader = FileReader(name)
        for document in reader.documents(text, SECTIONS):
            _read_document(reader, document, config)
        config.faults += reader.faults
    _refuse_contradictions(config)
    config.faults.sort()
    return config


def _read_document(reader: FileReader, document: Value, config: Config) -> None:
    sections = reader.mapping(document, _("The file"))
    for key, value in (sections or {}).items():
        match key:
            case "project_mappings":
                for item in reader.sequence(value, key) or []:
                    _collect(config.projects, _read_project(reader, item))
            case "company":
                _collect(config.company, _read_company(reader, value))
            case "roles":
                for name, item in (reader.mapping(value, key) or {}).items():
                    _collect(config.roles, _read_role(reader, name, item))
            case "user_rates":
                for name, amount in (reader.mapping(value, key) or {}).items():
                    _collect(config.keyed_rates, _read_keyed_rate(reader, name, amount))
            case "billing_rules":
                _collect(config.rules, _read_rules(reader, value, None))
            case "client_billing_rules":
                for client_id, item in (reader.mapping(value, key) or {}).items():
                    _collect(config.rules, _read_rules(reader, item, client_id))
            case "rates":
                for item in reader.sequence(value, key) or []:
                    _collect(config.rates, _read_rate(reader, item))
            case _:
                known = {"key": key, "known": ", ".join(sorted(SECTIONS))}
                reader.fault(value.place, _("“%(key)s” is not known here. Known are: %(known)s.") % known)


def _collect(rows: list[Any], row: Any) -> None:
    if row is not None:
        rows.append(row)


# --- sections ---------------------------------------------------------------------------------------------------


def _read_keys(
    reader: FileReader, value: Value, what: str, known: dict[str, tuple[str, Read]], required: tuple[str, ...] = ()
) -> dict[str, Any] | None:
    """The values of one mapping by our names, or None when anything was wrong in it."""
    entries = reader.mapping(value, what)
    if entries is None:
        return None
    before = len(reader.faults)
    values: dict[str, Any] = {}
    for key, entry in entries.items():
        if key not in known:
            facts = {"key": key, "known": ", ".join(known)}
            reader.fault(entry.place, _("“%(key)s” is not known here. Known are: %(known)s.") % facts)
        elif reader.is_null(entry) and key not in required and key != "rounding":
            continue
        else:
            name, read = known[key]
            values[name] = read(reader, entry, key)
    for key in required:
        if key not in entries:
            reader.fault(value.place, _("%(key)s is missing.") % {"key": key})
    return values if len(reader.faults) == before else None


def _read_project(reader: FileReader, value: Value) -> ProjectSpec | None:
    required = ("taiga_project_id", "taiga_project_name", "invoiceninja_client_id")
    values = _read_keys(reader, value, "project_mappings", PROJECT_KEYS, required)
    return None if values is None else ProjectSpec(place=value.place, **values)


def _read_company(reader: FileReader, value: Value) -> CompanySpec | None:
    changes = _read_keys(reader, value, "company", COMPANY_KEYS)
    if changes is None:
        return None
    return CompanySpec(value.place, {key: None if found is IS_NEVER else found for key, found in changes.items()})


def _read_role(reader: FileReader, key: str, value: Value) -> RoleSpec | None:
    name = reader.text(value, key, longest=200, may_be_empty=True)
    if not fold(key).strip("_") or len(key) > 100:
        reader.fault(value.place, _("“%(key)s” is no role.") % {"key": key[:60]})
        return None
    return None if name is None else RoleSpec(value.place, fold(key), name)


def _read_keyed_rate(reader: FileReader, key: str, value: Value) -> KeyedRateSpec | None:
    amount = read_amount(reader, value, key)
    if not fold(key).strip("_") or len(key) > 100:
        reader.fault(value.place, _("“%(key)s” is no role and no username.") % {"key": key[:60]})
        return None
    return None if amount is None else KeyedRateSpec(value.place, key.strip(), amount)


def _read_rate(reader: FileReader, value: Value) -> RateSpec | None:
    values = _read_keys(reader, value, "rates", RATE_KEYS, ("level", "amount"))
    if values is None:
        return None
    wanted = set(LEVEL_KEYS[RateLevel(values["level"])])
    given = {key for key in ("person", "role", "project", "client") if key in values}
    if "taiga_user_id" in values and "person" in wanted:
        given.add("person")
    if wanted != given:
        facts = {"level": values["level"], "keys": " + ".join(sorted(wanted))}
        reader.fault(value.place, _("A rate of level %(level)s names exactly: %(keys)s.") % facts)
        return None
    begins, ends = values.get("valid_from"), values.get("valid_to")
    if begins and ends and begins >= ends:
        reader.fault(value.place, _("valid_to must be later than valid_from."))
        return None
    return RateSpec(place=value.place, **values)


def _read_rules(reader: FileReader, value: Value, client_id: str | None) -> RulesSpec | None:
    changes = _read_keys(reader, value, "billing_rules", RULE_KEYS)
    if changes is None:
        return None
    if changes.get("anchor_date") == NONE:
        changes["anchor_date"] = None
    if "tax_decision" in changes and changes.keys() & {"tax_name", "tax_rate", "no_tax_text"}:
        reader.fault(value.place, _("tax_decision says that nobody has decided; then there is no tax and no text."))
        return None
    if "no_tax_text" in changes and ("tax_name" in changes or "tax_rate" in changes):
        reader.fault(value.place, _("Say either tax_name and tax_rate, or no_tax_text, not both."))
        return None
    if ("tax_name" in changes) != ("tax_rate" in changes):
        reader.fault(value.place, _("tax_name and tax_rate belong together."))
        return None
    if "tax_name" in changes:
        changes |= {"tax_decision": TaxDecision.TAX, "no_tax_text": ""}
    elif "tax_decision" in changes:
        changes |= {"tax_name": "", "tax_rate": Decimal(0), "no_tax_text": ""}
    elif "no_tax_text" in changes:
        changes |= {"tax_decision": TaxDecision.NO_TAX, "tax_name": "", "tax_rate": Decimal(0)}
    return RulesSpec(value.place, client_id, changes)


# --- across files -----------------------------------------------------------------------------------------------


def _refuse_contradictions(config: Config) -> None:
    """Two places that speak of the same thing: the second is a fault, wherever it stands."""
    seen: dict[Any, Place] = {}
    spoken: list[tuple[Any, str, Place]] = [
        *(
            (("project", row.taiga_project_id), f"taiga_project_id {row.taiga_project_id}", row.place)
            for row in config.projects
        ),
        *((("rate", fold(row.key)), row.key, row.place) for row in config.keyed_rates),
        *((("rules", row.client_id), "billing_rules", row.place) for row in config.rules),
        *((("company",), "company", row.place) for row in config.company),
        *((("role", row.key), row.key, row.place) for row in config.roles),
    ]
    for key, what, place in spoken:
        if key in seen:
            sentence = _("%(what)s already stands in %(place)s.") % {"what": what, "place": seen[key]}
            config.faults.append(Fault(place, sentence))
        else:
            seen[key] = place
