"""`python -m bench.load PORT CONNECTIONS FILE`: sends the requests in FILE as fast as they are answered.

One thread and non-blocking sockets, so that the load costs little beside what is measured. FILE holds requests one
after the other, each with its length in 8 digits before it. Prints requests a second and the 99th percentile in ms.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

# Of sixteen connections at once one of two workers may take all: then every measure is that of half a server.
_BETWEEN_CONNECTIONS: Final = 0.01


class Connection:
    """One connection that is kept open: a request is sent, its answer awaited, then the next."""

    def __init__(self, port: int, requests: Iterator[bytes], statuses: dict[int, int]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        time.sleep(_BETWEEN_CONNECTIONS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.requests, self.statuses = requests, statuses
        self.latencies: list[float] = []
        self.answer = b""
        self.since = 0.0

    def send_next(self) -> bool:
        """Send the next request; False when there is none left."""
        request = next(self.requests, None)
        if request is None:
            return False
        self.answer, self.since = b"", time.perf_counter()
        self.socket.sendall(request)
        return True

    def receive(self) -> bool:
        """Take what came; True when the answer is whole."""
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError("the server closed the connection")
        self.answer += piece
        head, separator, body = self.answer.partition(b"\r\n\r\n")
        if not separator:
            return False
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
        )
        if len(body) < length:
            return False
        status = int(head[9:12])
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.latencies.append(time.perf_counter() - self.since)
        return True


def read(path: Path) -> Iterator[bytes]:
    """The requests in a file."""
    raw, at = path.read_bytes(), 0
    while at < len(raw):
        length = int(raw[at : at + 8])
        yield raw[at + 8 : at + 8 + length]
        at += 8 + length


def main(port: int, connections: int, path: Path) -> str:
    """Send everything; "requests-a-second p99-ms" or a sentence about answers that were not 202."""
    requests, statuses = read(path), {}  # type: tuple[Iterator[bytes], dict[int, int]]
    selector = selectors.DefaultSelector()
    open_ones = [Connection(port, requests, statuses) for _number in range(connections)]
    began = time.perf_counter()
    busy = 0
    for each in open_ones:
        if each.send_next():
            selector.register(each.socket, selectors.EVENT_READ, each)
            busy += 1
    while busy:
        for key, _events in selector.select():
            if key.data.receive() and not key.data.send_next():
                selector.unregister(key.data.socket)
                busy -= 1
    seconds = time.perf_counter() - began
    latencies = sorted(each for one in open_ones for each in one.latencies)
    if set(statuses) != {202}:
        return f"answers: {statuses}"
    return f"{len(latencies) / seconds} {latencies[int(len(latencies) * 0.99)] * 1000}"


if __name__ == "__main__":
    print(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
