"""Messages in the echo area of a running Emacs, through its server."""

from __future__ import annotations

from scq import clean
from scq.channels import programs
from scq.channels.place import Place
from scq.config_channels import ChannelSetting
from scq.errors import ChannelError
from scq.ports import Message, Receipt

TIMEOUT_S = 10.0
ASK_S = 3.0
LIMIT = 2000
"""Characters that are shown."""


class EmacsChannel:
    """Shows title and text, and keeps them in the buffer *Messages*."""

    def __init__(self, setting: ChannelSetting, place: Place) -> None:
        self.name = setting.name
        self.env = programs.environment(place.env, "XDG_RUNTIME_DIR", "TMPDIR", "EMACS_SOCKET_NAME", "EMACS_SERVER_FILE") | {
            "LC_ALL": "C.UTF-8"
        }

    def usable(self) -> str:
        """Not usable without emacsclient, or when no Emacs of this account answers."""
        client = programs.find("emacsclient", self.env)
        if not client:
            return "emacsclient is not installed"
        try:
            ended = programs.run((client, "--eval", "t"), self.env, timeout_s=ASK_S)
        except ChannelError as error:
            return str(error)
        return "no Emacs with a server answers (M-x server-start)" if ended.status else ""

    def send(self, message: Message) -> Receipt:
        """Show the message. Raises ChannelError."""
        if reason := self.usable():
            raise ChannelError(reason, "Start the server of Emacs, or use another channel.")
        shown = f"{clean.line(message.subject)}\n{clean.block(message.text).strip()}"[:LIMIT]
        client = programs.find("emacsclient", self.env)
        ended = programs.run((client, "--eval", f'(message "%s" {lisp_string(shown)})'), self.env, timeout_s=TIMEOUT_S)
        if ended.status:
            raise ChannelError(f"emacsclient: {ended.said}", "Check the running Emacs.")
        return Receipt("shown in Emacs")


def lisp_string(text: str) -> str:
    """Text as a string of Emacs Lisp: nothing in it can end the string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
