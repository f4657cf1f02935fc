"""Lines of our logs: what failed and where, never what stood in a row of the database.

PostgreSQL quotes names and addresses in what it says of a value or a row that it refuses: in the sentence, in the
excerpt of the statement, in DETAIL and CONTEXT.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

import psycopg
from django.db import Error

from billing_console.private_files import open_private

_QUOTES_VALUES = "22"  # the class of a refused value: its sentence quotes it


class PrivateFileHandler(WatchedFileHandler):
    """A log in a file that its user alone reads, and that decides nothing; put by by somebody else, it is begun anew.

    Its folder is made anew where it is gone, and what cannot be written goes to stderr. Never raises.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, here or to stderr."""
        try:
            super().emit(record)
        except OSError:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Write the line to stderr, with why it is not in its file; where that fails too, it is lost."""
        why = sys.exc_info()[1]
        with contextlib.suppress(Exception):
            sys.stderr.write(f"{self.baseFilename} cannot be written ({why}): {self.format(record)}\n")
            sys.stderr.flush()

    def _open(self) -> Any:
        path = Path(self.baseFilename)
        path.parent.mkdir(parents=True, exist_ok=True)
        return open_private(path, self.mode, encoding=self.encoding, errors=self.errors)


class LineFormatter(logging.Formatter):
    """A formatter that writes an error of the database by its kind instead of its words."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        for error in _errors(record):
            if isinstance(error, (Error, psycopg.Error)) and (said := str(error)):
                text = text.replace(said, discreet(error)).replace(repr(error), discreet(error))
        return text


def discreet(error: BaseException) -> str:
    """What may be written of an error of the database: PostgreSQL's own sentence, or only its kind where it quotes.

    "duplicate key value violates unique constraint "…"" stays, "value too long …" is "StringDataRightTruncation
    (22001)". An error without a code, such as a lost connection, says nothing of rows and stays as it is.
    """
    cause = error if isinstance(error, psycopg.Error) else error.__cause__
    if not isinstance(cause, psycopg.Error) or cause.sqlstate is None:
        return str(error)
    if cause.sqlstate.startswith(_QUOTES_VALUES):
        return f"{type(cause).__name__} ({cause.sqlstate})"
    return f"{cause.diag.message_primary} ({cause.sqlstate})"


def _errors(record: logging.LogRecord) -> Iterator[BaseException]:
    """The errors that a record may quote, with what they came from."""
    told = record.args.values() if isinstance(record.args, dict) else record.args or ()
    waiting = [value for value in told if isinstance(value, BaseException)]
    if record.exc_info and record.exc_info[1] is not None:
        waiting.append(record.exc_info[1])
    seen: set[int] = set()
    while waiting:
        error = waiting.pop()
        if id(error) in seen:
            continue
        seen.add(id(error))
        yield error
        waiting += [one for one in (error.__cause__, error.__context__) if one is not None]
        if isinstance(error, BaseExceptionGroup):
            waiting += error.exceptions
