"""Why this amount: the exact sentence of every way to an amount, and that it stays what it was."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal as D
from typing import Any

import pytest

from billing_console import clock
from mappings.lookups import new_rule_set_version
from mappings.models import Client, Company, Person, ProjectMapping, Rate, Role, RuleSet
from sync import attention, entries, explain, pricing, reevaluate
from sync.models import TimeEntry, WorkItem
from tests.factories import DeliveryFactory
from tests.sync.making import Office

pytestmark = pytest.mark.django_db

STANDARD = 'rule "Standard" v1'
NOTHING = "Nothing is billed: the hours are below the minimum."
UP = f"(quarter hour, up; {STANDARD})"
ROLE = "95.00 EUR (role senior_dev; project default 75.00 not used)"


def typed_by_alice(item: WorkItem, hours: Any, *, full_name: str = "Alice Adams") -> None:
    """The delivery that says who typed the hours, at 16:02 in Brussels."""
    change = {
        "custom_attributes": {"new": [], "changed": [{"name": "Duration (Hours)", "changes": {"value": [None, hours]}}]}
    }
    body = {"by": {"username": "alice", "full_name": full_name}, "change": {"diff": change}}
    DeliveryFactory(
        raw_body=json.dumps(body).encode(),
        item_kind=item.kind,
        item_taiga_id=item.taiga_id,
        by_username="alice",
        event_at=dt.datetime(2025, 12, 12, 15, 2, tzinfo=dt.UTC),
    )


def test_the_sentence_of_the_guide(office: Office) -> None:
    Rate.objects.filter(level="role").update(valid_from=dt.date(2025, 10, 1))
    item = office.item(who=office.alice, hours=D("2.1"))
    typed_by_alice(item, 2.1)
    assert explain.explain(office.entry(item)) == (
        '2.10 h typed by Alice Adams, 12 Dec 2025 16:02 → 2.25 h (quarter hour, up; rule "Standard" v1) × '
        "95.00 EUR (role senior_dev from 1 Oct 2025; project default 75.00 not used) = 213.75 EUR."
    )


@pytest.mark.parametrize(
    ("rules", "hours", "sentence"),
    [
        ({}, "2.1", f"2.10 h typed → 2.25 h (quarter hour, up; {STANDARD}) × {ROLE} = 213.75 EUR."),
        (
            {"rounding": "half_hour", "rounding_mode": "nearest"},
            "2.1",
            f"2.10 h typed → 2.00 h (half hour, nearest; {STANDARD}) × {ROLE} = 190.00 EUR.",
        ),
        (
            {"min_billable_hours": D("0.5")},
            "0.1",
            (
                f"0.10 h typed → 0.50 h (quarter hour, up; raised to the minimum of 0.50 h; {STANDARD})"
                f" × {ROLE} = 47.50 EUR."
            ),
        ),
        (
            {"rounding": "none"},
            "4.333333",
            f"4.333333 h typed → 4.33 h (not rounded, only to 2 decimals: 4.33 h; {STANDARD}) × {ROLE} = 411.35 EUR.",
        ),
        ({"rounding": "none"}, "4.3", f"4.30 h typed → 4.30 h (not rounded; {STANDARD}) × {ROLE} = 408.50 EUR."),
        (
            {"min_billable_hours": D("0.5"), "min_mode": "skip"},
            "0.1",
            NOTHING
            + f" 0.10 h typed → 0.00 h (quarter hour, up; less than the minimum of 0.50 h, not billed; {STANDARD})",
        ),
        (
            {"rounding_mode": "down", "min_billable_hours": D(0)},
            "0.1",
            f"{NOTHING} 0.10 h typed → 0.00 h (quarter hour, down; {STANDARD})",
        ),
        (
            {"prefer": "project"},
            "2",
            (
                f"2.00 h typed → 2.00 h (quarter hour, up; {STANDARD}) × "
                "75.00 EUR (project default, which this rule puts first; role senior_dev 95.00 not used) = 150.00 EUR."
            ),
        ),
    ],
)
def test_every_rule_says_what_it_did(office: Office, rules: dict[str, Any], hours: str, sentence: str) -> None:
    RuleSet.objects.update(**rules)
    assert explain.explain(office.entry(hours=D(hours))) == sentence


def test_the_items_own_rate_and_every_loser(office: Office) -> None:
    alice = {"person": office.alice, "currency": "EUR"}
    Rate.objects.create(level="user_in_project", project=office.mapping, amount=D(99), **alice)
    Rate.objects.create(level="user", amount=D(97), valid_from=dt.date(2026, 1, 1), **alice)
    Rate.objects.create(
        level="client", client=office.client, amount=D(60), currency="USD", valid_to=dt.date(2025, 1, 1)
    )
    losers = "role senior_dev 95.00 not used; project default 75.00 not used; client default 60.00 USD no longer valid"
    assert explain.explain(office.entry(office.item(1, who=office.alice, hours=1, rate=110))) == (
        f"1.00 h typed → 1.00 h {UP} × 110.00 EUR (typed on the item; in this project, Alice 99.00 not used; "
        f"person Alice 97.00 not valid yet; {losers}) = 110.00 EUR."
    )
    assert explain.explain(office.entry(office.item(2, who=office.alice, hours=1))) == (
        f"1.00 h typed → 1.00 h {UP} × 99.00 EUR (in this project, Alice; "
        f"person Alice 97.00 not valid yet; {losers}) = 99.00 EUR."
    )


def test_nobody_assigned(office: Office) -> None:
    assert explain.explain(office.entry(office.item(hours=1))) == (
        f"1.00 h typed → 1.00 h {UP} × "
        "75.00 EUR (project default; nobody was assigned, so no person's rate applies) = 75.00 EUR."
    )


def test_the_second_cycle_and_one_with_nothing_more(office: Office) -> None:
    item = office.item(who=office.alice, hours=D("2.1"))
    office.claim(office.entry(item))
    office.reopen(item)
    office.close(item, hours=D("2.3"))
    second = TimeEntry.objects.get(cycle=2)
    assert explain.explain(second) == (
        f"2.30 h typed → 2.50 h {UP} − 2.25 h billed before = 0.25 h × {ROLE} = 23.75 EUR."
    )
    assert explain.explain(office.type(item, hours=D("2.2"))) == (
        "Nothing more is billed: earlier cycles billed these hours. "
        f"2.20 h typed → 2.25 h {UP} − 2.25 h billed before = 0.00 h"
    )


def test_free_of_charge_and_unusual_hours_say_that_somebody_confirmed(office: Office) -> None:
    free = office.entry(office.item(1, who=office.alice, hours=1, rate=0))
    asked = explain.explain(free)
    assert "(typed on the item: free of charge, not confirmed yet; role senior_dev" in asked
    assert asked.endswith(
        "= 0.00 EUR. #101 has a rate of 0. Confirm that it is free of charge, or correct the rate in Taiga."
    )
    confirmed = attention.confirm_entry(free, user=office.user, note="a gift")
    assert explain.explain(confirmed) == (
        f"1.00 h typed → 1.00 h {UP} × 0.00 EUR (typed on the item: free of charge, confirmed; "
        "role senior_dev 95.00 not used; project default 75.00 not used) = 0.00 EUR."
    )
    many = office.entry(office.item(2, who=office.alice, hours=30))
    assert "h typed → 30.00 h" in explain.explain(many)
    confirmed = attention.confirm_entry(many, user=office.user, note="a long week")
    assert explain.explain(confirmed) == f"30.00 h typed, confirmed → 30.00 h {UP} × {ROLE} = 2,850.00 EUR."


def test_what_has_no_amount_says_what_to_do(office: Office) -> None:
    Rate.objects.all().delete()
    unread = office.entry(office.item(1, who=office.alice, hours="two hours"))
    assert explain.explain(unread) == unread.reason_sentence
    no_rate = office.entry(office.item(2, who=office.alice, hours=1))
    assert explain.explain(no_rate) == f"{no_rate.reason_sentence} 1.00 h typed → 1.00 h {UP}"
    Rate.objects.create(level="user", person=office.alice, amount=D(95), currency="USD")
    currency = office.entry(office.item(3, who=office.alice, hours=1))
    assert explain.explain(currency) == (
        f"1.00 h typed → 1.00 h {UP} × 95.00 USD (person Alice) = 95.00 USD. {currency.reason_sentence}"
    )


def test_what_is_not_billable_says_why(office: Office) -> None:
    assert explain.explain(office.entry(billable=False)) == "Not billable: the Billable box is not ticked in Taiga."
    by_status = office.entry(office.item(3, status="Not Billable"))
    assert explain.explain(by_status) == "Not billable: the invoice status in Taiga says so."


def test_hours_of_somebody_without_a_name_or_a_time(office: Office) -> None:
    item = office.item(who=office.alice, hours=1)
    typed_by_alice(item, 1, full_name="")
    entry = office.entry(item)
    assert explain.explain(entry).startswith("1.00 h typed by alice, 12 Dec 2025 16:02 → ")
    entry.facts.pop("typed_at")
    assert explain.explain(entry).startswith("1.00 h typed by alice → ")


def test_it_stays_true_when_rates_rules_and_names_change(office: Office, django_assert_num_queries: Any) -> None:
    Rate.objects.filter(level="role").update(valid_from=dt.date(2025, 10, 1))
    item = office.item(who=office.alice, hours=D("2.1"))
    typed_by_alice(item, 2.1)
    office.claim(office.entry(item))
    entry = TimeEntry.objects.get()
    before, on_line = explain.explain(entry), explain.explain_facts(dict(entry.facts))
    assert on_line == before

    Rate.objects.filter(level="role").update(amount=D(1), valid_from=None, currency="USD")
    Rate.objects.filter(level="project").delete()
    with clock.set_to(dt.datetime(2026, 1, 2, 9, tzinfo=dt.UTC)):
        changes = {"name": "Other", "rounding": "hour", "prefer": "project", "billing_timezone": "UTC"}
        new_rule_set_version(None, changes)
    Role.objects.filter(key="senior_dev").update(key="renamed", name="Renamed")
    Person.objects.update(full_name="Somebody Else", username="else")
    Client.objects.update(name="Other", currency="USD")
    ProjectMapping.objects.update(taiga_project_name="Other")
    Company.objects.update(currency="USD", attribute_hours="Other")
    item.attributes = {"billable": False, "hours": 99}
    item.save()
    reevaluate.evaluate_marked()
    entries.evaluate(WorkItem.objects.get())
    entry = TimeEntry.objects.get()
    with django_assert_num_queries(0):
        assert explain.explain(entry) == before


def test_the_confirmed_hours_are_those_that_were_confirmed(office: Office) -> None:
    item = office.item(who=office.alice, hours=30)
    attention.confirm_entry(office.entry(item), user=office.user, note="yes")
    again = office.type(item, hours=31)
    assert (again.reason, pricing.confirm_hours_token(D(30))) == ("too_many_hours", "hours=30")
    assert ", confirmed" not in explain.explain(again)
