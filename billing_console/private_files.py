"""Files that their user alone reads: logs hold names and addresses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, Any


def private_opener(path: str, flags: int) -> int:
    """For `open`: a file that its user alone reads, also where it was there before and others could read it."""
    descriptor = os.open(path, flags, 0o600)
    if os.fstat(descriptor).st_uid == os.geteuid():
        os.fchmod(descriptor, 0o600)
    return descriptor


def open_private(path: Path, mode: str, **options: Any) -> IO[Any]:
    """`open` for a log: it holds names and addresses, so its user alone reads it."""
    return open(path, mode, opener=private_opener, **options)  # noqa: SIM115 - whoever asks closes it
