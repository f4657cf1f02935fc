"""How a later step learns that who pays what has changed, without mappings knowing of it.

The steps that hold priced entries register a callback in `AppConfig.ready`; mappings calls `changed` after a
project, client, person, membership, role, rate or rule set was saved or deleted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.db import models, transaction

Callback = Callable[[models.Model], None]

_callbacks: Final[list[Callback]] = []


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
