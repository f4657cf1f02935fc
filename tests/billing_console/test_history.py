"""The button "History" stands only where a page of history has something to show."""

from __future__ import annotations

from datetime import date

import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from mappings.models import RuleSet
from tests.factories import ProjectFactory, TimeEntryFactory
from tests.people import browser_of

pytestmark = pytest.mark.django_db
EMPTY = "have a change history"


def history_link(row: object) -> str:
    meta = row._meta  # type: ignore[attr-defined]
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_history", args=[row.pk])  # type: ignore[attr-defined]


def form_of(row: object) -> str:
    meta = row._meta  # type: ignore[attr-defined]
    url = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])  # type: ignore[attr-defined]
    return browser_of("administrator").get(url).content.decode()


def test_a_row_that_is_only_looked_at_has_no_history_button() -> None:
    entry = TimeEntryFactory()

    assert history_link(entry) not in form_of(entry)


def test_a_row_with_versions_has_one_and_it_opens_them() -> None:
    project = ProjectFactory()
    project.active_from = date(2025, 12, 1)
    project.save()

    assert history_link(project) in form_of(project)
    assert EMPTY not in browser_of("administrator").get(history_link(project)).content.decode()


def test_a_row_that_was_never_edited_here_has_none_until_it_is() -> None:
    person = User.objects.create_user("dora", is_staff=True)
    assert history_link(person) not in form_of(person)

    url = reverse("admin:accounts_user_change", args=[person.pk])
    browser = browser_of("administrator")
    fields = {"username": "dora", "first_name": "Dora", "is_active": "on", "is_staff": "on", "_save": "Save"}
    answer = browser.post(url, {**fields, "date_joined_0": "2025-12-01", "date_joined_1": "10:00"})

    assert answer.status_code == 302, answer.context["adminform"].form.errors
    assert history_link(person) in form_of(person)
    assert EMPTY not in browser.get(history_link(person)).content.decode()


def test_the_button_costs_one_query_at_most() -> None:
    row = ProjectFactory()
    model_admin = admin.site.get_model_admin(type(row))

    with CaptureQueriesContext(connection) as queries:
        model_admin.has_history(row)
        assert len(queries) == 1
    with CaptureQueriesContext(connection) as queries:
        admin.site.get_model_admin(type(TimeEntryFactory.build())).has_history(row)
        assert len(queries) == 0
    assert RuleSet in admin.site._registry
