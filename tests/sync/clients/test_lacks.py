"""A call that could not be begun for want of descriptors blames no server."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator

import pytest

from billing_console.errors import Unreachable
from sync.clients.http import JsonClient
from sync.clients.lacks import MachineExhausted, lack_of


@pytest.fixture
def without_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("host", ["127.0.0.1:9", "localhost:9"])
def test_a_call_without_a_descriptor_was_not_made_and_says_why(without_descriptors: None, host: str) -> None:
    client = JsonClient(f"http://{host}", upstream="taiga", classify=lambda answer: None, allow_http=True)

    with pytest.raises(MachineExhausted) as caught:
        client.call("POST", "/tasks", body={})

    assert caught.value.is_surely_not_done
    assert not caught.value.is_outcome_unknown
    assert caught.value.sentence == (
        "Taiga was not asked: this machine has nothing left to ask with (Too many open files). It is tried again by "
        "itself. Stop what uses it up, or raise the limit (LimitNOFILE, MemoryMax)."
    )


def test_who_does_not_answer_is_still_to_blame() -> None:
    client = JsonClient("http://127.0.0.1:9", upstream="taiga", classify=lambda answer: None, allow_http=True)

    with pytest.raises(Unreachable) as caught:
        client.call("GET", "/tasks")

    assert type(caught.value) is Unreachable


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS])
def test_a_lack_is_found_however_deep_it_is(number: int) -> None:
    outer = ConnectionError(RuntimeError("retries"))
    outer.args[0].__cause__ = OSError(number, "x")
    assert lack_of(outer) == os.strerror(number)


def test_any_other_failure_is_no_lack() -> None:
    outer = OSError(errno.ECONNREFUSED, "refused")
    outer.__context__ = outer
    assert lack_of(outer) == ""
