"""A worker is frozen while its bytes leave, and wakes when another has written: what it makes then is found and ended.

No fence holds such bytes back. Both things bear our key, and only one of them is ours.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from billing_console.states import InvoiceState, RecordState
from invoicing import creating, crediting, double_billing, payments, twins
from invoicing.models import Credit, DoubleBilling, Twin
from sync.models import Alarm, RemoteRecord
from tests.crash.conftest import Nursery, is_frozen, kill_when
from tests.crash.rounds import KILLED, add_entry, approve_one, assert_one_invoice_each, sweep
from tests.crash.test_arrows import ask_credit
from tests.crash.test_invoice_kills import ask, sweep_sendings
from tests.crash.test_kills import assert_one_task_each
from tests.invoicing.world import make_user
from tests.outbound import fresh
from tests.standins import World

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def sleep_in_flight(nursery: Nursery, worker: str, start: str, rounds: Callable[[], object]) -> None:
    """The worker freezes when PostgreSQL has let its bytes leave, others finish, it wakes and its bytes leave."""

    def middle(pid: int) -> None:
        assert is_frozen(pid)
        try:
            rounds()
        finally:
            os.kill(pid, signal.SIGCONT)

    assert nursery.run(worker, freeze_at=("flight", 1, start), middle=middle) == 0


def swept(kind: str) -> Callable[[], None]:
    def rounds() -> None:
        for _look_up_and_write in range(2):
            sweep(kind)

    return rounds


def test_an_invoice_that_was_in_flight_is_found_by_the_next_poll_and_ended_by_one_button(
    near: World, nursery: Nursery
) -> None:
    invoice = approve_one(near, 0)

    sleep_in_flight(nursery, "invoicing.creating.create_due", "POST /api/v1/invoices ", swept("invoice"))

    kept, other = near.invoices()
    assert kept["private_notes"] == other["private_notes"] == invoice.key
    record = RemoteRecord.objects.get(kind="invoice")
    assert (record.state, record.remote_id) == (RecordState.SYNCED, kept["id"])
    payments.poll()

    alarm = Alarm.objects.get(cleared_at=None)
    assert alarm.sentence == (
        f"Invoice Ninja has two invoices under one key of ours, {kept['number']} and {other['number']}: a worker that "
        f"had slept made it again, or somebody copied it. End {other['number']} under “Made twice”, before "
        "the client gets it too."
    )
    assert alarm.url_name == "admin:invoicing_twin_changelist"
    twin = Twin.objects.get()
    assert (twin.kept_id, twin.other_id) == (kept["id"], other["id"])
    payments.poll()
    assert (Alarm.objects.count(), Twin.objects.count()) == (1, 1)

    twins.request_end(twin, user=make_user())
    assert creating.create_due() == 1

    assert [row["is_deleted"] for row in near.invoices()] == [False, True]
    assert {task["invoice_id"] for task in near.tasks()} == {kept["id"]}
    assert fresh(invoice).state == InvoiceState.CREATED
    assert (Alarm.objects.filter(cleared_at=None).count(), Twin.objects.filter(ended_at=None).count()) == (0, 0)
    assert twins.WISH not in fresh(record).desired
    payments.poll()
    assert (Alarm.objects.count(), Twin.objects.count()) == (1, 1)
    assert fresh(record).state == RecordState.SYNCED


def test_the_nightly_look_calls_only_one_of_them_ours(near: World, nursery: Nursery) -> None:
    approve_one(near, 0)
    sleep_in_flight(nursery, "invoicing.creating.create_due", "POST /api/v1/invoices ", swept("invoice"))
    kept, other = near.invoices()

    assert double_billing.check() == 1

    words = f"{kept['number']} (ours), {other['number']} (made twice)"
    assert words in DoubleBilling.objects.get().sentence


def test_one_that_somebody_ended_there_gives_the_tasks_back_by_itself(near: World, nursery: Nursery) -> None:
    approve_one(near, 0)
    sleep_in_flight(nursery, "invoicing.creating.create_due", "POST /api/v1/invoices ", swept("invoice"))
    kept, other = near.invoices()
    payments.poll()
    near.api_ninja("POST", "/invoices/bulk", {"action": "delete", "ids": [other["id"]]})
    assert {task["invoice_id"] for task in near.tasks()} == {""}

    payments.poll()
    creating.create_due()

    assert {task["invoice_id"] for task in near.tasks()} == {kept["id"]}
    assert not Twin.objects.filter(ended_at=None).exists()
    assert not Alarm.objects.filter(cleared_at=None).exists()


def test_a_credit_that_was_in_flight_is_found_by_the_next_poll_and_ended_by_one_button(
    near: World, nursery: Nursery
) -> None:
    credit = ask_credit(near, 0)

    sleep_in_flight(nursery, "invoicing.crediting.write_due", "POST /api/v1/credits ", swept("credit"))

    def there() -> list[dict[str, Any]]:
        return list(near.api_ninja("GET", "/credits?per_page=5000&sort=id|asc")["data"])

    kept, other = there()
    assert kept["private_notes"] == other["private_notes"] == credit.key
    payments.poll()

    alarm = Alarm.objects.get(key__startswith="twin-", cleared_at=None)
    assert alarm.sentence == (
        f"Invoice Ninja has two credits under one key of ours, {kept['number']} and {other['number']}: a worker that "
        f"had slept made it again, or somebody copied it. End {other['number']} under “Made twice”, before "
        "somebody uses it too."
    )
    twins.request_end(Twin.objects.get(), user=make_user())
    crediting.write_due()

    assert [row["is_deleted"] for row in there()] == [False, True]
    assert fresh(Credit.objects.get().remote).state == RecordState.SYNCED
    assert not Alarm.objects.filter(key__startswith="twin-", cleared_at=None).exists()


def test_a_task_that_was_in_flight_is_refused_by_its_number(near: World, nursery: Nursery) -> None:
    add_entry(near, "In flight")

    sleep_in_flight(nursery, "sync.push.push_due", "POST /api/v1/tasks ", swept("task"))

    assert_one_task_each(near)


def test_a_mail_that_was_in_flight_leaves_once_more_only_after_a_person_allowed_it(
    near: World, nursery: Nursery
) -> None:
    """Nobody else mails it meanwhile: what is called is asked about."""
    invoice = ask(near, 0)

    def rounds() -> None:
        sweep_sendings()
        sweep_sendings(patience=False)
        assert fresh(invoice).state == InvoiceState.ATTENTION
        assert near.mails() == []

    sleep_in_flight(nursery, "invoicing.sending.send_due", "POST /api/v1/emails ", rounds)

    assert len(near.mails()) == 1
    sweep_sendings()
    assert fresh(invoice).state == InvoiceState.SENT
    assert_one_invoice_each(near)


@pytest.mark.parametrize("path", ["/api/v1/invoices/bulk", "/api/v1/invoices/[A-Za-z0-9]+$"], ids=["end", "tasks"])
def test_an_end_killed_while_the_server_works_ends_one_and_links_the_other(
    near: World, nursery: Nursery, path: str
) -> None:
    invoice = approve_one(near, 0)
    creating.create_due()
    body = creating.invoice_body(RemoteRecord.objects.get(kind="invoice").desired)
    other = near.api_ninja("POST", "/invoices", body)["data"]
    payments.poll()
    twins.request_end(Twin.objects.get(), user=make_user())
    method = "POST" if path.endswith("bulk") else "PUT"
    near.fail("ninja", kind="delay", seconds=3, after=True, method=method, path=path)

    def is_done() -> bool:
        free = {task["invoice_id"] for task in near.tasks()}
        return free == ({""} if method == "POST" else {fresh(invoice).remote.remote_id})

    assert nursery.run("invoicing.creating.create_due", middle=kill_when(is_done)) == KILLED

    swept("invoice")()
    kept = fresh(invoice).remote
    assert kept.state == RecordState.SYNCED
    assert [(row["id"], row["is_deleted"]) for row in near.invoices()] == [(kept.remote_id, False), (other["id"], True)]
    assert {task["invoice_id"] for task in near.tasks()} == {kept.remote_id}
    assert not Alarm.objects.filter(cleared_at=None).exists()
