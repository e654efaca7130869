"""Settings of channels: what each type must have and may have, and where its secrets are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from scq.config_kinds import (
    COMMAND,
    FLAG,
    PATH,
    PORT,
    REVIEWS,
    SENDER,
    TARGETS,
    TEXT,
    VARIABLE,
    Key,
    word,
)
from scq.secrets import Secret

SECRETS = ("url", "password", "token", "sid", "signing")
"""Settings of channels that are secrets: each may also come from `<key>_env`, `<key>_file` or `<key>_keyring`."""
CHANNEL_TYPES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "file": ((), ("path", "format", "to")),
    "stdout": ((), ()),
    "exec": (("command",), ()),
    "desktop": ((), ()),
    "audio": ((), ()),
    "emacs": ((), ()),
    "gmail": ((), ("from", "to")),
    "smtp": (("host",), ("port", "tls", "insecure", "ca_file", "user", "password", "from", "to")),
    "webhook": (("url",), ("signing",)),
    "slack": (("url",), ()),
    "slack-bot": (("token", "to"), ()),
    "discord": (("url",), ()),
    "teams": (("url",), ()),
    "telegram": (("token", "to"), ()),
    "ntfy": (("url",), ("token",)),
    "twilio-sms": (("sid", "token", "from", "to"), ()),
    "twilio-call": (("sid", "token", "from", "to"), ("repeat",)),
    "apprise": (("url",), ()),
}
"""By type: the settings it must have, and those it may have."""
ENDINGS = ("", "_env", "_file", "_keyring")
"""Where a secret may be."""
MAIL_TYPES = frozenset({"file", "gmail", "smtp"})
"""Channels that can write to any address. Data scientists are told over these only."""

_KEYS: tuple[Key, ...] = (
    Key("type", "type", word(*CHANNEL_TYPES), "Kind of channel; docs/notifications.md describes each."),
    Key("path", "path", PATH, "file: where the messages are written."),
    Key("format", "format", word("maildir", "mbox"), "file: one file per message, or one file for all."),
    Key("command", "command", COMMAND, "exec: the program that gets each message as JSON on its standard input."),
    Key("host", "host", TEXT, "smtp: name of the mail server."),
    Key("port", "port", PORT, "smtp: its port. Unset: 587, or 465 with `tls: ssl`."),
    Key("tls", "tls", word("starttls", "ssl", "none"), "smtp: how the connection is protected."),
    Key("insecure", "insecure", FLAG, "smtp: needed beside `tls: none`."),
    Key("ca_file", "ca_file", PATH, "smtp: certificates to trust instead of those of the machine."),
    Key("user", "user", TEXT, "smtp: name to sign in with. Unset: no sign-in."),
    Key("from", "sender", TEXT, "The sender: an address for mail (also with a name), a number for Twilio."),
    Key(
        "to",
        "to",
        TARGETS,
        "Where it goes: numbers, chats, channels; for mail the address where none is named.",
    ),
    Key("repeat", "repeat", REVIEWS, "twilio-call: how often the text is said again."),
    *(
        Key(name + ending, name + ending, kind, meaning)
        for name in SECRETS
        for ending, kind, meaning in zip(
            ENDINGS,
            (TEXT, VARIABLE, PATH, TEXT),
            (
                f"Secret: the {name}. Better kept elsewhere, see the next three.",
                f"Environment variable that holds the {name}.",
                f"File that holds the {name}.",
                f"Entry of the keyring (service/name) that holds the {name}.",
            ),
            strict=True,
        )
    ),
)
CHANNEL_KEYS: dict[str, Key] = {key.path: key for key in _KEYS}
"""By what stands behind `channels.NAME.`."""


class ChannelSetting(Struct, frozen=True):
    """One way of telling somebody, as configured. Paths are absolute once loaded; secrets are read with `secret`."""

    name: str = "mailbox"
    type: str = "file"
    path: str = "$SCQ_HOME/mailbox"
    format: str = "maildir"
    command: tuple[str, ...] = ()
    host: str = ""
    port: int = 0
    """0: the usual one."""
    tls: str = "starttls"
    insecure: bool = False
    ca_file: str = ""
    user: str = ""
    sender: str = ""
    to: tuple[str, ...] = ()
    repeat: int = 1
    url: str = ""
    url_env: str = ""
    url_file: str = ""
    url_keyring: str = ""
    password: str = ""
    password_env: str = ""
    password_file: str = ""
    password_keyring: str = ""
    token: str = ""
    token_env: str = ""
    token_file: str = ""
    token_keyring: str = ""
    sid: str = ""
    sid_env: str = ""
    sid_file: str = ""
    sid_keyring: str = ""
    signing: str = ""
    signing_env: str = ""
    signing_file: str = ""
    signing_keyring: str = ""

    def __repr__(self) -> str:
        return f"ChannelSetting({self.name!r}, {self.type!r})"

    @property
    def is_mail(self) -> bool:
        """True when it can write to any address, data scientists among them."""
        return self.type in MAIL_TYPES

    def secret(self, name: str) -> Secret:
        """Where one of `SECRETS` is; false when it is nowhere."""
        return Secret(*(getattr(self, name + ending) for ending in ENDINGS))


def channel_keys(type_name: object) -> dict[str, Key]:
    """The settings that a type of channel knows; every one for a type nobody knows, so that only the type is wrong."""
    if not isinstance(type_name, str) or type_name not in CHANNEL_TYPES:
        return CHANNEL_KEYS
    must, may = CHANNEL_TYPES[type_name]
    names = {"type", *must, *may, *(name + ending for name in (*must, *may) if name in SECRETS for ending in ENDINGS)}
    return {name: key for name, key in CHANNEL_KEYS.items() if name in names}


def as_values(setting: ChannelSetting) -> dict[str, Any]:
    """The settings of a channel that are not at their default, as config.yaml would spell them."""
    default = ChannelSetting()
    values = {name: getattr(setting, key.attribute) for name, key in channel_keys(setting.type).items()}
    return {
        name: value for name, value in values.items() if name == "type" or value != getattr(default, CHANNEL_KEYS[name].attribute)
    }


def lacking(setting: ChannelSetting) -> Iterator[tuple[str, str]]:
    """(setting, what is wanted) for everything a channel must have and has not, or has twice."""
    must, may = CHANNEL_TYPES[setting.type]
    for name in (*must, *may):
        if name in SECRETS:
            places = [name + ending for ending in ENDINGS if getattr(setting, name + ending)]
            if len(places) > 1 or (name in must and not places):
                yield name, f"one of {', '.join(name + ending for ending in ENDINGS)}"
        elif name in must and not getattr(setting, CHANNEL_KEYS[name].attribute):
            yield name, f"{CHANNEL_KEYS[name].kind.allowed}; {setting.type} needs it"
    if setting.type == "smtp" and setting.tls == "none" and not setting.insecure:
        yield "tls", "starttls or ssl; without protection only beside `insecure: true`"
    if setting.type == "smtp" and setting.user and not setting.secret("password"):
        yield "password", "needed beside `user`"
    if setting.type in MAIL_TYPES and setting.sender and SENDER.parse(setting.sender) is None:
        yield "from", SENDER.allowed
    if setting.type.startswith("twilio"):
        # YAML reads a number without quotes as another one: 0123 is octal, +1555 loses its plus.
        for name, numbers in (("from", (setting.sender,)), ("to", setting.to)):
            if any(number and not (number.startswith("+") and number[1:].isdecimal()) for number in numbers):
                yield name, 'numbers in quotes, each with + before it: "+15550100100"'
