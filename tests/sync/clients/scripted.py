"""A loopback server that answers what a test wrote for it, down to the bytes and the pauses."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def reply(status: int = 200, body: object = None, headers: dict[str, str] | None = None) -> bytes:
    """Return the bytes of an answer; `body` is text, bytes or JSON."""
    content_type = "application/json"
    if isinstance(body, bytes):
        raw = body
    elif isinstance(body, str):
        raw, content_type = body.encode(), "text/html"
    else:
        raw = b"" if body is None else json.dumps(body).encode()
    head = {"Content-Type": content_type, "Content-Length": str(len(raw)), **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode() + raw


Step = bytes | Callable[[socket.socket], None]


class ScriptedServer:
    """Answers request after request with the next step; a callable step gets the bare socket."""

    def __init__(self, *steps: Step) -> None:
        self.seen: list[Seen] = []
        self.connections = 0
        self._steps = list(steps)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._stop = threading.Event()
        self._open: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/api/v1"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> ScriptedServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        # Closing alone does not wake the thread that waits in accept.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._open:
            sock.close()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        stream = sock.makefile("rb")
        try:
            while True:
                line = stream.readline().decode("latin-1")
                if line.count(" ") < 2:
                    return  # closed, or no HTTP at all
                method, path, _ = line.split(" ", 2)
                headers: dict[str, str] = {}
                while (text := stream.readline().decode("latin-1").strip()) != "":
                    name, _, value = text.partition(":")
                    headers[name.strip()] = value.strip()
                body = stream.read(int(headers.get("Content-Length", "0")))
                self.seen.append(Seen(method, path, headers, body))
                step = self._steps.pop(0) if self._steps else reply(500, {"message": "the script is over"})
                if callable(step):
                    step(sock)
                    return
                sock.sendall(step)
        except OSError:
            return
        finally:
            stream.close()
            sock.close()
