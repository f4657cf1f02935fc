"""How long a request is, while it comes: what the web's worker collects. Pure: bytes in, a length out."""

from __future__ import annotations

import re
from typing import Final

HEAD_BYTES: Final = 64 * 1024  # more than gunicorn reads of a head; it answers such a request itself
BODY_BYTES: Final = 4 * 1024 * 1024 + 64 * 1024  # a little more than billing_console.border lets through
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_EXPECTS: Final = re.compile(rb"\r\nexpect:[ \t]*100-continue", re.IGNORECASE)
_SIZE: Final = re.compile(rb"([0-9a-fA-F]{1,15})[^\r\n]{0,200}\r\n")


class TooLarge(Exception):
    """The body is longer than any that is taken."""


class Incoming:
    """What came of a request so far. Pure: bytes in, how long it is out."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.head: int | None = None  # length of the head, once it is there
        self._total: int | None = None
        self._next_chunk = -1  # where the next chunk's size stands; -1 where there are no chunks

    def total(self) -> int | None:
        """The length of the request; None while it is not known, or not whole. Raises TooLarge.

        What gunicorn will refuse anyway is as long as what is there.
        """
        if self.head is None:
            end = self.data.find(b"\r\n\r\n")
            if end < 0:
                return len(self.data) if len(self.data) > HEAD_BYTES else None
            self.head = end + 4
            head = bytes(self.data[: self.head])
            found = _LENGTH.search(head)
            if _CHUNKED.search(head):
                self._next_chunk = self.head
            elif found is None:
                self._total = self.head
            elif int(found[1]) > BODY_BYTES:
                raise TooLarge
            else:
                self._total = self.head + int(found[1])
        if self._next_chunk >= 0:
            self._read_chunks()
        if len(self.data) - self.head > BODY_BYTES:
            raise TooLarge
        return self._total if self._total is not None and len(self.data) >= self._total else None

    @property
    def expects_word(self) -> bool:
        """Whether the client waits for "100 Continue" before it sends the body."""
        return self.head is not None and bool(_EXPECTS.search(bytes(self.data[: self.head])))

    def _read_chunks(self) -> None:
        while self._total is None:
            found = _SIZE.match(self.data, self._next_chunk)
            if found is None:
                if len(self.data) - self._next_chunk > 300:  # no size is so long
                    self._total = len(self.data)
                return
            size = int(found[1], 16)
            if size == 0:
                end = self.data.find(b"\r\n", found.end())
                self._total = end + 2 if end == found.end() else None
                if self._total is None and (end := self.data.find(b"\r\n\r\n", found.end())) >= 0:
                    self._total = end + 4
                return
            if size > BODY_BYTES:
                raise TooLarge
            self._next_chunk = found.end() + size + 2
            if self._next_chunk > len(self.data):
                return
