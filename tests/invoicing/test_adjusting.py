"""Hours or rate written anew, lines by hand: the amount is counted again, the first figures stay, nothing doubles."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal as D
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.models import User
from billing_console import clock, money
from billing_console.errors import ConsoleError, NotAllowed, StaleRevision
from invoicing import adjusting, build, calculator, content, oddities, reconcile, review
from invoicing.models import Invoice, InvoiceLine, Meaning
from invoicing.run import refresh_run
from sync import attention
from sync.clients.ninja_texts import line_text
from sync.models import TimeEntry, Transition
from tests.invoicing.world import (
    DECEMBER,
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
    return make_user("Billing clerk", "carl")


def draft(*hours: str, **rules: object) -> Invoice:
    """2.25 h and 1.00 h at 95.00 without any `hours`: 308.75 EUR."""
    project = make_project(make_client(**rules))
    for ref, value in enumerate(hours or ("2.1", "1.0"), start=1):
        make_work(project, value, ref=ref)
    return built().invoices.get()


def fresh(invoice: Invoice) -> Invoice:
    return Invoice.objects.get(pk=invoice.pk)


def adjust(
    line: InvoiceLine, hours: str, rate: str, user: User, reason: str = "Agreed", meaning: str = Meaning.ON_PURPOSE
) -> Invoice:
    line = InvoiceLine.objects.get(pk=line.pk)
    written: dict[str, Any] = {"hours": D(hours), "rate": D(rate), "reason": reason, "meaning": meaning}
    return adjusting.adjust_line(line, seen=on_screen(line), user=user, **written)


def add(invoice: Invoice, quantity: str, price: str, user: User, text: str = "Hosting") -> Invoice:
    return adjusting.add_line(
        invoice,
        user=user,
        text=text,
        quantity=D(quantity),
        price=D(price),
        reason="Agreed",
    )


def refreshed(invoice: Invoice) -> Invoice:
    refresh_run(invoice.run)
    build.build_due()
    return fresh(invoice)


# --- adjusting ----------------------------------------------------------------------------------------------------


def test_hours_written_down_count_the_amount_again_and_keep_the_first_figures(user: User) -> None:
    invoice = draft()
    line = invoice.lines.get(ref=1)

    after = adjust(line, "1.5", "95.01", user, "Half of it was our mistake")

    line.refresh_from_db()
    assert (line.billed_hours, line.rate, line.amount) == (D("1.50"), D("95.010"), D("142.520"))  # 142.515, half up
    assert (line.original_hours, line.original_rate, line.original_amount) == (D("2.25"), D("95.000"), D("213.750"))
    assert (line.adjust_reason, line.adjusted_by, line.adjustment) == ("Half of it was our mistake", user, D("-71.230"))
    assert (after.net, after.tax, after.gross, after.billed_hours, after.revision) == (
        D("237.52"), D("49.88"), D("287.40"), D("2.50"), 3,
    )  # fmt: skip
    assert TimeEntry.objects.get(pk=line.entry_id).amount == D("213.75")
    trail = Transition.objects.get(model="invoicing.invoice", row_id=invoice.pk, user=user)
    assert "2.25 × 95.00 = 213.75\xa0EUR is now 1.50 × 95.01 = 142.52\xa0EUR: Half of it was our mistake" in trail.why


def test_a_second_adjustment_keeps_the_first_figures_and_the_first_figures_take_it_back(user: User) -> None:
    line = draft().lines.get(ref=1)
    adjust(line, "2", "95", user)
    adjust(line, "3", "100", user)
    line.refresh_from_db()
    assert (line.amount, line.original_amount) == (D(300), D("213.75"))
    after = adjust(line, "2.25", "95", user)
    line.refresh_from_db()
    assert (line.is_adjusted, line.adjusted_by, line.adjust_reason, line.amount) == (False, user, "", D("213.75"))
    assert after.net == D("308.75")


@pytest.mark.parametrize(
    ("hours", "rate", "sentence"),
    [
        ("1.005", "95", "at most two decimals"),
        ("-1", "95", "between 0 and"),
        ("10000", "95", "between 0 and"),
        ("1", "95.001", "at most 2 decimals in EUR"),
        ("1", "1000000", "below a million"),
        ("1", "-95", "cannot be negative"),
    ],
)
def test_figures_that_cannot_be_printed_exactly_are_refused(hours: str, rate: str, sentence: str, user: User) -> None:
    invoice = draft()
    with pytest.raises(NotAllowed, match=sentence):
        adjust(invoice.lines.get(ref=1), hours, rate, user)
    assert fresh(invoice).revision == 2


def test_a_yen_has_no_decimals(user: User) -> None:
    project = make_project(make_client(currency="JPY"), rate="9000")
    make_work(project, "2.1", ref=1)
    line = built().invoices.get().lines.get()
    with pytest.raises(NotAllowed, match="at most 0 decimals in JPY"):
        adjust(line, "1", "9000.5", user)
    assert adjust(line, "1.25", "8999", user).net == D(11249)


def test_a_draft_cannot_be_written_down_to_nothing_but_a_line_can(user: User) -> None:
    invoice = draft()
    first, second = invoice.lines.order_by("ref")
    assert adjust(first, "0", "95", user).net == D("95.00")
    with pytest.raises(NotAllowed, match=r"would come to 0\.00\xa0EUR"):
        adjust(second, "1", "0", user)
    assert fresh(invoice).net == D("95.00")


def test_no_adjustment_without_a_reason_on_another_line_than_was_shown_or_on_what_taiga_changed(user: User) -> None:
    invoice = draft()
    line = invoice.lines.get(ref=1)
    with pytest.raises(NotAllowed, match="Say why"):
        adjust(line, "1", "95", user, " ")
    old = {**on_screen(line), "Hours": "2.00"}
    with pytest.raises(StaleRevision, match="Hours was “2.00” and is “2.25” now"):
        adjusting.adjust_line(line, seen=old, user=user, hours=D(1), rate=D(95), reason="x")
    change_hours(TimeEntry.objects.get(item__ref=1), "3.1")
    with pytest.raises(NotAllowed, match="Refresh the draft first"):
        adjust(line, "1", "95", user)
    adjust(invoice.lines.get(ref=2), "0.5", "95", user)  # another line may be written


# --- lines by hand ------------------------------------------------------------------------------------------------


def test_a_line_by_hand_has_no_entry_comes_last_and_counts_no_hours(user: User) -> None:
    invoice = draft()

    after = add(invoice, "3", "19.99", user, " Hosting of :MONTH ")

    line = after.lines.get(entry__isnull=True)
    assert (line.notes, line.amount, line.position, line.raw_hours) == ("Hosting of \u2236MONTH", D("59.97"), 3, 0)
    assert (line.adjusted_by, line.adjust_reason, str(line.work_date)) == (user, "Agreed", "2025-12-31")
    assert (after.net, after.billed_hours, after.raw_hours) == (D("368.72"), D("3.25"), D("3.1"))
    assert review.obstacles_to_approval(after, content.printed_rows(after)) == []


def test_a_discount_may_not_eat_the_total(user: User) -> None:
    invoice = draft()
    assert add(invoice, "1", "-308.74", user, "Discount").net == D("0.01")
    with pytest.raises(NotAllowed, match=r"would come to −9\.99\xa0EUR"):
        add(invoice, "1", "-10", user, "Discount")
    with pytest.raises(NotAllowed, match="must stay above zero"):
        review.exclude_line(invoice.lines.get(ref=1), seen=on_screen(invoice.lines.get(ref=1)), user=user, reason="x")
    assert TimeEntry.objects.filter(state="claimed").count() == 2


@pytest.mark.parametrize(
    ("text", "quantity", "price", "sentence"),
    [
        (" ", "1", "10", "needs a text"),
        ("x", "1", "0", "must come to an amount"),
        ("x", "0", "10", "must come to an amount"),
        ("x", "-1", "10", "between 0 and"),
    ],
)
def test_a_line_by_hand_says_what_it_is(text: str, quantity: str, price: str, sentence: str, user: User) -> None:
    invoice = draft()
    with pytest.raises(NotAllowed, match=sentence):
        add(invoice, quantity, price, user, text)
    assert fresh(invoice).revision == 2


def test_a_line_by_hand_is_removed_not_put_off(user: User) -> None:
    invoice = draft()
    line = add(invoice, "1", "10", user).lines.get(entry__isnull=True)
    with pytest.raises(NotAllowed, match="Remove it instead"):
        review.hold_line(line, seen=on_screen(line), user=user, reason="x")
    after = review.exclude_line(line, seen=on_screen(line), user=user, reason="Not agreed")
    line.refresh_from_db()
    assert (after.net, line.is_voided, line.void_reason) == (D("308.75"), True, "Not agreed")


def test_a_draft_may_keep_lines_by_hand_alone_but_not_nothing(user: User) -> None:
    invoice = draft("2.1")
    with pytest.raises(NotAllowed, match="Reject the draft"):
        review.exclude_line(invoice.lines.get(ref=1), seen=on_screen(invoice.lines.get(ref=1)), user=user, reason="x")
    add(invoice, "1", "10", user)
    after = review.exclude_line(
        invoice.lines.get(ref=1), seen=on_screen(invoice.lines.get(ref=1)), user=user, reason="x"
    )
    assert (after.net, review.approve(after, revision=after.revision, user=user).state) == (D(10), "approved")


def test_other_hours_need_a_meaning_and_another_rate_does_not(user: User) -> None:
    line = draft().lines.get(ref=1)
    with pytest.raises(NotAllowed, match="Say whether the hours in Taiga are wrong"):
        adjust(line, "2", "95", user, meaning="")
    adjust(line, "2.25", "90", user, meaning="")
    line.refresh_from_db()
    assert (line.meaning, line.waived_hours) == ("", D(0))
    adjust(line, "2", "90", user)
    line.refresh_from_db()
    assert (line.meaning, line.waived_hours) == (Meaning.ON_PURPOSE, D("0.25"))
    adjust(line, "2.5", "90", user, meaning=Meaning.TAIGA_IS_WRONG)
    line.refresh_from_db()
    assert (line.meaning, line.waived_hours) == (Meaning.TAIGA_IS_WRONG, D(0))


# --- refreshing ---------------------------------------------------------------------------------------------------


def test_what_a_person_wrote_outlives_a_refresh_that_changes_other_lines(user: User) -> None:
    invoice = draft()
    adjust(invoice.lines.get(ref=1), "2", "95", user)
    add(invoice, "1", "10", user)
    other = TimeEntry.objects.get(item__ref=2)
    change_hours(other, "2")
    refreshed(invoice)
    prove(other)
    build.build_due()
    after = fresh(invoice)
    assert (after.net, after.lines.filter(is_voided=False).count()) == (D("190.00") + D("190.00") + 10, 3)
    assert after.lines.get(ref=1).original_hours == D("2.25")


def test_an_adjustment_of_a_line_that_taiga_changed_is_neither_lost_silently_nor_kept_blindly(user: User) -> None:
    invoice = draft()
    adjust(invoice.lines.get(ref=1), "2", "95", user, "As agreed.")
    entry = TimeEntry.objects.get(item__ref=1)
    change_hours(entry, "3.1")
    refreshed(invoice)
    entry.refresh_from_db()
    assert (entry.state, entry.reason) == ("held", "said_otherwise")
    assert entry.reason_sentence == (
        "carl wrote 2.00 h × 95 over 2.25 h × 95 of #1 (As agreed). Taiga says 3.1 h now, which would bill 3.25 h. "
        "Confirm that, write it off, or correct it in Taiga."
    )
    attention.confirm_entry(entry, user=user)
    prove(entry)
    refreshed(invoice)

    line = fresh(invoice).lines.get(ref=1)
    assert (line.billed_hours, line.is_adjusted, fresh(invoice).net) == (D("3.25"), False, D("403.75"))
    assert line.dropped_sentence == (
        "carl had written 2.00 × 95.00 = 190.00\xa0EUR: As agreed. "
        "Taiga changed the line since; write it again if needed."
    )
    assert ("warning", "an adjustment no longer holds") in oddities.words_of(line, "EUR", [])
    assert not oddities.is_clean(fresh(invoice), oddities.count_oddities([invoice.pk]).get(invoice.pk))

    adjust(line, "3", "95", user)
    line.refresh_from_db()
    assert (line.dropped_sentence, line.amount) == ("", D("285.00"))


def test_an_adjustment_comes_back_when_taiga_says_again_what_it_was_written_over(user: User) -> None:
    invoice = draft()
    adjust(invoice.lines.get(ref=1), "2", "95", user)
    entry = TimeEntry.objects.get(item__ref=1)
    change_hours(entry, "3.1")
    refreshed(invoice)  # released, and asked about: somebody had written other hours
    change_hours(entry, "2.1")
    prove(entry)
    refreshed(invoice)
    line = fresh(invoice).lines.get(ref=1)
    assert (line.billed_hours, line.amount, line.original_amount, line.adjusted_by) == (
        D("2.00"), D("190.00"), D("213.75"), user,
    )  # fmt: skip
    assert fresh(invoice).net == D("285.00")


def test_what_was_written_waits_for_a_line_that_comes_later(user: User, settings: Any) -> None:
    invoice = draft()
    line = invoice.lines.get(ref=1)
    review.edit_text(line, seen=on_screen(line), user=user, text="Payments", reason="Shorter")
    entry = TimeEntry.objects.get(item__ref=1)
    change_hours(entry, "3.1")
    settings.RUN_WAIT_SECONDS = 0
    refreshed(invoice)  # does not wait for the task
    assert fresh(invoice).net == D("95.00")
    prove(entry)
    refreshed(invoice)
    assert (fresh(invoice).lines.get(ref=1).notes, fresh(invoice).net) == ("Payments", D("403.75"))


def test_a_draft_without_work_stays_for_its_lines_by_hand(user: User) -> None:
    entry = make_work(make_project(make_client()), ref=1)
    run = built()
    add(run.invoices.get(), "1", "10", user)
    item = entry.item
    item.attributes = {**item.attributes, "billable": False}
    item.save()
    from sync import entries

    entries.evaluate(item)
    refresh_run(run)
    build.build_due()
    invoice = run.invoices.get()
    assert (invoice.state, invoice.net, run.clients.get().sentence) == ("draft", D(10), "")
    assert review.approve(invoice, revision=invoice.revision, user=user).state == "approved"


# --- what follows from it -----------------------------------------------------------------------------------------


def test_the_order_of_lines_is_project_reference_age_then_what_was_added(user: User) -> None:
    client = make_client()
    shop, api = make_project(client, "webshop"), make_project(client, "Api")
    for project, ref in ((shop, 9), (shop, 2), (api, 12)):
        make_work(project, "1", ref=ref)
    invoice = add(built().invoices.get(), "1", "5", user, "Added")
    rows = content.printed_rows(invoice)
    assert [row.ref for row in rows] == [12, 2, 9, None]
    assert [row.position for row in rows] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "subject",
    [
        "Plain",
        " two  spaces\tand tab ",
        "Work of :MONTH",
        "[MONTH|YEAR]",
        "alert(1)",
        "onerror",
        "",
        "  ",
        "a\u00a0b",
        "(x): <b>",
        "Fix LOCALHOST and 127.0.0.1",
        "an iFrame in /etc/hosts",
        "Fix __init__.py *now*",
        "`a` costs $total",
        "a & b, &amp; 50%24",
        "C:\\_x",
        "100 % done, 2.5 h - ok? yes/no!",
        "zero width\u200b",
        "\ufeffmark",
    ],
)
def test_the_database_writes_the_words_that_the_one_function_would(subject: str) -> None:
    project = make_project(make_client())
    entry = make_work(project, "1", ref=7, subject=subject)
    line = built().invoices.get().lines.get(entry=entry)
    assert line.notes == line_text("T", 7, subject)


def test_the_reconciliation_lists_adjustments_and_lines_by_hand(user: User) -> None:
    invoice = draft()
    adjust(invoice.lines.get(ref=1), "2", "95", user)
    add(invoice, "2", "10", user)
    money_identity = reconcile.check(DECEMBER)[2]
    assert [identity.residue for identity in reconcile.check(DECEMBER)] == [()] * 4
    assert money_identity.left.amounts == {"EUR": D("305.00")}
    assert {term.name: (term.count, term.amounts) for term in money_identity.of_left} == {
        "as priced": (2, {"EUR": D("308.75")}),
        "waived or added on purpose": (1, {"EUR": D("-23.75")}),
        "added by hand": (1, {"EUR": D("20.00")}),
    }
    in_draft = next(term for term in money_identity.right if term.name == "in a draft")
    assert in_draft.amounts == {"EUR": D("305.00")}


def test_an_amount_that_nobody_adjusted_is_a_residue(user: User) -> None:
    invoice = draft()
    InvoiceLine.objects.filter(invoice=invoice, ref=1).update(amount=D("213.74"))
    assert reconcile.check(DECEMBER)[2].residue == ("EUR +0.01",)


@given(data=st.data())
@hypothesis_settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_lines_always_add_up_to_the_total(user: User, data: st.DataObject) -> None:
    project = make_project(make_client())
    for ref in range(1, 5):
        make_work(project, data.draw(st.sampled_from(["0.1", "1", "2.1", "7.33"])), ref=ref)
    invoice = built().invoices.get(client=project.client)
    figures = st.decimals(0, 20, places=2)
    for _ in range(data.draw(st.integers(1, 8))):
        line = data.draw(st.sampled_from(list(invoice.lines.order_by("pk"))))
        act = data.draw(st.sampled_from(["adjust", "add", "exclude", "hold", "text", "taiga"]))
        try:
            if act == "adjust":
                written = {"hours": data.draw(figures), "rate": data.draw(figures), "meaning": Meaning.ON_PURPOSE}
                adjusting.adjust_line(line, seen=on_screen(line), user=user, reason="x", **written)
            elif act == "add":
                add(invoice, str(data.draw(figures)), str(data.draw(st.decimals(-50, 50, places=2))), user)
            elif act == "exclude":
                review.exclude_line(line, seen=on_screen(line), user=user, reason="x")
            elif act == "hold":
                review.hold_line(line, seen=on_screen(line), user=user, reason="x")
            elif act == "text":
                review.edit_text(line, seen=on_screen(line), user=user, text="Words", reason="x")
            elif line.entry is not None:
                change_hours(line.entry, data.draw(st.sampled_from(["1", "3.4"])))
                refresh_run(invoice.run)
                build.build_due()
                prove(line.entry)
                build.build_due()
        except ConsoleError:
            pass
    after = fresh(invoice)
    rows = content.printed_rows(after)
    totals = calculator.total_up(content.as_lines(rows), tax_rate=after.tax_rate, currency="EUR")
    assert (after.net, after.tax, after.gross) == (totals.net, totals.tax, totals.gross)
    assert (after.raw_hours, after.billed_hours) == (totals.raw_hours, totals.billed_hours)
    assert [row.position for row in rows] == list(range(1, len(rows) + 1))
    assert all(row.amount == money.line_amount(row.billed_hours, row.rate, "EUR") for row in rows)
    assert reconcile.check(DECEMBER)[2].residue == ()
    billed = [row.entry_id for row in rows if row.entry_id]
    assert len(billed) == len(set(billed))
    claimed = TimeEntry.objects.filter(state="claimed", client=project.client)
    assert set(claimed.values_list("pk", flat=True)) == set(billed)
