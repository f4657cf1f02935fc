"""Every reason has one sentence that says what to do and one place to mend it."""

from __future__ import annotations

import pytest

from billing_console.states import Reason
from sync import reasons


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_sentence_without_gaps_a_place_and_a_verb(reason: Reason) -> None:
    facts = {
        "ref": 45,
        "attribute": "Duration (Hours)",
        "quoted": '"two hours"',
        "hours": "30",
        "others": "#12",
        "limit": "24",
        "project": "Website",
        "client": "Acme",
        "person": "Alice",
        "work_date": "2025-12-01",
        "rate_currency": "USD",
        "client_currency": "EUR",
        "rate_now": "120.00 EUR",
        "rate_before": "75.00 EUR",
        "ref_before": "44",
        "percent": "50",
        "month": "December 2025",
        "total": "1200.00 EUR",
        "usual": "300.00 EUR",
        "factor": "3",
        "raw": "0.1",
        "billed": "4",
        "least": "1",
        "days": "60",
        "owner": "Beacon",
        "typed": "client_xyz789",
        "who": "Ann",
        "said": "5.00 h × 95",
        "first": "4.00 h × 95",
        "said_why": "it was five",
        "now": "6",
        "billed_to": "Beacon",
    }
    sentence = reasons.sentence(reason, facts)
    assert sentence.endswith(".")
    assert "–" not in sentence
    assert "%(" not in sentence
    assert reasons.mend_url_name(reason) == reasons.TAIGA or reasons.mend_url_name(reason).startswith("admin:")
    assert reasons.mend_verb(reason)


def test_missing_facts_leave_a_dash_not_an_error() -> None:
    assert "–" in reasons.sentence(Reason.UNREADABLE_HOURS, {})


def test_the_raw_value_is_quoted() -> None:
    facts = {"ref": 5, "attribute": "Duration (Hours)", "quoted": '"two hours"'}
    assert '"two hours"' in reasons.sentence(Reason.UNREADABLE_HOURS, facts)


def test_empty_hours_and_a_missing_assignee_have_words_of_their_own() -> None:
    empty = {"ref": 5, "attribute": "Duration (Hours)", "quoted": "null", "is_blank": True}
    assert "is empty" in reasons.sentence(Reason.UNREADABLE_HOURS, empty)
    assert "Nobody is assigned" in reasons.sentence(Reason.NO_RATE, {"ref": 5, "project": "Website"})


def test_an_unknown_reason_is_a_brake_and_none_is_no_sentence() -> None:
    assert "#7" in reasons.sentence("brake_too_many_at_once", {"ref": 7})
    assert reasons.sentence("", {}) == ""
