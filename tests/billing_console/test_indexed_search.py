"""Search words of lists that look into other tables: each is searched by itself, and none is joined with another."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from invoicing.models import Invoice
from sync.models import RemoteRecord, TimeEntry, WorkItem
from tests.invoicing.world import built, make_client, make_project, make_work
from tests.people import browser_of

pytestmark = pytest.mark.django_db

ENTRIES, INVOICES = "/admin/sync/timeentry/", "/admin/invoicing/invoice/"


def entry_of(ref: int, subject: str, key: str) -> TimeEntry:
    item = WorkItem.objects.create(kind="T", taiga_id=1000 + ref, ref=ref, subject=subject)
    remote = RemoteRecord.objects.create(server="invoice_ninja", kind="task", our_key=key, item=item)
    return TimeEntry.objects.create(item=item, state="held", reason="no_rate", remote_task=remote)


def found_at(address: str, word: str) -> Any:
    with CaptureQueriesContext(connection) as queries:
        answer = browser_of("viewer").get(address, {"q": word})
    asked = [query["sql"] for query in queries]
    in_capitals = [part.partition(")")[0] for sql in asked for part in sql.split("UPPER(")[1:]]
    assert not any("our_key" in column or '"ref"' in column for column in in_capitals)
    # What the columns of a page need is joined for its rows, not to find them.
    counted = [
        sql for sql in asked if "COUNT(*)" in sql and f'FROM "{address.split("/")[2]}_' in sql and "WHERE" in sql
    ]
    assert counted
    assert not any("JOIN" in sql for sql in counted)
    return answer.context["cl"].result_list


@pytest.mark.parametrize(
    ("word", "refs"),
    [
        ("payment", [45, 450]),
        ("PAY gateway", [45]),
        ("45", [45]),
        ("#45", [45]),
        ("#45 gateway", [45]),
        ("2", [7]),
        ("#2", []),
        ("450", [450]),
        ("BC-T1045", [45, 450]),
        ("bc-T1045-1", []),
        ("T1045", []),
        ("refund", []),
        ("99999999999999999999", []),
    ],
)
def test_entries_are_found_by_subject_reference_and_number_there(word: str, refs: list[int]) -> None:
    entry_of(45, "Implement payment gateway", "BC-T1045-1")
    entry_of(450, "Payment terms", "BC-T10450-1")
    entry_of(7, "Header of 2 pages", "BC-T7-1")

    assert sorted(entry.item.ref for entry in found_at(ENTRIES, word)) == refs


def test_an_invoice_is_found_once_however_many_of_its_lines_hold_the_word() -> None:
    for name in ("Acme Corp", "Beta"):
        project = make_project(make_client(name))
        for number in range(3):
            make_work(project, subject=f"{name.split()[0]} page {number}")
    built()
    for number, invoice in enumerate(Invoice.objects.order_by("client__name"), 1):
        Invoice.objects.filter(pk=invoice.pk).update(number=f"2026-000{number}")

    def numbers(word: str) -> list[str]:
        return sorted(invoice.number for invoice in found_at(INVOICES, word))

    assert numbers("page") == ["2026-0001", "2026-0002"]
    assert numbers("page corp") == ["2026-0001"]
    assert numbers("0002") == ["2026-0002"]
    assert numbers("beta page") == ["2026-0002"]
    assert numbers("gamma") == []
