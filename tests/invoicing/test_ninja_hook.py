"""Invoice Ninja's unsigned webhooks are hints: each recorded one rings, none is believed, the truth is read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from billing_console.states import InvoiceState
from invoicing import sending, tasks
from invoicing.models import Invoice, Payment
from sync.models import UpstreamCall, WebhookDelivery
from sync.views import ninja_hook_secret
from tests.outbound import created_invoice, fresh
from tests.standins import World

pytestmark = pytest.mark.django_db

SAMPLES = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data" / "ninja_deliveries.jsonl").read_text(encoding="utf-8").splitlines()
]


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which bells were rung."""
    bells: list[str] = []
    monkeypatch.setattr("sync.doorbell.ring", bells.append)
    return bells


def deliver(sample: dict[str, Any], secret: str | None = None) -> int:
    raw = json.dumps(sample["body"])
    secret = ninja_hook_secret() if secret is None else secret
    headers = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in sample["headers"].items()}
    send = getattr(Client(), sample["method"].lower())
    return int(send(f"/webhooks/invoice-ninja/{secret}", raw, content_type="application/json", **headers).status_code)


def test_there_is_a_sample_of_every_event_that_concerns_us() -> None:
    kinds = {sample["name"].partition("-")[2] for sample in SAMPLES}
    assert len(SAMPLES) == 96
    assert kinds >= {
        *("invoice_create", "invoice_update", "invoice_sent", "invoice_archive", "invoice_restore", "invoice_delete"),
        *("payment_create", "payment_update", "payment_delete"),
    }


@pytest.mark.parametrize("sample", SAMPLES, ids=[sample["name"] for sample in SAMPLES])
def test_a_recorded_delivery_rings_is_answered_204_and_leaves_no_row(sample: dict[str, Any], rung: list[str]) -> None:
    assert deliver(sample) == 204
    assert rung == ["payments"]
    assert deliver(sample, "wrong") == 204
    assert rung == ["payments"]
    assert not any(model.objects.exists() for model in (WebhookDelivery, Payment, Invoice, UpstreamCall))


def by_name(name: str) -> dict[str, Any]:
    return next(sample for sample in SAMPLES if sample["name"].endswith(name))


@pytest.mark.parametrize(
    ("sample", "happened", "state"),
    [
        ("invoice_update", None, "sent"),  # says paid, and nothing was paid
        ("invoice_delete", None, "sent"),
        ("payment_create", 300, "partly_paid"),  # a partial payment sends no invoice_update
        ("payment_create", 408.38, "paid"),
        ("invoice_delete", "cancel", "cancelled"),  # what it says is not what happened
    ],
)
def test_a_notice_about_our_invoice_is_not_believed_but_read_again(
    world: World, rung: list[str], sample: str, happened: Any, state: str
) -> None:
    invoice = created_invoice(world)
    sending.request_sending(invoice, seal=invoice.seal, user=None)
    sending.send_due()
    there = {"id": invoice.remote.remote_id, "status_id": "4", "balance": 0, "paid_to_date": 408.38, "is_deleted": True}
    if happened == "cancel":
        world.api_ninja("POST", "/invoices/bulk", {"action": "cancel", "ids": [there["id"]]})
    elif happened is not None:
        part = {"invoice_id": there["id"], "amount": happened}
        body = {"client_id": "client_abc123", "amount": happened, "invoices": [part]}
        world.api_ninja("POST", "/payments", body)
    rung.clear()

    assert deliver({**by_name(sample), "body": {**by_name(sample)["body"], **there}}) == 204
    assert rung == ["payments"]
    assert fresh(invoice).state == InvoiceState.SENT  # nothing is taken from the delivery itself
    tasks.poll_payments()

    assert fresh(invoice).state == state
