"""What the doctor said and what came since: a delivery, a new project. It looks again without being asked."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from django.utils import timezone

from billing_console.states import DeliveryState
from mappings import hooks
from mappings.models import Company
from sync import ingest
from sync.doctor import checking
from sync.models import DoctorCheck, DoctorFinding, WebhookDelivery
from sync.payloads import read_delivery
from tests.factories import ProjectFactory
from tests.standins import MORNING, World
from tests.sync.doctor.conftest import SECRET, Ward

NAME = "Website Redesign"
UNTESTED = f"Nothing came through the webhook of {NAME} yet. Click “Test webhook” in Taiga."


def forget_logs(ward: Ward) -> None:
    with ward.store.memory.transaction():
        for log in ward.store.webhooklogs.all():
            ward.store.webhooklogs.delete(log["id"])


def arrive(ward: Ward, *, project: int | None = None, own: bool = False, kind: str = "task") -> WebhookDelivery:
    """A believed delivery about the project, or a test, which names none."""
    number = WebhookDelivery.objects.count()
    of_project = {"id": project or ward.world.mapping.taiga_project_id, "name": "x"}
    body: dict[str, Any] = {
        "action": "test" if kind == "test" else "change",
        "type": kind,
        "by": {"id": 3, "username": "alice"},
        "date": MORNING.isoformat(),
        "data": {"test": "test"} if kind == "test" else {"id": number, "ref": 1, "subject": "x", "project": of_project},
        "change": {"comment": str(number), "diff": {}},
    }
    raw = json.dumps(body).encode()
    mapping = ward.world.mapping if own else None
    received = ingest.receive(raw, read_delivery(raw), headers={}, address="127.0.0.1", mapping=mapping)
    ingest.process_due()
    delivery = WebhookDelivery.objects.get(uuid=received.uuid)
    assert delivery.state in (DeliveryState.PROCESSED, DeliveryState.IGNORED)
    return delivery


def wanted(ward: Ward) -> bool:
    return DoctorCheck.objects.get(project=ward.world.mapping).wanted_at is not None


# --- what came here counts, whatever is left of Taiga's log -----------------------------------------------------------


def test_a_webhook_whose_deliveries_came_is_not_called_silent(ward: Ward) -> None:
    forget_logs(ward)
    arrive(ward)

    assert ward.look() == []

    found = DoctorFinding.objects.get(code="hook")
    assert found.sentence == f"The webhook of {NAME} arrives, the last time 1 Dec 2025 10:00."


def test_deliveries_of_the_common_key_are_said_beside_an_own_webhook_that_told_nothing(ward: Ward) -> None:
    mapping = ward.world.mapping
    mapping.webhook_key = "k" * 40
    mapping.save()
    ward.hook(url=f"{ward.receiver.url}/webhooks/taiga/{mapping.uuid}", key="k" * 40)
    forget_logs(ward)
    assert ward.look() == [("warning", "hook_silent", UNTESTED)]

    arrive(ward)
    common = (
        f"Nothing came through the own webhook of {NAME} yet; its deliveries came signed with WEBHOOK_SECRET, the last "
        "one 1 Dec 2025 10:00. Click “Test webhook” in Taiga."
    )
    assert ward.look() == [("warning", "hook_silent", common)]

    arrive(ward, own=True)
    assert ward.look() == []


def test_deliveries_of_another_project_prove_nothing(ward: Ward) -> None:
    forget_logs(ward)
    arrive(ward, project=777)

    assert ward.look() == [("warning", "hook_silent", UNTESTED)]


# --- a finding that is overtaken --------------------------------------------------------------------------------------


def test_a_delivery_has_the_doctor_look_again_at_a_project_that_it_called_silent(ward: Ward) -> None:
    forget_logs(ward)
    assert ward.look() == [("warning", "hook_silent", UNTESTED)]

    arrive(ward)
    assert wanted(ward)
    checking.check_due()

    assert not DoctorFinding.objects.filter(code="hook_silent").exists()
    assert not wanted(ward)


def test_a_test_of_the_common_webhook_has_it_look_again_too(ward: Ward) -> None:
    forget_logs(ward)
    ward.look()

    arrive(ward, kind="test")

    assert wanted(ward)


def test_a_delivery_asks_for_nothing_where_all_is_well(ward: Ward) -> None:
    ward.look()

    arrive(ward)

    assert not wanted(ward)


def test_a_delivery_from_before_the_look_asks_for_nothing(ward: Ward) -> None:
    forget_logs(ward)
    ward.look()
    DoctorCheck.objects.update(checked_at=timezone.now() + dt.timedelta(seconds=5))

    arrive(ward)

    assert not wanted(ward)


def test_a_new_project_has_the_doctor_look_at_the_clients_again(world: World, settings: Any) -> None:
    settings.WEBHOOK_SECRET = SECRET
    type(world.mapping).objects.update(is_active=False)
    checking.check_due()
    nothing = "No Taiga project is mapped to a client yet, so nothing is billed. Connect one."
    assert DoctorFinding.objects.filter(sentence=nothing).exists()

    type(world.mapping).objects.update(is_active=True)
    checking.check_due()

    assert not DoctorFinding.objects.filter(sentence=nothing).exists()


@pytest.mark.parametrize("changed", ["project", "client", "company"])
def test_a_changed_mapping_has_it_look_again(ward: Ward, changed: str, django_capture_on_commit_callbacks: Any) -> None:
    other = ProjectFactory(taiga_project_id=9001)
    ward.look("clients", f"project-{ward.world.mapping.pk}", f"project-{other.pk}")
    row = {"project": ward.world.mapping, "client": ward.world.client, "company": Company.current()}[changed]

    with django_capture_on_commit_callbacks(execute=True):
        hooks.changed(row)

    asked = set(DoctorCheck.objects.filter(wanted_at__isnull=False).values_list("key", flat=True))
    mine, others = f"project-{ward.world.mapping.pk}", f"project-{other.pk}"
    assert asked == {"clients", *{"project": [mine], "client": [], "company": [mine, others]}[changed]}
