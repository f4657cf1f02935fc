"""A small threaded HTTP/1.1 server for werkzeug applications: keep-alive, connections that can be dropped.

werkzeug's own development server closes every connection and waits after every answer; the console keeps its
connections open and the stand-ins have to be able to drop one without an answer.
"""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from werkzeug.wrappers import Request, Response


class ConnectionDropped(Exception):
    """Raised by an application that wants the connection closed without an answer."""


class AnswerCut(Exception):
    """Raised by an application whose answer breaks off in the middle; `response` is the whole one."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "sandbox"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024
    timeout = 120
    server: Server

    def handle_one_request(self) -> None:
        try:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or len(self.raw_requestline) > 65536 or not self.parse_request():
                self.close_connection = True
                return
            body = self._read_body()
            if body is None:
                return
            self._answer(body)
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _read_body(self) -> bytes | None:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            body = b""
            while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit():
            self.close_connection = True
            return None
        return self.rfile.read(int(length))

    def _answer(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        host, port = self.server.server_address[:2]
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(parts.path, "latin-1"),
            "QUERY_STRING": parts.query,
            "REQUEST_URI": self.path,
            "RAW_URI": self.path,
            "REMOTE_ADDR": self.client_address[0],
            "SERVER_NAME": str(host),
            "SERVER_PORT": str(port),
            "SERVER_PROTOCOL": self.request_version,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in self.headers.items():
            key = "HTTP_" + name.upper().replace("-", "_")
            if key not in ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"):
                environ[key] = f"{environ[key]},{value}" if key in environ else value
        is_cut = False
        try:
            response = self.server.application(Request(environ))
        except AnswerCut as cut:
            is_cut, response = True, cut.response
        except ConnectionDropped:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        data = response.get_data()
        self.send_response_only(response.status_code, response.status.partition(" ")[2])
        has_body = response.status_code not in (204, 304) and response.status_code >= 200
        for name, value in response.headers.items():
            if name.lower() not in ("content-length", "transfer-encoding"):
                self.send_header(name, value)
            if name.lower() == "connection" and value.lower() == "close":
                self.close_connection = True
        if "Date" not in response.headers:
            self.send_header("Date", self.date_time_string())
        if has_body:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if has_body and self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if is_cut else data)
        self.wfile.flush()
        if is_cut:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:
        return


class Server(ThreadingHTTPServer):
    """Serves one application on threads of its own. Port 0 is a free port; OSError if the port is busy."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, host: str, port: int, application: Callable[[Request], Response]) -> None:
        self.application = application
        super().__init__((host, port), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True, name=f"http-{port}")

    @property
    def url(self) -> str:
        """The base address, without a slash at its end."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def start(self) -> None:
        """Begins to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Takes no further calls; those in flight are left to their threads."""
        if self._thread.is_alive():
            self.shutdown()
        self.server_close()

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        return
