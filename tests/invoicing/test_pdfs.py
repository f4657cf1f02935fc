"""The PDF of a sent invoice is kept once with its hash; nothing is changed there, and no engine is a note."""

from __future__ import annotations

import hashlib
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from billing_console import backup
from billing_console.errors import NotAllowed
from billing_console.states import InvoiceState
from invoicing import pdfs, sending
from invoicing.models import Invoice, InvoicePdf
from sync.models import UpstreamCall, UpstreamGate
from tests.outbound import created_invoice, fresh
from tests.people import browser_of
from tests.standins import World


def with_engine(world: World, is_on: bool = True) -> None:
    world.ninja.seed({"switches": {"pdf_engine": is_on}})


def sent_invoice(world: World) -> Invoice:
    invoice = created_invoice(world)
    sending.request_sending(invoice, seal=invoice.seal, user=None)
    sending.send_due()
    row: Invoice = fresh(invoice)
    assert row.state == InvoiceState.SENT
    return row


def due_again() -> None:
    InvoicePdf.objects.update(not_before=None, lease_until=None)


def without_times(state: Any) -> Any:
    return {name: rows for name, rows in state.items() if name not in ("calls", "clock")}


def test_it_is_kept_with_its_hash_and_fetched_once(world: World) -> None:
    with_engine(world)
    invoice = sent_invoice(world)
    assert pdfs.fetch_due() == 1

    row = InvoicePdf.objects.get(invoice=invoice)
    content = bytes(row.content)
    assert content.startswith(b"%PDF-1.4")
    assert f"Invoice {invoice.number}".encode() in content
    assert (row.sha256, row.size) == (hashlib.sha256(content).hexdigest(), len(content))
    assert (row.number, row.is_as_sent, row.sentence) == (invoice.number, True, "")
    assert pdfs.content_of(row) == content
    before = UpstreamCall.objects.count()
    assert pdfs.fetch_due() == 0
    assert UpstreamCall.objects.count() == before


def in_dollars(world: World) -> None:
    world.api_ninja("PUT", "/clients/client_abc123", {"settings": {"currency_id": "1"}})


def of_another_amount(world: World) -> None:
    row = world.invoices()[0]
    body = {"line_items": [{**row["line_items"][0], "quantity": 1}], "date": row["date"], "due_date": row["due_date"]}
    world.api_ninja("PUT", f"/invoices/{row['id']}", body)


@pytest.mark.parametrize(
    ("change", "printed", "why"),
    [
        (in_dollars, b" USD", "Client Acme Corp is in USD by now, but the invoice in EUR."),
        (of_another_amount, b" EUR", "It is not what was approved (ours / there: "),
    ],
)
def test_what_is_not_as_it_was_sent_is_kept_as_it_is_now(world: World, change: Any, printed: bytes, why: str) -> None:
    with_engine(world)
    invoice = sent_invoice(world)
    change(world)

    assert pdfs.fetch_due() == 1

    row = InvoicePdf.objects.get(invoice=invoice)
    assert row.is_as_sent is False
    assert row.sentence.startswith(why)
    assert printed in pdfs.content_of(row)
    page = browser_of("viewer").get(reverse("admin:invoicing_invoice_change", args=[invoice.pk])).content.decode()
    assert "As it was then, not proven to be what the client got" in page
    assert "As the client got it" not in page


def test_a_change_in_the_middle_of_the_fetch_is_no_proof(world: World) -> None:
    with_engine(world)
    invoice = sent_invoice(world)
    world.fail("ninja", kind="delay", seconds=1.5, method="GET", path="/download", after=True)
    world.ninja.clock.set(world.ninja.clock.now() + timedelta(seconds=5))
    edit = threading.Timer(0.7, world.api_ninja, ("PUT", f"/invoices/{invoice.remote.remote_id}", {"po_number": "7"}))
    edit.start()

    pdfs.fetch_due()

    edit.join()
    assert InvoicePdf.objects.get().sentence == "The invoice was changed in Invoice Ninja while its PDF was fetched."


def test_nothing_at_all_changes_there(world: World) -> None:
    with_engine(world)
    sent_invoice(world)
    before = without_times(world.ninja.state())
    pdfs.fetch_due()
    assert without_times(world.ninja.state()) == before


@pytest.mark.parametrize("is_on", [True, False])
def test_a_draft_is_never_marked_as_sent_by_it(world: World, is_on: bool) -> None:
    with_engine(world, is_on)
    invoice = created_invoice(world)
    assert pdfs.fetch_due() == 0
    assert InvoicePdf.objects.count() == 0
    InvoicePdf.objects.create(invoice=invoice)  # as if it had been sent when it was wanted
    before = without_times(world.ninja.state())

    assert pdfs.fetch_due() == 0

    assert without_times(world.ninja.state()) == before
    assert world.invoices()[0]["status_id"] == "1"
    assert "is a draft" in InvoicePdf.objects.get().sentence


def test_without_an_engine_there_is_a_note_one_call_and_no_breaker(world: World) -> None:
    invoice = sent_invoice(world)
    for _round in range(6):
        due_again()
        pdfs.fetch_due()

    row = InvoicePdf.objects.get()
    assert row.sentence == (
        "Invoice Ninja could not make the PDF (Unable to generate the raw PDF). Set up its PDF engine there, "
        "then try again."
    )
    assert (row.sha256, row.content, row.needs_engine) == ("", None, True)
    assert row.not_before > timezone.now() + timedelta(hours=5)
    gate = UpstreamGate.objects.get(server="invoice_ninja")
    assert (gate.open_since, gate.failures) == (None, 0)
    assert fresh(invoice).state == InvoiceState.SENT
    before = UpstreamCall.objects.count()
    pdfs.fetch_due()
    assert UpstreamCall.objects.count() == before  # asked once in a while, not with every tick


def test_once_the_engine_is_there_a_person_or_time_fetches_all(world: World) -> None:
    invoice = sent_invoice(world)
    pdfs.fetch_due()
    with_engine(world)
    pdfs.ask_again(invoice)
    assert pdfs.fetch_due() == 1
    with pytest.raises(NotAllowed, match="here already"):
        pdfs.ask_again(invoice)


def test_the_key_of_the_invitation_is_in_no_journal(world: World) -> None:
    with_engine(world)
    sent_invoice(world)
    pdfs.fetch_due()
    key = world.invoices()[0]["invitations"][0]["key"]
    paths = list(UpstreamCall.objects.values_list("path", flat=True))
    assert "/invoice/…/download" in paths
    assert not [path for path in paths if key in path]


@pytest.mark.parametrize(
    "fault",
    [{"kind": "html"}, {"kind": "status", "status": 500}, {"kind": "lost_answer"}, {"kind": "status", "status": 503}],
    ids=str,
)
def test_a_failed_fetch_keeps_nothing_and_is_tried_again(world: World, fault: dict[str, Any]) -> None:
    with_engine(world)
    sent_invoice(world)
    world.fail("ninja", method="GET", path="/download", count=1, **fault)
    assert pdfs.fetch_due(limit=1) == 0
    row = InvoicePdf.objects.get()
    assert (row.sha256, row.lease_until) == ("", None)
    assert row.sentence
    due_again()
    UpstreamGate.objects.update(resume_at=None)
    assert pdfs.fetch_due() == 1


def test_a_worker_that_slept_writes_nothing_over_the_one_that_fetched(world: World) -> None:
    with_engine(world)
    sent_invoice(world)
    pdfs.want_missing()
    sleeper = pdfs._claim_next()
    assert sleeper is not None
    assert pdfs._claim_next() is None
    InvoicePdf.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert pdfs.fetch_due() == 1
    kept = InvoicePdf.objects.get()

    assert pdfs._fetch(sleeper) is False

    assert InvoicePdf.objects.get().fetched_at == kept.fetched_at


def test_a_huge_file_is_not_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with_engine(world)
    sent_invoice(world)
    monkeypatch.setattr(pdfs, "MOST_BYTES", 100)
    assert pdfs.fetch_due() == 0
    assert InvoicePdf.objects.get().content is None
    assert "are kept" in InvoicePdf.objects.get().sentence


def test_old_contents_go_and_their_hash_stays(world: World, settings: Any) -> None:
    with_engine(world)
    sent_invoice(world)
    pdfs.fetch_due()
    InvoicePdf.objects.update(fetched_at=timezone.now() - timedelta(days=11))
    assert pdfs.forget_old() == 0  # never, unless somebody says so
    settings.KEEP_PDFS_DAYS = 10

    assert pdfs.forget_old() == 1

    row = InvoicePdf.objects.get()
    assert (row.content, len(row.sha256)) == (None, 64)
    assert pdfs.fetch_due() == 0
    with pytest.raises(NotAllowed, match="not kept here"):
        pdfs.content_of(row)


def test_a_damaged_one_is_not_handed_out(world: World) -> None:
    with_engine(world)
    sent_invoice(world)
    pdfs.fetch_due()
    InvoicePdf.objects.update(content=b"%PDF-forged")
    with pytest.raises(NotAllowed, match="damaged"):
        pdfs.content_of(InvoicePdf.objects.get())


@pytest.mark.django_db(transaction=True)
def test_a_backup_brings_it_back(world: World, tmp_path: Path) -> None:
    with_engine(world)
    sent_invoice(world)
    pdfs.fetch_due()
    content = pdfs.content_of(InvoicePdf.objects.get())
    backup.save(tmp_path / "file")
    InvoicePdf.objects.all().delete()
    backup.load(tmp_path / "file", after=lambda: None)
    assert pdfs.content_of(InvoicePdf.objects.get()) == content
