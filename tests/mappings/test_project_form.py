"""Mapping a project: both sides are chosen from cached lists, and what does not fit is refused in one sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client as Browser
from django.urls import reverse

from accounts.groups import update_groups
from mappings import hooks
from mappings.models import Client, Company, NinjaProject, ProjectMapping, RuleSet, TaigaProject
from tests.people import browser_of

pytestmark = pytest.mark.django_db
ADD = "/admin/mappings/projectmapping/add/"


@pytest.fixture
def rows() -> dict[str, Any]:
    """Two clients with a project each, three projects of Taiga: one free, one mapped, one that our user left."""
    update_groups("mappings")
    acme = Client.objects.create(ninja_id="acme", name="Acme", currency="USD", is_known=True)
    beacon = Client.objects.create(ninja_id="beacon", name="Beacon", currency="EUR", is_known=True)
    dead = Client.objects.create(ninja_id="dead", name="Dead Ltd", is_known=True, is_deleted=True)
    for taiga_id, name, is_known in ((1, "Website", True), (2, "Mobile", True), (3, "Left", False)):
        TaigaProject.objects.create(taiga_id=taiga_id, name=name, slug=name.lower(), is_known=is_known)
    mapping = ProjectMapping.objects.create(taiga_project_id=2, taiga_project_name="Mobile", client=beacon)
    return {
        "acme": acme,
        "beacon": beacon,
        "dead": dead,
        "web": NinjaProject.objects.create(ninja_id="web", name="Web", client=acme, is_known=True),
        "app": NinjaProject.objects.create(ninja_id="app", name="App", client=beacon, is_known=True),
        "gone": NinjaProject.objects.create(ninja_id="gone", name="Gone", client=acme, is_known=False),
        "mapping": mapping,
    }


def post(browser: Browser, url: str = ADD, **values: Any) -> Any:
    data = {"is_active": "on", "new_webhook_key": "", "ninja_project": "", "active_from": "", "active_to": ""} | values
    return browser.post(url, {key: value for key, value in data.items() if value is not None}, follow=True)


def words(answer: Any) -> str:
    return " ".join(answer.content.decode().replace("&#x27;", "'").split())


def test_a_taiga_project_is_chosen_from_the_list_and_takes_its_name_and_slug_from_there(rows: dict[str, Any]) -> None:
    browser = browser_of("administrator")
    page = words(browser.get(ADD))
    assert "Website (website)" in page
    assert "Mobile (mobile)" not in page  # mapped already
    assert "Left (left)" not in page  # our user is no member
    answer = post(browser, taiga_project="1", client=rows["acme"].pk, ninja_project=rows["web"].pk)
    made = ProjectMapping.objects.get(taiga_project_id=1)
    assert (made.taiga_project_name, made.taiga_slug, made.client, made.ninja_project) == (
        "Website",
        "website",
        rows["acme"],
        rows["web"],
    )
    assert "reads everything that was ever closed" in words(answer)


def test_the_form_comes_filled_in_from_the_page_of_what_is_unmapped(rows: dict[str, Any]) -> None:
    page = words(browser_of("administrator").get(f"{ADD}?taiga_project=1&client={rows['acme'].pk}"))
    assert '<option value="1" selected>' in page
    assert "Without “active from”, the first look" in page


def test_with_a_first_day_nobody_is_warned(rows: dict[str, Any]) -> None:
    answer = post(browser_of("administrator"), taiga_project="1", client=rows["acme"].pk, active_from="2025-12-01")
    assert "reads everything that was ever closed in it." not in words(answer).split("messages")[-1]
    assert ProjectMapping.objects.get(taiga_project_id=1).active_from is not None


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"taiga_project": "2"}, "no such project, or it is mapped already"),
        ({"taiga_project": "3"}, "no such project, or it is mapped already"),
        ({"taiga_project": "999"}, "no such project, or it is mapped already"),
        ({"taiga_project": "x"}, "no such project, or it is mapped already"),
        ({"ninja_project": "app"}, "“App” belongs to Beacon in Invoice Ninja, not to Acme."),
        ({"ninja_project": "gone"}, "no living “Gone”"),
        ({"client": "dead"}, "no living “Dead Ltd”"),
        ({"active_from": "2025-12-31", "active_to": "2025-12-01"}, "The last day cannot be before the first."),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(
    rows: dict[str, Any], values: dict[str, str], sentence: str
) -> None:
    named = {key: rows[value].pk if value in rows else value for key, value in values.items()}
    answer = post(browser_of("administrator"), **{"taiga_project": "1", "client": rows["acme"].pk, **named})
    assert sentence in words(answer)
    assert ProjectMapping.objects.count() == 1


def test_a_mapping_names_rules_currency_and_zone_and_keeps_its_project(rows: dict[str, Any], settings: Any) -> None:
    Company.objects.update_or_create(pk=1, defaults={"currency": "EUR"})
    RuleSet.objects.create(name="Standard")
    url = f"/admin/mappings/projectmapping/{rows['mapping'].pk}/change/"
    browser = browser_of("administrator")
    page = words(browser.get(url))
    assert "the company's, Standard v1" in page
    assert f"/admin/mappings/ruleset/add/?client={rows['beacon'].pk}" in page
    assert f"EUR · {settings.BILLING_TIMEZONE}" in page
    own = RuleSet.objects.create(name="Beacon's", client=rows["beacon"], billing_timezone="America/New_York")
    page = words(browser.get(url))
    assert f"/admin/mappings/ruleset/{own.pk}/change/" in page
    assert "EUR · America/New_York" in page
    post(browser, url, client=rows["acme"].pk, taiga_project="1")
    rows["mapping"].refresh_from_db()
    assert (rows["mapping"].taiga_project_id, rows["mapping"].client) == (2, rows["acme"])


def test_a_dead_client_stays_on_an_old_mapping_and_a_project_we_left_says_so(rows: dict[str, Any]) -> None:
    Client.objects.filter(pk=rows["beacon"].pk).update(is_deleted=True)
    TaigaProject.objects.filter(taiga_id=2).update(is_known=False)
    url = f"/admin/mappings/projectmapping/{rows['mapping'].pk}/change/"
    browser = browser_of("administrator")
    assert "no member of it any more" in words(browser.get(url))
    post(browser, url, client=rows["beacon"].pk, active_to="2025-12-31")
    rows["mapping"].refresh_from_db()
    assert rows["mapping"].active_to is not None


@pytest.mark.parametrize(
    ("field", "query", "found"),
    [
        ("client", "", {"Acme", "Beacon"}),
        ("ninja_project", "", {"Web", "App"}),
        ("ninja_project", "acme", {"Web"}),
        ("ninja_project", "beacon", {"App"}),
        ("ninja_project", "nonsense", {"Web", "App"}),
    ],
)
def test_the_search_offers_what_lives_and_only_projects_of_the_chosen_client(
    rows: dict[str, Any], field: str, query: str, found: set[str]
) -> None:
    chosen = rows[query].pk if query in rows else query
    answer = browser_of("administrator").get(
        "/admin/autocomplete/",
        {"app_label": "mappings", "model_name": "projectmapping", "field_name": field, "term": "", "client": chosen},
    )
    assert {row["text"] for row in json.loads(answer.content)["results"]} == found


@pytest.mark.parametrize("model", ["projectmapping", "client", "ninjaproject", "taigaproject"])
@pytest.mark.parametrize("name", ["viewer", "clerk", "approver", "administrator"])
def test_the_lists_are_refreshed_by_the_worker_and_only_administrators_ask(
    rows: dict[str, Any], name: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(hooks, "_want_lists", [lambda: asked.append("now")])
    browser = browser_of(name)
    url = reverse(f"admin:mappings_{model}_refresh_lists")
    listed = words(browser.get(f"/admin/mappings/{model}/"))
    assert ("Refresh the lists…" in listed) == (name == "administrator")
    answers = [browser.get(url).status_code, browser.post(url, {"_form_submitted": "1"}).status_code]
    expected = [200, 302] if name == "administrator" else [403, 403]
    assert (answers, asked) == (expected, ["now"] if name == "administrator" else [])


def test_a_project_of_taiga_that_nobody_pays_for_can_be_mapped_from_its_list(rows: dict[str, Any]) -> None:
    page = words(browser_of("administrator").get("/admin/mappings/taigaproject/"))
    assert 'href="/admin/mappings/projectmapping/add/?taiga_project=1"' in page
    assert f'href="/admin/mappings/projectmapping/{rows["mapping"].pk}/change/">Beacon' in page
    assert page.count("no member") >= 1
