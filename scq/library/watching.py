"""What a monitor works with: the settings, the state file and the way out of one pass, which is one `scq notify`."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal

from msgspec.structs import replace

from scq import config, legacy
from scq.clean import line
from scq.config_channels import ChannelSetting
from scq.config_file import parse, read_config_text
from scq.config_kinds import ADDRESS, EVENTS, LEVELS
from scq.config_values import Config
from scq.context import Context
from scq.errors import FAILED, OK, SIGN_IN, ConfigError, UsageError
from scq.library import senders, settings
from scq.library.notifications import JsonStateManager
from scq.library.verbs import ProblemWarning, settle, shown
from scq.model import Problem
from scq.report import Report
from scq.showing import message_line

Half = Literal["jobs", "peers"]
"""What one monitor looks for."""
GMAIL = "gmail"
OLDER_TOKEN = "~/.syft-notifications/gmail_token.json"  # noqa: S105 - a path
"""Where the documented factories look for a sign-in."""
_PASSES: dict[str, threading.Lock] = {}
"""By home: monitors of one process take turns instead of finding each other busy."""


class Desk:
    """Where a monitor looks, what it remembers, and how it tells. Raises ConfigError for settings that cannot be used."""

    def __init__(
        self,
        *,
        root: str,
        email: str,
        about: Half,
        sender: Any,
        state: Any,
        chosen: Mapping[str, Any],
        drive_token: str = "",
        gmail_token: str = "",
        home: str = "",
        silent: bool = False,
    ) -> None:
        self.home, self.state_file = _place(state, home)
        self.config_path = os.path.join(self.home, config.FILE_NAME)
        self.problems: tuple[Problem, ...] = ()
        self._about = about
        self._sender = sender
        self._memory = None if isinstance(state, JsonStateManager) else state
        self._silent = silent
        found = self._settings(root, email, {**chosen, **({"drive_token_path": drive_token} if drive_token else {})})
        self.config = self._told_over(settings.in_force(found), gmail_token)
        if drive_token and not os.path.isfile(drive_token):
            what = f"{drive_token}: no such file, so Google Drive is not looked at. Sign in: scq auth google --drive"
            warnings.warn(what, ProblemWarning, stacklevel=2)

    def context(self) -> Context:
        """The parts of one pass."""
        ctx = Context(self.config, self.home, config_path=self.config_path, problems=self.problems)
        if self._sender is not None:
            ctx.channels[senders.NAME] = senders.SenderChannel(self._sender, self._memory, _only_named(ctx))
        return ctx

    def look(self) -> None:
        """One pass: look, remember, and send what is due; without messages only look and remember.

        Raises ScqError when the verb failed; what was wrong but did not stop it is a ProblemWarning.
        """
        from scq.commands import check, notify

        ctx = self.context()
        if self._about == "peers" and not ctx.uses_drive():
            from scq.peering import unused

            self.deliver()
            raise unused(ctx)
        with _PASSES.setdefault(self.home, threading.Lock()):
            settle(check.run(ctx, only=self._about) if self._silent else notify.run(ctx, only=self._about))

    def deliver(self) -> None:
        """Send what is due without looking.

        Raises ScqError when a message was given up or a channel needs a sign-in.
        """
        if self._silent:
            return
        from scq.delivering import deliver

        ctx = self.context()
        problems = list(ctx.problems)
        with _PASSES.setdefault(self.home, threading.Lock()), ctx.only_one("notify"):
            made = deliver(ctx, ctx.store.load(), problems)
        errors = [f"{message_line(row)}: {line(row.outcome, 500)}" for row in made.rows if row.state == "dead"]
        errors.extend(f"channel {line(name)} needs a sign-in. {advice}".rstrip() for name, advice in made.sign_ins.items())
        code = SIGN_IN if made.sign_ins else FAILED if errors else OK
        settle(Report("notify", problems=tuple(problems), exit_code=code, errors=tuple(errors)))

    def _settings(self, root: str, email: str, chosen: Mapping[str, Any]) -> Config:
        base = _values(self.config_path)
        values = {**base, **{name: _joined(base.get(name), value) for name, value in chosen.items()}}
        if self.state_file:
            values["state_file"] = self.state_file
        given = {"email": email or None, "root": root or None}
        loaded = config.judge(values, self.config_path, os.environ, given, home=self.home)
        if loaded.errors:
            raise ConfigError("\n".join(f"{each.where}: {each.what}" for each in loaded.errors), "Correct these settings.")
        self.problems = loaded.problems
        usual = os.path.join(usual_home(), os.path.basename(loaded.config.drive_token_path))
        if "drive_token_path" in values or os.path.lexists(loaded.config.drive_token_path) or not os.path.isfile(usual):
            return loaded.config
        return replace(loaded.config, drive_token_path=usual)

    def _told_over(self, found: Config, gmail_token: str) -> Config:
        if self._silent:
            return replace(found, notify=replace(found.notify, events=dict.fromkeys(EVENTS, "off")))
        if self._sender is not None:
            return _first(found, ChannelSetting(senders.NAME))
        older = os.path.expanduser(OLDER_TOKEN)
        tokens = [gmail_token] if gmail_token else [found.gmail_token_path, older]
        token = next((path for path in tokens if os.path.isfile(path)), "")
        if token:
            known = next((each for each in found.channels if (each.name, each.type) == (GMAIL, "gmail")), None)
            return _first(replace(found, gmail_token_path=token), known or ChannelSetting(GMAIL, "gmail"))
        if gmail_token:
            names = ", ".join(channel.name for channel in found.channels) or "no channel"
            what = f"{gmail_token}: no such file; messages go to {names}. Sign in: scq auth google --send"
            warnings.warn(what, ProblemWarning, stacklevel=2)
        return found


def older_settings(values: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """Settings in any documented spelling, as config.yaml has them; what is not taken is a ProblemWarning."""
    found = legacy.modern(values, folder, os.environ)
    for problem in found.left:
        warnings.warn(shown(problem), ProblemWarning, stacklevel=2)
    return found.values


def read_settings(path: str) -> dict[str, Any]:
    """The settings in a YAML file of any documented form. Raises ConfigError when it is not there or damaged."""
    text = read_config_text(path)
    if text is None:
        raise ConfigError(f"{path}: no such file", "Name the configuration, such as ~/.syft-creds/config.yaml.")
    return older_settings(parse(text, path), os.path.dirname(path))


def usual_state(folder: str) -> str:
    """The state file of a folder whose configuration names none: one that is there, else `state.json`."""
    paths = (os.path.join(folder, name) for name in legacy.STATE_NAMES)
    return next((path for path in paths if os.path.lexists(path)), os.path.join(folder, "state.json"))


def home_state(home: str) -> str:
    """The state file of a home, as the command line finds it."""
    named = _values(os.path.join(home, config.FILE_NAME)).get("state_file")
    return absolute(named.replace("$SCQ_HOME", home, 1)) if isinstance(named, str) else os.path.join(home, "state.json")


def absolute(path: Any) -> str:
    """A path given by a caller, empty for none."""
    return os.path.abspath(os.path.expanduser(os.fsdecode(path))) if path else ""


def address(name: str, value: object) -> str:
    """An e-mail address given by a caller. Raises UsageError."""
    found: str | None = ADDRESS.parse(value)
    if found is None:
        raise UsageError(f"{name}: {ascii(value)[:80]} is not an e-mail address", "Write it like owner@example.org.")
    return found


def client_place(client: Any) -> tuple[str, str, str]:
    """(folder, address, home or empty) of a client, a runner or its config. Raises UsageError when it is not a data owner's."""
    holder = client if hasattr(client, "syftbox_folder") else getattr(client, "config", None)
    folder, email = getattr(holder, "syftbox_folder", None), getattr(holder, "email", None)
    if not folder or not email:
        raise UsageError("the client tells no email and no syftbox_folder", "Pass the client of your login.")
    if any(getattr(client, name, True) is False for name in ("is_do", "has_do_role")):
        raise UsageError("the client is not a data owner's", "Only a data owner has jobs and peers to watch: log in as one.")
    return absolute(folder), address("email", email), absolute(getattr(holder, "home", ""))


def usual_home() -> str:
    """The home of the command line."""
    return absolute(os.environ.get("SCQ_HOME") or "~/.syft-creds")


def _joined(before: Any, after: Any) -> Any:
    """A setting over another one; of a group only what is named changes."""
    return {**before, **after} if isinstance(before, dict) and isinstance(after, dict) else after


def _values(path: str) -> dict[str, Any]:
    text = read_config_text(path)
    return {} if text is None else legacy.modern(parse(text, path), os.path.dirname(path), os.environ).values


def _place(state: Any, home: str) -> tuple[str, str]:
    """(home, state file or empty for that of the home). A file that is not the state of a home has a home of its own: what lies
    beside a `state.json` belongs to that one."""
    homes = [home or usual_home(), usual_home()]
    if not isinstance(state, JsonStateManager):
        return homes[0], ""
    for known in homes:
        if home_state(known) == state.state_file:
            return known, state.state_file
    folder, name = os.path.split(state.state_file)
    return (folder if name == "state.json" else f"{state.state_file}.d"), state.state_file


def _first(found: Config, setting: ChannelSetting) -> Config:
    """Everything new is told over one channel; the others stay, for what waits for them."""
    others = tuple(channel for channel in found.channels if channel.name != setting.name)
    return replace(
        found,
        channels=(setting, *others),
        routing_levels=dict.fromkeys(LEVELS, (setting.name,)),
        routing_events={},
        routing_order=(setting.name,),
    )


def _only_named(ctx: Context) -> Callable[[str], bool]:
    def is_only(name: str) -> bool:
        """True when not more than one job that is remembered has a name."""
        alive = {key for key, record in ctx.store.load().jobs.items() if record.sighting.name == name}
        over = {key for key in ctx.store.finished_keys() if key.rpartition("/")[2] == name}
        return len(alive | over) < 2

    return is_only
