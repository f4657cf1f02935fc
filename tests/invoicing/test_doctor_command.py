"""`manage.py doctor`: one line for each finding, and an exit code for scripts."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from sync.models import DoctorCheck, Heartbeat, UpstreamGate
from tests.sync.doctor.conftest import Ward, receiver, ward  # noqa: F401


@pytest.fixture(autouse=True)
def _the_machine_runs(db: None) -> None:
    for name in ("worker", "sweep", "taiga", "invoice_ninja", "payments"):
        Heartbeat.objects.create(name=name, at=timezone.now())


def run(*options: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("doctor", *options, stdout=out)
    except SystemExit as end:
        return int(str(end.code)), out.getvalue()
    return 0, out.getvalue()


def test_where_all_is_well_it_says_so_and_exits_with_0(ward: Ward) -> None:  # noqa: F811
    code, text = run()

    lines = text.splitlines()
    assert code == 0
    assert lines[-1] == "Everything is connected and set right."
    assert all(line.startswith("✓ ") for line in lines[:-1])
    assert "✓ Website Redesign: The webhook of Website Redesign arrives, the last time 1 Dec 2025 10:00." in lines


def test_a_warning_is_no_failure(ward: Ward) -> None:  # noqa: F811
    ward.membership(is_admin=False)

    code, text = run()

    assert code == 0
    assert text.splitlines()[-1] == "1 warning"
    assert text.startswith("! Website Redesign: Our user is no administrator of Website Redesign: ")


def test_an_error_exits_with_1_and_shows_where_it_is_put_right(ward: Ward, settings: Any) -> None:  # noqa: F811
    ward.hook(key="another")
    ward.client(is_deleted=True)

    code, text = run()

    assert code == 1
    lines = text.splitlines()
    assert lines[0].startswith("✗ Clients: Acme Corp is deleted in Invoice Ninja")
    assert lines[1] == f"    {settings.INVOICE_NINJA_API.removesuffix('/api/v1')}/sandbox/"
    assert lines[2].startswith("✗ Website Redesign: The webhook of Website Redesign is signed with another key")
    assert lines[3].startswith("    1 Dec 2025 10:00  202")
    assert lines[-1] == "2 errors"


def test_json_is_for_scripts(ward: Ward) -> None:  # noqa: F811
    ward.hook(key="another")

    code, text = run("--json")

    found = json.loads(text)
    assert code == 1
    assert found["unchecked"] == []
    assert [row["code"] for row in found["findings"] if row["severity"] != "ok"] == ["hook_key"]
    assert set(found["findings"][0]) == {"severity", "what", "code", "sentence", "url", "details"}


def test_one_project_is_asked_for_alone(ward: Ward) -> None:  # noqa: F811
    ward.client(is_deleted=True)

    code, text = run("--project", "1")

    assert code == 0
    assert "Clients" not in text
    assert DoctorCheck.objects.exclude(tried_at=None).count() == 2


def test_a_project_that_is_not_there_is_one_sentence(ward: Ward) -> None:  # noqa: F811
    with pytest.raises(CommandError, match="No active project has the id 99 in Taiga. Look at the list of projects."):
        run("--project", "99")


def test_an_unsafe_setting_is_a_line_of_its_own_and_stops_nothing(ward: Ward, settings: Any) -> None:  # noqa: F811
    settings.FIELD_KEY = "no key"

    code, text = run()

    assert code == 1
    assert text.startswith("✗ The console: FIELD_KEY is not a key: 32 bytes in URL-safe base64 are needed. ")
    assert "✓ Website Redesign: Our user sees Website Redesign and may write there." in text


def test_what_could_not_be_looked_at_exits_with_1(ward: Ward) -> None:  # noqa: F811
    UpstreamGate.objects.filter(server="taiga").update(open_since=timezone.now(), sentence="It does not answer.")

    code, text = run()

    assert code == 1
    assert (
        "? Not checked: Taiga (never yet), Website Redesign (never yet). Taiga is not called for now. It does not "
        "answer." in text
    )
