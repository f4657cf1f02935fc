"""FIELD_KEY is lost, or another one: only who needs the stored text fails, it is said, and no key is made silently."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from billing_console.checks import TAG
from billing_console.errors import ConfigError
from billing_console.fields import UnreadableSecret, fingerprint, secret_of
from mappings.models import ProjectMapping
from sync import field_key, signature, sweep, tasks
from sync.doctor import checking
from sync.models import Alarm, Heartbeat, ProjectSweep, RejectedDelivery
from tests.mappings.test_admin import project_form
from tests.people import browser_of
from tests.standins import World

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
NO_KEY = "FIELD_KEY is missing, or is no key. Put the one of this console back, or run `manage.py prepare`."


@pytest.fixture
def own(world: World, settings: Any, tmp_path: Path) -> ProjectMapping:
    """The project has a webhook key of its own, stored with the old FIELD_KEY; the fingerprint of that is kept."""
    settings.VAR_DIR = tmp_path
    settings.FIELD_KEY = OLD
    world.mapping.webhook_key = "the key in Taiga"
    world.mapping.save()
    assert field_key.watch()
    return world.mapping


def stored_text() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT webhook_key FROM mappings_projectmapping")
        return str(cursor.fetchone()[0])


def deliver(mapping: ProjectMapping, key: str) -> Any:
    body = {"action": "test", "type": "test", "date": "2025-12-01T09:00:00Z", "data": {"test": "test"}}
    raw = json.dumps(body).encode()
    headers = {"x-taiga-webhook-signature": signature.sign(raw, key)}
    return Client().post(f"/webhooks/taiga/{mapping.uuid}", raw, content_type="application/json", headers=headers)


@pytest.mark.parametrize("key", [NEW, "", "no key"], ids=["another", "none", "unreadable"])
def test_a_text_that_cannot_be_read_is_a_value_and_is_stored_again_as_it_was(
    own: ProjectMapping, settings: Any, key: str
) -> None:
    before = stored_text()
    settings.FIELD_KEY = key

    row = ProjectMapping.objects.get()
    assert isinstance(row.webhook_key, UnreadableSecret)
    with pytest.raises(ConfigError, match="Put that one back"):
        secret_of(row.webhook_key)
    row.save()

    assert stored_text() == before
    settings.FIELD_KEY = OLD
    assert secret_of(ProjectMapping.objects.get().webhook_key) == "the key in Taiga"


@pytest.mark.parametrize("key", [NEW, ""], ids=["another", "none"])
def test_all_projects_are_swept_and_every_page_is_there(own: ProjectMapping, settings: Any, key: str) -> None:
    settings.FIELD_KEY = key

    assert sweep.sweep_all() == 1
    assert ProjectSweep.objects.get().error == ""
    for name in ("mappings_projectmapping_changelist", "sync_timeentry_changelist", "doctor", "sync_provision"):
        assert browser_of("administrator").get(reverse(f"admin:{name}")).status_code == 200, name
    page = browser_of("administrator").get(reverse("admin:mappings_projectmapping_change", args=[own.pk]))
    assert "cannot be read: FIELD_KEY is another one than it was stored with; type it anew" in page.content.decode()


def test_its_deliveries_wait_for_the_sweep_with_a_sentence_and_the_others_are_taken(
    own: ProjectMapping, settings: Any
) -> None:
    assert deliver(own, "the key in Taiga").status_code == 202
    settings.FIELD_KEY = NEW
    other = ProjectMapping.objects.create(taiga_project_id=77, client=own.client, webhook_key="another key")

    answer = deliver(own, "the key in Taiga")

    assert (answer.status_code, answer.json()) == (
        503,
        {"error": "The key of this webhook cannot be read here for now."},
    )
    assert RejectedDelivery.objects.get().reason == "field_key"
    assert deliver(other, "another key").status_code == 202
    assert deliver(other, "wrong").status_code == 403
    settings.FIELD_KEY = OLD
    assert deliver(own, "the key in Taiga").status_code == 202


def test_it_is_typed_anew_where_it_was(own: ProjectMapping, settings: Any) -> None:
    settings.FIELD_KEY = NEW
    address = reverse("admin:mappings_projectmapping_change", args=[own.pk])
    answer = browser_of("administrator").post(address, project_form(own, new_webhook_key="typed anew"))
    assert answer.status_code == 302

    row = ProjectMapping.objects.get()
    assert (row.webhook_key, row.previous_webhook_key) == ("typed anew", "")
    assert deliver(row, "typed anew").status_code == 202
    assert field_key.problem() == ""


def test_without_any_key_the_form_says_so(own: ProjectMapping, settings: Any) -> None:
    settings.FIELD_KEY = ""
    address = reverse("admin:mappings_projectmapping_change", args=[own.pk])

    answer = browser_of("administrator").post(address, project_form(own, new_webhook_key="typed anew"))

    assert NO_KEY in answer.content.decode()


def test_another_key_is_said_with_both_fingerprints_until_the_old_one_is_back(
    own: ProjectMapping, settings: Any
) -> None:
    old = fingerprint()
    assert Heartbeat.objects.get(name="field_key").detail == old
    settings.FIELD_KEY = NEW
    tasks.watch()

    sentence = Alarm.objects.get(key="field-key", cleared_at=None).sentence
    assert sentence.startswith(
        f"FIELD_KEY is another one (fingerprint {fingerprint()}) than the texts were stored with ({old}): the webhook "
        f"key of 1 project cannot be read ({own}). Put the key back from your backup"
    )
    (warning,) = [row for row in run_checks(tags=[TAG], databases=["default"]) if row.id == "console.W005"]
    assert warning.msg == sentence
    start = browser_of("viewer").get("/admin/").content.decode()
    assert f"FIELD_KEY is another one (fingerprint {fingerprint()})" in start
    assert Heartbeat.objects.get(name="field_key").detail == old

    settings.FIELD_KEY = OLD
    tasks.watch()
    assert not Alarm.objects.filter(key="field-key", cleared_at=None).exists()


def prepare(settings: Any, **options: Any) -> str:
    """What `prepare` makes of a missing key; the key that is in its file then."""
    field_key.make_missing(**options)
    path = Path(settings.VAR_DIR) / "field_key"
    return path.read_text() if path.exists() else ""


def test_no_key_is_made_where_texts_are_encrypted(own: ProjectMapping, settings: Any, capfd: Any) -> None:
    settings.FIELD_KEY = ""

    assert prepare(settings) == ""
    assert field_key.make_missing().startswith("FIELD_KEY is missing: the webhook key of 1 project cannot be read")
    assert "A new key is made only by `manage.py prepare --new-field-key`." in field_key.problem()

    made = prepare(settings, although_texts=True)
    assert Fernet(made)
    assert prepare(settings, although_texts=True) == made
    assert fingerprint() != ""
    own.refresh_from_db()
    own.move_key_to("typed anew")
    own.save()
    assert field_key.problem() == ""


def test_the_doctor_names_the_fingerprint(own: ProjectMapping) -> None:
    sentence = f"Every encrypted text can be read; FIELD_KEY has the fingerprint {fingerprint()}."
    assert sentence in [finding.sentence for finding in checking._machine()]


@pytest.mark.django_db
def test_a_key_is_made_where_nothing_is_encrypted(settings: Any, tmp_path: Path) -> None:
    settings.VAR_DIR, settings.FIELD_KEY = tmp_path, ""

    made = prepare(settings)

    assert Fernet(made)
    assert (tmp_path / "field_key").stat().st_mode & 0o777 == 0o600
    assert prepare(settings) == made


def test_prepare_says_it_and_goes_on(own: ProjectMapping, settings: Any, capsys: Any) -> None:
    settings.FIELD_KEY = ""

    call_command("prepare", "--no-static", verbosity=0)

    assert "FIELD_KEY is missing: the webhook key of 1 project cannot be read" in capsys.readouterr().err
