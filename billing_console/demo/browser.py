"""A browser of a few lines: cookies, forms, tables. It sees the console's pages as a person without script does."""

from __future__ import annotations

import http.cookiejar
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from html.parser import HTMLParser

TIMEOUT_SECONDS = 30
PATIENCE_SECONDS = 60
_VOID = frozenset({"input", "br", "img", "meta", "link", "hr", "source", "path", "use", "circle", "rect", "line"})


class PageError(Exception):
    """A page is not what the visitor expected; the text is one sentence. `is_passing`: the console was just down."""

    def __init__(self, sentence: str, *, is_passing: bool = False) -> None:
        super().__init__(sentence)
        self.is_passing = is_passing


@dataclass
class Form:
    """One form: where it goes, its fields as they stand, and the words on its buttons by (name, value)."""

    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass
class Link:
    """A link: its address and its words."""

    url: str
    text: str


class Page(HTMLParser):
    """What stands on a page: forms, unticked boxes, links, tables (rows of cells, each one text) and the whole text."""

    def __init__(self, url: str, status: int, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.url, self.status = url, status
        self.forms: list[Form] = []
        self.links: list[Link] = []
        self.rows: list[list[str]] = []
        self.words: list[str] = []
        self.choices: list[tuple[str, str]] = []
        self._form: Form | None = None
        self._row: list[str] | None = None
        self._cell: list[str] | None = None
        self._link: tuple[str, list[str]] | None = None
        self._button: tuple[str, str, list[str]] | None = None
        self._silent = 0
        self.feed(html)

    @property
    def text(self) -> str:
        """All words of the page, separated by single spaces."""
        return " ".join(" ".join(self.words).split())

    @property
    def token(self) -> str:
        """Django's token against forged posts, from any form of the page."""
        found = [value for form in self.forms for name, value in form.fields if name == "csrfmiddlewaretoken"]
        if not found:
            raise PageError(f"{self.url} has no form to post.")
        return found[0]

    def find_form(self, button: str) -> tuple[Form, tuple[str, str]]:
        """The form that has a button whose words begin with `button`, and that button's (name, value)."""
        for form in self.forms:
            for name, value, words in form.buttons:
                if words.startswith(button):
                    return form, (name, value)
        known = "; ".join(words for form in self.forms for _name, _value, words in form.buttons)
        raise PageError(f"{self.url} has no button “{button}” (it has: {known}).")

    def find_link(self, part_of_url: str) -> str:
        """The first link whose address contains `part_of_url`."""
        for link in self.links:
            if part_of_url in link.url:
                return urllib.parse.urljoin(self.url, link.url)
        raise PageError(f"{self.url} has no link to …{part_of_url}….")

    # --- reading

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        if tag in ("script", "style", "template", "svg"):
            self._silent += 1
        elif tag == "form":
            self._form = Form(values.get("action", ""), values.get("method", "get").lower())
            self.forms.append(self._form)
        elif tag == "input" and self._form is not None:
            self._read_input(values)
        elif tag == "button":
            self._button = (values.get("name", ""), values.get("value", ""), [])
        elif tag == "a" and "href" in values:
            self._link = (values["href"], [])
        elif tag == "tr":
            self._row = []
        elif tag in ("td", "th") and self._row is not None:
            self._cell = []

    def _read_input(self, values: dict[str, str]) -> None:
        if self._form is None:
            return
        kind, name = values.get("type", "text"), values.get("name", "")
        if kind == "submit":
            self._form.buttons.append((name, values.get("value", ""), values.get("value", "")))
        elif kind == "checkbox" and "checked" not in values:
            self.choices.append((name, values.get("value", "on")))
        elif name and (kind not in ("checkbox", "radio") or "checked" in values):
            self._form.fields.append((name, values.get("value", "on" if kind == "checkbox" else "")))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style", "template", "svg"):
            self._silent = max(0, self._silent - 1)
        elif tag == "form":
            self._form = None
        elif tag == "button" and self._button is not None:
            name, value, words = self._button
            if self._form is not None:
                self._form.buttons.append((name, value, " ".join(" ".join(words).split())))
            self._button = None
        elif tag == "a" and self._link is not None:
            self.links.append(Link(self._link[0], " ".join(" ".join(self._link[1]).split())))
            self._link = None
        elif tag in ("td", "th") and self._cell is not None and self._row is not None:
            self._row.append(" ".join(" ".join(self._cell).split()))
            self._cell = None
        elif tag == "tr" and self._row is not None:
            self.rows.append(self._row)
            self._row = None

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        self.words.append(data)
        if self._cell is not None:
            self._cell.append(data)
        if self._link is not None:
            self._link[1].append(data)
        if self._button is not None:
            self._button[2].append(data)


class Browser:
    """Cookies and redirects as in any browser; a page that answers an error is a PageError."""

    def __init__(self, base: str) -> None:
        self.base = base
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()), urllib.request.ProxyHandler({})
        )

    def get(self, path: str) -> Page:
        """The page at `path` (or a whole address of the console); reloaded while the console is down, for a minute."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return self._open(urllib.request.Request(urllib.parse.urljoin(self.base, path)))
            except PageError as error:
                if not error.is_passing or time.monotonic() > deadline:
                    raise
            time.sleep(0.5)

    def submit(self, page: Page, button: str, **typed: str) -> Page:
        """Press the button whose words begin with `button`, with `typed` in fields of its form."""
        form, (name, value) = page.find_form(button)
        fields = [(key, typed.pop(key, kept)) for key, kept in form.fields]
        fields += list(typed.items())
        if name:
            fields.append((name, value))
        return self.post(page, form.action, fields)

    def post(self, page: Page, action: str, fields: list[tuple[str, str]]) -> Page:
        """Post `fields` from `page`; the referrer is sent, because Django asks for it."""
        url = urllib.parse.urljoin(page.url, action or page.url)
        data = urllib.parse.urlencode(fields).encode()
        return self._open(urllib.request.Request(url, data=data, headers={"Referer": page.url}))

    def log_in(self, username: str, password: str) -> None:
        """Sign in through the console's own form; raises PageError when it is refused."""
        page = self.get("/admin/login/?next=/admin/")
        form, _button = next(
            ((form, form) for form in page.forms if any(name == "password" for name, _value in form.fields)),
            (None, None),
        )
        if form is None:
            return  # signed in already
        fields = [(name, value) for name, value in form.fields if name not in ("username", "password")]
        answer = self.post(page, form.action, [*fields, ("username", username), ("password", password)])
        if "/login/" in answer.url:
            raise PageError(f"The console does not let {username} in.")

    def _open(self, request: urllib.request.Request) -> Page:
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                return Page(answer.url, answer.status, answer.read().decode("utf-8", "replace"))
        except urllib.error.HTTPError as error:
            words = Page(request.full_url, error.code, error.read().decode("utf-8", "replace")).text[:300]
            sentence = f"{request.get_method()} {request.full_url} answered {error.code}: {words}"
            raise PageError(sentence, is_passing=error.code >= 500) from error
        except (urllib.error.URLError, OSError) as error:
            sentence = f"{request.get_method()} {request.full_url} did not answer: {error}"
            raise PageError(sentence, is_passing=True) from error
