"""Money that came in without an invoice, or above what was owed, is seen (recordings 1265 to 1300, 1333)."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from invoicing import payments, readings, sending, unapplied
from invoicing.models import Invoice, Payment, UnappliedPayment
from invoicing.reading_rows import unapplied_of
from invoicing.verdict import Verdict, prove
from mappings.models import Client
from sync.clients.ninja_rows import NinjaAllocation, NinjaId, NinjaPayment
from tests.invoicing.world import DECEMBER
from tests.outbound import created_invoice, pass_by_all_changes
from tests.people import GROUPS, browser_of
from tests.standins import World

pytestmark = pytest.mark.django_db
GROSS = Decimal("408.38")  # 4.5 h × 75 and 21 %
MARCH = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)


@pytest.fixture
def sent(world: World) -> Invoice:
    """Mailed on 2 January, due on 1 February; it is March."""
    invoice = created_invoice(world)
    sending.request_sending(invoice, seal=invoice.seal, user=None)
    sending.send_due()
    payments.poll()
    world.go_to(MARCH)
    return Invoice.objects.get(pk=invoice.pk)


def pay(world: World, amount: float, *parts: tuple[Invoice, float], **more: Any) -> str:
    """A payment that names these invoices; returns its id there."""
    named = [{"invoice_id": invoice.remote.remote_id, "amount": part} for invoice, part in parts]  # type: ignore[union-attr]
    body = {"client_id": "client_abc123", "amount": amount, "date": "2025-12-05", "invoices": named, **more}
    return str(world.api_ninja("POST", "/payments", body)["data"]["id"])


def kept() -> list[tuple[str, Decimal, Decimal]]:
    payments.poll()
    rows = unapplied.left().order_by("pk")
    return [(row.currency, row.received, row.amount) for row in rows]


def text_of(path: str, group: str = "viewer", **query: Any) -> str:
    answer = browser_of(group).get(path, query)
    assert answer.status_code == 200
    return answer.content.decode().replace("\u00a0", " ")


def test_a_payment_without_an_invoice_is_kept_until_it_is_on_one(world: World, sent: Invoice) -> None:
    payment = pay(world, 408.38, transaction_reference="BANK-1")
    assert kept() == [("EUR", GROSS, GROSS)]
    assert (UnappliedPayment.objects.get().client, Payment.objects.count()) == (sent.client, 0)

    part = {"invoice_id": sent.remote.remote_id, "amount": 300}  # type: ignore[union-attr]
    world.api_ninja("PUT", f"/payments/{payment}", {"client_id": "client_abc123", "invoices": [part]})
    assert kept() == [("EUR", GROSS, Decimal("108.38"))]

    part["amount"] = 108.38
    world.api_ninja("PUT", f"/payments/{payment}", {"client_id": "client_abc123", "invoices": [part]})
    assert kept() == []
    assert Invoice.objects.get().get_state_display() == "Paid"


def test_what_is_above_the_invoice_is_kept_and_a_refund_of_the_invoice_takes_nothing_off_it(
    world: World, sent: Invoice
) -> None:
    payment = pay(world, 423.38, (sent, 408.38))
    assert kept() == [("EUR", Decimal("423.38"), Decimal(15))]

    part = {"invoice_id": sent.remote.remote_id, "amount": 100}  # type: ignore[union-attr]
    world.api_ninja("POST", "/payments/refund", {"id": payment, "amount": 115, "invoices": [part]})

    assert kept() == [("EUR", Decimal("323.38"), Decimal(15))]  # 100 went back, whatever the amount said (1297)


def test_a_refund_or_the_deletion_of_all_of_it_leaves_nothing(world: World, sent: Invoice) -> None:
    first, second = pay(world, 100), pay(world, 50)
    assert len(kept()) == 2

    world.api_ninja("POST", "/payments/refund", {"id": first, "amount": 100})
    world.api_ninja("DELETE", f"/payments/{second}")

    assert kept() == []
    assert UnappliedPayment.objects.count() == 2


def test_an_older_reading_does_not_bring_it_back(world: World, sent: Invoice) -> None:
    pay(world, 50)
    kept()
    row = UnappliedPayment.objects.get()
    later = row.remote_updated_at + dt.timedelta(seconds=9)  # type: ignore[operator]
    UnappliedPayment.objects.update(amount=0, remote_updated_at=later)

    assert kept() == []


def test_money_of_a_client_that_comes_later_into_the_list_finds_its_client(world: World, sent: Invoice) -> None:
    pay(world, 50)
    Client.objects.filter(ninja_id="client_abc123").update(ninja_id="other")
    kept()
    assert UnappliedPayment.objects.get().client is None
    assert "not in the list yet" in text_of("/admin/invoicing/reports/unapplied/")

    Client.objects.filter(ninja_id="other").update(ninja_id="client_abc123")
    payments.poll()

    assert UnappliedPayment.objects.get().client == sent.client


def test_polling_again_changes_nothing(world: World, sent: Invoice) -> None:
    pay(world, 50)
    kept()
    before = UnappliedPayment.objects.values().get()
    kept()
    assert UnappliedPayment.objects.values().get() == before


def test_it_is_seen_wherever_money_is_asked_for(world: World, sent: Invoice) -> None:
    pay(world, 765, transaction_reference="BANK-1")
    payments.poll()
    sentence = "765.00 EUR of this client came in without an invoice."

    listed = text_of("/admin/invoicing/payment/")
    assert "Money on no invoice" in listed
    assert "BANK-1" in listed
    assert sentence in text_of(f"/admin/invoicing/invoice/{sent.pk}/change/")
    assert sentence in text_of(f"/admin/invoicing/reminders/invoice/{sent.pk}/", "approver")
    assert "765.00 EUR came in without an invoice" in text_of("/admin/invoicing/reminders/", show="overdue")
    answer = browser_of("viewer").get("/admin/invoicing/reports/unapplied/")
    rows = [[cell["text"].replace("\u00a0", " ") for cell in row] for row in answer.context["rows"]]
    assert [row[0:1] + row[2:] for row in rows] == [
        ["Acme Corp", "BANK-1", "5 Dec 2025", "765.00 EUR", "765.00 EUR"],
    ]  # fmt: skip
    (tile,) = [tile for tile in browser_of("viewer").get("/admin/").context["tiles"] if tile.name == "On no invoice"]
    assert (tile.figure, tile.money, tile.url) == ("1", ("765.00\u00a0EUR",), "/admin/invoicing/reports/unapplied/")


def test_without_such_money_nothing_is_said(world: World, sent: Invoice) -> None:
    assert "Money on no invoice" not in text_of("/admin/invoicing/payment/")
    assert "came in without" not in text_of(f"/admin/invoicing/invoice/{sent.pk}/change/")
    assert "came in without" not in text_of(f"/admin/invoicing/reminders/invoice/{sent.pk}/", "approver")
    assert "On no invoice" not in [tile.name for tile in browser_of("viewer").get("/admin/").context["tiles"]]


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_may_look(world: World, sent: Invoice, group: str) -> None:
    pay(world, 50)
    payments.poll()
    assert "50.00" in text_of("/admin/invoicing/reports/unapplied/", group)
    assert "50.00 EUR" in text_of("/admin/invoicing/payment/", group)


def proven() -> dict[str, Any]:
    assert readings.read_now().sentence == ""
    proof = prove(DECEMBER)
    last = proof.identities[-1]
    return {
        "verdict": proof.verdict,
        "residue": last.residue,
        "rows": [row.sentence.replace("\u00a0", " ") for row in last.leftovers],
        "terms": {term.name: term.amounts.get("EUR", Decimal(0)) for term in last.right},
    }


def test_all_payments_are_on_invoices_or_on_none(world: World, sent: Invoice) -> None:
    pay(world, 300, (sent, 300))
    pay(world, 765)
    pay(world, 123.38, (sent, 108.38))

    assert proven() == {
        "verdict": Verdict.BALANCES,
        "residue": (),
        "rows": [],
        "terms": {
            "paid": GROSS,
            "settled by credits": 0,
            "open": 0,
            "beside it all payments of these clients": Decimal("1188.38"),
            "of these on invoices": GROSS,
            "of these on no invoice": Decimal(780),
        },
    }


def test_money_that_one_side_lacks_is_a_red_verdict(world: World, sent: Invoice) -> None:
    pay(world, 765)
    assert proven()["verdict"] is Verdict.BALANCES

    UnappliedPayment.objects.update(amount=0)
    pass_by_all_changes(world)
    found = proven()

    number = UnappliedPayment.objects.get().number
    assert (found["verdict"], found["residue"]) == (Verdict.DIFFERS, ("1 row differs",))
    assert found["rows"] == [f"payment {number}: 765.00 EUR on no invoice in Invoice Ninja, 0.00 EUR here"]


def test_a_sum_of_invoice_ninja_that_does_not_fit_is_a_residue(world: World, sent: Invoice) -> None:
    payment = pay(world, 765)
    with world.ninja.memory.transaction():
        world.ninja.store.save("payments", payment, applied=5)

    found = proven()

    assert (found["verdict"], found["residue"]) == (Verdict.DIFFERS, ("EUR +5.00",))


def test_30_payments_cost_as_many_queries_as_one(world: World, sent: Invoice) -> None:
    report = "/admin/invoicing/reports/unapplied/"
    pages = ("/admin/invoicing/payment/", report, "/admin/invoicing/reminders/?show=open", "/admin/")
    pay(world, 5)
    payments.poll()
    browser = browser_of("viewer")
    counts = []
    for times in range(2):
        for page in pages:
            browser.get(page)
            with CaptureQueriesContext(connection) as queries:
                browser.get(page)
            counts.append(len(queries))
        UnappliedPayment.objects.bulk_create(
            UnappliedPayment(
                ninja_id=f"p{number} {times}", client_ninja_id="client_abc123", client=sent.client, currency="EUR",
                received=1, amount=1, changed_at=MARCH,
            )
            for number in range(30)
        )  # fmt: skip
    assert counts[:4] == counts[4:]


def part(invoice: str = "", credit: str = "", amount: str = "0", refunded: str = "0") -> NinjaAllocation:
    return NinjaAllocation(NinjaId(invoice), NinjaId(credit), Decimal(amount), Decimal(refunded))


ONE = part("a", amount="45", refunded="20")
OTHERS = [part("a", amount="10", refunded="4"), part("b", amount="20", refunded="20")]


@pytest.mark.parametrize(
    ("amount", "applied", "refunded", "parts", "status", "is_deleted", "left"),
    [
        ("100", "0", "0", [], "4", False, "100"),  # 1265
        ("100", "60", "0", [part("a", amount="60")], "4", False, "40"),  # 1268
        ("80", "40", "0", [part("a", amount="40")], "4", False, "40"),  # 1280
        ("45", "45", "20", [ONE], "5", False, "0"),  # 1294
        ("30", "30", "24", OTHERS, "5", False, "0"),  # 1333
        ("0", "0", "0", [part("a", amount="75"), part(credit="c", amount="75")], "4", False, "0"),  # 1213
        ("20", "20", "0", [part("a", amount="30"), part(credit="c", amount="10")], "4", False, "0"),  # 1468
        ("50", "10", "0", [part("a", amount="30"), part(credit="c", amount="20")], "4", False, "40"),  # 1472
        ("-10", "0", "0", [], "4", False, "-10"),  # 1286
        ("100", "0", "0", [], "4", True, "0"),
        ("100", "0", "0", [], "3", False, "0"),
    ],
)
def test_what_of_a_payment_is_on_no_invoice(
    amount: str, applied: str, refunded: str, parts: Any, status: str, is_deleted: bool, left: str
) -> None:
    facts: dict[str, Any] = dict.fromkeys(NinjaPayment.__dataclass_fields__)
    facts |= {"amount": Decimal(amount), "applied": Decimal(applied), "refunded": Decimal(refunded)}
    facts |= {"allocations": tuple(parts), "status_id": status, "is_deleted": is_deleted}

    assert unapplied_of(NinjaPayment(**facts)) == Decimal(left)
