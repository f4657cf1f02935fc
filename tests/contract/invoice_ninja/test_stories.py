"""The stand-in answers whole sequences of recorded requests as the server did."""

from __future__ import annotations

from functools import cache

import pytest

from tests.contract.invoice_ninja import credit_stories, mail_stories, payment_stories, rest_stories
from tests.contract.invoice_ninja.recording import recordings
from tests.contract.invoice_ninja.stories import Story, play

MODULES = (mail_stories, credit_stories, payment_stories, rest_stories)
STORIES: list[Story] = [story for module in MODULES for story in module.STORIES]
ALL = [
    pytest.param(story, number, id=f"{story.name}-{recordings()[number].name}")
    for story in STORIES
    for number in story.numbers
]


@cache
def _played(name: str) -> dict[int, list[str]]:
    return play(next(story for story in STORIES if story.name == name))


@pytest.mark.parametrize(("story", "number"), ALL)
def test_the_stand_in_answers_each_of_a_sequence_as_recorded(story: Story, number: int) -> None:
    assert "\n".join(_played(story.name)[number]) == ""
