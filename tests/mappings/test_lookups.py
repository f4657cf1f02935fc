"""What holds for a client, a project and a person."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from billing_console import clock
from mappings import hooks, lookups
from mappings.models import Client, Company, Membership, Person, ProjectMapping, Rate, Role, RuleSet

pytestmark = pytest.mark.django_db

ON = dt.date(2025, 12, 1)


@pytest.fixture
def client_row() -> Client:
    return Client.objects.create(ninja_id="client_abc123", name="Acme", currency="USD", is_known=True)


@pytest.fixture
def project(client_row: Client) -> ProjectMapping:
    return ProjectMapping.objects.create(taiga_project_id=1, taiga_project_name="Website", client=client_row)


@pytest.fixture
def alice() -> Person:
    person = Person.objects.create(taiga_user_id=6, username="alice", full_name="Alice A")
    Membership.objects.create(person=person, taiga_project_id=1, role_name="Senior Dev", role_key="senior_dev")
    Membership.objects.create(person=person, taiga_project_id=2, role_name="Designer", role_key="designer")
    return person


def find(project: ProjectMapping, person: Person | None, **changes: Any) -> Any:
    asked: dict[str, Any] = {
        "item_rate": None,
        "person": person,
        "project": project,
        "client": project.client,
        "on": ON,
        "prefer": "user",
    }
    return lookups.find_rate(**(asked | changes))


def test_the_company_rules_are_made_when_absent(client_row: Client) -> None:
    made = lookups.rule_set_for(client_row)
    assert (made.client, made.version, made.frequency, made.payment_terms) == (None, 1, "monthly", "net30")
    assert lookups.rule_set_for(None) == made
    assert RuleSet.objects.count() == 1


def test_a_client_with_rules_of_its_own(client_row: Client, django_assert_num_queries: Any) -> None:
    company = lookups.rule_set_for(None)
    own = lookups.new_rule_set_version(client_row, {"rounding": "hour"})
    other = Client.objects.create(ninja_id="client_xyz789")
    with django_assert_num_queries(1):
        assert lookups.rule_set_for(client_row) == own
    with django_assert_num_queries(1):
        assert lookups.rule_sets_for([client_row.pk, other.pk]) == {client_row.pk: own, other.pk: company}
    assert lookups.rule_sets_for([]) == {}


def test_a_new_version_follows_and_never_changes_the_old(client_row: Client) -> None:
    lookups.new_rule_set_version(None, {"rounding": "half_hour", "footer": "Thanks"})
    first = lookups.new_rule_set_version(client_row, {"min_billable_hours": Decimal("0.5")})
    assert (first.version, first.rounding, first.footer) == (1, "half_hour", "Thanks")
    second = lookups.new_rule_set_version(client_row, {"rounding": "hour"})
    assert (second.version, second.rounding, second.min_billable_hours) == (2, "hour", Decimal("0.5"))
    first.refresh_from_db()
    assert (first.is_current, first.rounding) == (False, "half_hour")
    assert lookups.rule_set_for(client_row) == second


def test_no_change_makes_no_version() -> None:
    company = lookups.rule_set_for(None)
    assert lookups.new_rule_set_version(None, {"rounding": company.rounding}) == company
    assert RuleSet.objects.count() == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"payment_terms": "net-5"},
        {"generation_day": 0},
        {"generation_day": 32},
        {"rounding": "third_hour"},
        {"billing_timezone": "Mars/Olympus"},
        {"tax_decision": "tax", "tax_name": ""},
        {"tax_decision": "no_tax"},
        {"min_billable_hours": Decimal(-1)},
    ],
)
def test_rules_that_could_not_bill_are_refused(changes: dict[str, Any]) -> None:
    company = lookups.rule_set_for(None)
    with pytest.raises(ValidationError):
        lookups.new_rule_set_version(None, changes)
    assert list(RuleSet.objects.all()) == [company]


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(KeyError, match="colour"):
        lookups.new_rule_set_version(None, {"colour": "red"})


def test_biweekly_begins_on_the_monday_of_this_week() -> None:
    with clock.set_to(dt.datetime(2026, 1, 8, 12, tzinfo=dt.UTC)):
        made = lookups.new_rule_set_version(None, {"frequency": "biweekly"})
    assert made.anchor_date == dt.date(2026, 1, 5)


def test_zone(settings: Any) -> None:
    settings.BILLING_TIMEZONE = "Europe/Brussels"
    assert lookups.zone_of(RuleSet()) == "Europe/Brussels"
    assert lookups.zone_of(RuleSet(billing_timezone="America/New_York")) == "America/New_York"


def test_the_role_is_that_of_this_project(
    project: ProjectMapping, alice: Person, django_assert_num_queries: Any
) -> None:
    for key, amount in {"senior_dev": 95, "designer": 70}.items():
        Rate.objects.create(
            level="role", role=Role.objects.create(key=key, name=""), amount=Decimal(amount), currency="USD"
        )
    Rate.objects.create(level="project", project=project, amount=Decimal(75), currency="USD")
    with django_assert_num_queries(1):
        chosen = find(project, alice)
    assert (chosen.amount, chosen.source, chosen.label) == (Decimal(95), "role", "senior_dev")
    assert [(loser.source, loser.amount) for loser in chosen.losers] == [("project", Decimal(75))]
    nobody = find(project, None)
    assert (nobody.amount, nobody.source, nobody.skipped) == (Decimal(75), "project", "no_assignee")


def test_every_level_is_found(project: ProjectMapping, alice: Person) -> None:
    role = Role.objects.create(key="senior_dev")
    Rate.objects.create(level="client", client=project.client, amount=Decimal(10), currency="USD")
    assert find(project, alice).source == "client"
    Rate.objects.create(level="project", project=project, amount=Decimal(20), currency="USD")
    assert find(project, alice).source == "project"
    Rate.objects.create(level="role", role=role, amount=Decimal(30), currency="USD")
    assert find(project, alice).source == "role"
    Rate.objects.create(level="user", person=alice, amount=Decimal(40), currency="USD")
    assert find(project, alice).source == "user"
    assert find(project, alice, prefer="project").source == "project"
    Rate.objects.create(level="user_in_project", person=alice, project=project, amount=Decimal(50), currency="USD")
    assert find(project, alice).source == "user_in_project"
    assert find(project, alice, item_rate=Decimal(110)).source == "item"


def test_rates_of_others_are_not_found(project: ProjectMapping, alice: Person) -> None:
    bob = Person.objects.create(taiga_user_id=7, username="bob")
    other = ProjectMapping.objects.create(taiga_project_id=9, taiga_project_name="Other", client=project.client)
    Rate.objects.create(level="user", person=bob, amount=Decimal(40), currency="USD")
    Rate.objects.create(level="project", project=other, amount=Decimal(20), currency="USD")
    Rate.objects.create(level="user_in_project", person=alice, project=other, amount=Decimal(50), currency="USD")
    assert find(project, alice) is None


def test_the_items_rate_is_in_the_clients_currency(project: ProjectMapping, alice: Person) -> None:
    assert find(project, alice, item_rate=Decimal(110)).currency == "USD"
    Client.objects.update(currency="")
    project.client.refresh_from_db()
    Company.current()
    assert find(project, alice, item_rate=Decimal(110)).currency == "EUR"


def test_mapping_of(project: ProjectMapping, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        found = lookups.mapping_of(1)
        assert found is not None
        assert found.client.currency == "USD"
    assert lookups.mapping_of(2) is None


def test_person_of_makes_and_renames(alice: Person) -> None:
    assert lookups.person_of(6) == alice
    assert lookups.person_of(6, "alice", "Alice Archer").full_name == "Alice Archer"
    alice.refresh_from_db()
    assert (alice.username, alice.full_name) == ("alice", "Alice Archer")
    assert lookups.person_of(7, "bob").username == "bob"


@pytest.mark.django_db(transaction=True)
def test_callbacks_hear_of_a_change_after_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Any] = []
    monkeypatch.setattr(hooks, "_callbacks", [])

    @hooks.on_changed
    def broken(row: Any) -> None:
        raise RuntimeError("first one fails")

    hooks.on_changed(heard.append)
    hooks.on_changed(heard.append)
    with pytest.raises(ValidationError):
        lookups.new_rule_set_version(None, {"rounding": "third"})
    assert heard == []
    made = lookups.new_rule_set_version(None, {"rounding": "hour"})
    assert heard == [made]
