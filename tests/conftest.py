"""What every test shares: no socket beyond this machine, and business time that stands where a test sets it."""

from __future__ import annotations

import gc
import socket
from typing import Any

import hypothesis
import pytest

from tests.emptying import empty_instead_of_flushing
from tests.standins import running_standins, world  # noqa: F401

LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")


# A busy machine is slow now and then; what a property says does not depend on it.
hypothesis.settings.register_profile("console", deadline=None, max_examples=60)
hypothesis.settings.load_profile("console")
empty_instead_of_flushing()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave what was collected out of every garbage collection: thousands of tests are looked through for nothing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(autouse=True, scope="session")
def only_loopback() -> None:
    """A connection beyond this machine fails the test that made it, with the address."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and not str(address[0]).startswith(LOOPBACK):
            raise AssertionError(f"A test tried to reach {address[0]}; only loopback is allowed.")
        return connect(self, address)

    socket.socket.connect = guarded  # type: ignore[method-assign]
