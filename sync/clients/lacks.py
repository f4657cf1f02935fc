"""What this machine had nothing left of, where a call could not even be begun for that: no server is to blame."""

from __future__ import annotations

import os
from collections.abc import Iterator

from django.utils.translation import gettext_lazy

from billing_console.errors import Unreachable
from billing_console.lacks import MACHINE_LACKS


class MachineExhausted(Unreachable):
    """This machine had no descriptor or memory for a connection: nothing was called, and no server is to blame."""

    default_sentence = gettext_lazy(
        "%(upstream)s was not asked: this machine has nothing left to ask with (%(detail)s). It is tried again by "
        "itself. Stop what uses it up, or raise the limit (LimitNOFILE, MemoryMax)."
    )


def lack_of(failure: BaseException) -> str:
    """The machine's own words for what it lacks ("Too many open files"); "" where the failure has another reason."""
    for cause in _causes(failure):
        if isinstance(cause, OSError) and cause.errno in MACHINE_LACKS:
            return os.strerror(cause.errno)
    return _lack_of_files()  # a name that cannot be looked up for that says only that it is not known


def _causes(failure: BaseException) -> Iterator[BaseException]:
    waiting, seen = [failure], set[int]()
    while waiting:
        cause = waiting.pop()
        if id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            linked = (cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args)
            waiting += [one for one in linked if isinstance(one, BaseException)]


def _lack_of_files() -> str:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return os.strerror(error.errno or 0) if error.errno in MACHINE_LACKS else ""
    return ""
