"""Messages spoken aloud by the first speech program that is installed."""

from __future__ import annotations

from scq import clean
from scq.channels import programs
from scq.channels.place import Place
from scq.config_channels import ChannelSetting
from scq.errors import ChannelError
from scq.ports import Message, Receipt

TIMEOUT_S = 30.0
SPEAKERS: tuple[tuple[str, ...], ...] = (("spd-say", "--wait"), ("espeak-ng",), ("espeak",), ("say",))
"""Programs that speak their argument, the best one first. spd-say would end before anything is heard unless it waits."""
BEGINNINGS = {"error": "Error. ", "critical": "Critical alert! "}
"""What is said first, by level."""
LIMIT = 300
"""Characters that are spoken; much more could not be said in time."""


class AudioChannel:
    """Says title and text; returns when everything has been said."""

    def __init__(self, setting: ChannelSetting, place: Place) -> None:
        self.name = setting.name
        self.env = place.env

    def usable(self) -> str:
        """Not usable where no speech program is installed."""
        return "" if self._speaker() else f"none of {', '.join(name for name, *_ in SPEAKERS)} is installed"

    def send(self, message: Message) -> Receipt:
        """Speak. Raises ChannelError."""
        speaker = self._speaker()
        if not speaker:
            raise ChannelError(self.usable(), "Install one of them, or use another channel.")
        env = programs.environment(self.env, "XDG_RUNTIME_DIR", "PULSE_SERVER", "DBUS_SESSION_BUS_ADDRESS") | {
            "LC_ALL": "C.UTF-8"
        }
        ended = programs.run((*speaker, "--", spoken(message)), env, timeout_s=TIMEOUT_S)
        # Some end with 0 although there was nothing to play the sound on.
        if ended.status or ended.last_line.lower().startswith("error"):
            raise ChannelError(f"{speaker[0]}: {ended.said}", "Check that this machine can play sound.")
        return Receipt(f"spoken by {speaker[0]}")

    def _speaker(self) -> tuple[str, ...]:
        found = ((programs.find(name, self.env), *options) for name, *options in SPEAKERS)
        return next((command for command in found if command[0]), ())


def spoken(message: Message) -> str:
    """The words to be said: level, title and the beginning of the text, in one line."""
    words = " ".join(clean.block(message.text).split())
    return BEGINNINGS.get(message.level, "") + clean.line(f"{message.subject}. {words}", LIMIT)
