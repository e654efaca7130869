"""Channels: one way of telling somebody per module. A module is loaded when a message goes through it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from scq.channels.place import Place
from scq.config_channels import ChannelSetting
from scq.errors import ConfigError

if TYPE_CHECKING:
    from scq.ports import Channel

MAKERS: dict[str, str] = {
    "file": "file:FileChannel",
    "stdout": "stdout:StdoutChannel",
    "exec": "exec:ExecChannel",
    "desktop": "desktop:DesktopChannel",
    "audio": "audio:AudioChannel",
    "emacs": "emacs:EmacsChannel",
    "gmail": "gmail:GmailChannel",
    "smtp": "smtp:SmtpChannel",
    "webhook": "webhook:WebhookChannel",
    "slack": "services:ServiceChannel",
    "slack-bot": "services:ServiceChannel",
    "discord": "services:ServiceChannel",
    "teams": "services:ServiceChannel",
    "telegram": "services:ServiceChannel",
    "ntfy": "services:ServiceChannel",
    "twilio-sms": "services:ServiceChannel",
    "twilio-call": "twilio_call:TwilioCallChannel",
    "apprise": "services:ServiceChannel",
}
"""Type to module:class below scq.channels. Each is made from a setting and a place."""


def get(setting: ChannelSetting, place: Place) -> Channel:
    """The channel of a setting; nothing is read or connected yet. Raises ConfigError for a type nobody knows."""
    if setting.type not in MAKERS:
        raise ConfigError(f"channels.{setting.name}.type: {setting.type!r} is not a channel", f"Use one of: {', '.join(MAKERS)}.")
    module, name = MAKERS[setting.type].split(":")
    made: Channel = getattr(import_module(f"scq.channels.{module}"), name)(setting, place)
    return made
