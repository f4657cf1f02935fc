"""What the doctor says of Taiga: each state is set in the stand-in, and the sentence is exact."""

from __future__ import annotations

import base64
import datetime as dt
import json
from typing import Any

import pytest
from django.utils import timezone

from sandbox import scenario
from sync import sweep
from sync.doctor import server_rules
from sync.doctor.server_rules import ServerFacts, judge_server
from sync.models import DoctorFinding
from tests.standins import MORNING
from tests.sync.doctor.conftest import SECRET, Ward

NAME = "Website Redesign"


def test_where_all_is_well_every_line_is_ok(ward: Ward) -> None:
    assert ward.look(f"project-{ward.world.mapping.pk}", "taiga", "machine", "invoice_ninja", "clients") == []

    sentences = set(DoctorFinding.objects.values_list("sentence", flat=True))
    assert {
        f"The webhook of {NAME} arrives, the last time 1 Dec 2025 10:00.",
        f"The tasks of {NAME} have the five billing attributes.",
        f"Our user sees {NAME} and may write there.",
        "The console logs in at Taiga as billing and renews that by itself.",
        "The clock of Taiga agrees with ours.",
        "1 client is alive, has an address, and is invoiced in the currency of its rates.",
    } <= sentences


# --- the webhook --------------------------------------------------------------------------------------------------


def private(ward: Ward) -> None:
    ward.store.settings.allow_private_address = False


def unknown_host(ward: Ward) -> None:
    ward.store.settings.allow_private_address = False
    ward.hook(url="http://nowhere.invalid/webhooks/taiga")


def redirect(ward: Ward) -> None:
    ward.receiver.status, ward.receiver.headers = 302, {"Location": "/login"}


def dead(ward: Ward) -> None:
    ward.hook(url="http://127.0.0.1:9/webhooks/taiga")


def answers(status: int) -> Any:
    def act(ward: Ward) -> None:
        ward.receiver.status = status

    return act


DELIVERED = [
    pytest.param(
        private,
        "error",
        "hook_private",
        f"Taiga sends nothing of {NAME} to HOST, because that is a private address. Set WEBHOOKS_ALLOW_PRIVATE_ADDRESS "
        "in Taiga, or give the webhook a public address.",
        id="private",
    ),
    pytest.param(
        unknown_host,
        "error",
        "hook_unknown_host",
        f"Taiga does not know the name nowhere.invalid, so nothing of {NAME} arrives. Correct the address of the "
        "webhook, or the names that Taiga's machine knows.",
        id="unknown-host",
    ),
    pytest.param(
        redirect,
        "error",
        "hook_redirect",
        f"http://HOST/webhooks/taiga sends Taiga on to another address, which Taiga does not follow, so nothing of "
        f"{NAME} arrives. Give the webhook the final address (https, no slash at the end).",
        id="redirect",
    ),
    pytest.param(
        dead,
        "error",
        "hook_unreachable",
        f"Taiga cannot reach 127.0.0.1:9, so nothing of {NAME} arrives. Let its machine reach that address, or correct "
        "the webhook.",
        id="unreachable",
    ),
    pytest.param(
        answers(403),
        "warning",
        "hook_untested",
        f"The last delivery of {NAME} was refused (403), but the key is right now. Click “Test webhook” in Taiga.",
        id="refused-before",
    ),
    pytest.param(
        answers(502),
        "warning",
        "hook_fault",
        f"The console, or the proxy before it, answered 502 to the last delivery of {NAME}. Taiga sends only once; the "
        "sweep finds what was lost. Click “Test webhook” in Taiga.",
        id="proxy",
    ),
    pytest.param(
        answers(200),
        "error",
        "hook_elsewhere",
        f"Not the console answers under http://HOST/webhooks/taiga (200 instead of 202), so nothing of {NAME} arrives. "
        "Correct the address of the webhook, or the proxy.",
        id="elsewhere",
    ),
]


@pytest.mark.parametrize(("act", "severity", "code", "sentence"), DELIVERED)
def test_taigas_own_log_says_why_nothing_arrives(ward: Ward, act: Any, severity: str, code: str, sentence: str) -> None:
    act(ward)
    ward.test_hook()

    found = ward.look()

    host = ward.receiver.url.removeprefix("http://")
    assert found == [(severity, code, sentence.replace("HOST", host))]
    quoted = DoctorFinding.objects.get(code=code).details
    assert len(quoted) == 2  # the newest first, and the test that arrived before
    assert quoted[0].startswith("1 Dec 2025 10:00  ")
    assert quoted[1].startswith("1 Dec 2025 10:00  202")


def missing(ward: Ward) -> None:
    ward.hook(url="https://chat.example/hook")


def slash(ward: Ward) -> None:
    ward.hook(url=f"{ward.receiver.url}/webhooks/taiga/")


def foreign(ward: Ward) -> None:
    ward.hook(url=f"{ward.receiver.url}/webhooks/taiga/11111111-2222-3333-4444-555555555555")


def wrong_key(ward: Ward) -> None:
    ward.hook(key="another")


def own_address(ward: Ward) -> None:
    ward.hook(url=f"{ward.receiver.url}/webhooks/taiga/{ward.world.mapping.uuid}")


def own_wrong_key(ward: Ward) -> None:
    own_address(ward)
    ward.world.mapping.webhook_key = "of-the-project"
    ward.world.mapping.save()


def previous_key(ward: Ward) -> None:
    own_address(ward)
    ward.world.mapping.webhook_key, ward.world.mapping.previous_webhook_key = "newer", SECRET
    ward.world.mapping.save()


def duplicate(ward: Ward) -> None:
    body = {"project": 1, "name": "again", "url": f"{ward.receiver.url}/webhooks/taiga", "key": SECRET}
    hook = ward.world.api_taiga("POST", "/webhooks", body, who=scenario.SERVICE_USER)
    ward.world.api_taiga("POST", f"/webhooks/{hook['id']}/test", who=scenario.SERVICE_USER)


ADDRESSED = [
    pytest.param(
        missing,
        "error",
        "hook",
        f"{NAME} has no webhook to the console, so what is closed there is only found by the sweep, minutes later. Add "
        "one in Taiga with the address URL/webhooks/taiga.",
        id="missing",
    ),
    pytest.param(
        slash,
        "error",
        "hook_slash",
        f"The address of the webhook of {NAME} ends in a slash and is not found. Take the slash away.",
        id="slash",
    ),
    pytest.param(
        foreign,
        "error",
        "hook_foreign",
        f"The webhook of {NAME} has the address of another project, so its deliveries are not believed. Give it the "
        "address URL/webhooks/taiga.",
        id="foreign",
    ),
    pytest.param(
        wrong_key,
        "error",
        "hook_key",
        f"The webhook of {NAME} is signed with another key than ours, so its deliveries are refused (403). Type the "
        "value of WEBHOOK_SECRET as its key in Taiga.",
        id="key",
    ),
    pytest.param(
        own_address,
        "error",
        "hook_key",
        f"The webhook of {NAME} has the project's own address, but the project has no webhook key here, so its "
        "deliveries are refused. Type the key under Projects.",
        id="no-key",
    ),
    pytest.param(
        own_wrong_key,
        "error",
        "hook_key",
        f"The webhook of {NAME} is signed with another key than the one under Projects, so its deliveries are refused "
        "(403). Type that key in Taiga.",
        id="own-key",
    ),
    pytest.param(
        previous_key,
        "warning",
        "hook_previous_key",
        f"The webhook of {NAME} still has the previous key, which ends with the next change. Type the present one in "
        "Taiga.",
        id="previous-key",
    ),
    pytest.param(
        duplicate,
        "warning",
        "hook_duplicate",
        f"{NAME} has 2 webhooks to the console, so Taiga's users wait for each of them. Keep one of them in Taiga and "
        "delete the others.",
        id="duplicate",
    ),
]


@pytest.mark.parametrize(("act", "severity", "code", "sentence"), ADDRESSED)
def test_the_webhook_itself_is_looked_at(ward: Ward, act: Any, severity: str, code: str, sentence: str) -> None:
    act(ward)

    assert ward.look() == [(severity, code, sentence.replace("URL", ward.receiver.url))]


def test_no_key_is_ever_written_down(ward: Ward) -> None:
    ward.hook(key="a-key-nobody-may-see")

    ward.look()

    rows = DoctorFinding.objects.values_list("sentence", "details", "url")
    assert "a-key-nobody-may-see" not in str(list(rows))
    assert SECRET not in str(list(rows))


def test_a_plain_http_address_is_said_in_production_only(ward: Ward, settings: Any) -> None:
    settings.PUBLIC_URL = "http://console.example"
    ward.hook(url="http://console.example/webhooks/taiga")
    assert ward.look() == []

    settings.ENVIRONMENT = "production"

    sentence = f"The webhook of {NAME} has a plain http address: what it tells can be read on the way. Use https."
    assert ward.look() == [("warning", "hook_http", sentence)]


def test_webhooks_that_are_off_are_told_from_those_that_nobody_tested(ward: Ward) -> None:
    with ward.store.memory.transaction():
        for log in ward.store.webhooklogs.all():
            ward.store.webhooklogs.delete(log["id"])
    untested = f"Nothing came through the webhook of {NAME} yet. Click “Test webhook” in Taiga."
    assert ward.look() == [("warning", "hook_silent", untested)]

    ward.store.settings.are_webhooks_enabled = False
    sweep.sweep_project(ward.world.mapping)
    ward.world.go_to(MORNING + dt.timedelta(hours=2))
    ward.read_swept()

    off = (
        f"Taiga has never sent anything through the webhook of {NAME}, though work was closed there. Its webhooks are "
        "off (WEBHOOKS_ENABLED), or its background worker does not run."
    )
    assert ward.look() == [("error", "hook_silent", off)]


def test_a_webhook_that_fell_silent_is_said_with_its_last_line(ward: Ward) -> None:
    ward.store.settings.are_webhooks_enabled = False
    sweep.sweep_project(ward.world.mapping)
    ward.world.go_to(MORNING + dt.timedelta(hours=2))
    ward.read_swept()

    stopped = (
        f"Taiga has sent nothing through the webhook of {NAME} since 1 Dec 2025 10:00, though work was closed there. "
        "Its webhooks are off (WEBHOOKS_ENABLED), or its background worker does not run."
    )
    assert ward.look() == [("error", "hook_silent", stopped)]
    assert DoctorFinding.objects.get(code="hook_silent").details == ['1 Dec 2025 10:00  202  {"status": "x"}']


# --- attributes ---------------------------------------------------------------------------------------------------


def without(name: str) -> Any:
    return lambda ward: ward.drop_attribute(name)


def retyped(name: str, type: str, **more: Any) -> Any:
    return lambda ward: ward.change_attribute(name, type=type, **more)


ATTRIBUTES = [
    pytest.param(
        without("Duration (Hours)"),
        "error",
        "attribute_missing",
        f"The tasks of {NAME} have no attribute “Duration (Hours)”, so their hours cannot be typed and each is held. "
        "Add it in Taiga.",
        id="no-hours",
    ),
    pytest.param(
        without("Invoice Status"),
        "error",
        "attribute_missing",
        f"The tasks of {NAME} have no attribute “Invoice Status”, so the console cannot say there what is invoiced, "
        "and each is a write that is stuck. Add it in Taiga.",
        id="no-status",
    ),
    pytest.param(
        without("Hourly Rate"),
        "warning",
        "attribute_missing",
        f"The tasks of {NAME} have no attribute “Hourly Rate”, so one of them cannot have a rate of its own. Add it in "
        "Taiga.",
        id="no-rate",
    ),
    pytest.param(
        without("Client Invoice ID"),
        "warning",
        "attribute_missing",
        f"The tasks of {NAME} have no attribute “Client Invoice ID”, so one of them cannot be billed to another "
        "client. Add it in Taiga.",
        id="no-client",
    ),
    pytest.param(
        without("Billable"),
        "error",
        "attributes",
        f"{NAME} has no attribute “Billable” on its tasks, so nothing of it is ever billed. Add the billing attributes "
        "in Taiga.",
        id="not-billed",
    ),
    pytest.param(
        retyped("Duration (Hours)", "date"),
        "error",
        "attribute_type",
        f"“Duration (Hours)” of the tasks of {NAME} has the type date, in which nobody can type what is needed. Make "
        "it number in Taiga.",
        id="type",
    ),
    pytest.param(
        retyped("Invoice Status", "dropdown", extra=["non-billable", "pending"]),
        "warning",
        "attribute_option",
        f"“Invoice Status” of the tasks of {NAME} lacks the option “Pending Invoice”, “Invoiced”, so Taiga shows an "
        "empty field where it is written. Add it in Taiga.",
        id="option",
    ),
]


@pytest.mark.parametrize(("act", "severity", "code", "sentence"), ATTRIBUTES)
def test_each_attribute_is_looked_at(ward: Ward, act: Any, severity: str, code: str, sentence: str) -> None:
    act(ward)

    assert ward.look() == [(severity, code, sentence)]


# --- rights, life, login --------------------------------------------------------------------------------------------


def test_who_is_no_administrator_is_told_what_that_costs(ward: Ward) -> None:
    ward.membership(is_admin=False)

    sentence = (
        f"Our user is no administrator of {NAME}: its webhook and its log cannot be looked at, and the nightly "
        "comparison reads item by item instead of one table. Make it an administrator of the project in Taiga."
    )
    assert ward.look() == [("warning", "admin", sentence)]


def test_a_missing_right_is_named(ward: Ward) -> None:
    role = next(row for row in ward.store.roles.find(project=1) if row["name"] == "Back")
    ward.membership(is_admin=False)
    with ward.store.memory.transaction():
        ward.store.roles.update(role["id"], permissions=["view_project", "view_tasks"])

    sentence = (
        f"Our user may not change the tasks of {NAME} (modify_task), so “Invoiced” is never written there. Give its "
        "role that right in Taiga."
    )
    assert ("error", "right", sentence) in ward.look()

    with ward.store.memory.transaction():
        ward.store.roles.update(role["id"], permissions=["view_project"])
    sentence = (
        f"Our user may not see the tasks of {NAME} (view_tasks), so none of them is billed. Give its role that right "
        "in Taiga."
    )
    assert ("error", "right", sentence) in ward.look()


def test_a_project_that_our_user_does_not_see(ward: Ward) -> None:
    row = ward.store.membership(ward.world.user(scenario.SERVICE_USER), 1)
    with ward.store.memory.transaction():
        ward.store.memberships.delete(row["id"])
        ward.store.projects.update(1, is_private=True)

    sentence = (
        f"Taiga does not show {NAME} to our user: it was deleted, or the user is no member of it. Make the user a "
        "member there, or set the project inactive here."
    )
    assert ward.look() == [("error", "access", sentence)]


@pytest.mark.parametrize(
    ("fields", "code", "sentence"),
    [
        (
            {"archived_code": "archived-by-owner"},
            "archived",
            (
                f"{NAME} is archived in Taiga: its hours are billed, but “Invoiced” cannot be written there. Take it "
                "out of the archive, or set the project inactive here."
            ),
        ),
        (
            {"blocked_code": "blocked-by-staff"},
            "blocked",
            (
                f"{NAME} is blocked in Taiga: it can be read, but nothing can be written there. Ask its owner to "
                "unblock it."
            ),
        ),
    ],
)
def test_a_project_out_of_use(ward: Ward, fields: dict[str, str], code: str, sentence: str) -> None:
    ward.project(**fields)

    assert ward.look() == [("error", code, sentence)]


def token(end: dt.datetime) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": int(end.timestamp())}).encode()).decode().rstrip("=")
    return f"Bearer x.{claims}.y"


def test_a_wrong_login_is_said_once_and_the_projects_wait(ward: Ward, settings: Any) -> None:
    settings.TAIGA_USERNAME, settings.TAIGA_PASSWORD = "alice", "wrong"

    found = ward.look("taiga", f"project-{ward.world.mapping.pk}")

    sentence = "Taiga did not accept our login. Check the token or the user and password in the settings."
    assert found == [("error", "login", sentence)]
    check = DoctorFinding.objects.get(code="login").doctor_check
    assert check.skipped == ""
    project = type(check).objects.get(key=f"project-{ward.world.mapping.pk}")
    assert (project.skipped, project.checked_at) == (sentence, None)


def test_the_token_says_when_it_ends(ward: Ward, settings: Any) -> None:
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

    def judged(text: str) -> tuple[str, str]:
        finding = server_rules.judge_token(text, "billing", now, "Europe/Brussels")
        return finding.severity, finding.sentence

    assert judged("Application abc") == ("ok", "TAIGA_TOKEN is an application token: it never ends.")
    assert judged(token(now - dt.timedelta(days=1)))[0] == "error"
    assert judged(token(now + dt.timedelta(days=1))) == (
        "warning",
        "TAIGA_TOKEN ends at 2026-01-02 01:00 CET. Use an application token, or set TAIGA_USERNAME and TAIGA_PASSWORD.",
    )
    assert judged(token(now + dt.timedelta(days=30))) == (
        "ok",
        "TAIGA_TOKEN is a login token that ends on 31 Jan 2026 01:00; nothing renews it.",
    )
    assert judged("Bearer opaque")[0] == "warning"


@pytest.mark.parametrize(
    ("server", "name", "seconds", "severity", "words"),
    [
        ("taiga", "Taiga", 300, "warning", "ahead of"),
        ("ninja", "Invoice Ninja", -3600, "error", "behind"),
    ],
)
def test_a_clock_that_is_off(ward: Ward, server: str, name: str, seconds: int, severity: str, words: str) -> None:
    theirs = timezone.now() + dt.timedelta(seconds=seconds)
    date = theirs.strftime("%a, %d %b %Y %H:%M:%S GMT")
    ward.world.fail(server, kind="headers", headers={"Date": date}, count=None)

    [(found_severity, code, sentence)] = ward.look("taiga" if server == "taiga" else "invoice_ninja")

    assert (found_severity, code) == (severity, "clock")
    assert sentence.startswith(f"The clock of {name} is ")
    assert f"seconds {words} ours, so work may fall on another day than it was done." in sentence


def test_plain_http_to_a_public_server_is_said_in_production(ward: Ward) -> None:
    facts = ServerFacts("taiga", "http://taiga.example/api/v1", is_production=True, who="billing")

    assert [finding.sentence for finding in judge_server(facts) if finding.severity == "warning"] == [
        (
            "Taiga is called over plain http (http://taiga.example/api/v1): our login can be read on the way. Use its "
            "https address."
        )
    ]
    inside = ServerFacts("taiga", "http://10.0.0.7/api/v1", is_production=True)
    assert [finding.severity for finding in judge_server(inside)] == ["ok"]
