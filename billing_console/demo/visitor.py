"""The office as the demo plays it: signs in, reviews, approves, sends, and reads the console's own pages."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from decimal import Decimal
from typing import Any

from billing_console.demo.browser import Browser, Page, PageError
from sandbox import scenario

USERNAME, PASSWORD = "office", "sandbox"  # noqa: S105 -- the demo prints them
INVOICES, ENTRIES = "/admin/invoicing/invoice/", "/admin/sync/timeentry/"
LISTS = {"held": "state__exact=held", "unbilled": "state__exact=ready", "in a draft": "state__exact=claimed"}
CLIENT, NET, BALANCE, STATE = 1, 4, 6, 8  # columns of the list of invoices; the first is the checkbox


class Visitor:
    """One person of the office; may do everything."""

    def __init__(self, base: str) -> None:
        self.browser = Browser(base)

    def arrive(self) -> None:
        """Sign in; the first time, the account is made with Django's own command."""
        try:
            self.browser.log_in(USERNAME, PASSWORD)
        except PageError:
            self.manage(
                "createsuperuser",
                "--noinput",
                extra={
                    "DJANGO_SUPERUSER_USERNAME": USERNAME,
                    "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
                    "DJANGO_SUPERUSER_EMAIL": "office@example.test",
                },
            )
            self.browser.log_in(USERNAME, PASSWORD)

    def manage(self, *arguments: str, extra: dict[str, str] | None = None) -> str:
        """Run a `manage.py` command as an operator does; returns what it printed. Raises PageError when it fails."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            env={**os.environ, **(extra or {})},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode not in (0, 1) or (done.returncode == 1 and not done.stdout.strip()):
            raise PageError(f"manage.py {arguments[0]} failed: {done.stderr.strip()[-500:]}")
        return done.stdout

    # --- acting

    def approve_all(self) -> int:
        """Open each draft of December, look at it, and approve the amount that stands on the button."""
        approved = 0
        while urls := self._review_urls():
            page = self.browser.get(urls[0])
            self.browser.submit(page, self._approve_words(page))
            approved += 1
        return approved

    def _review_urls(self) -> list[str]:
        page = self._december("state__exact=draft")
        return [link.url for link in page.links if re.search(r"/invoice/\d+/review/", link.url)]

    @staticmethod
    def _approve_words(page: Page) -> str:
        words = [words for form in page.forms for _name, _value, words in form.buttons]
        try:
            return next(text for text in words if text.startswith("Approve ") and " and next" in text)
        except StopIteration:
            raise PageError(f"{page.url} offers no approval (its buttons: {words}).") from None

    def send_all(self) -> int:
        """Tick every created invoice, confirm the question; returns how many were asked to be sent."""
        page = self._december("state__exact=created")
        ids = [value for name, value in page.choices if name == "_selected_action"]
        if not ids:
            return 0
        fields = [("csrfmiddlewaretoken", page.token), ("action", "send_selected"), ("index", "0")]
        question = self.browser.post(page, page.url, [*fields, *(("_selected_action", number) for number in ids)])
        self.browser.submit(question, "Send ")
        return len(ids)

    # --- reading

    def _december(self, query: str) -> Page:
        return self.browser.get(f"{INVOICES}?period_start_from=2025-12-01&period_start_to=2025-12-31&{query}")

    def _invoice_rows(self, query: str) -> list[list[str]]:
        return [row for row in self._december(query).rows if len(row) > STATE and row[CLIENT] != "Client"]

    def drafts(self) -> dict[str, Decimal]:
        """December's drafts that wait for review: client → total before tax, EUR."""
        return {row[CLIENT]: _amount(row[NET]) for row in self._invoice_rows("state__exact=draft")}

    def states(self) -> dict[str, str]:
        """December's invoices: client → the words of its state."""
        return {row[CLIENT]: row[STATE] for row in self._invoice_rows("")}

    def overdue(self) -> dict[str, Decimal]:
        """What is overdue by the console's own list: client → open amount with tax, EUR."""
        return {row[CLIENT]: _amount(row[BALANCE]) for row in self._invoice_rows("owed=overdue")}

    def entries(self, outcome: str) -> list[str]:
        """Subjects on the list of held or unbilled entries, sorted."""
        return self._subjects(LISTS[outcome])

    def found_by_sweep(self) -> list[str]:
        """Subjects of the entries whose closing no webhook told, sorted."""
        return self._subjects("item__closing_found_by__exact=sweep")

    def _subjects(self, query: str) -> list[str]:
        page = self.browser.get(f"{ENTRIES}?{query}")
        cells = [cell for row in page.rows for cell in row if re.match(r"#\d+ ", cell)]
        return sorted(_subject(cell) for cell in cells)

    def identities(self) -> list[dict[str, Any]]:
        """The eight identities of December, by the console's own command."""
        return list(json.loads(self.manage("reconcile", "--month", "2025-12", "--json"))["identities"])


def _amount(text: str) -> Decimal:
    found = re.search(r"[\d,]+\.\d\d", text)
    if found is None:
        raise PageError(f"“{text}” is no amount.")
    return Decimal(found[0].replace(",", ""))


def _subject(cell: str) -> str:
    return next((work.subject for work in scenario.WORK if f" {work.subject} " in f"{cell} "), cell)
