"""A payload in every text of both servers, of files and of people: no page or dialog prints it raw.

The texts are put where they end up, in every text column of every table; a column that is added is part of it.
"""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django import forms
from django.apps import apps
from django.conf import settings
from django.contrib.admin.helpers import Fieldset
from django.contrib.auth.models import AnonymousUser
from django.db import connection, models
from django.template.loader import render_to_string
from django.test import RequestFactory
from django.utils.html import format_html

from invoicing import navigation
from tests.people import browser_of
from tests.standins import World
from tests.walking import office, pages_of_models, walk  # noqa: F401

TAG = "x-payload"
PAYLOAD = f"javascript:'\"><{TAG}>"
# Words of the console's own: nobody types them, and no server or file brings them.
OWN_WORDS = re.compile(
    r"password|currency|(billing_)?timezone|payment_terms|fingerprint|sha256|hash|seal|marks?|verdict|url_name|verb"
    r"|server|event_type|action|model|(from|to)_state|reminded_on|code|key|our_key|group_key|forgotten_key"
    r"|webhook_key|previous_webhook_key|reason_code|level|method|upstream|rows|recent_ids|state"
)
OWN_COLUMNS = {
    "sync.TimeEntry.reason",  # names of reasons, of records and of marks, not sentences
    "sync.RemoteRecord.reason",
    "sync.RejectedDelivery.reason",
    "sync.Heartbeat.name",
    "sync.DoctorFinding.url",
    "invoicing.PollCursor.name",
    "invoicing.Closing.figures",
    "sync.WorkItem.attributes",  # read by our own reader: numbers, dates and yes or no
    "sync.RemoteRecord.desired",
    "sync.RemoteRecord.remote_id",  # of a mark it is our own key
}
# In JSON: numbers, days, our own names of things and currencies.
NO_TEXT = re.compile(r"[a-z0-9_.:+-]*|[0-9T:.+Z-]+|[A-Z]{3}|[A-Z]+-[A-Z0-9-]+")


def hostile(value: Any) -> Any:
    """The value of a JSON column with the payload in each of its texts."""
    if isinstance(value, dict):
        return {key: hostile(one) for key, one in value.items()}
    if isinstance(value, list):
        return [hostile(one) for one in value]
    return PAYLOAD + value if isinstance(value, str) and not NO_TEXT.fullmatch(value) else value


def put_payloads() -> int:
    """Write the payload into every text column of ours; returns in how many columns it stands now."""
    columns = 0
    with connection.cursor() as cursor:
        for model in apps.get_models():
            if model._meta.app_label not in ("accounts", "mappings", "sync", "invoicing"):
                continue
            table = connection.ops.quote_name(model._meta.db_table)
            for field in model._meta.concrete_fields:
                label = model._meta.label.replace("Historical", "")
                if OWN_WORDS.fullmatch(field.name) or f"{label}.{field.name}" in OWN_COLUMNS or field.choices:
                    continue
                name = connection.ops.quote_name(field.column)
                if isinstance(field, models.JSONField):
                    cursor.execute(f"SELECT {model._meta.pk.column}, {name} FROM {table}")  # noqa: S608
                    for pk, value in cursor.fetchall():
                        value = json.loads(value) if isinstance(value, str) else value
                        cursor.execute(
                            f"UPDATE {table} SET {name} = %s WHERE {model._meta.pk.column} = %s",  # noqa: S608
                            [json.dumps(hostile(value)), pk],
                        )
                elif isinstance(field, models.CharField | models.TextField):
                    columns += 1
                    long = field.max_length or 10_000
                    payload = PAYLOAD if long > 2 * len(PAYLOAD) else PAYLOAD.removeprefix("javascript:")
                    if long > len(payload):
                        cursor.execute(
                            f"UPDATE {table} SET {name} = left(%s || {name}, %s)",  # noqa: S608
                            [payload, long],
                        )
    return columns


# Their values are a program for the browser, so a text of others does no better in them for being escaped.
CODE = re.compile(r"on\w+|x-.+|:.+|@.+|hx-on.*|hx-vals|hx-vars|style")


class Raw(HTMLParser):
    """Collects every place where the payload became more than text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.is_script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.is_script = tag in ("script", "style")
        if tag == TAG:
            self.found.append(f"an element at {self.getpos()}")
        for name, value in attrs:
            if TAG in name or (TAG in (value or "") and CODE.fullmatch(name)):
                self.found.append(f"{name}={value!r} of <{tag}>")
            if name in ("href", "src", "action", "hx-get", "hx-post") and (value or "").strip().startswith("javas"):
                self.found.append(f"{name}={value!r} of <{tag}>")

    def handle_endtag(self, tag: str) -> None:
        self.is_script = False

    def handle_data(self, data: str) -> None:
        if self.is_script and f"<{TAG}" in data:
            self.found.append(f"in a script: {data[:80]}")


@pytest.mark.parametrize(
    ("page", "is_raw"),
    [
        (f"<p>{PAYLOAD}</p>", True),
        (f'<a href="{PAYLOAD}">x</a>', True),
        ('<a href="javascript:\'&quot;&gt;">x</a>', True),
        (f"<button onclick=\"say('{TAG}')\">", True),
        (f"<script>const x = '<{TAG}>'</script>", True),
        (f'<p title="&lt;{TAG}>">&lt;{TAG}&gt;</p>', False),
    ],
)
def test_the_parser_tells_raw_from_escaped(page: str, is_raw: bool) -> None:
    assert bool(Raw(page).found) == is_raw


def test_no_text_of_others_is_raw_on_any_page(office: World) -> None:  # noqa: F811
    assert put_payloads() > 120
    raw, shown = {}, set()

    def look(url: str, answer: Any) -> None:
        page = b"".join(answer.streaming_content) if answer.streaming else answer.content
        if answer.get("Content-Type", "").startswith("text/html"):
            text = page.decode()
            if found := Raw(text).found:
                raw[url] = found
            if f"&lt;{TAG}&gt;" in text:
                shown.add(url)

    browser = browser_of("administrator")
    browser.raise_request_exception = False
    wrong, pages = walk(browser, look, also=pages_of_models())

    assert raw == {}
    assert {url: why for url, why in wrong.items() if not why.startswith(("403", "404", "405"))} == {}
    assert pages > 150
    assert len(shown) > 60  # the walk met the payload


# --- the slots that the kit does not escape ---------------------------------------------------------------------------


def test_a_help_text_is_text_unless_python_says_that_it_is_html() -> None:
    template = "unfold/helpers/help_text.html"
    assert f"&lt;{TAG}&gt;" in render_to_string(template, {"help_text": PAYLOAD})
    assert f"<{TAG}>" in render_to_string(template, {"help_text": format_html("<{}>", TAG)})


def test_a_fieldsets_description_is_text() -> None:
    fieldset = Fieldset(forms.Form(), fields=(), description=PAYLOAD)
    assert Raw(render_to_string("admin/includes/fieldset.html", {"fieldset": fieldset})).found == []


def test_a_title_of_the_sidebar_is_text(rf: RequestFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    item = navigation.Item(PAYLOAD, "", ("admin:index",), "")
    monkeypatch.setattr(navigation, "GROUPS", ((PAYLOAD, (item,)),))
    request = rf.get("/admin/")
    request.user = AnonymousUser()
    (group,) = navigation.sidebar(request)
    assert f"&lt;{TAG}&gt;" in group["items"][0]["title"]


def test_the_kit_prints_nothing_else_unescaped() -> None:
    """A new `|safe` of the kit, of Django's admin or of another app is looked at before it is used."""
    found = set()
    for config in apps.get_app_configs():
        for file in Path(config.path).glob("templates/**/*.html"):
            text = file.read_text()
            if "|safe" in text or "autoescape off" in text:
                found.add(f"{config.name}/{file.relative_to(Path(config.path) / 'templates')}")
    kit = {
        "unfold/admin/includes/fieldset.html",  # ours stands before it
        "unfold/unfold/helpers/help_text.html",  # ours stands before it
        "unfold/unfold/helpers/app_list.html",  # navigation.sidebar escapes the titles
    }
    crispy = {name for name in found if "/unfold_crispy/" in name}  # not installed, not used
    django = {name for name in found if name.startswith(("django.", "import_export/", "rest_framework/"))}  # not used
    assert found - crispy - django == kit
    ours = settings.BASE_DIR.glob("templates/**/*.html")
    assert [str(file) for file in ours if "|safe" in re.sub(r"{#.*?#}", "", file.read_text())] == []
