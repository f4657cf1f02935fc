"""Start processes that never outlive us, and stop those that somehow did.

Every child gets a session of its own (the terminal's Ctrl-C reaches only us, and we stop the children in
order) and, on Linux, a signal from the kernel when we die (so that `kill -9` leaves nothing behind).
Imports nothing of Django: it runs before the settings can be read.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO, Final

# What a child does before it becomes the program, in a small interpreter of its own. Python's own hook for that
# (`preexec_fn`) runs between fork and exec, where a lock that another thread of ours held is never released: the
# child then stands still for ever, and we with it, because we wait for its first word.
LAUNCHER: Final = """
import ctypes, os, signal, sys, warnings  # execvp wants the last; as another user we may not read the library
told, number, parent, uid, gid = map(int, sys.argv[1:6])
argv = sys.argv[6:]
os.set_inheritable(told, False)
os.environ.pop("FAKETIME_SHARED", None)  # on a shifted clock: our own user's, which another one may not open
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
try:
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    # After the change of user, which would otherwise clear the death signal again (1 is PR_SET_PDEATHSIG).
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, number, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    os.execvp(argv[0], argv)
except OSError as error:
    os.write(told, str(error.errno).encode())
    os._exit(127)
"""


class LeftoverError(Exception):
    """A process that an earlier run left behind does not stop; the text is one plain sentence."""


class AlreadyRunning(Exception):
    """Another process holds the lock; `.holder` is its id as text."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"Another copy is already running here (process {holder}). Use that one, or stop it first.")
        self.holder = holder


class Stopped(SystemExit):
    """We were asked to stop by a signal; the exit code is 128 + its number, as a shell would say it."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | str | None = None,
    uid: int | None = None,
    gid: int | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
    stdin: int | IO[bytes] | None = subprocess.DEVNULL,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
    is_own_session: bool = True,
) -> subprocess.Popen[bytes]:
    """Start `argv`, as user `uid` and group `gid` where given, and return the process.

    The kernel sends it `death_signal` when the *thread* that called us ends, so call it from a thread that
    lives as long as the child should. Safe beside other threads. Raises OSError if the program cannot be started.
    """
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as told:
        try:
            process = subprocess.Popen(
                _launched(argv, writer, death_signal, uid, gid),
                env=dict(env) if env is not None else None,
                cwd=cwd,
                start_new_session=is_own_session,
                pass_fds=[writer],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
            )
        finally:
            os.close(writer)
        # The pipe ends when the program begins, or brings the number of the error that kept it from that.
        number = told.read()
    if number:
        process.wait()
        raise OSError(int(number), os.strerror(int(number)), argv[0])
    return process


def _launched(
    argv: Sequence[str], writer: int, death_signal: signal.Signals, uid: int | None, gid: int | None
) -> list[str]:
    head = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(writer), str(int(death_signal)), str(os.getpid())]
    if (uid is None) != (gid is None):
        raise ValueError("A user and its group go together.")
    return [*head, str(-1 if uid is None else uid), str(-1 if gid is None else gid), *argv]


def stop_process(
    process: subprocess.Popen[bytes],
    *,
    first: signal.Signals = signal.SIGTERM,
    seconds: float = 10.0,
) -> int:
    """Ask the process to end with signal `first`, insist with SIGKILL after `seconds`; return its code."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(first)
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def is_alive(pid: int) -> bool:
    """True if a process with this id exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"


def find_processes_in(folder: Path) -> list[int]:
    """Return the ids of the living processes, but our own, whose working directory is `folder`.

    That is how PostgreSQL, its backends and Redis are known again after their parent was killed: a process
    id is used again after a while, the private folder is not. Empty where there is no /proc.
    """
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        pid = int(entry.name)
        with contextlib.suppress(OSError):
            if pid != os.getpid() and os.readlink(entry / "cwd") == str(folder) and is_alive(pid):
                found.append(pid)
    return sorted(found)


def stop_leftovers(folder: Path, steps: Sequence[tuple[signal.Signals, float]]) -> int:
    """Stop what an earlier, killed run left working in `folder`; return how many processes that were.

    `steps`: each signal and the seconds to wait for its effect. Raises LeftoverError if one still lives then.
    """
    found = find_processes_in(folder)
    for number, seconds in steps:
        for pid in find_processes_in(folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while find_processes_in(folder):
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        else:
            return len(found)
    raise LeftoverError(f"Processes {find_processes_in(folder)} of an earlier run do not stop; end them by hand.")


@contextlib.contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold the lock file `path` for the block; raises AlreadyRunning if another process holds it.

    The kernel gives it back when we die, however that happens, so it never has to be cleaned up.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise AlreadyRunning(file.read().strip() or "unknown") from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


@contextlib.contextmanager
def raising_on_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into the exception `Stopped`, so that every `finally` runs.

    Only where nobody else handles them, and only in the main thread (elsewhere Python has no handlers).
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def raise_stopped(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    changed = []
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, raise_stopped)
            changed.append(number)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def deaf_to_signals() -> Iterator[None]:
    """Ignore SIGINT, SIGTERM and SIGHUP in the block: a second Ctrl-C must not leave the tidying half done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
