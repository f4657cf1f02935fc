"""Reviewed = sent = printed, for both generations of Invoice Ninja, with Markdown on and off."""

from __future__ import annotations

import re
from typing import Any

import pytest

from billing_console.states import InvoiceState, RecordState
from invoicing import creating, review
from invoicing.models import Invoice
from mappings.models import RuleSet
from mappings.rules import month
from sandbox import scenario
from sync import push, writeback
from sync.clients.ninja_texts import line_text, neutralise
from tests.invoicing.world import built, make_user, on_screen, sweep_project
from tests.outbound import JANUARY_2, fresh
from tests.standins import World, make_request

SUBJECT = (
    "\ufeffServe the <iframe> of List<String> from localhost:8080 & 127.0.0.1, fix __init__.py *now* and `make` "
    "[it](http://a.test) &amp; pay 50%24 of $number, alert(1) </script> file:/etc/hosts :MONTH\u200b"
)
NO_TAX = "# *Reverse charge*, Art. 196 <b>VAT</b> of localhost\u200b"


def set_up(world: World, version: str, *, has_markdown: bool) -> None:
    switches = {"version": version, "pdf_engine": True}
    world.ninja.seed({"company": {"markdown_enabled": has_markdown}, "switches": switches})


def created(world: World, subject: str) -> Invoice:
    """An approved December invoice of one task, made in Invoice Ninja."""
    world.read(world.add_task(subject, billable=True, hours=4.5))
    push.push_due()
    writeback.write_due()
    world.go_to(JANUARY_2)
    sweep_project(world.mapping, JANUARY_2)
    (draft,) = Invoice.objects.filter(run=built(month(2025, 12)))
    review.approve(draft, revision=draft.revision, user=make_user("Approver"))
    creating.create_due()
    return fresh(draft)


def printed(world: World, there: dict[str, Any]) -> list[str]:
    """The texts in the PDF of an invoice: of its lines, then its notes."""
    url = f"{world.ninja.url}/api/v1/invoice/{there['invitations'][0]['key']}/download"
    answer = world.ninja(
        make_request("GET", url, {"X-API-TOKEN": scenario.NINJA_TOKEN, "Accept": "application/json"}, b"")
    )
    assert answer.status_code == 200
    texts = re.findall(rb"<FEFF([0-9A-F]*)> Tj", answer.get_data())
    return [bytes.fromhex(text.decode()).decode("utf-16-be") for text in texts]


@pytest.mark.parametrize("version", ["5.10.17", "5.10.42", "5.13.0"])
@pytest.mark.parametrize("has_markdown", [True, False])
def test_what_was_reviewed_is_stored_and_printed(world: World, version: str, has_markdown: bool) -> None:
    set_up(world, version, has_markdown=has_markdown)
    RuleSet.objects.update(tax_decision="no_tax", tax_name="", tax_rate=0, no_tax_text=NO_TAX)

    invoice = created(world, SUBJECT)

    assert invoice.state == InvoiceState.CREATED, invoice.remote and invoice.remote.sentence
    line = invoice.lines.get()
    (task,), (there,) = world.tasks(), world.invoices()
    expected = line_text("T", line.ref, SUBJECT)
    assert line.notes == task["description"] == there["line_items"][0]["notes"] == expected
    assert invoice.public_notes == there["public_notes"] == neutralise(NO_TAX)
    assert printed(world, there) == [line.notes, invoice.public_notes]
    assert line.entry is not None
    assert line.entry.remote_task is not None
    assert line.entry.remote_task.state == RecordState.SYNCED


def test_what_the_office_types_for_a_line_is_printed(world: World) -> None:
    set_up(world, "5.10.42", has_markdown=True)
    world.read(world.add_task("Plain", billable=True, hours=1))
    push.push_due()
    world.go_to(JANUARY_2)
    sweep_project(world.mapping, JANUARY_2)
    (draft,) = Invoice.objects.filter(run=built(month(2025, 12)))
    user = make_user("Approver")

    typed = "- __init__.py\n- see *localhost*\u200b"
    review.edit_text(draft.lines.get(), seen=on_screen(draft.lines.get()), user=user, text=typed, reason="clearer")
    review.approve(fresh(draft), revision=fresh(draft).revision, user=user)
    creating.create_due()

    (there,) = world.invoices()
    assert fresh(draft).state == InvoiceState.CREATED
    assert printed(world, there)[0] == there["line_items"][0]["notes"] == neutralise(typed)
