"""Any HTTPS service on loopback: a CONNECT proxy that leads every host name to one HttpServer with a certificate of that name."""

from __future__ import annotations

import select
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import pytest
import trustme

from tests.servers.http import Answer, HttpServer, Request


class Internet:
    """`with Internet(answer, tmp_path, monkeypatch) as net:` is where https goes until the block ends.

    `net.requests` holds what was asked; the host is in each request's `host` header. Set `net.answer` to change the answers.
    """

    def __init__(self, answer: Callable[[Request], Answer], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ca = trustme.CA()
        self._contexts: dict[str, ssl.SSLContext] = {}
        context = self._context("localhost")
        context.sni_callback = self._by_name
        self.server = HttpServer(answer, tls=context)
        self._proxy = _proxy(self.server.port)
        bundle = folder / "internet-ca.pem"
        self._ca.cert_pem.write_to_path(str(bundle))
        address = f"http://127.0.0.1:{self._proxy.server_address[1]}"
        for name in ("NO_PROXY", "no_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("https_proxy", address)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
        monkeypatch.setenv("SSL_CERT_FILE", str(bundle))

    @property
    def requests(self) -> list[Request]:
        return self.server.requests

    def _context(self, name: str) -> ssl.SSLContext:
        if name not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._ca.issue_cert(name).configure_cert(context)
            self._contexts[name] = context
        return self._contexts[name]

    def _by_name(self, connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._context(name or "localhost")

    def __enter__(self) -> Internet:
        self.server.__enter__()
        self._thread = threading.Thread(target=self._proxy.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._proxy.shutdown()
        self._thread.join()
        self._proxy.server_close()
        self.server.__exit__(kind, error, trace)


def _proxy(port: int) -> socketserver.ThreadingTCPServer:
    class Handler(socketserver.StreamRequestHandler):
        rbufsize = 0
        disable_nagle_algorithm = True

        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with socket.create_connection(("127.0.0.1", port)) as upstream:
                upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
                _relay(self.connection, upstream)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    return server


def _relay(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until one side ends."""
    ways = {one: other, other: one}
    while True:
        for source in select.select(list(ways), [], [])[0]:
            try:
                data = source.recv(1 << 16)
                if not data:
                    return
                ways[source].sendall(data)
            except ConnectionError:
                return
