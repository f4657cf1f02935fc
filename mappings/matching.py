"""Which name of the other server is meant by a name of this one? Pure; suggests, and never guesses when in doubt.

Names are compared as people read them: case, accents, punctuation, spaces and the legal form of a company do not
count. A score is 1 for equal names, 0 for names that have nothing in common.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Any, Final

SUGGESTED_FROM: Final = 0.75
AHEAD_BY: Final = 0.1
LISTED_FROM: Final = 0.4
_TYPO: Final = 0.8
_LEGAL_WORDS: Final = """
    ag asbl bv bvba cie co company corp corporation cv eurl gmbh inc kg limited llc llp ltd nv plc sa sarl sas snc sprl
    srl vof vzw
"""
_LEGAL_FORMS: Final = frozenset(_LEGAL_WORDS.split())
# What nearly every project is called: alone it tells none from another.
_COMMON_WORDS: Final = "a and de der des du en et for in la le of project projet the und van"
_COMMON: Final = frozenset(_COMMON_WORDS.split())


@dataclass(frozen=True)
class Candidate:
    """One thing that may be meant: a client (`project` is ""), or a project of a client. `value` is the caller's."""

    value: Any
    client: str
    project: str = ""


@dataclass(frozen=True)
class Match:
    """A candidate and how well its name fits, from 0 to 1."""

    candidate: Candidate
    score: float


@lru_cache(maxsize=10_000)
def fold_name(name: str) -> str:
    """The words of a name in lower case, without accents, punctuation and legal form: "Acme, S.A." is "acme"."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter)).replace("ß", "ss")
    plain = re.sub(r"\b(\w)\.(?=\w\b)", r"\1", plain)  # s.a. and b.v. are one word
    words = re.findall(r"\w+", plain.replace("_", " "))
    kept = [word for word in words if word not in _LEGAL_FORMS]
    return " ".join(kept or words)


def similarity(one: str, other: str) -> float:
    """How alike two names are: 1 for the same words, less for words that only one has, 0 for nothing in common."""
    left, right = fold_name(one), fold_name(other)
    if not left or not right:
        return 0.0
    if left == right or left.replace(" ", "") == right.replace(" ", ""):
        return 1.0
    ours, theirs = _telling(left), _telling(right)
    if not ours or not theirs:
        return 0.0
    shared = sum(_likeness(word, theirs) for word in ours), sum(_likeness(word, ours) for word in theirs)
    return min(0.99, sum(shared) / (len(ours) + len(theirs)))


def rank(name: str, candidates: Iterable[Candidate]) -> list[Match]:
    """The candidates that have something in common with `name`, best first; equal ones in order of their names.

    A project is measured by its own name, or by its client's and its own together, whichever fits better.
    """
    matches = []
    for candidate in candidates:
        score = similarity(name, candidate.project or candidate.client)
        if candidate.project:
            score = max(score, similarity(name, f"{candidate.client} {candidate.project}"))
        if score >= LISTED_FROM:
            matches.append(Match(candidate, score))
    return sorted(matches, key=lambda match: (-match.score, match.candidate.client, match.candidate.project))


def suggest(name: str, candidates: Iterable[Candidate]) -> Candidate | None:
    """The one candidate that is surely meant, or None: nothing is near enough, or two are about as near."""
    matches = rank(name, candidates)
    if not matches or matches[0].score < SUGGESTED_FROM:
        return None
    if len(matches) > 1 and matches[0].score - matches[1].score < AHEAD_BY:
        return None
    return matches[0].candidate


def suggest_each(names: Iterable[str], candidates: Iterable[Candidate]) -> list[Candidate | None]:
    """`suggest` for many names at once: only candidates that share a word with a name are measured."""
    index = _Index(candidates)
    return [suggest(name, index.near(name)) for name in names]


class _Index:
    """Candidates by their words, and by their names without spaces."""

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self._candidates = list(candidates)
        self._by_word: dict[str, set[int]] = {}
        self._by_letter: dict[str, set[str]] = {}
        for number, candidate in enumerate(self._candidates):
            for name in (candidate.client, candidate.project, f"{candidate.client} {candidate.project}"):
                folded = fold_name(name)
                for word in {*folded.split(), folded.replace(" ", "")} - {""}:
                    self._by_word.setdefault(word, set()).add(number)
                    self._by_letter.setdefault(word[0], set()).add(word)

    def near(self, name: str) -> list[Candidate]:
        """Those that can have a score at all, in their order."""
        folded = fold_name(name)
        found: set[int] = set()
        for word in {*folded.split(), folded.replace(" ", "")} - {""}:
            for other in self._by_letter.get(word[0], ()):
                if word == other or _ratio(word, other) >= _TYPO:
                    found |= self._by_word[other]
        return [self._candidates[number] for number in sorted(found)]


def _telling(folded: str) -> list[str]:
    words = folded.split()
    return [word for word in words if word not in _COMMON] or words


def _likeness(word: str, others: Iterable[str]) -> float:
    """1 for a word that is there, a little less for one with a typo, 0 for a stranger."""
    best = max((1.0 if word == other else _ratio(word, other)) for other in others)
    return best if best >= _TYPO else 0.0


@lru_cache(maxsize=100_000)
def _ratio(word: str, other: str) -> float:
    if word[0] != other[0] or min(len(word), len(other)) < 4 or any(letter.isdigit() for letter in word + other):
        return 0.0  # "v1" and "v2" are two things, and so are short words; nobody mistypes the first letter
    if min(len(word), len(other)) / max(len(word), len(other)) < _TYPO / (2 - _TYPO):
        return 0.0  # so much longer that no typo explains it
    first, second = sorted((word, other))
    return SequenceMatcher(None, first, second, autojunk=False).ratio()
