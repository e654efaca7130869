"""Waiting on loopback for the browser that comes back from a consent page (RFC 8252, section 7.3)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from types import TracebackType
from typing import Any

from scq.errors import BusyError, UsageError

TIMEOUT = 300.0
"""Seconds a person has."""
SLOWEST = 10.0
"""Seconds a browser has for one request."""
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>scq</title></head>
<body><p>{}</p></body></html>
"""


class Listener:
    """`with Listener(port) as listener:` is reachable at `listener.address`; only from this machine."""

    def __init__(self, port: int = 0) -> None:
        self._answer = ""
        self._is_answer: Callable[[str], bool] = lambda address: False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            timeout = SLOWEST

            def do_GET(self) -> None:
                address = f"{outer.address}{self.path.lstrip('/')}"
                if self.path.partition("?")[0] != "/":
                    self._say(404, "There is nothing here.")
                elif not outer._is_answer(address):
                    self._say(400, "This does not answer the sign-in that scq waits for.")
                else:
                    outer._answer = address
                    self._say(200, "scq has the answer. You can close this page.")

            def _say(self, status: int, text: str) -> None:
                content = PAGE.format(text).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: the address holds the code."""

        try:
            self._server = _Quiet(("127.0.0.1", port), Handler)
        except OSError as error:
            raise UsageError(f"port {port} cannot be used ({error.strerror})", "Name another one with --port.") from error
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/"

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.server_close()

    def wait(self, is_answer: Callable[[str], bool], timeout: float = TIMEOUT) -> str:
        """The address the browser came with. What does not answer is turned away. Raises BusyError after `timeout` seconds."""
        self._is_answer = is_answer
        deadline = time.monotonic() + timeout
        while not self._answer:
            self._server.timeout = deadline - time.monotonic()
            if self._server.timeout <= 0:
                raise BusyError("nobody answered the consent page in time", "Run the same command again, or with --no-browser.")
            self._server.handle_request()
        return self._answer


class _Quiet(TCPServer):
    """One request after the other; a browser that goes away in the middle says nothing."""

    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: object) -> None:
        """Whoever broke off gets nothing; the wait goes on."""
        if not isinstance(sys.exception(), OSError):
            self.shutdown_request(request)
            raise
