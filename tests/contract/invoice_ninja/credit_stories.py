"""Credits and their use (1199 to 1264, 1465 to 1472), 5.10.42."""

from __future__ import annotations

from typing import Any

from sandbox.ninja.app import InvoiceNinja
from tests.contract.invoice_ninja.stories import Story, in_euro, reminding, sent_invoice, steps
from tests.contract.invoice_ninja.world import make, merged, next_number

THETA, OTHER, NU = "LYqaQlenjk", "JAPdRqbGyO", "OpnelY5aKB"
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


STORIES = [
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
        steps("1465-1466", _to_use, "1467-1472"),
        at_once=frozenset({1466}),
    ),
]
