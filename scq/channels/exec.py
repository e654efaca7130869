"""Messages handed to a program of the user: one JSON document on its standard input (scq.channels.document).

The exit status says what became of the message, in the words of sysexits(3).
"""

from __future__ import annotations

import json
import os
import stat

from scq import clean
from scq.channels import programs
from scq.channels.document import document
from scq.channels.place import Place
from scq.config_channels import ChannelSetting
from scq.errors import ChannelError, FailureKind
from scq.ports import Message, Receipt

TIMEOUT_S = 60.0
KINDS: dict[int, FailureKind] = {64: "permanent", 65: "permanent", 75: "transient", 77: "auth", 78: "config"}
"""By exit status: usage, data, try later, no permission, configuration. 0 is success, every other one may work later."""


class ExecChannel:
    """Runs `command` (an argument vector, never a shell) for each message, in `/` and with PATH, HOME and SCQ_… variables."""

    def __init__(self, setting: ChannelSetting, place: Place) -> None:
        self.name = setting.name
        self.command = setting.command
        self.env = place.env

    def usable(self) -> str:
        """Not usable when the program is missing, cannot be run, or could be changed by other accounts."""
        program = self.command[0] if self.command else ""
        try:
            found = os.stat(program)
        except OSError as error:
            return f"{program or 'command'}: cannot be run ({error.strerror})"
        if not stat.S_ISREG(found.st_mode) or not os.access(program, os.X_OK):
            return f"{program}: is not an executable file"
        if found.st_mode & stat.S_IWOTH or found.st_uid not in (0, os.geteuid()):
            return f"{program}: other accounts could change it"
        return ""

    def send(self, message: Message) -> Receipt:
        """Run the program; the receipt is the first line it writes. Raises ChannelError."""
        if reason := self.usable():
            raise ChannelError(reason, "Check the command of the channel.", kind="config")
        given = json.dumps(document(message)).encode("ascii")
        ended = programs.run(self.command, self._environment(message), timeout_s=TIMEOUT_S, stdin=given)
        if ended.status:
            kind = KINDS.get(ended.status, "transient")
            raise ChannelError(f"{self.command[0]}: {ended.said}", "The program refused the message.", kind=kind)
        return Receipt(ended.first_line or f"taken by {os.path.basename(self.command[0])}")

    def _environment(self, message: Message) -> dict[str, str]:
        words = {
            "SCQ_EVENT": message.event,
            "SCQ_KEY": message.key,
            "SCQ_LEVEL": message.level,
            "SCQ_TITLE": message.subject,
            "SCQ_RECIPIENT": message.recipient,
        }
        return programs.environment(self.env) | {name: clean.line(word) for name, word in words.items()}
