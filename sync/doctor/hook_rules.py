"""The webhooks of one Taiga project: is there one to the console, is it right, and what does Taiga's own log say?

Pure. Keys of webhooks never come here: who reads them only says whether the key is ours.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing_console.formats import moment
from sync.doctor.findings import CONSOLE, TAIGA, Finding, Place, error, ok, warning
from sync.doctor.hook_logs import HookLog, judge_log, quote, split_address

# A closing that the webhook should have told is not missed before so much time has passed.
PATIENCE: Final = dt.timedelta(minutes=10)
KEY_RIGHT, KEY_PREVIOUS, KEY_WRONG, KEY_NOT_SET = "right", "previous", "wrong", "not_set"
KEY_UNREADABLE: Final = "unreadable"  # here: FIELD_KEY is another one than it was stored with
_OUR_PATH: Final = re.compile(r"/webhooks/taiga(?:/(?P<uuid>[0-9a-fA-F-]{36}))?(?P<slash>/?)$")


@dataclass(frozen=True)
class Hook:
    """A webhook of a project: its address, whether its key is one of ours (KEY_…), its newest log lines first."""

    id: int
    name: str
    url: str
    key: str
    logs: tuple[HookLog, ...] = ()


@dataclass(frozen=True)
class Address:
    """Where Taiga's deliveries to us go: PUBLIC_URL, and the uuid of the project's own address."""

    public_url: str
    uuid: str

    @property
    def common(self) -> str:
        """The address that WEBHOOK_SECRET signs for."""
        return f"{self.public_url.rstrip('/')}/webhooks/taiga"

    @property
    def own(self) -> str:
        """The address that the project's own key signs for."""
        return f"{self.common}/{self.uuid}"


@dataclass(frozen=True)
class Listening:
    """What is known of one project's webhooks. `missed_at` is the last closing that only a sweep found although the
    webhook should have told, `heard_common` and `heard_own` when a delivery last came here that was signed with
    WEBHOOK_SECRET or with the project's own key (business time; only asked where Taiga's log is empty). `zone` names
    the zone of times that are printed."""

    project: str
    slug: str
    address: Address
    hooks: tuple[Hook, ...]
    is_production: bool
    missed_at: dt.datetime | None = None
    zone: str = "UTC"
    mapping: int = 0
    heard_common: dt.datetime | None = None
    heard_own: dt.datetime | None = None


def uuid_in(url: str) -> str | None:
    """The uuid in an address of ours, "" in the common one; None for an address that does not lead to a console."""
    found = _OUR_PATH.search(split_address(url).path)
    return (found["uuid"] or "").lower() if found else None


def ours_among(hooks: Sequence[Hook], address: Address) -> list[Hook]:
    """The webhooks that lead to this console: by PUBLIC_URL's host; without any, by the path alone, because Taiga may
    know us under another name inside its own network."""
    leading = [hook for hook in hooks if uuid_in(hook.url) is not None]
    host = split_address(address.public_url).netloc.lower()
    exact = [hook for hook in leading if split_address(hook.url).netloc.lower() == host]
    return exact or leading


def judge(seen: Listening) -> list[Finding]:
    """Everything that is wrong with how Taiga tells us of one project, or the one sentence that all is well."""
    place, words = _place(seen), {"project": seen.project}
    hooks = ours_among(seen.hooks, seen.address)
    if not hooks:
        sentence = _(
            "%(project)s has no webhook to the console, so what is closed there is only found by the sweep, minutes "
            "later. Add one in Taiga with the address %(address)s."
        ) % {**words, "address": seen.address.common}
        return [error("hook", sentence, place)]
    found: list[Finding] = []
    if len(hooks) > 1:
        sentence = ngettext(
            "%(project)s has %(count)d webhook to the console.",
            "%(project)s has %(count)d webhooks to the console, so Taiga's users wait for each of them. Keep one of "
            "them in Taiga and delete the others.",
            len(hooks),
        ) % {**words, "count": len(hooks)}
        found.append(warning("hook_duplicate", sentence, place))
    for hook in hooks:
        judged = [*_judge_address(seen, hook), *_judge_deliveries(seen, hook)]
        found += judged[:1] if judged and judged[0].code in ("hook_slash", "hook_foreign", "hook_key") else judged
    return found


def _judge_address(seen: Listening, hook: Hook) -> list[Finding]:
    """The address and the key, before anything was sent."""
    place, subject = _place(seen), str(hook.id)
    words = {"project": seen.project, "common": seen.address.common, "url": hook.url}
    more = {"subject": subject, "details": quote(hook.logs, seen.zone)}
    uuid = uuid_in(hook.url)
    if hook.url.endswith("/"):
        sentence = _("The address of the webhook of %(project)s ends in a slash and is not found. Take the slash away.")
        return [error("hook_slash", sentence % words, place, **more)]
    if uuid and uuid != seen.address.uuid.lower():
        sentence = _(
            "The webhook of %(project)s has the address of another project, so its deliveries are not believed. Give "
            "it the address %(common)s."
        )
        return [error("hook_foreign", sentence % words, place, **more)]
    if hook.key == KEY_NOT_SET:
        sentence = _(
            "The webhook of %(project)s has the project's own address, but the project has no webhook key here, so its "
            "deliveries are refused. Type the key under Projects."
        )
        mapping = Place(CONSOLE, "admin:mappings_projectmapping_change", (seen.mapping,))
        return [error("hook_key", sentence % words, mapping, **more)]
    if hook.key == KEY_UNREADABLE:
        sentence = _(
            "The webhook key of %(project)s cannot be read here, because FIELD_KEY is another one than it was stored "
            "with, so its deliveries are refused (503). Put the old FIELD_KEY back, or type the key anew under "
            "Projects."
        )
        mapping = Place(CONSOLE, "admin:mappings_projectmapping_change", (seen.mapping,))
        return [error("hook_key", sentence % words, mapping, **more)]
    if hook.key == KEY_WRONG:
        sentence = (
            _(
                "The webhook of %(project)s is signed with another key than the one under Projects, so its deliveries "
                "are refused (403). Type that key in Taiga."
            )
            if uuid
            else _(
                "The webhook of %(project)s is signed with another key than ours, so its deliveries are refused (403). "
                "Type the value of WEBHOOK_SECRET as its key in Taiga."
            )
        )
        return [error("hook_key", sentence % words, place, **more)]
    found = []
    if hook.key == KEY_PREVIOUS:
        sentence = _(
            "The webhook of %(project)s still has the previous key, which ends with the next change. Type the present "
            "one in Taiga."
        )
        found.append(warning("hook_previous_key", sentence % words, place, subject=subject))
    if seen.is_production and split_address(hook.url).scheme == "http" and not is_private(hook.url):
        sentence = _(
            "The webhook of %(project)s has a plain http address: what it tells can be read on the way. Use https."
        )
        found.append(warning("hook_http", sentence % words, place, subject=subject))
    return found


def _judge_deliveries(seen: Listening, hook: Hook) -> list[Finding]:
    """What Taiga's log says of the last delivery, and whether there should be later ones."""
    place, subject = _place(seen), str(hook.id)
    words: dict[str, object] = {"project": seen.project, "url": hook.url}
    if not hook.logs:
        return [_judge_unlogged(seen, hook)]
    last = hook.logs[0]
    words |= {"when": moment(last.at, seen.zone)}
    if refused := judge_log(last, hook.url, seen.project):
        severity, code, sentence = refused
        return [Finding(severity, code, sentence, place, quote(hook.logs, seen.zone), subject)]
    if seen.missed_at is not None and seen.missed_at > last.at + PATIENCE:
        details = quote(hook.logs, seen.zone)
        return [error("hook_silent", _silent_since() % words, place, subject=subject, details=details)]
    return [ok("hook", _("The webhook of %(project)s arrives, the last time %(when)s.") % words, subject=subject)]


def _judge_unlogged(seen: Listening, hook: Hook) -> Finding:
    """A webhook of which Taiga's log holds nothing: what came here all the same?"""
    place, subject = _place(seen), str(hook.id)
    is_own = bool(uuid_in(hook.url))
    heard = seen.heard_own if is_own else seen.heard_common
    words = {"project": seen.project, "when": moment(heard or seen.heard_common, seen.zone)}
    is_missed = seen.missed_at is not None and (heard is None or seen.missed_at > heard + PATIENCE)
    if is_missed and heard is not None:
        return error("hook_silent", _silent_since() % words, place, subject=subject)
    if is_missed:
        return error("hook_silent", _never() % words, place, subject=subject)
    if heard is not None:
        return ok("hook", _("The webhook of %(project)s arrives, the last time %(when)s.") % words, subject=subject)
    if is_own and seen.heard_common is not None:
        sentence = _(
            "Nothing came through the own webhook of %(project)s yet; its deliveries came signed with WEBHOOK_SECRET, "
            "the last one %(when)s. Click “Test webhook” in Taiga."
        )
        return warning("hook_silent", sentence % words, place, subject=subject)
    sentence = _("Nothing came through the webhook of %(project)s yet. Click “Test webhook” in Taiga.")
    return warning("hook_silent", sentence % words, place, subject=subject)


def _silent_since() -> str:
    return _(
        "Taiga has sent nothing through the webhook of %(project)s since %(when)s, though work was closed there. "
        "Its webhooks are off (WEBHOOKS_ENABLED), or its background worker does not run."
    )


def _never() -> str:
    return _(
        "Taiga has never sent anything through the webhook of %(project)s, though work was closed there. Its webhooks "
        "are off (WEBHOOKS_ENABLED), or its background worker does not run."
    )


def is_private(url: str) -> bool:
    """Whether an address is plainly inside: a private or loopback number, or a name that no public server has."""
    host = (split_address(url).hostname or "").lower()
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host == "localhost" or "." not in host or host.endswith((".internal", ".local", ".lan", ".home.arpa"))


def _place(seen: Listening) -> Place:
    return Place(TAIGA, f"project/{seen.slug}/admin/third-parties/webhooks" if seen.slug else "")
