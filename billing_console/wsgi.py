"""WSGI entry point for gunicorn."""

from __future__ import annotations

import codecs
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "billing_console.settings")
application = get_wsgi_application()


def load_what_failures_need() -> None:
    """Read from the disk now what answers where no file can be opened any more: the views and the pages of failures."""
    from django.template.loader import get_template  # noqa: PLC0415 -- the settings are known by now
    from django.urls import get_resolver  # noqa: PLC0415

    assert get_resolver().url_patterns
    codecs.lookup("unicode_escape")  # Django's log of whatever is no success
    for status in (400, 403, 404, 500):
        get_template(f"{status}.html")


load_what_failures_need()
