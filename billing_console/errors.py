"""Every failure that the console knows, each with one plain sentence for a person.

An exception carries what a service needs to decide (is it permanent, is the outcome unknown, how long
to wait) and never a secret: `redaction.excerpt_of` blanks what looks like one before it is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

Text = str | Promise

UPSTREAM_NAMES: Final[Mapping[str, str]] = {"taiga": "Taiga", "invoice_ninja": "Invoice Ninja"}


class ConsoleError(Exception):
    """Base of every failure the console raises itself; `.sentence` says what happened and what to do."""

    default_sentence: Text = gettext_lazy("Something went wrong. Try again, and look at the log if it stays.")

    def __init__(self, sentence: Text | None = None) -> None:
        super().__init__(sentence)
        self._sentence = sentence

    @property
    def sentence(self) -> str:
        """One translated sentence for a person: what happened and what to do."""
        return str(self._sentence if self._sentence is not None else self.default_sentence)

    def __str__(self) -> str:
        return self.sentence


# --- Failures of a call to Taiga or Invoice Ninja -------------------------------------------------


class UpstreamError(ConsoleError):
    """A call to Taiga or Invoice Ninja that did not do what was asked.

    `upstream` is "taiga" or "invoice_ninja", `path` has no secrets in it, `status` is the HTTP status or
    None where no answer came, `body_excerpt` is redacted, `wait_seconds` is how long the server asked us
    to wait (seconds, None if it did not say). `is_permanent`: the same call will fail again until somebody
    changes something. `is_surely_not_done`: no part of it was done, so that even a mail may be asked for again.
    `is_outcome_unknown`: a write may have been done; look it up, never repeat it blindly.
    """

    is_permanent: bool = False
    is_unknown_for_writes: bool = False
    is_surely_not_done: bool = False
    default_sentence = gettext_lazy("%(upstream)s did not do what was asked. It is tried again by itself.")

    def __init__(
        self,
        upstream: str,
        method: str = "",
        path: str = "",
        *,
        status: int | None = None,
        body_excerpt: str = "",
        wait_seconds: int | None = None,
        is_read: bool | None = None,
        detail: str = "",
    ) -> None:
        super().__init__()
        self.upstream = upstream
        self.method = method.upper()
        self.path = path
        self.status = status
        self.body_excerpt = body_excerpt
        self.wait_seconds = wait_seconds
        self.is_read = self.method in ("GET", "HEAD", "") if is_read is None else is_read
        self.detail = detail

    @property
    def is_outcome_unknown(self) -> bool:
        """True if this was a write that the server may have carried out; a read is simply repeated."""
        return self.is_unknown_for_writes and not self.is_read

    @property
    def upstream_name(self) -> str:
        """The server's name as a person knows it."""
        return UPSTREAM_NAMES.get(self.upstream, self.upstream)

    @property
    def sentence(self) -> str:
        sentence = str(self.default_sentence) % {
            "upstream": self.upstream_name,
            "call": f"{self.method} {self.path}".strip(),
            "status": self.status if self.status is not None else "–",
            "detail": self.detail,
            "wait": self.wait_seconds if self.wait_seconds is not None else "",
        }
        if self.is_outcome_unknown:
            sentence += " " + _("Whether it was done is not known; it is looked up before anything is repeated.")
        return sentence

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.upstream} {self.method} {self.path} status={self.status}>"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.__dict__.copy())


def _rebuild(cls: type[UpstreamError], state: dict[str, object]) -> UpstreamError:
    """Make an upstream error again from its state, so that it passes between processes."""
    error = cls.__new__(cls)
    Exception.__init__(error)
    error.__dict__.update(state)
    return error


class Unauthorized(UpstreamError):
    """The credentials are missing, wrong or expired (Taiga 401; Invoice Ninja 403 "Invalid token")."""

    is_permanent = True
    default_sentence = gettext_lazy(
        "%(upstream)s did not accept our login. Check the token or the user and password in the settings."
    )


class Forbidden(UpstreamError):
    """The login is good but may not do this (403; Invoice Ninja 401 is a missing permission too)."""

    is_permanent = True
    default_sentence = gettext_lazy(
        "%(upstream)s does not allow our user to do this (%(call)s). Give that user the permission there."
    )


class NotFound(UpstreamError):
    """The row does not exist or is not visible (Taiga 404; Invoice Ninja 400 "No query results")."""

    is_permanent = True
    default_sentence = gettext_lazy(
        "%(upstream)s does not have what we asked for (%(call)s): it was deleted, or our user cannot see it."
    )


class Rejected(UpstreamError):
    """The server refused the content (400, 422). `.fields` maps each field to its messages."""

    is_permanent = True
    default_sentence = gettext_lazy("%(upstream)s refused the data: %(detail)s. Correct it and try again.")

    def __init__(
        self,
        upstream: str,
        method: str = "",
        path: str = "",
        *,
        fields: Mapping[str, Sequence[str]] | None = None,
        status: int | None = None,
        body_excerpt: str = "",
        wait_seconds: int | None = None,
        is_read: bool | None = None,
        detail: str = "",
    ) -> None:
        self.fields: dict[str, list[str]] = {name: list(texts) for name, texts in (fields or {}).items()}
        listed = "; ".join(f"{name}: {' '.join(texts)}" for name, texts in self.fields.items())
        super().__init__(
            upstream,
            method,
            path,
            status=status,
            body_excerpt=body_excerpt,
            wait_seconds=wait_seconds,
            is_read=is_read,
            detail=detail or listed or f"HTTP {status}",
        )


class VersionConflict(Rejected):
    """Somebody else changed the row since we read it (Taiga 400 about `version`)."""

    is_permanent = False
    default_sentence = gettext_lazy(
        "Somebody changed this in %(upstream)s at the same moment. It is read again before it is written."
    )


class DuplicateRequest(UpstreamError):
    """Invoice Ninja took the request for a repetition, rightly or not, and did nothing (400, in 2026 also 429)."""

    is_surely_not_done = True
    default_sentence = gettext_lazy(
        "%(upstream)s did nothing: a request of the same kind came a moment before. It is tried again by itself."
    )


class Throttled(UpstreamError):
    """Too many calls (429). `.wait_seconds` is what the server asked for, None if it did not say."""

    is_surely_not_done = True
    default_sentence = gettext_lazy("%(upstream)s asks us to slow down. It is tried again by itself.")


class Busy(UpstreamError):
    """As many calls to this server, or of this kind, as are permitted at a time are running: nothing was called."""

    is_surely_not_done = True
    default_sentence = gettext_lazy(
        "%(upstream)s was not asked: as many calls run as UPSTREAM_CALLS_AT_A_TIME permits. It is tried again later."
    )


class Blocked(UpstreamError):
    """The project is blocked by Taiga (451): reading works, writing does not."""

    is_permanent = True
    default_sentence = gettext_lazy(
        "This project is blocked in %(upstream)s and cannot be changed. Ask its owner to unblock it."
    )


class Maintenance(UpstreamError):
    """The server is down for maintenance (503): the call was not carried out."""

    default_sentence = gettext_lazy("%(upstream)s is down for maintenance. It is tried again by itself.")


class ServerFault(UpstreamError):
    """The server failed (5xx but 503), or a proxy lost it (502, 504). A write may be saved all the same."""

    is_unknown_for_writes = True
    default_sentence = gettext_lazy("%(upstream)s had an internal fault (HTTP %(status)s). It is tried again.")


class NoPdfEngine(ServerFault):
    """Invoice Ninja runs, but cannot make PDFs: nothing is wrong with it otherwise, and repeating helps nobody."""

    default_sentence = gettext_lazy(
        "%(upstream)s could not make the PDF (%(detail)s). Set up its PDF engine there, then try again."
    )


class NotJson(UpstreamError):
    """Something else came where JSON belongs: usually a wrong address, a proxy or a login page."""

    is_unknown_for_writes = True
    default_sentence = gettext_lazy(
        "%(upstream)s answered with something that is no valid JSON (%(detail)s). Check the address in the settings."
    )


class Redirected(UpstreamError):
    """The server sent us elsewhere (30x); redirects are never followed."""

    is_permanent = True
    # Invoice Ninja answers a redirect after a refused or a saved request alike, so a write stays doubtful.
    is_unknown_for_writes = True
    default_sentence = gettext_lazy(
        "%(upstream)s sent us to another address, which is not followed. Check the address in the settings."
    )


class Unreachable(UpstreamError):
    """No connection came about (refused, DNS, TLS, connect time-out): the call was surely not done."""

    is_surely_not_done = True
    default_sentence = gettext_lazy(
        "%(upstream)s cannot be reached (%(detail)s). Check that it runs and its address in the settings."
    )


class OutcomeUnknown(UpstreamError):
    """The request was on its way when the connection broke or the time ran out, or the answer is broken."""

    is_unknown_for_writes = True
    default_sentence = gettext_lazy("%(upstream)s did not answer completely (%(detail)s).")


class DeadlineExceeded(OutcomeUnknown):
    """The total time for the call ran out after the request was sent."""

    default_sentence = gettext_lazy("%(upstream)s took too long to answer (%(call)s).")


class UnexpectedAnswer(UpstreamError):
    """Valid JSON, but not the shape that this server's version documents."""

    is_permanent = True
    is_unknown_for_writes = True
    default_sentence = gettext_lazy(
        "%(upstream)s answered in a form we do not know (%(detail)s). Its version may not be supported."
    )


class ListChanged(UpstreamError):
    """Rows appeared or vanished while a list was read page by page, so some may be missing."""

    default_sentence = gettext_lazy("The list in %(upstream)s changed while it was read. It is read again.")


# --- Failures of the console's own rules ----------------------------------------------------------


class IllegalTransition(ConsoleError):
    """A row was asked to make a move that its transition map does not have."""

    default_sentence = gettext_lazy("This is not possible in the present state. Reload the page and look again.")

    def __init__(self, model: str, row: object, from_state: str, to_state: str, sentence: Text | None = None) -> None:
        super().__init__(sentence)
        self.model = model
        self.row = row
        self.from_state = from_state
        self.to_state = to_state

    @property
    def sentence(self) -> str:
        if self._sentence is not None:
            return str(self._sentence)
        return _("%(model)s %(row)s cannot go from “%(from)s” to “%(to)s”. Reload the page and look again.") % {
            "model": self.model,
            "row": self.row,
            "from": self.from_state,
            "to": self.to_state,
        }


class StaleRevision(ConsoleError):
    """The row changed since the page was shown."""

    default_sentence = gettext_lazy(
        "Somebody changed this since you opened the page. Reload it, check, and do it again."
    )


class NotAllowed(ConsoleError):
    """The person, or a rule, does not permit this act."""

    default_sentence = gettext_lazy("You may not do this. Ask an administrator for the permission.")


class ClaimLost(ConsoleError):
    """The lease of a claim ran out, or somebody else took it over: the outcome must not be written."""

    default_sentence = gettext_lazy("Another worker took this over. Nothing was changed; it is looked at again.")


class ConfigError(ConsoleError):
    """A setting is missing or wrong."""

    default_sentence = gettext_lazy("The configuration is not complete. Run `manage.py check` to see what is missing.")


class ConsoleFailed(ConsoleError):
    """The console itself failed; the log has the details."""

    default_sentence = gettext_lazy("The console failed on this; its log says why. It is tried again by itself.")


def said_by(error: Exception) -> ConsoleError:
    """The error that has a sentence for a person: `error` itself, or ConsoleFailed where nobody thought of it."""
    return error if isinstance(error, ConsoleError) else ConsoleFailed()
