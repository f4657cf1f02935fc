"""The stand-in Taiga answers whole sequences of recorded requests as the real one did."""

from __future__ import annotations

from functools import cache

import pytest

from tests.contract.taiga.case import named
from tests.contract.taiga.change_stories import STORIES
from tests.contract.taiga.stories import Story, play

ALL = [pytest.param(story, number, id=f"{story.name}-{named(number)}") for story in STORIES for number in story.numbers]


@cache
def _played(name: str) -> dict[int, list[str]]:
    return play(next(story for story in STORIES if story.name == name))


@pytest.mark.parametrize(("story", "number"), ALL)
def test_the_stand_in_answers_each_of_a_sequence_as_recorded(story: Story, number: int) -> None:
    assert "\n".join(_played(story.name)[number][:20]) == ""
