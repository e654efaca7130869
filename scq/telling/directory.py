"""Which channels there are for a call, under which names, and in which order they are tried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from scq.config_channels import CHANNEL_TYPES, ChannelSetting
from scq.context import Context
from scq.errors import ScqError
from scq.telling import environment

if TYPE_CHECKING:
    from scq.ports import Channel

TYPES: dict[str, tuple[str, ...]] = {
    "email": ("gmail", "smtp", "file"),
    "slack": ("slack", "slack-bot"),
    "twilio": ("twilio-call",),
    "sms": ("twilio-sms",),
}
"""Documented names that stand for channels of these types, best one first; any other name stands for its own type."""
LOCAL = ("audio", "emacs", "desktop")
"""Documented names that need no setting, in their documented order."""
NEVER = ("matplotlib", "playwright")
"""Documented names of windows. scq opens none: it mostly runs where nobody would see them."""
BY_ADDRESS = ("twilio-call", "twilio-sms")
"""Types whose numbers a call can give."""
UNASKED = ("desktop", "emacs")
"""Those of them that are tried, if usable, where nothing is set up. Not `audio`: nobody can tell whether it is heard."""
QUIET = ("file", "stdout")
"""Types that reach nobody by themselves: tried last unless `routing.order` says otherwise."""


class Plan(Struct, frozen=True):
    """Where a message goes: to all of `together`; when none of them takes it, to the first of `in_turn` that does."""

    together: tuple[str, ...] = ()
    in_turn: tuple[str, ...] = ()


class Directory:
    """The channels of one call: those of config.yaml, then those that only the environment has.

    `env` is the environment with what its files add; what was wrong with those is in `problems`.
    """

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.env, self.problems = environment.variables(ctx.env)
        self.own = {setting.name: setting for setting in ctx.config.channels}
        found = {setting.name: setting for setting in environment.settings(self.env)}
        self.found = {name: setting for name, setting in found.items() if name not in self.own}

    def settings(self) -> Iterator[tuple[ChannelSetting, str]]:
        """(channel, where it comes from) of all that are set up."""
        yield from ((setting, "config.yaml") for setting in self.own.values())
        yield from ((setting, "environment") for setting in self.found.values())

    def find(self, name: str) -> ChannelSetting | None:
        """The channel of a name: its own name, or a documented one."""
        if name in self.own or name in self.found:
            return self.own.get(name) or self.found[name]
        if name in self.ctx.channels:
            return ChannelSetting(name=name)
        for kind in TYPES.get(name, (name,)):
            for setting in self.own.values():
                if setting.type == kind:
                    return setting
        return ChannelSetting(name=name, type=name) if name in LOCAL else None

    def why_not(self, name: str) -> str:
        """Why there is no channel of this name."""
        if name in NEVER:
            return "scq opens no windows; name another channel"
        variable = environment.lacking(name, self.env)
        if variable:
            return f"neither config.yaml nor {variable} sets it up"
        if name in CHANNEL_TYPES or name in TYPES:
            return "config.yaml does not set it up"
        return "there is no such channel; `scq channels` lists them"

    def open(self, setting: ChannelSetting, to: Sequence[str] = (), repeat: int = 0) -> Channel:
        """The channel itself; a phone with the numbers `to` and `repeat`, where they are given. Raises ConfigError."""
        if setting.name in self.ctx.channels:
            return self.ctx.channels[setting.name]
        from scq import channels
        from scq.channels.place import Place

        if setting.type in BY_ADDRESS:
            setting = replace(setting, to=tuple(to) or setting.to, repeat=repeat or setting.repeat)
        ctx = self.ctx
        place = Place(env=self.env, gmail_token=ctx.config.gmail_token_path, home=ctx.home, json=ctx.as_json)
        return channels.get(setting, place)

    def unusable(self, setting: ChannelSetting) -> str:
        """Why nothing can be sent over a channel now; empty when something can. Nothing is sent."""
        try:
            return self.open(setting).usable()
        except ScqError as error:
            return str(error)

    def plan(self, level: str) -> Plan:
        """Where a message goes that names no channel.

        `routing.order` says it, else the environment. A list of a level means all of it, as documented.
        """
        config = self.ctx.config
        routed = config.routing_order or config.routing_levels or config.routing_events
        together = () if routed else environment.of_level(self.env, level)
        return Plan(together, tuple(name for name in dict.fromkeys(self._order()) if name not in together))

    def _order(self) -> Iterator[str]:
        yield from self.ctx.config.routing_order
        first = environment.default(self.env)
        if first:
            yield first
        loud = [setting.name for setting, _ in self.settings() if setting.type not in QUIET]
        yield from loud
        if not loud and set(self.own) <= {ChannelSetting().name}:
            yield from (name for name in UNASKED if not self.unusable(ChannelSetting(name=name, type=name)))
        yield from (setting.name for setting, _ in self.settings() if setting.type in QUIET)
