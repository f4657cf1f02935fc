"""A picture of a page with 256 colours instead of millions: less than half the size, and nobody sees a difference.

Pages have few colours; only the edges of letters have more, and take the nearest. Reads what Chromium writes: PNG with
8 bits a colour, not interlaced.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def shrink(picture: bytes) -> bytes:
    """The same picture with a palette."""
    width, height, rows = _read(picture)
    pixels = [[row[at : at + 3] for at in range(0, len(row), 3)] for row in rows]
    counted = Counter(pixel for row in pixels for pixel in row)
    palette = [colour for colour, _count in counted.most_common(256)]
    number = {colour: at for at, colour in enumerate(palette)}
    for colour in counted:
        if colour not in number:
            number[colour] = min(range(len(palette)), key=lambda at: _distance(palette[at], colour))
    lines = b"".join(b"\0" + bytes(number[pixel] for pixel in row) for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = ((b"IHDR", head), (b"PLTE", b"".join(palette)), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in parts)


def _distance(one: bytes, other: bytes) -> int:
    return sum((left - right) ** 2 for left, right in zip(one, other, strict=True))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at < len(picture):
        (length,) = struct.unpack_from(">I", picture, at)
        yield picture[at + 4 : at + 8], picture[at + 8 : at + 8 + length]
        at += length + 12


def _read(picture: bytes) -> tuple[int, int, list[bytes]]:
    """Width, height, and the rows as red, green and blue."""
    parts = list(_chunks(picture))
    width, height, depth, kind, *_others, interlace = struct.unpack(">IIBBBBB", dict(parts)[b"IHDR"])
    if (depth, kind, interlace) != (8, 2, 0):
        raise ValueError("not a picture as Chromium writes it")
    raw = zlib.decompress(b"".join(data for name, data in parts if name == b"IDAT"))
    size = width * 3
    rows, above = [], bytes(size)
    for at in range(0, len(raw), size + 1):
        above = _unfiltered(raw[at], bytearray(raw[at + 1 : at + 1 + size]), above)
        rows.append(above)
    return width, height, rows


def _unfiltered(way: int, row: bytearray, above: bytes) -> bytes:
    """PNG writes each byte as its difference to a guess from those left, above, and left above of it."""
    for at in range(len(row)) if way else ():
        left, left_above = (row[at - 3], above[at - 3]) if at >= 3 else (0, 0)
        if way == 1:
            guess = left
        elif way == 2:
            guess = above[at]
        elif way == 3:
            guess = (left + above[at]) // 2
        else:
            guess = _nearest(left, above[at], left_above)
        row[at] = (row[at] + guess) & 255
    return bytes(row)


def _nearest(left: int, above: int, left_above: int) -> int:
    whole = left + above - left_above
    return min((left, above, left_above), key=lambda guess: abs(whole - guess))
