"""What the stand-in's webhooks say has the keys and types of what the server's said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.ninja.webhooks import EVENTS
from tests.contract.invoice_ninja.comparing import compare_shape
from tests.sandbox.ninja_api import Api

FOLDER = Path(__file__).parent / "webhooks"


def _make_task(api: Api) -> None:
    api.task(project_id=None, client_id="client_abc123")


def _make_task_of_project(api: Api) -> None:
    api.task()


def _delete_task(api: Api) -> None:
    api.bulk("delete", api.task(project_id=None)["id"], table="tasks")


def _make_invoice(api: Api) -> None:
    api.invoice()


def _send_invoice(api: Api) -> None:
    api.bulk("mark_sent", api.invoice()["id"])


def _delete_invoice(api: Api) -> None:
    api.bulk("delete", api.invoice()["id"])


def _pay(api: Api) -> None:
    invoice = api.invoice()["id"]
    api.post("/payments", {"client_id": "client_abc123", "invoices": [{"invoice_id": invoice, "amount": 40}]})


def _delete_paid_invoice(api: Api) -> None:
    api.bulk("delete", api.bulk("mark_paid", api.invoice()["id"])[0]["id"])


def _change_client(api: Api) -> None:
    api.put("/clients/client_abc123", {"custom_value1": "x", "settings": {"currency_id": "3", "payment_terms": "14"}})


def _change_project(api: Api) -> None:
    api.put("/projects/proj_web001", {"task_rate": 200})


@pytest.mark.parametrize(
    ("sample", "act"),
    [
        ("0001-task_create", _make_task),
        ("0056-task_create", _make_task_of_project),
        ("0044-task_delete", _delete_task),
        ("0003-invoice_create", _make_invoice),
        ("0006-invoice_sent", _send_invoice),
        ("0024-invoice_delete", _delete_invoice),
        ("0013-payment_create", _pay),
        ("0033-payment_update", _delete_paid_invoice),
        ("0048-client_update", _change_client),
        ("0057-project_update", _change_project),
    ],
)
def test_a_webhooks_body_is_as_recorded(sample: str, act: Callable[[Api], None]) -> None:
    recorded = json.loads((FOLDER / f"{sample}.json").read_text(encoding="utf-8"))["body"]
    api = Api()
    api.seed()
    event = EVENTS[sample.partition("-")[2]]
    api.post("/webhooks", {"target_url": "http://127.0.0.1:9/x", "event_id": event})

    act(api)

    body = api.json("GET", "/sandbox/state.json")["deliveries"][0]["body"]
    for both in (recorded, body):
        for settings in [both.get("settings"), both.get("client", {}).get("settings")]:
            if settings:
                settings.clear()
    assert compare_shape(recorded, body, "") == []
