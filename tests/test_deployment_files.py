"""Dockerfile, compose.yaml, .env.example, requirements and CI, checked as text: nothing here builds them."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from billing_console.env import VARIABLES
from billing_console.processes import WORKER_PROCESSES, WORKER_THREADS
from tests.wheels import PYTHONS

CLONE = Path(__file__).resolve().parent.parent
ENV_EXAMPLE = (CLONE / ".env.example").read_text()
DOCKERFILE = (CLONE / "Dockerfile").read_text()
# The guide's five, with its names.
GUIDE_VARIABLES = {"TAIGA_API", "TAIGA_TOKEN", "INVOICE_NINJA_API", "INVOICE_NINJA_TOKEN", "WEBHOOK_SECRET"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((CLONE / "compose.yaml").read_text())
    return loaded


def test_every_variable_of_the_settings_can_also_be_a_file_and_is_in_the_example() -> None:
    settings = (CLONE / "billing_console" / "settings.py").read_text()
    read = set(re.findall(r'\benv(?:\.[a-z_]+)?\(\s*"([A-Z_]+)"', settings)) - {"TEST_DB_NAME"}
    shown = set(re.findall(r"^#?([A-Z_]+)=", ENV_EXAMPLE, re.MULTILINE))

    assert read == set(VARIABLES)
    assert shown == read | {"DB_PASSWORD", "REDIS_PASSWORD", "REQUESTS_CA_BUNDLE"}


def test_every_variable_of_the_example_has_a_comment_above_it() -> None:
    lines = ENV_EXAMPLE.splitlines()
    explained = [
        line
        for before, line in zip(lines, lines[1:], strict=False)
        if re.match(r"#?[A-Z_]+=", line) and (before.startswith("# ") or re.match(r"#?[A-Z_]+=", before))
    ]

    assert explained == [line for line in lines if re.match(r"#?[A-Z_]+=", line)]


def test_the_image_is_one_for_all_and_not_root() -> None:
    assert "FROM python:3.13-slim" in DOCKERFILE
    assert "requirements/base.txt" in DOCKERFILE
    assert "collectstatic" in DOCKERFILE
    assert "EXPOSE 5000" in DOCKERFILE
    user = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)
    assert user == ["console"]
    assert DOCKERFILE.index("USER console") < DOCKERFILE.index('CMD ["gunicorn", "--bind", "0.0.0.0:5000"')
    # settings.py would make and keep keys in the image, the same for everybody, if it were given none.
    assert "SECRET_KEY=only-while-building FIELD_KEY=only-while-building" in DOCKERFILE


def test_no_secret_gets_into_the_image() -> None:
    ignored = (CLONE / ".dockerignore").read_text().split()

    assert {".env", "var", ".git", ".venv"} <= set(ignored)


def test_compose_has_the_services_and_versions(compose: dict[str, Any]) -> None:
    services = compose["services"]

    assert set(services) == {"prepare", "web", "worker", "beat", "postgres", "redis"}
    assert services["postgres"]["image"] == "postgres:15-alpine"
    assert services["redis"]["image"] == "redis:7-alpine"
    assert {services[name]["image"] for name in ("prepare", "web", "worker", "beat")} == {"billing-console"}
    assert services["web"]["ports"] == ["127.0.0.1:${PORT:-5000}:5000"]
    assert services["beat"]["command"][:4] == ["celery", "--app", "billing_console", "beat"]
    worker = services["worker"]
    assert worker["command"][:4] == ["celery", "--app", "billing_console", "worker"]
    assert worker["command"][6:8] == ["--concurrency", str(WORKER_THREADS)]
    assert worker["scale"] == WORKER_PROCESSES
    assert worker["environment"]["DATABASE_POOL"] == "true"
    assert services["prepare"]["command"] == ["python", "manage.py", "prepare", "--no-static"]


def test_compose_gives_each_process_the_guides_variables(compose: dict[str, Any]) -> None:
    for name in ("prepare", "web", "worker", "beat"):
        environment = compose["services"][name]["environment"]
        assert environment.keys() >= GUIDE_VARIABLES
        for variable in GUIDE_VARIABLES:
            assert environment[variable].startswith("${" + variable)
        assert set(environment) - {"PGPASSWORD", "REQUESTS_CA_BUNDLE"} <= set(VARIABLES)
        # A password in the URL would have to be escaped.
        assert environment["DATABASE_URL"] == "postgres://billing@postgres:5432/taiga_billing"
        assert environment["PGPASSWORD"].startswith("${DB_PASSWORD")
        assert environment["REDIS_URL"].startswith("redis://:${REDIS_PASSWORD")
    assert compose["services"]["postgres"]["environment"]["POSTGRES_PASSWORD"].startswith("${DB_PASSWORD")
    redis = compose["services"]["redis"]
    assert redis["command"][-2:] == ["--requirepass", redis["environment"]["REDISCLI_AUTH"]]


def test_compose_keeps_keys_and_data_and_waits_for_what_it_needs(compose: dict[str, Any]) -> None:
    services = compose["services"]

    assert set(compose["volumes"]) == {"console_var", "console_logs", "postgres_data"}
    assert all("console_var:/app/var" in services[name]["volumes"] for name in ("prepare", "web", "worker", "beat"))
    for name in ("web", "worker", "beat"):
        assert services[name]["depends_on"]["prepare"] == {"condition": "service_completed_successfully"}
        assert services[name]["restart"] == "unless-stopped"
    assert all("healthcheck" in services[name] for name in ("worker", "postgres", "redis"))
    assert "HEALTHCHECK" in DOCKERFILE


def test_every_variable_of_compose_is_in_the_example() -> None:
    used = set(re.findall(r"\$\{([A-Z_]+)", (CLONE / "compose.yaml").read_text()))

    assert used <= set(re.findall(r"^#?([A-Z_]+)=", ENV_EXAMPLE, re.MULTILINE))


def test_ci_installs_chromium_insists_on_it_and_runs_all_on_the_oldest_python() -> None:
    script = CLONE / ".ci" / "run"

    assert os.access(script, os.X_OK)
    text = script.read_text()
    assert "set -euo pipefail" in text
    assert "chromium" in text
    assert "BROWSER_TESTS=required make test PYTHON=python3.11\n.ci/fresh-machine\n" in text
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_ci_runs_the_newest_python_on_a_fresh_machine_and_names_no_mirror() -> None:
    script = CLONE / ".ci" / "fresh-machine"

    assert os.access(script, os.X_OK)
    text = script.read_text()
    assert "set -euo pipefail" in text
    newest = ".".join(PYTHONS[-1].split(".")[:2])
    assert f"make_machine testing python3,python{newest}-venv" in text
    assert "not browser" in text
    assert "://" not in text
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_make_help_lists_every_target() -> None:
    makefile = (CLONE / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert targets is not None

    listed = subprocess.run(["make", "help"], cwd=CLONE, capture_output=True, text=True, check=True).stdout

    assert set(re.findall(r"make ([a-z-]+) ", listed)) == set(targets.group(1).split())


def test_the_tables_are_made_before_the_first_account() -> None:
    steps = (CLONE / "docs" / "deployment.md").read_text().partition("## One machine")[2].partition("```\n")[0]
    commands = re.findall(r"^\.venv/bin/python manage\.py (\w+)", steps, re.MULTILINE)

    assert commands == ["prepare", "check", "createsuperuser", "console"]
