"""Entries into a draft and out again: set-based, one statement each, waiting for locks (design: The flow as rows).

A run claims first and writes lines from what it claimed; an entry can be on one line that is not voided only, which
the database insists on as well. Written for READ COMMITTED: a second claimer waits, then finds the state moved on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.db import connection
from django.utils import timezone

from billing_console.states import KIND_WORDS, EntryState, Reason
from invoicing.models import Invoice, InvoiceLine
from sync.clients import ninja_texts
from sync.models import TimeEntry, WorkItem

if TYPE_CHECKING:
    from accounts.models import User

# For any number of drafts. Entries and their records are locked first, so that an entry whose hours just changed, and
# whose task must be written again, is not claimed with what Invoice Ninja no longer holds. The lines of a new draft are
# written in the order in which they stand; `content.retotal` puts those of a refreshed one in order again.
_CLAIM = """
WITH due AS (
    SELECT entry.id, invoice.id AS invoice_id, invoice.period_start
    FROM invoicing_invoice AS invoice
    JOIN mappings_ruleset AS rules ON rules.id = invoice.rule_set_id
    JOIN sync_timeentry AS entry ON entry.client_id = invoice.client_id
    JOIN sync_remoterecord AS remote ON remote.id = entry.remote_task_id
    WHERE invoice.id = ANY(%(invoices)s)
      AND entry.state = 'ready'
      AND entry.currency = invoice.currency
      AND entry.work_date < invoice.period_end
      AND (invoice.group_key = '' AND rules.grouping = 'client'
           OR coalesce(entry.project_id::text, '') = invoice.group_key)
      AND remote.state = 'synced'
      AND remote.synced_revision = remote.revision
    ORDER BY entry.id
    FOR NO KEY UPDATE OF entry, remote
), claimed AS (
    UPDATE sync_timeentry AS entry
    SET state = 'claimed', state_since = %(now)s
    FROM due
    WHERE entry.id = due.id AND entry.state = 'ready'
    RETURNING entry.*, due.invoice_id, due.period_start
), lines AS (
    INSERT INTO invoicing_invoiceline (
        invoice_id, entry_id, position, project_name, person_name, ref, notes, original_notes, edit_reason,
        meaning, adjust_reason, dropped_sentence, work_date, raw_hours, billed_hours, rate, amount, facts, is_late,
        change_sentence, is_voided, void_reason, is_waiting, became
    )
    SELECT claimed.invoice_id, claimed.id, row_number() OVER place, coalesce(project.taiga_project_name, ''),
           coalesce(nullif(person.full_name, ''), person.username, ''), item.ref,
           CASE WHEN item.subject ~* %(unusual)s THEN ''
                ELSE (%(kinds)s::jsonb ->> item.kind) || coalesce(' #' || item.ref, '')
                     || CASE WHEN item.subject = '' THEN '' ELSE ': ' || item.subject END
           END,
           '', '', '', '', '', claimed.work_date, coalesce(claimed.raw_hours, 0), claimed.billed_hours, claimed.rate,
           claimed.amount, claimed.facts, claimed.work_date < claimed.period_start, '', false, '', false, ''
    FROM claimed
    JOIN sync_workitem AS item ON item.id = claimed.item_id
    LEFT JOIN mappings_projectmapping AS project ON project.id = claimed.project_id
    LEFT JOIN mappings_person AS person ON person.id = claimed.person_id
    WINDOW place AS (
        PARTITION BY claimed.invoice_id
        ORDER BY lower(coalesce(project.taiga_project_name, '')) COLLATE "C", coalesce(item.ref, 0), claimed.id
    )
    ORDER BY claimed.invoice_id, row_number() OVER place
    RETURNING id, notes
), trail AS (
    INSERT INTO sync_transition (model, row_id, from_state, to_state, user_id, why, correlation_id, at)
    SELECT 'sync.timeentry', id, 'ready', 'claimed', %(user)s, %(why)s, correlation_id, %(now)s
    FROM claimed
)
SELECT count(*), count(*) FILTER (WHERE notes = '') FROM lines
"""

# A subject whose text needs more than being put behind its number (`ninja_texts.SUSPECT`) gets its words from
# `ninja_texts.line_text`, as all of them once did.

_RELEASE = """
WITH freed AS (
    UPDATE sync_timeentry AS entry
    SET state = %(state)s, reason = %(reason)s, reason_note = %(note)s, reason_sentence = %(sentence)s,
        held_by_person = %(by_person)s, state_since = %(now)s
    FROM invoicing_invoiceline AS line
    WHERE line.id = ANY(%(lines)s) AND entry.id = line.entry_id AND entry.state = 'claimed'
    RETURNING entry.id, entry.correlation_id
), trail AS (
    INSERT INTO sync_transition (model, row_id, from_state, to_state, user_id, why, correlation_id, at)
    SELECT 'sync.timeentry', id, 'claimed', %(state)s, %(user)s, %(why)s, correlation_id, %(now)s
    FROM freed
)
SELECT id FROM freed
"""

_WORDS = """
UPDATE invoicing_invoiceline AS line SET notes = new.notes
FROM unnest(%s::bigint[], %s::text[]) AS new (id, notes)
WHERE line.id = new.id
"""


def lock_work(item_ids: Iterable[int | None]) -> None:
    """Lock these items and their entries until the caller's transaction ends.

    Who evaluates an item locks it, then its entries, then the draft that holds one: whoever starts from a draft and
    releases or evaluates must take the locks in the same order, or the two would wait for each other.
    """
    wanted = sorted({item_id for item_id in item_ids if item_id is not None})
    for rows in (
        WorkItem.objects.filter(pk__in=wanted).order_by("pk"),
        TimeEntry.objects.filter(item_id__in=wanted).order_by("item_id", "cycle"),
    ):
        list(rows.select_for_update(of=("self",), no_key=True).values_list("pk"))


def claim_entries(invoices: Iterable[Invoice], *, why: str, user: User | None = None) -> int:
    """Claim every ready, synced, unclaimed entry that belongs on one of these drafts and write its lines; how many.

    Client, currency, group and period end are the invoice's; an earlier work date than the period's first day makes
    the line late. Waits for locks; locks the entries and their records. Call inside a transaction.
    """
    ids = [invoice.pk for invoice in invoices]
    with connection.cursor() as cursor:
        cursor.execute(
            _CLAIM,
            {
                "invoices": ids,
                "user": user.pk if user else None,
                "why": why,
                "now": timezone.now(),
                "unusual": ninja_texts.SUSPECT,
                "kinds": json.dumps(KIND_WORDS),
            },
        )
        count: int
        unusual: int
        count, unusual = cursor.fetchone()
    if unusual:
        _write_unusual_words(ids)
    return count


def _write_unusual_words(invoice_ids: list[int]) -> None:
    """The printed text of new lines that could not simply be copied."""
    rows = list(
        InvoiceLine.objects.filter(invoice__in=invoice_ids, notes="", entry__isnull=False).values_list(
            "pk", "entry__item__kind", "entry__item__ref", "entry__item__subject"
        )
    )
    texts = [ninja_texts.line_text(kind, ref, subject) for _pk, kind, ref, subject in rows]
    with connection.cursor() as cursor:
        cursor.execute(_WORDS, [[row[0] for row in rows], texts])


def release_entries(
    line_ids: Iterable[int],
    *,
    why: str,
    user: User | None = None,
    hold: Reason | None = None,
    note: str = "",
    sentence: str = "",
) -> list[int]:
    """Give the claimed entries of these lines back, ready or, with `hold`, held for that reason.

    `hold` is NEXT_RUN (until the next run) or BY_PERSON (until somebody releases it); `note` is what the person wrote,
    `sentence` what happens next. Returns the ids of the freed entries. The lines themselves stay; the caller voids or
    deletes them in the same transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _RELEASE,
            {
                "lines": list(line_ids),
                "state": EntryState.HELD if hold else EntryState.READY,
                "reason": hold or "",
                "by_person": hold == Reason.BY_PERSON,
                "note": note,
                "sentence": sentence,
                "user": user.pk if user else None,
                "why": why,
                "now": timezone.now(),
            },
        )
        return [row[0] for row in cursor.fetchall()]
