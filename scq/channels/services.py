"""Messaging services through apprise: Slack, Discord, Teams, Telegram, ntfy, Twilio SMS, and any address apprise knows.

One request per target, no retries and no waiting. Text is made inert first: it can mention nobody and format nothing.
"""

from __future__ import annotations

import logging
import re
import threading
import warnings
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from scq.channels.inert import cut, inert_for, octets, utf16
from scq.channels.place import Place
from scq.channels.verdict import Entry, reason, redacted, verdict
from scq.clean import block, line
from scq.config_channels import SECRETS, ChannelSetting
from scq.deadlines import within
from scq.errors import ChannelError, ConfigError, FailureKind
from scq.ports import Message, Receipt

if TYPE_CHECKING:
    from apprise import NotifyBase

CONNECT_S, READ_S, WHOLE_S = 10.0, 30.0, 60.0
"""How long to wait for a connection, for a sign of life of the service, and for one message altogether."""
LIMITS = {
    "slack": 4000,
    "slack-bot": 4000,
    "discord": 2000,
    "teams": 4000,
    "telegram": 4096,
    "ntfy": 4000,
    "twilio-sms": 1600,
    "twilio-call": 4000,
    "apprise": 30_000,
}
"""What a service takes, title included: UTF-16 units as sent, for ntfy bytes. Teams takes 28 KB of JSON: six bytes per letter."""
TITLED = frozenset({"slack", "slack-bot", "ntfy", "apprise"})
"""Types that show a title of their own, as plain text. For the others it is the first line."""
SCHEMAS = {
    "slack": "slack",
    "slack-bot": "slack",
    "discord": "discord",
    "teams": "workflows",
    "telegram": "tgram",
    "ntfy": "ntfys",
    "twilio-sms": "twilio",
    "twilio-call": "twilio",
}
HOPEFUL: tuple[FailureKind, ...] = ("ambiguous", "transient", "auth", "config", "permanent")
"""Kinds of failure, the one after which trying again makes most sense first."""
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PHONE = re.compile(r"\+?[0-9][0-9 ()-]{3,20}")
TARGETS = {
    "slack-bot": re.compile(r"[#@+]?[A-Za-z0-9_-]{1,80}|[^\s@/]{1,64}@[A-Za-z0-9.-]{1,190}"),
    "telegram": re.compile(r"-?[0-9]{1,20}(:[0-9]{1,12})?|@?[A-Za-z][A-Za-z0-9_]{1,40}(:[0-9]{1,12})?"),
    "twilio-sms": _PHONE,
    "twilio-call": _PHONE,
}
"""What a target must look like. apprise drops others silently, or takes the sender for the receiver."""


class ServiceChannel:
    """Tells people through a messaging service. The setting says which, and its secrets where to."""

    def __init__(self, setting: ChannelSetting, place: Place) -> None:
        self.name = setting.name
        self.setting = setting
        self.place = place

    def usable(self) -> str:
        try:
            self._services()
        except ChannelError as error:
            return str(error)
        return ""

    def send(self, message: Message) -> Receipt:
        """Hand the message to every target, one by one. Raises ChannelError, `ambiguous` when only some have it."""
        services = self._services()
        outcomes = [self._tell(service, message) for service in services]
        failures = [outcome for outcome in outcomes if outcome is not None]
        taken = len(outcomes) - len(failures)
        if not failures:
            return Receipt(f"accepted by {self.setting.type}" + (f" for {taken} targets" if taken > 1 else ""))
        # The one that says most about whether trying again helps.
        first = min(failures, key=lambda failure: HOPEFUL.index(failure.kind))
        if not taken:
            raise first
        told = f"accepted for {taken} of {len(outcomes)} targets; {first}"
        if all(failure.kind == "permanent" for failure in failures):
            return Receipt(line(told))
        raise ChannelError(told, first.advice, kind="ambiguous", retry_after=first.retry_after)

    def texts(self, message: Message, service: NotifyBase) -> tuple[str, str]:
        """Title and body as apprise gets them: inert, and short enough for the service."""
        kind = self.setting.type
        title, body = line(message.subject, 150), block(message.text).strip()
        if not body:
            title, body = "", title or line(message.event) or "scq"
        if kind not in TITLED and title:
            title, body = "", f"{title}\n\n{body}"
        inert = inert_for(kind)
        units = octets if kind == "ntfy" else utf16
        most = min(LIMITS[kind], service.body_maxlen or LIMITS[kind]) if kind == "apprise" else LIMITS[kind]
        title = inert(title)
        rest = f"… scq show {message.job_id[:8]}" if message.job_id else "…"
        return title, inert(cut(body, most - units(title), lambda text: units(inert(text)), rest))

    def _tell(self, service: NotifyBase, message: Message) -> ChannelError | None:
        import apprise

        level = {"info": apprise.NotifyType.INFO, "warning": apprise.NotifyType.WARNING}
        title, body = self.texts(message, service)
        to_all = apprise.Apprise(asset=service.asset)
        to_all.add(service)

        def notify() -> tuple[bool, list[Entry]]:
            with _PRIVACY:
                result = to_all.notify(
                    body=body,
                    title=title,
                    notify_type=level.get(message.level, apprise.NotifyType.FAILURE),
                    body_format=apprise.NotifyFormat.TEXT,
                    log_level=logging.DEBUG,
                )
                told = result.status == apprise.AppriseResultStatus.SUCCESS
                return told, [(entry.level, entry.message) for entry in result.logs()]

        try:
            # Not by the timeout of apprise: what it leaves behind keeps the process from ending.
            told, entries = within(WHOLE_S, notify)
        except TimeoutError:
            return self._failure("no answer in time", "ambiguous")
        if told:
            return None
        kind, retry_after = verdict(self.setting.type, entries)
        return self._failure(reason(entries), kind, retry_after)

    def _failure(self, why: str, kind: FailureKind, retry_after: float | None = None) -> ChannelError:
        where = f"channels.{self.name}"
        advice = {
            "auth": f"Put a valid token or address into {where}.",
            "config": f"Look at {where} in config.yaml.",
        }.get(kind, "")
        told = line(f"{where}: {redacted(why, self._read())}")
        return ChannelError(told, advice, kind=kind, retry_after=retry_after)

    def _read(self) -> dict[str, str]:
        """Every secret of the setting, by name. Raises ChannelError."""
        places = {name: self.setting.secret(name) for name in SECRETS}
        try:
            return {name: place.read(self.place.env) for name, place in places.items() if place}
        except ConfigError as error:
            raise ChannelError(f"channels.{self.name}: {error}", error.advice, kind="config") from error

    def _services(self) -> list[NotifyBase]:
        """One apprise object per target. Nothing is connected. Raises ChannelError of kind `config`."""
        secrets = self._read()
        pattern = TARGETS.get(self.setting.type)
        if pattern and not self.setting.to:
            raise self._failure("there is nobody in `to`", "config")
        for target in self.setting.to if pattern else ():
            if pattern and not pattern.fullmatch(target):
                raise self._failure(f"{line(target, 60)!r} is not a target {self.setting.type} knows", "config")
        try:
            import apprise
        except ImportError as error:
            raise ChannelError("the package apprise is not installed", "pip install apprise", kind="config") from error
        asset = apprise.AppriseAsset(
            app_id="scq",
            app_desc="scq",
            app_url="",
            image_url_mask="",
            image_url_logo="",
            secure_logging=True,
            async_mode=False,
            storage_mode=apprise.PersistentStoreMode.MEMORY,
            http_redirects=False,
            default_service_retry=0,
            service_timeout=0,
        )
        return [self._service(target, asset) for target in self._targets(secrets)]

    def _service(self, target: str | dict[str, Any], asset: Any) -> NotifyBase:
        import apprise

        with _PRIVACY, warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # apprise loads modules that Python is about to drop
            service: NotifyBase | None = apprise.Apprise.instantiate(target, asset=asset, suppress_exceptions=True)
        schema = SCHEMAS.get(self.setting.type)
        if service is None or (schema and schema not in _schemas(service)):
            raise self._failure(f"what it holds does not fit {self.setting.type}", "config")
        service.socket_connect_timeout, service.socket_read_timeout = CONNECT_S, READ_S
        service.retry = 0
        service.overflow_mode = apprise.OverflowMode.TRUNCATE if schema is None else apprise.OverflowMode.UPSTREAM
        # A service may ask for minutes of silence; waiting is up to the outbox.
        vars(service)["throttle"] = lambda *_args, **_kwargs: None
        return service

    def _targets(self, secrets: dict[str, str]) -> list[str | dict[str, Any]]:
        """What apprise makes its objects of: an address, or the parts of one where no address has to be taken apart."""
        setting, token = self.setting, secrets.get("token", "")
        base = {"schema": SCHEMAS.get(setting.type, "")}
        match setting.type:
            case "slack-bot":
                return [{**base, "access_token": token, "targets": [to]} for to in setting.to]
            case "telegram":
                return [{**base, "bot_token": token, "targets": [to], "detect_owner": False} for to in setting.to]
            case "ntfy":
                try:
                    return [_ntfy(secrets.get("url", ""), token)]
                except ValueError:
                    raise self._failure("the address of ntfy is https://host/topic", "config") from None
            case "twilio-sms" | "twilio-call":
                account = {"account_sid": secrets.get("sid", ""), "auth_token": token, "source": setting.sender}
                method = setting.type.removeprefix("twilio-")
                return [{**base, **account, "method": method, "targets": [to]} for to in setting.to]
        if setting.type != "apprise" and not secrets.get("url", "").startswith("https://"):
            raise self._failure(f"the address of {setting.type} begins with https://", "config")
        return [secrets.get("url", "")]


def _ntfy(url: str, token: str) -> dict[str, Any]:
    """The parts of `https://host/topic`. Raises ValueError when it is something else."""
    parts = urlsplit(url)
    topic = parts.path.strip("/")
    if parts.scheme not in ("https", "http") or not parts.hostname or not _TOPIC.fullmatch(topic):
        raise ValueError("not the address of a topic")
    secure = parts.scheme == "https"
    keys: dict[str, Any] = {"schema": "ntfys" if secure else "ntfy", "secure": secure, "host": parts.hostname, "port": parts.port}
    keys.update(targets=[topic], mode="private")
    if token:
        keys.update(auth="token", token=token)
    elif parts.username:
        keys.update(auth="basic", user=unquote(parts.username), password=unquote(parts.password or ""))
    return keys


def _schemas(service: NotifyBase) -> set[str]:
    names = (getattr(service, key, None) for key in ("protocol", "secure_protocol"))
    return {name for some in names if some for name in ((some,) if isinstance(some, str) else some)}


class _Privacy:
    """Lets apprise record everything, and keeps it from the logs of the program: requests and answers hold secrets.

    Of several threads inside, the first changes the loggers and the last puts them back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before: list[tuple[logging.Logger, int, bool]] = []

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside > 1:
                return
            loggers = [logging.getLogger(name) for name in ("apprise", "urllib3")]
            self._before = [(logger, logger.level, logger.propagate) for logger in loggers]
            for logger in loggers:
                if not logger.handlers:
                    logger.addHandler(logging.NullHandler())  # without any handler Python prints warnings by itself
                logger.propagate = False
            loggers[0].setLevel(logging.DEBUG)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside:
                return
            for logger, level, propagate in self._before:
                logger.setLevel(level)
                logger.propagate = propagate


_PRIVACY = _Privacy()
