"""A child begins whatever the other threads do, and what keeps it from beginning is an exception here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile

import pytest

from billing_console.embedded.folders import CLONE
from billing_console.spawn import spawn

# A lock that is held at the fork stays held in the child for ever: nothing of ours may run there that takes one.
LOCKED = """
import os, threading
from billing_console.spawn import spawn
lock = threading.Lock()
lock.acquire()
os.register_at_fork(after_in_child=lock.acquire)
print(spawn(["sh", "-c", "exit 7"]).wait())
"""


def test_a_child_begins_although_another_thread_holds_a_lock() -> None:
    said = subprocess.run(
        [sys.executable, "-c", LOCKED], cwd=CLONE, stdout=subprocess.PIPE, check=True, timeout=60, text=True
    )

    assert said.stdout == "7\n"


@pytest.mark.parametrize(
    ("program", "error"), [("/no/such/program", FileNotFoundError), ("/etc/passwd", PermissionError)]
)
def test_a_program_that_cannot_begin_is_an_error_with_its_name(program: str, error: type[OSError]) -> None:
    with pytest.raises(error) as caught:
        spawn([program])

    assert caught.value.filename == program


def test_a_child_has_its_own_session_and_the_signals_of_a_shell() -> None:
    script = (
        "import glob, os; links = filter(os.path.islink, glob.glob('/proc/self/fd/*'));"
        "print(os.getsid(0) == os.getpid(), *map(os.readlink, links), flush=True)"
    )
    ignored = "grep SigIgn /proc/self/status"
    with tempfile.TemporaryFile() as file:
        os.set_inheritable(file.fileno(), True)
        ours = os.readlink(f"/proc/self/fd/{file.fileno()}")
        process = spawn([sys.executable, "-c", script], stdout=subprocess.PIPE)
        shell = spawn(["sh", "-c", ignored], stdout=subprocess.PIPE)

    has_session, *files = process.communicate()[0].decode().split(maxsplit=1)
    assert has_session == "True"
    assert "pipe:" in files[0]
    assert ours not in files[0]  # nothing of ours is handed on
    assert int(shell.communicate()[0].split()[1], 16) & (1 << (signal.SIGPIPE - 1)) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts a process as somebody else")
def test_a_child_is_the_user_that_was_asked_for_and_in_no_other_group() -> None:
    process = spawn(["id", "-u"], uid=65534, gid=65534, stdout=subprocess.PIPE, cwd="/")
    groups = spawn(["id", "-G"], uid=65534, gid=65534, stdout=subprocess.PIPE, cwd="/")

    assert process.communicate()[0] == b"65534\n"
    assert groups.communicate()[0] == b"65534\n"


def test_a_user_without_a_group_is_refused() -> None:
    with pytest.raises(ValueError, match="go together"):
        spawn(["true"], uid=0)
