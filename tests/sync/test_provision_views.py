"""The pages "Connect": what they show, who may do what, and that looking changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from billing_console.states import RecordState
from mappings.models import Client, NinjaProject, ProjectMapping, TaigaProject
from sync import discovery, provisioning, taiga_projects
from sync.models import Heartbeat, RemoteRecord, WebhookDelivery
from sync.provisioning import Target
from tests.people import GROUPS, browser_of, on_page, post

pytestmark = pytest.mark.django_db

LIST = "/admin/sync/provision/"
REFRESHED = "The lists of both servers are read again now. Reload this page in a few seconds."
PAGE, PROGRESS = f"{LIST}9/", f"{LIST}9/progress/"


@pytest.fixture
def acme() -> Client:
    return Client.objects.create(ninja_id="acme", name="Acme Corp", currency="EUR", is_known=True)


@pytest.fixture
def website(acme: Client) -> NinjaProject:
    return NinjaProject.objects.create(ninja_id="web", name="Website Redesign", client=acme, is_known=True)


def add_project(number: int = 9, name: str = "Website redesign", **values: Any) -> TaigaProject:
    values = {"slug": f"slug-{number}", "is_known": True, "is_admin": True, "refreshed_at": timezone.now()} | values
    return TaigaProject.objects.create(taiga_id=number, name=name, **values)


def text_of(url: str, who: str = "administrator") -> str:
    answer = browser_of(who).get(url)
    assert answer.status_code == 200
    return str(answer.content.decode())


def send(url: str, data: dict[str, Any], who: str = "administrator") -> Any:
    return post(browser_of(who), url, data, follow=True)


def said(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def form(website: NinjaProject, **values: Any) -> dict[str, Any]:
    return {"target": f"p{website.pk}", **values}


def test_the_list_suggests_who_may_pay_and_says_how_far_each_is(website: NinjaProject) -> None:
    add_project()
    add_project(10, "Intranet", is_admin=False)
    add_project(11, "Gone", is_known=False)
    Client.objects.create(ninja_id="beta", name="Beta", currency="EUR", is_known=True)
    mapped = add_project(12, "Apps")
    provisioning.connect(12, "Apps", "apps", Target(website.client), ())

    text = text_of(LIST)

    assert "2 projects belong to nobody yet." in text
    assert "by its name perhaps Acme Corp / Website Redesign" in text
    assert text.count("by its name perhaps") == 1
    assert "No administrator there" in text
    assert "Gone" not in text
    assert f"{LIST}{mapped.taiga_id}/progress/" in text
    assert "Being connected" in text
    assert text.index("Intranet") < text.index("Website redesign") < text.index("Apps")


def test_an_empty_list_says_why_and_a_failure_is_said() -> None:
    assert "No project of Taiga is known yet" in text_of(LIST)
    Heartbeat.objects.create(name="taiga_projects_failed", at=timezone.now(), detail="Taiga cannot be reached.")
    assert "Taiga cannot be reached." in text_of(LIST)


def test_reading_again_is_asked_of_the_worker_for_both_servers() -> None:
    Heartbeat.objects.create(name=taiga_projects.HEARTBEAT, at=timezone.now())
    Heartbeat.objects.create(name=discovery.NINJA_HEARTBEAT, at=timezone.now())

    answer = send(LIST, {})

    assert said(answer) == [REFRESHED]
    assert (taiga_projects.read_at(), discovery.read_at()) == (None, None)
    assert answer.redirect_chain == [(LIST, 302)]


def test_the_question_itself_has_the_lists_read_again_and_comes_back() -> None:
    add_project()
    Heartbeat.objects.create(name=discovery.NINJA_HEARTBEAT, at=timezone.now())
    page = text_of(PAGE)
    assert f'action="{LIST}"' in page
    assert '<input type="hidden" name="project" value="9">' in page
    assert "No client of Invoice Ninja is known yet. Make one there, then refresh the lists." in page

    answer = send(LIST, {"project": "9"})

    assert (said(answer), answer.redirect_chain) == ([REFRESHED], [(PAGE, 302)])
    assert discovery.read_at() is None
    assert not ProjectMapping.objects.exists()


@pytest.mark.parametrize("project", ["", "8", "-9", "9 or 1", "٩", "9" * 30, "https://elsewhere.test/"])
def test_it_comes_back_to_no_other_place(project: str) -> None:
    add_project()
    assert send(LIST, {"project": project}).redirect_chain == [(LIST, 302)]


@pytest.mark.parametrize("who", sorted({*GROUPS} - {"administrator"}))
def test_only_an_administrator_has_the_lists_read_again(who: str) -> None:
    add_project()
    Heartbeat.objects.create(name=discovery.NINJA_HEARTBEAT, at=timezone.now())

    assert post(browser_of(who), LIST, {"project": "9"}).status_code == 403
    assert discovery.read_at() is not None


def test_while_the_lists_were_never_read_the_question_looks_again_by_itself(acme: Client) -> None:
    add_project()
    Client.objects.all().delete()
    waiting = text_of(PAGE)
    assert "The lists are being read; this page looks again by itself." in waiting
    assert f'hx-get="{PAGE}"' in waiting
    assert "No client of Invoice Ninja" not in waiting

    Client.objects.create(ninja_id="acme", name="Acme Corp", currency="EUR", is_known=True)
    assert f'hx-get="{PAGE}"' not in text_of(PAGE)


def test_why_invoice_ninjas_lists_could_not_be_read_is_said() -> None:
    add_project()
    Heartbeat.objects.create(
        name=f"{discovery.NINJA_HEARTBEAT}_failed", at=timezone.now(), detail="The token is refused."
    )
    page = text_of(PAGE)
    assert "The lists of Invoice Ninja could not be read." in page
    assert "The token is refused." in page
    assert f'hx-get="{PAGE}"' not in page


def test_the_question_preselects_what_is_surely_meant_and_nothing_else(website: NinjaProject) -> None:
    add_project()
    text = text_of(PAGE)
    assert f'value="p{website.pk}" form="bc-connect" required checked' in text
    assert text.count("checked") == 2  # and the tasks
    assert "Duration (Hours)" in text
    assert "Not Billable, Pending Invoice, Invoiced" in text

    beta = Client.objects.create(ninja_id="beta", name="Beta", currency="EUR", is_known=True)
    NinjaProject.objects.create(ninja_id="web2", name="Website redesign", client=beta, is_known=True)
    assert text_of(PAGE).count("checked") == 1


def test_clients_and_projects_are_searched(website: NinjaProject) -> None:
    add_project()
    for number in range(30):
        Client.objects.create(ninja_id=f"c{number}", name=f"Zulu {number}", currency="EUR", is_known=True)

    assert "12 more; search to find them." in text_of(PAGE)
    found = text_of(f"{PAGE}?q=zulu+7")
    assert "Zulu 7" in found
    assert "Zulu 8" not in found.replace("Zulu 18", "")
    assert "Acme" in text_of(f"{PAGE}?q=ac")
    assert "Nothing in Invoice Ninja is called like “xyz”." in text_of(f"{PAGE}?q=xyz")


def test_it_is_connected_only_by_a_post_and_once(website: NinjaProject) -> None:
    add_project()
    for url in (LIST, PAGE, f"{PAGE}?q=web"):
        text_of(url)
    assert not ProjectMapping.objects.exists()
    assert not RemoteRecord.objects.exists()

    asked = on_page(browser_of("administrator"), PAGE)
    answer = send(PAGE, form(website, kind=["U"]))

    assert answer.redirect_chain == [(PROGRESS, 302)]
    assert said(answer) == ["Website redesign belongs to Acme Corp / Website Redesign now."]
    mapping = ProjectMapping.objects.get()
    assert (mapping.taiga_project_id, mapping.client, mapping.ninja_project) == (9, website.client, website)
    assert mapping.history.get().history_user.username == "administrator"
    assert len(provisioning.things_of(9)) == 11
    assert "0 of 12 there, 0 waiting for you." in answer.content.decode()

    again = send(PAGE, form(website) | asked)
    assert "Who pays now was “nobody” and is “Acme Corp / Website Redesign” now" in said(again)[0]
    assert len(provisioning.things_of(9)) == 11
    assert {row.revision for row in provisioning.things_of(9)} == {1}


@pytest.mark.parametrize("target", ["", "p0", "x", "c999"])
def test_without_somebody_who_pays_nothing_is_connected(website: NinjaProject, target: str) -> None:
    add_project()
    answer = send(PAGE, {"target": target, "revision": "new"})
    assert said(answer) == ["Choose who pays, then connect."]
    assert not ProjectMapping.objects.exists()


def test_who_pays_now_is_preselected(website: NinjaProject) -> None:
    add_project()
    beta = Client.objects.create(ninja_id="beta", name="Beta", currency="EUR", is_known=True)
    provisioning.connect(9, "Website redesign", "x", Target(beta), ["I"])

    text = text_of(PAGE)

    assert f'value="c{beta.pk}" form="bc-connect" required checked' in text
    assert 'value="I" form="bc-connect" checked' in text
    assert 'value="U" form="bc-connect">' in text


def finish(number: int = 9) -> None:
    RemoteRecord.objects.filter(our_key__startswith=f"P{number}/").update(
        state=RecordState.SYNCED, seen={"id": 5, "wrong": [], "made": True}
    )


def test_progress_refreshes_while_it_runs_and_says_what_is_wrong(website: NinjaProject) -> None:
    add_project()
    mapping = provisioning.connect(9, "Website redesign", "x", Target(website.client, website), ())
    text = text_of(PROGRESS)
    assert 'class="bc-progress" hx-get' in text
    assert "Follows when the webhook is there." in text
    assert "Check again" not in text

    finish()
    provisioning.want_test(mapping)
    delivery = WebhookDelivery.objects.create(
        fingerprint="f", raw_body=b"", received_at=timezone.now(), verdict="test", project_mapping=mapping
    )
    RemoteRecord.objects.filter(our_key="P9/test").update(
        state=RecordState.SYNCED, seen={"delivery": delivery.pk, "wrong": []}
    )
    RemoteRecord.objects.filter(our_key="P9/T/hours").update(
        seen={"id": 7, "wrong": ["It is of another type."], "made": False}
    )
    RemoteRecord.objects.filter(our_key="P9/hook").update(state=RecordState.ATTENTION, sentence="Ask Olga.")

    text = text_of(PROGRESS)

    assert 'class="bc-progress" hx-get' not in text
    assert "6 of 7 there, 1 waiting for you." in text
    for words in ("It is of another type.", "was there", "made by the console", "Ask Olga.", "Check again"):
        assert words in text
    assert reverse("admin:sync_webhookdelivery_change", args=[delivery.pk]) in text
    assert f"/webhooks/taiga/{mapping.uuid}" in text
    assert "1 needs you" in text_of(LIST)
    assert PROGRESS in text_of("/admin/sync/attention/")
    RemoteRecord.objects.filter(our_key="P9/hook").update(state=RecordState.SYNCED, seen={"id": 1, "is_own": False})
    assert f"/webhooks/taiga/{mapping.uuid}" not in text_of(PROGRESS)


def test_checking_again_wants_everything_once_more_and_a_second_click_nothing(website: NinjaProject) -> None:
    add_project()
    provisioning.connect(9, "Website redesign", "x", Target(website.client, website), ["U"])
    finish()

    assert said(send(PROGRESS, {})) == ["11 things are looked at again."]
    assert {row.state for row in provisioning.things_of(9)} == {RecordState.PENDING}
    assert said(send(PROGRESS, {})) == ["It is being looked at already; nothing was done twice."]
    assert {row.revision for row in provisioning.things_of(9)} == {2}


def test_a_project_mapped_by_hand_has_nothing_to_show_yet(website: NinjaProject) -> None:
    add_project()
    ProjectMapping.objects.create(taiga_project_id=9, taiga_project_name="Website", client=website.client)
    assert "This project was mapped by hand" in text_of(PROGRESS)
    assert "Not connected" in text_of(LIST)


@pytest.mark.parametrize("url", [f"{LIST}77/", f"{LIST}77/progress/"])
def test_a_project_that_is_not_there_is_not_found(url: str) -> None:
    for method in ("get", "post"):
        assert getattr(browser_of("administrator"), method)(url).status_code == 404


@pytest.mark.parametrize("who", GROUPS)
@pytest.mark.parametrize("method", ["get", "post"])
def test_only_administrators(website: NinjaProject, who: str, method: str) -> None:
    add_project()
    provisioning.connect(9, "Website redesign", "x", Target(website.client, website), ())
    before = list(RemoteRecord.objects.order_by("pk").values())

    statuses = {getattr(browser_of(who), method)(url, form(website)).status_code for url in (LIST, PAGE, PROGRESS)}

    if who == "administrator":
        assert statuses == ({200} if method == "get" else {302})
    else:
        assert statuses == {403}
        assert list(RemoteRecord.objects.order_by("pk").values()) == before


@pytest.mark.parametrize("url", [LIST, PAGE, PROGRESS])
def test_the_number_of_queries_does_not_grow(website: NinjaProject, url: str) -> None:
    browser = browser_of("administrator")

    def fill(numbers: range) -> int:
        for number in numbers:
            add_project(number, f"Project {number}")
            client = Client.objects.create(ninja_id=f"c{number}", name=f"Client {number}", is_known=True)
            if number % 2:
                provisioning.connect(number, f"Project {number}", "x", Target(client), ())
        browser.get(url)
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(url).status_code == 200
        return len(queries)

    few, many = fill(range(8, 10)), fill(range(10, 40))

    assert few == many
    assert many <= 14
