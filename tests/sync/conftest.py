from __future__ import annotations

import pytest

from tests.sync.making import Office, make_office


@pytest.fixture
def office(db: None) -> Office:
    """One client, one project, two people with role rates; no server."""
    return make_office()
