"""Set-up in the admin: rights, constant queries, and what the forms do."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.groups import ADMINISTRATOR, APPROVER, CLERK, VIEWER, update_groups
from accounts.models import User
from billing_console import clock
from mappings import hooks, lookups
from mappings.models import (
    Client,
    Company,
    Membership,
    NinjaProject,
    Person,
    ProjectMapping,
    Rate,
    Role,
    RuleSet,
    TaigaProject,
)
from sync.models import TimeEntry, WorkItem

pytestmark = pytest.mark.django_db

MODELS = [
    "projectmapping",
    "taigaproject",
    "client",
    "ninjaproject",
    "person",
    "membership",
    "role",
    "rate",
    "ruleset",
    "company",
]
READ_ONLY = {"taigaproject", "client", "ninjaproject", "membership"}
NEVER_DELETED = READ_ONLY | {"ruleset", "company"}


@pytest.fixture(autouse=True)
def business_time() -> Any:
    with clock.set_to(dt.datetime(2025, 12, 15, 12, tzinfo=dt.UTC)):
        yield


def browser_of(group: str) -> Browser:
    update_groups("mappings")
    user = User.objects.create_user(username=group.replace(" ", ""), is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    browser = Browser()
    browser.force_login(user)
    return browser


@pytest.fixture
def admin_browser() -> Browser:
    return browser_of(ADMINISTRATOR)


def make_rows(number: int) -> dict[str, Any]:
    """One row of every model, told apart by `number`; returns them by model name."""
    client = Client.objects.create(
        ninja_id=f"client_{number}",
        name=f"Client {number}",
        currency="EUR",
        is_known=True,
        contacts=[{"email": f"c{number}@example.org", "send_email": True}],
    )
    ninja_project = NinjaProject.objects.create(ninja_id=f"proj_{number}", client=client, name=f"Project {number}")
    project = ProjectMapping.objects.create(
        taiga_project_id=number, taiga_project_name=f"Taiga {number}", client=client, ninja_project=ninja_project
    )
    person = Person.objects.create(taiga_user_id=number, username=f"user{number}", full_name=f"User {number}")
    membership = Membership.objects.create(
        person=person, taiga_project_id=number, role_name="Dev", role_key="dev", refreshed_at=timezone.now()
    )
    role = Role.objects.create(key=f"role_{number}")
    rate = Rate.objects.create(level="user", person=person, amount=Decimal(90), currency="EUR")
    Rate.objects.create(level="user_in_project", person=person, project=project, amount=Decimal(95), currency="EUR")
    Rate.objects.create(level="client", client=client, amount=Decimal(60), currency="EUR")
    rules = RuleSet.objects.create(client=client, name=f"Rules {number}", rounding="hour")
    return {
        "client": client,
        "ninjaproject": ninja_project,
        "projectmapping": project,
        "taigaproject": TaigaProject.objects.create(taiga_id=number, name=f"Taiga {number}", is_known=True),
        "person": person,
        "membership": membership,
        "role": role,
        "rate": rate,
        "ruleset": rules,
        "company": Company.current(),
    }


def url(model: str, page: str = "changelist", *args: Any) -> str:
    return reverse(f"admin:mappings_{model}_{page}", args=args)


# --- rights -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [VIEWER, CLERK, APPROVER, ADMINISTRATOR])
def test_each_page_for_each_group(group: str) -> None:
    rows = make_rows(1)
    browser = browser_of(group)
    is_administrator = group == ADMINISTRATOR
    for model in MODELS:
        listed = browser.get(url(model), follow=True)
        assert listed.status_code == 200, model
        shown = browser.get(url(model, "change", rows[model].pk))
        assert shown.status_code == 200, model
        may_add = is_administrator and model not in READ_ONLY and model != "company"
        assert browser.get(url(model, "add")).status_code == (200 if may_add else 403), model
        may_delete = is_administrator and model not in NEVER_DELETED
        assert browser.get(url(model, "delete", rows[model].pk)).status_code == (200 if may_delete else 403), model
        if not is_administrator or model in READ_ONLY:
            before = type(rows[model]).objects.values().get(pk=rows[model].pk)
            assert browser.post(url(model, "change", rows[model].pk), {}).status_code == 403, model
            assert browser.post(url(model, "add"), {}).status_code == 403, model
            assert browser.post(url(model, "delete", rows[model].pk), {"post": "yes"}).status_code == 403, model
            assert type(rows[model]).objects.values().get(pk=rows[model].pk) == before


@pytest.mark.parametrize("group", [VIEWER, CLERK, APPROVER, ADMINISTRATOR])
def test_rates_in_and_out_for_each_group(group: str) -> None:
    browser = browser_of(group)
    assert browser.get(url("rate", "export")).status_code == 200
    expected = 200 if group == ADMINISTRATOR else 403
    assert browser.get(url("rate", "import")).status_code == expected
    assert browser.post(url("rate", "process_import"), {}).status_code in ((200, 302) if expected == 200 else (403,))


@pytest.mark.parametrize("model", MODELS)
def test_nobody_logged_in_is_asked_to(model: str) -> None:
    answer = Browser().get(url(model))
    assert answer.status_code == 302
    assert "/login/" in answer["Location"]


# --- queries ----------------------------------------------------------------------------------------------------


def test_a_list_makes_as_many_queries_for_30_rows_as_for_1(admin_browser: Browser) -> None:
    lists = [model for model in MODELS if model != "company"]
    make_rows(1)
    one = {model: queries_of(admin_browser, model) for model in lists}
    for number in range(2, 31):
        make_rows(number)
    assert {model: queries_of(admin_browser, model) for model in lists} == one
    assert max(one.values()) <= 14


def queries_of(browser: Browser, model: str) -> int:
    cache.clear()  # the sidebar's numbers are kept for a while
    with CaptureQueriesContext(connection) as queries:
        assert browser.get(url(model)).status_code == 200
    return len(queries)


# --- rates ------------------------------------------------------------------------------------------------------


def rate_form(**changes: Any) -> dict[str, Any]:
    return {"level": "user", "amount": "95", "currency": "", "valid_from": "", "valid_to": ""} | changes


def errors_of(answer: Any) -> str:
    form = answer.context["adminform"].form
    return " ".join(message for messages in form.errors.values() for message in messages)


@pytest.mark.parametrize(("typed", "stored"), [("4,5", "4.5"), ("4.5", "4.5"), ("95", "95"), ("1234,50", "1234.5")])
def test_a_rate_is_read_the_same_whatever_the_separator(admin_browser: Browser, typed: str, stored: str) -> None:
    person = Person.objects.create(taiga_user_id=6, username="alice")
    answer = admin_browser.post(url("rate", "add"), rate_form(person=person.pk, amount=typed))
    assert answer.status_code == 302, errors_of(answer)
    assert Rate.objects.get().amount == Decimal(stored)


def test_an_unclear_amount_is_asked_back_and_stays_on_the_screen(admin_browser: Browser) -> None:
    person = Person.objects.create(taiga_user_id=6, username="alice")
    answer = admin_browser.post(url("rate", "add"), rate_form(person=person.pk, amount="1.234"))
    assert "can mean 1234 or 1.234" in errors_of(answer)
    assert 'value="1.234"' in answer.content.decode()
    assert not Rate.objects.exists()


def test_the_currency_is_the_clients_else_the_companys(admin_browser: Browser) -> None:
    rows = make_rows(1)
    Client.objects.update(currency="USD")
    Company.objects.update(currency="GBP")
    admin_browser.post(url("rate", "add"), rate_form(level="project", project=rows["projectmapping"].pk))
    admin_browser.post(url("rate", "add"), rate_form(level="role", role=rows["role"].pk))
    assert Rate.objects.get(level="project").currency == "USD"
    assert Rate.objects.get(level="role").currency == "GBP"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"level": "user_in_project", "person": "PERSON"}, "This level needs it."),
        ({"level": "role"}, "This level needs it."),
        ({"level": "boss", "person": "PERSON"}, "boss is not one of the available choices."),
        ({"person": "PERSON", "amount": "0"}, "A rate is more than 0. Free work is typed as 0 on the item itself."),
        ({"person": "PERSON", "amount": "-5"}, "A rate is more than 0. Free work is typed as 0 on the item itself."),
        ({"person": "PERSON", "amount": "9.9951"}, "no more than 3 decimal places"),
        ({"person": "PERSON", "amount": "95.5", "currency": "JPY"}, "A rate in JPY has at most 0 decimals."),
        ({"person": "PERSON", "currency": "E1"}, "Write the three letters of the currency, for example EUR."),
        (
            {"person": "PERSON", "valid_from": "2026-01-01", "valid_to": "2026-01-01"},
            "“Valid until” must be later than “valid from”.",
        ),
    ],
)
def test_rates_that_are_refused(admin_browser: Browser, changes: dict[str, Any], sentence: str) -> None:
    person = Person.objects.create(taiga_user_id=6, username="alice")
    data = rate_form(**{key: person.pk if value == "PERSON" else value for key, value in changes.items()})
    answer = admin_browser.post(url("rate", "add"), data)
    assert answer.status_code == 200
    assert sentence in errors_of(answer)
    assert not Rate.objects.exists()


def test_a_rate_that_begins_later_ends_the_open_one(
    admin_browser: Browser, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    heard: list[Any] = []
    monkeypatch.setattr(hooks, "_callbacks", [heard.append])
    person = Person.objects.create(taiga_user_id=6, username="alice")
    old = Rate.objects.create(level="user", person=person, amount=Decimal(90), currency="EUR")
    with django_capture_on_commit_callbacks(execute=True):
        answer = admin_browser.post(
            url("rate", "add"), rate_form(person=person.pk, amount="100", valid_from="2026-01-01"), follow=True
        )
    old.refresh_from_db()
    new = Rate.objects.exclude(pk=old.pk).get()
    assert (old.valid_to, new.valid_from, new.valid_to) == (dt.date(2026, 1, 1), dt.date(2026, 1, 1), None)
    assert "ends where this one begins: 1 Jan 2026" in answer.content.decode()
    assert {row.pk for row in heard} == {old.pk, new.pk}


def test_overlapping_rates_are_refused(admin_browser: Browser) -> None:
    person = Person.objects.create(taiga_user_id=6, username="alice")
    Rate.objects.create(level="user", person=person, amount=Decimal(90), currency="EUR", valid_from=dt.date(2026, 1, 1))
    answer = admin_browser.post(url("rate", "add"), rate_form(person=person.pk, amount="100"))
    assert errors_of(answer) == (
        "Another rate of this kind is valid on some of these days. End that one first. "
        "90.00\xa0EUR is valid: 1 Jan 2026 → open."
    )
    assert Rate.objects.count() == 1


def used_rate(state: str) -> Rate:
    rows = make_rows(1)
    item = WorkItem.objects.create(kind="T", taiga_id=1, taiga_project_id=1)
    TimeEntry.objects.create(
        item=item,
        state=state,
        reason="by_person" if state == "held" else "",
        project=rows["projectmapping"],
        client=rows["client"],
        rate_row=rows["rate"],
        billed_hours=Decimal(1),
        rate=Decimal(90),
        amount=Decimal(90),
        currency="EUR",
        work_date=dt.date(2025, 12, 18),
    )
    rate: Rate = rows["rate"]
    return rate


@pytest.mark.parametrize("state", ["claimed", "invoiced"])
def test_the_price_of_a_used_rate_stays(admin_browser: Browser, state: str) -> None:
    rate = used_rate(state)
    page = url("rate", "change", rate.pk)
    answer = admin_browser.post(page, {"amount": "99", "currency": "EUR", "valid_from": "", "valid_to": ""})
    assert errors_of(answer) == (
        "1 entry in a draft or on an invoice was priced with this rate, so it stays as it is. "
        "Add a new rate from 19 Dec 2025 instead."
    )
    answer = admin_browser.post(page, {"amount": "90", "currency": "", "valid_from": "", "valid_to": "2025-12-18"})
    assert "Add a new rate from 19 Dec 2025 instead." in errors_of(answer)
    answer = admin_browser.post(page, {"amount": "90", "currency": "", "valid_from": "", "valid_to": "2025-12-19"})
    assert answer.status_code == 302
    rate.refresh_from_db()
    assert (rate.amount, rate.currency, rate.valid_to) == (Decimal(90), "EUR", dt.date(2025, 12, 19))
    assert "Cannot delete" in admin_browser.get(url("rate", "delete", rate.pk)).content.decode()


@pytest.mark.parametrize("state", ["held", "ready"])
def test_the_price_of_a_rate_of_unclaimed_entries_may_change(admin_browser: Browser, state: str) -> None:
    rate = used_rate(state)
    answer = admin_browser.post(
        url("rate", "change", rate.pk), {"amount": "99", "currency": "EUR", "valid_from": "", "valid_to": ""}
    )
    assert answer.status_code == 302
    rate.refresh_from_db()
    assert rate.amount == Decimal(99)
    assert rate.history.count() == 2


@pytest.mark.parametrize(("choice", "count"), [("", 3), ("today", 1), ("later", 1), ("past", 1)])
def test_rates_by_validity(admin_browser: Browser, choice: str, count: int) -> None:
    person = Person.objects.create(taiga_user_id=6, username="alice")
    days = [None, dt.date(2025, 12, 1), dt.date(2026, 1, 1), None]
    for begins, ends in zip(days, days[1:], strict=False):
        Rate.objects.create(
            level="user", person=person, amount=Decimal(90), currency="EUR", valid_from=begins, valid_to=ends
        )
    answer = admin_browser.get(url("rate"), {"valid": choice} if choice else {})
    assert answer.context["cl"].result_count == count


# --- rule sets --------------------------------------------------------------------------------------------------


def rules_form(rules: RuleSet, **changes: Any) -> dict[str, Any]:
    values = {name: getattr(rules, name) for name in lookups.RULE_FIELDS}
    data = {name: "" if value is None else value for name, value in values.items()}
    data |= changes
    return {name: value for name, value in data.items() if value is not False}


def test_saving_rules_makes_a_version(admin_browser: Browser) -> None:
    rules = lookups.rule_set_for(None)
    answer = admin_browser.post(
        url("ruleset", "change", rules.pk), rules_form(rules, rounding="hour", min_billable_hours="0,5"), follow=True
    )
    assert answer.status_code == 200
    first, second = RuleSet.objects.order_by("version")
    assert (first.rounding, first.is_current, second.rounding, second.is_current) == (
        "quarter_hour",
        False,
        "hour",
        True,
    )
    assert second.min_billable_hours == Decimal("0.5")
    assert second.created_by == User.objects.get(username="Administrator")
    text = answer.content.decode()
    assert "Standard v2: Next run 1 Jan 2026 → bills 1–31 Dec 2025" in text
    assert "The minimum of 0.5 h is no multiple of the rounding of 1 h." in text


def test_an_old_version_is_only_looked_at(admin_browser: Browser) -> None:
    old = lookups.rule_set_for(None)
    new = lookups.new_rule_set_version(None, {"rounding": "hour"})
    page = admin_browser.get(url("ruleset", "change", old.pk))
    assert page.status_code == 200
    assert 'name="_save"' not in page.content.decode()
    answer = admin_browser.post(url("ruleset", "change", old.pk), rules_form(old, rounding="none"), follow=True)
    assert answer.redirect_chain[0][0] == url("ruleset", "change", new.pk)
    assert "Somebody made Standard v2 since you opened the page." in answer.content.decode()
    assert RuleSet.objects.count() == 2


def test_the_rule_form_ends_with_what_the_next_run_does(admin_browser: Browser) -> None:
    rules = lookups.new_rule_set_version(None, {"generation_day": 31})
    text = admin_browser.get(url("ruleset", "change", rules.pk)).content.decode()
    assert "Next run 31 Dec 2025 → bills 1–30 Nov 2025" in text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"payment_terms": "net-5"}, "“net-5” is no payment term."),
        (
            {"generation_day": "32"},
            "Write a day of the month from 1 to 31; in a shorter month",
        ),
        ({"generation_day": "0"}, "Write a day of the month from 1 to 31;"),
        ({"generation_day": "1.5"}, "Write a day of the month from 1 to 31;"),
        ({"generation_weekday": "8"}, "Write a weekday from 1 (Monday) to 7 (Sunday)."),
        ({"billing_timezone": "Mars"}, "This is no time zone that we know."),
        ({"tax_decision": "tax"}, "Say how the tax is called on the invoice, for example VAT."),
        ({"tax_decision": "no_tax"}, "Say why no tax is charged; it is printed on the invoice."),
        ({"min_billable_hours": "1.234"}, "can mean 1234 or 1.234"),
        ({"tax_rate": "101"}, "Write a number of 100 or less."),
        ({"tax_rate": "-1"}, "Write a number of 0 or more."),
        ({"min_billable_hours": "-0,25"}, "Write a number of 0 or more."),
        ({"min_billable_hours": "Infinity"}, "“Infinity” is no number that we can read. Write it like 1234.50."),
    ],
)
def test_rules_that_are_refused(admin_browser: Browser, changes: dict[str, Any], sentence: str) -> None:
    rules = lookups.rule_set_for(None)
    answer = admin_browser.post(url("ruleset", "change", rules.pk), rules_form(rules, **changes))
    assert answer.status_code == 200
    assert sentence in errors_of(answer)
    assert RuleSet.objects.count() == 1


def test_rules_of_a_client(admin_browser: Browser) -> None:
    company = lookups.rule_set_for(None)
    client = Client.objects.create(ninja_id="client_abc123", name="Acme")
    data = rules_form(company, client=client.pk, frequency="biweekly", name="Acme")
    assert admin_browser.post(url("ruleset", "add"), data).status_code == 302
    own = RuleSet.objects.get(client=client)
    assert (own.version, own.anchor_date) == (1, dt.date(2025, 12, 15))
    answer = admin_browser.post(url("ruleset", "add"), data)
    assert "There are rules of Acme already (Acme v1): change those." in errors_of(answer)


def test_the_list_shows_current_versions_unless_asked(admin_browser: Browser) -> None:
    lookups.rule_set_for(None)
    lookups.new_rule_set_version(None, {"rounding": "hour"})
    assert admin_browser.get(url("ruleset")).context["cl"].result_count == 1
    assert admin_browser.get(url("ruleset"), {"versions": "all"}).context["cl"].result_count == 2


# --- projects, people, company ----------------------------------------------------------------------------------


def project_form(project: ProjectMapping, **changes: Any) -> dict[str, Any]:
    return {
        "taiga_project_name": project.taiga_project_name,
        "taiga_slug": "",
        "client": project.client_id,
        "ninja_project": project.ninja_project_id or "",
        "is_active": "on",
        "active_from": "",
        "active_to": "",
        "new_webhook_key": "",
    } | changes


def test_a_webhook_key_is_written_and_never_shown(admin_browser: Browser) -> None:
    project = make_rows(1)["projectmapping"]
    page = url("projectmapping", "change", project.pk)
    for key in ("first-sandbox-key", "second-sandbox-key"):
        assert admin_browser.post(page, project_form(project, new_webhook_key=key)).status_code == 302
    project.refresh_from_db()
    assert (project.webhook_key, project.previous_webhook_key) == ("second-sandbox-key", "first-sandbox-key")
    assert admin_browser.post(page, project_form(project)).status_code == 302
    project.refresh_from_db()
    assert project.webhook_key == "second-sandbox-key"
    history = reverse("admin:mappings_projectmapping_history", args=[project.pk])
    for shown in (page, history, url("projectmapping")):
        assert "sandbox-key" not in admin_browser.get(shown).content.decode()
    assert "new_webhook_key" not in browser_of(VIEWER).get(page).content.decode()


def test_a_project_of_another_client_is_refused(admin_browser: Browser) -> None:
    project, other = make_rows(1)["projectmapping"], make_rows(2)
    answer = admin_browser.post(
        url("projectmapping", "change", project.pk), project_form(project, ninja_project=other["ninjaproject"].pk)
    )
    assert errors_of(answer) == "“Project 2” belongs to Client 2 in Invoice Ninja, not to Client 1."
    answer = admin_browser.post(
        url("projectmapping", "change", project.pk),
        project_form(project, active_from="2026-01-02", active_to="2026-01-01"),
    )
    assert errors_of(answer) == "The last day cannot be before the first."


def test_a_role_key_is_folded(admin_browser: Browser) -> None:
    assert admin_browser.post(url("role", "add"), {"key": "Sénior Dev", "name": ""}).status_code == 302
    assert Role.objects.get().key == "sénior_dev"
    answer = admin_browser.post(url("role", "add"), {"key": "sénior-dev", "name": ""})
    assert errors_of(answer) == "There is a role with this key already."


def test_the_company_is_one_row(admin_browser: Browser) -> None:
    assert admin_browser.get(url("company"))["Location"] == url("company", "add")
    data = {
        "name": "Ours",
        "currency": "eur",
        "max_item_hours": "24,5",
        "invoice_date": "run",
        "brake_rate_percent": "",
        "brake_month_factor": "2,5",
        "brake_uplift_percent": "100",
        "brake_uplift_hours": "0,5",
        "brake_late_days": "30",
        "week_hours": "60",
        "attribute_billable": "Billable",
        "attribute_hours": "Duration (Hours)",
        "attribute_rate": "Hourly Rate",
        "attribute_client": "Client Invoice ID",
        "attribute_status": "Invoice Status",
        "attribute_estimate": "Estimate (Hours)",
    }
    assert admin_browser.post(url("company", "add"), data).status_code == 302
    company = Company.objects.get(pk=1)
    assert (company.currency, company.max_item_hours) == ("EUR", Decimal("24.5"))
    assert (company.brake_rate_percent, company.brake_month_factor) == (None, Decimal("2.5"))
    assert (company.brake_uplift_hours, company.brake_client, company.week_hours) == (Decimal("0.5"), False, 60)
    assert admin_browser.get(url("company"))["Location"] == url("company", "change", 1)
    answer = admin_browser.post(url("company", "change", 1), data | {"attribute_rate": "billable"})
    assert errors_of(answer) == "Two attributes have the same name. Each needs one of its own."
    answer = admin_browser.post(url("company", "change", 1), data | {"currency": "€"})
    assert errors_of(answer) == "Write the three letters of the currency, for example EUR."
    answer = admin_browser.post(url("company", "change", 1), data | {"week_hours": "169"})
    assert "168" in errors_of(answer)


def test_saving_and_deleting_tells_who_depends_on_it(
    admin_browser: Browser, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    heard: list[Any] = []
    monkeypatch.setattr(hooks, "_callbacks", [heard.append])
    rows = make_rows(1)
    with django_capture_on_commit_callbacks(execute=True):
        admin_browser.post(
            url("projectmapping", "change", rows["projectmapping"].pk), project_form(rows["projectmapping"])
        )
        admin_browser.post(url("rate", "delete", rows["rate"].pk), {"post": "yes"})
        admin_browser.post(
            url("role"), {"action": "delete_selected", "_selected_action": rows["role"].pk, "post": "yes"}
        )
    assert [type(row) for row in heard] == [ProjectMapping, Rate, Role]
