"""Rests: cancelled, written off, reversed, deleted with what was paid; balances of clients (1341 to 1424), 5.10.42."""

from __future__ import annotations

from typing import Any

from tests.contract.invoice_ninja.credit_stories import credit
from tests.contract.invoice_ninja.sending import post, put
from tests.contract.invoice_ninja.stories import Step, Story, bulk_on, in_euro, reminding, sent_invoice, steps
from tests.contract.invoice_ninja.world import make, merged, next_number

REST, CREDITED, REVERSED, EDITED = "kQBeXWdyK8", "W4QbYKezqM", "yJrb2KdWLD", "GELe3Mb698"
MARKED, DELETED, CANCELLED, PUT = "KGRb41dBLZ", "qM7e5Ba2vp", "QK9b6nbEvY", "O5xe7jd7rJ"
TYPED, MISTYPED, MAILED, ONE, TWO = "joQeZJepZV", "EKQe1RaJYv", "MVyb8mdvAZ", "VWPe9xdLyw", "QnXe0vbxrL"
PEOPLE = {
    REST: ("Kappa Rest", "0031"),
    CREDITED: ("Kappa Credit", "0032"),
    TYPED: ("Kappa Type", "0033"),
    MISTYPED: ("Kappa Typo", "0034"),
    REVERSED: ("Kappa Reverse", "0035"),
    EDITED: ("Kappa Edit", "0036"),
    MARKED: ("Kappa Marked", "0037"),
    DELETED: ("Kappa Delete", "0038"),
    CANCELLED: ("Kappa Uncancel", "0039"),
    PUT: ("Kappa Putcancel", "0040"),
    MAILED: ("Kappa Emailcancel", "0041"),
    ONE: ("Lambda One", "0042"),
    TWO: ("Lambda Two", "0043"),
}
ACTIVITIES = frozenset({"id"})
OF_ONE, OF_TWO = "K4oeElkd0B", "xYRdGZ0bDz"
LATER = {"invoice_id": OF_ONE, "amount": 40}
REFUND = {"id": "joQeZJepZV", "amount": 10, "invoices": [{"invoice_id": OF_ONE, "amount": 10}]}
USE = {
    "client_id": TWO,
    "amount": 0,
    "email_receipt": False,
    "invoices": [{"invoice_id": OF_TWO, "amount": 20}],
    "credits": [{"credit_id": "4w9aAOdvMR", "amount": 20}],
}


def _sent(row_id: str, client_id: str, number: str, amount: int = 100) -> Step:
    return sent_invoice(row_id, client_id, amount, number=number)


def _paid(row_id: str, client_id: str, invoice_id: str, amount: int) -> Step:
    part = {"invoice_id": invoice_id, "amount": amount}
    body = {"client_id": client_id, "amount": amount, "email_receipt": False, "invoices": [part]}
    return lambda ninja: make(ninja, "payments", row_id, body)


def _partly_paid(row_id: str, client_id: str, number: str, payment_id: str) -> tuple[Step, Step]:
    return _sent(row_id, client_id, number), _paid(payment_id, client_id, row_id, 90)


def _posted(path: str, body: dict[str, Any]) -> Step:
    return lambda ninja: post(ninja, path, body)


def _cancelled(row_id: str) -> Step:
    return bulk_on("invoices", "cancel", row_id)


STORIES = [
    Story(
        "rests",
        reminding(1341, rows=merged(*(in_euro(row, *who) for row, who in PEOPLE.items()))),
        steps(
            next_number("payments", 20),
            *(next_number("credits", 11), _sent("4openZle7A", REST, "0520"), "1341-1344 1346-1358"),
            *(sent_invoice("WJxboYKegw", REST, 10, number="0521", is_draft=True), "1359-1360"),
            *(_sent("k8mepg6dMy", REST, "0522", 10), _paid("4y1aKrReQG", REST, "k8mepg6dMy", 10), "1361-1362"),
            *(*_partly_paid("l4zbqjrdpr", CREDITED, "0523", "q9wdLwbjPX"), "1363-1367"),
            *(_sent("yMYer06bOB", TYPED, "0524"), "1368", _sent("gl9avgrbG1", MISTYPED, "0525"), "1369"),
            *(*_partly_paid("7LDdwjwb1Y", REVERSED, "0526", "mWZdPwbKgR"), "1370-1377"),
            *(*_partly_paid("JX7axGreyv", EDITED, "0527", "LYqaQlenjk"), "1378-1382"),
            *(*_partly_paid("kzPdy8WbQr", MARKED, "0528", "JAPdRqbGyO"), "1383-1384"),
            *(*_partly_paid("mxkazm8eJ0", DELETED, "0529", "rlNbWJayg5"), "1385-1391"),
            *(bulk_on("invoices", "archive", "mxkazm8eJ0"), "1392-1393"),
            *(*_partly_paid("4w9aAnzbvM", CANCELLED, "0530", "W4QbYKezqM"), _cancelled("4w9aAnzbvM"), "1394-1399"),
            *(_sent("X46dBgJe79", PUT, "0531"), _cancelled("X46dBgJe79"), "1400-1402"),
            *(_sent("oBDbDRnel2", MAILED, "0532"), _cancelled("oBDbDRnel2"), "1403"),
        ),
        ignore={1358: ACTIVITIES, 1367: ACTIVITIES},
    ),
    Story(
        "balances",
        reminding(1404, rows=merged(*(in_euro(row, *PEOPLE[row]) for row in (ONE, TWO)))),
        steps(
            *("1404", sent_invoice(OF_ONE, ONE, 100, number="0533", is_draft=True), "1405"),
            *(bulk_on("invoices", "mark_sent", OF_ONE), "1406", _paid("joQeZJepZV", ONE, OF_ONE, 60), "1407"),
            *(lambda ninja: make(ninja, "payments", "EKQe1RaJYv", {"client_id": ONE, "amount": 50}), "1408"),
            *(lambda ninja: put(ninja, "/payments/EKQe1RaJYv", {"invoices": [LATER]}), "1409"),
            *(_posted("/payments/refund", REFUND), "1410", bulk_on("payments", "delete", "EKQe1RaJYv"), "1411"),
            *("1415", sent_invoice(OF_TWO, TWO, 100, number="0534", is_draft=True), "1416"),
            *(bulk_on("invoices", "mark_sent", OF_TWO), "1417", _paid("yJrb2KdWLD", TWO, OF_TWO, 60), "1418"),
            *(credit(TWO, "4w9aAOdvMR", 30, flags=""), "1419", bulk_on("credits", "mark_sent", "4w9aAOdvMR"), "1420"),
            *(lambda ninja: make(ninja, "payments", "GELe3Mb698", USE), "1421", _cancelled(OF_TWO), "1422"),
            *(bulk_on("payments", "delete", "GELe3Mb698"), "1423-1424"),
        ),
    ),
]
