"""Messages on the standard output of the call: for trying things out, and for a cron that mails what is printed."""

from __future__ import annotations

import sys
from typing import TextIO

from scq import clean
from scq.channels.place import Place
from scq.config_channels import ChannelSetting
from scq.errors import ChannelError
from scq.ports import Message, Receipt

ADVICE = "Check where the output of the call goes."


class StdoutChannel:
    """Writes one block per message: subject, empty line, text, empty line. On stderr where stdout is kept for JSON."""

    def __init__(self, setting: ChannelSetting, place: Place) -> None:
        self.name = setting.name
        self.on_stderr = place.json

    def usable(self) -> str:
        """Not usable where a process was started without a standard output."""
        return "" if self._stream is not None and not self._stream.closed else "there is no standard output"

    def send(self, message: Message) -> Receipt:
        """Write and flush. Raises ChannelError (transient) when that fails."""
        if reason := self.usable():
            raise ChannelError(reason, ADVICE)
        block = f"{clean.line(message.subject)}\n\n{clean.block(message.text).strip()}\n\n"
        encoding = self._stream.encoding or "utf-8"
        try:
            self._stream.write(block.encode(encoding, "replace").decode(encoding))
            self._stream.flush()
        except OSError as error:
            raise ChannelError(f"standard output: cannot be written ({error.strerror})", ADVICE) from error
        return Receipt("standard output")

    @property
    def _stream(self) -> TextIO:
        return sys.stderr if self.on_stderr else sys.stdout
