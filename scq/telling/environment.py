"""Ways of telling somebody that no config.yaml names: those whose documented environment variables are set.

The names are those of scitex-notification 0.2 (docs/alerts.md); `SCQ_ENV_FILE` and `SCQ_DEFAULT_CHANNEL` are scq's own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from scq.config_channels import ChannelSetting
from scq.errors import InvalidFileError
from scq.files import read_text
from scq.model import Problem

PREFIX = "SCITEX_NOTIFICATION_"
FILES = ("SCQ_ENV_FILE", PREFIX + "ENV_SRC")
"""Each names a file of `export NAME=value` lines, or a folder of such files whose names end in `.src`."""
DEFAULTS = ("SCQ_DEFAULT_CHANNEL", PREFIX + "DEFAULT_BACKEND")
FROM = (
    *(PREFIX + "EMAIL_FROM", "SCITEX_SCHOLAR_EMAIL_NOREPLY", "SCITEX_SCHOLAR_FROM_EMAIL_ADDRESS"),
    *("SCITEX_EMAIL_NOREPLY", "SCITEX_EMAIL_AGENT"),
)
PASSWORDS = (
    *(PREFIX + "EMAIL_PASSWORD", "SCITEX_SCHOLAR_EMAIL_PASSWORD", "SCITEX_SCHOLAR_FROM_EMAIL_PASSWORD"),
    "SCITEX_EMAIL_PASSWORD",
)
TO = (PREFIX + "EMAIL_TO", "SCITEX_SCHOLAR_EMAIL_RECIPIENT", "SCITEX_SCHOLAR_TO_EMAIL_ADDRESS")
HOST, PORT = PREFIX + "EMAIL_SMTP_HOST", PREFIX + "EMAIL_SMTP_PORT"
WEBHOOK = PREFIX + "WEBHOOK_URL"
TELEGRAM = (PREFIX + "TELEGRAM_TOKEN", PREFIX + "TELEGRAM_CHAT_ID")
TWILIO = (PREFIX + "TWILIO_SID", PREFIX + "TWILIO_TOKEN", PREFIX + "TWILIO_FROM", PREFIX + "TWILIO_TO")
REPEAT = PREFIX + "PHONE_CALL_N_REPEAT"
GMAIL_HOST = "smtp.gmail.com"
FILES_AT_MOST = 100


def variables(env: Mapping[str, str]) -> tuple[dict[str, str], list[Problem]]:
    """The environment with what the named files add to it; a variable that is set stays as it is. Nothing is expanded."""
    found, problems = dict(env), list[Problem]()
    for name in FILES:
        if not env.get(name):
            continue
        for path in _sources(os.path.expanduser(env[name])):
            try:
                lines = read_text(os.path.realpath(path)).splitlines()
            except InvalidFileError as error:
                problems.append(Problem(name, str(error), "Correct the variable, or unset it."))
                continue
            found = {**dict(filter(None, map(_assignment, lines))), **found}
    return found, problems


def _sources(path: str) -> list[str]:
    try:
        names = sorted(os.listdir(path)) if os.path.isdir(path) else None
    except OSError:
        # A folder that cannot be listed cannot be read as a file either: that says what is wrong.
        names = None
    return [path] if names is None else [os.path.join(path, name) for name in names if name.endswith(".src")][:FILES_AT_MOST]


def _assignment(line: str) -> tuple[str, str] | None:
    """(name, value) of `export NAME=value` or `NAME=value`, quotes as in a shell; None for any other line."""
    import shlex

    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        # An open quote: a value over several lines is none of the documented ones.
        return None
    words = words[1:] if words[:1] == ["export"] else words
    name, sign, value = words[0].partition("=") if len(words) == 1 else ("", "", "")
    return (name, value) if sign and name.isidentifier() and "\0" not in value else None


def settings(env: Mapping[str, str]) -> Iterator[ChannelSetting]:
    """The channels whose variables are all set, under the names of the documents."""
    if not lacking("email", env):
        yield _email(env)
    if not lacking("webhook", env):
        yield ChannelSetting(name="webhook", type=_webhook_type(env[WEBHOOK]), url_env=WEBHOOK)
    if not lacking("telegram", env):
        yield ChannelSetting(name="telegram", type="telegram", token_env=TELEGRAM[0], to=_list(env[TELEGRAM[1]]))
    if not lacking("twilio", env):
        sid, token, sender, to = TWILIO
        for name, kind in (("twilio", "twilio-call"), ("sms", "twilio-sms")):
            yield ChannelSetting(
                name=name,
                type=kind,
                sid_env=sid,
                token_env=token,
                sender=env[sender],
                to=_list(env[to]),
                repeat=_number(env.get(REPEAT, ""), 10) or 1,
            )


def lacking(name: str, env: Mapping[str, str]) -> str:
    """The first variable that a documented name needs and that is not set; empty when nothing is missing."""
    needed: dict[str, tuple[tuple[str, ...], ...]] = {
        "email": (FROM, *(() if _host(env) else ((HOST,),))),
        "webhook": ((WEBHOOK,),),
        "telegram": tuple((variable,) for variable in TELEGRAM),
        "twilio": tuple((variable,) for variable in TWILIO),
        "sms": tuple((variable,) for variable in TWILIO),
    }
    return next((group[0] for group in needed.get(name, ()) if not _first(env, group)), "")


def default(env: Mapping[str, str]) -> str:
    """The channel to try first, as the environment names it."""
    return env.get(_first(env, DEFAULTS), "").strip()


def of_level(env: Mapping[str, str], level: str) -> tuple[str, ...]:
    """The channels that the environment names for messages of a level."""
    return _list(env.get(f"{PREFIX}{level.upper()}_BACKENDS", ""))


def _email(env: Mapping[str, str]) -> ChannelSetting:
    sender, password, to = (_first(env, group) for group in (FROM, PASSWORDS, TO))
    port = _number(env.get(PORT, ""), 65_535)
    return ChannelSetting(
        name="email",
        type="smtp",
        host=_host(env),
        port=port,
        tls="ssl" if port == 465 else "starttls",
        user=env[sender].strip() if password else "",
        password_env=password,
        sender=env[sender].strip(),
        to=_list(env.get(to, "")),
    )


def _host(env: Mapping[str, str]) -> str:
    """The mail server; that of Gmail is known from the address."""
    return env.get(HOST, "").strip() or gmail_host(env.get(_first(env, FROM), ""))


def gmail_host(address: str) -> str:
    """Gmail's mail server for an address there, else nothing."""
    return GMAIL_HOST if address.strip().lower().endswith("@gmail.com") else ""


def _webhook_type(url: str) -> str:
    """Two services take only documents of their own form."""
    if url.startswith("https://hooks.slack.com/"):
        return "slack"
    discord = ("https://discord.com/api/webhooks/", "https://discordapp.com/api/webhooks/")
    return "discord" if url.startswith(discord) else "webhook"


def _first(env: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((name for name in names if env.get(name, "").strip()), "")


def _list(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _number(text: str, most: int) -> int:
    text = text.strip()
    return min(int(text), most) if text.isascii() and text.isdecimal() and len(text) < 6 else 0
