"""Taiga's webhook signature over the raw body."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.signature import sign, verify

DELIVERIES = sorted((Path(__file__).parents[1] / "data" / "taiga_deliveries").glob("*.json"))
BODY = b'{"action": "test"}'
KEY = "webhook-key"


@pytest.mark.parametrize("path", DELIVERIES, ids=lambda path: path.stem)
def test_every_observed_delivery_verifies_with_its_key_and_only_unchanged(path):
    delivery = json.loads(path.read_text())
    raw, headers, key = base64.b64decode(delivery["body_base64"]), dict(delivery["headers"]), delivery["key"]
    assert verify(raw, headers, [key])
    assert not verify(raw + b" ", headers, [key])
    assert not verify(raw, headers, [key + "x"])


def test_known_signature():
    assert sign(b"", "") == "fbdb1d1b18aa6c08324b7d64b71fb76370690e1d"
    assert sign(BODY, "schlüssel") == sign(BODY, "schlüssel").lower()
    assert len(sign(BODY, KEY)) == 40


def test_hub_header_counts_only_where_the_own_one_is_absent():
    good = sign(BODY, KEY)
    assert verify(BODY, {"X-Hub-Signature": f"sha1={good}"}, [KEY])
    assert not verify(BODY, {"X-Hub-Signature": good}, [KEY])
    assert not verify(BODY, {"X-Hub-Signature": f"sha256={good}"}, [KEY])
    assert not verify(BODY, {"X-TAIGA-WEBHOOK-SIGNATURE": "0" * 40, "X-Hub-Signature": f"sha1={good}"}, [KEY])
    assert not verify(BODY, {"X-TAIGA-WEBHOOK-SIGNATURE": "", "X-Hub-Signature": f"sha1={good}"}, [KEY])


def test_header_names_in_any_case():
    assert verify(BODY, {"x-taiga-webhook-signature": sign(BODY, KEY)}, [KEY])


def test_any_of_several_keys_verifies_during_rotation():
    headers = {"X-TAIGA-WEBHOOK-SIGNATURE": sign(BODY, "previous")}
    assert verify(BODY, headers, ["current", "previous"])
    assert verify(BODY, headers, (key for key in ("previous", "current")))
    assert not verify(BODY, headers, ["current"])


def test_no_key_and_an_empty_key_never_verify():
    headers = {"X-TAIGA-WEBHOOK-SIGNATURE": sign(BODY, "")}
    assert not verify(BODY, headers, [])
    assert not verify(BODY, headers, [""])


def test_missing_headers_do_not_verify():
    assert not verify(BODY, {}, [KEY])


@pytest.mark.parametrize("value", ["é" * 40, "\ud800" * 40, "sha1=ü", "☃", " ", "x" * 100_000])
def test_signatures_that_are_no_ascii_do_not_raise(value):
    assert not verify(BODY, {"X-TAIGA-WEBHOOK-SIGNATURE": value}, [KEY])
    assert not verify(BODY, {"X-Hub-Signature": value}, [KEY])


@given(st.binary(), st.text(min_size=1), st.dictionaries(st.text(), st.text()))
def test_signing_and_verifying_agree_whatever_the_key(raw, key, other_headers):
    headers = {**other_headers, "X-TAIGA-WEBHOOK-SIGNATURE": sign(raw, key)}
    lowered = {name.lower() for name in other_headers}
    if "x-taiga-webhook-signature" not in lowered:
        assert verify(raw, headers, [key])
    assert verify(raw, other_headers, [key]) is False
