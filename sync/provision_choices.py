"""Who may pay for a project, as a person is offered them: what fits the name first, or what was searched for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mappings.matching import Candidate, Match, fold_name, rank, suggest
from mappings.models import ProjectMapping
from sync import provisioning
from sync.provisioning import Target

SHOWN: Final = 20


@dataclass
class Choice:
    """One who may pay, as a radio button."""

    target: Target
    is_chosen: bool
    is_suggested: bool


def choices_for(name: str, mapping: ProjectMapping | None, search: str) -> tuple[list[Choice], int]:
    """The first of those who may pay, and how many more there are: what is searched for, else what fits the name."""
    payers = provisioning.targets()
    if mapping is not None and not any(each.code == provisioning.target_of(mapping).code for each in payers):
        payers.insert(0, provisioning.target_of(mapping))  # archived meanwhile, say
    among = provisioning.candidates(payers)
    suggestion = suggest(name, among)
    suggested = suggestion.value.code if suggestion else ""
    chosen = provisioning.target_of(mapping).code if mapping else suggested
    fitting = [match.candidate for match in _matches(search or name, among)]
    rest = [] if search else [each for each in among if each not in fitting]
    ordered = fitting + rest
    if not search:  # who pays now stands first, whatever the names say
        ordered.sort(key=lambda each: each.value.code != chosen)
    choices = [Choice(each.value, each.value.code == chosen, each.value.code == suggested) for each in ordered[:SHOWN]]
    return choices, len(ordered) - len(choices)


def _matches(words: str, among: Sequence[Candidate]) -> list[Match]:
    """By likeness, then whatever holds the words as they stand: "ac" finds Acme."""
    found = rank(words, among)
    held = {match.candidate.value.code for match in found}
    folded = fold_name(words)
    containing = [
        Match(each, 0.0)
        for each in among
        if folded and folded in fold_name(str(each.value)) and each.value.code not in held
    ]
    return found + containing
