"""An act names what was on the screen: the one way a form carries it, and the one way it is compared before the act.

`field` puts what a page shows into its form, signed for the subject it is about. `require` compares that with what
there is now, and refuses with the old and the new value in one sentence. A form without it is refused too. What is
carried are labels and words as they were shown; a label that begins with "_" is compared and never named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.core import signing
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from billing_console.errors import NotAllowed, StaleRevision

FIELD: Final = "shown"
NAMED: Final = 4
LONGEST: Final = 120

Words = Mapping[str, Any]


def seal(subject: str, values: Mapping[str, Any]) -> str:
    """What is shown of `subject` as text for a form; nobody can make one for another subject or other values."""
    return signing.dumps(_plain(values), salt=f"shown:{subject}", compress=True)


def field(subject: str, values: Mapping[str, Any]) -> SafeString:
    """The hidden field of a form that acts on `subject`."""
    return format_html('<input type="hidden" name="{}" value="{}">', FIELD, seal(subject, values))


def read(subject: str, posted: str | None) -> dict[str, Any]:
    """What was on the screen of whoever posts. Raises NotAllowed where the form does not say it, or says another's."""
    try:
        found = signing.loads(posted or "", salt=f"shown:{subject}")
    except signing.BadSignature:
        found = None
    if not isinstance(found, dict):
        raise NotAllowed(_("The form came without what you saw, so nothing was done. Open it again."))
    return found


def require(subject: str, posted: str | None, now: Mapping[str, Any]) -> dict[str, Any]:
    """What was shown, where it is what there is now. Raises NotAllowed without it, StaleRevision when it is another."""
    before = read(subject, posted)
    require_same(before, now)
    return before


def require_same(before: Words | None, now: Words) -> None:
    """Raises NotAllowed where nothing was shown of a row, StaleRevision with old and new where it was another one."""
    if before is None:
        raise NotAllowed(_("It was not on the screen, so nothing was done. Open it first."))
    if sentence := difference(before, now):
        raise StaleRevision(sentence)


def difference(before: Words, now: Words) -> str:
    """One sentence that names what is another one by now, old and new; "" where all is as it was shown."""
    old, new = _plain(before), _plain(now)
    labels = [label for label in {**old, **new} if old.get(label) != new.get(label)]
    if not labels:
        return ""
    named = [label for label in labels if not label.startswith("_")]
    if not named:
        return _("It was changed since you opened the page. Nothing was done; reload it, check, and do it again.")
    parts = [
        _("%(what)s was %(old)s and is %(new)s now")
        % {"what": label, "old": _short(old.get(label)), "new": _short(new.get(label))}
        for label in named[:NAMED]
    ]
    return _("This is not what you saw: %(changes)s. Nothing was done; look at it again.") % {
        "changes": "; ".join(parts)
    }


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Labels and words as JSON keeps them; rows (a mapping of mappings) stay apart."""
    return {str(label): _plain(words) if isinstance(words, Mapping) else str(words) for label, words in values.items()}


def _short(words: Any) -> str:
    text = str(words) if words not in (None, "") else "–"
    return f"“{text if len(text) <= LONGEST else text[: LONGEST - 1] + '…'}”"
