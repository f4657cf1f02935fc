"""Long imports: a worker looks files through, a person sees what they would change, and a worker imports exactly that.

The claim is committed before the work begins; the work is one transaction, so a worker that dies leaves nothing, and
another one begins anew. How far it is, is told on a connection of its own, because nobody sees into the transaction.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import time
import uuid
from typing import Any, Final

from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from billing_console.errors import ConsoleError
from mappings import hooks
from mappings.import_report import ADDED, CHANGED, FLAGGED, UNCHANGED, ImportReport
from mappings.importer import import_config
from mappings.models import ImportJob, ImportState

logger = logging.getLogger(__name__)

Files = list[tuple[str, str]]
LONG_BYTES: Final = 32 * 1024  # files of more, some four hundred rates, are looked through by a worker
SHOWN: Final = 200  # changes and mistakes that a page shows; the counts are of all
SILENT: Final = dt.timedelta(minutes=2)  # after it a worker is dead: it tells every second
KEPT: Final = dt.timedelta(days=30)
_TELL_SECONDS: Final = 1.0


def is_long(files: Files) -> bool:
    """Whether the files take longer than a request may."""
    return sum(len(text.encode("utf-8", "surrogatepass")) for _name, text in files) > LONG_BYTES


def ask(files: Files, user: Any) -> ImportJob:
    """Have a worker look the files through. Throws away what was asked long ago."""
    ImportJob.objects.filter(asked_at__lt=timezone.now() - KEPT).exclude(state=ImportState.RUNNING).delete()
    job = ImportJob.objects.create(files=files, asked_by=user)
    hooks.want_imports()
    return job


def confirm(job: ImportJob) -> bool:
    """Have a worker import what the preview of the job says; False where it is another one by now."""
    rows = ImportJob.objects.filter(pk=job.pk, state=ImportState.PREVIEWED, digest=job.digest)
    is_done = bool(rows.update(is_trial=False, state=ImportState.WAITING, sentence="", done=0, total=0))
    hooks.want_imports()
    return is_done


def run_due() -> int:
    """Do what waits, one after the other; returns how many. From a worker only."""
    count = 0
    while (job := _claim()) is not None:
        _run(job)
        count += 1
    return count


def digest_of(report: ImportReport) -> str:
    """A hash over everything that the report says would be done."""
    said = "\n".join(f"{one.action} {one.sentence} {one.place}" for one in report.changes)
    return hashlib.sha256(said.encode()).hexdigest()


def _claim() -> ImportJob | None:
    dead = Q(state=ImportState.RUNNING, told_at__lt=timezone.now() - SILENT)
    with transaction.atomic():
        rows = ImportJob.objects.select_for_update(skip_locked=True).order_by("pk")
        job = rows.filter(Q(state=ImportState.WAITING) | dead).first()
        if job is None:
            return None
        job.state, job.claim, job.told_at, job.done, job.total = ImportState.RUNNING, uuid.uuid4(), timezone.now(), 0, 0
        job.save(update_fields=["state", "claim", "told_at", "done", "total"])
        return job


def _run(job: ImportJob) -> None:
    files = [(str(name), str(text)) for name, text in job.files]
    tell = _Teller(job)
    try:
        with transaction.atomic():
            report = import_config(files, is_dry_run=job.is_trial, user=job.asked_by, tell=tell)
            is_other = not job.is_trial and digest_of(report) != job.digest
            is_ours = ImportJob.objects.select_for_update().filter(pk=job.pk, claim=job.claim).exists()
            if is_other or not is_ours:  # something changed, or another worker took us for dead
                transaction.set_rollback(True)
            elif not (job.is_trial or report.faults):
                _finish(job, ImportState.DONE, "", report)  # with what it imported, or not at all
                return
        if not is_ours:
            return
    except (ConsoleError, IntegrityError) as error:
        logger.warning("import %s failed: %s", job.pk, type(error).__name__)
        _finish(
            job, ImportState.FAULTY, _("Somebody changed the same rates meanwhile, so nothing was imported. Try again.")
        )
        return
    except Exception:
        logger.exception("import %s failed", job.pk)
        _finish(job, ImportState.FAULTY, _("It failed; the reason is in the console's log. Nothing was imported."))
        return
    finally:
        tell.close()
    if report.faults:
        _finish(job, ImportState.FAULTY, _("Nothing was imported: there are mistakes in the files."), report)
    elif is_other:
        sentence = _("Something changed meanwhile, so nothing was imported. Look at it again.")
        _finish(job, ImportState.PREVIEWED, sentence, report)
    else:
        _finish(job, ImportState.PREVIEWED, "", report)


def _finish(job: ImportJob, state: str, sentence: str, report: ImportReport | None = None) -> None:
    values: dict[str, Any] = {
        "state": state,
        "sentence": sentence,
        "claim": None,
        "is_trial": state != ImportState.DONE,
    }
    if report is not None:
        values |= {"digest": digest_of(report), "report": _kept(report)}
    ImportJob.objects.filter(pk=job.pk, claim=job.claim).update(**values)


def _kept(report: ImportReport) -> dict[str, Any]:
    """What a page shows of the report."""
    moving = [one for one in report.changes if one.action != UNCHANGED]
    return {
        **{action: report.count(action) for action in (ADDED, CHANGED, UNCHANGED, FLAGGED)},
        "changes": [[one.action, one.sentence, str(one.place)] for one in moving[:SHOWN]],
        "faults": [[str(one.place), one.sentence] for one in report.faults[:SHOWN]],
        "more": max(0, len(moving) - SHOWN),
        "more_faults": max(0, len(report.faults) - SHOWN),
    }


class _Teller:
    """Says every second how far the work is; also that the worker lives."""

    def __init__(self, job: ImportJob) -> None:
        self._job, self._next = job, 0.0
        self._line: Any = connection.copy()

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _TELL_SECONDS
        with self._line.cursor() as cursor:
            cursor.execute(
                "UPDATE mappings_importjob SET done = %s, total = %s, told_at = now() WHERE id = %s AND claim = %s",
                [done, total, self._job.pk, self._job.claim],
            )

    def close(self) -> None:
        """Give the connection back."""
        self._line.close()
