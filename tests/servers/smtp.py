"""Real mail servers on loopback: one that behaves (aiosmtpd), and one that answers whatever a test wants."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from trustme import CA

USER, PASSWORD = "bot", "correct horse"


class MailServer:
    """What arrived at a mail server. `port` is where it listens, on 127.0.0.1 and for the name localhost."""

    def __init__(self) -> None:
        self.port = 0
        self.envelopes: list[Envelope] = []
        self.names: list[str] = []
        """What clients called themselves."""

    @property
    def contents(self) -> list[bytes]:
        return [envelope.original_content or b"" for envelope in self.envelopes]

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.envelopes.append(envelope)
        self.names.append(str(session.host_name))
        return "250 2.0.0 taken as number 1"


def tls_context(ca: CA, host: str = "localhost") -> ssl.SSLContext:
    """Of a server that has a certificate for `host`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(host).configure_cert(context)
    return context


def _authenticator(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    # A refusal that counts as handled would leave the client without an answer.
    return AuthResult(success=True) if right else AuthResult(success=False, handled=False)


@contextmanager
def mail_server(
    tls: Literal["starttls", "ssl", "none"], context: ssl.SSLContext | None = None, *, auth: bool = False
) -> Iterator[MailServer]:
    """A server that takes every message; USER may sign in with PASSWORD. With `auth` and STARTTLS only after a sign-in."""
    mails = MailServer()
    controller = Controller(
        mails,
        hostname="127.0.0.1",
        port=_free_port(),
        ssl_context=context if tls == "ssl" else None,
        tls_context=context if tls == "starttls" else None,
        require_starttls=tls == "starttls",
        auth_required=auth and tls == "starttls",
        auth_require_tls=tls == "starttls",
        authenticator=_authenticator,
    )
    controller.start()
    try:
        mails.port = controller.port
        yield mails
    finally:
        controller.stop()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@dataclass(frozen=True)
class Script:
    """What a server says. Answers are found by the whole command, else by its first word in capitals.

    `.` stands for a message. An empty answer closes the connection. `cut`: it is closed after so many bytes of a message.
    """

    answers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None

    def answer(self, line: str) -> str:
        usual = {"": "220 ready", "EHLO": "250-here\r\n250 8BITMIME", "DATA": "354 go on", "QUIT": "221 bye"}
        word = line.partition(" ")[0]
        return self.answers.get(line, self.answers.get(word, usual.get(word, "250 fine")))


class ScriptedServer:
    """`with ScriptedServer(script) as server:` listens on `server.port`; keeps commands (first word in capitals) and messages."""

    def __init__(self, script: Script) -> None:
        self.commands: list[str] = []
        self.messages: list[bytes] = []
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            disable_nagle_algorithm = True

            def handle(self) -> None:
                outer._talk(self, script)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]

    def _talk(self, client: socketserver.StreamRequestHandler, script: Script) -> None:
        try:
            line = ""
            while answer := script.answer(line):
                client.wfile.write(answer.encode("utf-8") + b"\r\n")
                if line == "QUIT":
                    return
                if line == "DATA" and answer.startswith("354"):
                    self.messages.append(self._message(client, script.cut))
                    if script.cut is not None:
                        return
                    line = "."
                    continue
                received = client.rfile.readline(4096)
                if not received:
                    return
                word, blank, rest = received.decode("utf-8", "replace").rstrip("\r\n").partition(" ")
                line = word.upper() + blank + rest
                self.commands.append(line)
        except ConnectionError:
            self.commands.append("(gone)")

    def _message(self, client: socketserver.StreamRequestHandler, cut: int | None) -> bytes:
        if cut is not None:
            return client.rfile.read(cut)
        lines: list[bytes] = []
        while (line := client.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line)
        return b"".join(lines)

    def __enter__(self) -> ScriptedServer:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
