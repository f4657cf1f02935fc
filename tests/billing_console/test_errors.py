"""Failures: one sentence each, and no secret in what is kept of an answer."""

from __future__ import annotations

import inspect
import pickle
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_console import errors, redaction
from sync.clients import answers

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.ConsoleError)]
UPSTREAM = [kind for kind in ALL if issubclass(kind, errors.UpstreamError)]
PLAIN = [kind for kind in ALL if kind not in UPSTREAM and kind is not errors.IllegalTransition]


@pytest.mark.parametrize("kind", PLAIN)
def test_every_failure_has_a_sentence_of_its_own_or_the_one_given(kind):
    assert kind().sentence.endswith(".")
    assert str(kind()) == kind().sentence
    assert kind("The rate is missing. Enter one.").sentence == "The rate is missing. Enter one."


@pytest.mark.parametrize("upstream", ["taiga", "invoice_ninja"])
@pytest.mark.parametrize("kind", UPSTREAM)
def test_every_failure_of_a_server_names_it_and_says_what_to_do(kind, upstream):
    for method in ("GET", "POST"):
        error = kind(upstream, method, "/tasks/1", status=500, detail="100% odd")
        assert errors.UPSTREAM_NAMES[upstream] in error.sentence
        assert "%(" not in error.sentence
        assert error.sentence.endswith(".")
        assert str(error) == error.sentence
    assert not kind(upstream, "GET", "/tasks/1").is_outcome_unknown
    assert ("not known" in kind(upstream, "POST", "/x").sentence) is kind(upstream, "POST", "/x").is_outcome_unknown


@pytest.mark.parametrize("kind", UPSTREAM)
def test_failures_of_a_server_pass_between_processes(kind):
    error = kind("taiga", "POST", "/x", status=400, body_excerpt="b", wait_seconds=5, detail="d")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert vars(copy) == vars(error)


def test_an_illegal_move_names_both_states():
    error = errors.IllegalTransition("invoice", 7, "sent", "draft")
    assert error.sentence == "invoice 7 cannot go from “sent” to “draft”. Reload the page and look again."
    assert errors.IllegalTransition("invoice", 7, "sent", "draft", "Not now.").sentence == "Not now."


@pytest.mark.parametrize(
    "text",
    [
        '{"auth_token": "s3cret-value", "id": 1}',
        '{"password":"s3cret-value"}',
        "{'api_key': 's3cret-value'}",
        "https://x/csv?token=s3cret-value&page=1",
        '{"refresh": "s3cret-value',
        "Authorization: Bearer s3cret-value",
        "Application s3cret-value",
        "X-API-TOKEN: s3cret-value",
    ],
)
def test_what_looks_like_a_credential_is_blanked(text):
    assert "s3cret-value" not in redaction.redact(text)


def test_a_jwt_is_blanked_wherever_it_stands():
    assert "eyJ" not in redaction.redact("token was eyJhbGciOi.eyJleHAiOjF9.c2ln here")


def test_ordinary_text_stays():
    text = '{"number": ["The number has already been taken."], "client_id": "VolejRejNm"}'
    assert redaction.redact(text) == text


def test_an_excerpt_is_short_printable_and_without_the_given_secrets():
    excerpt = redaction.excerpt_of(b"\x00\x1b[31m" + b"known-secret " * 100 + b"\xff", ["known-secret"])
    assert len(excerpt) <= 500
    assert excerpt.isprintable()
    assert "known-secret" not in excerpt
    assert "known-secret"[:6] not in redaction.excerpt_of("x" * 495 + "known-secret", ["known-secret"])


@given(st.binary(max_size=600), st.lists(st.text(min_size=1, max_size=5), max_size=2))
def test_any_bytes_have_an_excerpt(body, secrets):
    assert len(redaction.excerpt_of(body, secrets)) <= 500


@pytest.mark.parametrize(
    "piece",
    ["a", "-a", "eyJa-", "eyJa ", "token", "token ", "key: ", '"token" ', "token='\"'", "Bearer ", "eyJa.", "a=", "\\"],
)
def test_redacting_takes_time_in_proportion_to_the_text(piece: str) -> None:
    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        began = time.process_time()
        redaction.redact(text)
        return time.process_time() - began

    assert seconds(400_000) < 2.0  # a text of 4,000 letters took as long; this one would have taken hours


def test_an_excerpt_looks_at_the_beginning_only() -> None:
    began = time.process_time()
    redaction.excerpt_of(b"a" * 64 * 1024 * 1024)
    assert time.process_time() - began < 0.5


def test_the_first_twenty_fields_of_an_error_are_read_and_five_messages_of_each() -> None:
    fields = answers.fields_of({"errors": {f"field{n}": [["wrong"]] * 1000 for n in range(2000)}})
    assert (len(fields), fields["field0"]) == (20, ["wrong"] * 5)
