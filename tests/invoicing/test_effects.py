"""What a change of a rate or a rule set would move: the same as the change then does, and nothing is touched."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from decimal import Decimal as D
from typing import Any

import pytest
from django.apps import apps
from django.core import serializers
from django.db import connection
from django.db.models import Q
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from billing_console import clock
from invoicing.models import Invoice, InvoiceLine
from mappings import hooks
from mappings.effects import LARGEST, Change, Effect
from mappings.lookups import new_rule_set_version, rule_set_for
from mappings.models import Client, Company, Membership, Person, ProjectMapping, Rate, Role, RuleSet
from sync import entries, reevaluate
from sync.models import TimeEntry, WorkItem
from tests.invoicing.world import IN_JANUARY, built, change_hours, make_client, make_project, make_work

pytestmark = pytest.mark.django_db
NOVEMBER_10 = dt.datetime(2025, 11, 10, 12, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def _in_january() -> Iterator[None]:
    with clock.set_to(IN_JANUARY):
        yield


def whole_database() -> dict[str, Any]:
    """Every row of every table."""
    return {
        model._meta.label: json.loads(serializers.serialize("json", model._default_manager.order_by("pk")))
        for model in apps.get_models(include_auto_created=True)
    }


def rate_of(project: ProjectMapping, amount: str, **columns: Any) -> Rate:
    """The project's stored rate as it would be with another amount, not stored."""
    rate = Rate.objects.get(project=project, level="project")
    rate.amount = D(amount)
    for name, value in columns.items():
        setattr(rate, name, value)
    return rate


def rules_of(client: Client | None, **changes: Any) -> Change:
    before = rule_set_for(client)
    values = {name: getattr(before, name) for name in ("rounding", "rounding_mode", "min_billable_hours", "min_mode")}
    new = RuleSet(client=client, billing_timezone="Europe/Brussels", name="Next", version=9, **(values | changes))
    return Change(rule_set=new, rules_before=before)


def unclaimed(change: Change) -> Effect:
    return hooks.effect_of(change)[0]


def months(change: Change) -> list[Effect]:
    return hooks.effect_of(change)[1:]


# --- what is not claimed ----------------------------------------------------------------------------------------------


def test_a_rate_moves_what_it_prices_and_nothing_else() -> None:
    project, other = make_project(make_client()), make_project(make_client("Other"))
    make_work(project, "2.1")
    make_work(project, "1.0")
    make_work(project, "1.0", rate=D(60))
    make_work(other, "3.0")
    effect = unclaimed(Change(rates=(rate_of(project, "100"),)))
    assert (effect.count, effect.hours, effect.money) == (2, D(0), {"EUR": D("16.25")})
    assert [(move.before.amount, move.after.amount) for move in effect.largest] == [
        (D("213.75"), D("225.00")),
        (D("95.00"), D("100.00")),
    ]
    assert effect.largest[0].below == "Alice Adams · Webshop · 9 Dec 2025"


def test_a_new_rate_frees_holds_and_one_that_ends_makes_them() -> None:
    project = make_project(make_client())
    entry = make_work(project, "2.1")
    ended = rate_of(project, "95", valid_to=dt.date(2025, 12, 9))
    effect = unclaimed(Change(rates=(ended,)))
    assert (effect.count, effect.new_holds, effect.freed_holds, effect.money) == (1, 1, 0, {"EUR": D("-213.75")})
    assert effect.largest[0].after.hold == "no_rate"
    ended.save()
    reevaluate.evaluate_marked()
    entry.refresh_from_db()
    assert (entry.state, entry.reason) == ("held", "no_rate")
    new = Rate(level="client", client=project.client, amount=D(80), currency="EUR")
    effect = unclaimed(Change(rates=(new,)))
    assert (effect.count, effect.new_holds, effect.freed_holds, effect.money) == (1, 0, 1, {"EUR": D("180.00")})


def test_a_rate_in_another_currency_takes_money_from_one_and_holds() -> None:
    project = make_project(make_client())
    make_work(project, "2.0")
    effect = unclaimed(Change(rates=(rate_of(project, "100", currency="USD"),)))
    assert (effect.money, effect.new_holds) == ({"EUR": D("-190.00"), "USD": D("200.00")}, 1)
    assert effect.largest[0].after.hold == "currency"


def test_rules_move_hours_of_their_clients_only() -> None:
    own, company = make_client("Own"), make_client("Company's")
    RuleSet.objects.filter(client=company).delete()
    new_rule_set_version(None, {"billing_timezone": "Europe/Brussels"})
    make_work(make_project(own), "2.1")
    make_work(make_project(company), "1.1")
    ours, theirs = unclaimed(rules_of(None, rounding="hour")), unclaimed(rules_of(own, rounding="none"))
    assert (ours.count, ours.hours, ours.money) == (1, D("0.75"), {"EUR": D("71.25")})
    assert (theirs.count, theirs.hours, theirs.money) == (1, D("-0.15"), {"EUR": D("-14.25")})
    skipped = unclaimed(rules_of(own, min_billable_hours=D(3), min_mode="skip"))
    assert (skipped.count, skipped.hours, skipped.money) == (1, D("-2.25"), {"EUR": D("-213.75")})
    assert skipped.largest[0].after.state == "below_minimum"


@pytest.mark.parametrize("changes", [{"tax_name": "VAT"}, {"payment_terms": "net14"}, {"generation_day": 9}])
def test_rules_that_price_nothing_ask_nothing(changes: dict[str, Any], django_assert_num_queries: Any) -> None:
    client = make_client()
    make_work(make_project(client), "2.1")
    before = rule_set_for(client)
    new = RuleSet.objects.get(pk=before.pk)
    for name, value in changes.items():
        setattr(new, name, value)
    change = Change(rule_set=new, rules_before=before)
    with django_assert_num_queries(0):
        assert [(effect.count, effect.period) for effect in hooks.effect_of(change)] == [(0, None)]


def test_a_hold_by_a_person_stays_and_its_money_counts() -> None:
    project = make_project(make_client())
    entry = make_work(project, "2.0")
    TimeEntry.objects.filter(pk=entry.pk).update(state="held", reason="by_person", held_by_person=True)
    effect = unclaimed(Change(rates=(rate_of(project, "100"),)))
    assert (effect.count, effect.new_holds, effect.freed_holds, effect.money) == (1, 0, 0, {"EUR": D("10.00")})


def test_what_another_change_is_about_to_move_is_not_counted() -> None:
    project = make_project(make_client())
    make_work(project, "2.0")
    Rate.objects.update(amount=D(50))  # nobody priced by it yet
    outranked = Rate(level="client", client=project.client, amount=D(1), currency="EUR")
    assert unclaimed(Change(rates=(outranked,))).count == 0


def test_only_the_ten_largest_are_kept() -> None:
    project = make_project(make_client())
    for hours in range(1, 15):
        make_work(project, f"{hours}")
    effect = unclaimed(Change(rates=(rate_of(project, "96"),)))
    assert (effect.count, effect.money) == (14, {"EUR": D(105)})
    assert [move.money["EUR"] for move in effect.largest] == [D(hours) for hours in range(14, 14 - LARGEST, -1)]


# --- closed months ----------------------------------------------------------------------------------------------------


def test_a_closed_month_says_what_it_would_have_been() -> None:
    project = make_project(make_client())
    make_work(project, "2.1")
    make_work(project, "1.0")
    make_work(project, "1.0", rate=D(60))
    make_work(project, "1.0", closed=NOVEMBER_10)
    built()
    effects = hooks.effect_of(Change(rates=(rate_of(project, "100", valid_from=dt.date(2025, 12, 1)),)))
    found = [(one.period, one.billed, one.would_be("EUR"), one.count) for one in effects[1:]]
    assert [(period.start.month, *rest) for period, *rest in found if period] == [
        (12, {"EUR": D("368.75")}, D("385.00"), 2),
        (11, {"EUR": D("95.00")}, D("0"), 1),  # no rate was valid in November then
        (10, {}, D(0), 0),
    ]
    assert (effects[0].count, effects[2].new_holds, effects[2].largest[0].after.hold) == (0, 1, "no_rate")


def test_a_month_is_priced_from_what_was_typed_then() -> None:
    project = make_project(make_client())
    entry = make_work(project, "2.1")
    built()
    change_hours(entry, "9")
    december = months(Change(rates=(rate_of(project, "100"),)))[0]
    assert (december.billed, december.would_be("EUR")) == ({"EUR": D("213.75")}, D("225.00"))


def test_cycles_of_one_item_follow_each_other() -> None:
    client = make_client()
    entry = make_work(make_project(client), "2.1", closed=NOVEMBER_10)
    invoice = built().invoices.get()
    Invoice.objects.filter(pk=invoice.pk).update(state="approved", seal="x")
    item = WorkItem.objects.get(pk=entry.item_id)
    item.closings, item.attributes = 2, {**item.attributes, "hours": D("2.3")}
    item.finished_at = dt.datetime(2025, 12, 9, 12, tzinfo=dt.UTC)
    item.save()
    second = entries.evaluate(item)
    assert second is not None
    assert (second.cycle, second.billed_hours) == (2, D("0.25"))
    change = rules_of(client, rounding="hour")
    december, november, _october = months(change)
    assert (november.hours, november.money, december.count) == (D("0.75"), {"EUR": D("71.25")}, 0)
    # What the first cycle billed is billed, so that the second makes up for the hour.
    effect = unclaimed(change)
    assert (effect.hours, effect.largest[0].after.hours) == (D("0.50"), D("0.75"))
    # Once both are billed, the rules would have held for both.
    TimeEntry.objects.filter(pk=second.pk).update(state="claimed")
    copied = ("work_date", "raw_hours", "billed_hours", "rate", "amount")
    InvoiceLine.objects.create(invoice=invoice, entry=second, **{name: getattr(second, name) for name in copied})
    december, november, _october = months(change)
    assert (november.hours, december.hours) == (D("0.75"), D("-0.25"))
    assert unclaimed(change).count == 0


# --- nothing is touched, and it is true -------------------------------------------------------------------------------


def test_the_whole_database_is_as_before(django_capture_on_commit_callbacks: Any) -> None:
    project = make_project(make_client())
    for hours in ("2.1", "1.0"):
        make_work(project, hours)
    built()
    make_work(project, "0.4")
    before = whole_database()
    with django_capture_on_commit_callbacks() as callbacks:
        assert hooks.effect_of(Change(rates=(rate_of(project, "100"),)))[0].count == 1
        assert hooks.effect_of(Change(rates=(rate_of(project, "95", valid_to=dt.date(2025, 1, 1)),)))[1].count == 2
        assert hooks.effect_of(rules_of(project.client, rounding="hour"))[0].count == 1
        assert hooks.effect_of(rules_of(None, rounding="hour"))[0].count == 0
    assert callbacks == []
    assert whole_database() == before


def test_as_many_queries_for_thirty_as_for_one() -> None:
    project = make_project(make_client())

    def queries(change: Change) -> int:
        with CaptureQueriesContext(connection) as found:
            hooks.effect_of(change)
        return len(found)

    make_work(project, "1.0")
    built()
    make_work(project, "1.0")
    rate, rules = Change(rates=(rate_of(project, "100"),)), rules_of(project.client, rounding="hour")
    queries(rate)  # reads once what the rate is for
    one = (queries(rate), queries(rules))
    for _number in range(29):
        make_work(project, "1.0")
    assert (queries(rate), queries(rules)) == one
    assert max(one) <= 30


class TestTruth(TestCase):
    """What is shown is what happens."""

    @settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
    @given(st.data())
    def test_the_effect_is_what_saving_then_does(self, data: st.DataObject) -> None:
        with clock.set_to(IN_JANUARY):
            self._compare(data)

    def _compare(self, data: st.DataObject) -> None:
        # The rows of this test were made, not priced: brakes would first be asked about them by the saving.
        Company.objects.update_or_create(pk=1, defaults={"brake_rate_percent": None})
        client = make_client()
        project = make_project(client)
        alice = Person.objects.get_or_create(taiga_user_id=7, defaults={"username": "alice"})[0]
        Membership.objects.create(
            person=alice, taiga_project_id=project.taiga_project_id, role_name="pm", role_key="pm"
        )
        role = Role.objects.create(key="pm")
        for hours in data.draw(st.lists(st.sampled_from(["0.1", "1.05", "2.6", "4"]), min_size=1, max_size=4)):
            rate = data.draw(st.sampled_from([None, D(60), D(0)]))
            make_work(project, hours, rate=rate)
        level = data.draw(st.sampled_from(["user", "role", "client", "user_in_project", "rules", "ended", "project"]))
        targets: dict[str, Any] = {"user": {"person": alice}, "role": {"role": role}, "client": {"client": client}}
        targets["user_in_project"] = {"person": alice, "project": project}
        if level == "rules":
            rounding = data.draw(st.sampled_from(["none", "quarter_hour", "half_hour", "hour"]))
            mode = data.draw(st.sampled_from(["up", "nearest", "down"]))
            minimum = data.draw(st.sampled_from(["raise", "skip"]))
            changes = {"rounding": rounding, "rounding_mode": mode, "min_mode": minimum}
            change = rules_of(client, **changes)
            self._check(change, lambda: new_rule_set_version(client, changes))
        elif level == "ended":
            ended = rate_of(project, "95", valid_to=dt.date(2025, 12, 9))
            self._check(Change(rates=(ended,)), ended.save)
        else:
            day = data.draw(st.sampled_from([None, dt.date(2025, 12, 9), dt.date(2025, 12, 10)]))
            currency = data.draw(st.sampled_from(["EUR", "USD"]))
            if level == "project":
                rate_row = rate_of(project, "70", valid_from=day, currency=currency)
            else:
                rate_row = Rate(level=level, amount=D(70), currency=currency, valid_from=day, **targets[level])
            self._check(Change(rates=(rate_row,)), rate_row.save)

    def _check(self, change: Change, save: Callable[[], Any]) -> None:
        effect = unclaimed(change)
        before = self._sums()
        save()
        reevaluate.evaluate_marked()
        after = self._sums()
        assert effect.hours == after["hours"] - before["hours"]
        assert effect.new_holds - effect.freed_holds == after["held"] - before["held"]
        for currency in ("EUR", "USD"):
            moved = after.get(currency, D(0)) - before.get(currency, D(0))
            assert effect.money.get(currency, D(0)) == moved

    def _sums(self) -> dict[str, Any]:
        rows = list(TimeEntry.objects.filter(~Q(state__in=["claimed", "invoiced"])))
        sums: dict[str, Any] = {"hours": sum((row.billed_hours or D(0) for row in rows), D(0))}
        sums["held"] = sum(row.state == "held" for row in rows)
        for row in rows:
            if row.amount is not None:
                sums[row.currency] = sums.get(row.currency, D(0)) + row.amount
        return sums
