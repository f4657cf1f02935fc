"""Write the configuration as one file that `import_config` reads back to the same rows."""

from __future__ import annotations

import datetime as dt
import json
import re
from decimal import Decimal
from typing import Any

import yaml

from mappings.config_keys import COMPANY_KEYS, NEVER, NONE
from mappings.lookups import RULE_FIELDS
from mappings.models import Company, Person, ProjectMapping, Rate, RateLevel, Role, RuleSet, TaxDecision
from mappings.models.rates import LEVEL_KEYS


def export_config() -> dict[str, Any]:
    """The projects, rates and current rules, in the sections that `import_config` knows; amounts are Decimal.

    Rates without days in the company's currency stand where the guide's files have them; all others in `rates`.
    A constant number of queries. Keys of webhooks are never exported.
    """
    company = Company.current()
    currency = company.currency
    usernames = {name.casefold() for name in Person.objects.values_list("username", flat=True)}
    rates = sorted(Rate.objects.select_related("person", "role", "project", "client"), key=_order)
    defaults = {rate.project_id: rate for rate in rates if rate.level == RateLevel.PROJECT and not _has_days(rate)}
    # A key that is a username too would be read back as that person, so it is written where its level is said.
    of_roles = [
        rate
        for rate in rates
        if rate.role and not _has_days(rate) and rate.currency == currency and rate.role.key not in usernames
    ]
    by_role = {rate.role.key: rate.amount for rate in of_roles if rate.role}
    placed = {rate.pk for rate in (*defaults.values(), *of_roles)}
    current = RuleSet.objects.filter(is_current=True).select_related("client").order_by("client__ninja_id")
    company_rules = [_rules(row) for row in current if row.client is None]
    config: dict[str, Any] = {
        "company": _company(company),
        "project_mappings": [
            _project(project, defaults.get(project.pk), currency)
            for project in ProjectMapping.objects.select_related("client", "ninja_project").order_by("taiga_project_id")
        ],
        "roles": dict(Role.objects.order_by("key").values_list("key", "name")),
        "user_rates": dict(sorted(by_role.items())),
        "rates": [_rate(rate, currency) for rate in rates if rate.pk not in placed],
        "billing_rules": company_rules[0] if company_rules else {},
        "client_billing_rules": {row.client.ninja_id: _rules(row) for row in current if row.client is not None},
    }
    return {section: content for section, content in config.items() if content}


def to_yaml(config: dict[str, Any]) -> str:
    """The configuration as YAML; decimals as plain numbers, exactly as they are stored."""
    return yaml.dump(config, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def to_json(config: dict[str, Any]) -> str:
    """The configuration as JSON; decimals as plain numbers, exactly as they are stored."""
    return _json(config, "")


# What YAML, by which JSON is read back too, takes for no text or for the end of a line.
_UNUSUAL = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


class _Dumper(yaml.SafeDumper):
    """Writes Decimal as a plain number, and text so that it is read back to the same characters."""


_Dumper.add_representer(
    Decimal, lambda dumper, value: dumper.represent_scalar("tag:yaml.org,2002:float", _plain_number(value))
)
_Dumper.add_representer(
    str,
    lambda dumper, value: dumper.represent_scalar(
        "tag:yaml.org,2002:str", value, style='"' if _UNUSUAL.search(value) else None
    ),
)


def _json(value: Any, indent: str) -> str:
    # The json module can write a Decimal only as text or through a float.
    inner = indent + "  "
    if isinstance(value, dict) and value:
        rows = [f"{inner}{_json(key, inner)}: {_json(row, inner)}" for key, row in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(inner + _json(row, inner) for row in value) + f"\n{indent}]"
    if isinstance(value, Decimal):
        return _plain_number(value)
    if isinstance(value, dt.date):
        return json.dumps(value.isoformat())
    return _UNUSUAL.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))


def _plain_number(value: Decimal) -> str:
    text = f"{value:f}"
    whole, point, decimals = text.partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}" if point else f"{whole}.00"


def _order(rate: Rate) -> tuple[Any, ...]:
    """The same configuration is the same file, whatever the rows' own ids."""
    return (
        list(RateLevel.values).index(rate.level),
        rate.person.taiga_user_id if rate.person else 0,
        rate.role.key if rate.role else "",
        rate.project.taiga_project_id if rate.project else 0,
        rate.client.ninja_id if rate.client else "",
        rate.valid_from or dt.date.min,
    )


def _has_days(rate: Rate) -> bool:
    return rate.valid_from is not None or rate.valid_to is not None


def _project(project: ProjectMapping, default: Rate | None, currency: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "taiga_project_id": project.taiga_project_id,
        "taiga_project_name": project.taiga_project_name,
        "invoiceninja_client_id": project.client.ninja_id,
        "invoiceninja_project_id": project.ninja_project.ninja_id if project.ninja_project else None,
        "default_hourly_rate": default.amount if default else None,
        "currency": default.currency if default and default.currency != currency else None,
        "taiga_slug": project.taiga_slug or None,
        "is_active": None if project.is_active else False,
        "active_from": project.active_from,
        "active_to": project.active_to,
    }
    return {key: value for key, value in row.items() if value is not None}


def _rate(rate: Rate, currency: str) -> dict[str, Any]:
    names: dict[str, Any] = {
        "person": rate.person.username if rate.person else None,
        "role": rate.role.key if rate.role else None,
        "project": rate.project.taiga_project_id if rate.project else None,
        "client": rate.client.ninja_id if rate.client else None,
    }
    row: dict[str, Any] = {
        "level": rate.level,
        **{key: names[key] or None for key in LEVEL_KEYS[RateLevel(rate.level)]},
        "taiga_user_id": rate.person.taiga_user_id if rate.person else None,
        "amount": rate.amount,
        "currency": rate.currency if rate.currency != currency else None,
        "valid_from": rate.valid_from,
        "valid_to": rate.valid_to,
    }
    return {key: value for key, value in row.items() if value is not None}


def _company(company: Company) -> dict[str, Any]:
    values = {name: getattr(company, name) for name, _read in COMPANY_KEYS.values()}
    return {name: NEVER if value is None else value for name, value in values.items()}


def _rules(rule_set: RuleSet) -> dict[str, Any]:
    """Every rule, also those that say nothing: a client's rules begin as the company's, which may say something."""
    row = {name: getattr(rule_set, name) for name in RULE_FIELDS}
    row["anchor_date"] = rule_set.anchor_date or NONE
    if rule_set.tax_decision != TaxDecision.UNDECIDED:
        del row["tax_decision"]
    if rule_set.tax_decision != TaxDecision.TAX:
        del row["tax_name"], row["tax_rate"]
    if rule_set.tax_decision != TaxDecision.NO_TAX:
        del row["no_tax_text"]
    # Plain text, not the enumeration's own type, which YAML could not write.
    return {name: str(value) if isinstance(value, str) else value for name, value in row.items()}
