"""A server that answers "too many calls" is left alone for a while: as it asks, but for minutes at most, and growing.

What a server asks for is not always meant: one `Retry-After: 86400` of a proxy would stop all work for a day. So it is
asked again after minutes, each time later while it says the same; one answered call ends that. All times are real time.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from sync.models import UpstreamGate

_STEP: Final = timedelta(minutes=5)
LONGEST: Final = timedelta(minutes=15)


def longest(number: int) -> timedelta:
    """How long the `number`th rest in a row (from 1) may be at most: 5, 10, then always 15 minutes."""
    return min(_STEP * max(number, 1), LONGEST)


def rest_of(number: int, asked: int | None) -> timedelta:
    """The `number`th rest in a row, where the server asked for `asked` seconds (None: it did not say).

    From the second one on never less than THROTTLE_SECONDS, doubling: who says "at once" each time is not believed.
    """
    own = timedelta(seconds=settings.THROTTLE_SECONDS) * 2 ** min(max(number - 2, 0), 10)
    wanted = timedelta(seconds=settings.THROTTLE_SECONDS if asked is None else asked)
    return min(max(wanted, own) if number > 1 else wanted, longest(number))


def begin(server: str, asked: int | None) -> str:
    """The server said that it is called too often: no call for a while; returns the sentence that says so."""
    gate, _is_new = UpstreamGate.objects.get_or_create(server=server)
    now, sentence = timezone.now(), _sentence(asked)
    rows = UpstreamGate.objects.filter(pk=gate.pk)
    over = rows.filter(Q(resume_at__isnull=True) | Q(resume_at__lte=now), rests=gate.rests)
    number = gate.rests + 1
    # Calls that ran side by side say it at once: together they are one rest.
    if not over.update(
        rests=F("rests") + 1,
        resting_since=Coalesce(F("resting_since"), now),
        resume_at=now + rest_of(number, asked),
        sentence=sentence,
    ):
        until = now + rest_of(rows.values_list("rests", flat=True).get(), asked)
        rows.filter(resume_at__lt=until, open_since__isnull=True).update(resume_at=until, sentence=sentence)
    return sentence


def end(server: str) -> None:
    """It answered: the next rest is a first one again."""
    UpstreamGate.objects.filter(server=server, rests__gt=0).update(rests=0, resting_since=None)


def is_resting(gate: UpstreamGate) -> bool:
    """Whether it is left alone because it asked for that, now."""
    return gate.open_since is None and gate.resume_at is not None and gate.resume_at > timezone.now()


def is_left_alone(gate: UpstreamGate) -> bool:
    """Whether it is not called now: it asked for that, or did not answer (its breaker is open)."""
    return gate.open_since is not None or is_resting(gate)


def _sentence(asked: int | None) -> str:
    if asked is None:
        return _("It says that it is called too often.")
    return _("It says that it is called too often, and asks for a pause of %(span)s.") % {"span": _span(asked)}


def _span(seconds: int) -> str:
    if seconds < 120:
        return ngettext("%(count)d second", "%(count)d seconds", seconds) % {"count": seconds}
    if seconds < 2 * 3600:
        minutes = round(seconds / 60)
        return ngettext("%(count)d minute", "%(count)d minutes", minutes) % {"count": minutes}
    hours = round(seconds / 3600)
    return ngettext("%(count)d hour", "%(count)d hours", hours) % {"count": hours}
