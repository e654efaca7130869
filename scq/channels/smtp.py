"""Mail through a server of one's own or of a provider (RFC 5321), with STARTTLS or TLS and never without by accident.

The conversation is led step by step, because what a broken connection means depends on the step: before the message was handed
over nothing has happened, after it nobody knows.
"""

from __future__ import annotations

import base64
import contextlib
import re
import smtplib
import socket
import ssl
import time
from collections.abc import Iterator, Sequence

from scq import clean
from scq.channels.mail import POLICY, compose, mailbox, message_id
from scq.channels.place import Place
from scq.config_channels import ChannelSetting
from scq.errors import ChannelError, ConfigError, FailureKind
from scq.ports import Message, Receipt

TIMEOUT_S = 30.0
QUIT_S = 5.0
"""How long the answer to a goodbye is waited for: the message has been taken or not by then."""
PORTS = {"starttls": 587, "ssl": 465, "none": 25}
SIGN_IN_CODES = frozenset({530, 534, 535})
PIECE = 64 << 10
"""Bytes of a message that are sent at once."""
REPLY_LINES = 100
"""Lines of one answer. A server that sends more is not listened to any longer."""
ADVICE: dict[FailureKind, str] = {
    "transient": "It is tried again later.",
    "permanent": "The server will not take this message later either.",
    "auth": "Check user and password of the channel; many providers want a password made for this program only.",
    "config": "Check host, port and tls of the channel; `ca_file` names certificates of a private authority.",
    "ambiguous": "It may have arrived.",
}


class SmtpChannel:
    """Hands each message to the mail server at `host`. One connection per message."""

    def __init__(self, setting: ChannelSetting, place: Place) -> None:
        if setting.tls not in PORTS or (setting.tls == "none" and not setting.insecure):
            raise ConfigError(
                f"channels.{setting.name}.tls: {setting.tls!r} is not possible",
                "Use starttls or ssl; none only beside `insecure: true`.",
            )
        self.name = setting.name
        self.setting = setting
        self.env = place.env

    def usable(self) -> str:
        """Not usable when the password cannot be read or the sender or the certificates are wrong. Nothing is connected."""
        try:
            self._password()
            if self.setting.sender:
                mailbox(self.setting.sender)
            if self.setting.ca_file:
                _context(self.setting)
        except ChannelError as error:
            return str(error)
        return ""

    def send(self, message: Message) -> Receipt:
        """Hand the message over; the receipt is the server's answer. Raises ChannelError.

        Who is refused for good is left out and the others get the message. If that is the recipient, it raises all the same.
        """
        mail = compose(message, self.setting.sender)
        content = re.sub(rb"\r\n|\r|\n", b"\r\n", mail.as_bytes(policy=POLICY))
        sender: str = mail["From"].addresses[0].addr_spec
        talk = _Conversation(self.setting, self._password())
        with talk.explained(), talk.opened(sender) as server:
            refused = talk.envelope(server, sender, (message.recipient, *message.cc), len(content))
            answer = talk.hand_over(server, content)
        if message.recipient in refused:
            raise refused[message.recipient]
        missed = f"; refused: {', '.join(refused)}" if refused else ""
        return Receipt(f"{answer}{missed}", message_id=message_id(message))

    def _password(self) -> str:
        if not self.setting.user:
            return ""
        try:
            password = self.setting.secret("password").read(self.env)
        except ConfigError as error:
            raise ChannelError(str(error), error.advice, kind="config") from error
        if not password:
            raise ChannelError(f"channels.{self.name}: user is set and password is not", "Set both or none.", kind="config")
        if not (password.isascii() and self.setting.user.isascii()):
            raise ChannelError(f"channels.{self.name}: user or password is not ASCII", "SMTP knows ASCII only.", kind="config")
        return password


class _Conversation:
    """What is said to the server about one message, and what its answers mean."""

    def __init__(self, setting: ChannelSetting, password: str) -> None:
        self.setting = setting
        self.port = setting.port or PORTS[setting.tls]
        self._password = password

    @contextlib.contextmanager
    def opened(self, sender: str) -> Iterator[smtplib.SMTP]:
        """A connection, protected as configured and signed in. It names itself after the sender and not after this machine."""
        setting, own_name = self.setting, sender.rpartition("@")[2]
        server = (
            _TlsSession(setting.host, self.port, own_name, timeout=TIMEOUT_S, context=_context(setting))
            if setting.tls == "ssl"
            else _Session(setting.host, self.port, own_name, timeout=TIMEOUT_S)
        )
        try:
            if setting.tls == "starttls":
                server.starttls(context=_context(setting))
            server.ehlo_or_helo_if_needed()
            if setting.user:
                self._sign_in(server)
            yield server
        finally:
            _leave(server)

    def _sign_in(self, server: smtplib.SMTP) -> None:
        try:
            server.login(self.setting.user, self._password)
        except (smtplib.SMTPResponseException, smtplib.SMTPNotSupportedError, smtplib.SMTPServerDisconnected):
            raise
        except (smtplib.SMTPException, ValueError):
            # Nothing it offers is known, or what it asks cannot be read.
            raise self._problem("its way of signing in is not understood", "config") from None

    def envelope(self, server: smtplib.SMTP, sender: str, recipients: Sequence[str], size: int) -> dict[str, ChannelError]:
        """Say from whom and for whom it is; who is refused for good. Raises ChannelError when nobody is left."""
        code, answer = server.mail(sender, [f"size={size}"] if server.has_extn("size") else [])
        if not _is_yes(code):
            raise self._refusal(f"does not take mail from {sender}", code, answer)
        refused: dict[str, ChannelError] = {}
        for address in recipients:
            code, answer = server.rcpt(address)
            if _is_yes(code):
                continue
            error = self._refusal(f"does not take mail for {address}", code, answer)
            if error.kind != "permanent":
                # Nobody has got it yet, so that a later attempt repeats nothing.
                raise error
            refused[address] = error
        if all(address in refused for address in recipients):
            raise refused[recipients[0]]
        return refused

    def hand_over(self, server: smtplib.SMTP, content: bytes) -> str:
        """Send headers and texts (lines end in CRLF); what the server said when it took them. Raises ChannelError."""
        code, answer = server.docmd("DATA")
        if code != 354:
            raise self._refusal("does not take the message", code, answer)
        content = re.sub(rb"(?m)^\.", b"..", content) + b".\r\n"
        try:
            # Piece by piece, because the time allowed is that of one call.
            for start in range(0, len(content), PIECE):
                server.send(content[start : start + PIECE])
            code, answer = server.getreply()
        except (smtplib.SMTPException, OSError) as error:
            raise self._problem("the connection broke before the message was acknowledged", "ambiguous") from error
        if not (_is_yes(code) or 400 <= code < 600):
            raise self._problem("its answer to the message is not understood", "ambiguous")
        if not _is_yes(code):
            raise self._refusal("does not take the message", code, answer)
        return self._shown(answer)

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Whatever goes wrong before a message is handed over, as a ChannelError.

        Answers of the server are not chained: they may repeat what was sent to it.
        """
        try:
            yield
        except smtplib.SMTPAuthenticationError as error:
            raise self._refusal("refuses the sign-in", error.smtp_code, error.smtp_error, final="auth") from None
        except smtplib.SMTPResponseException as error:
            raise self._refusal("refuses to talk", error.smtp_code, error.smtp_error, final="config") from None
        except smtplib.SMTPNotSupportedError as error:
            what = "sign-in" if "AUTH" in str(error) else "STARTTLS"
            raise self._problem(f"offers no {what}", "config") from None
        except ssl.SSLCertVerificationError as error:
            raise self._problem(f"its certificate is not trusted ({clean.line(error.verify_message)})", "config") from error
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError, smtplib.SMTPServerDisconnected) as error:
            raise self._problem("the connection broke", "transient") from error
        except ssl.SSLError as error:
            raise self._problem(f"TLS cannot be agreed on ({clean.line(error.reason or '')})", "config") from error
        except UnicodeError as error:
            raise self._problem("is not the name of a server", "config") from error
        except OSError as error:
            raise self._problem(f"cannot be reached ({clean.line(error.strerror or str(error))})", "transient") from error

    def _refusal(self, what: str, code: int, answer: bytes | str, final: FailureKind = "permanent") -> ChannelError:
        kind: FailureKind = "auth" if code in SIGN_IN_CODES else final if 500 <= code < 600 else "transient"
        return self._problem(f"{what} ({code} {self._shown(answer)})", kind)

    def _problem(self, what: str, kind: FailureKind) -> ChannelError:
        return ChannelError(f"{clean.line(self.setting.host)}:{self.port}: {what}", ADVICE[kind], kind=kind)

    def _shown(self, answer: bytes | str) -> str:
        """An answer as one clean line, without the password in any form in which it was sent."""
        text = answer if isinstance(answer, str) else answer.decode("utf-8", "replace")
        if self._password:
            for sent in (self._password, f"\0{self.setting.user}\0{self._password}"):
                text = text.replace(base64.b64encode(sent.encode("ascii")).decode("ascii"), "…").replace(sent, "…")
        return clean.line(text.replace("\n", " "))


def _context(setting: ChannelSetting) -> ssl.SSLContext:
    """Checks certificates and host names, always. Raises ChannelError (config)."""
    try:
        return ssl.create_default_context(cafile=setting.ca_file or None)
    except OSError as error:
        raise ChannelError(
            f"{setting.ca_file}: holds no certificates that can be read", "Name a PEM file.", kind="config"
        ) from error


class _Answers:
    """The file that smtplib reads answers from. One with too many lines, or that is not whole in time, is an OSError."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._rest = bytearray()
        self._lines = 0
        self._until = 0.0

    def readline(self, size: int) -> bytes:
        """The next line, cut after `size` bytes. The timeout of the connection holds for a whole answer."""
        allowed = self._connection.gettimeout() or TIMEOUT_S
        if not self._lines:
            self._until = time.monotonic() + allowed
        while b"\n" not in self._rest and len(self._rest) < size and self._more():
            pass
        self._connection.settimeout(allowed)
        end = self._rest.find(b"\n", 0, size) + 1 or size
        line = bytes(self._rest[:end])
        del self._rest[:end]
        self._lines = self._lines + 1 if line[3:4] == b"-" else 0
        if self._lines > REPLY_LINES:
            raise OSError("an answer without end")
        return line

    def _more(self) -> bool:
        """Read on; False at the end of the connection."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("no whole answer in time")
        self._connection.settimeout(left)
        piece = self._connection.recv(PIECE)
        self._rest += piece
        return bool(piece)

    def close(self) -> None:
        """Nothing: the connection is closed by its owner."""


class _Session(smtplib.SMTP):
    def getreply(self) -> tuple[int, bytes]:
        """As of smtplib, which makes the file itself where there is none."""
        if self.file is None and self.sock is not None:
            self.file = _Answers(self.sock)
        return super().getreply()


class _TlsSession(_Session, smtplib.SMTP_SSL):
    pass


def _is_yes(code: int) -> bool:
    return 200 <= code < 300


def _leave(server: smtplib.SMTP) -> None:
    """Say goodbye. What the server makes of that changes nothing any more."""
    with contextlib.suppress(smtplib.SMTPException, OSError):
        if server.sock is not None:
            server.sock.settimeout(QUIT_S)
        server.quit()
    server.close()
