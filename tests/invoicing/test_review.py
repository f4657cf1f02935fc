"""What a person does with a draft: every act with a reason, on the revision on screen, once."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from decimal import Decimal as D

import pytest
from django.db import connection, transaction

from accounts.models import User
from billing_console import clock
from billing_console.errors import NotAllowed, StaleRevision
from invoicing import adjusting, build, content, review
from invoicing.models import Invoice, InvoiceLine
from invoicing.run import refresh_run
from mappings.lookups import new_rule_set_version
from mappings.models import Company
from sync import attention
from sync.models import RemoteRecord, TimeEntry, Transition
from tests.invoicing.world import (
    IN_JANUARY,
    built,
    change_hours,
    make_client,
    make_project,
    make_user,
    make_work,
    on_screen,
    prove,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _in_january() -> Iterator[None]:
    with clock.set_to(IN_JANUARY):
        yield


@pytest.fixture
def user() -> User:
    return make_user("Approver", "ada")


def draft(*hours: str, **rules: object) -> Invoice:
    project = make_project(make_client(**rules))
    for ref, value in enumerate(hours or ("2.1", "1.0"), start=1):
        make_work(project, value, ref=ref)
    return built().invoices.get()


def trail(invoice: Invoice) -> list[tuple[str, str, str]]:
    rows = Transition.objects.filter(model="invoicing.invoice", row_id=invoice.pk).order_by("id")
    return [(row.from_state, row.to_state, row.user.username if row.user else "") for row in rows]


# --- lines --------------------------------------------------------------------------------------------------------


def test_excluding_a_line_puts_its_entry_off(user: User) -> None:
    invoice = draft("2.1", "1.0")
    line = invoice.lines.get(ref=2)
    after = review.exclude_line(line, seen=on_screen(line), user=user, reason="Wait for Acme")
    line.refresh_from_db()
    entry = TimeEntry.objects.get(pk=line.entry_id)
    assert (after.net, after.tax, after.gross, after.revision) == (D("213.75"), D("44.89"), D("258.64"), 3)
    assert (line.is_voided, line.void_reason, line.voided_by) == (True, "Wait for Acme", user)
    assert (entry.state, entry.reason, entry.reason_note) == ("held", "next_run", "Wait for Acme")
    assert "next run" in entry.reason_sentence.lower()
    moved = Transition.objects.get(model="sync.timeentry", row_id=entry.pk, from_state="claimed")
    assert (moved.to_state, moved.why, moved.user) == ("held", "Wait for Acme", user)


def test_holding_a_line_holds_its_entry_until_somebody_releases_it(user: User) -> None:
    invoice = draft("2.1", "1.0")
    line = invoice.lines.get(ref=2)
    after = review.hold_line(line, seen=on_screen(line), user=user, reason="Ask Acme")
    entry = TimeEntry.objects.get(pk=line.entry_id)
    assert (after.net, entry.state, entry.reason, entry.reason_note, entry.held_by_person) == (
        D("213.75"), "held", "by_person", "Ask Acme", True,
    )  # fmt: skip
    assert "Release it when it may be billed" in entry.reason_sentence
    refresh_run(invoice.run)
    build.build_due()
    entry.refresh_from_db()
    assert entry.state == "held"
    attention.release_entry(entry, user=user)
    refresh_run(invoice.run)
    build.build_due()
    assert Invoice.objects.get().net == D("308.75")
    assert invoice.lines.filter(entry=entry).count() == 2  # the one that was held stays to be seen


def test_a_second_click_on_exclude_is_one_sentence(user: User) -> None:
    invoice = draft()
    line = invoice.lines.first()
    review.exclude_line(line, seen=on_screen(line), user=user, reason="x")
    with pytest.raises(NotAllowed, match="not on the draft any more"):
        review.exclude_line(line, seen=on_screen(line), user=user, reason="x")


def test_the_last_line_cannot_be_excluded(user: User) -> None:
    invoice = draft("2.1")
    with pytest.raises(NotAllowed, match="Reject the draft"):
        review.exclude_line(invoice.lines.get(), seen=on_screen(invoice.lines.get()), user=user, reason="x")


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_no_act_without_a_reason(user: User, reason: str) -> None:
    invoice = draft()
    line = invoice.lines.first()
    acts = [
        lambda: review.exclude_line(line, seen=on_screen(line), user=user, reason=reason),
        lambda: review.hold_line(line, seen=on_screen(line), user=user, reason=reason),
        lambda: review.edit_text(line, seen=on_screen(line), user=user, text="x", reason=reason),
        lambda: review.hold_draft(invoice, revision=2, user=user, note=reason),
        lambda: review.reject_draft(invoice, revision=2, user=user, reason=reason),
        lambda: review.withdraw_approval(invoice, user=user, reason=reason),
    ]
    for act in acts:
        with pytest.raises(NotAllowed, match="Say why"):
            act()
    assert Invoice.objects.get().revision == 2


def test_editing_keeps_the_first_text_and_neutralises_the_new_one(user: User) -> None:
    invoice = draft("2.1")
    line = invoice.lines.get()
    review.edit_text(line, seen=on_screen(line), user=user, text=" Work of :MONTH ", reason="Clearer")
    review.edit_text(line, seen=on_screen(line), user=user, text="Payments", reason="Clearer still")
    line.refresh_from_db()
    assert (line.notes, line.original_notes, line.edit_reason, line.edited_by) == (
        "Payments",
        "Task #1: Implement payment gateway",
        "Clearer still",
        user,
    )
    review.edit_text(line, seen=on_screen(line), user=user, text="Task #1: Implement payment gateway", reason="Back")
    line.refresh_from_db()
    assert (line.original_notes, line.edited_by) == ("", None)
    assert Invoice.objects.get().net == D("213.75")


def test_editing_neutralises_reserved_words(user: User) -> None:
    line = draft("2.1").lines.get()
    review.edit_text(line, seen=on_screen(line), user=user, text=" Work of :MONTH ", reason="Clearer")
    line.refresh_from_db()
    assert line.notes == "Work of \u2236MONTH"


# --- drafts -------------------------------------------------------------------------------------------------------


def test_hold_and_free(user: User) -> None:
    invoice = draft()
    review.hold_draft(invoice, revision=2, user=user, note="Ask Acme")
    held = Invoice.objects.get()
    assert (held.state, held.note) == ("held", "Ask Acme")
    with pytest.raises(NotAllowed, match="is held already, by ada"):
        review.approve(held, revision=2, user=user)
    review.unhold_draft(held, revision=2, user=user)
    assert Invoice.objects.get().state == "draft"
    assert trail(invoice) == [("", "draft", ""), ("draft", "held", "ada"), ("held", "draft", "ada")]


def test_rejecting_gives_every_entry_back(user: User) -> None:
    invoice = draft("2.1", "1.0")
    review.reject_draft(invoice, revision=2, user=user, reason="Wrong client")
    invoice.refresh_from_db()
    assert (invoice.state, invoice.note, invoice.run.state) == ("rejected", "Wrong client", "done")
    assert set(TimeEntry.objects.values_list("state", flat=True)) == {"ready"}
    assert not InvoiceLine.objects.filter(is_voided=False).exists()
    again = built()
    assert again.pk == invoice.run_id
    assert again.invoices.get(state="draft").lines.count() == 2


def test_rejecting_a_stale_draft_prices_its_entries_again(user: User) -> None:
    invoice = draft("2.1", "1.0")
    entry = TimeEntry.objects.get(item__ref=1)
    change_hours(entry, "3.1")
    entry.refresh_from_db()
    assert (entry.state, entry.billed_hours) == ("claimed", D("2.25"))
    review.reject_draft(invoice, revision=2, user=user, reason="Wrong")
    entry.refresh_from_db()
    assert (entry.state, entry.billed_hours) == ("ready", D("3.25"))


def test_a_held_draft_can_be_rejected(user: User) -> None:
    invoice = draft()
    review.hold_draft(invoice, revision=2, user=user, note="x")
    review.reject_draft(invoice, revision=2, user=user, reason="Never mind")
    assert Invoice.objects.get().state == "rejected"


# --- approval -----------------------------------------------------------------------------------------------------


def test_approval_dates_seals_and_asks_for_the_invoice(user: User) -> None:
    invoice = review.approve(draft("2.1"), revision=2, user=user)
    invoice.refresh_from_db()
    assert (invoice.state, invoice.approved_by) == ("approved", user)
    assert (invoice.invoice_date, invoice.due_date) == (dt.date(2026, 1, 2), dt.date(2026, 2, 1))
    assert invoice.terms == "Payment due within 30 days"
    assert (len(invoice.seal), invoice.seal) == (64, content.seal_of(Invoice.objects.get()))
    remote = invoice.remote
    assert (remote.kind, remote.server, remote.our_key, remote.state) == (
        "invoice",
        "invoice_ninja",
        f"bc-{invoice.uuid};",
        "pending",
    )
    assert remote.desired["lines"][0]["quantity"] == "2.25"
    assert remote.desired["lines"][0]["task_id"].startswith("task")
    assert invoice.run.state == "done"


def test_a_total_that_invoice_ninja_would_round_to_five_cents_is_not_approved(user: User) -> None:
    """373.59 would come to 373.60 there, and no button would lead out (recordings 792 to 798)."""
    invoice = draft()
    type(invoice.client).objects.update(rounds_to_five_cents=True)

    with pytest.raises(NotAllowed) as refused:
        review.approve(Invoice.objects.get(), revision=invoice.revision, user=user)

    assert refused.value.sentence.replace("\N{NO-BREAK SPACE}", " ") == (
        f"Invoice Ninja rounds the totals of {invoice.client} to five cents (enable_rappen_rounding), so this invoice "
        "would come to 373.60 EUR there, not to 373.59 EUR. Switch that off in Invoice Ninja, refresh the lists here, "
        "then approve."
    )
    assert Invoice.objects.get().state == "draft"


def test_a_total_of_whole_five_cents_is_approved_all_the_same(user: User) -> None:
    invoice = draft("2", tax_rate=0)
    type(invoice.client).objects.update(rounds_to_five_cents=True)

    assert review.approve(Invoice.objects.get(), revision=invoice.revision, user=user).state == "approved"


def test_the_invoice_date_is_local(user: User) -> None:
    invoice = draft("2.1")
    with clock.set_to(dt.datetime(2026, 1, 2, 23, 30, tzinfo=dt.UTC)):
        assert review.approve(invoice, revision=2, user=user).invoice_date == dt.date(2026, 1, 3)


def test_due_on_receipt(user: User) -> None:
    invoice = review.approve(draft("2.1", payment_terms="due_on_receipt"), revision=2, user=user)
    assert (invoice.invoice_date, invoice.due_date) == (invoice.due_date, dt.date(2026, 1, 2))


def test_due_at_the_end_of_the_month_also_when_it_is_dated_anew(user: User) -> None:
    invoice = review.approve(draft("2.1", payment_terms="net 30 end of month"), revision=2, user=user)
    assert (invoice.invoice_date, invoice.due_date) == (dt.date(2026, 1, 2), dt.date(2026, 2, 28))
    assert invoice.terms == "Payment due 30 days, end of month"
    assert Invoice.objects.get().payment_terms.due_date(dt.date(2026, 1, 1)) == dt.date(2026, 1, 31)


def test_the_seal_breaks_when_a_line_is_touched(user: User) -> None:
    invoice = review.approve(draft("2.1"), revision=2, user=user)
    InvoiceLine.objects.update(notes="Something else")
    assert content.seal_of(Invoice.objects.get()) != invoice.seal


def test_a_second_approval_is_one_sentence(user: User) -> None:
    invoice = draft()
    review.approve(invoice, revision=2, user=user)
    # The trail has the real time, not the business time that stands in January.
    Transition.objects.filter(to_state="approved").update(at=dt.datetime(2026, 2, 28, 23, 30, tzinfo=dt.UTC))
    with pytest.raises(
        NotAllowed, match=f"^{invoice} is approved already, by ada on 1 Mar 2026 00:30; nothing was changed.$"
    ):
        review.approve(invoice, revision=2, user=user)
    assert RemoteRecord.objects.filter(kind="invoice").count() == 1


def test_an_old_revision_cannot_be_approved(user: User) -> None:
    invoice = draft()
    review.edit_text(invoice.lines.first(), seen=on_screen(invoice.lines.first()), user=user, text="x", reason="y")
    with pytest.raises(StaleRevision):
        review.approve(invoice, revision=2, user=user)


def test_a_stale_draft_cannot_be_approved(user: User) -> None:
    invoice = draft("2.1")
    change_hours(TimeEntry.objects.get(), "3.1")
    with pytest.raises(NotAllowed, match=r"Taiga changed since.*#1.*Refresh the draft first\."):
        review.approve(invoice, revision=2, user=user)


def test_an_undecided_tax_blocks_until_the_rule_set_says(user: User) -> None:
    invoice = draft("2.1", tax_decision="undecided", tax_rate=D(0), tax_name="")
    with pytest.raises(NotAllowed, match="Choose the tax for Acme Corp"):
        review.approve(invoice, revision=2, user=user)
    from invoicing import hooks

    changes = {"tax_decision": "no_tax", "no_tax_text": "VAT reverse charge"}
    hooks.apply_tax_decision(new_rule_set_version(invoice.client, changes))
    invoice.refresh_from_db()
    assert (invoice.revision, invoice.gross, invoice.public_notes) == (3, D("213.75"), "VAT reverse charge")
    assert review.approve(invoice, revision=3, user=user).state == "approved"


def test_a_client_that_is_gone_blocks(user: User) -> None:
    invoice = draft("2.1")
    invoice.client.is_deleted = True
    invoice.client.save()
    with pytest.raises(NotAllowed, match="no living client"):
        review.approve(invoice, revision=2, user=user)


@pytest.mark.parametrize(
    ("decimals", "currency", "refusal"),
    [
        (0, "HUF", "Invoice Ninja counts HUF with 0 decimals, the console with 2"),
        (2, "XOF", "Invoice Ninja counts XOF with 2 decimals, the console with 0"),
        (2, "TND", "Invoice Ninja counts TND with 2 decimals, the console with 3"),
        (0, "JPY", ""),
        (3, "KWD", ""),
        (2, "EUR", ""),
        (None, "EUR", ""),  # not read since the console learned to ask
    ],
)
def test_a_currency_that_the_server_counts_otherwise_blocks(
    user: User, decimals: int | None, currency: str, refusal: str
) -> None:
    invoice = draft("2.1")
    client = invoice.client
    client.currency = invoice.currency = currency
    client.currency_decimals = decimals
    found = review.obstacles_on_row(invoice)
    assert len(found) == (1 if refusal else 0)
    assert all(sentence.startswith(refusal) for sentence in found)


def test_totals_that_contradict_the_lines_block(user: User) -> None:
    invoice = draft("2.1")
    Invoice.objects.update(gross=D("1.00"))
    with pytest.raises(NotAllowed, match=r"contradicts itself \(gross\)"):
        review.approve(invoice, revision=2, user=user)


def test_a_task_that_is_no_longer_proven_blocks(user: User) -> None:
    invoice = draft("2.1")
    RemoteRecord.objects.filter(kind="task").update(state="attention")
    with pytest.raises(NotAllowed, match="not ready in Invoice Ninja any more"):
        review.approve(invoice, revision=2, user=user)


def edited(user: User, act: str) -> Invoice:
    """A draft that `user` changed in one of the ways there are."""
    invoice = draft()
    line = invoice.lines.get(ref=1)
    if act == "text":
        return review.edit_text(line, seen=on_screen(line), user=user, text="Payments", reason="x")
    if act == "figures":
        return adjusting.adjust_line(
            line, seen=on_screen(line), user=user, hours=D(1), rate=D(95), reason="x", meaning="purpose"
        )
    if act == "added":
        return adjusting.add_line(invoice, user=user, text="Fee", quantity=D(1), price=D(5), reason="x")
    take_off = review.exclude_line if act == "excluded" else review.hold_line
    return take_off(line, seen=on_screen(line), user=user, reason="x")


@pytest.mark.parametrize(
    ("act", "line"), [("text", "#1"), ("figures", "#1"), ("added", "“Fee”"), ("excluded", "#1"), ("held", "#1")]
)
def test_with_four_eyes_another_person_approves_what_was_edited(user: User, act: str, line: str) -> None:
    invoice = edited(user, act)
    Company.objects.update_or_create(pk=1, defaults={"needs_four_eyes": True})
    with pytest.raises(NotAllowed, match=rf"You edited line {line} at \d\d:\d\d; another approver must approve\."):
        review.approve(invoice, revision=3, user=user)
    assert Invoice.objects.get().state == "draft"
    assert review.approve(invoice, revision=3, user=make_user("Approver")).state == "approved"


def test_without_four_eyes_and_without_a_change_one_person_is_enough(user: User) -> None:
    assert review.approve(edited(user, "text"), revision=3, user=user).state == "approved"
    Company.objects.update_or_create(pk=1, defaults={"needs_four_eyes": True})
    project = make_project(make_client("Other"))
    make_work(project)
    other = built().invoices.get(client=project.client)
    review.edit_text(other.lines.get(), seen=on_screen(other.lines.get()), user=user, text="x", reason="y")
    review.edit_text(
        other.lines.get(),
        seen=on_screen(other.lines.get()),
        user=user,
        text=other.lines.get().original_notes,
        reason="y",
    )
    with pytest.raises(NotAllowed, match="You changed a draft of this client and period"):
        review.approve(other, revision=4, user=user)  # who touched it is a set that only grows
    untouched = make_project(make_client("Third"))
    make_work(untouched)
    third = built().invoices.get(client=untouched.client)
    assert review.approve(third, revision=2, user=user).state == "approved"


def test_four_eyes_are_not_walked_round_by_rejecting_the_draft(user: User) -> None:
    """A alone holds a line, rejects and refreshes: the new draft bears no trace of it, but the trail does."""
    Company.objects.update_or_create(pk=1, defaults={"needs_four_eyes": True})
    invoice = draft()
    review.hold_line(
        invoice.lines.get(ref=1), seen=on_screen(invoice.lines.get(ref=1)), user=user, reason="not this one"
    )
    review.reject_draft(invoice, revision=3, user=user, reason="anew")
    refresh_run(invoice.run)
    build.build_due()
    new = Invoice.objects.get(state="draft")
    with pytest.raises(NotAllowed, match=r"You changed a draft of this client and period on .* another approver"):
        review.approve(new, revision=new.revision, user=user)
    other = make_user("Approver")
    assert review.approve(new, revision=new.revision, user=other).state == "approved"


def test_four_eyes_know_who_wrote_before_the_last_writer(user: User) -> None:
    Company.objects.update_or_create(pk=1, defaults={"needs_four_eyes": True})
    invoice, other = draft(), make_user("Approver")
    added = adjusting.add_line(invoice, user=user, text="Fee", quantity=D(1), price=D(1000), reason="x")
    line = added.lines.get(entry__isnull=True)
    adjusting.adjust_line(line, seen=on_screen(line), user=other, hours=D(1), rate=D("1000.01"), reason="a cent")
    for somebody in (user, other):
        with pytest.raises(NotAllowed, match="another approver must approve"):
            review.approve(invoice, revision=4, user=somebody)
    assert review.approve(invoice, revision=4, user=make_user("Approver")).state == "approved"


def test_four_eyes_count_what_was_decided_about_an_entry(user: User) -> None:
    Company.objects.update_or_create(pk=1, defaults={"needs_four_eyes": True})
    entry = make_work(make_project(make_client()), "30", ref=1)
    attention.confirm_entry(entry, user=user)
    prove(entry)
    invoice = built().invoices.get()
    with pytest.raises(NotAllowed, match="You decided about an entry on this draft"):
        review.approve(invoice, revision=2, user=user)
    assert review.approve(invoice, revision=2, user=make_user("Approver")).state == "approved"


def test_taking_an_approval_back_moves_both_rows(user: User) -> None:
    invoice = review.approve(draft("2.1"), revision=2, user=user)
    review.withdraw_approval(invoice, user=user, reason="Too soon")
    invoice.refresh_from_db()
    assert (invoice.state, invoice.seal, invoice.invoice_date, invoice.revision) == ("draft", "", None, 3)
    assert (invoice.remote.state, invoice.run.state) == ("dropped", "in_review")
    again = review.approve(invoice, revision=3, user=user)
    again.refresh_from_db()
    assert (again.state, again.remote.state, again.remote.revision) == ("approved", "pending", 2)


@pytest.mark.parametrize("state", ["in_flight", "synced", "in_doubt", "attention", "retry"])
def test_an_approval_stays_once_it_may_be_in_invoice_ninja(user: User, state: str) -> None:
    invoice = review.approve(draft("2.1"), revision=2, user=user)
    import uuid

    RemoteRecord.objects.filter(kind="invoice").update(
        state=state, claim_id=uuid.uuid4(), lease_until=dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    )
    with pytest.raises(NotAllowed, match="already, so the approval stays"):
        review.withdraw_approval(invoice, user=user, reason="Too soon")
    assert Invoice.objects.get().state == "approved"


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_change_in_taiga_in_the_middle_of_an_approval_marks_first_or_becomes_a_difference(user: User) -> None:
    invoice = draft("2.1")
    failures: list[BaseException] = []

    def approve() -> None:
        try:
            with clock.set_to(IN_JANUARY):
                review.approve(invoice, revision=2, user=user)
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    approver = threading.Thread(target=approve)
    with transaction.atomic():
        change_hours(TimeEntry.objects.get(), "3.1")  # holds the draft's row: it is being marked stale
        approver.start()
        approver.join(1)
        assert approver.is_alive()
    approver.join(30)
    assert [type(error) for error in failures] == [NotAllowed]
    assert Invoice.objects.get().state == "draft"
