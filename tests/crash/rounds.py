"""What happens around a kill: work comes in, and the next ordinary rounds after it, once time has passed."""

from __future__ import annotations

from django.utils import timezone

from billing_console.states import RecordState, TransitionMap
from invoicing import creating
from sync import push, writeback
from sync.models import RemoteRecord, TimeEntry, UpstreamGate
from tests.outbound import expire_lease
from tests.standins import World

RECORD, INVOICE = "sync.remoterecord", "invoicing.invoice"
KILLED = -9
MOMENTS = ("before", "after")


def add_entry(world: World, subject: str) -> TimeEntry:
    """A ready entry of 4.5 h whose task is not yet in Invoice Ninja."""
    return world.read(world.add_task(subject, billable=True, hours=4.5))


def sweep(*kinds: str) -> None:
    """What the next ordinary rounds do once time has passed: leases end, doubts are looked at, the due is written."""
    drains = {"task": push.push_due, "status": writeback.write_due, "invoice": creating.create_due}
    for kind in kinds:
        for record in RemoteRecord.objects.filter(kind=kind, state=RecordState.IN_FLIGHT):
            expire_lease(record)
        RemoteRecord.objects.filter(kind=kind).exclude(not_before=None).update(not_before=timezone.now())
        UpstreamGate.objects.update(resume_at=None)
        drains[kind]()


def arrows_of(transitions: TransitionMap) -> set[tuple[str, str]]:
    """Every (from, to) of a map."""
    return {(source, target) for source, targets in transitions.items() for target in targets}
