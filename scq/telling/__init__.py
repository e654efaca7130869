"""Telling somebody something now: one message straight over its channels, past the outbox, because the caller waits to know."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from scq import clean
from scq.config_channels import MAIL_TYPES, ChannelSetting
from scq.config_kinds import LEVELS
from scq.context import Context
from scq.errors import CONFIG, FAILED, OK, SIGN_IN, ChannelError, ScqError, SignInError, UsageError
from scq.model import Level, Problem
from scq.ports import Attachment, Message, Receipt
from scq.report import Report
from scq.telling.directory import BY_ADDRESS, Directory, Plan

SUBJECT_LIMIT = 150
DOCUMENT_TYPES = frozenset({"exec", "webhook", "stdout"})
"""Channels that hand over a title beside the text, so that it is never empty."""
ANNOUNCED_TYPES = frozenset({"audio", "desktop", "emacs", "twilio-call"})
"""Channels that say first what a message is about."""
UNTITLED = "Message from scq"
_NUMBER = re.compile(r"\+?[0-9][0-9 ()-]{2,30}")


class Outcome(Struct, frozen=True):
    """What became of a message on one channel, for one recipient.

    `text` is the receipt, or why it failed; `kind` then the kind of failure (errors.FailureKind). Nothing was handed over
    unless `tried`: the channel is not there or cannot be used.
    """

    channel: str
    recipient: str
    ok: bool
    text: str
    kind: str = ""
    advice: str = ""
    tried: bool = True


NO_CHANNEL = Outcome("channels", "", False, "there is none", "config", "Put one under `channels:` in config.yaml.", tried=False)


def level_named(word: str) -> Level:
    """The level of this name. Raises UsageError."""
    known = next((level for level in LEVELS if level == word), None)
    if known is None:
        raise UsageError(f"{clean.line(word)!r} is not a level", f"Use one of: {', '.join(LEVELS)}.")
    return known


def tell(
    ctx: Context,
    text: str,
    *,
    title: str = "",
    to: Sequence[str] = (),
    cc: Sequence[str] = (),
    channels: Sequence[str] = (),
    level: Level = "info",
    attachments: Sequence[Attachment] = (),
    event: str = "alert",
    first: bool = False,
    fallback: bool | None = None,
    footer: Sequence[str] = (),
    repeat: int = 0,
) -> list[Outcome]:
    """Send one message and say what became of it, one outcome per channel and recipient, in the order they were tried.

    Over all `channels`, or with `first` over the first of them that takes it; without any over the first of the usual order.
    `fallback`: when none of `channels` takes it, that order is tried too. Mail goes to the addresses in `to`, phones to
    the numbers in it; without `to` to whom the channel names, or the owner. A call says its text `repeat` times (0: as
    configured).
    Never raises ScqError; what else was wrong is in `ctx.problems`.
    """
    directory = Directory(ctx)
    ctx.problems.extend(directory.problems)
    note = Note(
        text=clean.block(text),
        title=clean.line(title, SUBJECT_LIMIT),
        level=level,
        event=event,
        numbers=tuple(re.sub(r"[^+0-9]", "", word) for word in to if _NUMBER.fullmatch(word)),
        addresses=tuple(word for word in to if not _NUMBER.fullmatch(word)),
        cc=tuple(cc),
        attachments=tuple(attachments),
        footer=tuple(clean.line(words) for words in footer),
        repeat=repeat,
    )
    letter = Letter(ctx, directory, note)
    plan = _plan(directory, channels, level, first=first, fallback=not channels if fallback is None else fallback)
    outcomes = [outcome for name in plan.together for outcome in letter.over(name)]
    if any(outcome.ok for outcome in outcomes):
        return outcomes
    for name in plan.in_turn:
        found = letter.over(name)
        outcomes.extend(found)
        if found and all(outcome.ok for outcome in found):
            break
    return outcomes or [NO_CHANNEL]


def _plan(directory: Directory, channels: Sequence[str], level: Level, *, first: bool, fallback: bool) -> Plan:
    named = tuple(dict.fromkeys(channels))
    usual = directory.plan(level)
    if not named:
        return usual if fallback else Plan((usual.together or usual.in_turn)[:1])
    rest = tuple(name for name in (*usual.together, *usual.in_turn) if name not in named) if fallback else ()
    return Plan((), (*named, *rest)) if first else Plan(named, rest)


class Note(Struct, frozen=True):
    """What is to be told, cleaned, and to whom."""

    text: str
    title: str
    level: Level
    event: str
    numbers: tuple[str, ...]
    addresses: tuple[str, ...]
    cc: tuple[str, ...]
    attachments: tuple[Attachment, ...]
    footer: tuple[str, ...]
    repeat: int


class Letter:
    """One note on its way to several channels; what differs between them is made when it is needed."""

    def __init__(self, ctx: Context, directory: Directory, note: Note) -> None:
        self.ctx = ctx
        self.directory = directory
        self.note = note
        self._done: set[str] = set()
        self._bodies: tuple[str, str | None] | None = None

    def over(self, name: str) -> list[Outcome]:
        """Send over one channel, once, whatever names it goes by; nothing when it had its turn."""
        setting = self.directory.find(name)
        if setting is None:
            return [Outcome(clean.line(name), "", False, self.directory.why_not(name), "config", tried=False)]
        if setting.name in self._done:
            return []
        self._done.add(setting.name)
        missing = self._missing(setting)
        if missing:
            return [Outcome(setting.name, "", False, missing, "permanent", tried=False)]
        if setting.is_mail:
            return self._mail(setting)
        if self.note.attachments:
            self.ctx.problems.append(Problem(f"channel {setting.name}", "takes no attachments", "Only mail channels do."))
        numbers = (self.note.numbers or setting.to) if setting.type in BY_ADDRESS else setting.to
        return [self._send(setting, self.ctx.config.email, shown=", ".join(numbers))]

    def _missing(self, setting: ChannelSetting) -> str:
        """Why nobody named in `to` can be told over this channel: it would be somebody else who is told."""
        numbers, addresses = self.note.numbers, self.note.addresses
        if setting.is_mail and numbers and not addresses:
            return f"{numbers[0]} is no e-mail address"
        if setting.type in BY_ADDRESS and addresses and not numbers:
            return f"{clean.line(addresses[0])} is no phone number"
        return ""

    def _mail(self, setting: ChannelSetting) -> list[Outcome]:
        own = (self.ctx.config.email,) if self.ctx.config.email else ()
        recipients = tuple(dict.fromkeys(self.note.addresses or setting.to or own))
        if not recipients:
            advice = "Give an address with --to, or set do_email in config.yaml."
            return [Outcome(setting.name, "", False, "nobody to write to", "config", advice, tried=False)]
        return [self._send(setting, one, cc=self.note.cc if at == 0 else ()) for at, one in enumerate(recipients)]

    def _send(self, setting: ChannelSetting, recipient: str, *, shown: str | None = None, cc: tuple[str, ...] = ()) -> Outcome:
        shown = clean.line(recipient if shown is None else shown)
        try:
            channel = self.directory.open(setting, self.note.numbers, self.note.repeat)
            why = channel.usable()
            if why:
                return Outcome(setting.name, shown, False, clean.line(why, 500), _unusable_kind(setting), tried=False)
        except ScqError as error:
            return _failed(setting.name, shown, error, tried=False)
        try:
            receipt: Receipt = channel.send(self._message(setting, recipient, cc))
        except ScqError as error:
            return _failed(setting.name, shown, error)
        return Outcome(setting.name, shown, True, clean.line(receipt.text))

    def _message(self, setting: ChannelSetting, recipient: str, cc: tuple[str, ...]) -> Message:
        import secrets

        mail = setting.is_mail
        text, html = self._mail_bodies() if mail else (self._with_footer(), None)
        return Message(
            key=secrets.token_hex(32),
            event=self.note.event,
            sender=self.ctx.config.email,
            recipient=recipient,
            subject=self._subject(setting.type),
            text=text,
            html=html,
            at_iso=self.ctx.now().isoformat(),
            level=self.note.level,
            run_id=self.ctx.run_id,
            domain=self.ctx.config.message_id_domain,
            cc=cc,
            attachments=self.note.attachments if mail else (),
        )

    def _subject(self, kind: str) -> str:
        """The title. Without one a mail has the first line of its text, and a message in a chat nothing before it."""
        if self.note.title:
            return self.note.title
        if kind in MAIL_TYPES or kind in DOCUMENT_TYPES:
            rows = self.note.text.strip().splitlines()
            return clean.line(rows[0], SUBJECT_LIMIT) if rows else UNTITLED
        return UNTITLED if kind in ANNOUNCED_TYPES else ""

    def _with_footer(self) -> str:
        return "\n".join([self.note.text, "", "-- ", *self.note.footer]) if self.note.footer else self.note.text

    def _mail_bodies(self) -> tuple[str, str | None]:
        if self._bodies is None:
            self._bodies = self._rendered()
        return self._bodies

    def _rendered(self) -> tuple[str, str | None]:
        from scq.render import Renderer

        text = self._with_footer()
        if self.ctx.config.email_format == "text":
            return text, None
        renderer = Renderer(self.ctx.templates_folder())
        note = self.note
        words: dict[str, Any] = {"title": note.title or UNTITLED, "text": note.text, "level": note.level, "event": note.event}
        words |= {"host": "", "footer": list(note.footer)}
        html, _ = renderer.render_with_fallback("emails/alert.html", words, text)
        self.ctx.problems.extend(renderer.problems)
        return text, html or None


def _unusable_kind(setting: ChannelSetting) -> str:
    """What keeps Gmail from being used is its sign-in; with any other channel it is a setting or this machine."""
    return "auth" if setting.type == "gmail" else "config"


def _failed(channel: str, recipient: str, error: ScqError, *, tried: bool = True) -> Outcome:
    kind = error.kind if isinstance(error, ChannelError) else "auth" if isinstance(error, SignInError) else "config"
    return Outcome(channel, recipient, False, clean.line(str(error), 500), kind, clean.line(error.advice, 500), tried)


def host() -> str:
    """Name of this machine."""
    return clean.line(os.uname().nodename)


def footer_lines(ctx: Context) -> tuple[str, ...]:
    """Who sent a message, with what, and when: for those who get messages from several machines."""
    import getpass

    from scq import __version__

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # containers run as numbers nobody gave a name to
        user = str(os.getuid())
    at = ctx.now().astimezone().isoformat(sep=" ", timespec="seconds")
    return f"{clean.line(user)}@{host()}", f"scq {__version__}", at


def exit_code(outcomes: Sequence[Outcome], *, one_is_enough: bool) -> int:
    """0 when it was told, else 77 or 78 when all that failed needs a sign-in or a setting, else 1."""
    lost = [outcome for outcome in outcomes if not outcome.ok]
    if outcomes and (not lost or (one_is_enough and len(lost) < len(outcomes))):
        return OK
    kinds = {outcome.kind for outcome in lost}
    return SIGN_IN if kinds == {"auth"} else CONFIG if kinds == {"config"} else FAILED


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """An outcome in the JSON documents of the verbs."""
    return {
        "channel": outcome.channel,
        "recipient": outcome.recipient,
        "ok": outcome.ok,
        "receipt": outcome.text if outcome.ok else "",
        "error": "" if outcome.ok else outcome.text,
        "kind": outcome.kind,
    }


def shown(outcome: Outcome) -> str:
    """An outcome as one line for people."""
    to = f" to {outcome.recipient}" if outcome.recipient else ""
    if outcome.ok:
        return f"sent{to} over {outcome.channel}" + (f" ({outcome.text})" if outcome.text else "")
    return f"{outcome.channel}{to}: {outcome.text}"


def failure(outcome: Outcome) -> str:
    """A failure as one line for people, with what to do."""
    return f"{shown(outcome).rstrip('.')}. {outcome.advice}".rstrip(". ")


def report(command: str, ctx: Context, outcomes: Sequence[Outcome], *, one_is_enough: bool) -> Report:
    """The report of a verb that told something. What failed is an error, or a problem where another channel was enough."""
    code = exit_code(outcomes, one_is_enough=one_is_enough)
    lost = [outcome for outcome in outcomes if not outcome.ok]
    problems = (*ctx.problems, *(as_problem(outcome) for outcome in lost if code == OK))
    errors = () if code == OK else tuple(failure(outcome) for outcome in lost)
    lines = tuple(shown(outcome) for outcome in outcomes if outcome.ok)
    return Report(command, {"messages": [as_dict(outcome) for outcome in outcomes]}, lines, problems, code, errors)


def as_problem(outcome: Outcome) -> Problem:
    """A failure as a problem beside something that went well."""
    return Problem(f"channel {outcome.channel}", outcome.text, outcome.advice)
