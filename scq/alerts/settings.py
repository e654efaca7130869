"""`config`: settings of channels by their documented names, kept in config.yaml; secrets go into files of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from scq.alerts.messages import context

if TYPE_CHECKING:
    from scq.context import Context

FOLDER = "secrets"
"""Below `$SCQ_HOME`."""
SLACK, DISCORD, TEAMS, WEBHOOK = (
    (("slack", "slack"),),
    (("discord", "discord"),),
    (("teams", "teams"),),
    (("webhook", "webhook"),),
)
EMAIL, TELEGRAM = (("email", "smtp"),), (("telegram", "telegram"),)
TWILIO = (("twilio", "twilio-call"), ("sms", "twilio-sms"))
SETTINGS: dict[str, tuple[tuple[tuple[str, str], ...], str]] = {
    "slack_webhook": (SLACK, "url"),
    "discord_webhook": (DISCORD, "url"),
    "teams_webhook": (TEAMS, "url"),
    "webhook_url": (WEBHOOK, "url"),
    "email_to": (EMAIL, "to"),
    "email_from": (EMAIL, "from"),
    "email_password": (EMAIL, "password"),
    "smtp_host": (EMAIL, "host"),
    "smtp_port": (EMAIL, "port"),
    "smtp_user": (EMAIL, "user"),
    "smtp_password": (EMAIL, "password"),
    "telegram_token": (TELEGRAM, "token"),
    "telegram_chat_id": (TELEGRAM, "to"),
    "twilio_sid": (TWILIO, "sid"),
    "twilio_token": (TWILIO, "token"),
    "twilio_from": (TWILIO, "from"),
    "twilio_to": (TWILIO, "to"),
}
"""Argument to the channels (name, type) it belongs to and their setting."""


def config(**kwargs: Any) -> None:
    """Keep settings of channels in config.yaml, checked; the version before stays as a backup. Secrets go into 0600 files.

    Known: slack_webhook, discord_webhook, teams_webhook, webhook_url, email_to, email_from, email_password, smtp_host,
    smtp_port, smtp_user, telegram_token, telegram_chat_id, twilio_sid, twilio_token, twilio_from, twilio_to. Raises TypeError
    for any other, ValueError for a value that is not allowed, ConfigError when config.yaml would not be usable afterwards.
    """
    unknown = sorted(set(kwargs) - set(SETTINGS))
    if unknown:
        raise TypeError(f"config() does not know {', '.join(unknown)}; it knows {', '.join(SETTINGS)}")
    given = {name: _checked(name, value) for name, value in kwargs.items() if value is not None}
    if not given:
        return
    from scq.files import make_folder
    from scq.store import exclusive

    ctx = context()
    make_folder(ctx.home, 0o700)
    with exclusive(os.path.join(ctx.home, "locks", "config.lock"), ctx.config.lock_timeout):
        _keep(ctx, given)


def _checked(name: str, value: Any) -> Any:
    """The value as config.yaml holds it. A secret is never shown."""
    from scq.config_channels import CHANNEL_KEYS

    key = CHANNEL_KEYS[SETTINGS[name][1]]
    plain = list(value) if isinstance(value, tuple) else value
    fits = key.kind.parse(plain) is not None
    if not fits or (key.path == "url" and not str(plain).startswith(("https://", "http://"))):
        raise ValueError(f"{name}: is not {'an address that begins with https://' if key.path == 'url' else key.kind.allowed}")
    return plain


def _keep(ctx: Context, given: Mapping[str, Any]) -> None:
    """Check everything, then write the secrets, and config.yaml that names them last."""
    from scq.config import judge
    from scq.config_file import parse, plan_change, read_config_text, write_change
    from scq.errors import ConfigError
    from scq.files import make_folder, write_atomic

    text = read_config_text(ctx.config_path)
    values = {} if text is None else parse(text, ctx.config_path)
    change = plan_change(ctx.config_path, dict(_changes(values, given)))
    errors = judge(change.values, ctx.config_path, ctx.env, {}, home=ctx.home).errors
    if errors:
        lines = "\n".join(f"{problem.where}: {problem.what}" for problem in errors)
        raise ConfigError(lines, "Give what is missing in the same call; nothing was written.")
    folder = os.path.join(ctx.home, FOLDER)
    make_folder(folder, 0o700)
    for name, value in given.items():
        if _is_secret(name):
            write_atomic(os.path.join(folder, _file_name(name)), value.encode("utf-8"))
    write_change(change, ctx.now())


def _changes(values: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """(key path, value) of everything to be set. A file without channels names the mailbox that stood there by default."""
    from scq.config_channels import ENDINGS
    from scq.config_file import get_value

    if not values.get("channels") and not get_value(values, ("notify", "channels"))[0]:
        yield "channels.mailbox.type", "file"
    for name, value in {**given, **_from_address(values, given)}.items():
        owners, key = SETTINGS[name]
        for channel, kind in owners:
            if not get_value(values, ("channels", channel, "type"))[1]:
                yield f"channels.{channel}.type", kind
            if not _is_secret(name):
                yield f"channels.{channel}.{key}", value
                continue
            for ending in ENDINGS:
                if ending != "_file" and get_value(values, ("channels", channel, key + ending))[0] is not None:
                    yield f"channels.{channel}.{key}{ending}", None
            yield f"channels.{channel}.{key}_file", f"$SCQ_HOME/{FOLDER}/{_file_name(name)}"


def _from_address(values: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, str]:
    """What an address says by itself: the server of Gmail, and the name to sign in with."""
    from scq.config_file import get_value
    from scq.telling.environment import gmail_host

    sender = str(given.get("email_from", "")).rpartition("<")[2].rstrip("> ")
    there = get_value(values, ("channels", "email"))[0]
    known = there if isinstance(there, Mapping) else {}
    found = {}
    if gmail_host(sender) and "smtp_host" not in given and "host" not in known:
        found["smtp_host"] = gmail_host(sender)
    has_password = any(SETTINGS[name][1] == "password" for name in given)
    if sender and has_password and "smtp_user" not in given and "user" not in known:
        found["smtp_user"] = sender
    return found


def _is_secret(name: str) -> bool:
    from scq.config_channels import SECRETS

    return SETTINGS[name][1] in SECRETS


def _file_name(name: str) -> str:
    owners, key = SETTINGS[name]
    return f"{owners[0][0]}.{key}"
