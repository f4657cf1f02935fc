"""What is old is thrown away in batches, with its counts kept; what is still needed is not touched."""

from __future__ import annotations

import datetime as dt
import gzip
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from billing_console.states import DeliveryState
from sync import attention, housekeeping, ingest
from sync.housekeeping import Swept
from sync.models import CallSummary, Heartbeat, UpstreamCall, WebhookDelivery
from tests.factories import DeliveryFactory, RejectedDeliveryFactory, UpstreamCallFactory
from tests.people import browser_of, make_user

pytestmark = pytest.mark.django_db


def ago(days: int) -> dt.datetime:
    return timezone.now() - dt.timedelta(days=days)


def delivery(days: int, state: str = DeliveryState.PROCESSED, **values: Any) -> WebhookDelivery:
    row = DeliveryFactory(state=state, **values)
    WebhookDelivery.objects.filter(pk=row.pk).update(received_at=ago(days))
    return row


def test_old_bodies_go_and_their_rows_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "BATCH", 2)
    old = [delivery(366) for _number in range(5)]
    new, failed = delivery(364), delivery(999, DeliveryState.FAILED)

    assert housekeeping.keep_house().bodies == 5

    emptied = WebhookDelivery.objects.filter(is_emptied=True)
    assert set(emptied.values_list("pk", flat=True)) == {row.pk for row in old}
    assert {bytes(row.raw_body) for row in emptied} == {b""}
    assert all(row.fingerprint for row in emptied)
    for row in (new, failed):
        row.refresh_from_db()
        assert bytes(row.raw_body) != b""
    assert housekeeping.keep_house().bodies == 0


def test_a_delivery_without_its_body_can_still_be_processed_again() -> None:
    row = delivery(400, verdict="work_item", item_kind="T", item_taiga_id=7)
    housekeeping.keep_house()
    row.refresh_from_db()

    attention.process_again(row, user=make_user("clerk"))
    ingest.process_due()

    row.refresh_from_db()
    assert row.state == DeliveryState.PROCESSED


def test_old_calls_become_counts_by_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "BATCH", 2)
    for status, duration in ((200, 10), (200, 20), (500, 5), (None, 7)):
        call = UpstreamCallFactory(upstream="taiga", method="GET", status=status, duration_ms=duration)
        UpstreamCall.objects.filter(pk=call.pk).update(at=dt.datetime(2020, 1, 2, 23, 30, tzinfo=dt.UTC))
    UpstreamCallFactory(at=ago(1))

    assert housekeeping.keep_house().calls == 4
    late = UpstreamCallFactory(upstream="taiga", method="GET", status=200, duration_ms=30)
    UpstreamCall.objects.filter(pk=late.pk).update(at=dt.datetime(2020, 1, 2, 1, tzinfo=dt.UTC))
    housekeeping.keep_house()

    assert list(CallSummary.objects.values_list("day", "status", "calls", "total_ms")) == [
        (dt.date(2020, 1, 2), 0, 1, 7),
        (dt.date(2020, 1, 2), 200, 3, 60),
        (dt.date(2020, 1, 2), 500, 1, 5),
    ]
    assert UpstreamCall.objects.count() == 1
    assert "20 ms" in browser_of("viewer").get("/admin/sync/callsummary/").content.decode()


def test_zero_days_keep_everything(settings: Any) -> None:
    settings.KEEP_BODIES_DAYS = settings.KEEP_CALLS_DAYS = 0
    delivery(9999)
    UpstreamCallFactory(at=ago(9999))
    RejectedDeliveryFactory(minute=ago(9999))

    assert housekeeping.keep_house() == Swept(0, 0, 0, 0)


def test_what_was_done_is_noted_with_its_counts() -> None:
    delivery(400)
    RejectedDeliveryFactory(minute=ago(400))
    housekeeping.keep_house()

    assert Heartbeat.objects.get(name="housekeeping").detail == (
        "1 bodies of deliveries, 0 calls, 1 counts of refused deliveries, 0 logs"
    )


def test_logs_of_earlier_months_are_put_by_and_then_compressed(settings: Any, tmp_path: Path) -> None:
    settings.LOG_DIR = str(tmp_path)
    log = tmp_path / "webhook.log"
    log.write_text("2020-01-31 23:59:59 INFO webhook 202\n")

    assert housekeeping.archive_logs() == 0
    assert [path.name for path in tmp_path.iterdir()] == ["webhook-2020-01.log"]
    log.write_text(f"{timezone.now():%Y-%m-%d} 00:00:01 INFO webhook 202\n")
    assert housekeeping.archive_logs() == 1

    assert sorted(path.name for path in tmp_path.iterdir()) == ["webhook-2020-01.log.gz", "webhook.log"]
    assert (tmp_path / "webhook-2020-01.log.gz").stat().st_mode & 0o777 == 0o600
    with gzip.open(tmp_path / "webhook-2020-01.log.gz", "rt") as packed:
        assert packed.read() == "2020-01-31 23:59:59 INFO webhook 202\n"


def test_without_a_log_nothing_is_put_by(settings: Any, tmp_path: Path) -> None:
    settings.LOG_DIR = str(tmp_path)
    assert housekeeping.archive_logs() == 0
    settings.LOG_DIR = ""
    assert housekeeping.archive_logs() == 0
