"""Payments, reminders, reconciliation, a run's certificate and the reports fit a phone, in both themes."""

from __future__ import annotations

import datetime as dt
import os
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from invoicing import payments, readings, reminding, sending
from invoicing.models import Invoice, Reminder
from sync.models import WorkItem
from tests.invoicing.world import make_user
from tests.outbound import created_invoice
from tests.standins import World

pytestmark = pytest.mark.django_db(transaction=True)

FEBRUARY = dt.datetime(2026, 2, 10, 9, tzinfo=dt.UTC)


@pytest.fixture
def invoice(world: World) -> Invoice:
    """Overdue and partly paid, reminded by hand and by schedule; one row of Taiga's list differs."""
    made = created_invoice(world, 4.5, 2.1, 1)
    sending.request_sending(made, seal=made.seal, user=None)
    sending.send_due()
    part = {"invoice_id": made.remote.remote_id, "amount": 300}
    world.api_ninja("POST", "/payments", {"client_id": "client_abc123", "amount": 300, "invoices": [part]})
    beside = {"client_id": "client_abc123", "amount": 765, "transaction_reference": "BANK-1 salaries and rent"}
    world.api_ninja("POST", "/payments", beside)
    world.go_to(FEBRUARY)
    payments.poll()
    owed = Invoice.objects.get()
    reminding.request_reminder(owed, text="reminder1", balance=owed.balance or Decimal(0), user=make_user("Approver"))
    reminding.remind_due()
    Reminder.objects.create(
        invoice=owed, text="reminder2", balance=owed.balance, state="attention",
        sentence="Invoice Ninja was asked to remind of invoice 0001, but there is no proof for billing@acme.example. "
        "Look there or ask the client, then say whether it arrived; it is not mailed again by itself.",
    )  # fmt: skip
    for number, item in enumerate(WorkItem.objects.order_by("pk"), 1):
        WorkItem.objects.filter(pk=item.pk).update(
            attributes={**item.attributes, "estimate": number + 1}, estimate_hours=number + 1
        )
    world.set_values(WorkItem.objects.earliest("pk").taiga_id, hours=5)
    readings.read_now()
    by_schedule = {"reminded_on": ["2026-01-30", None, None, None]}
    Invoice.objects.update(next_reminder_at=FEBRUARY + dt.timedelta(hours=8), **by_schedule)
    return Invoice.objects.get()


def signed_in(page: Page, live_server: LiveServer) -> Page:
    client = Client()
    client.force_login(make_user("Approver"))
    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": client.cookies[settings.SESSION_COOKIE_NAME].value}
    page.context.add_cookies([{**cookie, "url": live_server.url}])
    return page


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_pages_of_money_fit_a_phone(page: Page, live_server: LiveServer, invoice: Invoice, theme: str) -> None:
    days = "start=2025-12-01&end=2025-12-31"
    addresses = {
        "payments": "payment/",
        "reminders": "reminders/?show=open",
        "decide": f"reminders/{Reminder.objects.get(state='attention').pk}/decide/arrived/",
        "reconcile": f"reconcile/?{days}",
        "month": "reconcile/?month=2025-11",
        "run": f"reconcile/run/{invoice.run_id}/",
        "revenue": "reports/revenue/?start=2025-12-01",
        "ageing": "reports/ageing/",
        "estimates": f"reports/estimates/?{days}",
        "taiga-list": f"reports/taiga-list/?{days}",
        "unapplied": "reports/unapplied/",
        "invoice": f"invoice/{invoice.pk}/change/",
        "write-off": f"invoice/{invoice.pk}/write-off-rest/",
        "ninja-list": "reports/invoice-ninja-list/?start=",
        "remind": f"reminders/invoice/{invoice.pk}/",
    }
    signed_in(page, live_server)
    page.add_init_script(f"localStorage.setItem('adminTheme', JSON.stringify('{theme}'))")
    wide: dict[str, Any] = {}
    for name, address in addresses.items():
        if name == "remind":  # nothing stands in its way any more
            Reminder.objects.all().delete()
            Invoice.objects.update(next_reminder_at=None, reminded_on=[], last_mail_on=None)
        page.set_viewport_size({"width": 390, "height": 844})
        page.goto(f"{live_server.url}/admin/invoicing/{address}")
        wide[name] = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert page.locator(".bc-page").first.is_visible(), name
        if folder := os.environ.get("PICTURES"):
            page.screenshot(path=f"{folder}/{name}-{theme}-390.png", full_page=True)
            page.set_viewport_size({"width": 1280, "height": 900})
            page.screenshot(path=f"{folder}/{name}-{theme}.png", full_page=True)
    assert wide == dict.fromkeys(addresses, 0)


def test_the_printed_certificate_is_whole(page: Page, live_server: LiveServer, invoice: Invoice) -> None:
    """Paper neither scrolls nor opens what is folded: no column is cut, and each row that differs is there."""
    signed_in(page, live_server)
    page.set_viewport_size({"width": 703, "height": 1040})  # A4 without the margins
    page.goto(f"{live_server.url}/admin/invoicing/reconcile/run/{invoice.run_id}/")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")

    expect(page.get_by_text("SANDBOX · printed")).to_be_visible()
    expect(page.locator("#main details li").first).to_be_visible()
    right = "[...document.querySelectorAll('#main td')].map(cell => cell.getBoundingClientRect().right)"
    assert page.evaluate(f"Math.max(...{right})") <= 703
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("#main details[open]").count() == 0
