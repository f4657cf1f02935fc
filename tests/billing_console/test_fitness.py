"""A process whose clock is wrong, or whose tables are of another version, does nothing and says why."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils.module_loading import import_string

from billing_console import clock, fitness, tables
from invoicing import build
from invoicing.models import Invoice
from sync import doorbell, outbox, presence, schedule
from sync.models import RemoteRecord
from sync.signature import sign
from tests.clocks import contents, own_clock
from tests.crash.rounds import approve_one
from tests.invoicing.world import IN_JANUARY, make_client, make_project, make_user, make_work
from tests.standins import World

DAY, MINUTE = dt.timedelta(days=1), dt.timedelta(minutes=1)
WRONG = [31 * DAY, DAY, 2 * MINUTE, -2 * MINUTE, -DAY, -31 * DAY]
TASKS = sorted({task for task, _seconds in schedule._entries().values()} | set(doorbell.TASKS.values()))


@pytest.fixture(autouse=True)
def _as_newly_started() -> Iterator[None]:
    fitness.forget()
    yield
    fitness.forget()


def add_migration(app: str = "sync", name: str = "0999_of_a_newer_version") -> None:
    """What `migrate` of a newer version leaves behind."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, now())", [app, name])


def much_to_do(world: World) -> None:
    """A closed task to read, one to push, an approved invoice to create, and a month that is over, to build."""
    approve_one(world, 0)
    world.go_to(dt.datetime(2026, 1, 4, 9, tzinfo=dt.UTC))
    world.read(world.add_task("To push", billable=True, hours=2))
    world.add_task("To read", billable=True, hours=3)


@pytest.mark.django_db
@pytest.mark.parametrize("ahead", WRONG)
def test_a_clock_is_measured_against_postgresqls(ahead: dt.timedelta) -> None:
    assert fitness.look().why_idle == ""

    with own_clock(ahead):
        found = fitness.look()

    assert abs(found.ahead - ahead) < dt.timedelta(seconds=5)
    assert ("ahead of" if ahead > dt.timedelta() else "behind") in found.clock
    assert found.clock.endswith("let both machines take their time from the network.")


@pytest.mark.django_db
@pytest.mark.parametrize("seconds", [50, -50])
def test_seconds_are_nobodys_fault(seconds: int) -> None:
    with own_clock(dt.timedelta(seconds=seconds)):
        assert fitness.look().why_idle == ""


@pytest.mark.parametrize(
    ("before", "theirs", "after", "ahead"),
    [(10, 10, 10, 0), (10, 12, 15, 0), (10, 8, 11, 2), (10, 20, 15, -5), (100, 10, 100, 90)],
)
def test_how_long_the_question_took_is_no_difference(before: int, theirs: int, after: int, ahead: int) -> None:
    assert fitness._ahead(before, theirs, after) == dt.timedelta(seconds=ahead)


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (dt.timedelta(seconds=61), "1 minute ahead"),
        (-90 * MINUTE, "90 minutes behind"),
        (DAY, "24 hours ahead"),
        (31 * DAY, "31 days ahead"),
    ],
)
def test_how_far_is_said_in_words(span: dt.timedelta, said: str) -> None:
    assert f"is {said}" in fitness.Look(span, "").clock


@pytest.mark.django_db
@pytest.mark.parametrize("ahead", [32 * DAY, -DAY])
def test_no_task_does_anything_by_a_wrong_clock(world: World, ahead: dt.timedelta) -> None:
    """Among others: no draft of a month that is not over, no invoice, no reminder, no booking, no lease ended."""
    much_to_do(world)
    before, there = contents(), (world.tasks(), world.invoices())

    with own_clock(ahead):
        for name in TASKS:
            import_string(name)()

    assert contents() == before
    assert (world.tasks(), world.invoices()) == there
    for name in ("sync.tasks.push_tasks", "invoicing.tasks.create_invoices"):
        import_string(name)()
    assert [row["private_notes"] for row in world.invoices()] == [Invoice.objects.get().key]
    assert RemoteRecord.objects.filter(kind="task", state="synced").count() == 2


@pytest.mark.django_db
def test_no_task_works_on_tables_of_a_newer_version_and_all_go_on_after_the_restart(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    much_to_do(world)
    add_migration()
    before, there = contents(), (world.tasks(), world.invoices())

    for name in TASKS:
        import_string(name)()

    assert contents() == before
    assert (world.tasks(), world.invoices()) == there
    assert fitness.seen().why_idle == (
        "The tables are of a newer version of the console (sync.0999_of_a_newer_version) than this process. It does "
        "nothing until it is started again with that version."
    )

    fitness.forget()
    monkeypatch.setattr(tables, "known", lambda: KNOWN | {("sync", "0999_of_a_newer_version")})
    import_string("invoicing.tasks.create_invoices")()
    assert len(world.invoices()) == 1


KNOWN = tables.known()


@pytest.mark.django_db
def test_a_newer_version_waits_for_its_tables() -> None:
    newest = max(name for app, name in KNOWN if app == "sync")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'sync' AND name = %s", [newest])
    before = contents()

    for name in TASKS:
        import_string(name)()

    assert contents() == before
    assert fitness.seen().why_idle == (
        f"The tables lack 1 migration of this version: sync.{newest}. Nothing is done until `manage.py prepare` has "
        "made it."
    )


@pytest.mark.parametrize(
    ("applied", "newer"),
    [
        ([("a", "1"), ("b", "1")], []),
        ([("a", "0"), ("a", "1"), ("b", "1")], []),  # of an old version, thrown away since
        ([("a", "1"), ("b", "1"), ("c", "1")], []),  # of an app that is not ours
        ([("a", "1"), ("b", "1"), ("a", "2")], [("a", "2")]),
        ([("a", "1"), ("b", "1"), ("a", "2"), ("c", "2"), ("b", "3")], [("a", "2"), ("b", "3")]),
        ([], []),
    ],
)
def test_what_came_after_all_that_we_know_is_newer(applied: list[Any], newer: list[Any]) -> None:
    assert tables.unknown(applied, frozenset({("a", "1"), ("b", "1")})) == newer


def test_all_migrations_of_this_code_are_known() -> None:
    labels = {label for label, _name in tables.known()}
    assert labels >= {"accounts", "mappings", "sync", "invoicing", "auth", "django_celery_beat"}
    assert ("sync", "0001_initial") in tables.known()


# --- the web ----------------------------------------------------------------------------------------------------------


def a_wrong_clock(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(fitness, "_ahead", lambda *times: DAY)
    return "is 24 hours ahead of PostgreSQL&#x27;s. It does nothing until they agree"


def other_tables(monkeypatch: pytest.MonkeyPatch) -> str:
    add_migration()
    return "The tables are of a newer version of the console"


@pytest.mark.django_db
@pytest.mark.parametrize("make_unfit", [a_wrong_clock, other_tables])
@pytest.mark.parametrize("address", ["/admin/doctor/", "/admin/runs/start/", "/admin/close/", "/admin/sync/timeentry/"])
def test_no_form_is_worked_on(client: Client, monkeypatch: pytest.MonkeyPatch, make_unfit: Any, address: str) -> None:
    user = make_user("Approver")
    user.is_superuser = user.is_staff = True
    user.save()
    client.force_login(user)
    sentence = make_unfit(monkeypatch)
    before = contents()

    answer = client.post(address, {"month": "2025-12", "action": "x"})

    assert answer.status_code == 503
    assert sentence in answer.content.decode()
    assert "Nothing was changed." in answer.content.decode()
    assert contents() == before


@pytest.mark.django_db
def test_one_can_look_and_sign_in_and_out(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    user = make_user("Approver")
    user.is_superuser = user.is_staff = True
    user.set_password("a long password")
    user.save()
    a_wrong_clock(monkeypatch)

    signed_in = client.post("/admin/login/", {"username": user.username, "password": "a long password"})

    assert signed_in.status_code == 302
    assert client.get("/admin/doctor/").status_code == 200
    assert client.post("/admin/logout/").status_code == 200


BODY = b'{"action": "test", "type": "test", "date": "2025-12-01T09:00:00Z", "data": {"test": "test"}}'


def deliver(client: Client, settings: Any) -> Any:
    headers = {"x-taiga-webhook-signature": sign(BODY, settings.WEBHOOK_SECRET)}
    return client.post("/webhooks/taiga", BODY, content_type="application/json", headers=headers)


@pytest.mark.django_db
def test_deliveries_are_refused_on_tables_of_another_version(client: Client, settings: Any) -> None:
    add_migration()

    answer, ready = deliver(client, settings), client.get("/readyz")

    assert answer.status_code == ready.status_code == 503
    assert answer.json()["error"] == ready.json()["migrations"] == fitness.seen().tables


@pytest.mark.django_db
def test_deliveries_are_stored_by_postgresqls_clock(client: Client, settings: Any) -> None:
    with own_clock(DAY):
        answer, ready = deliver(client, settings), client.get("/readyz")

    assert (answer.status_code, ready.status_code) == (202, 200)
    assert ready.json()["status"] == "slow"
    assert ready.json()["clock"] == "differs from PostgreSQL's: take the time of both from the network"
    with connection.cursor() as cursor:
        cursor.execute("SELECT abs(extract(epoch FROM received_at - now())) < 60 FROM sync_webhookdelivery")
        assert cursor.fetchone()[0] is True


# --- commands ---------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    "command",
    [
        ("generate_invoices", "--month", "2025-12"),
        ("close_month", "--month", "2025-12"),
        ("sync_now",),
        ("reconcile", "--month", "2025-12"),
        ("provision",),
    ],
)
def test_no_command_works_by_a_wrong_clock(command: tuple[str, ...]) -> None:
    before = contents()
    with own_clock(DAY), pytest.raises(CommandError, match="24 hours ahead of PostgreSQL's"):
        call_command(*command)
    assert contents() == before


# --- in the middle ----------------------------------------------------------------------------------------------------


def migrated(monkeypatch: pytest.MonkeyPatch) -> None:
    add_migration()


def clock_jumped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitness, "_ahead", lambda *times: DAY)


@pytest.mark.django_db
@pytest.mark.parametrize("happens", [migrated, clock_jumped])
def test_who_is_in_the_middle_of_a_round_ends_what_it_began_and_begins_no_more(
    world: World, monkeypatch: pytest.MonkeyPatch, happens: Any
) -> None:
    for number in range(3):
        world.read(world.add_task(f"Task {number}", billable=True, hours=2))
    once: list[int] = []

    def when_it_writes(*_args: Any) -> None:
        if not once and world.tasks():
            once.append(1)
            happens(monkeypatch)
            presence.tell()  # as the thread of the worker does every few seconds

    monkeypatch.setattr(outbox, "claim_next", seen_by(outbox.claim_next, when_it_writes))
    import_string("sync.tasks.push_tasks")()

    assert len(world.tasks()) == 1
    states = RemoteRecord.objects.filter(kind="task").values_list("state", flat=True)
    assert sorted(states) == ["pending", "pending", "synced"]


@pytest.mark.django_db
@pytest.mark.parametrize("happens", [migrated, clock_jumped])
def test_who_builds_drafts_builds_no_more_and_the_rest_is_built_later(
    monkeypatch: pytest.MonkeyPatch, happens: Any
) -> None:
    monkeypatch.setattr(build, "TOGETHER", 1)
    with clock.set_to(IN_JANUARY):
        for name in ("Acme", "Brio", "Cato"):
            make_work(make_project(make_client(name)))

        def when_one_is_built(*_args: Any) -> None:
            if Invoice.objects.count() == 1:
                with monkeypatch.context() as patch:
                    happens(patch)
                    presence.tell()

        monkeypatch.setattr(build, "_build_together", seen_after(build._build_together, when_one_is_built))
        import_string("invoicing.tasks.build_runs")()

        assert Invoice.objects.count() == 1
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM django_migrations WHERE name = '0999_of_a_newer_version'")
        import_string("invoicing.tasks.build_runs")()
        assert Invoice.objects.count() == 3


def seen_after(act: Any, look: Any) -> Any:
    def acting(*args: Any) -> Any:
        done = act(*args)
        look()
        return done

    return acting


def seen_by(act: Any, look: Any) -> Any:
    def acting(*args: Any) -> Any:
        look()
        return act(*args)

    return acting
