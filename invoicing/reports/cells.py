"""Columns that several reports share, and the values of an entry or a line that they are made of."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from invoicing.models.invoices import state_words
from invoicing.reports.columns import Column, Kind, Row
from sync import reasons


def entry_values(prefix: str = "") -> tuple[str, ...]:
    """The columns of an entry that the shared cells need; `prefix` is the way to the entry, "entry__"."""
    names = (
        *("pk", "item__ref", "item__subject", "client__name", "project__taiga_project_name"),
        *("person__full_name", "person__username", "work_date", "state", "reason", "currency", "amount"),
    )
    return tuple(f"{prefix}{name}" for name in names)


def person_name(row: Row, prefix: str = "") -> str:
    """The person's full name, else the name they log in with; "" for nobody."""
    return row[f"{prefix}person__full_name"] or row[f"{prefix}person__username"] or ""


def task_words(ref: Any, subject: str) -> str:
    """ "#45 Implement payment gateway"."""
    return f"#{ref} {subject}" if ref is not None else subject


def entry_url(row: Row) -> str:
    """The page of the entry whose id is `row["pk"]`, or of that which a row of the books is about."""
    return reverse("admin:sync_timeentry_change", args=[row["entry_id"] if "entry_id" in row else row["pk"]])


TASK = Column(
    "task",
    _("Task"),
    value=lambda row: task_words(row["item__ref"], row["item__subject"]),
    url=entry_url,
    sub=lambda row: row["project__taiga_project_name"] or "",
)
CLIENT = Column("client__name", _("Client"))
PROJECT = Column("project__taiga_project_name", _("Project"))
PROJECT_IN_FILES = Column("project__taiga_project_name", _("Project"), in_files_only=True)
PERSON = Column("person", _("Person"), value=person_name)
WORK_DATE = Column("work_date", _("Work date"), Kind.DAY)
REASON_IN_FILES = Column(
    "reason", _("Why it waits"), value=lambda row: reasons.label(row["reason"]), in_files_only=True
)
INVOICE_STATE = Column(
    "invoice_state",
    _("State"),
    value=lambda row: state_words(
        row["invoice_state"], row["paid_to_date"], row["credited"], row["written_off"], row["cancelled_rest"]
    ),
)


def invoice_words(row: Row) -> str:
    """The invoice's number, or what it is until Invoice Ninja gave it one."""
    return row["number"] or gettext("no number yet")
