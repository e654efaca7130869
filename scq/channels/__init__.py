"""Channels: one way of telling somebody per module. A module is loaded when a message goes through it."""

from __future__ import annotations

from typing import Protocol

from scq.errors import ConfigError
from scq.ports import Channel

TYPES = ("file",)


class Setting(Protocol):
    """What the configuration says about one channel."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def format(self) -> str: ...


def get(setting: Setting) -> Channel:
    """The channel of a setting. Raises ConfigError for a type or format nobody knows."""
    if setting.type == "file":
        from scq.channels.file import FileChannel

        return FileChannel(setting.name, setting.path, setting.format)
    raise ConfigError(
        f"notify.channels.{setting.name}.type: {setting.type!r} is not a channel", f"Use one of: {', '.join(TYPES)}."
    )
