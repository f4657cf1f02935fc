"""With which settings a process was started, so that two can be compared and nothing can be read of them.

The hashes are keyed with SECRET_KEY: where that differs, every one does.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from django.conf import settings

from billing_console.env import VARIABLES, digest_of

SECRET: Final = "SECRET_KEY"  # noqa: S105 -- a name
# What a process has of its own: how it keeps connections, and what only the web listens on.
_OF_A_PROCESS: Final = frozenset({"CONN_MAX_AGE", "DATABASE_POOL", "PORT"})
# What two machines may name in two ways.
_OF_A_MACHINE: Final = frozenset({"DATABASE_URL", "EMAIL_URL", "LOG_DIR", "REDIS_URL", "SANDBOX_CLOCK_FILE", "VAR_DIR"})


def prints() -> dict[str, str]:
    """A keyed hash of the value of each setting of this process, by its name."""
    return {name: keyed(name, repr(_value_of(name))) for name in VARIABLES if name not in _OF_A_PROCESS}


def keyed(*parts: str) -> str:
    """A hash of the parts that nobody without SECRET_KEY can make; 16 characters."""
    key = settings.SECRET_KEY.encode("utf-8", "surrogatepass")
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hmac.new(key, text, hashlib.sha256).hexdigest()[:16]


def differing(ours: Mapping[str, str], theirs: Mapping[str, str], *, is_same_machine: bool) -> list[str]:
    """The names of the settings with which two processes were started differently; of a newer version's none."""
    names = sorted(name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name])
    if SECRET in names:
        return [SECRET]
    return [name for name in names if is_same_machine or name not in _OF_A_MACHINE]


def is_env_file_changed() -> bool:
    """Whether the file of the settings is another one than when the console was started."""
    return bool(settings.ENV_FILE) and digest_of(Path(settings.ENV_FILE)) != settings.ENV_FILE_DIGEST


def _value_of(name: str) -> object:
    return getattr(settings, name, os.environ.get(name, ""))
