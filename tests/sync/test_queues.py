"""What is due is found where it stands, not among all that was ever finished."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from invoicing import pdfs, reminding, sending
from sync import ingest, outbox, work_items
from sync.models import RecordKind, RemoteRecord, WebhookDelivery, WorkItem

pytestmark = pytest.mark.django_db

FINISHED, DUE = 3000, 1000


@pytest.fixture
def queues() -> None:
    """Each with many finished rows before those that are due, and statistics that say so."""
    now = timezone.now()
    finished = range(FINISHED)
    due = range(FINISHED, FINISHED + DUE)
    for numbers, state, delivery in ((finished, "synced", "processed"), (due, "pending", "received")):
        RemoteRecord.objects.bulk_create(
            RemoteRecord(server="invoice_ninja", kind="task", our_key=f"TT{number}", state=state) for number in numbers
        )
        WebhookDelivery.objects.bulk_create(
            WebhookDelivery(
                fingerprint=str(number), raw_body=b"{}", received_at=now, verdict="work_item", state=delivery
            )
            for number in numbers
        )
        WorkItem.objects.bulk_create(
            WorkItem(kind="T", taiga_id=number, is_dirty=state == "pending", dirty_at=now) for number in numbers
        )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE sync_remoterecord, sync_webhookdelivery, sync_workitem")


@pytest.mark.parametrize(
    "claim",
    [
        lambda: outbox.claim_next(RecordKind.TASK),
        lambda: ingest._claim(5),
        lambda: list(work_items.due().order_by("id").values_list("pk", flat=True)[:5]),
    ],
    ids=["records", "deliveries", "items"],
)
def test_a_claim_passes_over_nothing_that_is_finished(queues: None, claim: Callable[[], Any]) -> None:
    passed_over: list[int] = []

    def explained(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if "SELECT" in sql and "EXPLAIN" not in sql:
            with connection.cursor() as cursor:
                cursor.execute("SAVEPOINT before")
                cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params)
                plan = cursor.fetchone()[0]
                cursor.execute("ROLLBACK TO before")
            plan = json.loads(plan) if isinstance(plan, str) else plan
            passed_over.extend(node.get("Rows Removed by Filter", 0) for node in nodes(plan[0]["Plan"]))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explained):
        assert claim()

    assert passed_over
    assert sum(passed_over) <= 2


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


@pytest.mark.parametrize("claim", [sending._claim_next, reminding._claim_next, pdfs._claim_next])
def test_the_queues_of_mails_reminders_and_pdfs_have_an_index_in_their_order(claim: Callable[[], Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
    plans: list[str] = []

    def explained(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if "FOR UPDATE" in sql and "EXPLAIN" not in sql:
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN {sql}", params)
                plans.append("\n".join(row[0] for row in cursor.fetchall()))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explained):
        assert claim() is None

    (plan,) = plans
    assert any(name in plan for name in ("sending_unfinished", "reminder_unfinished", "pdf_wanted")), plan
