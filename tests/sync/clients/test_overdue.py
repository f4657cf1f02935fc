"""One thread acts on what is overdue, in the order of the times, and on nothing that ended before."""

from __future__ import annotations

import os
import threading
import time

from sync.clients.overdue import Overdue, overdue


def watchers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "overdue"}


def test_what_still_waits_is_acted_on_in_order_and_what_ended_is_not() -> None:
    watched, done, all_done = Overdue(), [], threading.Event()
    now = time.monotonic()

    watched.add(now + 0.15, lambda: (done.append("last"), all_done.set()))
    watched.add(now + 0.05, lambda: done.append("first"))
    ended = watched.add(now + 0.02, lambda: done.append("ended"))
    ended.end()

    assert all_done.wait(5)
    assert done == ["first", "last"]


def test_one_thread_serves_all_and_keeps_nothing_that_is_over() -> None:
    watched, done = Overdue(), threading.Event()
    before = watchers()
    for _number in range(100):
        watched.add(time.monotonic() + 0.05, lambda: None).end()
    watched.add(time.monotonic() + 0.1, done.set)

    assert done.wait(5)
    assert len(watchers() - before) == 1
    assert watched._waiting == []


def test_a_time_that_is_over_is_acted_on_at_once() -> None:
    done = threading.Event()

    overdue.add(time.monotonic() - 1, done.set)

    assert done.wait(5)


def test_a_forked_process_waits_with_a_thread_of_its_own() -> None:
    done = threading.Event()
    overdue.add(time.monotonic(), done.set)
    assert done.wait(5)

    child = os.fork()
    if child == 0:
        there = threading.Event()
        overdue.add(time.monotonic() + 0.01, there.set)
        os._exit(0 if there.wait(5) else 1)
    assert os.waitpid(child, 0)[1] == 0
