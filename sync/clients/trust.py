"""Which certificates of a server are accepted: read from the disk once, because that takes longer than many calls."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache
from pathlib import Path

from django.utils.translation import gettext as _
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.util.ssl_ import create_urllib3_context

from billing_console.errors import ConfigError


def trusted() -> ssl.SSLContext:
    """What trusts the authorities in `REQUESTS_CA_BUNDLE`, a file or folder; without it those of requests.

    All calls of a process share it, in any thread. Raises ConfigError where they cannot be read.
    """
    return _read(os.environ.get("REQUESTS_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH)


@lru_cache(maxsize=8)
def _read(bundle: str) -> ssl.SSLContext:
    context = create_urllib3_context()
    kind = "capath" if Path(bundle).is_dir() else "cafile"
    try:
        context.load_verify_locations(**{kind: bundle})
    except OSError:  # SSLError is one: a file that is there and holds no certificate
        raise ConfigError(
            _(
                "The certificates in %(path)s cannot be read, so no server can be trusted. Correct REQUESTS_CA_BUNDLE, "
                "or unset it, and start the console again."
            )
            % {"path": bundle}
        ) from None
    return context
