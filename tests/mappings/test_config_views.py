"""Configuration files through a page: a preview first, then exactly what was previewed; and out again."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client as Browser

from accounts.groups import update_groups
from billing_console import shown
from mappings.config_views import SUBJECT
from mappings.exporter import export_config, to_json, to_yaml
from mappings.importer import import_config
from mappings.models import Company, ProjectMapping, Rate, RuleSet
from tests.mappings.conftest import PROJECTS, RULES, USERS
from tests.people import browser_of

pytestmark = pytest.mark.django_db
PAGE = "/admin/mappings/configuration/"
GUIDE = {"projects.json": PROJECTS, "users.json": USERS, "rules.yaml": RULES}


@pytest.fixture
def browser() -> Browser:
    update_groups("mappings")
    return browser_of("administrator")


def upload(browser: Browser, **files: str | bytes) -> Any:
    """Choose files (their names with _ for the dot) and look at the preview."""
    return browser.post(
        PAGE,
        {
            "files": [
                SimpleUploadedFile(name.replace("__", "."), text.encode() if isinstance(text, str) else text)
                for name, text in files.items()
            ]
        },
        follow=True,
    )


def carried(answer: Any) -> dict[str, str]:
    """What the preview's form sends back."""
    page = answer.content.decode()
    found = {name: re.search(rf'name="{name}" value="([^"]*)"', page) for name in ("shown", "carried")}
    return {name: html.unescape(match[1]) for name, match in found.items() if match}


def words(answer: Any) -> str:
    return " ".join(html.unescape(answer.content.decode()).split())


def guide_files() -> dict[str, str]:
    return {name.replace(".", "__"): text for name, text in GUIDE.items()}


def test_the_guides_files_are_previewed_and_then_imported(browser: Browser) -> None:
    answer = upload(browser, **guide_files())
    page = words(answer)
    assert "Project Website Redesign (1)." in page
    assert "users.json, line 3" in page
    assert "Client client_abc123 was not seen in Invoice Ninja yet" in page
    assert "Import 14 changes" in page
    assert not Rate.objects.exists()

    answer = browser.post(PAGE, carried(answer), follow=True)
    assert "Imported: 14 added, 0 changed, 1 as they were." in words(answer)
    assert (ProjectMapping.objects.count(), Rate.objects.count()) == (1, 6)
    history = ProjectMapping.history.get()
    assert history.history_user.username == "administrator"


def test_a_second_click_finds_nothing_left_to_do_and_says_so(browser: Browser) -> None:
    form = carried(upload(browser, **guide_files()))
    browser.post(PAGE, form, follow=True)
    answer = browser.post(PAGE, form, follow=True)
    assert "Something changed meanwhile, so nothing was imported." in words(answer)
    assert "There is nothing to import." in words(answer)
    assert Rate.objects.count() == 6


def test_what_would_do_something_else_by_now_is_shown_again(browser: Browser) -> None:
    form = carried(upload(browser, **guide_files()))
    import_config([("other.yaml", "user_rates: {pm: 99}\n")])
    answer = browser.post(PAGE, form, follow=True)
    assert "Something changed meanwhile" in words(answer)
    assert Rate.objects.get().amount == 99
    browser.post(PAGE, carried(answer), follow=True)
    assert Rate.objects.get(role__key="pm").amount == 85


def test_mistakes_are_shown_with_their_lines_and_nothing_can_be_imported(browser: Browser) -> None:
    answer = upload(browser, a__yaml="billing_rules:\n  generation_day: 40\n", b__json='{"user_rates": {"pm": -1}}')
    page = words(answer)
    assert "2 mistakes in a.yaml, b.json; nothing can be imported" in page
    assert "a.yaml, line 2" in page
    assert "generation_day must be a whole number from 1 to 31, not “40”." in page
    assert carried(answer) == {}
    assert not RuleSet.objects.filter(generation_day=40).exists()


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "Choose at least one file"),
        ({"a__yaml": b"\xff\xfe"}, "a.yaml is no UTF-8 text file."),
        ({"a__yaml": "#" * (1024 * 1024 + 1)}, "larger than 1 MiB"),
    ],
)
def test_what_is_no_file_is_refused_in_a_sentence(browser: Browser, files: dict[str, Any], sentence: str) -> None:
    assert sentence in words(upload(browser, **files))


@pytest.mark.parametrize("form", [{"carried": "7"}, {"carried": "[[1]]"}, {"carried": "[]", "shown": "x"}])
def test_a_preview_that_came_back_broken_is_refused(browser: Browser, form: dict[str, str]) -> None:
    answer = words(browser.post(PAGE, {"shown": shown.seal(SUBJECT, {})} | form, follow=True))
    assert ("came without what you saw" if "shown" in form else "The preview is incomplete.") in answer


def test_an_export_is_read_back_as_nothing_to_do(browser: Browser) -> None:
    import_config(list(GUIDE.items()))
    for name, write in (("yaml", to_yaml), ("json", to_json)):
        answer = browser.get(f"{PAGE}?export={name}")
        assert re.fullmatch(
            rf'attachment; filename="billing-console-\d{{4}}-\d\d-\d\d\.{name}"', answer["Content-Disposition"]
        )
        assert answer.content.decode() == write(export_config())
        page = words(upload(browser, **{f"export__{name}": answer.content.decode()}))
        assert "There is nothing to import." in page


def test_looking_changes_nothing(browser: Browser) -> None:
    Company.current()
    before = Company.objects.values().get()
    assert browser.get(PAGE).status_code == 200
    assert "Show what would change" in words(browser.get(f"{PAGE}?export=exe"))
    assert Company.objects.values().get() == before
    assert not ProjectMapping.objects.exists()


@pytest.mark.parametrize("name", ["stranger", "viewer", "clerk", "approver"])
def test_only_administrators_import_and_export(name: str) -> None:
    update_groups("mappings")
    browser = browser_of(name)
    answers = [
        browser.get(PAGE),
        browser.get(f"{PAGE}?export=yaml"),
        browser.post(PAGE, {"shown": "", "carried": "[]"}),
    ]
    assert [answer.status_code for answer in answers] == [403, 403, 403]
