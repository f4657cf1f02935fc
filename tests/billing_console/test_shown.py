"""What a form says was shown: for one subject, signed, compared word by word, never empty."""

from __future__ import annotations

import re

import pytest

from billing_console import shown
from billing_console.errors import NotAllowed, StaleRevision

SEEN = {"Hours": "30.00 h", "Before tax": "2,850.00 EUR", "_seal": "a"}
NOW = SEEN | {"Hours": "300.00 h", "Before tax": "28,500.00 EUR"}


def test_what_is_still_so_passes_and_is_handed_back() -> None:
    assert shown.require("entry:1", shown.seal("entry:1", SEEN), dict(SEEN)) == SEEN


def test_another_value_is_refused_with_old_and_new() -> None:
    with pytest.raises(StaleRevision) as refusal:
        shown.require("entry:1", shown.seal("entry:1", SEEN), NOW)
    assert refusal.value.sentence == (
        "This is not what you saw: Hours was “30.00 h” and is “300.00 h” now; Before tax was “2,850.00 EUR” and is "
        "“28,500.00 EUR” now. Nothing was done; look at it again."
    )


@pytest.mark.parametrize("posted", [None, "", "x", "eyJ4IjoxfQ:1:x", shown.seal("entry:2", SEEN)])
def test_nothing_broken_or_of_another_subject_passes(posted: str | None) -> None:
    with pytest.raises(NotAllowed, match="came without what you saw, so nothing was done"):
        shown.require("entry:1", posted, SEEN)


def test_what_has_no_words_is_compared_and_not_named() -> None:
    sentence = shown.difference(SEEN, SEEN | {"_seal": "b"})
    assert sentence.startswith("It was changed since you opened the page.")
    assert "seal" not in sentence


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ({"Hours": "", "Before tax": "2,850.00 EUR", "_seal": "a"}, "Hours was “30.00 h” and is “–” now"),
        ({"Before tax": "2,850.00 EUR", "_seal": "a"}, "Hours was “30.00 h” and is “–” now"),
        (SEEN | {"Note": "x" * 500}, f"Note was “–” and is “{'x' * 119}…” now"),
    ],
)
def test_what_came_or_went_is_named_and_long_texts_are_cut(now: dict[str, str], words: str) -> None:
    assert words in shown.difference(SEEN, now)


def test_a_row_that_was_not_on_the_screen_is_refused() -> None:
    with pytest.raises(NotAllowed, match="was not on the screen"):
        shown.require_same(None, SEEN)


def test_rows_keep_their_words_and_only_a_few_changes_are_named() -> None:
    rows = {str(number): {"Hours": number} for number in range(9)}
    assert shown.read("rows", shown.seal("rows", rows))["3"] == {"Hours": "3"}
    before, now = ({str(number): f"{word}{number}" for number in range(9)} for word in ("a", "b"))
    assert shown.difference(before, now).count(" now") == shown.NAMED


def test_the_field_carries_it_without_a_character_that_html_writes_otherwise() -> None:
    (value,) = re.findall(r'^<input type="hidden" name="shown" value="([\w.:=-]+)">$', shown.field("x", {"a": '"<&'}))
    assert shown.read("x", value) == {"a": '"<&'}
