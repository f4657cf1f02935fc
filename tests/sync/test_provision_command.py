"""`manage.py provision`: lists, looks, asks, connects, and says in one sentence what is missing."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from mappings.models import ProjectMapping
from sync.models import RemoteRecord, UpstreamCall
from tests.standins import World
from tests.sync.door import BARE, add_project

KINDS = ("task", "userstory", "issue")


def provision(*args: str) -> tuple[str, str, int]:
    """What it prints, what it complains of, and its exit code."""
    out, err, code = StringIO(), StringIO(), 0
    try:
        call_command("provision", *args, stdout=out, stderr=err)
    except SystemExit as leaving:
        code = int(str(leaving.code))
    return out.getvalue(), err.getvalue(), code


def counts(world: World, project: int = BARE) -> list[int]:
    """How many attributes of each kind, and hooks."""
    paths = [f"/{kind}-custom-attributes?project={project}" for kind in KINDS] + [f"/webhooks?project={project}"]
    return [len(world.api_taiga("GET", path, who="owner")) for path in paths]


def test_projects_are_listed_with_who_pays_or_may_be_meant(bare: World) -> None:
    add_project(bare, 10, "Beacon mobile app", is_admin=False)

    out, _err, code = provision()

    assert code == 0
    assert out.splitlines() == [
        "     3  API Integration: nobody yet, perhaps Cobalt Systems / API Integration",
        "    10  Beacon mobile app: nobody yet, perhaps Beacon Mobile / Mobile App (our user does not administer it)",
        "     9  Field Service: nobody yet",
        "     2  Mobile App: nobody yet, perhaps Beacon Mobile / Mobile App",
        "     1  Website Redesign: Acme Corp / Website Redesign",
    ]
    rows = json.loads(provision("--json")[0])["projects"]
    assert rows[2] == {
        "project": 9,
        "name": "Field Service",
        "is_admin": True,
        "target": None,
        "suggestion": None,
    }


def test_a_dry_run_reads_and_writes_nothing(bare: World) -> None:
    before = bare.taiga.state()

    out, _err, code = provision("--project", "9", "--client", "client_abc123", "--stories", "--dry-run", "--json")

    told = json.loads(out)
    assert code == 0
    assert (told["project"], told["client"], told["ninja_project"]) == (9, "client_abc123", None)
    assert [thing["state"] for thing in told["things"]] == ["make"] * 11
    assert bare.taiga.state() == before
    assert not RemoteRecord.objects.exists()
    assert ProjectMapping.objects.count() == 1
    assert not UpstreamCall.objects.exclude(method="GET").exclude(path__contains="/auth").exists()


def test_what_is_there_is_told_from_what_is_to_be_made(bare: World) -> None:
    out = provision("--project", "2", "--issues", "--dry-run")[0]

    assert "Mobile App is paid by Beacon Mobile / Mobile App." in out  # surely meant by its name
    assert "  Billable (Task): is there" in out
    assert "  Billable (Issue): to be made" in out
    assert "  Webhook: to be made" in out


def test_it_connects_and_a_second_time_makes_nothing(bare: World) -> None:
    args = ("--project", "9", "--ninja-project", "proj_web001", "--stories", "--issues", "--yes")

    out, err, code = provision(*args)

    assert (err, code) == ("", 0)
    assert "  Test of the webhook: is there" in out
    mapping = ProjectMapping.objects.get(taiga_project_id=BARE)
    assert (mapping.client.ninja_id, mapping.ninja_project.ninja_id) == ("client_abc123", "proj_web001")
    assert counts(bare) == [5, 5, 5, 1]

    told = json.loads(provision("--project", "9", "--yes", "--json")[0])
    assert counts(bare) == [5, 5, 5, 1]
    assert {thing["state"] for thing in told["things"]} == {"synced"}
    assert [thing["wrong"] for thing in told["things"]] == [[]] * 17


def test_what_needs_a_person_is_one_sentence_each_and_exit_code_1(bare: World) -> None:
    add_project(bare, 10, "Locked", is_admin=False)

    _out, err, code = provision("--project", "10", "--client", "client_abc123", "--yes")

    assert code == 1
    assert len(err.splitlines()) == 6
    assert err.startswith("Billable (Task): Taiga does not let our user administer Locked.")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (
            ("--project", "9"),
            "Say who pays for Field Service, with --client or --ninja-project. By the name perhaps: none",
        ),
        (("--project", "77"), "Taiga has no project 77 that our user sees"),
        (("--project", "9", "--client", "nobody"), "Invoice Ninja has no living client nobody"),
        (("--project", "9", "--ninja-project", "no"), "Invoice Ninja has no living project no"),
        (("--project", "9", "--client", "client_xyz789", "--ninja-project", "proj_web001"), "of that client"),
        (("--project", "9", "--client", "client_abc123"), "Add --yes"),
        (("--project", "9", "--client", "client_abc123", "--json"), "Add --yes"),
    ],
)
def test_what_it_cannot_do_is_one_sentence_and_nothing_is_written(bare: World, args: Any, words: str) -> None:
    with pytest.raises(CommandError, match=words):
        provision(*args)
    assert ProjectMapping.objects.count() == 1
    assert counts(bare) == [0, 0, 0, 0]


def test_a_taiga_that_is_away_is_one_sentence(bare: World) -> None:
    bare.fail("taiga", kind="status", status=503, path="/projects")
    with pytest.raises(CommandError, match="down for maintenance"):
        provision()
