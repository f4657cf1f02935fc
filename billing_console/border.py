"""The border of the pages: what no column and no page can take is refused before anything reads it.

A NUL in an address, a cookie, a query or a form is no text of a person, and PostgreSQL refuses it: 400. A body is
measured before a byte of it is read, because Django keeps files on the disk before it asks who sent them: 413. A long
one is taken from who is signed in, which a cookie alone does not say: its session is looked up before. The doors of
other programs are none of its business: they read, bound and answer by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string

from billing_console.values import number_of

NUL: Final = "\0"
FROM_ANYBODY: Final = 64 * 1024  # bytes of a body of somebody who is not signed in: a name and a password
FROM_THE_OFFICE: Final = 4 * 1024 * 1024  # bytes of a body of who is signed in: the files of an import and their frame


class Border:
    """Middleware; the first of all that read what was sent."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not is_page(request):
            return self.get_response(request)
        if is_too_large(request):
            return refusal(413)
        texts = [request.path_info, *request.COOKIES.values(), *_texts_of(request.GET)]
        return refusal(400) if any(NUL in text for text in texts) else self.get_response(request)

    def process_view(self, request: HttpRequest, *_args: Any) -> HttpResponse | None:
        """A form is looked at where its view would read it; before, who sends a long body is asked for by name."""
        if is_page(request) and is_long(request) and not request.user.is_authenticated:
            return refusal(413)
        is_form = request.content_type in ("application/x-www-form-urlencoded", "multipart/form-data")
        if request.method != "POST" or not is_form or not is_page(request):
            return None
        names = [str(file.name) for files in request.FILES.lists() for file in files[1]]
        return refusal(400) if any(NUL in text for text in [*_texts_of(request.POST), *names]) else None


def is_page(request: HttpRequest) -> bool:
    """Whether a person asks: the admin and the choice of the language."""
    return request.path_info.startswith(("/admin/", "/i18n/"))


def is_too_large(request: HttpRequest) -> bool:
    """Whether the body is longer than anybody may send who might be who the cookies say."""
    length = _length_of(request)
    is_somebody = settings.SESSION_COOKIE_NAME in request.COOKIES
    return length is None or length > (FROM_THE_OFFICE if is_somebody else FROM_ANYBODY)


def is_long(request: HttpRequest) -> bool:
    """Whether only who is signed in may send so much."""
    length = _length_of(request)
    return length is None or length > FROM_ANYBODY


def _length_of(request: HttpRequest) -> int | None:
    """Bytes of the body; one without a length is empty to Django. None where what is told is no number."""
    return number_of(request.META.get("CONTENT_LENGTH") or "0")


def refusal(status: int) -> HttpResponse:
    """The page that says so."""
    return HttpResponse(render_to_string("400.html"), status=status)


def _texts_of(values: QueryDict) -> Iterable[str]:
    for name, found in values.lists():
        yield name
        yield from (text for text in found if isinstance(text, str))
