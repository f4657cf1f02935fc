"""What follows from mails, receipts, the use of credits and deletions; what is refused at once (5.10.42)."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.ninja.app import InvoiceNinja
from sandbox.ninja.mail import run_queue
from tests.contract.invoice_ninja.mail_cases import ITS_CLIENT, LIVED, alive, bulk, client_of, lived
from tests.contract.invoice_ninja.recording import Tables, recordings
from tests.contract.invoice_ninja.sending import post
from tests.contract.invoice_ninja.stories import Story, in_euro, sent_invoice, steps
from tests.contract.invoice_ninja.world import make, merged, newer, next_number

BROKEN = "WJxbo2jagw"


def _drafts(*numbers: int) -> Callable[[InvoiceNinja], None]:
    """The invoices that these exchanges showed, before they were sent."""

    def step(ninja: InvoiceNinja) -> None:
        for number in numbers:
            data = recordings()[number].answer["data"]
            row = data[0] if isinstance(data, list) else data
            fresh = [{**one, "sent_date": "", "message_id": ""} for one in row["invitations"]]
            draft = {"status_id": "1", "balance": 0, "last_sent_date": "", "invitations": fresh, "_taken": []}
            with ninja.memory.transaction():
                ninja.store.adopt("invoices", {**row, **draft})

    return step


def _mail(template: str) -> Callable[[InvoiceNinja], None]:
    body = {"entity": "invoice", "entity_id": LIVED, "template": f"email_template_{template}"}
    return lambda ninja: post(ninja, "/emails", body)


def _credits_and_another_invoice(ninja: InvoiceNinja) -> None:
    next_number("credits", 8)(ninja)
    next_number("invoices", 148)(ninja)
    for row_id, amount in (("l4zbq2dprO", 15), ("yMYerEdOBQ", 16), ("gl9avmeG1v", 17), ("7LDdwRb1YK", 18)):
        line = {"type_id": "2", "notes": "REC credit", "quantity": 1, "cost": amount}
        make(ninja, "credits", row_id, {"client_id": ITS_CLIENT, "line_items": [line]})
    line = {"type_id": "2", "notes": "Work", "quantity": 2, "cost": 50}
    make(ninja, "invoices", "wMvbmQ0bYA", {"client_id": ITS_CLIENT, "line_items": [line]})
    bulk(ninja, "mark_sent", invoice_id="wMvbmQ0bYA")


def _task_alive(ninja: InvoiceNinja) -> None:
    with ninja.memory.transaction():
        ninja.store.save("tasks", "Volej0zbjN", is_deleted=False, archived_at=0)


def _newest(ninja: InvoiceNinja) -> None:
    line = {"type_id": "2", "notes": "Work", "quantity": 2, "cost": 50}
    make(ninja, "invoices", "X46dBNxd79", {"client_id": "7LDdwjRb1Y", "line_items": [line]})


def _mailed_clients() -> Tables:
    ann = client_of(602, name="REC Mail", display_name="REC Mail")
    nobody = [client_of(number, email="") for number in (631, 633)]
    return merged(ann, *nobody)


def _mailing(mode: str) -> Callable[[InvoiceNinja], None]:
    def step(ninja: InvoiceNinja) -> None:
        with ninja.memory.transaction():
            ninja.store.set_switch("mail_mode", mode)
            ninja.store.set_switch("mail_delay_seconds", None)

    return step


def _work(ninja: InvoiceNinja) -> None:
    run_queue(ninja.store, everything=True)


def _mailed_again(ninja: InvoiceNinja) -> None:
    post(ninja, "/emails", recordings()[1483].body)


STORIES = [
    Story(
        "mail server",
        newer(1480, rows=merged(in_euro("4open5Rd7A", "Xi Queued", "0048"), in_euro(BROKEN, "Xi Broken", "0049"))),
        steps(
            *(sent_invoice("7LDdwmwa1Y", "4open5Rd7A", 10, number="0561", is_draft=True), _mailing("queued")),
            *("1480-1481", _work, "1482", sent_invoice("JX7axvrdyv", BROKEN, 10, number="0562", is_draft=True)),
            *(_mailing("down"), "1483-1485", _mailing("sync"), _mailed_again, "1487"),
        ),
        ignore={1485: frozenset({"id"})},
    ),
    Story(
        "mails",
        newer(601, rows=_mailed_clients()),
        steps(
            *(
                next_number("invoices", 108),
                "601-603",
                _drafts(604),
                "604-605",
                _drafts(606),
                "606-607",
                _drafts(608),
                "608-609",
            ),
            *(_drafts(610), "610-611", _drafts(612), "612-617", "618-622"),
            *(_drafts(623, 624, 625, 626), "623-630", _drafts(631, 633), "631-634", "696"),
        ),
        at_once=frozenset({624, 625, 626}),
        ignore={696: frozenset({"id", "hashed_id"})},
    ),
    Story("without contacts", newer(665), steps("665", _drafts(666), "666")),
    Story(
        "at once",
        newer(667, rows=client_of(668)),
        # Those that were let through stand first.
        steps(_drafts(668, 670, 672), "668 667 669-672", _drafts(675, 676), "673-676")
        + steps(_drafts(677, 678, 681, 682), "677-684"),
        at_once=frozenset({667, 669, 674, 678, 682}),
    ),
    Story(
        "deletions",
        newer(859, also=(859, 861), rows=client_of(861), then=_task_alive),
        steps("859-862", next_number("invoices", 215), "863", _newest, "864-869"),
    ),
    Story(
        "an invoice's life",
        newer(685, **alive(), then=lived(685)),
        steps(
            *("685", lambda ninja: bulk(ninja, "mark_sent"), "686", lambda ninja: bulk(ninja, "email"), "687-691"),
            *(_mail("reminder2"), "692", _mail("reminder_endless"), "693-694", _mail("custom1"), "695 697-717"),
            *(_credits_and_another_invoice, "718-721 723 722 724-728 888"),
        ),
        # 722 and 723 were sent at once and let through both: the lock is read before it is set. Here one waits.
        at_once=frozenset({727}),
    ),
]
