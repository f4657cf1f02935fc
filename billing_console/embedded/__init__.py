"""The console's own PostgreSQL and Redis, for the demo, the tests and a trial: no system service needed."""

from __future__ import annotations

from billing_console.embedded.folders import EmbeddedError, Purpose
from billing_console.embedded.services import ServiceUrls, embedded_services

__all__ = ["EmbeddedError", "Purpose", "ServiceUrls", "embedded_services"]
