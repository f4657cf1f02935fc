"""Which project of Invoice Ninja is meant by a project of Taiga: suggested by name, never guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.matching import Candidate, fold_name, rank, similarity, suggest, suggest_each

ACME, BEACON = "Acme Corp", "Beacon Mobile"
WORLD = (
    Candidate("acme", ACME),
    Candidate("acme-web", ACME, "Website Redesign"),
    Candidate("acme-intra", ACME, "Intranet"),
    Candidate("beacon", BEACON),
    Candidate("beacon-app", BEACON, "Mobile App"),
    Candidate("beacon-intra", BEACON, "Intranet"),
    Candidate("dupont", "Établissements Dupont S.A."),
)


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("Website Redesign", "website redesign"),
        ("  website_REDESIGN! ", "website redesign"),
        ("Établissements Dupont S.A.", "etablissements dupont"),
        ("Acme, B.V.", "acme"),
        ("GROẞ & Söhne GmbH", "gross sohne"),
        ("Company", "company"),
        ("日本 プロジェクト", "日本 フロシェクト"),
        ("—", ""),
        ("", ""),
    ],
)
def test_a_name_is_folded_to_its_words(name: str, folded: str) -> None:
    assert fold_name(name) == folded


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Website Redesign", "acme-web"),
        ("website-redesign", "acme-web"),
        ("WebsiteRedesign", "acme-web"),
        ("Website Redesing", "acme-web"),
        ("Acme Corp – Website Redesign", "acme-web"),
        ("The website redesign project", "acme-web"),
        ("Acme: Intranet", "acme-intra"),
        ("Beacon Mobile / Intranet", "beacon-intra"),
        ("ACME corporation", "acme"),
        ("Etablissements Dupont", "dupont"),
        ("Intranet", None),  # both have one
        ("Website", None),  # half of a name
        ("API Integration", None),
        ("Project", None),
        ("", None),
        ("???", None),
    ],
)
def test_what_is_surely_meant_is_suggested_and_nothing_else(name: str, meant: str | None) -> None:
    found = suggest(name, WORLD)
    assert (found.value if found else None) == meant


def test_two_of_one_name_are_no_suggestion_but_lead_the_list() -> None:
    twins = [*WORLD, Candidate("other-web", "Cobalt", "Website redesign")]

    assert suggest("Website Redesign", twins) is None
    assert [match.candidate.value for match in rank("Website Redesign", twins)][:2] == ["acme-web", "other-web"]


def test_versions_are_not_taken_for_typos() -> None:
    shops = [Candidate("v1", ACME, "Webshop v1"), Candidate("v2", ACME, "Webshop v2")]

    assert suggest("Webshop v2", shops) == shops[1]
    assert suggest("Webshop v3", shops) is None


def test_the_list_is_ordered_by_likeness() -> None:
    listed = [match.candidate.value for match in rank("Beacon intranet", WORLD)]

    assert listed == ["beacon-intra", "acme-intra", "beacon"]


@given(st.text(max_size=40), st.text(max_size=40))
def test_likeness_is_symmetric_and_1_for_the_same(one: str, other: str) -> None:
    assert similarity(one, other) == similarity(other, one)
    assert 0 <= similarity(one, other) <= 1
    assert similarity(one, one) == (1 if fold_name(one) else 0)


@given(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=6), st.text(max_size=20))
def test_a_suggestion_is_the_first_of_the_list_and_alone_there(names: list[str], wanted: str) -> None:
    candidates = [Candidate(number, "Client", name) for number, name in enumerate(names)]

    found, listed = suggest(wanted, candidates), rank(wanted, candidates)

    if found is not None:
        assert listed[0].candidate == found
        assert len(listed) == 1 or listed[1].score < listed[0].score


NAMES = st.lists(
    st.sampled_from(["Acme", "acme bv", "Web Shop", "Webshop", "Website", "Wbsite", "v1", "Intranet", "é"])
)
PHRASES = NAMES.map(" ".join)


@given(st.lists(st.tuples(PHRASES, PHRASES), max_size=6), st.lists(PHRASES, max_size=4))
def test_many_at_once_are_suggested_as_each_alone(pairs: list[tuple[str, str]], names: list[str]) -> None:
    candidates = [Candidate(number, client, project) for number, (client, project) in enumerate(pairs)]

    assert suggest_each(names, candidates) == [suggest(name, candidates) for name in names]
