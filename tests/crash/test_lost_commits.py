"""The commit "it is about to be called" came through and its answer did not: who did not call takes it back.

PostgreSQL ends the connection of the worker at that moment, as an outage does. Nobody is asked about a mail that surely
did not leave, and nothing waits for a lease that nobody uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection, transaction

from billing_console.states import InvoiceState, RecordState, ReminderState
from invoicing import creating, reminding, sending
from invoicing.models import Invoice, Reminder
from sync import push
from sync.models import RemoteRecord
from tests.crash.rounds import add_entry
from tests.crash.test_invoice_kills import ask
from tests.crash.test_kills import assert_one_task_each
from tests.crash.test_reminder_kills import ask as ask_reminder
from tests.crash.test_reminder_kills import forget_mails, owed, reminders_there  # noqa: F401 -- owed: a fixture
from tests.outbound import fresh, make_due, states_of
from tests.standins import World

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def cut() -> None:
    """PostgreSQL ends this connection, and the worker learns of it as it learns of an outage."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    settings = connection.get_connection_params()
    with psycopg.connect(**{key: settings[key] for key in ("host", "port", "user", "password", "dbname")
                            if key in settings}, autocommit=True) as other:  # fmt: skip
        other.execute("SELECT pg_terminate_backend(%s)", [pid])
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


@contextmanager
def answer_lost_after(
    is_it: Callable[[str, Any], bool], meanwhile: Callable[[], object] = lambda: None
) -> Iterator[list[str]]:
    """The first transaction with such a statement is committed, and its answer gets lost."""
    done: list[str] = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if done or not is_it(sql, params):
            return execute(sql, params, many, context)
        done.append(sql)
        with transaction.atomic(savepoint=False):  # outside of any it is one of its own
            answer = execute(sql, params, many, context)
            transaction.on_commit(meanwhile)
            transaction.on_commit(cut)
        return answer

    with connection.execute_wrapper(watch):
        yield done
    connection.close_if_unusable_or_obsolete()  # as before every task


def says_that_it_calls(sql: str, params: Any) -> bool:
    return sql.startswith('UPDATE "invoicing_sending" SET "is_called"')


def moves(kind: str, to: str) -> Callable[[str, Any], bool]:
    def is_it(sql: str, params: Any) -> bool:
        return isinstance(params, dict) and (params.get("model"), params.get("to_state")) == (kind, to)

    return is_it


def test_a_mail_whose_commit_was_not_answered_is_taken_back_and_leaves_once(near: World) -> None:
    invoice = ask(near, 0)

    with answer_lost_after(says_that_it_calls) as done, pytest.raises(OperationalError):
        sending.send_due()

    assert len(done) == 1
    row = invoice.sendings.get()
    assert (row.is_called, row.called_at, row.lease_until, row.mails.count()) == (False, None, None, 0)
    assert near.mails() == []
    assert sending.send_due() == 1
    assert (fresh(invoice).state, near.mails()) == (InvoiceState.SENT, ["billing@acme.example"])
    assert states_of(fresh(invoice)).count("attention") == 0


def test_a_mail_that_another_looks_for_meanwhile_is_not_taken_back(near: World) -> None:
    """The claim is not its own any more when the database is back: who has it now decides."""
    invoice = ask(near, 0)

    def take_over() -> None:
        invoice.sendings.update(claim_id="00000000-0000-0000-0000-000000000001")

    with answer_lost_after(says_that_it_calls, take_over), pytest.raises(OperationalError):
        sending.send_due()

    assert (invoice.sendings.get().is_called, near.mails()) == (True, [])


def test_a_reminder_whose_commit_was_not_answered_is_taken_back_and_leaves_once(
    near: World,
    owed: Invoice,  # noqa: F811
) -> None:
    forget_mails(near)
    reminder = ask_reminder(owed)

    with answer_lost_after(moves("invoicing.reminder", "sending")) as done, pytest.raises(OperationalError):
        reminding.remind_due()

    assert len(done) == 1
    row = Reminder.objects.get()
    assert (row.state, row.called_at, row.reminded_at, row.lease_until, row.mails) == (
        ReminderState.PENDING, None, None, None, [],
    )  # fmt: skip
    assert reminders_there(near) == 0
    assert reminding.remind_due() == 1
    assert (fresh(reminder).state, reminders_there(near)) == (ReminderState.SENT, 1)


def test_a_claim_whose_commit_was_not_answered_waits_for_no_lease(near: World) -> None:
    entry = add_entry(near, "The answer to its claim was lost")

    with answer_lost_after(moves("sync.remoterecord", "in_flight")) as done, pytest.raises(OperationalError):
        push.push_due()

    assert len(done) == 1
    record = RemoteRecord.objects.get(entry=entry)
    assert (record.state, record.claim_id, near.tasks()) == (RecordState.RETRY, None, [])
    make_due(record)
    push.push_due()
    assert_one_task_each(near)


def test_a_write_whose_proof_was_not_answered_is_looked_up(near: World) -> None:
    """What may have been done is not taken back."""
    add_entry(near, "The answer to its proof was lost")

    with answer_lost_after(moves("sync.remoterecord", "synced")) as done, pytest.raises(OperationalError):
        push.push_due()

    assert len(done) == 1
    assert_one_task_each(near)
    assert creating.create_due() == 0
