"""How a later step learns that who pays what has changed, or would change, without mappings knowing of it.

The steps that hold priced entries register callbacks in `AppConfig.ready`. Mappings calls `changed` after a project,
client, person, membership, role, rate or rule set was saved or deleted, `effect_of` before a rate or a rule set is
saved, and `want_lists` when a person wants the lists of both servers read again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.db import models, transaction

from mappings.effects import Change, Effect

Callback = Callable[[models.Model], None]
WantLists = Callable[[], None]
FindEffects = Callable[[Change], list[Effect]]

_callbacks: Final[list[Callback]] = []
_want_lists: Final[list[WantLists]] = []
_want_imports: Final[list[WantLists]] = []
_find_effects: Final[list[FindEffects]] = []


def on_changed(callback: Callback) -> Callback:
    """Register `callback`, called with the changed row after its transaction committed. Usable as a decorator."""
    if callback not in _callbacks:
        _callbacks.append(callback)
    return callback


def changed(row: models.Model) -> None:
    """Tell every registered callback about `row` once the present transaction has committed (at once without one).

    A callback that raises does not keep the next one from being called; the failure is logged.
    """
    for callback in _callbacks:
        transaction.on_commit(lambda callback=callback: callback(row), robust=True)  # type: ignore[misc]


def on_lists_wanted(callback: WantLists) -> WantLists:
    """Register the one who can have the lists of both servers read again soon. Usable as a decorator."""
    _want_lists[:] = [callback]
    return callback


def want_lists() -> None:
    """Ask for the lists of both servers (clients, projects) to be read again soon. Calls no server."""
    for callback in _want_lists:
        callback()


def on_imports_wanted(callback: WantLists) -> WantLists:
    """Register the one who has waiting imports done soon. Usable as a decorator."""
    _want_imports[:] = [callback]
    return callback


def want_imports() -> None:
    """Ask for waiting imports to be done soon, once the present transaction has committed."""
    for callback in _want_imports:
        transaction.on_commit(callback, robust=True)


def on_effect_of(callback: FindEffects) -> FindEffects:
    """Register one who knows what a change would move; it writes nothing and calls no server. Usable as a decorator."""
    if callback not in _find_effects:
        _find_effects.append(callback)
    return callback


def effect_of(change: Change) -> list[Effect]:
    """What `change` would move, from everybody who registered: the unclaimed entries first, then closed months."""
    return [effect for find in _find_effects for effect in find(change)]
