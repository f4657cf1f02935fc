"""Credits and their use (1199 to 1264, 1465 to 1475), invoices and payments of 0 (949 to 972), 5.10.42."""

from __future__ import annotations

from typing import Any

from sandbox.ninja.app import InvoiceNinja
from tests.contract.invoice_ninja.stories import Story, in_euro, reminding, sent_invoice, steps
from tests.contract.invoice_ninja.world import make, merged, newer, next_number

THETA, OTHER, NU, COVERED = "LYqaQlenjk", "JAPdRqbGyO", "OpnelY5aKB", "oBDbDxbl2E"
OF_A_TASK = {"type_id": "2", "task_id": "OpnelY5aKB"}
ACTIVITIES = frozenset({"id"})


def credit(client_id: str, row_id: str, amount: int, flags: str = "?mark_sent=true") -> Any:
    """A credit that was made, and sent unless the flags say otherwise, unrecorded."""
    line = {"quantity": 1, "cost": amount, "notes": "Work"}
    body = {"client_id": client_id, "line_items": [line]}
    return lambda ninja: make(ninja, "credits", row_id, body, flags)


def _theta(ninja: InvoiceNinja) -> None:
    next_number("credits", 4)(ninja)
    next_number("payments", 6)(ninja)
    for row_id, client_id, number, amount in (
        ("wMvbmwOeYA", THETA, "0507", 100),
        ("4openZRe7A", THETA, "0508", 60),
        ("WJxboYjegw", OTHER, "0509", 10),
    ):
        sent_invoice(row_id, client_id, amount, number=number)(ninja)


def _nu(ninja: InvoiceNinja) -> None:
    sent_invoice("Opnel56aKB", NU, 10, number="0536", is_draft=True)(ninja)
    sent_invoice("wMvbmQ0bYA", NU, 10, number="0537", is_draft=True)(ninja)
    next_number("payments", 37)(ninja)


def _to_use(ninja: InvoiceNinja) -> None:
    sent_invoice("4openrle7A", NU, 100, number="0555")(ninja)
    for row_id, amount in (("oBDbDxbl2E", 50), ("K4oeEva0By", 30)):
        credit(NU, row_id, amount)(ninja)


def _zero(row_id: str, number: str, **line: Any) -> Any:
    """An invoice of 0, a draft."""
    first = {"quantity": 2, "cost": 0, "notes": "Work", **line}
    body = {"client_id": COVERED, "number": number, "line_items": [first]}
    return lambda ninja: make(ninja, "invoices", row_id, body)


def _one_payment(ninja: InvoiceNinja) -> None:
    """There was one payment before."""
    ninja.store["payments"].last_id = 1
    next_number("payments", 2)(ninja)


def _overdue_of_zero(ninja: InvoiceNinja) -> None:
    line = {"quantity": 1, "cost": 0, "notes": "Work"}
    body = {"client_id": NU, "number": "0556", "date": "2026-10-01", "due_date": "2026-10-15", "line_items": [line]}
    make(ninja, "invoices", "k8mepQ6aMy", body, "?mark_sent=true")


STORIES = [
    Story(
        "invoices of 0",
        newer(949, rows=in_euro(COVERED, "Beta Covered", "0017")),
        steps(
            *(next_number("invoices", 19), _one_payment, "949-950 952-955", _zero("1YQdJ2dOGp", "0020", **OF_A_TASK)),
            *("956-957", _zero("4y1aKReQGw", "0021"), "958-959", _zero("q9wdLwbjPX", "0022"), "960-962"),
            *(_zero("QJ0dN6dLOv", "0024", quantity=1), "963-970", next_number("invoices", 25), "971-972"),
        ),
        ignore={954: ACTIVITIES},
    ),
    Story(
        "credits",
        reminding(
            1199,
            rows=merged(in_euro(THETA, "Theta Credits", "0027"), in_euro(OTHER, "Other", "0028")),
            then=_theta,
        ),
        steps("1199-1201", credit(THETA, "k8mep2bMyJ", 30), "1202-1238 1240 1242-1264"),
        ignore={1244: ACTIVITIES, 1245: ACTIVITIES},
    ),
    Story(
        "money and credits",
        reminding(1465, rows=in_euro(NU, "Nu Extras", "0047"), then=_nu),
        steps("1465-1466", _to_use, "1467-1472", _overdue_of_zero, "1473-1475"),
        at_once=frozenset({1466}),
    ),
]
