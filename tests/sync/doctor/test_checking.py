"""The doctor's rows: who is due, one worker for each, what was found before, and what is not asked of a silent "
"server."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from billing_console.errors import NotAllowed
from mappings.models import ProjectMapping
from sync import doorbell, tasks
from sync.doctor import checking, reading
from sync.models import DoctorCheck, DoctorFinding, Heartbeat, UpstreamCall, UpstreamGate
from tests.factories import ProjectFactory
from tests.sync.doctor.conftest import Ward


def check_of(ward: Ward) -> DoctorCheck:
    return DoctorCheck.objects.get(key=checking.key_of(ward.world.mapping))


def test_everything_is_looked_at_once_and_not_again_before_its_time(ward: Ward, settings: Any) -> None:
    settings.DOCTOR_SECONDS = 3600
    assert checking.check_due() == 5
    calls = UpstreamCall.objects.count()

    assert checking.check_due() == 0

    assert UpstreamCall.objects.count() == calls
    assert Heartbeat.objects.filter(name="doctor").exists()
    DoctorCheck.objects.filter(key="machine").update(tried_at=timezone.now() - dt.timedelta(hours=2))
    assert checking.check_due() == 1


def test_one_worker_is_enough(ward: Ward) -> None:
    checking.ensure_checks()
    DoctorCheck.objects.filter(key="machine").update(lease_until=timezone.now() + dt.timedelta(seconds=60))

    assert tasks.look_around() == 0

    DoctorCheck.objects.update(lease_until=None)
    assert tasks.look_around() == 5


def test_a_wish_is_worked_on_once_and_a_second_one_is_refused(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[str] = []
    monkeypatch.setattr(doorbell, "ring", rung.append)
    checking.check_due()

    assert checking.ask() == 5
    with pytest.raises(NotAllowed, match="It is being checked already; the page shows the result by itself."):
        checking.ask()

    assert rung == ["doctor"]
    assert checking.check_due() == 5
    assert not DoctorCheck.objects.filter(wanted_at__isnull=False).exists()
    assert checking.ask() == 5


def test_a_check_that_another_worker_is_at_is_left_to_it(ward: Ward) -> None:
    checking.ensure_checks()
    check = check_of(ward)
    DoctorCheck.objects.filter(pk=check.pk).update(lease_until=timezone.now() + dt.timedelta(seconds=60))

    assert checking.check_one(check) is False
    assert not DoctorFinding.objects.exists()

    DoctorCheck.objects.filter(pk=check.pk).update(lease_until=timezone.now() - dt.timedelta(seconds=1))
    assert checking.check_one(check) is True


def test_who_was_overtaken_in_the_middle_changes_nothing(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the first one reads, a person runs the command; the first one's findings are old and are dropped."""
    checking.ensure_checks()
    check = check_of(ward)
    read, is_inside = reading.project, False

    def overtaken(*args: Any) -> Any:
        nonlocal is_inside
        facts = read(*args)
        if not is_inside:
            is_inside = True
            ward.hook(key="another")
            assert checking.check_one(check, takes_over=True) is True
        return facts

    monkeypatch.setattr(reading, "project", overtaken)

    assert checking.check_one(check) is False
    assert [row.code for row in DoctorFinding.objects.exclude(severity="ok")] == ["hook_key"]


def test_a_wish_that_comes_while_it_is_checked_is_not_lost(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    checking.ensure_checks()
    check = check_of(ward)
    read = reading.project

    def asked_meanwhile(*args: Any) -> Any:
        checking.ask()
        return read(*args)

    monkeypatch.setattr(reading, "project", asked_meanwhile)

    assert checking.check_one(check) is True
    check.refresh_from_db()
    assert check.wanted_at is not None


def test_a_finding_keeps_since_when_it_is_so(ward: Ward) -> None:
    ward.hook(key="another")
    ward.look()
    long_ago = timezone.now() - dt.timedelta(days=3)
    DoctorFinding.objects.filter(code="hook_key").update(since=long_ago)

    ward.look()
    assert DoctorFinding.objects.get(code="hook_key").since == long_ago

    ward.hook(key="sandbox-webhook-secret")
    assert ward.look() == []
    ward.hook(key="another")
    ward.look()
    assert DoctorFinding.objects.get(code="hook_key").since > long_ago


def test_a_server_that_is_left_alone_is_not_called_and_what_was_found_stands(ward: Ward) -> None:
    ward.hook(key="another")
    found = ward.look()
    UpstreamGate.objects.filter(server="taiga").update(open_since=timezone.now(), sentence="It does not answer.")
    calls = UpstreamCall.objects.filter(upstream="taiga").count()

    assert ward.look("taiga", checking.key_of(ward.world.mapping)) == found

    assert UpstreamCall.objects.filter(upstream="taiga").count() == calls
    assert check_of(ward).skipped == "Taiga is not called for now. It does not answer."


def test_a_list_that_breaks_in_the_middle_is_a_finding_of_its_own(ward: Ward) -> None:
    ward.world.fail("taiga", kind="status", status=500, path="/webhooklogs", count=None)

    sentence = "Website Redesign could not be looked at. Taiga had an internal fault (HTTP 500). It is tried again."
    assert ward.look() == [("error", "reading", sentence)]


def test_projects_come_and_go_with_their_rows(ward: Ward) -> None:
    other = ProjectFactory(taiga_project_id=77)
    checking.ensure_checks()
    assert DoctorCheck.objects.filter(project=other).exists()

    ProjectMapping.objects.filter(pk=other.pk).update(is_active=False)
    checking.ensure_checks()

    assert not DoctorCheck.objects.filter(project=other).exists()
    assert DoctorCheck.objects.count() == 5


def test_an_installation_without_servers_is_told_what_to_set(db: None, settings: Any) -> None:
    settings.TAIGA_API = settings.INVOICE_NINJA_API = ""

    checking.check_due()

    errors = DoctorFinding.objects.filter(severity="error").values_list("doctor_check__key", "sentence")
    assert set(errors) == {
        ("taiga", "TAIGA_API is not set. Set it and start the console again."),
        ("invoice_ninja", "INVOICE_NINJA_API is not set. Set it and start the console again."),
    }


def test_an_unsafe_setting_is_a_finding_of_the_machine(ward: Ward, settings: Any) -> None:
    settings.FIELD_KEY = "no key"

    [(severity, code, sentence)] = ward.look("machine")

    assert (severity, code) == ("error", "setting")
    assert sentence.startswith("FIELD_KEY is not a key: 32 bytes in URL-safe base64 are needed. Leave it out, ")


def test_redis_that_does_not_answer_is_said(ward: Ward, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:9/0"

    assert ward.look("machine") == [
        (
            "error",
            "redis",
            (
                "Redis is unreachable: check REDIS_URL and that Redis runs. Until then the worker is not called, and "
                "everything waits."
            ),
        )
    ]
