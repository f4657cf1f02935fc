"""Where the console's own PostgreSQL and Redis live, who owns it, and who may run there at a time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from billing_console.spawn import AlreadyRunning, LeftoverError, stop_leftovers
from billing_console.spawn import hold_lock as hold_lock_file

Purpose = Literal["demo", "test"]

CLONE: Final = Path(__file__).resolve().parent.parent.parent
UNPRIVILEGED_ID: Final = 65534
ROOT_HOME: Final = Path("/var/lib/billing-console")
# The kernel allows 107 bytes for a socket's path; PostgreSQL adds a lock file beside it.
MAX_SOCKET_PATH: Final = 100
LONGEST_SOCKET_NAME: Final = ".s.PGSQL.5432"

# What a shifted clock (libfaketime) is set by: where we run on one, the servers do too.
CLOCK_VARIABLES: Final = ("LD_PRELOAD", "FAKETIME", "FAKETIME_DONT_FAKE_MONOTONIC", "DONT_FAKE_MONOTONIC")


class EmbeddedError(Exception):
    """The console's own PostgreSQL or Redis cannot run; the text is one plain sentence."""


@dataclass(frozen=True)
class Folders:
    """The folders of one purpose. `uid` and `gid` are None where the servers run as ourselves."""

    home: Path
    base: Path
    socket_dir: Path
    uid: int | None
    gid: int | None

    @property
    def postgres_data(self) -> Path:
        return self.base / "pgdata"

    @property
    def redis_dir(self) -> Path:
        return self.base / "redis"

    @property
    def postgres_log(self) -> Path:
        return self.home / f"{self.base.name}.postgres.log"

    @property
    def redis_log(self) -> Path:
        return self.home / f"{self.base.name}.redis.log"

    @property
    def password_file(self) -> Path:
        return self.home / f"{self.base.name}.password"

    @property
    def lock_file(self) -> Path:
        return self.home / f"{self.base.name}.lock"


def locate_folders(purpose: Purpose, *, clone: Path = CLONE, is_root: bool | None = None) -> Folders:
    """Say where things lie for this clone and purpose, without touching the disk.

    As root the servers run as an unprivileged user, which cannot be expected to reach the clone, so all is
    kept below /var/lib/billing-console; as anybody else it is kept in the clone's own var/.
    """
    as_root = os.geteuid() == 0 if is_root is None else is_root
    digest = hashlib.sha256(os.fsencode(clone)).hexdigest()[:12]
    home = ROOT_HOME / digest if as_root else clone / "var" / "embedded"
    base = home / purpose
    socket_dir = base / "s"
    if len(os.fsencode(socket_dir / LONGEST_SOCKET_NAME)) >= MAX_SOCKET_PATH:
        socket_dir = Path(tempfile.gettempdir()) / f"billing-console-{os.geteuid()}-{digest}" / purpose
    uid = UNPRIVILEGED_ID if as_root else None
    return Folders(home=home, base=base, socket_dir=socket_dir, uid=uid, gid=uid)


def prepare_folders(folders: Folders) -> None:
    """Make the folders, private to the user the servers run as. Raises EmbeddedError where that fails."""
    try:
        if folders.uid is None:
            make_private(folders.home, owner=None)
        else:
            # The unprivileged user may pass through, and see nothing on the way.
            ROOT_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
            folders.home.mkdir(mode=0o711, exist_ok=True)
            folders.home.chmod(0o711)
        make_private(folders.base, owner=folders.uid)
        make_private(folders.redis_dir, owner=folders.uid)
        if folders.socket_dir.parent != folders.base:
            make_private(folders.socket_dir.parent, owner=None)
        make_private(folders.socket_dir, owner=folders.uid)
    except OSError as error:
        raise EmbeddedError(
            f"Cannot make the folder for the own PostgreSQL and Redis ({error.strerror}: {error.filename}). "
            "Make it writable, or set DATABASE_URL and REDIS_URL to servers you run."
        ) from error


def server_environment() -> dict[str, str]:
    """Return the environment of both servers: nothing of ours, except a shifted clock if we run on one."""
    clock = {name: os.environ[name] for name in CLOCK_VARIABLES if name in os.environ}
    return {"PATH": os.defpath, "LC_ALL": "C", **clock}


def make_private(folder: Path, *, owner: int | None) -> None:
    """Make `folder` (mode 0700) for `owner` (None: ourselves); refuse a link or somebody else's folder."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if owner is not None:
        os.chown(folder, owner, owner, follow_symlinks=False)
    found = folder.lstat()
    expected = os.geteuid() if owner is None else owner
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != expected:
        raise EmbeddedError(f"{folder} belongs to somebody else; remove it and try again.")
    if stat.S_IMODE(found.st_mode) != 0o700:
        folder.chmod(0o700)


def read_or_make_password(folders: Folders) -> str:
    """Return the database password of this purpose, made once and kept readable by us alone."""
    with contextlib.suppress(FileNotFoundError):
        if password := folders.password_file.read_text().strip():
            return password
    password = secrets.token_urlsafe(24)
    descriptor = os.open(folders.password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(password + "\n")
    return password


@contextlib.contextmanager
def hold_lock(folders: Folders) -> Iterator[None]:
    """Hold the one lock of this clone and purpose; raises EmbeddedError if another copy holds it."""
    # Not around the yield: the block may raise AlreadyRunning about something else.
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(hold_lock_file(folders.lock_file))
        except AlreadyRunning as error:
            raise EmbeddedError(str(error)) from None
        yield


def clear_leftovers(folder: Path, steps: Sequence[tuple[signal.Signals, float]]) -> None:
    """Stop what an earlier, killed run left working in `folder`; raises EmbeddedError if that fails."""
    try:
        stop_leftovers(folder, steps)
    except LeftoverError as error:
        raise EmbeddedError(str(error)) from error


def remove_data(folders: Folders) -> None:
    """Delete the data of this purpose for good. Call it only while holding the lock, with nothing running."""
    for path in (folders.base, folders.socket_dir):
        shutil.rmtree(path, ignore_errors=True)
    folders.password_file.unlink(missing_ok=True)
