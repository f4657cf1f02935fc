"""The base of every list, form and page: what it refuses, what it shows, and what only a POST may do."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import unfold
from django.contrib.auth.models import Group
from django.contrib.messages import get_messages
from django.contrib.messages.storage.fallback import FallbackStorage
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.test import Client as Browser
from django.test import RequestFactory
from django.urls import reverse

from accounts.models import User
from billing_console import shown
from billing_console.admin_base import (
    Confirmation,
    ConfirmView,
    ConsoleAdminSite,
    ModelAdmin,
    PageView,
    ReadOnlyModelAdmin,
    ReasonForm,
    dialog_action,
    environment_label,
    environment_title_prefix,
)
from billing_console.errors import ConsoleError, StaleRevision
from mappings.models import Person

pytestmark = pytest.mark.django_db


@pytest.fixture
def clerk() -> User:
    person = User.objects.create_user("clerk", password="x", is_staff=True)
    person.groups.add(Group.objects.get(name="Billing clerk"))
    return person


@pytest.fixture
def viewer() -> User:
    person = User.objects.create_user("viewer", password="x", is_staff=True)
    person.groups.add(Group.objects.get(name="Viewer"))
    return person


def ask(user: User, method: str = "GET", data: dict[str, str] | None = None, **headers: str) -> HttpRequest:
    request = getattr(RequestFactory(), method.lower())("/admin/somewhere/", data, headers=headers)
    request.user = user
    request.session = {}
    request._messages = FallbackStorage(request)
    return request


# --- pages --------------------------------------------------------------------------------------------------------


class HoldPage(PageView):
    template_name = "console/page.html"
    title = "Hold"
    permission = "sync.view_timeentry"
    act_permission = "sync.work_timeentry"
    admin_site = ConsoleAdminSite()
    done: list[str] = []
    hours = "30.00 h"

    def get_shown(self) -> dict[str, str]:
        return {"Hours": self.hours}

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.POST.get("revision") == "old":
            raise StaleRevision()
        self.done.append("held")
        return HttpResponseRedirect("/admin/")


class LookPage(PageView):
    template_name = "console/page.html"
    title = "Look"
    permission = ("sync.view_timeentry", "invoicing.view_invoice")
    admin_site = ConsoleAdminSite()


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    HoldPage.done = []


def test_get_only_renders(clerk: User) -> None:
    response = HoldPage.as_view()(ask(clerk))

    assert response.status_code == 200
    assert HoldPage.done == []


def test_post_acts_and_redirects(clerk: User) -> None:
    response = HoldPage.as_view()(ask(clerk, "POST", seen()))

    assert (response.status_code, response["Location"]) == (302, "/admin/")
    assert HoldPage.done == ["held"]


def test_who_may_only_look_may_not_act(viewer: User) -> None:
    assert HoldPage.as_view()(ask(viewer)).status_code == 200
    with pytest.raises(PermissionDenied):
        HoldPage.as_view()(ask(viewer, "POST"))
    assert HoldPage.done == []


def test_who_lacks_one_of_the_permissions_sees_nothing() -> None:
    nobody = User.objects.create_user("nobody", is_staff=True)

    with pytest.raises(PermissionDenied):
        LookPage.as_view()(ask(nobody))


def test_a_page_without_an_act_refuses_post(clerk: User) -> None:
    assert LookPage.as_view()(ask(clerk, "POST")).status_code == 405


def seen(hours: str = "30.00 h") -> dict[str, str]:
    return {"shown": shown.seal("/admin/somewhere/", {"Hours": hours})}


def test_what_the_service_refused_is_said_and_the_page_shown_again(clerk: User) -> None:
    request = ask(clerk, "POST", {"revision": "old"} | seen())

    response = HoldPage.as_view()(request)

    assert (response.status_code, response["Location"]) == (302, "/admin/somewhere/")
    assert [str(message) for message in get_messages(request)] == [StaleRevision().sentence]


@pytest.mark.parametrize(
    ("form", "sentence"),
    [(seen("300.00 h"), "Hours was “300.00 h” and is “30.00 h” now"), ({}, "The form came without what you saw")],
)
def test_a_page_acts_on_nothing_but_what_it_showed(clerk: User, form: dict[str, str], sentence: str) -> None:
    request = ask(clerk, "POST", form)
    HoldPage.as_view()(request)
    assert HoldPage.done == []
    assert sentence in [str(message) for message in get_messages(request)][0]


class SendPage(ConfirmView):
    permission = act_permission = "invoicing.send_invoice"
    admin_site = ConsoleAdminSite()
    has_rows = True

    def get_confirmation(self) -> Confirmation:
        if not self.has_rows:
            raise ConsoleError("Nothing is left to send.")
        return Confirmation(
            question="Send 22 invoices, 1,000.00 EUR?",
            consequence="An email cannot be taken back.",
            submit_label="Send 22 invoices",
            cancel_label="Back, send nothing",
            cancel_url="/admin/",
            facts=[("Total", "1,000.00 EUR")],
            skipped=[("<Cobalt>", "no address", "/client/")],
            columns=("Client", "Amount"),
            rows=[(f"Client {number}", "1.00") for number in range(22)],
            numeric_columns=frozenset({1}),
            fields={"selection": "abc"},
        )


def test_a_confirm_page_asks_with_count_money_way_out_and_place() -> None:
    approver = User.objects.create_user("approver", is_staff=True)
    approver.groups.add(Group.objects.get(name="Approver"))

    html = SendPage.as_view()(ask(approver)).render().content.decode()

    assert "Send 22 invoices, 1,000.00 EUR?" in html
    assert "Back, send nothing" in html
    assert html.index("Back, send nothing") < html.index(">Send 22 invoices</button>")
    assert "SANDBOX" in html
    assert '<input type="hidden" name="selection" value="abc">' in html
    assert "and 2 more" in html
    assert "&lt;Cobalt&gt;" in html
    assert '<td class="bc-right">1.00</td>' in html


def test_a_confirm_page_with_nothing_to_ask_goes_back_with_a_sentence() -> None:
    root = User.objects.create_superuser("root")
    request = ask(root)

    response = SendPage.as_view(has_rows=False)(request)

    assert (response.status_code, response["Location"]) == (302, "/admin/")
    assert [str(message) for message in get_messages(request)] == ["Nothing is left to send."]


# --- dialogs ------------------------------------------------------------------------------------------------------


class PersonAdmin(ModelAdmin):
    actions_detail = ("rename",)

    @dialog_action(title="Rename", permission="sync.work_timeentry", submit_text="Rename")
    def rename(self, request: HttpRequest, form: ReasonForm, row: Person) -> str:
        if form.cleaned_data["reason"] == "impossible":
            raise ConsoleError("This person has gone.")
        Person.objects.filter(pk=row.pk).update(full_name=form.cleaned_data["reason"])
        return "Renamed."

    def shown_of(self, row: Person) -> dict[str, str]:
        return {"Name": row.full_name}


@pytest.fixture
def person() -> Person:
    return Person.objects.create(taiga_user_id=1, full_name="Before")


def typed(person: Person, reason: str) -> dict[str, str]:
    seen = shown.seal(f"mappings.person:{person.pk}", {"Name": person.full_name})
    return {"reason": reason, "_form_submitted": "1", "shown": seen}


def open_dialog(request: HttpRequest, person: Person) -> HttpResponse:
    return PersonAdmin(Person, ConsoleAdminSite()).rename(request, object_id=str(person.pk))


def test_a_dialog_shows_its_form_on_get_and_changes_nothing(clerk: User, person: Person) -> None:
    response = open_dialog(ask(clerk), person)

    person.refresh_from_db()
    assert b'name="reason"' in response.content
    assert person.full_name == "Before"


def test_a_dialog_acts_on_post_and_leaves_by_the_header_that_the_kit_needs(clerk: User, person: Person) -> None:
    response = open_dialog(ask(clerk, "POST", typed(person, "After"), HX_Request="true"), person)

    person.refresh_from_db()
    assert response["HX-Redirect"] == f"/admin/mappings/person/{person.pk}/change/"
    assert person.full_name == "After"


def test_a_dialog_without_a_reason_asks_again(clerk: User, person: Person) -> None:
    response = open_dialog(ask(clerk, "POST", {"reason": " ", "_form_submitted": "1"}), person)

    person.refresh_from_db()
    assert response.status_code == 200
    assert person.full_name == "Before"


def test_a_dialog_is_forbidden_without_the_permission(viewer: User, person: Person) -> None:
    for request in (ask(viewer), ask(viewer, "POST", {"reason": "After", "_form_submitted": "1"})):
        with pytest.raises(PermissionDenied):
            open_dialog(request, person)
    person.refresh_from_db()
    assert person.full_name == "Before"


def test_a_dialog_says_what_the_service_refused(clerk: User, person: Person) -> None:
    request = ask(clerk, "POST", typed(person, "impossible"))

    response = open_dialog(request, person)

    assert response.status_code == 302
    assert [str(message) for message in get_messages(request)] == ["This person has gone."]


def test_a_dialog_refuses_what_is_another_by_now_and_a_form_that_says_nothing(clerk: User, person: Person) -> None:
    seen = typed(person, "After")
    Person.objects.update(full_name="Meanwhile")
    for data, sentence in (
        (seen, "This is not what you saw: Name was “Before” and is “Meanwhile” now."),
        ({**seen, "shown": ""}, "The form came without what you saw"),
    ):
        request = ask(clerk, "POST", data)
        open_dialog(request, person)
        assert [str(message) for message in get_messages(request)][0].startswith(sentence)
    person.refresh_from_db()
    assert person.full_name == "Meanwhile"


# --- lists --------------------------------------------------------------------------------------------------------


def test_a_read_only_list_offers_nothing_even_to_a_superuser() -> None:
    root = User.objects.create_superuser("root")
    admin = ReadOnlyModelAdmin(Person, ConsoleAdminSite())
    request = ask(root)

    assert admin.has_view_permission(request)
    assert not admin.has_add_permission(request)
    assert not admin.has_change_permission(request)
    assert not admin.has_delete_permission(request)


def test_a_row_is_selected_by_its_name(person: Person) -> None:
    html = ModelAdmin(Person, ConsoleAdminSite()).action_checkbox(person)

    assert 'aria-label="Select Before"' in html
    assert "action-select" in html


# --- where we are -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("environment", "variant"), [("sandbox", "warning"), ("production", "danger")])
def test_the_environment_is_named(settings, rf, environment: str, variant: str) -> None:
    settings.ENVIRONMENT = environment

    assert environment_label(rf.get("/")) == [environment.upper(), variant]
    assert environment_title_prefix(rf.get("/")) == f"[{environment.upper()}]"


def test_single_keys_are_a_choice_of_each_person(client: Browser, clerk: User, viewer: User) -> None:
    client.force_login(clerk)
    address = reverse("admin:accounts_single_keys")

    assert client.get(address).status_code == 405
    response = client.post(address, {"has_single_keys": "off", "next": "/admin/?a=b"})
    assert response["Location"] == "/admin/?a=b"
    clerk.refresh_from_db()
    viewer.refresh_from_db()
    assert (clerk.has_single_keys, viewer.has_single_keys) == (False, True)
    assert client.post(address, {"next": "https://elsewhere.example/"})["Location"] == "/admin/"


# An upgrade of the kit that changes a template which we override is noticed here: look at ours, then change the hash.
OVERRIDDEN = {
    "admin/base_site.html": "50eb1e71a0b2729c",
    "admin/includes/fieldset.html": "28426b3cc2900b0b",
    "admin/index.html": "9fdb849b7da18ccd",
}


@pytest.mark.parametrize(("name", "digest"), OVERRIDDEN.items())
def test_the_kit_templates_that_we_override_are_those_we_know(name: str, digest: str) -> None:
    path = Path(unfold.__file__).parent / "templates" / name

    assert hashlib.sha256(path.read_bytes()).hexdigest()[:16] == digest


def test_every_template_that_we_override_is_watched() -> None:
    ours = Path(__file__).resolve().parents[2] / "templates" / "admin"

    assert {f"admin/{path.relative_to(ours)}" for path in ours.rglob("*.html")} <= set(OVERRIDDEN)
