"""What Invoice Ninja wrote down of an invoice or a payment: POST /activities/entity (685 to 717, 5.10.42)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sync.clients.http import JsonClient
from sync.clients.ninja_rows import NinjaId
from sync.clients.wire import Row, as_list, as_object

MAILED: Final = 6  # the invoice, by any template; written when mailing is asked for, not when a mail left
PAID: Final = 10
REFUNDED: Final = 40
RECEIPT_MAILED: Final = 138  # of a payment or its refund, and in the payment's list alone


@dataclass(frozen=True)
class NinjaActivity:
    """One entry: `number` grows with each that the server writes, `payment_id` is "" where it concerns no payment."""

    number: int
    kind: int
    payment_id: NinjaId


def parse_activities(data: object) -> list[NinjaActivity]:
    """Read the answer, newest first."""
    return [_activity(row) for row in as_list(as_object(data, "answer").get("data"), "answer.data")]


def _activity(data: object) -> NinjaActivity:
    row = Row(data, "activity")
    payment = row.raw.get("payment")
    payment_id = str(payment.get("hashed_id") or "") if isinstance(payment, dict) else ""
    return NinjaActivity(int(row.text("id")), row.integer("activity_type_id"), NinjaId(payment_id))


class Activities:
    """The part of the client that reads what the server wrote down."""

    _http: JsonClient

    def invoice_activities(self, invoice_id: NinjaId) -> list[NinjaActivity]:
        """Return the activities of an invoice, those of its payments and refunds among them, newest first."""
        return self._activities("invoice", invoice_id)

    def payment_activities(self, payment_id: NinjaId) -> list[NinjaActivity]:
        """Return the activities of a payment, its receipts among them, newest first."""
        return self._activities("payment", payment_id)

    def _activities(self, entity: str, entity_id: NinjaId) -> list[NinjaActivity]:
        if not entity_id.strip():
            raise ValueError("an id is missing")
        body = {"entity": entity, "entity_id": entity_id}
        return self._http.read(self._http.call("POST", "/activities/entity", body=body, is_read=True), parse_activities)
