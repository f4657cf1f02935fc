"""Logging in once for all, journaling every call, and never writing to a server that is not the one we know."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from billing_console.errors import ConfigError, Unauthorized
from sandbox import scenario
from sandbox.server import serve
from sync import push, tasks, upstreams
from sync.marks import mark_dirty
from sync.models import FoundBy, RemoteRecord, UpstreamCall, UpstreamPin, WorkItem
from tests.standins import MORNING, World
from tests.sync.clients.scripted import ScriptedServer, reply

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_login_yet() -> None:
    upstreams._logins.clear()


def logins() -> int:
    return UpstreamCall.objects.filter(path="/auth").count()


def test_one_login_serves_every_client_and_every_process(world: World) -> None:
    first, second = upstreams.taiga_client(), upstreams.taiga_client()
    assert first.me().username == second.me().username == scenario.SERVICE_USER
    assert logins() == 1
    upstreams._logins.clear()  # another process
    upstreams.taiga_client().me()
    assert logins() == 1


@pytest.mark.django_db(transaction=True)  # the other thread commits what it writes into the journal
def test_the_next_client_of_a_thread_goes_on_with_its_connection(settings: Any) -> None:
    answers = [reply(200, {"id": 7, "username": "bot", "full_name": "Bot"}) for _ in range(3)]
    with ScriptedServer(*answers) as server:
        settings.TAIGA_API, settings.TAIGA_TOKEN = server.url, "application-token"

        def ask() -> None:
            upstreams.taiga_client().me()
            connection.close()

        upstreams.taiga_client().me()
        upstreams.taiga_client(attempt=2).me()
        assert server.connections == 1

        other = threading.Thread(target=ask)
        other.start()
        other.join(10)
        assert server.connections == 2
        assert len(server.seen) == 3


def test_the_shared_token_is_not_readable_in_the_cache(world: World) -> None:
    upstreams.taiga_client().me()
    (login,) = upstreams._logins.values()
    stored = cache.get(login._key)
    assert "Bearer" not in stored
    assert login._value.startswith("Bearer ")
    assert login._value not in stored


def test_a_token_that_ended_is_renewed_once(world: World) -> None:
    client = upstreams.taiga_client()
    client.me()
    world.taiga.clock.set(MORNING + timedelta(hours=25))
    client.me()
    client.me()
    assert logins() == 2


def test_a_token_that_another_process_renewed_is_taken_over(world: World) -> None:
    upstreams.taiga_client().me()
    (login,) = upstreams._logins.values()
    refused, login._value = login._value, "Bearer stale"
    assert login("Bearer stale") == refused
    assert logins() == 1


def test_a_broken_cache_costs_a_login_and_nothing_else(world: World, settings: Any) -> None:
    settings.CACHES = {
        "default": {
            "BACKEND": "billing_console.json_cache.JsonRedisCache",
            "LOCATION": "redis://127.0.0.1:9/0",
            "OPTIONS": {"socket_timeout": 0.2, "socket_connect_timeout": 0.2},
        }
    }
    assert upstreams.taiga_client().me().id
    assert upstreams.taiga_client().me().id
    assert logins() == 1


def test_a_wrong_password_is_one_sentence(world: World, settings: Any) -> None:
    settings.TAIGA_PASSWORD = "wrong"
    with pytest.raises(Unauthorized) as refused:
        upstreams.taiga_client().me()
    assert "wrong" not in refused.value.sentence


@pytest.mark.parametrize(
    ("missing", "client"),
    [
        ({"TAIGA_API": ""}, upstreams.taiga_client),
        ({"TAIGA_USERNAME": ""}, upstreams.taiga_client),
        ({"INVOICE_NINJA_API": ""}, upstreams.ninja_client),
        ({"INVOICE_NINJA_TOKEN": ""}, upstreams.ninja_client),
        ({"INVOICE_NINJA_API": "http://billing.example.com/api/v1"}, upstreams.ninja_client),
    ],
)
def test_a_missing_or_unsafe_setting_is_named(
    world: World, settings: Any, missing: dict[str, str], client: Any
) -> None:
    for name, value in missing.items():
        setattr(settings, name, value)
    with pytest.raises(ConfigError):
        client()


def test_every_call_is_journaled_with_its_item_and_correlation(world: World) -> None:
    correlation = uuid.uuid4()
    upstreams.ninja_client(correlation_id=correlation).ping()
    call = UpstreamCall.objects.get(upstream="invoice_ninja")
    assert (call.method, call.path, call.status, call.correlation_id) == ("GET", "/ping", 200, correlation)


# --- the right server -------------------------------------------------------------------------------------------------


def test_first_contact_pins_and_the_check_is_cached(world: World) -> None:
    assert upstreams.service_user_id() is None
    upstreams.check_pin("taiga")
    upstreams.check_pin("invoice_ninja")
    assert upstreams.service_user_id() == upstreams.taiga_client().me().id
    before = UpstreamCall.objects.count()
    upstreams.check_pin("taiga")
    upstreams.check_pin("invoice_ninja")
    assert UpstreamCall.objects.count() == before


def test_another_company_pauses_until_an_administrator_confirms(world: World, django_user_model: Any) -> None:
    pin = upstreams.check_pin("invoice_ninja")
    key = pin.identity
    UpstreamPin.objects.update(identity="another-company", checked_at=timezone.now() - timedelta(hours=1))
    with pytest.raises(ConfigError, match="administrator"):
        upstreams.check_pin("invoice_ninja")
    paused = UpstreamPin.objects.get()
    assert (paused.is_paused, paused.seen_identity, paused.identity) == (True, key, "another-company")
    with pytest.raises(ConfigError):
        upstreams.check_pin("invoice_ninja")

    admin = django_user_model.objects.create(username="admin")
    upstreams.confirm_pin(paused, user=admin, note="moved to a new machine")
    assert upstreams.check_pin("invoice_ninja").identity == key


def test_the_right_server_that_is_back_goes_on_by_itself(world: World) -> None:
    pin = upstreams.check_pin("invoice_ninja")
    right = pin.identity
    UpstreamPin.objects.update(identity="another", checked_at=None)
    with pytest.raises(ConfigError):
        upstreams.check_pin("invoice_ninja")
    UpstreamPin.objects.update(identity=right, checked_at=None)
    assert upstreams.check_pin("invoice_ninja").is_paused is False


def test_another_address_pauses_too(world: World) -> None:
    upstreams.check_pin("taiga")
    UpstreamPin.objects.update(base_url="https://taiga.elsewhere.example/api/v1")
    with pytest.raises(ConfigError):
        upstreams.check_pin("taiga")


def test_a_worker_that_was_started_with_another_server_writes_nothing_and_the_others_go_on(
    world: World, settings: Any
) -> None:
    ours, other = settings.INVOICE_NINJA_API, serve()
    try:
        other.ninja.seed(scenario.ninja_seed())
        upstreams.check_pin("invoice_ninja")
        world.read(world.add_task("A task", billable=True, hours=1))
        settings.INVOICE_NINJA_API = f"{other.ninja.url}/api/v1"

        push.push_due()

        assert other.ninja.state()["tasks"] == world.tasks() == []
        assert "than the one the console was set up with" in RemoteRecord.objects.get().sentence
        settings.INVOICE_NINJA_API = ours  # the other worker, at the same time
        RemoteRecord.objects.update(not_before=None)
        push.push_due()
        assert len(world.tasks()) == 1
        assert not UpstreamPin.objects.filter(is_paused=True).exists()
    finally:
        other.stop()


def test_a_worker_that_was_started_with_another_server_reads_nothing_there(world: World, settings: Any) -> None:
    """A copy of Taiga has the same numbers: what is typed there is nobody's hours."""
    ours, other = settings.TAIGA_API, serve()
    try:
        other.taiga.seed(scenario.taiga_seed("http://127.0.0.1:9/webhooks/taiga", "another-secret"))
        upstreams.check_pin("taiga")
        entry = world.read(world.add_task("A task", billable=True, hours=2))
        mark_dirty("T", entry.item.taiga_id, found_by=FoundBy.WEBHOOK, project_id=world.mapping.taiga_project_id)
        settings.TAIGA_API = f"{other.taiga.url}/api/v1"

        tasks.read_items()
        tasks.sweep_projects()

        entry.refresh_from_db()
        assert (entry.raw_hours, entry.item.state) == (2, "closed")
        assert (
            not UpstreamCall.objects.filter(upstream="taiga")
            .exclude(path__in=("/auth", "/users/me"))
            .filter(at__gt=entry.evaluated_at)
        )
        settings.TAIGA_API = ours  # the other worker
        WorkItem.objects.update(not_before=None)
        tasks.read_items()
        assert not WorkItem.objects.filter(is_dirty=True).exists()
    finally:
        other.stop()


def test_who_has_another_login_asks_itself_whose_it_is_before_it_writes(world: World, settings: Any) -> None:
    """Another company may be behind the same address: that a colleague asked minutes ago says nothing about it."""
    upstreams.check_pin("invoice_ninja")
    world.read(world.add_task("A task", billable=True, hours=1))
    calls = UpstreamCall.objects.filter(upstream="invoice_ninja", method="POST")
    settings.INVOICE_NINJA_TOKEN = "of another company"

    push.push_due()

    assert (calls.count(), world.tasks()) == (0, [])


def test_a_pause_for_another_reason_is_not_lifted_by_a_check(world: World) -> None:
    upstreams.check_pin("taiga")
    UpstreamPin.objects.update(is_paused=True, pause_reason="A backup was restored.", checked_at=None)
    with pytest.raises(ConfigError, match="backup"):
        upstreams.check_pin("taiga")
