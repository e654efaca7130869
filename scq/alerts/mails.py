"""Mails of scripts: `notify` says which script speaks, `send_gmail` writes through any mail server."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from scq.alerts.messages import context, raise_failure, texts, warn_of_problems

if TYPE_CHECKING:
    from scq.config_channels import ChannelSetting
    from scq.context import Context

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
BETWEEN = "\N{EM DASH}"
OWN = "(send_gmail)"
"""No channel of config.yaml can be called so."""


def notify(
    subject: str = "",
    message: str = ":)",
    file: str | os.PathLike[str] | None = None,
    ID: str | None = "auto",  # noqa: N803 - its documented name
    sender_name: str | None = None,
    recipient_email: str | None = None,
    cc: str | Iterable[str] | None = None,
    attachment_paths: Iterable[str | os.PathLike[str]] | None = None,
    verbose: bool = False,
) -> None:
    """Send a mail that says which script wrote it, over the channel `email` of config.yaml or of the environment.

    `file` is the script, that of the caller when it is not given. Raises ValueError when there is no such channel, it cannot
    be used or knows no recipient, and RuntimeError when it fails.
    """
    from scq.telling import footer_lines
    from scq.telling.directory import Directory

    ctx = context()
    directory = Directory(ctx)
    setting = directory.find("email")
    if setting is None:
        raise ValueError(f"email: {directory.why_not('email')}")
    if sender_name:
        setting = _with_name(setting, sender_name, ctx.config.email)
        ctx.channels[setting.name] = directory.open(setting)
    script = os.fspath(file) if file is not None else _caller()
    name = os.path.basename(script)
    parts = [name, subject] if name.endswith(".py") else [subject]
    footer = [*footer_lines(ctx), *([f"script {script}"] if script else []), *_branch(script)]
    title = _with_id(BETWEEN.join(part for part in parts if part) or "Message", ID)
    body = f"{name}\n\n{message}" if name else message
    _mail(ctx, setting.name, title, body, texts(recipient_email), cc, attachment_paths, footer, verbose)


def send_gmail(
    sender_gmail: str,
    sender_password: str,
    recipient_email: str,
    subject: str,
    message: str,
    sender_name: str | None = None,
    cc: str | Iterable[str] | None = None,
    ID: str | None = None,  # noqa: N803 - its documented name
    attachment_paths: Iterable[str | os.PathLike[str]] | None = None,
    verbose: bool = True,
    smtp_server: str | None = None,
    smtp_port: int | None = None,
) -> None:
    """Send a mail through a mail server, signed in as `sender_gmail`; that of Gmail is known, any other has to be named.

    Port 465 speaks TLS from the start, every other one STARTTLS. Raises ValueError without a server or for an address that is
    none, RuntimeError when the mail was not accepted.
    """
    from scq import channels
    from scq.channels.place import Place
    from scq.clean import is_address
    from scq.config_channels import ChannelSetting
    from scq.telling.environment import gmail_host

    host = smtp_server or gmail_host(sender_gmail)
    if not host:
        raise ValueError("smtp_server: name the mail server; only that of an address at gmail.com is known")
    for address in (sender_gmail, recipient_email, *texts(cc)):
        if not is_address(address):
            raise ValueError(f"{address[:100]!a} is not one plain e-mail address")
    ctx = context()
    setting = ChannelSetting(
        name=OWN,
        type="smtp",
        host=host,
        port=smtp_port or 0,
        tls="ssl" if smtp_port == 465 else "starttls",
        user=sender_gmail if sender_password else "",
        password=sender_password,
        sender=sender_gmail,
    )
    setting = _with_name(setting, sender_name, sender_gmail) if sender_name else setting
    ctx.channels[OWN] = channels.get(setting, Place(env=ctx.env))
    _mail(ctx, OWN, _with_id(subject, ID), message, (recipient_email,), cc, attachment_paths, (), verbose)


def _mail(
    ctx: Context,
    channel: str,
    title: str,
    body: str,
    to: tuple[str, ...],
    cc: Any,
    attachment_paths: Any,
    footer: Iterable[str],
    verbose: bool,
) -> None:
    from scq.telling import tell
    from scq.telling.attaching import attachments

    files = attachments(texts(attachment_paths))
    outcomes = tell(
        ctx, body, title=title, to=to, cc=texts(cc), channels=[channel], attachments=files, event="script", footer=tuple(footer)
    )
    warn_of_problems(ctx)
    if not all(outcome.ok for outcome in outcomes):
        raise_failure(outcomes)
    if verbose:
        sys.stdout.write(f"mail sent to {', '.join(outcome.recipient for outcome in outcomes)}\n")


def _with_name(setting: ChannelSetting, name: str, owner: str) -> ChannelSetting:
    """The channel with another name before its sender; what an address header gives a meaning is left out of it."""
    from msgspec.structs import replace

    from scq.clean import line

    address = (setting.sender or owner).rpartition("<")[2].rstrip("> ")
    shown = "".join(char for char in line(name, 80) if char not in '<>@,;:"\\')
    return replace(setting, sender=f"{shown} <{address}>" if address else "")


def _with_id(subject: str, identity: str | None) -> str:
    if identity == "auto":
        import secrets

        identity = "".join(secrets.choice(LETTERS) for _ in range(8))
    return f"{subject} (ID: {identity})" if identity else subject


def _caller() -> str:
    """The file of the first caller outside scq; empty at a prompt."""
    frame = sys._getframe(0)
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith("scq."):
        frame = frame.f_back
    return str(frame.f_globals.get("__file__") or "")


def _branch(script: str) -> list[str]:
    """The git branch of the folder a script lies in, as a line; nothing outside a repository."""
    from scq.errors import InvalidFileError
    from scq.files import read_text

    folder = os.path.dirname(os.path.abspath(script)) if script else ""
    while folder and not os.path.isdir(os.path.join(folder, ".git")):
        folder = "" if folder == os.path.dirname(folder) else os.path.dirname(folder)
    if not folder:
        return []
    try:
        head = read_text(os.path.join(folder, ".git", "HEAD"), 4096).strip()
    except InvalidFileError:
        # Only an ornament of the mail.
        return []
    return [f"branch {head.removeprefix('ref: refs/heads/')}"] if head.startswith("ref: refs/heads/") else []
