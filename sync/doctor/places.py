"""Where a finding's link leads: a page of the console, of Taiga or of Invoice Ninja, and the word on the link."""

from __future__ import annotations

from django.urls import reverse
from django.utils.translation import gettext as _

from sync import links
from sync.doctor.findings import CONSOLE, TAIGA, Place


def resolve(place: Place | None) -> tuple[str, str]:
    """The address and the words of the link; both "" where there is none, or the server has no address."""
    if place is None:
        return "", ""
    if place.where == CONSOLE:
        return reverse(place.path, args=place.args), _("Open it here")
    if place.where == TAIGA:
        url, words = links.taiga_page(place.path), _("Open in Taiga")
    else:
        url, words = links.ninja_page(place.path), _("Open in Invoice Ninja")
    return url, words if url else ""
