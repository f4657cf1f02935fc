"""What production refuses, one sentence each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.checks import run_checks
from django.db import connection

from billing_console.checks import (
    check_addresses,
    check_connections,
    check_env_file,
    check_environment,
    check_log_folder,
    check_redis,
    check_secrets,
    check_services,
    check_tables,
    check_upstreams,
)
from billing_console.health import state_of_redis

PRODUCTION = {
    "ENVIRONMENT": "production",
    "DEBUG": False,
    "SECRET_KEY": "a secret key that nobody knows",
    "FIELD_KEY": Fernet.generate_key().decode(),
    "TAIGA_API": "https://taiga.example.org/api/v1",
    "TAIGA_TOKEN": "the token of this installation",
    "TAIGA_USERNAME": "",
    "TAIGA_PASSWORD": "",
    "INVOICE_NINJA_API": "https://ninja.example.org/api/v1",
    "INVOICE_NINJA_TOKEN": "the other token of this installation",
    "WEBHOOK_SECRET": "the webhook secret of this installation",
    "ALLOW_HTTP_UPSTREAMS": False,
    "DATABASE_URL": "postgres://billing@db.example.org/billing",
    "REDIS_URL": "redis://redis.example.org/0",
    "PUBLIC_URL": "https://billing.example.org",
    "ENV_FILE": "",
}
CHECKS = (check_environment, check_secrets, check_upstreams, check_services, check_addresses, check_env_file)


@pytest.fixture
def production(settings: Any) -> Any:
    for name, value in PRODUCTION.items():
        setattr(settings, name, value)
    return settings


def found_now() -> list[tuple[str, str]]:
    return [(str(message.id), str(message.msg)) for check in CHECKS for message in check()]


def test_a_complete_production_passes(production: Any) -> None:
    assert found_now() == []


def test_user_and_password_do_instead_of_a_token(production: Any) -> None:
    production.TAIGA_TOKEN = ""
    production.TAIGA_USERNAME, production.TAIGA_PASSWORD = "billing", "the password of that user"

    assert found_now() == []


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (
            "ENVIRONMENT",
            "staging",
            ("console.E001", "ENVIRONMENT is “staging”, which is neither production nor sandbox."),
        ),
        (
            "DEBUG",
            True,
            ("console.E002", "DEBUG is on in production: error pages would show settings and amounts to anybody."),
        ),
        ("TAIGA_TOKEN", "", ("console.E003", "TAIGA_TOKEN is not set, and the console cannot work without it.")),
        ("WEBHOOK_SECRET", "", ("console.E003", "WEBHOOK_SECRET is not set, and the console cannot work without it.")),
        (
            "INVOICE_NINJA_TOKEN",
            "",
            ("console.E003", "INVOICE_NINJA_TOKEN is not set, and the console cannot work without it."),
        ),
        (
            "WEBHOOK_SECRET",
            "your-secret-webhook-key",
            ("console.E004", "WEBHOOK_SECRET still has the value of an example, which everybody knows."),
        ),
        (
            "TAIGA_TOKEN",
            "your-taiga-auth-token",
            ("console.E004", "TAIGA_TOKEN still has the value of an example, which everybody knows."),
        ),
        (
            "WEBHOOK_SECRET",
            "short",
            ("console.E005", "WEBHOOK_SECRET is shorter than 16 characters and could be guessed."),
        ),
        ("FIELD_KEY", "no key", ("console.E006", "FIELD_KEY is not a key: 32 bytes in URL-safe base64 are needed.")),
        ("TAIGA_API", "", ("console.E007", "TAIGA_API is not set, so the console knows no server to talk to.")),
        (
            "INVOICE_NINJA_API",
            "http://ninja.example.org/api/v1",
            (
                "console.E008",
                (
                    "INVOICE_NINJA_API: ninja.example.org has plain http. "
                    "Use https, or set ALLOW_HTTP_UPSTREAMS if its address is private."
                ),
            ),
        ),
        ("DATABASE_URL", "", ("console.E009", "DATABASE_URL is not set; production needs a PostgreSQL of its own.")),
        ("REDIS_URL", "", ("console.E009", "REDIS_URL is not set; production needs a Redis of its own.")),
        (
            "PUBLIC_URL",
            "billing.example.org",
            ("console.E010", "PUBLIC_URL is not an address that begins with http:// or https://."),
        ),
        (
            "PUBLIC_URL",
            "http://billing.example.org",
            ("console.W001", "PUBLIC_URL has plain http: passwords and sessions can be read on the way."),
        ),
    ],
)
def test_production_refuses(production: Any, name: str, value: object, expected: tuple[str, str]) -> None:
    setattr(production, name, value)

    assert found_now() == [expected]


def test_permission_for_http_is_for_private_addresses_only(production: Any) -> None:
    production.ALLOW_HTTP_UPSTREAMS = True
    production.TAIGA_API = "http://10.0.0.5/api/v1"
    assert found_now() == []

    production.TAIGA_API = "http://taiga.example.org/api/v1"
    assert [identity for identity, _ in found_now()] == ["console.E008"]


def test_every_finding_has_a_hint_that_names_what_to_set(production: Any) -> None:
    for name in PRODUCTION.keys() - {"SECRET_KEY"}:
        setattr(production, name, "" if name != "DEBUG" else True)

    messages = [message for check in CHECKS for message in check()]

    assert len(messages) >= 9
    assert all(message.hint for message in messages)


def test_the_sandbox_needs_nothing(settings: Any) -> None:
    settings.ENVIRONMENT = "sandbox"
    for name in ("TAIGA_API", "TAIGA_TOKEN", "INVOICE_NINJA_API", "INVOICE_NINJA_TOKEN", "DATABASE_URL", "REDIS_URL"):
        setattr(settings, name, "")

    assert found_now() == []


@pytest.mark.django_db
def test_connections_are_counted_against_what_the_server_allows(settings: Any) -> None:
    assert check_connections(databases=["default"]) == []
    assert check_connections() == []

    settings.DATABASE_POOL_SIZE = 1000

    (message,) = check_connections(databases=["default"])
    assert message.id == "console.E011"
    assert "the console needs up to 4006." in message.msg


def test_redis_that_is_down_is_said_where_the_servers_are_asked(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    assert check_redis() == []
    (message,) = check_redis(databases=["default"])
    assert (message.id, message.msg) == (
        "console.W003",
        f"Redis is {state_of_redis()}. Until then the worker is not called, and everything waits.",
    )


@pytest.mark.django_db
def test_an_empty_database_and_one_of_an_older_version_are_said() -> None:
    def said() -> list[tuple[str, str]]:
        return [(str(message.id), str(message.msg)) for message in check_tables(databases=["default"])]

    assert check_tables() == said() == []
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'sync' AND name > '0016'")
        cursor.execute(
            "DELETE FROM django_migrations WHERE (app, name) = ('sync', '0016_status_records_name_their_kind')"
        )
        ((identity, sentence),) = said()
        assert identity == "console.W002"
        assert "the first is sync.0016_status_records_name_their_kind." in sentence
        cursor.execute("ALTER TABLE django_migrations RENAME TO kept_migrations")
        assert said() == [("console.W002", "The database is empty: it has no tables yet.")]


def test_all_are_registered(production: Any) -> None:
    production.DEBUG = True
    production.TAIGA_API = ""
    production.REDIS_URL = ""

    identities = {message.id for message in run_checks()}

    assert {"console.E002", "console.E007", "console.E009"} <= identities


@pytest.mark.parametrize(("mode", "expected"), [(0o600, []), (0o640, ["console.W006"]), (0o604, ["console.W006"])])
def test_a_file_with_the_tokens_that_others_read_is_a_warning(
    production: Any, tmp_path: Path, mode: int, expected: list[str]
) -> None:
    file = tmp_path / ".env"
    file.write_text("TAIGA_TOKEN=x")
    file.chmod(mode)
    production.ENV_FILE = str(file)

    assert [identity for identity, _ in found_now()] == expected


def test_a_log_folder_that_cannot_be_written_to_is_a_warning(settings: Any, tmp_path: Path) -> None:
    settings.LOG_DIR = str(tmp_path / "logs")
    assert check_log_folder() == []
    (tmp_path / "file").write_text("")
    settings.LOG_DIR = str(tmp_path / "file" / "logs")

    (found,) = check_log_folder()

    assert found.id == "console.W007"
    assert found.msg == (
        f"LOG_DIR ({settings.LOG_DIR}) cannot be written to: Not a directory. Its lines go to stderr meanwhile."
    )
