"""The form of a rule set: what it proposes, what it says before anything is saved, what it warns about; and numbers
as people of four languages type them, on the real forms."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal as D
from typing import Any

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing_console import clock
from mappings.lookups import RULE_FIELDS, new_rule_set_version, rule_set_for
from mappings.models import Client, Company, Person, Product, Rate, RuleSet
from sync.models import UpstreamCall
from tests.people import browser_of

pytestmark = pytest.mark.django_db
LANGUAGES = ["en-gb", "fr", "nl", "de"]
ADD = "/admin/mappings/ruleset/add/"
WORDS = "/admin/mappings/ruleset/words/"


@pytest.fixture(autouse=True)
def _in_december() -> Iterator[None]:
    with clock.set_to(dt.datetime(2025, 12, 15, 12, tzinfo=dt.UTC)):
        yield


@pytest.fixture
def admin() -> Browser:
    return browser_of("administrator")


def page_of(rules: RuleSet) -> str:
    return reverse("admin:mappings_ruleset_change", args=[rules.pk])


def typed(rules: RuleSet, **changes: Any) -> dict[str, Any]:
    values = {name: getattr(rules, name) for name in RULE_FIELDS}
    data = {name: "" if value is None else value for name, value in values.items()}
    data |= {"tax_rate": f"{rules.tax_rate:.2f}"} | changes
    return {name: value for name, value in data.items() if value is not False}


def form_of(answer: Any) -> Any:
    return answer.context["adminform"].form


def errors_of(answer: Any) -> str:
    return " ".join(message for messages in form_of(answer).errors.values() for message in messages)


# --- product ----------------------------------------------------------------------------------------------------------


def products(*keys: str, **columns: Any) -> None:
    for key in keys:
        Product.objects.create(ninja_id=key, product_key=key, **({"is_known": True} | columns))


def test_the_product_is_chosen_from_the_list_without_a_call(admin: Browser) -> None:
    products("Consulting", "Advice & more")
    products("Old", is_archived=True)
    products("Deleted", is_deleted=True)
    products("Lost", is_known=False)
    text = admin.get(page_of(rule_set_for(None))).content.decode()
    assert 'list="product_key-choices"' in text
    choices = text.partition('<datalist id="product_key-choices">')[2].partition("</datalist>")[0]
    assert choices == '<option value="Advice &amp; more"></option><option value="Consulting"></option>'
    assert not UpstreamCall.objects.exists()


@pytest.mark.parametrize(("keys", "is_warned"), [(["Consulting"], True), (["Advice"], False), ([], False)])
def test_a_product_that_is_not_in_the_list_is_warned_about(admin: Browser, keys: list[str], is_warned: bool) -> None:
    products(*keys)
    rules = rule_set_for(None)
    saved = admin.post(page_of(rules), typed(rules, product_key="Advice"), follow=True)
    sentence = "Invoice Ninja has no product “Advice”. Choose one from the list, or make it there first."
    assert (sentence in saved.content.decode()) is is_warned
    new = rule_set_for(None)
    assert new.product_key == "Advice"
    assert (sentence in admin.get(page_of(new)).content.decode()) is is_warned
    assert (sentence in admin.get(WORDS, typed(new)).content.decode()) is is_warned


# --- tax --------------------------------------------------------------------------------------------------------------


def test_the_tax_is_proposed_from_invoice_ninja_and_decided_by_a_person(admin: Browser) -> None:
    rules = rule_set_for(None)
    assert form_of(admin.get(page_of(rules)))["tax_name"].value() == ""
    company = Company.current()
    company.tax_name, company.tax_rate = "VAT", D("21.000")
    company.save()
    form = form_of(admin.get(page_of(rules)))
    assert (form["tax_decision"].value(), form["tax_name"].value(), form["tax_rate"].value()) == (
        "undecided",
        "VAT",
        "21.00",
    )
    assert form.fields["tax_decision"].help_text == (
        "Invoice Ninja's company has VAT 21\xa0%: choose “tax” to charge it."
    )
    as_shown = typed(rules, tax_name="VAT", tax_rate="21.00")
    admin.post(page_of(rules), as_shown)
    assert rule_set_for(None) == rules  # what was only proposed makes no version
    admin.post(page_of(rules), as_shown | {"tax_decision": "tax"})
    decided = rule_set_for(None)
    assert (decided.version, decided.tax_name, decided.tax_rate) == (2, "VAT", D(21))
    assert form_of(admin.get(page_of(decided))).fields["tax_decision"].help_text == ""


@pytest.mark.parametrize("group", ["viewer", "clerk", "approver", "administrator"])
def test_undecided_rules_are_a_page_for_everybody_also_where_the_company_has_a_tax(group: str) -> None:
    Company.objects.update_or_create(pk=1, defaults={"tax_name": "VAT", "tax_rate": D(21)})
    old = rule_set_for(None)
    now = new_rule_set_version(None, {"name": "Quarter hours"})
    assert (old.tax_decision, now.tax_decision) == ("undecided", "undecided")
    browser = browser_of(group)
    assert [browser.get(page_of(rules)).status_code for rules in (old, now)] == [200, 200]


def test_rules_that_name_a_tax_of_their_own_are_proposed_none(admin: Browser) -> None:
    Company.objects.update_or_create(pk=1, defaults={"tax_name": "VAT", "tax_rate": D(21)})
    rules = new_rule_set_version(None, {"tax_name": "TVA", "tax_rate": D(6)})
    assert form_of(admin.get(page_of(rules)))["tax_name"].value() == "TVA"


# --- what is said before it is saved ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "sentences"),
    [
        ({}, ["Next run 1 Jan 2026 → bills 1–31 Dec 2025"]),
        ({"generation_day": "31"}, ["Next run 31 Dec 2025 → bills 1–30 Nov 2025"]),
        ({"frequency": "weekly", "generation_weekday": "3"}, ["Next run 17 Dec 2025 → bills 8–14 Dec 2025"]),
        ({"frequency": "biweekly"}, ["Next run 29 Dec 2025 → bills 15–28 Dec 2025"]),
        ({"frequency": "biweekly", "anchor_date": "2025-12-08"}, ["Next run 22 Dec 2025 → bills 8–21 Dec 2025"]),
        (
            {"anchor_date": "2025-12-08"},
            ["Next run 1 Jan 2026", "The anchor date 8 Dec 2025 counts only for runs every two weeks."],
        ),
        ({"rounding": "hour"}, ["Next run", "The minimum of 0.25 h is no multiple of the rounding of 1 h."]),
        ({"rounding": "none"}, ["Next run"]),
        ({"generation_day": "32"}, ["Write a day of the month from 1 to 31"]),
        ({"billing_timezone": "Mars"}, ["This is no time zone that we know. Write it like Europe/Brussels."]),
        ({"min_billable_hours": "1.234"}, ["“1.234” can mean 1234 or 1.234."]),
    ],
)
def test_the_next_run_follows_what_is_typed(admin: Browser, changes: dict[str, str], sentences: list[str]) -> None:
    rules = rule_set_for(None)
    text = admin.get(WORDS, typed(rules, **changes)).content.decode()
    assert all(sentence in text for sentence in sentences), text
    assert text.count("bc-badge") == len(sentences) - 1
    assert RuleSet.objects.count() == 1


def test_the_words_are_for_who_may_see_rules() -> None:
    for group in ("viewer", "clerk", "approver", "administrator"):
        assert browser_of(group).get(WORDS).status_code == 200
    assert browser_of("stranger").get(WORDS).status_code == 403
    assert browser_of("administrator").post(WORDS).status_code == 405


def test_rules_of_a_client_begin_as_the_companys_are(admin: Browser) -> None:
    new_rule_set_version(None, {"footer": "Thank you", "rounding": "hour", "min_billable_hours": D("0.5")})
    form = form_of(admin.get(ADD))
    names = ("footer", "rounding", "min_billable_hours", "client")
    assert [form[name].value() for name in names] == ["Thank you", "hour", "0.50", None]


def test_the_form_makes_as_many_queries_for_thirty_products_as_for_one(admin: Browser) -> None:
    rules = rule_set_for(None)

    def queries() -> int:
        with CaptureQueriesContext(connection) as found:
            admin.get(page_of(rules))
        return len(found)

    products("Consulting")
    queries()
    one = queries()
    products(*(f"product {number}" for number in range(29)))
    assert queries() == one


# --- numbers in four languages ----------------------------------------------------------------------------------------


@pytest.fixture(params=LANGUAGES)
def speaking(request: pytest.FixtureRequest, admin: Browser) -> Browser:
    """An administrator whose browser asks for one of the four languages."""
    admin.defaults["HTTP_ACCEPT_LANGUAGE"] = request.param
    return admin


@pytest.mark.parametrize(("text", "number"), [("4,5", "4.5"), ("4.5", "4.5"), ("4.50", "4.5"), ("12", "12")])
def test_numbers_on_every_form_in_every_language(speaking: Browser, text: str, number: str) -> None:
    rules, value = rule_set_for(None), D(number)
    person = Person.objects.create(taiga_user_id=1)
    changed = typed(rules, min_billable_hours=text, tax_rate=text, tax_decision="tax", tax_name="VAT")
    assert speaking.post(page_of(rules), changed).status_code == 302
    new = rule_set_for(None)
    assert (new.min_billable_hours, new.tax_rate) == (value, value)
    rate = {"level": "user", "person": person.pk, "amount": text, "currency": "EUR"}
    assert speaking.post("/admin/mappings/rate/add/", rate).status_code == 302
    stored = Rate.objects.get()
    assert stored.amount == value
    # What the form shows of it reads back to the same number.
    page = reverse("admin:mappings_rate_change", args=[stored.pk])
    shown = form_of(speaking.get(page))["amount"].value()
    assert speaking.post(page, {"amount": shown, "currency": "EUR"}).status_code == 302
    assert Rate.objects.get().amount == value
    company = Company.current()
    fields = form_of(speaking.get(reverse("admin:mappings_company_change", args=[1])))
    data = {name: fields[name].value() for name in fields.fields} | {"max_item_hours": text}
    assert speaking.post(reverse("admin:mappings_company_change", args=[1]), data).status_code == 302
    company.refresh_from_db()
    assert company.max_item_hours == value


@pytest.mark.parametrize("text", ["1.234", "1,234"])
def test_a_number_with_two_readings_is_asked_back_on_every_form(speaking: Browser, text: str) -> None:
    rules = rule_set_for(None)
    readings = ("1234", "1.234", f"“{text}”")
    answers = [
        speaking.post(page_of(rules), typed(rules, **{name: text})) for name in ("min_billable_hours", "tax_rate")
    ]
    person = Person.objects.create(taiga_user_id=1)
    rate = {"level": "user", "person": person.pk, "amount": text, "currency": "EUR"}
    answers.append(speaking.post("/admin/mappings/rate/add/", rate))
    Company.current()
    answers.append(speaking.post(reverse("admin:mappings_company_change", args=[1]), {"max_item_hours": text}))
    for answer in answers:
        assert answer.status_code == 200
        assert all(reading in errors_of(answer) for reading in readings), errors_of(answer)
        assert f'value="{text}"' in answer.content.decode()
    assert (RuleSet.objects.count(), Rate.objects.count()) == (1, 0)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e3", "0x10", "٤", "4h", "--1", "1.2.3"])
def test_what_is_no_finite_number_is_refused(admin: Browser, text: str) -> None:
    rules = rule_set_for(None)
    person = Person.objects.create(taiga_user_id=1)
    rate = {"level": "user", "person": person.pk, "amount": text, "currency": "EUR"}
    for answer in (
        admin.post("/admin/mappings/rate/add/", rate),
        admin.post(page_of(rules), typed(rules, min_billable_hours=text)),
        admin.post(page_of(rules), typed(rules, tax_rate=text)),
    ):
        assert f"“{text}” is no number that we can read. Write it like 1234.50." in errors_of(answer)
    assert (RuleSet.objects.count(), Rate.objects.count()) == (1, 0)


def test_the_form_of_a_client_names_whose_rules_there_are(admin: Browser) -> None:
    company = rule_set_for(None)
    client = Client.objects.create(ninja_id="c1", name="Acme")
    assert admin.post(ADD, typed(company, client=client.pk, name="Acme")).status_code == 302
    assert "There are rules of Acme already (Acme v1): change those." in errors_of(
        admin.post(ADD, typed(company, client=client.pk, name="Acme"))
    )
