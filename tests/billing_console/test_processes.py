"""The supervisor: keeps alive, starts again, leaves nothing behind."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings

from billing_console.processes import (
    CLONE,
    WEB_WORKERS,
    WORKER_THREADS,
    PortBusy,
    Program,
    choose_free_ports,
    console_programs,
    insist_on_free_port,
    run_step,
    supervised,
)
from billing_console.spawn import AlreadyRunning, Stopped, hold_lock, is_alive, raising_on_signals, spawn

SLEEP = [sys.executable, "-S", "-c", "import time; print('up', flush=True); time.sleep(600)"]
ENVIRONMENT = dict(os.environ)


def wait_until(condition: Callable[[], object], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


def test_a_killed_process_is_started_again_and_all_end_with_the_block() -> None:
    lines: list[str] = []
    said: list[str] = []

    with supervised([Program("sleeper", SLEEP, ENVIRONMENT)], write=lines.append, announce=said.append) as them:
        first = them.pids["sleeper"]
        wait_until(lambda: lines == ["sleeper | up"])
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: (them.poll(), them.pids.get("sleeper", first) != first)[1])
        second = them.pids["sleeper"]

    assert said == ["sleeper ended (signal SIGKILL); starting it again in 0.5 s."]
    assert not is_alive(first)
    assert not is_alive(second)


def test_a_full_disk_under_our_own_output_ends_nobody() -> None:
    """/dev/full answers each write as a full disk does."""
    lines: list[str] = []
    is_full = True
    full = os.open("/dev/full", os.O_WRONLY)

    def write(line: str) -> None:
        if is_full:
            os.write(full, line.encode())
        lines.append(line)

    chatty = "import time; [(print(number, flush=True), time.sleep(0.02)) for number in range(10**6)]"
    with supervised([Program("chatty", [sys.executable, "-S", "-c", chatty], ENVIRONMENT)], write=write) as them:
        first = them.pids["chatty"]
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: (them.poll(), them.pids.get("chatty", first) != first)[1])
        assert lines == []
        is_full = False
        wait_until(lambda: len(lines) > 3)  # whoever reads its output lives too
    os.close(full)

    assert re.fullmatch(r"console \| [0-9]+ lines could not be written \(No space left on device\)\.", lines[0])
    assert lines[1].startswith("chatty  | ")


def test_no_process_to_be_had_is_tried_again_and_ends_nobody() -> None:
    said: list[str] = []
    both = [Program("one", SLEEP, ENVIRONMENT), Program("two", SLEEP, ENVIRONMENT)]
    most = resource.getrlimit(resource.RLIMIT_NOFILE)

    with supervised(both, write=lambda line: None, announce=said.append) as them:
        before = them.pids
        os.kill(before["one"], signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, most[1]))  # EMFILE, as EAGAIN and ENOMEM come
        try:
            wait_until(lambda: (them.poll(), len(said) >= 3)[1])
            assert them.pids == {"two": before["two"]}
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, most)
        wait_until(lambda: (them.poll(), "one" in them.pids)[1])

    assert said[:3] == [
        "one ended (signal SIGKILL); starting it again in 0.5 s.",
        "one could not be started (Too many open files); trying again in 1 s.",
        "one could not be started (Too many open files); trying again in 2 s.",
    ]


def test_pauses_grow_for_one_that_dies_again_and_again() -> None:
    said: list[str] = []
    broken = Program("broken", [sys.executable, "-S", "-c", "raise SystemExit(3)"], ENVIRONMENT)

    with supervised([broken], write=lambda line: None, announce=said.append) as them:
        wait_until(lambda: (them.poll(), len(said) >= 3)[1])

    assert said[:3] == [
        "broken ended (exit code 3); starting it again in 0.5 s.",
        "broken ended (exit code 3); starting it again in 1 s.",
        "broken ended (exit code 3); starting it again in 2 s.",
    ]


def test_one_that_ignores_the_signal_is_killed() -> None:
    lines: list[str] = []
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    program = Program("stubborn", [sys.executable, "-c", stubborn], ENVIRONMENT, stop_seconds=0.3)

    with supervised([program], write=lines.append) as them:
        wait_until(lambda: lines)
        pid = them.pids["stubborn"]

    assert not is_alive(pid)


def test_no_child_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import os, sys, time\n"
        "from billing_console.processes import Program, supervised\n"
        f"program = Program('child', {SLEEP!r}, dict(os.environ))\n"
        "with supervised([program], write=lambda line: None) as them:\n"
        "    print(them.pids['child'], flush=True)\n"
        "    time.sleep(600)\n"
    )
    parent = spawn([sys.executable, "-c", script], cwd=CLONE, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert is_alive(child)

    parent.kill()
    parent.wait()
    parent.stdout.close()

    wait_until(lambda: not is_alive(child))


def test_a_step_gives_its_code_and_its_lines() -> None:
    lines: list[str] = []

    code = run_step([sys.executable, "-c", "print('one'); print('two'); raise SystemExit(4)"], {}, lines.append, "it")

    assert code == 4
    assert lines == ["it      | one", "it      | two"]


def test_a_busy_port_is_one_sentence() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(PortBusy) as caught:
            insist_on_free_port("127.0.0.1", port)

    assert str(caught.value).startswith(
        f"Port {port} on 127.0.0.1 cannot be used (Address already in use): stop what uses it, or choose another"
    )


def test_free_ports_are_different_and_free() -> None:
    ports = choose_free_ports(3)

    assert len(set(ports)) == 3
    for port in ports:
        insist_on_free_port("127.0.0.1", port)


def test_a_second_holder_of_the_lock_is_told_who_holds_it(tmp_path: Path) -> None:
    with (
        hold_lock(tmp_path / "lock"),
        pytest.raises(AlreadyRunning, match=f"process {os.getpid()}"),
        hold_lock(tmp_path / "lock"),
    ):
        pass

    with hold_lock(tmp_path / "lock"):
        pass


def test_sigterm_raises_in_the_block_and_is_as_before_after_it() -> None:
    before = signal.getsignal(signal.SIGTERM)

    try:
        with raising_on_signals():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        code = 0
    except Stopped as stopped:
        code = stopped.code

    assert code == 143
    assert signal.getsignal(signal.SIGTERM) == before


def test_web_workers_and_beat_are_what_a_console_runs() -> None:
    programs = {program.name: program for program in console_programs({"A": "b"}, host="::1", port=5999)}

    assert list(programs) == ["web", "worker-1", "worker-2", "beat"]
    assert {program.argv[-1] for name, program in programs.items() if "worker" in name} == {
        "worker-1@%h",
        "worker-2@%h",
    }
    assert programs["web"].env == programs["beat"].env == {"A": "b"}  # web's pool is in gunicorn's file
    assert programs["worker-1"].env == programs["worker-2"].env == {"A": "b", "DATABASE_POOL": "true"}
    assert "::1:5999" in " ".join(programs["web"].argv)


def test_every_thread_of_a_worker_finds_a_connection_in_its_pool() -> None:
    assert settings.DATABASE_POOL_SIZE >= WORKER_THREADS


def test_gunicorns_file_says_what_the_connections_are_counted_by() -> None:
    file: dict[str, object] = {}

    exec((CLONE / "gunicorn.conf.py").read_text(), file)

    assert file["workers"] == WEB_WORKERS
    assert file["preload_app"] is False
    assert file["raw_env"] == ["DATABASE_POOL=true"]
