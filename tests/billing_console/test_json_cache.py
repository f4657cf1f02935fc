"""The cache is signed JSON: what others put into Redis is never run, never believed, and a miss."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import current_app
from django.core.cache import cache, caches
from django.test import override_settings
from django.utils.functional import lazy

from billing_console.cached import remember
from billing_console.json_cache import JsonRedisCache, seal
from tests.billing_console.redis_server import redis_on_a_port
from tests.people import browser_of


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_on_a_port(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def in_redis(url: str) -> JsonRedisCache:
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return JsonRedisCache(url, {})


@dataclass
class Hit:
    title: str
    link: str


class Runs:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("value", ["text", "", 0, 7, 1.5, True, False, None, [1, [2]], {"a": {"b": [None]}}, "é\u2028"])
def test_a_value_comes_back(in_redis: JsonRedisCache, value: Any) -> None:
    in_redis.set("key", value, 60)

    assert in_redis.get("key", "nothing") == value
    assert in_redis.get_many(["key", "other"]) == {"key": value}


def test_a_hit_of_the_search_comes_back_as_templates_read_it(in_redis: JsonRedisCache) -> None:
    in_redis.set("hits", [Hit(lazy(lambda: "Acme", str)(), "/admin/")], 60)

    assert in_redis.get("hits") == [{"title": "Acme", "link": "/admin/"}]


@pytest.mark.parametrize("backend", ["redis", "process"])
def test_what_json_does_not_know_is_refused_before_it_is_kept(in_redis: JsonRedisCache, backend: str) -> None:
    with pytest.raises(TypeError, match="A Decimal cannot be kept in the cache"):
        (in_redis if backend == "redis" else caches["default"]).set("key", Decimal(1), 60)


def test_only_what_we_kept_under_that_key_is_read(in_redis: JsonRedisCache, url: str, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    planted = [
        pickle.dumps(Runs(ran)),
        b"",
        b"17",
        b'{"attention": 0}',
        b'{"attention": 0}:abc',
        b"\xff\xfe",
        seal("another key", {"attention": 0}).encode(),
        seal("key", {"attention": 0}).encode()[:-1],
        ("[" * 100_000).encode(),
    ]
    with redis.Redis.from_url(url) as stranger:
        for bytes_of_others in planted:
            stranger.set(in_redis.make_key("key"), bytes_of_others)

            assert in_redis.get("key", "a miss") == "a miss", bytes_of_others[:40]
            assert in_redis.get_many(["key"]) == {}
    assert not ran.exists()


@pytest.mark.django_db
def test_pages_are_shown_and_numbers_counted_when_the_cache_was_written_by_others(url: str, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    backend = {"BACKEND": "billing_console.json_cache.JsonRedisCache", "LOCATION": url}
    with override_settings(CACHES={"default": backend}, WAITING_COUNT_SECONDS=30):
        browser = browser_of("administrator")
        for address in ("/admin/", "/admin/search/?s=acme&extended=1"):
            assert browser.get(address).status_code == 200
        with redis.Redis.from_url(url) as stranger:
            kept = stranger.keys("*")
            assert kept
            for key in kept:
                stranger.set(key, pickle.dumps(Runs(ran)))

        for address in ("/admin/", "/admin/search/?s=acme&extended=1"):
            assert browser.get(address).status_code == 200
    assert not ran.exists()


def test_remembered_values_are_kept_for_others() -> None:
    assert remember("test.remembered", 60, lambda: {"a": 1}) == {"a": 1}
    assert remember("test.remembered", 60, lambda: {"a": 2}) == {"a": 1}
    cache.delete("test.remembered")


def test_the_broker_takes_and_sends_json_only() -> None:
    conf = current_app.conf
    assert (conf.accept_content, conf.result_accept_content) == (["json"], ["json"])
    assert {conf.task_serializer, conf.result_serializer, conf.event_serializer} == {"json"}
    with current_app.connection_for_read("memory://") as connection:
        consumer = current_app.amqp.TaskConsumer(connection.default_channel)
        assert consumer.accept == {"application/json"}  # kombu refuses a message that says it is anything else
