"""The doctor's page: rows only, worst first, each with when it was checked; and the start page's panel of it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sync.doctor import checking
from sync.models import Alarm, DoctorCheck, DoctorFinding, Heartbeat, UpstreamCall
from tests.factories import ProjectFactory
from tests.people import GROUPS, browser_of

pytestmark = pytest.mark.django_db

URL = "/admin/doctor/"


@pytest.fixture(autouse=True)
def _the_machine_runs() -> None:
    for name in ("worker", "sweep", "taiga", "invoice_ninja", "payments"):
        Heartbeat.objects.create(name=name, at=timezone.now())


def find(severity: str, sentence: str, *, key: str = "taiga", **more: Any) -> DoctorFinding:
    check, _is_new = DoctorCheck.objects.get_or_create(
        key=key, defaults={"checked_at": timezone.now(), "tried_at": timezone.now()}
    )
    code = f"c{DoctorFinding.objects.count()}"
    since = timezone.now() - dt.timedelta(days=3)
    return DoctorFinding.objects.create(
        doctor_check=check, severity=severity, code=code, sentence=sentence, since=since, **more
    )


def text_of(response: Any) -> str:
    return response.content.decode()


def fingerprint() -> list[Any]:
    return [
        list(DoctorCheck.objects.order_by("pk").values()),
        list(DoctorFinding.objects.order_by("pk").values()),
        UpstreamCall.objects.count(),
    ]


def test_errors_come_first_and_what_passed_is_one_line_to_open() -> None:
    find("ok", "All is well here.")
    find("warning", "Look at this.", key="invoice_ninja", url="https://ninja.example/", verb="Open in Invoice Ninja")
    find("error", "This is wrong.", details=["12 Jan 2026 09:12  403  no"])

    page = text_of(browser_of("viewer").get(URL))

    assert page.index("This is wrong.") < page.index("Look at this.") < page.index("All is well here.")
    assert "1 error, 1 warning" in page
    assert "2 checks passed" in page  # the parts of the machine are the other one
    assert "12 Jan 2026 09:12  403  no" in page
    assert (
        '<a href="https://ninja.example/">Open in Invoice Ninja<span class="bc-hidden"> Invoice Ninja</span></a>'
        in page
    )
    assert "Taiga · checked " in page


def test_nothing_found_is_said_in_words_with_its_time() -> None:
    find("ok", "All is well here.")

    page = text_of(browser_of("viewer").get(URL))

    assert "Everything is connected and set right." in page
    assert "The oldest check is of " in page


def test_before_the_first_look_the_page_says_what_will_come() -> None:
    page = text_of(browser_of("viewer").get(URL))

    assert "Nothing was checked yet" in page


@pytest.mark.parametrize("page", [URL, "/admin/"])
@pytest.mark.parametrize(("who", "may_connect"), [("clerk", False), ("administrator", True)])
def test_nobody_is_sent_to_a_page_that_is_closed_to_him(page: str, who: str, may_connect: bool) -> None:
    find("error", "No project is mapped.", url="/admin/sync/provision/", verb="Connect")
    find("error", "Its currency differs.", url="https://ninja.example/clients/1", verb="Open it", key="clients")

    shown = text_of(browser_of(who).get(page))

    assert ("/admin/sync/provision/" in shown) == may_connect
    assert 'href="https://ninja.example/clients/1"' in shown


@pytest.mark.parametrize(("who", "status"), [*((group, 200) for group in GROUPS), ("stranger", 403), ("", 302)])
def test_every_group_may_read(who: str, status: int) -> None:
    assert browser_of(who).get(URL).status_code == status


@pytest.mark.parametrize(("who", "status"), [(group, 302 if group == "administrator" else 403) for group in GROUPS])
def test_only_an_administrator_checks_again(who: str, status: int) -> None:
    browser = browser_of(who)
    assert ("Check again" in text_of(browser.get(URL))) == (who == "administrator")

    assert browser.post(URL).status_code == status

    assert DoctorCheck.objects.filter(wanted_at__isnull=False).exists() == (who == "administrator")


def test_looking_changes_nothing_and_calls_nobody() -> None:
    find("error", "This is wrong.")
    before = fingerprint()

    browser_of("administrator").get(URL)

    assert fingerprint() == before


def test_a_second_click_says_that_it_is_being_checked() -> None:
    browser = browser_of("administrator")
    first = browser.post(URL)
    wanted = list(DoctorCheck.objects.values_list("key", "wanted_at"))

    second = browser.post(URL)

    assert [str(message) for message in get_messages(first.wsgi_request)] == ["4 things are being checked."]
    assert "It is being checked already; the page shows the result by itself." in [
        str(message) for message in get_messages(second.wsgi_request)
    ]
    assert list(DoctorCheck.objects.values_list("key", "wanted_at")) == wanted


def test_while_it_is_checked_the_page_refreshes_itself_and_then_stops() -> None:
    browser = browser_of("administrator")
    browser.post(URL)
    DoctorCheck.objects.filter(key=checking.MACHINE).update(wanted_at=None, checked_at=timezone.now())

    running = text_of(browser.get(URL))
    DoctorCheck.objects.update(wanted_at=None, checked_at=timezone.now())
    done = text_of(browser.get(URL))

    assert "1 of 4 checks done" in running
    assert 'hx-trigger="every 3s"' in running
    assert 'hx-trigger="every 3s"' not in done


def test_what_was_not_looked_at_is_said_with_its_reason_once() -> None:
    find("error", "This is wrong.", key="clients")
    for number in (1, 2):
        project = ProjectFactory(taiga_project_name=f"Project {number}")
        DoctorCheck.objects.create(key=f"project-{project.pk}", project=project, skipped="Taiga is away.")

    page = text_of(browser_of("viewer").get(URL))

    assert "Not checked: Project 1 (never yet), Project 2 (never yet). Taiga is away." in page
    assert page.count("Taiga is away.") == 1


def test_nothing_is_called_right_that_was_not_looked_at() -> None:
    find("ok", "All is well here.")
    DoctorCheck.objects.create(key="clients", skipped="Invoice Ninja is away.")

    page = text_of(browser_of("viewer").get(URL))

    assert "Nothing is wrong in what could be looked at." in page
    assert "Everything is connected and set right." not in page


def test_what_an_alarm_says_already_is_said_once() -> None:
    find("error", "TAIGA_TOKEN ended.")
    Alarm.objects.create(key="token-taiga", sentence="TAIGA_TOKEN ended.", raised_at=timezone.now())

    for url in (URL, "/admin/"):
        assert text_of(browser_of("administrator").get(url)).count("TAIGA_TOKEN ended.") == 1, url


def test_the_page_costs_the_same_queries_for_1_and_30_rows() -> None:
    browser = browser_of("viewer")
    find("error", "This is wrong.")

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert browser.get(URL).status_code == 200
        return len(captured)

    queries()
    one = queries()
    for number in range(29):
        project = ProjectFactory()
        find("warning", f"Finding {number}", key=f"project-{project.pk}")
        DoctorCheck.objects.filter(key=f"project-{project.pk}").update(project=project)

    assert queries() == one


# --- the panel of the start page ----------------------------------------------------------------------------------


def panel(who: str = "administrator") -> list[tuple[str, str]]:
    context = browser_of(who).get("/admin/").context
    return [(check.state, check.sentence) for check in context["checks"]]


def test_the_start_page_shows_the_worst_first_and_one_line_for_all_that_passed() -> None:
    find("ok", "One is well.")
    find("ok", "Another is well.")
    find("warning", "Look at this.")
    find("error", "This is wrong.")

    lines = panel()

    assert lines[:2] == [("error", "This is wrong."), ("warning", "Look at this.")]
    assert len(lines) == 3
    state, sentence = lines[2]
    assert state == "ok"
    assert sentence.startswith("Worker and schedule ")
    assert " 2 other checks passed at " in sentence


def test_what_is_mended_here_stands_before_what_is_mended_elsewhere() -> None:
    find("warning", "Mend it there.", url="https://ninja.example/settings")
    find("warning", "Mend it here.", url="/admin/sync/provision/")
    find("error", "Mend it there at once.", url="https://ninja.example/clients")

    sentences = [sentence for _state, sentence in panel()]

    assert sentences[:3] == ["Mend it there at once.", "Mend it here.", "Mend it there."]


def test_the_start_page_shows_the_five_worst_and_how_many_more_there_are() -> None:
    find("ok", "One is well.")
    for number in range(11):
        find("warning", f"Warning {number}")
    find("error", "This is wrong.")

    lines = panel()

    assert [state for state, _sentence in lines] == ["error"] + ["warning"] * 5 + ["ok"]
    assert lines[5] == ("warning", "7 further findings of the doctor.")


@pytest.mark.parametrize("who", GROUPS)
def test_the_start_page_lets_an_administrator_check_again(who: str) -> None:
    page = text_of(browser_of(who).get("/admin/"))

    assert (f'action="{URL}"' in page) == (who == "administrator")
    assert URL in page
