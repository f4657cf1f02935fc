"""The web changes nothing for a person while its process is not fit: no date is set by a wrong clock, no row is written
that the tables no longer have. By a wrong clock pages are shown as ever, and one can sign in and out; on tables of
another version nothing is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse

from billing_console import fitness
from billing_console.border import is_page

_READS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class FitOnly:
    """Middleware; the last one before the views. What may not be done is answered 503 with the reason."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not is_page(request):
            return self.get_response(request)
        # By the last word of this process, so that a page costs no question more.
        if fitness.seen().tables and (why := fitness.look().tables):
            return _refusal(why)
        if request.method in _READS or _is_about_the_session(request):
            return self.get_response(request)
        try:
            why = fitness.begin()
        except DatabaseError:
            return self.get_response(request)  # its view says what is the matter with the database
        if why:
            return _refusal(why)
        try:
            return self.get_response(request)
        finally:
            fitness.end()


def _refusal(why: str) -> HttpResponse:
    return HttpResponse(render_to_string("503.html", {"sentence": why}), status=503)


def _is_about_the_session(request: HttpRequest) -> bool:
    return request.path_info in (reverse("admin:login"), reverse("admin:logout")) or request.path_info.startswith(
        "/i18n/"
    )
