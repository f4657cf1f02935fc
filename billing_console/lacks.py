"""How the system says that this machine has no descriptor or memory left; no server is to blame for it."""

from __future__ import annotations

import errno
from typing import Final

MACHINE_LACKS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
