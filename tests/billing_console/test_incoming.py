"""How long a request is, however it comes."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_console.incoming import HEAD_BYTES, Incoming, TooLarge
from tests.billing_console.test_web_worker import CHUNKED, GET, POST


@pytest.mark.parametrize("request_", [GET, POST, CHUNKED])
@given(data=st.data())
def test_the_length_is_the_same_however_it_came(request_: bytes, data: st.DataObject) -> None:
    incoming, rest, after = Incoming(), request_, data.draw(st.binary(max_size=20))
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        assert incoming.total() is None
        incoming.data += rest[:size]
        rest = rest[size:]
    incoming.data += after
    assert incoming.total() == len(request_)


@given(st.binary(max_size=400))
def test_any_bytes_have_a_length_or_none(raw: bytes) -> None:
    for head in (b"", POST.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", CHUNKED.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"):
        incoming = Incoming(head + raw)
        with contextlib.suppress(TooLarge):
            total = incoming.total()
            assert total is None or 0 <= total <= len(incoming.data)


def test_a_head_without_end_is_gunicorns() -> None:
    assert Incoming(b"G" * HEAD_BYTES).total() is None
    assert Incoming(b"G" * (HEAD_BYTES + 1)).total() == HEAD_BYTES + 1
