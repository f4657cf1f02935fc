"""Own pages inside the admin's frame: GET only renders, POST acts, and a confirm page asks before anything happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve, reverse
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.generic import TemplateView

from billing_console import shown
from billing_console.errors import ConsoleError

Text = str | Promise


def environment_label(request: HttpRequest) -> list[str]:
    """The label in the header: SANDBOX in the colour of a warning, anything else in that of danger."""
    return [settings.ENVIRONMENT.upper(), "warning" if settings.ENVIRONMENT == "sandbox" else "danger"]


def environment_title_prefix(request: HttpRequest) -> str:
    """Before the title of every page, so that two tabs are told apart."""
    return f"[{settings.ENVIRONMENT.upper()}]"


class PageView(TemplateView):
    """A page of ours inside the kit's frame. GET only renders; POST calls `act`, which answers with a redirect.

    Who lacks `permission` (one or more "app.codename") gets 403, also by URL; POST asks `act_permission` as well and
    is 405 where there is none. A ConsoleError of `act` becomes a message, and the page is shown again.

    Before `act`, what the form says was shown is compared with `get_shown`. A page whose act is about nothing on the
    screen says why in `needs_no_version`. What was shown is in `seen` while the page acts.
    """

    title: Text = ""
    permission: str | Sequence[str] = ()
    act_permission: str | Sequence[str] | None = None
    needs_no_version: str = ""
    seen: Mapping[str, Any] = MappingProxyType({})
    admin_site: Any = None
    model_admin: Any = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.require(request, self.permission)
        if request.method == "POST":
            if self.act_permission is None:
                return HttpResponseNotAllowed(["GET", "HEAD"])
            self.require(request, self.act_permission)
        return super().dispatch(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Act, then redirect; what the service refused is said in its own sentence."""
        try:
            self.seen = self.look_again()
            return self.act(request, *args, **kwargs)
        except ConsoleError as error:
            messages.error(request, error.sentence)
            self.refused(error)
            return HttpResponseRedirect(self.get_failure_url())

    def refused(self, error: ConsoleError) -> None:
        """What else follows a refusal of POST; nothing, unless a page keeps what was typed."""

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """What POST does; returns a redirect."""
        raise NotImplementedError

    def get_shown(self) -> Mapping[str, Any]:
        """What is on the screen of what POST acts on, as label → words; or one such mapping for each row."""
        raise NotImplementedError

    def get_subject(self) -> str:
        """What `get_shown` is about: this address, unless another page has the form."""
        return self.request.get_full_path()

    def look_again(self) -> Mapping[str, Any]:
        """What the form says was shown. Raises NotAllowed without it, StaleRevision where it is another by now."""
        if self.needs_no_version:
            return {}
        return shown.require(self.get_subject(), self.request.POST.get(shown.FIELD), self.get_shown())

    @property
    def shown_field(self) -> SafeString:
        """The hidden field that carries what is shown, for the page's own form."""
        return shown.field(self.get_subject(), self.get_shown())

    def get_failure_url(self) -> str:
        """Where to go after a refusal: this page, unless a page knows better."""
        return self.request.get_full_path()

    def get_original(self) -> Model | None:
        """The row that the page is about: its name then stands in the header, with links to its list."""
        return None

    def get_title(self) -> Text:
        """The title of the browser tab and, for a page without a row, of the header."""
        return self.title

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        site = self.admin_site or self.model_admin.admin_site
        self.request.current_app = site.name
        context = {**site.each_context(self.request), "title": self.get_title(), "page": self}
        if original := self.get_original():
            context |= {"opts": original._meta, "original": original}
        return super().get_context_data(**context, **kwargs)

    @staticmethod
    def require(request: HttpRequest, permission: str | Sequence[str]) -> None:
        """Raises PermissionDenied (403) when the person lacks one of the permissions."""
        names = [permission] if isinstance(permission, str) else permission
        if not all(request.user.has_perm(name) for name in names):
            raise PermissionDenied(_("You may not see or do this. Ask an administrator for the permission."))


def may_open(user: Any, url: str) -> bool:
    """Whether the person may see the page at this address, one of ours or a form of the admin.

    What is neither asks nothing here.
    """
    try:
        found = resolve(urlsplit(url).path)
    except Resolver404:
        return True
    opts = getattr(getattr(found.func, "model_admin", None), "opts", None)
    if opts is not None:
        acts = ("add",) if (found.url_name or "").endswith("_add") else ("view", "change")
        return any(user.has_perm(f"{opts.app_label}.{act}_{opts.model_name}") for act in acts)
    permission = getattr(getattr(found.func, "view_class", None), "permission", ())
    names = [permission] if isinstance(permission, str) else permission
    return all(user.has_perm(name) for name in names)


@dataclass(frozen=True)
class Entry:
    """Something to type on a confirm page, with what stands there at first: a number, or a day between two others."""

    name: str
    label: Text
    value: str = ""
    days: tuple[str, str] | None = None  # the first and the last one, ISO


@dataclass(frozen=True)
class Confirmation:
    """What a confirm page says (ui: Confirm). `rows` are cells of `columns`; SafeString cells are printed as they are.

    `facts` are (label, value); `skipped` are (what stays behind, why, address or ""); `fields` are hidden inputs;
    `options` are (value, words) of which the person must choose one, `option_name` what it is sent as; `inputs` are
    typed. `marks` are compared besides the words before the act; `by_row`, where many rows are acted on one by one,
    says what is shown of each, and then each is compared by itself.
    """

    question: Text
    consequence: Text
    submit_label: Text
    cancel_label: Text
    cancel_url: str
    facts: Sequence[tuple[Text, Text]] = ()
    skipped: Sequence[tuple[Text, Text, str]] = ()
    columns: Sequence[Text] = ()
    rows: Sequence[Sequence[Text]] = ()
    numeric_columns: frozenset[int] = frozenset()
    fields: dict[str, str] = field(default_factory=dict)
    marks: Mapping[str, str] = field(default_factory=dict)
    by_row: Mapping[str, Mapping[str, Text]] | None = None
    inputs: Sequence[Entry] = ()
    is_destructive: bool = False
    needs_reason: bool = False
    option_name: str = ""
    option_label: Text = ""
    options: Sequence[tuple[str, Text]] = ()

    @property
    def first_rows(self) -> Sequence[Sequence[Text]]:
        """The twenty rows that are shown at once."""
        return self.rows[:20]

    @property
    def more_rows(self) -> Sequence[Sequence[Text]]:
        """The rows that "and n more" opens."""
        return self.rows[20:]

    @property
    def shown(self) -> Mapping[str, Any]:
        """What is asked as label → words: question, facts, rows, answers and marks; or what is shown of each row."""
        if self.by_row is not None:
            return self.by_row
        header = [str(column) for column in self.columns]
        rows: dict[str, str] = {}
        for row in self.rows:
            name, number = str(row[0]), 2
            while name in rows:
                name, number = f"{row[0]} ({number})", number + 1
            rows[name] = ", ".join(f"{column}: {cell}" for column, cell in zip(header[1:], row[1:], strict=False))
        answers = {str(value): words for value, words in self.options}
        facts = {str(label): value for label, value in self.facts}
        act = {_("Question"): self.question, "_act": f"{self.submit_label} {self.consequence}"}
        return facts | rows | answers | act | {f"_{name}": value for name, value in self.marks.items()}


class ConfirmView(PageView):
    """A question with count and money before anything happens. GET shows it, only POST acts."""

    template_name = "console/confirm.html"

    is_by_row = False

    def get_confirmation(self) -> Confirmation:
        """What is asked; may raise a ConsoleError when there is nothing to ask any more."""
        raise NotImplementedError

    def get_shown(self) -> Mapping[str, Any]:
        return (self.asked or self.get_confirmation()).shown

    def look_again(self) -> Mapping[str, Any]:
        """As for every page; where rows are acted on one by one (`is_by_row`), the act compares each."""
        if self.is_by_row:
            return shown.read(self.get_subject(), self.request.POST.get(shown.FIELD))
        return super().look_again()

    def mark(self, name: str) -> str:
        """A mark of the question that was shown."""
        return str(self.seen[f"_{name}"])

    asked: Confirmation | None = None

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            self.asked = confirmation = self.get_confirmation()
        except ConsoleError as error:
            messages.error(request, error.sentence)
            return HttpResponseRedirect(self.get_failure_url())
        return self.render_to_response(self.get_context_data(confirmation=confirmation, **kwargs))

    def get_title(self) -> Text:
        return self.title or _("Confirm")

    def get_failure_url(self) -> str:
        return reverse("admin:index")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        label, variant = environment_label(self.request)
        return super().get_context_data(environment_name=label, environment_variant=variant, **kwargs)


# Pages of no model: URL name → (route below /admin/, view). The admin site serves them.
SITE_PAGES: Final[dict[str, tuple[str, type[PageView]]]] = {}


def site_page(route: str, name: str) -> Callable[[type[PageView]], type[PageView]]:
    """Class decorator: serve this page at `/admin/<route>`, reversed as `admin:<name>`. For an app's admin module."""

    def register(view: type[PageView]) -> type[PageView]:
        SITE_PAGES[name] = (route, view)
        return view

    return register
