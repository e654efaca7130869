"""Messages as real e-mails in a mailbox on disk: a maildir folder or an mbox file (RFC 4155, quoted as `mboxrd`).

A message that is delivered twice is there once: in a maildir its file name is made of its key, in an mbox its key is looked
for first. What cannot be written now may work later, so only a useless recipient is a permanent failure.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Iterable
from datetime import UTC, datetime

from scq.channels.mail import KEY_HEADER, POLICY, compose, message_id
from scq.channels.place import Place
from scq.config_channels import ChannelSetting
from scq.errors import ChannelError, ConfigError
from scq.files import make_folder, sync_folder, write_atomic
from scq.ports import Message, Receipt

FORMATS = ("maildir", "mbox")
_FROM_LINE = re.compile(rb"(?m)^(>*From )")


class FileChannel:
    """Delivers into the mailbox at `path` (absolute). Folders are made private to their owner, and so are files."""

    def __init__(self, setting: ChannelSetting, place: Place) -> None:
        if setting.format not in FORMATS:
            raise ConfigError(
                f"channels.{setting.name}.format: {setting.format!r} is not a mailbox format",
                f"Use one of: {', '.join(FORMATS)}.",
            )
        self.name = setting.name
        self.path = setting.path
        self.format = setting.format

    def usable(self) -> str:
        """Always: what is missing is made when a message is written."""
        return ""

    def send(self, message: Message) -> Receipt:
        """Deliver once; the receipt is the file. Raises ChannelError."""
        content = compose(message).as_bytes(policy=POLICY)
        try:
            where = self._to_maildir(message, content) if self.format == "maildir" else self._to_mbox(message, content)
            return Receipt(where, message_id=message_id(message))
        except OSError as error:
            where = error.filename or self.path
            raise ChannelError(
                f"{where}: cannot be written ({error.strerror})", "Check the path of the channel, its rights and the disk."
            ) from error

    def _to_maildir(self, message: Message, content: bytes) -> str:
        make_folder(self.path, 0o700)
        for folder in ("tmp", "new", "cur"):
            make_folder(os.path.join(self.path, folder), 0o700)
        name = f"{message.key}.scq"
        read = [entry for entry in os.listdir(os.path.join(self.path, "cur")) if entry.partition(":")[0] == name]
        if read:
            return os.path.join(self.path, "cur", read[0])
        delivered = os.path.join(self.path, "new", name)
        written = os.path.join(self.path, "tmp", name)
        write_atomic(written, content)
        os.replace(written, delivered)
        sync_folder(os.path.dirname(delivered))
        return delivered

    def _to_mbox(self, message: Message, content: bytes) -> str:
        make_folder(os.path.dirname(self.path), 0o700)
        fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise ChannelError(f"{self.path}: is not a regular file", "Choose another path for the channel.")
            _lock(fd, self.path)
            if not _has(file, message.key):
                _append(fd, _envelope(message) + _FROM_LINE.sub(rb">\1", content) + b"\n")
        return self.path


def _lock(fd: int, path: str) -> None:
    """Take the lock that mail programs take; it ends when the file is closed."""
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        raise ChannelError(f"{path}: is locked by another program", "It is tried again later.") from error


def _has(mailbox: Iterable[bytes], key: str) -> bool:
    """True when a message with this key is there. Only headers count: what a text says proves nothing."""
    wanted = f"{KEY_HEADER}: {key}".encode("ascii")
    in_headers = False
    for line in mailbox:
        if line.startswith(b"From "):
            in_headers = True
        elif not line.strip():
            in_headers = False
        elif in_headers and line.rstrip() == wanted:
            return True
    return False


def _envelope(message: Message) -> bytes:
    at = datetime.fromisoformat(message.at_iso).astimezone(UTC)
    return f"From scq@localhost {at.ctime()}\n".encode("ascii")


def _append(fd: int, content: bytes) -> None:
    """Write at the end, whole or not at all. A line that was left unfinished there is ended first."""
    size = os.fstat(fd).st_size
    if size and os.pread(fd, 2, max(0, size - 2)) != b"\n\n":
        content = b"\n\n" + content
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.fsync(fd)
    except OSError:
        os.ftruncate(fd, size)
        raise
