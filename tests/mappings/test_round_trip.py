"""Import ∘ export is the identity: whatever the configuration, its file makes the same rows again."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from billing_console import money
from mappings import config_keys
from mappings.exporter import export_config, to_json, to_yaml
from mappings.importer import import_config
from mappings.lookups import RULE_FIELDS
from mappings.models import (
    Client,
    Company,
    NinjaProject,
    Person,
    ProjectMapping,
    Rate,
    RateLevel,
    Role,
    RuleSet,
    TaigaProject,
)
from mappings.models.rates import LEVEL_KEYS
from mappings.rates import fold

pytestmark = pytest.mark.django_db

WORDS = ["null", "~", "yes", "no", "on", "1e3", "0x1F", "2025-12-01", "none", "never", "undecided", "- a", "a: b", "#1"]
CHARS = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
LINE = st.one_of(st.sampled_from(WORDS), st.text(CHARS, min_size=1, max_size=20).map(str.strip).filter(bool))
ID = st.one_of(
    st.sampled_from(["client_abc123", "123", "0123", "Zx9_-", "no"]),
    st.from_regex(r"[A-Za-z0-9]{5,12}", fullmatch=True),
)
CURRENCY = st.sampled_from(["EUR", "USD", "JPY", "KWD"])
DAY = st.dates(dt.date(2000, 1, 1), dt.date(2099, 12, 31))


def number(low: str, high: str, places: int = 2) -> st.SearchStrategy[Decimal]:
    return st.decimals(Decimal(low), Decimal(high), places=places, allow_nan=False, allow_infinity=False)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


COMPANY = st.fixed_dictionaries(
    {
        "currency": CURRENCY,
        "max_item_hours": number("0", "9999.99"),
        "brake_rate_percent": maybe(st.integers(0, 10_000)),
        "brake_month_factor": maybe(number("1", "9999.99")),
        "brake_uplift_percent": maybe(st.integers(0, 10_000)),
        "brake_uplift_hours": number("0", "99"),
        "brake_late_days": maybe(st.integers(0, 3650)),
        "brake_client": st.booleans(),
        "week_hours": number("1", "168"),
        "attribute_hours": LINE.map("h {}".format),
        "attribute_client": st.sampled_from(WORDS),
        "attribute_estimate": LINE.map("e {}".format),
        "needs_four_eyes": st.booleans(),
    }
)
TAX = st.one_of(
    st.just({"tax_decision": "undecided"}),
    st.fixed_dictionaries({"tax_decision": st.just("tax"), "tax_name": LINE, "tax_rate": number("0", "100", 3)}),
    st.fixed_dictionaries({"tax_decision": st.just("no_tax"), "no_tax_text": LINE}),
)
RULES = st.fixed_dictionaries(
    {
        "name": LINE,
        "generation_day": st.integers(1, 31),
        "generation_weekday": st.integers(1, 7),
        "min_billable_hours": number("0", "99.99"),
        "min_mode": st.sampled_from(["raise", "skip"]),
        "rounding": st.sampled_from(["none", "quarter_hour", "half_hour", "hour"]),
        "rounding_mode": st.sampled_from(["up", "nearest", "down"]),
        "prefer": st.sampled_from(["user", "project"]),
        "billing_timezone": st.sampled_from(["", "Europe/Brussels", "America/New_York"]),
        "grouping": st.sampled_from(["client", "project"]),
        "payment_terms": st.sampled_from(["net0", "net30", "net999", "due_on_receipt", "net 30 end of month"]),
        "footer": st.just("") | st.text(CHARS, max_size=40).map(str.strip) | st.just("Thank you!\n\nSee: you\t#1"),
        "product_key": LINE,
        "auto_send": st.booleans(),
        "taiga_invoiced_when": st.sampled_from(["pushed", "approved", "sent"]),
    }
)
SCHEDULE = st.one_of(
    st.fixed_dictionaries({"frequency": st.sampled_from(["monthly", "weekly"]), "anchor_date": maybe(DAY)}),
    st.fixed_dictionaries({"frequency": st.just("biweekly"), "anchor_date": DAY}),
)
ALL_RULES = st.builds(
    lambda *parts: {key: value for part in parts for key, value in part.items()}, RULES, SCHEDULE, TAX
)
MAPPING = st.fixed_dictionaries(
    {
        "taiga_project_name": LINE,
        "taiga_slug": st.just("") | LINE,
        "is_active": st.booleans(),
        "active_from": maybe(DAY),
        "active_to": maybe(DAY),
    }
)
# Days at which one rate ends and the next begins; an empty list is one rate that holds always.
PERIODS = st.lists(DAY, unique=True, max_size=3).map(sorted)


def choose(data: st.DataObject, strategy: st.SearchStrategy[Any], label: str = "") -> Any:
    return data.draw(strategy, label=label or None)


def make_rates(data: st.DataObject, **target: Any) -> None:
    """Rates of one target that follow one another, the first and the last perhaps open, some with a gap."""
    edges: list[dt.date | None] = [*choose(data, PERIODS)]
    bounds = [choose(data, st.sampled_from([None, *edges[:1]])), *edges[1:]] if edges else [None]
    for begin, end in zip(bounds, [*bounds[1:], None], strict=True):
        currency = choose(data, CURRENCY)
        places = money.exponent(currency)
        amount = choose(data, number("1", "99999", places))
        if choose(data, st.booleans()) or len(bounds) == 1:
            Rate.objects.create(amount=amount, currency=currency, valid_from=begin, valid_to=end, **target)


def make_configuration(data: st.DataObject) -> None:
    Company.objects.update_or_create(pk=1, defaults=choose(data, COMPANY))
    clients = [
        Client.objects.create(ninja_id=ninja_id, currency="EUR", is_known=choose(data, st.booleans()))
        for ninja_id in choose(data, st.lists(ID, unique=True, min_size=1, max_size=3))
    ]
    people = [
        Person.objects.create(taiga_user_id=number, username=name)
        for number, name in enumerate(choose(data, st.lists(st.sampled_from(["alice", "pm", ""]), max_size=3)), 1)
    ]
    roles = [
        Role.objects.create(key=key, name=choose(data, st.just("") | LINE))
        for key in choose(
            data, st.lists(st.sampled_from(["pm", "senior_dev", "null", fold("Ünïcode Rôle")]), unique=True, max_size=3)
        )
    ]
    projects = []
    for taiga_id in choose(data, st.lists(st.integers(1, 2**40), unique=True, max_size=3)):
        client = choose(data, st.sampled_from(clients))
        ninja = NinjaProject.objects.create(ninja_id=f"p{taiga_id}", client=client)
        mapping = choose(data, MAPPING)
        linked = choose(data, st.sampled_from([None, ninja]))
        projects.append(
            ProjectMapping.objects.create(taiga_project_id=taiga_id, client=client, ninja_project=linked, **mapping)
        )
    for level, targets in (
        (RateLevel.USER, [(person,) for person in people]),
        (RateLevel.USER_IN_PROJECT, [(person, project) for person in people for project in projects]),
        (RateLevel.ROLE, [(role,) for role in roles]),
        (RateLevel.PROJECT, [(project,) for project in projects]),
        (RateLevel.CLIENT, [(client,) for client in clients]),
    ):
        for target in targets:
            if choose(data, st.booleans()):
                make_rates(data, level=level, **dict(zip(LEVEL_KEYS[level], target, strict=True)))
    for client in (None, *clients):
        if client is None or choose(data, st.booleans()):
            RuleSet.objects.create(client=client, **choose(data, ALL_RULES))


@settings(
    max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate]
)
@given(data=st.data())
@pytest.mark.parametrize(("write", "suffix"), [(to_yaml, "yaml"), (to_json, "json")])
def test_any_configuration_is_read_back_to_itself(write: Any, suffix: str, data: st.DataObject) -> None:
    with transaction.atomic():
        make_configuration(data)
        exported = export_config()
        files = [(f"export.{suffix}", write(exported))]

        again = import_config(files)
        assert [str(fault) for fault in again.faults] == []
        assert [change for change in again.changes if change.action in ("added", "changed")] == []

        for model in (Rate, ProjectMapping, RuleSet, Role, NinjaProject, Client, Company):
            model.objects.all().delete()
        restored = import_config(files)
        assert [str(fault) for fault in restored.faults] == []
        now = export_config()
        for section in exported.keys() | now.keys():
            assert now.get(section) == exported.get(section), section
        transaction.set_rollback(True)


def test_every_setting_has_a_key_in_the_file() -> None:
    """Whoever adds a rule or a setting adds its key, or the file forgets it."""
    rules = {name for name, _read in config_keys.RULE_KEYS.values()}
    assert rules == set(RULE_FIELDS)
    company = {name for name, _read in config_keys.COMPANY_KEYS.values()}
    read_from_invoice_ninja = {"id", "name", "tax_name", "tax_rate"}
    assert company == {field.name for field in Company._meta.concrete_fields} - read_from_invoice_ninja
    rates = {name for name, _read in config_keys.RATE_KEYS.values()}
    assert {field.name for field in Rate._meta.concrete_fields} - {"id", "source"} == rates - {"taiga_user_id"}
    projects = {name for name, _read in config_keys.PROJECT_KEYS.values()}
    secrets = {"id", "uuid", "webhook_key", "previous_webhook_key"}
    stored = {field.attname for field in ProjectMapping._meta.concrete_fields} - secrets
    assert stored == projects - {"default_rate", "currency"}


def test_no_secret_is_exported() -> None:
    client = Client.objects.create(ninja_id="acme", contacts=[{"email": "secret@example.org"}])
    mapping = ProjectMapping.objects.create(
        taiga_project_id=1,
        taiga_project_name="Website",
        client=client,
        webhook_key="the-present-key",
        previous_webhook_key="the-key-before",
    )
    for text in (to_yaml(export_config()), to_json(export_config())):
        assert "Website" in text
        for secret in ("the-present-key", "the-key-before", str(mapping.uuid), "secret@example.org"):
            assert secret not in text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("company: {week_hours: 169}", "week_hours must be a number from 1 to 168"),
        ("company: {brake_rate_percent: often}", "brake_rate_percent must be a whole number"),
        ("company: {brake_client: perhaps}", "brake_client must be true or false, not “perhaps”."),
        ("company: {attribute_rate: billable}", "Two attributes have the same name."),
        ("company: {name: Ours}", "“name” is not known here."),
        ("company: {currency: euro}", "currency is longer than 3 characters."),
        ("company: {currency: EUR}\nroles: {'_': Nobody}", "“_” is no role."),
        ("billing_rules: {tax_decision: undecided, tax_name: VAT, tax_rate: 21}", "nobody has decided"),
        ("billing_rules: {anchor_date: soon}", "anchor_date must be a date like 2025-12-31, not “soon”."),
    ],
)
def test_what_the_new_sections_cannot_hold_names_its_line(text: str, sentence: str) -> None:
    report = import_config([("a.yaml", text)])
    (fault,) = report.faults
    assert sentence in str(fault)
    assert str(fault).startswith("a.yaml, line ")


def test_settings_of_the_company_are_taken_over_and_never_switches_a_brake_off() -> None:
    text = "company: {currency: USD, brake_rate_percent: never, brake_month_factor: 2.5, brake_client: false}\n"
    report = import_config([("a.yaml", text + "user_rates: {pm: 80}\n")])
    assert report.faults == []
    company = Company.current()
    assert (company.currency, company.brake_rate_percent, company.brake_month_factor, company.brake_client) == (
        "USD",
        None,
        Decimal("2.5"),
        False,
    )
    assert Rate.objects.get().currency == "USD"


def test_a_project_that_taiga_does_not_show_is_stored_and_flagged() -> None:
    TaigaProject.objects.create(taiga_id=1, name="Website", is_known=True)
    rows = [{"taiga_project_id": n, "taiga_project_name": "X", "invoiceninja_client_id": "acme"} for n in (1, 2)]
    report = import_config([("a.json", to_json({"project_mappings": rows}))])
    flagged = [change.sentence for change in report.changes if change.action == "flagged"]
    assert flagged == [
        "Client acme was not seen in Invoice Ninja yet; its work is held until it is.",
        "Taiga shows our user no project 2; nothing of it is read until it does.",
    ]
    assert ProjectMapping.objects.count() == 2


def test_a_character_written_as_two_halves_in_json_is_one() -> None:
    text = '{"project_mappings": [{"taiga_project_id": 1, "taiga_project_name": "\\ud83d\\ude80 Go", '
    report = import_config([("a.json", text + '"invoiceninja_client_id": "acme"}]}')])
    assert report.faults == []
    assert ProjectMapping.objects.get().taiga_project_name == "🚀 Go"
