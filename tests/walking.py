"""A console with rows of every kind, and the way from the start page over all of its links, for tests of all pages."""

from __future__ import annotations

import datetime as dt
import html
import re
from collections import deque
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from django.contrib import admin
from django.test import Client as Browser
from django.test import override_settings
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from billing_console.states import RecordState
from invoicing import payments, sending
from invoicing.models import InvoiceRun, RunTrigger
from mappings.lookups import new_rule_set_version
from mappings.models import Company, RuleSet
from sync import alarms, push
from sync.doctor import checking
from sync.models import RemoteRecord, WorkItem
from tests.factories import (
    DeliveryFactory,
    DifferenceFactory,
    RejectedDeliveryFactory,
    TimeEntryFactory,
    UpstreamCallFactory,
    UpstreamPinFactory,
)
from tests.outbound import JANUARY_22, created_invoice, fresh
from tests.standins import World

HREF = re.compile(r"""\s(?:href|hx-get)=(?:"([^"]*)"|'([^']*)')""")
# Signing out and changing the language are no pages; a file is no page either.
NOT_WALKED = re.compile(r"^/admin/(logout|jsi18n|r/)|^/(static|media)/|^/admin/login/")
OF_A_KIND = 2  # pages of one address that are opened for rows of theirs; others are opened once, whatever their filters


def kind_of(url: str) -> str:
    """The address without its numbers and its query: what makes it another page than the next row's."""
    return re.sub(r"\d+", "N", urlsplit(url).path)


def links_of(url: str, page: str) -> set[str]:
    found = set()
    for double, single in HREF.findall(page):
        address = urljoin(url, html.unescape(double or single))
        parts = urlsplit(address)
        if not parts.scheme and not parts.netloc and parts.path.startswith("/") and not NOT_WALKED.match(parts.path):
            found.add(address.partition("#")[0])
    return found


def look_at_nothing(url: str, answer: Any) -> None:
    """What a walk does with a page, when following its links is all it is for."""


@override_settings(WAITING_COUNT_SECONDS=60)  # the numbers beside the links are no links
def walk(
    browser: Browser, look: Callable[[str, Any], None] = look_at_nothing, also: Iterable[str] = ()
) -> tuple[dict[str, str], int]:
    """Follow all links from the start page and those `also`, and `look` at each answer that is no redirect.

    Returns what went wrong, "status from where" by address, and how many kinds of pages were opened.
    """
    waiting: deque[tuple[str, str]] = deque([("/admin/", "the start"), *((url, "the list of all") for url in also)])
    known, opened, wrong = {url for url, _origin in waiting}, dict[str, int](), {}
    while waiting:
        url, origin = waiting.popleft()
        kind = kind_of(url)
        opened[kind] = opened.get(kind, 0) + 1
        if opened[kind] > (OF_A_KIND if "N" in kind else 1):
            continue
        answer = browser.get(url)
        if answer.status_code not in (301, 302):
            look(url, answer)
        if answer.status_code in (301, 302):
            targets = {urljoin(url, answer["Location"])}
            if "/login/" in answer["Location"]:
                wrong[url] = f"sent to the login, from {origin}"
        elif answer.status_code != 200:
            wrong[url] = f"{answer.status_code}, from {origin}"
            continue
        elif not answer.get("Content-Type", "").startswith("text/html"):
            continue
        else:
            targets = links_of(url, answer.content.decode())
        for target in sorted(targets - known):
            known.add(target)
            waiting.append((target, url))
    return wrong, len(opened)


@pytest.fixture
def office(world: World) -> World:
    """A console with rows of every kind: a sent invoice, questions, differences, stuck writes, the doctor's lines."""
    sent = created_invoice(world, 4.5, 2)
    sending.request_sending(sent, seal=sent.seal, user=None)
    sending.send_due()
    payments.poll()
    entry = sent.lines.order_by("pk")[0].entry
    DifferenceFactory(entry=entry, item=entry.item, billed_hours="4.5", hours_now="2", currency="EUR")
    world.read(world.add_task("Held", billable=True, hours="two hours"))
    world.read(world.add_task("Ready", billable=True, hours=2))
    push.push_due()
    for number, state in enumerate(("held", "held", "ready"), 9001):  # ids that the stand-in has not given away
        row = TimeEntryFactory(
            state=state,
            reason="no_rate" if state == "held" else "",
            person__taiga_user_id=number,
            item__taiga_id=number,
            item__project__taiga_project_id=number,
            item__project__client__ninja_id=f"client{number}",
        )
        DeliveryFactory(item_taiga_id=row.item.taiga_id, item_ref=row.item.ref)
        UpstreamCallFactory(item=row.item)
    RemoteRecord.objects.filter(kind="status").update(state=RecordState.ATTENTION, sentence="It was typed over.")
    unread = {"is_dirty": True, "dirty_at": timezone.now(), "read_attempts": 3, "error": "It is no JSON."}
    WorkItem.objects.filter(subject="Held").update(**unread)
    RejectedDeliveryFactory()
    UpstreamPinFactory()
    for name in ("admin:sync_upstreamgate_changelist", "admin:mappings_projectmapping_changelist"):
        alarms.raise_alarm(name, "Something is odd.", url_name=name)
    InvoiceRun.objects.create(
        frequency="weekly",
        period_start=dt.date(2025, 12, 1),
        period_end=dt.date(2025, 12, 8),
        timezone="Europe/Brussels",
        trigger=RunTrigger.PERSON,
        requested_at=JANUARY_22,
    )
    # The company has a tax since; the company's rules were not decided when they were made.
    Company.objects.update(name="Acme Works", tax_name="VAT", tax_rate=Decimal(21))
    undecided = {"tax_decision": "undecided", "tax_name": "", "tax_rate": Decimal(0)}
    decided = RuleSet.objects.get(is_current=True)
    new_rule_set_version(None, undecided)
    new_rule_set_version(None, {name: getattr(decided, name) for name in undecided})
    new_rule_set_version(sent.client, undecided)
    checking.check_now()
    assert fresh(sent).state == "sent"
    return world


def pages_of_models() -> list[str]:
    """The list, the form to add, and the form, history and deletion of the first rows, of every model of the admin."""
    found = []
    for model in admin.site._registry:
        prefix = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        rows = list(model._default_manager.order_by("pk").values_list("pk", flat=True)[:OF_A_KIND])
        for name, args in [
            *((name, ()) for name in ("changelist", "add", "import", "export")),
            *((name, (pk,)) for pk in rows for name in ("change", "history", "delete")),
        ]:
            try:
                found.append(reverse(f"{prefix}_{name}", args=args))
            except NoReverseMatch:
                continue
    return found
