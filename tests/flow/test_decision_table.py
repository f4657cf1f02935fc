"""The decision table of billing-rules, After the fact, cell by cell: what happens × how far the work is.

One play per column: an invoice's worth of tasks, each with a fate of its own, against both stand-ins; the cells then
read what the play left, in our rows and in the whole memory of the stand-ins. What happens to the invoice itself has a
small play of its own in each column. A cell with "–" is one where nothing may happen: that is proven too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from billing_console.errors import NotAllowed
from invoicing import reconcile, releasing, sending
from invoicing.models import Invoice, InvoiceLine
from mappings.models import Company
from sandbox.scenario import MOBILE
from sync import hooks, sweep
from sync.models import Difference, RemoteRecord, TimeEntry
from tests.flow.steps import DECEMBER, Flow, amount_of, december, fresh, january, person

UNCLAIMED, DRAFT, APPROVED, SENT, PAID = "unclaimed", "draft", "approved", "sent", "paid"
COLUMNS = (UNCLAIMED, DRAFT, APPROVED, SENT, PAID)  # "approved or sent" is one column of the table, two of ours
AFTER = (APPROVED, SENT, PAID)

ITEM_ROWS: dict[str, dict[str, str]] = {
    "hours up": {
        UNCLAIMED: "1 ready 3.00 h 285.00, task 285.00 free",
        DRAFT: "stale; then 1 claimed 3.00 h 285.00, task 285.00 free",
        **dict.fromkeys(AFTER, "1 invoiced 2.00 h 190.00, task 190.00 billed; difference open +95.00"),
    },
    "hours down": {
        UNCLAIMED: "1 ready 1.00 h 95.00, task 95.00 free",
        DRAFT: "stale; then 1 claimed 1.00 h 95.00, task 95.00 free",
        **dict.fromkeys(AFTER, "1 invoiced 2.00 h 190.00, task 190.00 billed; difference open -95.00"),
    },
    "rate changed": {
        UNCLAIMED: "1 ready 2.00 h 160.00, task 160.00 free",
        DRAFT: "stale; then 1 claimed 2.00 h 160.00, task 160.00 free",
        **dict.fromkeys(AFTER, "1 invoiced 2.00 h 190.00, task 190.00 billed; difference open -30.00"),
    },
    "client changed": {
        UNCLAIMED: "1 ready 2.00 h 190.00 for Beacon Mobile, task 190.00 free",
        DRAFT: "stale; then 1 ready 2.00 h 190.00 for Beacon Mobile, task 190.00 free",
        **dict.fromkeys(AFTER, "1 invoiced 2.00 h 190.00, task 190.00 billed; difference open -190.00"),
    },
    "billable unchecked": {
        UNCLAIMED: "1 void – –, task 190.00 archived",
        DRAFT: "stale; then 1 void – –, task 190.00 archived",
        **dict.fromkeys(AFTER, "1 invoiced 2.00 h 190.00, task 190.00 billed; difference open -190.00"),
    },
    "reopened": {
        UNCLAIMED: "1 held (reopened) 2.00 h 190.00, task 190.00 free",
        DRAFT: "stale; then 1 held (reopened) 2.00 h 190.00, task 190.00 free",
        **dict.fromkeys(AFTER, "1 invoiced 2.00 h 190.00, task 190.00 billed"),
    },
    "reopened, closed with more": {
        UNCLAIMED: "1 ready 2.50 h 237.50, task 237.50 free",
        DRAFT: "stale; then 1 claimed 2.50 h 237.50, task 237.50 free",
        **dict.fromkeys(AFTER, "1 invoiced 2.00 h 190.00, task 190.00 billed; 2 ready 0.50 h 47.50, task 47.50 free"),
    },
    "re-closed, same hours": {
        UNCLAIMED: "1 ready 2.00 h 190.00, task 190.00 free",
        DRAFT: "not stale; then 1 claimed 2.00 h 190.00, task 190.00 free",
        **dict.fromkeys(AFTER, "1 invoiced 2.00 h 190.00, task 190.00 billed"),
    },
    "item deleted": {
        UNCLAIMED: "1 held (gone) 2.00 h 190.00, task 190.00 free",
        DRAFT: "stale; then 1 held (gone) 2.00 h 190.00, task 190.00 free",
        **dict.fromkeys(AFTER, "1 invoiced 2.00 h 190.00, task 190.00 billed"),
    },
    "item promoted": {
        UNCLAIMED: "1 held (gone) 2.00 h 190.00, task 190.00 free",
        DRAFT: "stale; then 1 held (gone) 2.00 h 190.00, task 190.00 free",
        **dict.fromkeys(AFTER, "1 invoiced 2.00 h 190.00, task 190.00 billed"),
    },
    "nothing": {
        UNCLAIMED: "1 ready 2.00 h 190.00, task 190.00 free",
        DRAFT: "not stale; then 1 claimed 2.00 h 190.00, task 190.00 free",
        **dict.fromkeys(AFTER, "1 invoiced 2.00 h 190.00, task 190.00 billed"),
    },
}

INVOICE_ROWS: dict[str, dict[str, str]] = {
    "its task is on somebody else's invoice": {
        UNCLAIMED: "1 held (invoiced_by_hand) 2.00 h 190.00, task 190.00 billed by hand",
        DRAFT: "stale; 1 claimed 2.00 h 190.00, task 190.00 billed by hand",
        APPROVED: "alert; 1 invoiced 2.00 h 190.00, task 190.00 billed by hand; created",
        SENT: "alert; 1 invoiced 2.00 h 190.00, task 190.00 billed by hand; sent",
        PAID: "alert; 1 invoiced 2.00 h 190.00, task 190.00 billed by hand; paid",
    },
    "deleted in Invoice Ninja": {
        UNCLAIMED: "–",
        DRAFT: "–",
        APPROVED: "asked; then 1 ready 2.00 h 190.00, task 190.00 free; cancelled; anew 190.00",
        SENT: "asked; then 1 ready 2.00 h 190.00, task 190.00 free; cancelled; anew 190.00",
        PAID: "blocked; 1 invoiced 2.00 h 190.00, task 190.00 free; paid",
    },
    "cancelled in Invoice Ninja": {
        UNCLAIMED: "–",
        DRAFT: "–",
        APPROVED: "1 invoiced 2.00 h 190.00, task 190.00 billed; created",  # on a draft the server does nothing
        SENT: "asked; then 1 ready 2.00 h 190.00, task 190.00 free; cancelled; anew 190.00",
        PAID: "1 invoiced 2.00 h 190.00, task 190.00 billed; paid",  # nor on a paid one (recording 1361)
    },
    "edited by hand": {
        UNCLAIMED: "–",
        DRAFT: "–",
        APPROVED: "diff shown at send, not mailed; 1 invoiced 2.00 h 190.00, task 190.00 billed; attention",
        SENT: "1 invoiced 2.00 h 190.00, task 190.00 billed; sent",
        PAID: "1 invoiced 2.00 h 190.00, task 190.00 billed; partly_paid",  # as the server then says
    },
    "sent by hand": {
        UNCLAIMED: "–",
        DRAFT: "–",
        APPROVED: "adopted, mailed once; 1 invoiced 2.00 h 190.00, task 190.00 billed; sent",
        SENT: "1 invoiced 2.00 h 190.00, task 190.00 billed; sent",
        PAID: "–",
    },
}


# --- the plays ------------------------------------------------------------------------------------------------------


@dataclass
class Play:
    """What one play left: a sentence for each of its tasks, and the figures of the whole."""

    cells: dict[str, str] = field(default_factory=dict)
    whole: dict[str, Any] = field(default_factory=dict)


PLAYED: dict[str, Play] = {}


def reach(office: Flow, stage: str) -> Invoice | None:
    """December as far as `stage`: its only invoice, None while there is none. All its tasks are closed already."""
    if stage == UNCLAIMED:
        office.go_to(january(2))
        return None
    (draft,) = office.bill()
    if stage == DRAFT:
        return draft
    invoice = office.approve(draft)
    if stage == APPROVED:
        return invoice
    invoice = office.send(invoice)
    if stage == PAID:
        office.pay(invoice, invoice.gross)
        office.poll()
    assert fresh(invoice).state == stage
    return fresh(invoice)


def play_items(office: Flow, stage: str) -> Play:
    """Each row's task meets its fate in Taiga while the work is at `stage`."""
    Company.objects.update(brake_client=False)  # whether another client's item is asked about first: tests of brakes
    tasks = {row: office.close(2, subject=row, at=december(3)) for row in ITEM_ROWS}
    office.work()
    first = {row: office.entry(task) for row, task in tasks.items()}
    invoice = reach(office, stage)
    before = memory(office)
    office.go_to(january(5))
    office.type(tasks["hours up"], hours=3)
    office.type(tasks["hours down"], hours=1)
    office.type(tasks["rate changed"], rate=80)
    office.type(tasks["client changed"], client=MOBILE.client_id)
    office.type(tasks["billable unchecked"], billable=False)
    for row in ("reopened", "reopened, closed with more", "re-closed, same hours"):
        office.move(tasks[row], "In progress")
    office.taiga().call("DELETE", f"/tasks/{tasks['item deleted']}")
    story = {"project_id": office.project.taiga_id}
    assert office.taiga().call("POST", f"/tasks/{tasks['item promoted']}/promote_to_user_story", story)[0] == 200
    office.work()
    office.type(tasks["reopened, closed with more"], hours=2.5)
    for row in ("reopened, closed with more", "re-closed, same hours"):
        office.move(tasks[row], "Closed")
    sweep.want_census()  # what was promoted vanishes without a word
    office.sweep()
    office.poll()
    play = Play()
    stale = {row: is_stale(entry) for row, entry in first.items()}
    if invoice is not None and stage == DRAFT:
        invoice = office.refresh(invoice)
    for row, entry in first.items():
        marks = ["stale" if stale[row] else "not stale", "then "] if stage == DRAFT else []
        play.cells[row] = "; ".join(marks[:1]) + ("; then " if marks else "") + sentence_of(office, entry)
    play.whole = {
        "invoice": (invoice.gross, fresh(invoice).state, fresh(invoice).is_stale) if invoice else None,
        "before": before,
        "after": memory(office),
        "residues": [identity.residue for identity in reconcile.check(DECEMBER) if not identity.is_true],
        "records": set(RemoteRecord.objects.values_list("kind", "state")),
        "statuses": {row: office.values(task).get("status") for row, task in tasks.items() if "item" not in row},
    }
    return play


def memory(office: Flow) -> dict[str, list[Any]]:
    """What Invoice Ninja holds, without its own clock and the sums of its projects."""
    plain = ("updated_at", "project")
    return {
        "invoices": [{key: row[key] for key in row if key not in plain} for row in office.invoices()],
        "tasks": [{key: row[key] for key in row if key not in plain} for row in office.tasks()],
        "mails": office.mails(),
        "credits": list(office.ninja.get("/credits?per_page=5000")["data"]),
    }


def is_stale(entry: TimeEntry) -> bool:
    return InvoiceLine.objects.filter(entry=entry, is_voided=False).exclude(change_sentence="").exists()


def sentence_of(office: Flow, entry: TimeEntry) -> str:
    """Every cycle of the entry's item with its task in Invoice Ninja, and what is open about it."""
    parts = []
    for row in TimeEntry.objects.filter(item=entry.item_id).select_related("client").order_by("cycle"):
        there = office.task_there(row)
        ours = {invoice.remote.remote_id for invoice in Invoice.objects.exclude(remote=None).select_related("remote")}
        link = "free"
        if there["archived_at"]:
            link = "archived"
        elif there["invoice_id"]:
            link = "billed" if there["invoice_id"] in ours else "billed by hand"
        reason = f" ({row.reason})" if row.reason else ""
        payer = f" for {row.client}" if row.client and row.client.ninja_id != office.project.client_id else ""
        hours = f"{row.billed_hours:.2f} h" if row.billed_hours is not None else "–"
        amount = f"{row.amount:.2f}" if row.amount is not None else "–"
        billed = f"{row.cycle} {row.state}{reason} {hours} {amount}{payer}"
        parts.append(f"{billed}, task {amount_of(there)} {link}")
    difference = Difference.objects.filter(item=entry.item_id).order_by("-pk").first()
    if difference is not None:
        parts.append(f"difference {difference.state} {difference.amount:+.2f}")
    return "; ".join(parts)


# --- what happens to items ------------------------------------------------------------------------------------------


@pytest.fixture
def played(request: pytest.FixtureRequest, stage: str, db: None) -> Play:
    """The play of this column, played once for all its cells."""
    if stage not in PLAYED:
        office = request.getfixturevalue("office")
        PLAYED[stage] = Play(whole={"failed": True})  # a play that fails is not played again for each of its cells
        PLAYED[stage] = play_items(office, stage)
    assert PLAYED[stage].cells, "the play of this column failed"
    return PLAYED[stage]


ITEM_CELLS = [
    pytest.param(stage, row, expected, id=f"{row} × {stage} = {expected}")
    for stage in COLUMNS  # one column after the other: each is one play
    for row, columns in ITEM_ROWS.items()
    for expected in (columns[stage],)
]


@pytest.mark.parametrize(("stage", "row", "expected"), ITEM_CELLS)
def test_what_happens_to_an_item_does_what_the_table_says(played: Play, stage: str, row: str, expected: str) -> None:
    assert played.cells[row] == expected


@pytest.mark.parametrize("stage", COLUMNS)
def test_everything_else_stays_and_the_books_balance(played: Play, stage: str) -> None:
    whole = played.whole
    assert whole["residues"] == []
    assert whole["records"] == {("task", "synced"), ("status", "synced")} | (
        set() if stage in (UNCLAIMED, DRAFT) else {("invoice", "synced")}
    )
    assert whole["after"]["credits"] == []
    assert whole["after"]["invoices"] == whole["before"]["invoices"]
    assert whole["after"]["mails"] == whole["before"]["mails"]
    if stage in AFTER:
        assert whole["invoice"] == (Decimal("2528.90"), {APPROVED: "created"}.get(stage, stage), False)
        old = [row["number"] for row in whole["before"]["tasks"]]
        assert [row for row in whole["after"]["tasks"] if row["number"] in old] == whole["before"]["tasks"]
        assert len(whole["after"]["tasks"]) == len(old) + 1  # the second cycle of what was closed with more
    else:
        assert whole["after"]["invoices"] == []
        assert len(whole["after"]["tasks"]) == len(ITEM_ROWS)
    # By default Taiga says "Invoiced" while the task is live; what is not ours any more gets its first value back.
    gone = {"billable unchecked"} if stage in (UNCLAIMED, DRAFT) else set()
    assert whole["statuses"] == {row: None if row in gone else "Invoiced" for row in whole["statuses"]}


# --- what happens to the invoice ------------------------------------------------------------------------------------


def take_task(office: Flow, entry: TimeEntry, invoice: Invoice | None) -> None:
    task = office.task_there(entry)
    line = {"task_id": task["id"], "type_id": "2", "quantity": 2, "cost": 95, "notes": "by hand"}
    office.ninja.do("POST", "/invoices", {"client_id": task["client_id"], "line_items": [line]})


def edit(office: Flow, entry: TimeEntry, invoice: Invoice | None) -> None:
    assert invoice is not None
    there = office.invoice_there(invoice)
    office.ninja.do("PUT", f"/invoices/{there['id']}", {"line_items": [{**there["line_items"][0], "cost": 100}]})


def mail(office: Flow, entry: TimeEntry, invoice: Invoice | None) -> None:
    assert invoice is not None
    body = {"entity": "invoice", "template": "email_template_invoice"}
    office.ninja.do("POST", "/emails", {**body, "entity_id": office.invoice_there(invoice)["id"]})


def by_hand(action: str) -> Callable[[Flow, TimeEntry, Invoice | None], None]:
    def act(office: Flow, entry: TimeEntry, invoice: Invoice | None) -> None:
        assert invoice is not None
        office.act(action, invoice)

    return act


ACTS: dict[str, Callable[[Flow, TimeEntry, Invoice | None], None]] = {
    "its task is on somebody else's invoice": take_task,
    "deleted in Invoice Ninja": by_hand("delete"),
    "cancelled in Invoice Ninja": by_hand("cancel"),
    "edited by hand": edit,
    "sent by hand": mail,
}
INVOICE_CELLS = [
    pytest.param(stage, row, expected, id=f"{row} × {stage} = {expected}")
    for row, columns in INVOICE_ROWS.items()
    for stage, expected in columns.items()
    if expected != "–"
]
NOTHING_CELLS = [(row, stage) for row, columns in INVOICE_ROWS.items() for stage in columns if columns[stage] == "–"]


@pytest.mark.parametrize(("stage", "row", "expected"), INVOICE_CELLS)
def test_what_happens_to_an_invoice_does_what_the_table_says(office: Flow, stage: str, row: str, expected: str) -> None:
    entry = office.closed(2, at=december(3))
    invoice = reach(office, stage)
    mails = len(office.mails())
    ACTS[row](office, entry, invoice)
    office.poll()

    found = [*told(office, row, entry, invoice, mails)]
    if invoice is not None and stage != DRAFT:
        found.append(fresh(invoice).state)
    if found[0] == "asked":
        found += [f"anew {anew(office, entry).net:.2f}"]

    assert "; ".join(found).replace("asked; ", "asked; then ") == expected
    residues = [identity.residue for identity in reconcile.check(DECEMBER) if not identity.is_true]
    # What was edited there after it was sent is named by the reconciliation, and by nothing else.
    is_edited = row == "edited by hand" and stage in (SENT, PAID)
    assert residues == ([("0001: gross + fees − paid − open = -12.100 EUR",)] if is_edited else [])


def told(office: Flow, row: str, entry: TimeEntry, invoice: Invoice | None, mails: int) -> list[str]:
    """What the console says of it and does about it, in the words of the table."""
    words: list[str] = []
    if is_stale(entry):
        words.append("stale")
    task = RemoteRecord.objects.get(entry=entry)
    if invoice is not None and not words and task.state == "attention":
        assert task.reason == "invoiced_by_hand"
        words.append("alert")
    if invoice is not None and row == "edited by hand" and fresh(invoice).state == "created":
        sent = office.send(invoice)
        assert "2.00 × 95.00" in sent.attention_sentence
        assert "2.00 × 100.00" in sent.attention_sentence
        assert len(office.mails()) == mails
        words.append("diff shown at send, not mailed")
    if invoice is not None and row == "sent by hand" and mails == 0:
        with pytest.raises(NotAllowed):
            sending.request_sending(invoice, seal=invoice.seal, user=person())
        office.work()
        assert len(office.mails()) == 1
        words.append("adopted, mailed once")
    if invoice is not None and fresh(invoice).state == "cancelled":
        # Nothing is billed again by itself: an approver is asked.
        assert office.bill() == []
        (question,) = hooks.questions()
        assert "bill it anew, or write it off" in question.sentence
        with pytest.raises(NotAllowed):
            releasing.release(fresh(invoice), user=person(), note=" ")
        assert releasing.release(fresh(invoice), user=person(), note="to be billed anew") == 1
        with pytest.raises(NotAllowed, match="already"):
            releasing.release(fresh(invoice), user=person(), note="again")
        office.work()
        assert hooks.questions() == []
        words.append("asked")
    elif invoice is not None and "although money came in" in fresh(invoice).attention_sentence:
        assert [question.sentence for question in hooks.questions()] == [fresh(invoice).attention_sentence]
        with pytest.raises(NotAllowed):
            releasing.release(fresh(invoice), user=person(), note="try")
        words.append("blocked")
    return [*words, sentence_of(office, entry)]


def anew(office: Flow, entry: TimeEntry) -> Invoice:
    """The hours are billed again: another key, another number, the task on the new invoice alone."""
    (draft,) = office.bill()
    invoice = office.approve(draft)
    first = Invoice.objects.earliest("pk")
    assert invoice.key != first.key
    assert invoice.state == "created"
    assert office.task_there(entry)["invoice_id"] == invoice.remote.remote_id
    alive = [row for row in office.invoices() if not row["is_deleted"] and row["status_id"] not in ("5", "6")]
    assert [row["private_notes"] for row in alive] == [invoice.key]
    return invoice


QUIET: dict[str, tuple[Any, Any]] = {}


@pytest.mark.parametrize(("row", "stage"), NOTHING_CELLS, ids=lambda value: f"{value}")
def test_where_the_table_has_a_dash_nothing_can_happen(
    request: pytest.FixtureRequest, db: None, row: str, stage: str
) -> None:
    if stage not in QUIET:
        QUIET[stage] = play_quietly(request.getfixturevalue("office"), stage)
    before, after = QUIET[stage]
    assert after == before
    if stage != PAID:
        assert before[0]["invoices"] == []  # there is none that somebody could delete, cancel, edit or send


def play_quietly(office: Flow, stage: str) -> tuple[Any, Any]:
    """Polls, and for a paid invoice a mail by hand, leave everything as it is."""
    office.closed(2, at=december(3))
    invoice = reach(office, stage)
    before = memory(office), rows()
    if invoice is not None and stage == PAID:
        mail(office, TimeEntry.objects.get(), invoice)
        before[0]["mails"].append(office.mails()[-1])
    office.poll()
    after = memory(office), rows()
    for known in (before, after):
        for there in known[0]["invoices"]:  # the mail itself leaves its own traces there
            for name in ("invitations", "last_sent_date", "reminder_last_sent"):
                there.pop(name, None)
    return before, after


def rows() -> list[Any]:
    entries = TimeEntry.objects.order_by("pk").values_list("state", "billed_hours", "amount")
    invoices = Invoice.objects.order_by("pk").values_list("state", "gross", "is_stale", "attention_sentence")
    return [list(entries), list(invoices), Difference.objects.count()]


def test_the_table_is_whole() -> None:
    assert {row: tuple(columns) for row, columns in {**ITEM_ROWS, **INVOICE_ROWS}.items()} == dict.fromkeys(
        [*ITEM_ROWS, *INVOICE_ROWS], COLUMNS
    )
