"""Scenes of the money: runs, drafts and their lines, invoices, credits, reminders."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.utils import timezone

from billing_console import clock
from billing_console.states import RecordState
from invoicing import pausing, review, selections
from invoicing.books import closing as closings
from invoicing.books import figures, keeping
from invoicing.ending_writes import END
from invoicing.inviting_writes import INVITE
from invoicing.models import (
    Closing,
    Credit,
    CreditUse,
    Deviation,
    Invoice,
    InvoiceLine,
    InvoiceRun,
    Reminder,
    ReminderPause,
    RunClient,
    Twin,
)
from mappings.models import Client, ProjectMapping
from mappings.rules import month
from sync.exact_json import ExactDecoder, ExactEncoder
from sync.models import Difference, RemoteRecord, TimeEntry
from tests.acts.scene import Scene, url
from tests.invoicing.books.test_closing import IN_DECEMBER
from tests.invoicing.test_correction_pages import billed, difference
from tests.invoicing.test_reminding_views import make_owed
from tests.invoicing.test_sending_more_views import deviating, sealed
from tests.invoicing.world import built, make_client, make_project, make_user, make_work
from tests.people import make_user as person

D = Decimal
BECAUSE = {"reason": "because"}
HOURS_THEN = {"billed_hours": D(30), "net": D(2850), "gross": D("3448.50")}
HOURS_NOW = {"billed_hours": D(300), "net": D(28500), "gross": D(34485)}
THEN, NOW = "Before tax was “2,850.00 EUR”", "is “28,500.00 EUR” now"


def administrator() -> Any:
    from accounts.models import User  # noqa: PLC0415

    return User.objects.filter(username="administrator").first() or person("administrator")


def draft(state: str = "draft") -> Invoice:
    """Two lines; 30 h and 2,850.00 in all."""
    project = make_project(make_client())
    make_work(project, "15")
    make_work(project, "15")
    built()
    invoice = Invoice.objects.get()
    Invoice.objects.filter(pk=invoice.pk).update(state=state)
    return Invoice.objects.get()


def grows(invoice: Invoice) -> Callable[[], Any]:
    return lambda: Invoice.objects.filter(pk=invoice.pk).update(revision=invoice.revision + 1, **HOURS_NOW)


def draft_scene(act: str, typed: dict[str, str] = BECAUSE, state: str = "draft") -> Scene:
    invoice = draft(state)
    review_page = url("invoicing_invoice_review", invoice.pk)
    return Scene(url(f"invoicing_invoice_{act}", invoice.pk), grows(invoice), THEN, NOW, typed, review_page)


def stale() -> Scene:
    scene = draft_scene("refresh", {})
    Invoice.objects.update(is_stale=True, stale_sentence="+1.00 h on #45.")
    return scene


def approved() -> Scene:
    invoice = review.approve(draft(), revision=2, user=make_user())
    address, page = url("invoicing_invoice_withdraw", invoice.pk), url("invoicing_invoice_review", invoice.pk)
    return Scene(address, grows(invoice), THEN, NOW, BECAUSE, page)


def line_scene(act: str, **typed: str) -> Scene:
    invoice = draft()
    line = invoice.lines.order_by("position")[0]
    rows = InvoiceLine.objects.filter(pk=line.pk)
    return Scene(
        url(f"invoicing_invoice_{act}", invoice.pk, line.pk),
        lambda: rows.update(billed_hours=150, amount=14250),
        "Hours was “15.00”",
        "is “150.00” now",
        BECAUSE | typed,
        url("invoicing_invoice_review", invoice.pk),
    )


def chosen() -> Scene:
    invoice = draft()
    line = invoice.lines.order_by("position")[0]
    rows = InvoiceLine.objects.filter(pk=line.pk)
    return Scene(
        f"{url('invoicing_invoice_chosen_lines', invoice.pk)}?act=rate&value=90&line={line.pk}",
        lambda: rows.update(billed_hours=150, amount=14250),
        "Hours was “15.00”",
        "is “150.00” now",
        BECAUSE,
    )


def credited() -> Scene:
    invoice = billed()
    line = invoice.lines.get()
    rows = InvoiceLine.objects.filter(pk=line.pk)
    form = {"way": "lines", "meaning": "goodwill", f"line-{line.pk}-hours": "1", "against": ""}
    return Scene(
        url("invoicing_invoice_credit", invoice.pk),
        lambda: rows.update(rate=D("9.5"), amount=19),
        "Before tax was “95.00 EUR”",
        "is “9.50 EUR” now",
        BECAUSE | {"confirmed": "1"},
        asked_with=form,
    )


def reserved(page: str) -> Scene:
    invoice = billed()
    other = billed("Globex")  # of the same client
    Invoice.objects.filter(pk=other.pk).update(client=invoice.client_id, sequence=2)
    credit = credit_of(other, state="synced", remote_id="k1")
    Credit.objects.update(cause="", meaning="price", number="C7")
    if page == "reserve_credit":
        rows: Any = Credit.objects.filter(pk=credit.pk)
        address = url("invoicing_invoice_reserve_credit", invoice.pk, "ours", credit.pk)
        change: dict[str, Any] = {"gross": D(5), "net": D(5)}
        return Scene(address, lambda: rows.update(**change), "Left of it was “10.00 EUR”", "is “5.00 EUR” now")
    use = CreditUse.objects.create(credit=credit, invoice=invoice, amount=D(10), number="7")
    rows = CreditUse.objects.filter(pk=use.pk)
    address = url("invoicing_invoice_free_credit", invoice.pk, use.pk)
    return Scene(address, lambda: rows.update(amount=D(5)), "Leave 10.00 EUR of", "Leave 5.00 EUR of")


def worked_in_december(client: str, hours: str, ref: int) -> None:
    with clock.set_to(IN_DECEMBER):
        make_work(make_project(make_client(client)), hours, ref=ref)
        keeping.keep()


def closing() -> Scene:
    worked_in_december("Acme Corp", "2", 1)
    address = f"{url('invoicing_close_month')}?month=2025-12"

    def meanwhile() -> None:
        worked_in_december("Other", "1", 7)

    return Scene(address, meanwhile, "“190.00 EUR”", "is “285.00 EUR” now", BECAUSE)


def reopening() -> Scene:
    worked_in_december("Acme Corp", "2", 1)
    row = closings.close(month(2025, 12), user=make_user(), reason="Read tomorrow")
    rows = Closing.objects.filter(pk=row.pk)
    name, words = next((one, text) for one, text in figures.in_words(row.figures) if "190.00" in str(text))
    text = re.sub(r"\b190(\.0+)?\b", r"1900\1", json.dumps(row.figures, cls=ExactEncoder))
    changed = json.loads(text, cls=ExactDecoder)
    address = url("invoicing_reopen_month", row.pk)
    return Scene(
        address,
        lambda: rows.update(figures=changed),
        f"{name} was “{words}”".replace("\u00a0", " "),
        "1,900.00",
        BECAUSE,
    )


def added() -> Scene:
    invoice = draft()
    rows = Invoice.objects.filter(pk=invoice.pk)
    typed = BECAUSE | {"text": "Fee", "hours": "1", "rate": "10"}
    page = url("invoicing_invoice_review", invoice.pk)
    return Scene(
        url("invoicing_invoice_add_line", invoice.pk),
        lambda: rows.update(currency="USD"),
        "Currency was “EUR”",
        "is “USD” now",
        typed,
        page,
    )


def taken_along() -> Scene:
    invoice = draft()
    project = ProjectMapping.objects.get()
    make_work(project, "1")
    return Scene(
        url("invoicing_invoice_take_along", invoice.pk),
        lambda: make_work(project, "10"),
        "Ready was “95.00 EUR”",
        "is “1,045.00 EUR” now",
    )


def run_scene(act: str) -> Scene:
    invoice = draft()
    run = InvoiceRun.objects.get()
    args = (run.pk,)
    if act == "build_again":
        RunClient.objects.update(state="failed", sentence="No answer.")
        Invoice.objects.update(state="rejected", **HOURS_THEN)
        args = (run.pk, RunClient.objects.get().pk)
    rows = Invoice.objects.filter(pk=invoice.pk)
    return Scene(
        url(f"invoicing_invoicerun_{act}", *args),
        lambda: rows.update(**HOURS_NOW),
        THEN,
        NOW,
        asked_at=url("invoicing_invoicerun_review", run.pk),
    )


def previewed() -> Scene:
    project = make_project(make_client())
    make_work(project, "15")
    make_work(project, "15")
    return Scene(
        f"{url('invoicing_invoicerun_preview')}?month=2025-12",
        lambda: TimeEntry.objects.update(amount=14250),
        "Acme Corp was “2,850.00 EUR”",
        "is “28,500.00 EUR” now",
        {"month": "2025-12"},
    )


def supplemented() -> Scene:
    invoice = draft()
    review.approve(invoice, revision=2, user=make_user())
    late = make_work(ProjectMapping.objects.get(), "1")
    return Scene(
        url("invoicing_invoicerun_supplement", invoice.run_id),
        lambda: TimeEntry.objects.filter(pk=late.pk).update(amount=950),
        "Acme Corp was “95.00 EUR”",
        "is “950.00 EUR” now",
        BECAUSE | {"client": str(invoice.client_id)},
    )


def selected(page: str, invoices: list[Invoice], verb: str, mark: str, typed: dict[str, str] | None = None) -> Scene:
    chosen = selections.select(invoices, verb=verb, user=administrator(), mark=mark)
    (first,) = invoices
    rows = Invoice.objects.filter(pk=first.pk)
    old = f"Before tax was “{first.net:,.2f} EUR”"
    return Scene(url(f"invoicing_invoice_{page}", chosen.uuid), lambda: rows.update(**HOURS_NOW), old, NOW, typed or {})


def redated() -> Scene:
    (invoice,) = sealed()
    Invoice.objects.update(invoice_date="2025-12-30", due_date="2026-01-29")
    return selected("redate", [Invoice.objects.get(pk=invoice.pk)], selections.SEND, "seal")


def of_invoice(
    page: str, invoice: Invoice, change: dict[str, Any], old: str, new: str, typed: dict[str, str] = BECAUSE, *args: Any
) -> Scene:
    rows = Invoice.objects.filter(pk=invoice.pk)
    return Scene(url(f"invoicing_invoice_{page}", invoice.pk, *args), lambda: rows.update(**change), old, new, typed)


def unsure() -> Scene:
    (invoice,) = sealed()
    Invoice.objects.update(state="attention", attention_sentence="There is no proof.")
    sentence = "The server said 500."
    change = {"attention_sentence": sentence}
    old, new = "What happened was “There is no proof.”", f"is “{sentence}” now"
    return of_invoice("decide", invoice, change, old, new, BECAUSE, "arrived")


def deviation() -> Scene:
    row = deviating()
    rows = Deviation.objects.filter(pk=row.pk)
    return Scene(
        url("invoicing_invoice_settle", row.invoice_id, row.pk, "overwrite"),
        lambda: rows.update(theirs={**row.theirs, "gross": "3191.40"}),
        "Invoice Ninja, with tax was “319.14 EUR”",
        "is “3,191.40 EUR” now",
        BECAUSE,
    )


def receivers(state: str = "synced", page: str = "receivers") -> Scene:
    (invoice,) = sealed()
    bea = {"id": "c2", "first_name": "Bea", "name": "Bea", "email": "bea@x.example", "send_email": True}
    Client.objects.update(contacts=[bea])
    Invoice.objects.update(invitations=[{"contact": "c1", "client_contact_id": "c1"}])
    RemoteRecord.objects.filter(kind="invoice").update(synced_revision=1)
    if page == "receivers_leave":
        remote = RemoteRecord.objects.get(kind="invoice")
        desired = {**remote.desired, INVITE: {"contacts": ["c2"], "by": make_user().pk}}
        RemoteRecord.objects.filter(pk=remote.pk).update(desired=desired, state=state, sentence="It was refused.")
        return Scene(
            url(f"invoicing_invoice_{page}", invoice.pk),
            lambda: RemoteRecord.objects.filter(pk=remote.pk).update(sentence="It is gone."),
            "What happened was “It was refused.”",
            "is “It is gone.” now",
        )
    return Scene(
        url(f"invoicing_invoice_{page}", invoice.pk),
        lambda: Client.objects.update(contacts=[bea | {"email": "carl@x.example"}]),
        "bea@x.example",
        "carl@x.example",
    )


def bounced() -> Scene:
    (invoice,) = sealed()
    Invoice.objects.update(state="sent", bounce_sentence="It came back from ann@x.example.")
    change = {"bounce_sentence": "It came back from bea@x.example."}
    return of_invoice("bounced", invoice, change, "from ann@x.example.”", "from bea@x.example.” now")


def rest() -> Scene:
    invoice = billed()
    Invoice.objects.update(state="partly_paid", balance=D("8.38"), paid_to_date=invoice.gross - D("8.38"))
    typed = BECAUSE | {"amount": "8.38", "cause": "bank_costs"}
    return of_invoice(
        "write_off_rest", invoice, {"balance": D("83.80")}, "Open was “8.38 EUR”", "is “83.80 EUR” now", typed
    )


def cancelled_rest() -> Scene:
    invoice = billed(state="cancelled")
    Invoice.objects.update(cancelled_rest=D("8.38"), paid_to_date=D(1))
    typed = BECAUSE | {"cause": "bank_costs"}
    old, new = "Cancelled was “8.38 EUR”", "is “83.80 EUR” now"
    return of_invoice("cancelled_rest", invoice, {"cancelled_rest": D("83.80")}, old, new, typed)


def ended() -> Scene:
    invoice = billed()
    typed = BECAUSE | {"again": "copy"}
    old = f"Before tax was “{invoice.net:,.2f} EUR”"
    return of_invoice("cancel", invoice, HOURS_NOW | {"seal": "b" * 64}, old, NOW, typed)


def kept() -> Scene:
    invoice = billed()
    remote = RemoteRecord.objects.get(invoice=invoice)
    wish: dict[str, Any] = {"user": make_user().pk, "note": "x", "was_draft": False, "again": "copy"}
    rows = RemoteRecord.objects.filter(pk=remote.pk)
    rows.update(desired={**remote.desired, END: wish}, state=RecordState.ATTENTION, sentence="Money came in.")
    return Scene(
        url("invoicing_invoice_keep", invoice.pk),
        lambda: rows.update(sentence="It was deleted."),
        "What happened was “Money came in.”",
        "is “It was deleted.” now",
        BECAUSE,
    )


def made_twice() -> Scene:
    remote = RemoteRecord.objects.get(invoice=billed())
    RemoteRecord.objects.filter(pk=remote.pk).update(state=RecordState.SYNCED, desired={"gross": "229.90"})
    facts: dict[str, Any] = {"record": remote, "kept_id": remote.remote_id, "kept_number": "0047"}
    facts |= {"other_id": "x", "other_number": "0048", "sentence": "Two of them.", "found_at": timezone.now()}
    twin = Twin.objects.create(**facts)
    rows = Twin.objects.filter(pk=twin.pk)
    return Scene(
        url("invoicing_twin_end", twin.pk),
        lambda: rows.update(kept_id="x", kept_number="0048", other_id=remote.remote_id, other_number="0047"),
        "Ended was “0048”",
        "is “0047” now",
    )


def set_free() -> Scene:
    invoice = billed(state="cancelled")
    rows = InvoiceLine.objects.filter(invoice=invoice)
    return Scene(
        url("invoicing_invoice_set_free", invoice.pk),
        lambda: rows.update(billed_hours=20, amount=1900),
        "Before tax was “190.00 EUR”",
        "is “1,900.00 EUR” now",
        BECAUSE | {"again": "write-off"},
    )


def credit_of(invoice: Invoice, **record: Any) -> Credit:
    remote = RemoteRecord.objects.create(server="invoice_ninja", kind="credit", our_key=f"bc-c{invoice.pk};", **record)
    return Credit.objects.create(
        invoice=invoice, currency="EUR", net=D(10), gross=D(10), cause="goodwill", credit_date="2026-01-02",
        reason="x", made_by=make_user(), remote=remote,
    )  # fmt: skip


def credit_scene(page: str, **record: Any) -> Scene:
    invoice = billed()
    credit = credit_of(invoice, **record)
    if page == "give_up_credit":
        rows: Any = RemoteRecord.objects.filter(pk=credit.remote_id)
        change, old, new = {"sentence": "No such client."}, "“It was refused.”", "is “No such client.” now"
    else:
        rows = Invoice.objects.filter(pk=invoice.pk)
        change, old, new = {"balance": D("5.00")}, "Open, with tax was “229.90 EUR”", "is “5.00 EUR” now"
    address = url(f"invoicing_invoice_{page}", invoice.pk, credit.pk)
    return Scene(address, lambda: rows.update(**change), old, new, BECAUSE)


def settled() -> Scene:
    row = difference("1")
    rows = Difference.objects.filter(pk=row.pk)
    return Scene(
        url("sync_difference_confirm", row.pk, "ignore"),
        lambda: rows.update(amount=D(-950), sentence="−10.00 h"),
        "Ignore −95.00 EUR of",
        "Ignore −950.00 EUR of",
        BECAUSE,
    )


def paused() -> Scene:
    invoice = make_owed()
    typed = BECAUSE | {"of": "invoice", "until": pausing.today().isoformat()}
    return Scene(
        url("invoicing_pause_reminders", invoice.pk),
        lambda: Invoice.objects.update(balance=D(25)),
        "Open was “258.64 EUR”",
        "is “25.00 EUR” now",
        typed,
    )


def lifted() -> Scene:
    invoice = make_owed()
    pause = pausing.pause(
        invoice, until=pausing.today(), is_for_client=False, reason="asked for time", seen="", user=make_user()
    )
    rows = ReminderPause.objects.filter(pk=pause.pk)
    return Scene(
        url("invoicing_lift_pause", pause.pk),
        lambda: rows.update(reason="is in court"),
        "asked for time",
        "is in court",
        BECAUSE,
    )


def reminded() -> Scene:
    invoice = make_owed()
    return Scene(
        url("invoicing_remind", invoice.pk),
        lambda: Invoice.objects.update(balance=D(25)),
        "Open was “258.64 EUR”",
        "is “25.00 EUR” now",
    )


def reminder() -> Scene:
    invoice = make_owed()
    row = Reminder.objects.create(
        invoice=invoice, text="reminder1", balance=D("258.64"), state="attention", sentence="There is no proof."
    )
    rows = Reminder.objects.filter(pk=row.pk)
    return Scene(
        url("invoicing_reminder_decide", row.pk, "arrived"),
        lambda: rows.update(sentence="It bounced."),
        "What happened was “There is no proof.”",
        "is “It bounced.” now",
        BECAUSE,
    )


SCENES: dict[str, Callable[[], Scene]] = {
    "invoicing_invoice_approve": lambda: draft_scene("approve", {}),
    "invoicing_invoice_hold": lambda: draft_scene("hold"),
    "invoicing_invoice_free": lambda: draft_scene("free", {}, "held"),
    "invoicing_invoice_reject": lambda: draft_scene("reject"),
    "invoicing_invoice_refresh": stale,
    "invoicing_invoice_withdraw": approved,
    "invoicing_invoice_exclude_line": lambda: line_scene("exclude_line"),
    "invoicing_invoice_hold_line": lambda: line_scene("hold_line"),
    "invoicing_invoice_edit_line": lambda: line_scene("edit_line", text="Words"),
    "invoicing_invoice_adjust_line": lambda: line_scene("adjust_line", hours="1", rate="90", meaning="purpose"),
    "invoicing_invoice_add_line": added,
    "invoicing_invoice_credit": credited,
    "invoicing_invoice_reserve_credit": lambda: reserved("reserve_credit"),
    "invoicing_invoice_free_credit": lambda: reserved("free_credit"),
    "invoicing_close_month": closing,
    "invoicing_reopen_month": reopening,
    "invoicing_invoice_chosen_lines": chosen,
    "invoicing_invoice_take_along": taken_along,
    "invoicing_invoicerun_refresh": lambda: run_scene("refresh"),
    "invoicing_invoicerun_build_again": lambda: run_scene("build_again"),
    "invoicing_invoicerun_preview": previewed,
    "invoicing_invoicerun_supplement": supplemented,
    "invoicing_invoice_approve_many": lambda: selected("approve_many", [draft()], "approve", "revision"),
    "invoicing_invoice_send": lambda: selected("send", sealed(), selections.SEND, "seal"),
    "invoicing_invoice_mark_sent": lambda: selected("mark_sent", sealed(), selections.MARK, "seal", BECAUSE),
    "invoicing_invoice_redate": redated,
    "invoicing_invoice_decide": unsure,
    "invoicing_invoice_settle": deviation,
    "invoicing_invoice_receivers": receivers,
    "invoicing_invoice_receivers_leave": lambda: receivers("attention", "receivers_leave"),
    "invoicing_invoice_bounced": bounced,
    "invoicing_invoice_write_off_rest": rest,
    "invoicing_invoice_cancelled_rest": cancelled_rest,
    "invoicing_invoice_cancel": ended,
    "invoicing_invoice_keep": kept,
    "invoicing_invoice_set_free": set_free,
    "invoicing_twin_end": made_twice,
    "invoicing_invoice_use_credit": lambda: credit_scene("use_credit", state="synced", remote_id="k1"),
    "invoicing_invoice_give_up_credit": lambda: credit_scene(
        "give_up_credit", state="attention", sentence="It was refused."
    ),
    "sync_difference_confirm": settled,
    "invoicing_pause_reminders": paused,
    "invoicing_lift_pause": lifted,
    "invoicing_remind": reminded,
    "invoicing_reminder_decide": reminder,
}
