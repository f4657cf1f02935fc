"""Fixtures of the clients' tests."""

from __future__ import annotations

from tests.sync.clients.standins import ninja, taiga

__all__ = ["ninja", "taiga"]
