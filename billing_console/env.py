"""Reading the environment: every variable also as NAME_FILE, and secrets that make themselves once."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path


def load_secret_files(environ: dict[str, str] | os._Environ[str] = os.environ) -> None:
    """For every NAME_FILE that names a readable file, set NAME to its content, unless NAME is set itself."""
    for name, path in list(environ.items()):
        target = name.removesuffix("_FILE")
        if target != name and path and target not in environ and Path(path).is_file():
            environ[target] = Path(path).read_text().strip()


def make_once(path: Path, make: Callable[[], str] = lambda: secrets.token_urlsafe(48)) -> str:
    """The secret in `path`; made and kept there with mode 0600 when it is not there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(descriptor, "w") as file:
        secret = make()
        file.write(secret)
    return secret
