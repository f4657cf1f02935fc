from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.standins import World
from tests.sync.door import BARE, add_project, open_door
from tests.sync.making import Office, make_office


@pytest.fixture
def office(db: None) -> Office:
    """One client, one project, two people with role rates; no server."""
    return make_office()


@pytest.fixture
def bare(world: World, settings: Any) -> Iterator[World]:
    """A project 9 in Taiga without attributes and hooks, which our user administers; the console's door is open."""
    add_project(world, BARE, "Field Service", is_admin=True)
    with open_door() as url:
        settings.PUBLIC_URL = url
        yield world
