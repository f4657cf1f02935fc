"""What a forked process does besides the workers' own drains: one act of a person, by the real services."""

from __future__ import annotations

import os
import signal
import threading
import time

from django.conf import settings
from django.db import transaction

from accounts.models import User
from invoicing import adopting, creating, reminding, sending
from invoicing.models import Deviation, Invoice, Meaning, Reminder, Sending
from sync import attention, outcomes, push, sweep, upstreams, work_items, writeback
from sync.claims import Proof
from sync.models import RemoteRecord, TimeEntry
from sync.transitions import advance


def withdraw(entry_id: int) -> None:
    """The entry is no longer billed."""
    with transaction.atomic():
        push.withdraw_task(TimeEntry.objects.get(pk=entry_id))


def request(entry_id: int) -> None:
    """The entry is billed (again)."""
    with transaction.atomic():
        push.request_task(TimeEntry.objects.get(pk=entry_id))


def try_again(record_id: int) -> None:
    """A person tries again."""
    user, _is_new = User.objects.get_or_create(username="somebody")
    attention.try_again(RemoteRecord.objects.get(pk=record_id), user=user)


def adopt(record_id: int, remote_id: str) -> None:
    """A person takes over what is there."""
    record = RemoteRecord.objects.get(pk=record_id)
    with transaction.atomic():
        outcomes.prove(record, Proof(remote_id, {}), record.revision)


def drop(record_id: int) -> None:
    """Nothing is to be written any more."""
    advance(RemoteRecord.objects.get(pk=record_id), "dropped", why="asked")


def move_invoice(invoice_id: int, to: str) -> None:
    """One arrow of an invoice, with a column beside it, in one transaction."""
    with transaction.atomic():
        advance(Invoice.objects.get(pk=invoice_id), to, why="asked", note="moved")


def settle(deviation_id: int, answer: str) -> None:
    """An approver answers what became of an invoice that was changed by hand."""
    user, _is_new = User.objects.get_or_create(username="somebody")
    deviation = Deviation.objects.get(pk=deviation_id)
    if answer == "adopt":
        adopting.adopt(deviation, user=user, reason="asked", meaning=Meaning.ON_PURPOSE)
    else:
        adopting.overwrite(deviation, user=user, reason="asked")


def decide_reminder(reminder_id: int, arrived: bool) -> None:
    """A person says whether a reminder arrived."""
    user, _is_new = User.objects.get_or_create(username="somebody")
    reminding.decide(Reminder.objects.get(pk=reminder_id), arrived=arrived, user=user, note="asked them")


def commit_to_calling_and_die(sending_id: int) -> None:
    """As the worker that sends, up to the commit before the call; then it dies."""
    claimed = sending._claim_next()
    assert claimed is not None
    assert claimed.pk == sending_id
    ninja = upstreams.ninja_client()
    there = ninja.invoice(Sending.objects.get(pk=sending_id).invoice.remote.remote_id)
    assert sending._commit_to_calling(claimed, there, ninja.client(there.client_id))
    os.kill(os.getpid(), signal.SIGKILL)


def work_for(seconds: float) -> None:
    """As a worker and the beat beside it, without a pause: whatever is due, again and again."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for task in (sweep.sweep_all, work_items.read_due, push.push_due, writeback.write_due, creating.create_due):
            task()


def die_waiting_for_a_slot(sending_id: int) -> None:
    """The mail worker is killed while as many calls as are permitted run: it never began its own."""
    claimed = sending._claim_next()
    assert claimed is not None
    assert claimed.pk == sending_id
    ninja = upstreams.ninja_client()
    there = ninja.invoice(claimed.invoice.remote.remote_id)
    client = ninja.client(there.client_id)
    settings.UPSTREAM_CALLS_AT_A_TIME = 0
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGKILL)).start()
    sending._call(claimed, ninja, there, client)
