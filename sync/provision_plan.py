"""Whether what is there in Taiga is what a billed project needs: five attributes a kind, one webhook.

Pure: rows of Taiga in, what was found and what is wrong with it out. What is there is recognised by what it is, an
attribute by its name, a webhook by its address; it is adopted as it is, and its faults are sentences, never repairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from django.utils.translation import gettext as _

from billing_console.states import ItemKind
from sync.clients.taiga_rows import CustomAttribute, Webhook
from sync.wanted import WANTED, can_hold, missing_options, named

HOOK_NAME: Final = "Billing console"
SHORTEST_KEY: Final = 16
KINDS: Final = (ItemKind.TASK, ItemKind.STORY, ItemKind.ISSUE)


@dataclass(frozen=True)
class Found:
    """What is there already: its id in Taiga, and one sentence for each thing that is wrong with it."""

    id: int
    wrong: tuple[str, ...] = ()


# --- attributes ---------------------------------------------------------------------------------------------------


def find_attribute(field: str, name: str, there: Sequence[CustomAttribute]) -> Found | None:
    """The attribute that is read as `field`, as `attributes.find_attributes` finds it; None when there is none.

    `name` is the configured one; without it the guide's second spelling counts, and of two the smaller id.
    """
    rows = named(field, name, there)
    if not rows:
        return None
    read, *others = rows
    return Found(read.id, (*_faults(field, read), *(_second(read, other) for other in others)))


def _faults(field: str, row: CustomAttribute) -> list[str]:
    if not can_hold(field, row.type):
        return [
            _('"%(name)s" is of type %(type)s, not %(wanted)s. Change the type in Taiga; what is typed there is kept.')
            % {"name": row.name, "type": row.type, "wanted": WANTED[field].type}
        ]
    if missing := missing_options(field, row):
        return [
            _('"%(name)s" has no option %(options)s. Add it in Taiga, spelled exactly so.')
            % {"name": row.name, "options": ", ".join(f'"{option}"' for option in missing)}
        ]
    return []


def _second(read: CustomAttribute, other: CustomAttribute) -> str:
    return _(
        '"%(other)s" (attribute %(number)d) is a second one: only "%(read)s" is read, and what is typed into the other '
        "is not billed. Move its values and delete it in Taiga."
    ) % {"other": other.name, "number": other.id, "read": read.name}


# --- webhooks -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Door:
    """Where Taiga may knock: the project's own address, the address of all projects, and the key of the latter."""

    own: str
    shared: str
    shared_key: str


@dataclass(frozen=True)
class FoundHook(Found):
    """`is_own`: it sends to the project's own address, so `key` is the project's; else it is signed for all."""

    is_own: bool = True
    key: str = field(default="", repr=False)


def door_of(public_url: str, mapping_uuid: Any, shared_key: str) -> Door:
    """The two addresses below PUBLIC_URL."""
    shared = f"{public_url.rstrip('/')}/webhooks/taiga"
    return Door(f"{shared}/{mapping_uuid}", shared, shared_key)


def find_hook(door: Door, there: Sequence[Webhook]) -> FoundHook | None:
    """The webhook whose deliveries arrive here and are believed; None when one is to be made.

    First one at the project's own address: whatever its key is, it becomes the project's. Else one at the shared
    address that is signed with the shared key. Others that knock at a door like ours are told of; what belongs to
    other programs is none of our business.
    """
    rows = sorted(there, key=lambda row: row.id)
    own = [row for row in rows if _same(row.url, door.own)]
    shared = [row for row in rows if _same(row.url, door.shared) and row.key == door.shared_key]
    if not own and not shared:
        return None
    chosen = (own or shared)[0]
    strays = [sentence for row in rows if row is not chosen and (sentence := _stray(door, row))]
    return FoundHook(chosen.id, (*_weakness(chosen, is_own=bool(own)), *strays), bool(own), chosen.key)


def _weakness(row: Webhook, *, is_own: bool) -> list[str]:
    if not is_own:
        return [
            _(
                'The webhook "%(name)s" is signed with WEBHOOK_SECRET, which every project shares and every project '
                "administrator can read. For a key of its own, delete it in Taiga and connect again."
            )
            % {"name": row.name}
        ]
    if len(row.key) < SHORTEST_KEY:
        return [
            _('The key of the webhook "%(name)s" is short and easily guessed. Type a longer one in Taiga, then check.')
            % {"name": row.name}
        ]
    return []


def _stray(door: Door, row: Webhook) -> str:
    """What is wrong with another webhook that looks like one of ours; "" for one that is none of our business."""
    theirs, own = urlsplit(row.url), urlsplit(door.own)
    if not theirs.path.startswith(urlsplit(door.shared).path):
        return ""
    words = {"name": row.name, "number": row.id, "url": _shown(theirs), "scheme": own.scheme}
    is_shared = _same(row.url, door.shared)
    if _same(row.url, door.own) or (is_shared and row.key == door.shared_key):
        sentence = _('The webhook "%(name)s" (%(number)d) tells the same a second time. Delete it in Taiga.')
    elif is_shared:
        sentence = _(
            'The webhook "%(name)s" (%(number)d) is signed with another key than WEBHOOK_SECRET, so it is refused. '
            "Delete it in Taiga."
        )
    elif theirs.hostname == own.hostname and theirs.scheme != own.scheme:
        sentence = _(
            'The webhook "%(name)s" (%(number)d) sends to %(url)s, which is not %(scheme)s: Taiga follows no redirect, '
            "so it does not arrive. Delete it in Taiga."
        )
    elif _host(theirs) == _host(own):
        sentence = _(
            'The webhook "%(name)s" (%(number)d) sends to %(url)s, which is not of this project. Delete it in Taiga.'
        )
    else:
        sentence = _(
            'The webhook "%(name)s" (%(number)d) sends to %(url)s, another address. Delete it in Taiga unless another '
            "console is there."
        )
    return sentence % words


def _same(one: str, other: str) -> bool:
    """One address, though the name of the host may be spelled in capitals; a slash at the end is another one."""
    left, right = urlsplit(one), urlsplit(other)
    return _parts(left) == _parts(right)


def _parts(url: SplitResult) -> tuple[object, ...]:
    return (url.scheme.lower(), *_host(url), url.path, url.query)


def _host(url: SplitResult) -> tuple[str, int | None]:
    try:
        port = url.port
    except ValueError:
        port = -1  # no port at all: it leads nowhere
    return (url.hostname or "", port or {"http": 80, "https": 443}.get(url.scheme.lower()))


def _shown(url: SplitResult) -> str:
    """Without what may be a password."""
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"
