"""What is proven: all, our side only, that something differs, or nothing; on the page, in the files and for scripts."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from invoicing import payments, readings, sending
from invoicing.models import Invoice, InvoiceLine, Payment, Reading
from invoicing.verdict import Proof, Verdict, prove
from mappings.rules import month
from sync import attention
from sync.models import TimeEntry, WorkItem
from tests.invoicing.world import DECEMBER, make_user
from tests.outbound import created_invoice, pass_by_all_changes
from tests.standins import World

pytestmark = pytest.mark.django_db


def read() -> Proof:
    assert readings.read_now().sentence == ""
    return prove(DECEMBER)


def sent(world: World) -> Invoice:
    invoice = created_invoice(world, 4.5, 2.1)
    sending.request_sending(invoice, seal=invoice.seal, user=None)
    sending.send_due()
    payments.poll()
    return Invoice.objects.get(pk=invoice.pk)


def test_an_empty_database_has_nothing_to_prove() -> None:
    proof = prove(DECEMBER)
    assert (proof.verdict, proof.words, proof.reading) == (Verdict.NOTHING, "Nothing to prove", None)


def test_without_a_reading_only_ours_balances(world: World) -> None:
    created_invoice(world, 2.1)
    proof = prove(DECEMBER)
    assert len(proof.identities) == 4
    assert (proof.verdict, proof.words) == (Verdict.OURS, "Ours balances; the servers were never read")


def test_read_after_the_last_change_all_eight_balance(world: World) -> None:
    sent(world)

    proof = read()

    assert [identity.is_true for identity in proof.identities] == [True] * 8
    assert (proof.verdict, proof.words) == (Verdict.BALANCES, "Balances")
    assert prove(month(2025, 11)).verdict is Verdict.NOTHING


def test_a_reading_from_before_this_was_kept_proves_nothing(world: World) -> None:
    sent(world)
    read()
    Reading.objects.update(began_at=None)
    assert prove(DECEMBER).verdict is Verdict.OURS


def closed_later(world: World, invoice: Invoice) -> None:
    world.go_to(dt.datetime(2025, 12, 30, 9, tzinfo=dt.UTC))
    world.read(world.add_task("Closed later", billable=True, hours=3))


def held_later(world: World, invoice: Invoice) -> None:
    entry = TimeEntry.objects.get(item__subject="Open work")
    attention.hold_entry(entry, user=make_user("Billing clerk"), note="ask")


def paid_later(world: World, invoice: Invoice) -> None:
    part = {"invoice_id": invoice.remote.remote_id, "amount": 300}
    world.api_ninja("POST", "/payments", {"client_id": "client_abc123", "amount": 300, "invoices": [part]})
    payments.poll()


def cancelled_later(world: World, invoice: Invoice) -> None:
    world.api_ninja("POST", "/invoices/bulk", {"action": "cancel", "ids": [invoice.remote.remote_id]})
    payments.poll()


def hours_typed_later(world: World, invoice: Invoice) -> None:
    item = WorkItem.objects.get(subject="Open work")
    world.set_values(item.taiga_id, billable=True, hours=7)
    world.read(item.taiga_id)


@pytest.mark.parametrize(
    ("act", "outdated"),
    [
        (closed_later, {4}),
        (held_later, set()),
        (paid_later, {7}),
        (cancelled_later, {5}),
        (hours_typed_later, {4}),
    ],
)
def test_what_changed_after_the_reading_is_no_difference_and_no_proof(
    world: World, act: Any, outdated: set[int]
) -> None:
    invoice = sent(world)
    world.go_to(dt.datetime(2025, 12, 29, 9, tzinfo=dt.UTC))
    world.read(world.add_task("Open work", billable=True, hours=2))
    world.go_to(dt.datetime(2026, 1, 20, 9, tzinfo=dt.UTC))
    before = read()
    assert before.verdict is Verdict.BALANCES

    act(world, invoice)

    proof = prove(DECEMBER)
    assert {number for number, one in enumerate(proof.identities) if not one.is_true} == outdated
    assert all(proof.identities[number].is_outdated for number in outdated)
    assert proof.verdict is Verdict.OURS
    assert proof.words.replace("\u00a0", " ").startswith("Ours balances; the servers were last read at ")
    assert read().verdict is Verdict.BALANCES


def hours_in_taiga(world: World, invoice: Invoice) -> None:
    world.set_values(WorkItem.objects.get(subject="Task 1").taiga_id, hours=5)


def billed_by_hand(world: World, invoice: Invoice) -> None:
    line = {"quantity": 1, "cost": 1, "type_id": "2", "notes": "again", "task_id": world.tasks()[0]["id"]}
    world.api_ninja("POST", "/invoices", {"client_id": "client_abc123", "number": "HAND-1", "line_items": [line]})


def payment_lost_here(world: World, invoice: Invoice) -> None:
    paid_later(world, invoice)
    Payment.objects.update(is_deleted=True)
    pass_by_all_changes(world)


def amount_of_ours(world: World, invoice: Invoice) -> None:
    InvoiceLine.objects.filter(invoice=invoice).update(amount=1)


@pytest.mark.parametrize("act", [hours_in_taiga, billed_by_hand, payment_lost_here, amount_of_ours])
def test_a_difference_stays_one_whatever_polls_and_sweeps_say_again(world: World, act: Any) -> None:
    invoice = sent(world)
    act(world, invoice)
    assert read().verdict is Verdict.DIFFERS

    payments.poll()
    WorkItem.objects.update(read_at=timezone.now())

    assert prove(DECEMBER).verdict is Verdict.DIFFERS


def test_a_line_that_is_billed_twice_differs_also_after_ours_changed(world: World) -> None:
    invoice = sent(world)
    billed_by_hand(world, invoice)
    read()

    paid_later(world, invoice)

    assert prove(DECEMBER).verdict is Verdict.DIFFERS


def run(*arguments: str) -> int:
    try:
        call_command("reconcile", "--month=2025-12", *arguments)
    except SystemExit as error:
        return int(error.code or 0)
    return 0


@pytest.mark.parametrize(
    ("arrange", "arguments", "code", "verdict"),
    [
        (lambda world: None, ("--last-reading",), 0, "nothing_to_prove"),
        (lambda world: sent(world), (), 0, "balances"),
        (lambda world: sent(world), ("--last-reading",), 3, "ours_balances"),
        (lambda world: hours_in_taiga(world, sent(world)), (), 1, "differs"),
    ],
)
def test_the_commands_exit_code_follows_the_verdict(
    world: World, capsys: pytest.CaptureFixture[str], arrange: Any, arguments: Any, code: int, verdict: str
) -> None:
    arrange(world)

    assert run("--json", *arguments) == code

    told = json.loads(capsys.readouterr().out)
    assert (told["month"], told["verdict"], told["reading_failed"]) == ("2025-12", verdict, "")
    assert [row["is_true"] for row in told["identities"]].count(False) == (verdict == "differs")
    assert (told["read_at"] is None) == ("--last-reading" in arguments)
    assert run("--last-reading") == code
    assert told["sentence"] in capsys.readouterr().out


def test_a_server_that_cannot_be_read_is_no_proof_whatever_the_last_reading_said(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    sent(world)
    assert read().verdict is Verdict.BALANCES
    world.fail("ninja", kind="status", status=503, method="GET", path="/api/v1/payments", count=9)

    assert run("--json") == 3

    said = capsys.readouterr()
    assert "maintenance" in said.err
    assert "maintenance" in json.loads(said.out)["reading_failed"]
