"""A message as an e-mail: headers and alternatives that every mail channel shares (RFC 5322, RFC 3834)."""

from __future__ import annotations

import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy

from scq import clean
from scq.errors import ChannelError
from scq.ports import Message

POLICY = EmailPolicy(cte_type="7bit")
"""ASCII on the wire, so that no server and no mailbox format can spoil a message."""
KEY_HEADER = "X-SCQ-Key"
"""By this header a second delivery of the same message is recognised."""

_NAMED = re.compile(r"([^<>]*)<([^<>]*)>")


def compose(message: Message, sender: str = "") -> EmailMessage:
    """The e-mail of a message: text, and html as its alternative if there is one.

    `sender` (an address, or `Name <address>`) stands in place of the sender of the message. Raises ChannelError: permanent when
    a recipient is not exactly one plain address, config when `sender` is not one.
    """
    for address in (message.recipient, *message.cc):
        if not clean.is_address(address):
            raise ChannelError(
                f"{clean.line(address)!r} is not one plain e-mail address", "Nobody can be written to there.", kind="permanent"
            )
    mail = EmailMessage(policy=POLICY)
    mail["From"] = mailbox(sender) if sender else Address(addr_spec=_sender(message))
    mail["To"] = Address(addr_spec=message.recipient)
    if message.cc:
        mail["Cc"] = [Address(addr_spec=address) for address in message.cc]
    mail["Subject"] = _header(message.subject)
    mail["Date"] = datetime.fromisoformat(message.at_iso)
    mail["Message-ID"] = message_id(message)
    if message.in_reply_to:
        mail["In-Reply-To"] = mail["References"] = _header(message.in_reply_to)
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail["X-SCQ-Event"] = _header(message.event)
    mail[KEY_HEADER] = message.key
    if message.run_id:
        mail["X-SCQ-Run"] = _header(message.run_id)
    mail.set_content(_storable(message.text))
    if message.html is not None:
        mail.add_alternative(_storable(message.html), subtype="html")
    for attachment in message.attachments:
        kind, _, subtype = attachment.type.partition("/")
        mail.add_attachment(attachment.content, maintype=kind, subtype=subtype, filename=_header(attachment.name))
    return mail


def mailbox(text: str) -> Address:
    """The address in `a@b.org` or `Name <a@b.org>`. Raises ChannelError (config)."""
    found = _NAMED.fullmatch(text.strip())
    name, address = (found[1], found[2]) if found else ("", text.strip())
    if not clean.is_address(address):
        raise ChannelError(
            f"from: {clean.line(text)!r} is not a sender", "Write an address, or a name and <an address>.", kind="config"
        )
    return Address(_header(name).strip().strip('"'), addr_spec=address)


def message_id(message: Message) -> str:
    """The Message-ID (RFC 5322, with brackets) that a message has in every mailbox: made of its key, so it never changes."""
    return f"<{message.key[:32]}@{message.domain or _sender(message).rpartition('@')[2]}>"


def _sender(message: Message) -> str:
    return message.sender if clean.is_address(message.sender) else "scq@localhost"


def _header(text: str) -> str:
    """One clean line. An encoded word (RFC 2047) that a stranger wrote is broken up: decoded, it could hold line breaks."""
    return clean.line(text).replace("=?", "= ?")


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
