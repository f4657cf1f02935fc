"""Every link of every page, walked by a person of each group: none of them ends in a refusal or nowhere."""

from __future__ import annotations

import pytest

from sync.models import Transition
from tests.people import GROUPS, browser_of
from tests.standins import World
from tests.walking import office, walk  # noqa: F401


@pytest.mark.parametrize("group", GROUPS)
def test_no_link_ends_in_a_refusal_for_a_group_that_sees_it(office: World, group: str) -> None:  # noqa: F811
    trail = Transition.objects.count()

    wrong, pages = walk(browser_of(group))

    assert wrong == {}
    assert pages > 60
    assert Transition.objects.count() == trail  # looking changes nothing
