"""Whether FIELD_KEY is the one that the stored texts were encrypted with; and the one place that makes a new one.

The fingerprint of the key with which all stored texts could be read is kept in the database, so that a page can say
which key is missed. A key is never made where encrypted texts exist: it could read none of them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from cryptography.fernet import Fernet
from django.apps import apps
from django.conf import settings
from django.db.models import Model
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing_console.env import make_once
from billing_console.fields import FILE, EncryptedTextField, UnreadableSecret, field_key, fingerprint
from sync import alarms, heartbeats
from sync.models import Heartbeat

ALARM: Final = "field-key"
KEPT: Final = "field_key"  # the heartbeat whose detail is the fingerprint; `at` says when all could be read last
_EVERY: Final = dt.timedelta(minutes=10)


def _columns() -> Iterator[tuple[type[Model], str]]:
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if isinstance(field, EncryptedTextField):
                yield model, field.name


def _stored(model: type[Model], name: str) -> Any:
    return model._default_manager.exclude(**{name: ""}).exclude(**{f"{name}__isnull": True})


def has_texts() -> bool:
    """Whether anything in the database is encrypted."""
    return any(_stored(model, name).exists() for model, name in _columns())


def unreadable() -> list[Model]:
    """The rows of which a text cannot be read, each once; one query for each encrypted column."""
    found: dict[tuple[type[Model], Any], Model] = {}
    for model, name in _columns():
        for row in _stored(model, name):
            if isinstance(getattr(row, name), UnreadableSecret):
                found[model, row.pk] = row
    return list(found.values())


def problem() -> str:
    """What is wrong with FIELD_KEY and what to do, in one sentence or two; "" where every text can be read."""
    rows = unreadable()
    if not rows:
        return ""
    kept = Heartbeat.objects.filter(name=KEPT).values_list("detail", flat=True).first() or ""
    now = fingerprint()
    if not now:
        which = _("FIELD_KEY is missing")
    elif kept and kept != now:
        words = {"now": now, "kept": kept}
        which = _("FIELD_KEY is another one (fingerprint %(now)s) than the texts were stored with (%(kept)s)") % words
    else:
        which = _("FIELD_KEY (fingerprint %(now)s) is not the one that they were stored with") % {"now": now}
    names = ", ".join(sorted(str(row) for row in rows)[:5])
    sentence = ngettext(
        "%(which)s: the webhook key of %(count)d project cannot be read (%(names)s).",
        "%(which)s: the webhook keys of %(count)d projects cannot be read (%(names)s).",
        len(rows),
    ) % {"which": which, "count": len(rows), "names": names}
    put_back = _(
        "Put the key back from your backup (the file var/field_key, or the variable FIELD_KEY) and start the console "
        "again. Where it is lost, connect these projects again, or type their keys anew."
    )
    new_one = _("A new key is made only by `manage.py prepare --new-field-key`.")
    rest = _("Their deliveries wait for the sweep; all else goes on.")
    return " ".join([sentence, put_back, *([] if now else [new_one]), rest])


def watch() -> bool:
    """Raise or clear the alarm about it, and keep the fingerprint of a key that reads everything; True when well."""
    if sentence := problem():
        alarms.raise_alarm(ALARM, sentence, url_name="admin:mappings_projectmapping_changelist")
        return False
    alarms.clear(ALARM)
    now = fingerprint()
    if now and not (heartbeats.is_alive(KEPT, _EVERY) and Heartbeat.objects.filter(name=KEPT, detail=now).exists()):
        heartbeats.note(KEPT, now)
    return True


def make_missing(*, although_texts: bool = False) -> str:
    """Make FIELD_KEY in VAR_DIR where there is none; returns why not, "" when it is there (now).

    Where encrypted texts exist it is made only `although_texts`: an operator says that the old one is lost.
    """
    if field_key():
        return ""
    if has_texts() and not although_texts:
        return problem()
    make_once(Path(settings.VAR_DIR) / FILE, lambda: Fernet.generate_key().decode())
    return ""
