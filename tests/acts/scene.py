"""One act of the console as a person meets it: the page that asks, what is posted, and what another does meanwhile."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.test import Client as Browser
from django.urls import reverse

from tests.people import fields_in

# Not of the product: who is signed in.
HIDDEN = r'<input type="hidden" name="(\w+)" value="([^"]*)">'
LEFT_OUT = {"sessions.session", "accounts.user"}


@dataclass
class Scene:
    """What is acted on at `address` from the page `asked_at`, with what the person types, and what changes meanwhile.

    `old` and `new` must be in the refusal.
    """

    address: str
    meanwhile: Callable[[], Any]
    old: str
    new: str
    typed: dict[str, Any] = field(default_factory=dict)
    asked_at: str = ""
    asked_with: dict[str, Any] = field(default_factory=dict)

    def form(self, browser: Browser) -> dict[str, Any]:
        """What the open page sends: what it showed, and what was typed."""
        if self.asked_with:  # a form whose answer is the question
            return fields_in(browser.post(self.address, self.asked_with)) | self.typed
        answer = browser.get(self.asked_at or self.address)
        assert answer.status_code == 200, (answer.status_code, said(browser.get(self.address, follow=True))[:600])
        page = answer.content.decode()
        if rows := re.findall(r'name="shown_rows" value="([^"]*)"', page):
            return {"shown_rows": rows, **self.typed}
        return {"shown": self._shown(page), **self.typed}

    def _shown(self, page: str) -> str:
        for button in re.findall(r'<button[^>]*data-bc-action="[^"]*"[^>]*>', page):
            if f'data-bc-action="{self.address}"' in button:
                filled = re.search(r'data-bc-fill="([^"]*)"', button)
                assert filled is not None
                return str(json.loads(html.unescape(filled[1]))["shown"])
        forms = re.findall(r"<form.*?</form>", page, re.DOTALL)
        own = [one for one in forms if f'action="{self.address}"' in one] or [
            one for one in forms if not re.search(r'<form[^>]* action="', one)
        ]
        for one in own:
            fields = dict(re.findall(HIDDEN, one))
            named = {name: value for name, value in self.typed.items() if (name, value) in re.findall(HIDDEN, page)}
            if "shown" in fields and named.items() <= fields.items():
                return fields["shown"]
        raise AssertionError(f"The page has no form for {self.address} that says what it shows.")


def said(answer: Any) -> str:
    """The words of a page."""
    words = re.sub(r"<[^>]+>", " ", answer.content.decode())
    return " ".join(html.unescape(words).replace("\u00a0", " ").split())


def everything() -> dict[str, list[Any]]:
    """Every row of the database."""
    return {
        model._meta.label_lower: sorted(map(repr, model._default_manager.values_list()))
        for model in apps.get_models()
        if model._meta.managed and model._meta.label_lower not in LEFT_OUT
    }


def url(name: str, *args: Any) -> str:
    return reverse(f"admin:{name}", args=args)
