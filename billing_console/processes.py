"""The console's processes and the supervisor that keeps them alive in the foreground.

One that dies is started again, with growing pauses; when we stop or die, all of them do. What each process
was doing is in the database, so a kill costs time, never work (design: The database is the inbox).
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from billing_console.spawn import deaf_to_signals, spawn, stop_process

CLONE: Final = Path(__file__).resolve().parent.parent
POLL_SECONDS: Final = 0.2
FIRST_PAUSE_SECONDS: Final = 0.5
MAX_PAUSE_SECONDS: Final = 30.0
# One that ran this long was healthy, so its next death starts with a short pause again.
HEALTHY_SECONDS: Final = 20.0
# As in gunicorn.conf.py, which is no module to import.
WEB_WORKERS: Final = 2
# Twice as many threads as calls at a time, so that while some do their own work others call; in two processes, because
# only one thread of a process does its own work at a time.
WORKER_PROCESSES: Final = 2
WORKER_THREADS: Final = 8

Write = Callable[[str], None]


class Careful:
    """Writes lines while they can be written: a full disk or a closed pipe ends nobody, and what is lost is counted."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._lost = 0
        self._why = ""

    def __call__(self, line: str) -> None:
        """Write `line` if it can be written, and before it how many could not. Never raises for the file."""
        with self._lock:
            try:
                if self._lost:
                    self._write(f"console | {self._lost} lines could not be written ({self._why}).")
                    self._lost = 0
                self._write(line)
            except (OSError, ValueError) as error:  # ValueError: the file is closed
                self._lost += 1
                self._why = getattr(error, "strerror", None) or str(error)


class PortBusy(Exception):
    """A port cannot be listened on; the text is one plain sentence."""


@dataclass(frozen=True)
class Program:
    """One process to keep alive. `stop_seconds`: how long it may take to end after `stop_signal`."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    stop_seconds: float = 10.0


def console_programs(environment: Mapping[str, str], *, host: str, port: int) -> list[Program]:
    """Return web, workers and beat of one machine, each with `environment`. How web serves is in gunicorn.conf.py."""
    gunicorn = [*(sys.executable, "-m", "gunicorn", "billing_console.wsgi:application"), "--bind", f"{host}:{port}"]
    celery = [sys.executable, "-m", "celery", "--quiet", "--app", "billing_console"]
    worker = [
        *(*celery, "worker", "--pool", "threads", "--concurrency", str(WORKER_THREADS)),
        *("--loglevel", "WARNING", "--without-gossip", "--without-mingle"),
    ]
    workers = {
        f"worker-{number}": [*worker, "--hostname", f"worker-{number}@%h"] for number in range(1, WORKER_PROCESSES + 1)
    }
    pooled = {"DATABASE_POOL": "true", **environment}
    beat = [*celery, "beat", "--loglevel", "WARNING", "--pidfile", ""]
    return [
        # gunicorn's quick shutdown on SIGINT takes its workers along, which SIGKILL would orphan.
        Program("web", gunicorn, environment, death_signal=signal.SIGINT),
        *(Program(name, argv, pooled) for name, argv in workers.items()),
        Program("beat", beat, environment),
    ]


def insist_on_free_port(host: str, port: int, *, option: str = "--port") -> None:
    """Raise PortBusy if somebody listens on this port already (or it may not be taken).

    `option` is the one of the command that would choose another.
    """
    try:
        _try_port(host, port)
    except OSError as error:
        raise PortBusy(
            f"Port {port} on {host} cannot be used ({error.strerror}): "
            f"stop what uses it, or choose another one, for example {option} {min(port + 1000, 65535)}."
        ) from error


def is_free_port(host: str, port: int) -> bool:
    """True if nobody listens on this port, and it may be taken."""
    try:
        _try_port(host, port)
    except OSError:
        return False
    return True


def _try_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def choose_free_ports(count: int) -> list[int]:
    """Return `count` different ports that are free on the loopback address just now."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def run_step(argv: Sequence[str], environment: Mapping[str, str], write: Write, name: str) -> int:
    """Run one command to its end, each line of its output to `write`; return its exit code."""
    process = _start(argv, environment)
    reader = _read_lines(process, name, Careful(write))
    try:
        code = process.wait()
        reader.join(timeout=5)
        return code
    finally:
        with deaf_to_signals():
            stop_process(process)


class Supervisor:
    """Keeps programs alive until it is stopped. Everything happens in the thread that calls it."""

    def __init__(self, programs: Sequence[Program], *, write: Write, announce: Write | None = None) -> None:
        """`write` takes every line of output, prefixed; `announce` what a person should know."""
        self._write = Careful(write)
        self._announce = Careful(announce) if announce is not None else self._write
        self._slots = [_Slot(program) for program in programs]

    @property
    def pids(self) -> dict[str, int]:
        """The process id of every program that runs now."""
        return {
            slot.program.name: slot.process.pid
            for slot in self._slots
            if slot.process is not None and slot.process.poll() is None
        }

    def add(self, *programs: Program) -> None:
        """Start further programs and keep them alive too."""
        for program in programs:
            slot = _Slot(program)
            self._slots.append(slot)
            self._launch(slot)

    def start(self) -> None:
        """Start every program."""
        for slot in self._slots:
            self._launch(slot)

    def poll(self) -> None:
        """Start again what has died, once its pause is over. Call it a few times a second."""
        now = time.monotonic()
        for slot in self._slots:
            if slot.process is not None and (code := slot.process.poll()) is not None:
                if now - slot.started_at > HEALTHY_SECONDS:
                    slot.pause = FIRST_PAUSE_SECONDS
                self._put_off(slot, f"ended ({_describe_code(code)}); starting it again")
            if slot.process is None and now >= slot.start_at:
                self._launch(slot)

    def run(self, is_done: Callable[[], bool] = lambda: False) -> None:
        """Keep all alive until `is_done()`, or until a signal raises in this thread."""
        while not is_done():
            self.poll()
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Stop all, at once, the last started first; harmless if called again."""
        with deaf_to_signals():
            living = [slot for slot in reversed(self._slots) if slot.process is not None]
            for slot in living:
                with contextlib.suppress(ProcessLookupError):
                    slot.living.send_signal(slot.program.stop_signal)
            deadline = time.monotonic() + max((slot.program.stop_seconds for slot in living), default=0.0)
            for slot in living:
                _wait_or_kill(slot.living, deadline)
            for slot in living:
                if slot.reader is not None:
                    slot.reader.join(timeout=2)
                slot.process = None

    def _launch(self, slot: _Slot) -> None:
        """Start the program; where the machine has no process, thread or file to give, it is tried again later."""
        program = slot.program
        process = None
        try:
            slot.process = process = _start(program.argv, program.env, program.death_signal)
            slot.reader = _read_lines(process, program.name, self._write)
        except (OSError, RuntimeError) as error:  # RuntimeError: no thread to be had
            if process is not None:  # nobody would read what it says
                process.kill()
                process.wait()
            self._put_off(slot, f"could not be started ({getattr(error, 'strerror', None) or error}); trying again")
            return
        slot.started_at = time.monotonic()

    def _put_off(self, slot: _Slot, what: str) -> None:
        slot.process, slot.start_at = None, time.monotonic() + slot.pause
        self._announce(f"{slot.program.name} {what} in {slot.pause:g} s.")
        slot.pause = min(MAX_PAUSE_SECONDS, slot.pause * 2)


@contextlib.contextmanager
def supervised(programs: Sequence[Program], *, write: Write, announce: Write | None = None) -> Iterator[Supervisor]:
    """Run the programs for as long as the block lasts; all are gone when it is left, however that happens."""
    supervisor = Supervisor(programs, write=write, announce=announce)
    try:
        supervisor.start()
        yield supervisor
    finally:
        supervisor.stop()


@dataclass
class _Slot:
    program: Program
    process: subprocess.Popen[bytes] | None = None
    reader: threading.Thread | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    pause: float = FIRST_PAUSE_SECONDS

    @property
    def living(self) -> subprocess.Popen[bytes]:
        assert self.process is not None
        return self.process


def _start(
    argv: Sequence[str],
    environment: Mapping[str, str],
    death_signal: signal.Signals = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    return spawn(
        argv,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        cwd=CLONE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        death_signal=death_signal,
    )


def _read_lines(process: subprocess.Popen[bytes], name: str, write: Write) -> threading.Thread:
    """Pass on the process's output, line by line and prefixed, from a thread of its own."""

    def read(output: IO[bytes]) -> None:
        with output:
            for line in output:
                write(f"{name:<8}| {line.decode('utf-8', 'replace').rstrip()}")

    assert process.stdout is not None
    thread = threading.Thread(target=read, args=(process.stdout,), name=f"output-of-{name}", daemon=True)
    thread.start()
    return thread


def _wait_or_kill(process: subprocess.Popen[bytes], deadline: float) -> None:
    try:
        process.wait(timeout=max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _describe_code(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
