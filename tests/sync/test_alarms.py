"""An alarm is raised once, mailed once when it lasts, and its end is told to those who heard of it."""

from __future__ import annotations

import base64
import datetime as dt
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from sync import alarms, tokens, watching
from sync.models import Alarm, ProjectSweep
from tests.factories import ProjectFactory, WorkItemFactory
from tests.people import browser_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def addresses(settings: Any) -> None:
    settings.ALERT_EMAILS = ["office@example.com"]
    settings.ALARM_AFTER_SECONDS = 300


def make_old() -> None:
    Alarm.objects.update(raised_at=timezone.now() - timedelta(hours=1))


def test_raising_again_is_no_news() -> None:
    assert alarms.raise_alarm("key", "It burns.")
    assert not alarms.raise_alarm("key", "It burns.")
    assert not alarms.raise_alarm("key", "It burns more.")

    assert Alarm.objects.get().sentence == "It burns more."


def test_a_hiccup_mails_nobody() -> None:
    alarms.raise_alarm("key", "It burns.")
    assert alarms.mail_due() == 0
    alarms.clear("key")
    make_old()
    assert alarms.mail_due() == 0
    assert mail.outbox == []


def test_what_lasts_is_mailed_once_and_so_is_its_end() -> None:
    alarms.raise_alarm("key", "It burns.")
    make_old()
    assert [alarms.mail_due(), alarms.mail_due()] == [1, 0]
    assert mail.outbox[0].to == ["office@example.com"]
    assert "It burns." in mail.outbox[0].body

    assert alarms.clear("key")
    assert [alarms.mail_due(), alarms.mail_due()] == [1, 0]
    assert "over" in mail.outbox[1].subject
    assert not alarms.clear("key")
    assert alarms.raise_alarm("key", "It burns again.")


def test_a_mail_that_cannot_be_sent_is_seen_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise ConnectionRefusedError

    alarms.raise_alarm("key", "It burns.")
    make_old()
    with monkeypatch.context() as broken:
        broken.setattr(alarms, "send_mail", refuse)
        assert alarms.mail_due() == 0
    assert "EMAIL_URL" in Alarm.objects.get().mail_error
    assert "EMAIL_URL" in browser_of("viewer").get("/admin/sync/alarm/").content.decode()

    assert alarms.mail_due() == 1
    assert Alarm.objects.get().mail_error == ""


def test_an_open_alarm_is_on_the_start_page() -> None:
    alarms.raise_alarm("key", "It burns over there.")

    assert "It burns over there." in browser_of("viewer").get("/admin/").content.decode()


# --- what is watched --------------------------------------------------------------------------------------------------


def token(end: dt.datetime) -> str:
    """A token that says when it ends; its signature is no signature."""
    payload = base64.urlsafe_b64encode(json.dumps({"exp": int(end.timestamp())}).encode()).decode().rstrip("=")
    return f"header.{payload}.signature"


@pytest.mark.parametrize("scheme", ["", "Bearer ", "bearer "])
def test_a_token_says_when_it_ends(scheme: str) -> None:
    end = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)

    assert tokens.end_of(scheme + token(end)) == end


@pytest.mark.parametrize("text", ["", "Application a.b.c", "a.b", "a.!.c", "a.W10.c", "a.eyJleHAiOiAieCJ9.c", "x"])
def test_other_tokens_name_no_end(text: str) -> None:
    assert tokens.end_of(text) is None


@pytest.mark.parametrize(
    ("left", "words"), [(timedelta(days=30), None), (timedelta(hours=20), "ends at"), (-timedelta(1), "ended at")]
)
def test_a_token_that_ends_soon_alarms(settings: Any, left: timedelta, words: str | None) -> None:
    settings.TAIGA_TOKEN = token(timezone.now() + left)

    watching.watch()

    assert [words in alarm.sentence for alarm in Alarm.objects.all() if words] == ([True] if words else [])
    settings.TAIGA_TOKEN = ""
    assert watching.watch() == []
    assert not Alarm.objects.filter(cleared_at=None).exists()


def heard(days: int) -> ProjectSweep:
    return ProjectSweep.objects.create(project=ProjectFactory(), heard_at=timezone.now() - timedelta(days=days))


def test_a_project_that_fell_silent_alarms_until_it_speaks() -> None:
    heard(13)
    silent = heard(15)

    assert watching.watch() == [f"silent-{silent.project_id}"]
    assert "15 days" in Alarm.objects.get().sentence
    ProjectSweep.objects.update(heard_at=timezone.now())
    assert watching.watch() == []


def test_the_alarm_says_that_the_sweep_found_work_all_the_same() -> None:
    silent = heard(15)
    WorkItemFactory(project=silent.project, closing_found_by="sweep", read_at=timezone.now())

    watching.watch()

    assert "though work was closed there" in Alarm.objects.get().sentence


def test_zero_days_and_inactive_projects_are_silent_for_ever(settings: Any) -> None:
    silent = heard(100)
    silent.project.is_active = False
    silent.project.save()
    assert watching.watch() == []
    heard(100)
    settings.SILENT_PROJECT_DAYS = 0
    assert watching.watch() == []


def test_a_project_that_cannot_be_swept_alarms_with_its_reason() -> None:
    broken = ProjectSweep.objects.create(
        project=ProjectFactory(), error="Taiga does not allow it.", succeeded_at=timezone.now() - timedelta(hours=7)
    )

    assert watching.watch() == [f"unswept-{broken.project_id}"]
    assert "7 hours. Taiga does not allow it." in Alarm.objects.get().sentence
