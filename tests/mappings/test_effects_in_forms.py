"""Before a rate or a rule set is saved, its form shows what that moves; a save that moves something is asked back."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from decimal import Decimal as D
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing_console import clock
from mappings.lookups import RULE_FIELDS, rule_set_for
from mappings.models import Person, Rate, RuleSet
from sync.models import TimeEntry
from tests.invoicing.test_effects import whole_database
from tests.invoicing.world import IN_JANUARY, built, make_client, make_project, make_work
from tests.people import browser_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _in_january() -> Iterator[None]:
    with clock.set_to(IN_JANUARY):
        yield


@pytest.fixture
def admin() -> Browser:
    return browser_of("administrator")


@pytest.fixture
def rate() -> Rate:
    """95.00 for a project with 2.25 h and 1 h billed in December, and 2.25 h that are not billed yet."""
    project = make_project(make_client())
    make_work(project, "2.1")
    make_work(project, "1.0")
    built()
    make_work(project, "2.1")
    return Rate.objects.get()


def page_of(rate: Rate) -> str:
    return reverse("admin:mappings_rate_change", args=[rate.pk])


def new_rate(rate: Rate, **changes: Any) -> dict[str, Any]:
    return {"level": "project", "project": rate.project_id, "amount": "100", "currency": "EUR"} | changes


ADD = "/admin/mappings/rate/add/"
FROM_DECEMBER = {"valid_from": "2025-12-10", "valid_to": ""}


def words(answer: Any) -> str:
    text = re.sub(r"<(script|style).*?</\1>", " ", answer.content.decode(), flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", text).replace("\xa0", " ").split())


def answer_of(answer: Any, **more: str) -> dict[str, str]:
    """What the question's form posts."""
    return answer.context["confirmation"].fields | more


def test_a_save_that_moves_something_is_asked_back_with_its_money(admin: Browser, rate: Rate) -> None:
    entry = TimeEntry.objects.get(state="ready")
    closed = dt.datetime(2025, 12, 20, 12, tzinfo=dt.UTC)
    TimeEntry.objects.filter(pk=entry.pk).update(work_date="2025-12-20", first_closed_at=closed)
    before = whole_database()
    asked = admin.post(ADD, new_rate(rate, **FROM_DECEMBER))
    assert whole_database() == before
    text = words(asked)
    assert asked.templates[0].name == "mappings/confirm_change.html"
    assert "Save this? It moves 1 entry that is not billed yet." in text
    assert "Money before tax +11.25 EUR" in text
    assert "Save, +11.25 EUR on 1 entry" in text
    assert "213.75 EUR 225.00 EUR +11.25 EUR" in text
    assert "December 2025 would have been the same." in text
    saved = admin.post(ADD, answer_of(asked))
    assert saved.status_code == 302
    assert list(Rate.objects.order_by("valid_to").values_list("amount", "valid_from", "valid_to")) == [
        (D(95), None, dt.date(2025, 12, 10)),
        (D(100), dt.date(2025, 12, 10), None),
    ]
    again = admin.post(ADD, answer_of(asked))
    assert "Another rate of this kind is valid on some of these days." in words(again)
    assert Rate.objects.count() == 2


def test_the_way_back_keeps_what_was_typed_and_saves_nothing(admin: Browser, rate: Rate) -> None:
    project = make_project(make_client("Other"))
    make_work(project, "1.0")
    own = Rate.objects.get(project=project)
    asked = admin.post(page_of(own), {"amount": "87,5", "currency": "EUR", "valid_from": "", "valid_to": ""})
    back = admin.post(page_of(own), answer_of(asked, _back="1"))
    assert back.status_code == 200
    assert 'value="87,5"' in back.content.decode()
    assert back.context["errors"] == []
    own.refresh_from_db()
    assert own.amount == D(95)


def test_an_answer_to_an_older_page_is_asked_again(admin: Browser) -> None:
    project = make_project(make_client())
    make_work(project, "1.0")
    own = Rate.objects.get()
    asked = admin.post(page_of(own), {"amount": "87", "currency": "EUR", "valid_from": "", "valid_to": ""})
    Rate.objects.update(amount=D(70))
    again = admin.post(page_of(own), answer_of(asked))
    assert "Save this?" in words(again)
    changed = admin.post(page_of(own), answer_of(asked, amount="88"))
    assert "Save this?" in words(changed)
    own.refresh_from_db()
    assert own.amount == D(70)


def test_the_effect_is_shown_on_a_button_and_saves_nothing(admin: Browser, rate: Rate) -> None:
    before = whole_database()
    shown = admin.post(ADD, new_rate(rate, level="client", client=rate.project.client_id, project="", _effect="1"))
    assert "Nothing that is not billed yet moves." in words(shown)
    rules = rule_set_for(rate.project.client)
    page = reverse("admin:mappings_ruleset_change", args=[rules.pk])
    shown = admin.post(page, rules_form(rules, rounding="half_hour", generation_day="31", _effect="1"))
    text = words(shown)
    assert "The effect of saving this" in text
    assert "1 entry moves." in text
    assert "December 2025 would have been 332.50 EUR instead of 308.75 EUR, +23.75 EUR, 1 line." in text
    assert "November 2025, October 2025 for information, nothing of it changes" in text
    assert "Nothing was billed that could differ." in text
    # The words below the fields follow what is typed, not what is stored.
    assert "Next run 31 Jan 2026 → bills 1–31 Dec 2025" in text
    assert "The minimum of 0.25 h is no multiple of the rounding of 0.5 h." in text
    assert whole_database() == before


def rules_form(rules: RuleSet, **changes: Any) -> dict[str, Any]:
    values = {name: getattr(rules, name) for name in RULE_FIELDS}
    data = {name: "" if value is None else value for name, value in values.items()} | changes
    data["tax_rate"] = f"{rules.tax_rate:.2f}"
    return {name: value for name, value in data.items() if value is not False}


def test_rules_that_move_something_are_asked_back_and_saved_once(admin: Browser, rate: Rate) -> None:
    rules = rule_set_for(rate.project.client)
    page = reverse("admin:mappings_ruleset_change", args=[rules.pk])
    asked = admin.post(page, rules_form(rules, rounding="hour"))
    assert "Save, +71.25 EUR on 1 entry" in words(asked)
    saved = admin.post(page, answer_of(asked), follow=True)
    assert "Standard v2" in words(saved)
    late = admin.post(page, answer_of(asked), follow=True)
    assert "Somebody made Standard v2 since you opened the page." in words(late)
    assert RuleSet.objects.filter(client=rate.project.client).count() == 2


def test_a_save_that_moves_nothing_is_not_asked_back(admin: Browser, rate: Rate) -> None:
    rules = rule_set_for(rate.project.client)
    page = reverse("admin:mappings_ruleset_change", args=[rules.pk])
    assert admin.post(page, rules_form(rules, footer="Thank you")).status_code == 302
    person = Person.objects.create(taiga_user_id=99, username="new")
    typed = {"level": "user", "person": person.pk, "amount": "80", "currency": "EUR"}
    assert admin.post(ADD, typed).status_code == 302


@pytest.mark.parametrize("group", ["viewer", "clerk", "approver"])
def test_only_an_administrator_asks_for_an_effect(group: str, rate: Rate) -> None:
    browser = browser_of(group)
    typed = {"amount": "100", "currency": "EUR", "valid_from": "", "valid_to": ""}
    rules = rule_set_for(rate.project.client)
    for more in ({}, {"_effect": "1"}, {"_back": "1"}):
        assert browser.post(page_of(rate), typed | more).status_code == 403
        assert browser.post(ADD, new_rate(rate) | more).status_code == 403
        page = reverse("admin:mappings_ruleset_change", args=[rules.pk])
        assert browser.post(page, rules_form(rules, rounding="hour") | more).status_code == 403
    assert "Show the effect" not in words(browser.get(page_of(rate)))


def test_as_many_queries_for_thirty_moves_as_for_one(admin: Browser) -> None:
    project = make_project(make_client())
    make_work(project, "1.0")
    own = Rate.objects.get()
    typed = {"amount": "87", "currency": "EUR", "valid_from": "", "valid_to": ""}

    def queries() -> int:
        with CaptureQueriesContext(connection) as found:
            assert "Save this?" in words(admin.post(page_of(own), typed))
        return len(found)

    queries()
    one = queries()
    for _number in range(29):
        make_work(project, "1.0")
    assert queries() == one


# --- files ------------------------------------------------------------------------------------------------------------

IMPORT = "/admin/mappings/rate/import/"
HEAD = "level,person,role,project,client,amount,currency,valid_from,valid_to"


def upload(browser: Browser, content: bytes, name: str) -> Any:
    """Post a file to the import page; the last format offered is XLSX, the first CSV."""
    formats = {"csv": "0", "xlsx": "1"}
    file = SimpleUploadedFile(name, content)
    return browser.post(IMPORT, {"import_file": file, "format": formats[name.rpartition(".")[2]]})


def test_a_file_says_what_it_moves_before_it_is_taken_over(admin: Browser, rate: Rate) -> None:
    number = rate.project.taiga_project_id
    lines = f"{HEAD}\nuser,alice,,,,100.00,EUR,2026-01-01,\nuser_in_project,alice,,{number},,120,EUR,,\n"
    before = whole_database()
    asked = upload(admin, lines.encode(), "rates.csv")
    assert whole_database() == before
    text = words(asked)
    assert "The effect of this file" in text
    assert "Money before tax +56.25 EUR" in text
    assert "December 2025 would have been 390.00 EUR instead of 308.75 EUR, +81.25 EUR, 2 lines." in text
    confirmed = asked.context["confirm_form"].initial
    done = admin.post("/admin/mappings/rate/process_import/", confirmed, follow=True)
    assert done.status_code == 200
    assert Rate.objects.count() == 3


def test_a_bad_file_names_line_and_mistake_and_stores_nothing(admin: Browser, rate: Rate) -> None:
    lines = "\n".join(
        [
            HEAD,
            "user,alice,,,,100.00,EUR,,",
            "user,nobody,,,,100.00,EUR,,",
            "role,,ghost,,,1.234,EUR,,",
            f"project,,,{rate.project.taiga_project_id},,99,EUR,,",
        ]
    )
    text = words(upload(admin, lines.encode(), "rates.csv"))
    assert "Line number 2 : There is not exactly one person “nobody”." in text
    assert "Line number 3 : There is not exactly one role “ghost”." in text
    assert Rate.objects.count() == 1
    alone = f"{HEAD}\n{lines.splitlines()[1]}\n{lines.splitlines()[4]}\n"
    refused = words(upload(admin, alone.encode(), "rates.csv"))
    assert "2 entries in drafts or on invoices were priced with this rate, so it stays as it is." in refused
    assert "confirm_form" not in (upload(admin, alone.encode(), "rates.csv").context or {})
    assert Rate.objects.count() == 1


@pytest.mark.parametrize(("kind", "number"), [("csv", "0"), ("xlsx", "1")])
def test_out_and_in_again_changes_nothing(admin: Browser, rate: Rate, kind: str, number: str) -> None:
    Rate.objects.create(
        level="user",
        person=Person.objects.get(username="alice"),
        amount=D("87.5"),
        currency="EUR",
        valid_from=dt.date(2026, 1, 1),
        valid_to=dt.date(2026, 7, 1),
    )
    fields = {f"rateresource_{name}": "on" for name in HEAD.split(",")}
    exported = admin.post("/admin/mappings/rate/export/", {"format": number, "resource": "", **fields})
    content = exported.content
    before = whole_database()
    asked = upload(admin, content, f"rates.{kind}")
    assert [str(fault.error) for row in asked.context["result"].rows for fault in row.errors] == []
    assert [row.import_type for row in asked.context["result"].rows] == ["skip", "skip"]
    assert "The effect of this file" not in words(asked)
    admin.post("/admin/mappings/rate/process_import/", asked.context["confirm_form"].initial)
    after = whole_database()
    assert {name for name in after if after[name] != before[name]} <= {"admin.LogEntry", "sessions.Session"}


# --- a new rate from … ------------------------------------------------------------------------------------------------


def test_a_used_rate_offers_one_that_follows_it(admin: Browser, rate: Rate) -> None:
    link = f"{ADD}?from={rate.pk}"
    assert f'href="{link}"' in admin.get(reverse("admin:mappings_rate_changelist")).content.decode()
    shown = admin.get(page_of(rate))
    assert f'href="{link}&amp;valid_from=2026-01-02"' in shown.content.decode()
    assert "Add a new rate from 2 Jan 2026…" in words(shown)
    typed = {"amount": "100", "currency": "EUR", "valid_from": "", "valid_to": ""}
    refused = admin.post(page_of(rate), typed)
    assert "Add a new rate from 10 Dec 2025 instead." in words(refused)
    soonest = f"{link}&valid_from=2025-12-10"
    assert f'href="{soonest.replace("&", "&amp;")}"' in refused.content.decode()
    assert "Add a new rate from 10 Dec 2025…" in words(refused)
    assert admin.get(soonest).context["adminform"].form["valid_from"].value() == "2025-12-10"
    begun = admin.post(ADD, new_rate(rate, valid_from="2025-12-01"))
    assert f'href="{soonest.replace("&", "&amp;")}"' in begun.content.decode()
    form = admin.get(link).context["adminform"].form
    assert {name: form[name].value() for name in ("level", "project", "amount", "currency", "valid_from")} == {
        "level": "project",
        "project": rate.project_id,
        "amount": "95.00",
        "currency": "EUR",
        "valid_from": dt.date(2026, 1, 2),
    }
    saved = admin.post(link, new_rate(rate, valid_from="2026-01-02"), follow=True)
    assert "ends where this one begins: 2 Jan 2026" in words(saved)
    viewer = browser_of("viewer")
    for page in (page_of(rate), reverse("admin:mappings_rate_changelist")):
        assert "?from=" not in viewer.get(page).content.decode()


@pytest.mark.parametrize(
    ("begins", "ends", "first", "last"),
    [
        (None, None, dt.date(2026, 1, 2), None),  # today
        (dt.date(2026, 3, 1), None, dt.date(2026, 3, 2), None),  # not before it has begun
        (None, dt.date(2026, 7, 1), dt.date(2026, 1, 2), dt.date(2026, 7, 1)),  # ends where it would have
        (None, dt.date(2025, 6, 1), dt.date(2025, 6, 1), None),  # it has ended
    ],
)
def test_when_a_following_rate_begins(
    admin: Browser, begins: dt.date | None, ends: dt.date | None, first: dt.date, last: dt.date | None
) -> None:
    person = Person.objects.create(taiga_user_id=99)
    before = Rate.objects.create(
        level="user", person=person, amount=D(80), currency="EUR", valid_from=begins, valid_to=ends
    )
    form = admin.get(f"{ADD}?from={before.pk}").context["adminform"].form
    assert (form["valid_from"].value(), form["valid_to"].value()) == (first, last)
    typed = {"level": "user", "person": person.pk, "amount": "90", "currency": "EUR"}
    saved = admin.post(ADD, typed | {"valid_from": first.isoformat(), "valid_to": last.isoformat() if last else ""})
    assert saved.status_code == 302
    before.refresh_from_db()
    assert before.valid_to == first


def test_a_rate_in_the_middle_of_another_is_refused(admin: Browser) -> None:
    person = Person.objects.create(taiga_user_id=99)
    Rate.objects.create(level="user", person=person, amount=D(80), currency="EUR", valid_to=dt.date(2026, 7, 1))
    typed = {"level": "user", "person": person.pk, "amount": "90", "currency": "EUR"}
    refused = admin.post(ADD, typed | {"valid_from": "2026-02-01", "valid_to": "2026-03-01"})
    assert "80.00 EUR is valid: always → 1 Jul 2026." in words(refused)


def test_the_list_stands_by_scope_with_the_history_of_each_rate(admin: Browser, rate: Rate) -> None:
    person = Person.objects.create(taiga_user_id=99, full_name="Zoe")
    own = Rate.objects.create(level="user", person=person, amount=D(80), currency="EUR")
    own.amount = D(85)
    own.save()
    listed = admin.get(reverse("admin:mappings_rate_changelist"))
    assert [row.pk for row in listed.context["cl"].result_list] == [own.pk, rate.pk]
    text = words(listed)
    assert "All 2 Person in this project 0 Person 1 Role 0 Project default 1 Client default 0" in text
    assert "2 versions" in text
    history = admin.get(reverse("admin:mappings_rate_history", args=[own.pk]))
    assert "85" in words(history)
    scoped = admin.get(reverse("admin:mappings_rate_changelist"), {"level__exact": "project"})
    assert [row.pk for row in scoped.context["cl"].result_list] == [rate.pk]
