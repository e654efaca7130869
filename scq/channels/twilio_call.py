"""Telephone calls through Twilio: the message is read out.

`repeat` is how often the text is said in one call, twice at least: whoever picks up misses the beginning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from scq.channels.services import LIMITS, ServiceChannel
from scq.clean import line
from scq.ports import Message

if TYPE_CHECKING:
    from apprise import NotifyBase

PAUSE = '<Pause length="2"/>'
LONGEST = 400
"""Characters that are said: about half a minute."""


class TwilioCallChannel(ServiceChannel):
    """Calls every number in `to`. Success means that Twilio has taken the order to call."""

    def texts(self, message: Message, service: NotifyBase) -> tuple[str, str]:
        """No title, and the TwiML document of the call."""
        return "", twiml(f"{message.subject}. {message.text}", max(2, self.setting.repeat + 1))


def twiml(text: str, times: int) -> str:
    """What Twilio is to say, as one document of at most 4,000 characters: the text, then again after each pause."""
    words = line(" ".join(text.split()), LONGEST)
    said = [f"<Say>{_spoken(words)}</Say>"]
    while len(said) < times and len("".join((*said, said[0]))) + 40 * len(said) < LIMITS["twilio-call"]:
        said.append(said[0])
    return f"<Response>{PAUSE.join(said)}</Response>"


def _spoken(text: str) -> str:
    """Escaped for XML. `�` is read out by nobody."""
    return escape(text.replace("�", " "))
