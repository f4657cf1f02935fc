"""Payments: unapplied, applied later, refunded, in dollars, listed, deleted with their invoices (1265 to 1339)."""

from __future__ import annotations

from sandbox.ninja.app import InvoiceNinja
from sandbox.ninja.data import currency_ids
from tests.contract.invoice_ninja.recording import recordings
from tests.contract.invoice_ninja.sending import put
from tests.contract.invoice_ninja.stories import Step, Story, bulk_on, in_euro, reminding, sent_invoice, steps
from tests.contract.invoice_ninja.world import a_client, merged, next_number

IOTA, AMERICAN = "Oy5eVMdEP4", "rlNbWJayg5"
IN_DOLLARS = a_client(AMERICAN, name="Iota Dollars", settings={"currency_id": currency_ids()["USD"]})


def _sent(row_id: str, number: str, amount: int) -> Step:
    return sent_invoice(row_id, IOTA, amount, number=number)


def _changed(ninja: InvoiceNinja) -> None:
    """Between 1316 and 1317 somebody wrote on the first payment again."""
    ninja.clock.set(recordings()[1317].at)
    put(ninja, "/payments/gl9avmeG1v", {"private_notes": "changed"})


STORIES = [
    Story(
        "payments",
        reminding(1265, rows=merged(in_euro(IOTA, "Iota Payments", "0029"), IN_DOLLARS)),
        steps(
            next_number("payments", 10),
            *("1265-1267", _sent("k8mepg2dMy", "0510", 60), _sent("l4zbqj2dpr", "0511", 30)),
            *(_sent("yMYer0EbOB", "0512", 50), "1268-1283", _sent("gl9avgmbG1", "0513", 10), "1284-1287"),
            *(_sent("7LDdwjRb1Y", "0514", 10), _sent("Wjneg56bwZ", "0515", 20), _sent("Volej25ejN", "0516", 30)),
            *("1288-1289", _sent("Wpmbk5XezJ", "0517", 10), "1290"),
            *(sent_invoice("OpnelO6dKB", IOTA, 15, number="0518", is_draft=True), "1291-1301"),
            *(sent_invoice("wMvbmw0eYA", AMERICAN, 100, number="0519"), "1302-1316", _changed, "1317-1334"),
            *(bulk_on("invoices", "restore", "Volej25ejN"), "1335-1339"),
        ),
    ),
]
