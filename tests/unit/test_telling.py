"""Telling somebody directly: which channels there are, in which order they are tried, and what is reported."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from scq.config_channels import ChannelSetting
from scq.config_values import Config
from scq.context import Context
from scq.errors import ChannelError, ConfigError, SignInError, UsageError
from scq.ports import Message, Receipt
from scq.telling import Outcome, as_dict, environment, exit_code, failure, footer_lines, report, shown, tell
from scq.telling.attaching import LIMIT, attachments
from scq.telling.directory import Directory
from tests.people import OWNER
from tests.servers.http import Answer, HttpServer
from tests.servers.smtp import PASSWORD, USER, mail_server

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
TWILIO = {
    "SCITEX_NOTIFICATION_TWILIO_SID": "AC" + "0" * 32,
    "SCITEX_NOTIFICATION_TWILIO_TOKEN": "1" * 32,
    "SCITEX_NOTIFICATION_TWILIO_FROM": "+15550100",
    "SCITEX_NOTIFICATION_TWILIO_TO": "+15550101",
}


class Keeping:
    """A channel of a program: keeps what it is given, or fails as told."""

    def __init__(self, name: str, error: Exception | None = None, why: str = "") -> None:
        self.name = name
        self.error = error
        self.why = why
        self.messages: list[Message] = []

    def usable(self) -> str:
        return self.why

    def send(self, message: Message) -> Receipt:
        self.messages.append(message)
        if self.error is not None:
            raise self.error
        return Receipt("kept")


def context(folder: Path, *settings: ChannelSetting, env: dict[str, str] | None = None, **config: Any) -> Context:
    mailbox = ChannelSetting(path=str(folder / "mailbox"))
    own = Config(email=OWNER, channels=settings or (mailbox,))
    from msgspec.structs import replace

    return Context(replace(own, **config), str(folder), env={"PATH": "/nowhere", **(env or {})}, now=lambda: NOW)


def mailbox(folder: Path, name: str = "mailbox", **fields: Any) -> ChannelSetting:
    return ChannelSetting(name=name, path=str(folder / name), **fields)


def mails(folder: Path, name: str = "mailbox") -> list[EmailMessage]:
    found = []
    for path in sorted((folder / name / "new").iterdir(), key=lambda path: path.stat().st_mtime_ns):
        mail = message_from_bytes(path.read_bytes(), policy=default)
        assert isinstance(mail, EmailMessage)
        found.append(mail)
    return found


def body(mail: EmailMessage, kind: str = "plain") -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def test_a_mail_goes_to_the_owner_with_the_first_line_as_its_subject(tmp_path: Path) -> None:
    [outcome] = tell(context(tmp_path), "Training complete\n95.2 %")
    assert (outcome.channel, outcome.recipient, outcome.ok, outcome.tried) == ("mailbox", OWNER, True, True)
    [mail] = mails(tmp_path)
    assert (mail["To"], mail["Subject"], mail["X-SCQ-Event"]) == (OWNER, "Training complete", "alert")
    assert body(mail).splitlines() == ["Training complete", "95.2 %"]
    assert "95.2 %" in body(mail, "html")


def test_a_title_is_the_subject_and_hostile_text_stays_text(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    tell(ctx, "<script>alert(1)</script>\x1b[2J", title="Done\r\nBcc: x@example.org\u202e", level="critical")
    [mail] = mails(tmp_path)
    assert mail["Bcc"] is None
    assert "\n" not in mail["Subject"]
    assert mail["Subject"].startswith("Done")
    assert "\x1b" not in body(mail)
    assert "<script>" not in body(mail, "html")
    assert not ctx.problems


def test_every_recipient_gets_a_mail_and_the_first_one_carries_the_copy(tmp_path: Path) -> None:
    outcomes = tell(context(tmp_path), "hello", to=["a@example.org", "b@example.org", "a@example.org"], cc=["c@example.org"])
    assert [outcome.recipient for outcome in outcomes] == ["a@example.org", "b@example.org"]
    assert [mail["Cc"] for mail in mails(tmp_path)] == ["c@example.org", None]


def test_a_recipient_that_is_no_address_is_a_failure_of_his_own(tmp_path: Path) -> None:
    outcomes = tell(context(tmp_path), "hello", to=["bob", "b@example.org"], channels=["mailbox"])
    assert [(outcome.ok, outcome.kind) for outcome in outcomes] == [(False, "permanent"), (True, "")]


def test_a_mail_channel_has_a_recipient_of_its_own_before_the_owner(tmp_path: Path) -> None:
    [outcome] = tell(context(tmp_path, mailbox(tmp_path, to=("team@example.org",))), "hello")
    assert outcome.recipient == "team@example.org"


def test_without_any_address_nobody_is_written_to(tmp_path: Path) -> None:
    [outcome] = tell(context(tmp_path, email=""), "hello")
    assert (outcome.ok, outcome.tried, outcome.text) == (False, False, "nobody to write to")


def test_the_first_channel_of_the_order_that_works_is_enough(tmp_path: Path) -> None:
    ctx = context(tmp_path, mailbox(tmp_path, "one"), mailbox(tmp_path, "two"), routing_order=("two", "one"))
    assert [outcome.channel for outcome in tell(ctx, "hello")] == ["two"]


def test_a_channel_that_fails_is_followed_by_the_next(tmp_path: Path) -> None:
    ctx = context(tmp_path, mailbox(tmp_path, "one"), mailbox(tmp_path, "two"), mailbox(tmp_path, "three"))
    ctx.channels["one"] = Keeping("one", ChannelError("refused", "wait"))
    ctx.channels["two"] = Keeping("two", why="no session")
    outcomes = tell(ctx, "hello")
    assert [(outcome.channel, outcome.ok, outcome.kind, outcome.tried) for outcome in outcomes] == [
        ("one", False, "transient", True),
        ("two", False, "config", False),
        ("three", True, "", True),
    ]


def test_without_fallback_only_the_first_channel_is_tried(tmp_path: Path) -> None:
    ctx = context(tmp_path, mailbox(tmp_path, "one"), mailbox(tmp_path, "two"))
    ctx.channels["one"] = Keeping("one", ChannelError("refused"))
    assert [outcome.channel for outcome in tell(ctx, "hello", fallback=False)] == ["one"]


def test_all_named_channels_are_told_and_each_once(tmp_path: Path) -> None:
    ctx = context(tmp_path, mailbox(tmp_path, "one"), mailbox(tmp_path, "two"), mailbox(tmp_path, "three"))
    outcomes = tell(ctx, "hello", channels=["two", "one", "two", "email"])
    assert [outcome.channel for outcome in outcomes] == ["two", "one"], "`email` is the mail channel `one`"


def test_of_named_channels_the_first_that_works_is_enough_when_asked(tmp_path: Path) -> None:
    ctx = context(tmp_path, mailbox(tmp_path, "one"), mailbox(tmp_path, "two"))
    outcomes = tell(ctx, "hello", channels=["nothing", "two", "one"], first=True)
    assert [(outcome.channel, outcome.ok) for outcome in outcomes] == [("nothing", False), ("two", True)]


def test_with_fallback_the_usual_order_follows_the_named_channels(tmp_path: Path) -> None:
    ctx = context(tmp_path, mailbox(tmp_path, "one"))
    outcomes = tell(ctx, "hello", channels=["telegram"], fallback=True)
    assert [(outcome.channel, outcome.ok) for outcome in outcomes] == [("telegram", False), ("one", True)]


def test_where_there_is_no_channel_that_is_said(tmp_path: Path) -> None:
    ctx = context(tmp_path, email=OWNER)
    ctx.config = Config(email=OWNER, channels=(), routing_order=())
    outcomes = tell(ctx, "hello", fallback=True)
    assert [outcome.ok for outcome in outcomes] == [False] * len(outcomes)
    assert outcomes
    assert exit_code(outcomes, one_is_enough=True) != 0


def test_a_mailbox_comes_after_channels_that_reach_somebody(tmp_path: Path) -> None:
    with HttpServer(lambda request: Answer(200)) as server:
        hook = ChannelSetting(name="hook", type="webhook", url=server.url + "/secret-path")
        [outcome] = tell(context(tmp_path, mailbox(tmp_path), hook), "hello", level="error")
        [request] = server.requests
    assert (outcome.channel, outcome.ok) == ("hook", True)
    document = request.json()
    assert (document["title"], document["text"], document["level"]) == ("hello", "hello", "error")


def test_what_a_service_refuses_is_a_failure_and_no_secret_is_shown(tmp_path: Path) -> None:
    with HttpServer(lambda request: Answer(404, "gone")) as server:
        hook = ChannelSetting(name="hook", type="webhook", url=server.url + "/secret-path")
        [outcome] = tell(context(tmp_path, hook), "hello", channels=["hook"])
    assert (outcome.ok, outcome.kind) == (False, "permanent")
    assert "secret-path" not in repr(outcome)


def test_a_real_mail_server_takes_text_html_and_attachment(tmp_path: Path) -> None:
    (tmp_path / "run.log").write_bytes(b"\x1b[31mred\x1b[0m done\n")
    (tmp_path / "table.csv").write_text("a,b\n")
    with mail_server("none") as server:
        relay = ChannelSetting(
            name="relay",
            type="smtp",
            host="127.0.0.1",
            port=server.port,
            tls="none",
            insecure=True,
            sender="Queue <q@example.org>",
        )
        files = attachments([str(tmp_path / "run.log"), str(tmp_path / "table.csv")])
        [outcome] = tell(context(tmp_path, relay), "hello", title="Done", to=["a@example.org"], attachments=files)
        [content] = server.contents
    assert outcome.ok, outcome
    mail = message_from_bytes(content, policy=default)
    assert isinstance(mail, EmailMessage)
    assert mail["From"] == "Queue <q@example.org>"
    parts = {part.get_filename(): (part.get_content_type(), part.get_content()) for part in mail.iter_attachments()}
    assert parts == {"run.log": ("text/plain", "red done\n"), "table.csv": ("text/csv", "a,b\n")}


def test_the_documented_variables_make_a_mail_channel(tmp_path: Path) -> None:
    found = {
        setting.name: setting
        for setting in environment.settings(
            {
                "SCITEX_EMAIL_AGENT": f"{USER}@gmail.com",
                "SCITEX_EMAIL_PASSWORD": PASSWORD,
                "SCITEX_NOTIFICATION_EMAIL_TO": "a@example.org, b@example.org",
            }
        )
    }
    email = found["email"]
    assert (email.host, email.port, email.tls, email.user) == ("smtp.gmail.com", 0, "starttls", f"{USER}@gmail.com")
    assert email.secret("password").read({"SCITEX_EMAIL_PASSWORD": PASSWORD}) == PASSWORD
    assert email.to == ("a@example.org", "b@example.org")
    assert PASSWORD not in repr(email)


@pytest.mark.parametrize(("port", "expected"), [("465", (465, "ssl")), ("2525", (2525, "starttls")), ("x", (0, "starttls"))])
def test_the_port_decides_how_a_mail_server_is_spoken_to(port: str, expected: tuple[int, str]) -> None:
    env = {
        "SCITEX_NOTIFICATION_EMAIL_FROM": "q@example.org",
        "SCITEX_NOTIFICATION_EMAIL_SMTP_HOST": "smtp.example.org",
        "SCITEX_NOTIFICATION_EMAIL_SMTP_PORT": port,
    }
    [email] = environment.settings(env)
    assert (email.port, email.tls) == expected
    assert (email.user, email.password_env) == ("", "")


def test_no_mail_server_is_assumed_for_an_address_of_ones_own() -> None:
    env = {"SCITEX_NOTIFICATION_EMAIL_FROM": "q@example.org"}
    assert list(environment.settings(env)) == []
    assert environment.lacking("email", env) == "SCITEX_NOTIFICATION_EMAIL_SMTP_HOST"


def test_the_documented_variables_make_phones_chats_and_hooks() -> None:
    env = {
        **TWILIO,
        "SCITEX_NOTIFICATION_PHONE_CALL_N_REPEAT": "3",
        "SCITEX_NOTIFICATION_TELEGRAM_TOKEN": "1:a",
        "SCITEX_NOTIFICATION_TELEGRAM_CHAT_ID": "42",
        "SCITEX_NOTIFICATION_WEBHOOK_URL": "https://hooks.slack.com/services/A/B/C",
    }
    found = {setting.name: setting for setting in environment.settings(env)}
    assert {name: setting.type for name, setting in found.items()} == {
        "webhook": "slack",
        "telegram": "telegram",
        "twilio": "twilio-call",
        "sms": "twilio-sms",
    }
    assert found["twilio"].repeat == 3
    assert found["sms"].to == ("+15550101",)


@pytest.mark.parametrize(
    ("url", "kind"),
    [("https://discord.com/api/webhooks/1/x", "discord"), ("https://example.org/hook", "webhook")],
)
def test_a_hook_is_spoken_to_in_the_form_of_its_service(url: str, kind: str) -> None:
    [setting] = environment.settings({"SCITEX_NOTIFICATION_WEBHOOK_URL": url})
    assert setting.type == kind


def test_a_file_of_variables_adds_to_those_that_are_set(tmp_path: Path) -> None:
    source = tmp_path / "notify.src"
    source.write_text("# mine\nexport A='one two'\nB=3 # three\nC=$HOME\nexport D='open\nif true; then\nexport E F\n1X=2\n")
    found, problems = environment.variables({"SCQ_ENV_FILE": str(source), "B": "set"})
    assert (found["A"], found["B"], found["C"]) == ("one two", "set", "$HOME")
    assert not {"D", "E", "F", "1X"} & set(found)
    assert not problems


def test_a_folder_of_variables_is_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "a.src").write_text("export A=1\n")
    (tmp_path / "b.src").write_text("export B=2\n")
    (tmp_path / "c.txt").write_text("export C=3\n")
    found, _ = environment.variables({"SCITEX_NOTIFICATION_ENV_SRC": str(tmp_path)})
    assert (found["A"], found["B"], found.get("C")) == ("1", "2", None)


def test_a_file_of_variables_that_cannot_be_read_is_a_problem_and_the_message_is_sent(tmp_path: Path) -> None:
    ctx = context(tmp_path, env={"SCQ_ENV_FILE": str(tmp_path / "missing")})
    [outcome] = tell(ctx, "hello", channels=["mailbox"])
    assert outcome.ok
    assert [problem.where for problem in ctx.problems] == ["SCQ_ENV_FILE"]


def test_config_yaml_wins_over_a_variable_of_the_same_name(tmp_path: Path) -> None:
    ctx = context(tmp_path, mailbox(tmp_path, "webhook"), env={"SCITEX_NOTIFICATION_WEBHOOK_URL": "https://example.org"})
    directory = Directory(ctx)
    assert [(setting.type, origin) for setting, origin in directory.settings()] == [("file", "config.yaml")]


def test_the_default_channel_of_the_environment_comes_first(tmp_path: Path) -> None:
    ctx = context(tmp_path, mailbox(tmp_path, "one"), mailbox(tmp_path, "two"), env={"SCQ_DEFAULT_CHANNEL": "two"})
    assert Directory(ctx).plan("info").in_turn == ("two", "one")


def test_a_list_of_a_level_means_all_of_it_unless_config_yaml_routes(tmp_path: Path) -> None:
    env = {"SCITEX_NOTIFICATION_ERROR_BACKENDS": "one, two"}
    settings = (mailbox(tmp_path, "one"), mailbox(tmp_path, "two"))
    assert [outcome.channel for outcome in tell(context(tmp_path, *settings, env=env), "x", level="error")] == ["one", "two"]
    assert Directory(context(tmp_path, *settings, env=env)).plan("info").together == ()
    routed = context(tmp_path, *settings, env=env, routing_order=("two",))
    assert Directory(routed).plan("error").together == ()


def test_local_channels_exist_by_name_and_windows_never(tmp_path: Path) -> None:
    directory = Directory(context(tmp_path))
    desktop = directory.find("desktop")
    assert desktop is not None
    assert desktop.type == "desktop"
    assert directory.find("matplotlib") is None
    assert "no windows" in directory.why_not("matplotlib")
    assert "SCITEX_NOTIFICATION_TELEGRAM_TOKEN" in directory.why_not("telegram")
    assert directory.why_not("slack") == "config.yaml does not set it up"
    assert "no such channel" in directory.why_not("nothing")


def test_a_documented_name_stands_for_the_configured_channel_of_its_type(tmp_path: Path) -> None:
    relay = ChannelSetting(name="relay", type="smtp", host="localhost")
    directory = Directory(context(tmp_path, mailbox(tmp_path), relay))
    found = directory.find("email")
    assert found is not None
    assert found.name == "relay"


def test_a_setting_that_cannot_be_made_is_unusable_and_not_an_error(tmp_path: Path) -> None:
    odd = ChannelSetting(name="odd", format="scroll")
    directory = Directory(context(tmp_path, odd))
    assert "scroll" in directory.unusable(odd)
    [outcome] = tell(context(tmp_path, odd), "x", channels=["odd"])
    assert (outcome.kind, outcome.tried) == ("config", False)


def test_numbers_go_to_phones_and_addresses_to_mail(tmp_path: Path) -> None:
    ctx = context(tmp_path, mailbox(tmp_path), env=TWILIO)
    phone = Directory(ctx).find("sms")
    assert phone is not None
    channel: Any = Directory(ctx).open(phone, ("+15550109",), 0)
    assert channel.setting.to == ("+15550109",)
    assert Directory(ctx).open(phone).setting.to == ("+15550101",)  # type: ignore[attr-defined]
    [outcome] = tell(ctx, "x", channels=["mailbox"], to=["+1 555 0109", "a@example.org"])
    assert outcome.recipient == "a@example.org"


def test_who_was_named_is_told_or_nobody_else(tmp_path: Path) -> None:
    ctx = context(tmp_path, mailbox(tmp_path), env=TWILIO)
    [phone] = tell(ctx, "x", channels=["sms"], to=["bob"])
    [mail] = tell(ctx, "x", channels=["mailbox"], to=["+15005550109"])
    assert (phone.ok, phone.tried, phone.text) == (False, False, "bob is no phone number")
    assert (mail.ok, mail.tried, mail.text) == (False, False, "+15005550109 is no e-mail address")
    [outcome] = [found for found in tell(ctx, "x", to=["a@example.org"]) if found.ok]
    assert (outcome.channel, outcome.recipient) == ("mailbox", "a@example.org")


def test_a_channel_without_mail_takes_no_attachments_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    script = tmp_path / "take"
    script.write_text(f"#!{sys.executable}\nimport json, sys\njson.load(sys.stdin)\nprint('taken')\n")
    script.chmod(0o755)
    ctx = context(tmp_path, ChannelSetting(name="own", type="exec", command=(str(script),)))
    [outcome] = tell(ctx, "x", attachments=attachments([str(tmp_path / "a.txt")]))
    assert (outcome.ok, outcome.text) == (True, "taken")
    assert [problem.what for problem in ctx.problems] == ["takes no attachments"]


@pytest.mark.parametrize(
    ("kind", "title", "subject"),
    [
        ("slack", "", ""),
        ("desktop", "", "Message from scq"),
        ("webhook", "", "first"),
        ("slack", "Title", "Title"),
    ],
)
def test_a_message_without_a_title_repeats_itself_nowhere(tmp_path: Path, kind: str, title: str, subject: str) -> None:
    ctx = context(tmp_path, ChannelSetting(name="own", type=kind))
    keeping = ctx.channels["own"] = Keeping("own")
    tell(ctx, "first\nsecond", title=title)
    assert keeping.messages[0].subject == subject
    assert keeping.messages[0].html is None


def test_mail_as_text_has_no_html(tmp_path: Path) -> None:
    tell(context(tmp_path, email_format="text"), "", title="only a title")
    [mail] = mails(tmp_path)
    assert mail.get_body(("html",)) is None
    tell(context(tmp_path / "two", email_format="text"), " ")
    assert mails(tmp_path / "two")[0]["Subject"] == "Message from scq"


def test_a_template_that_fails_loses_no_message(tmp_path: Path) -> None:
    folder = tmp_path / "templates" / "emails"
    folder.mkdir(parents=True)
    (folder / "alert.html").write_text("{{ nothing.at.all }}")
    ctx = context(tmp_path)
    [outcome] = tell(ctx, "hello")
    assert outcome.ok
    assert mails(tmp_path)[0].get_body(("html",)) is None
    assert ctx.problems


def test_a_footer_says_who_where_and_when(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "somebody")
    ctx = context(tmp_path)
    tell(ctx, "hello", footer=footer_lines(ctx))
    text = body(mails(tmp_path)[0])
    assert f"somebody@{os.uname().nodename}" in text
    assert "scq " in text


@pytest.mark.parametrize("error", [SignInError("no sign-in"), ConfigError("no password"), ChannelError("later")])
def test_every_expected_failure_is_an_outcome(tmp_path: Path, error: Exception) -> None:
    ctx = context(tmp_path)
    ctx.channels["mailbox"] = Keeping("mailbox", error)
    [outcome] = tell(ctx, "hello", channels=["mailbox"])
    expected = {"SignInError": "auth", "ConfigError": "config", "ChannelError": "transient"}
    assert (outcome.ok, outcome.kind) == (False, expected[type(error).__name__])


def test_a_sign_in_that_is_missing_is_told_apart_from_a_setting(tmp_path: Path) -> None:
    outcomes = tell(context(tmp_path, ChannelSetting(name="own", type="gmail")), "hello", channels=["own"])
    assert exit_code(outcomes, one_is_enough=False) == 77


GOOD = Outcome("a", OWNER, True, "kept")
AUTH, SETTING, LATER = (Outcome("b", "", False, "why.", kind, "Do this.") for kind in ("auth", "config", "transient"))


@pytest.mark.parametrize(
    ("outcomes", "enough", "code"),
    [
        ([GOOD], False, 0),
        ([AUTH, GOOD], True, 0),
        ([AUTH, GOOD], False, 77),
        ([SETTING], False, 78),
        ([SETTING, AUTH], False, 1),
        ([LATER], True, 1),
        ([], True, 1),
    ],
)
def test_the_exit_code_says_what_is_missing(outcomes: list[Outcome], enough: bool, code: int) -> None:
    assert exit_code(outcomes, one_is_enough=enough) == code


def test_outcomes_are_shown_to_people_and_programs(tmp_path: Path) -> None:
    assert shown(GOOD) == f"sent to {OWNER} over a (kept)"
    assert failure(LATER) == "b: why. Do this"
    assert as_dict(LATER)["error"] == "why."
    told = report("send", context(tmp_path), [LATER, GOOD], one_is_enough=True)
    assert (told.exit_code, told.errors, [problem.where for problem in told.problems]) == (0, (), ["channel b"])
    assert report("send", context(tmp_path), [LATER, GOOD], one_is_enough=False).errors == ("b: why. Do this",)


def test_what_cannot_be_attached_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(LIMIT + 1)
    for name in ("missing", "pipe", "large"):
        with pytest.raises(UsageError, match=name):
            attachments([str(tmp_path / name)])


@pytest.mark.parametrize("name", ["old.eml", "page.mht", "part.mime"])
def test_a_mail_is_attached_as_bytes(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"Subject: x\n\n\xff")
    [attachment] = attachments([str(tmp_path / name)])
    assert not attachment.type.startswith(("message/", "multipart/"))


def test_channels_know_the_home_and_what_the_output_is_kept_for(tmp_path: Path) -> None:
    ctx = context(tmp_path, ChannelSetting(name="screen", type="stdout"))
    ctx.as_json = True
    directory = Directory(ctx)
    screen = directory.open(directory.own["screen"])
    assert screen.on_stderr  # type: ignore[attr-defined]


def test_a_link_is_followed_and_a_packed_file_is_just_bytes(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"x")
    (tmp_path / "data.csv.gz").symlink_to(tmp_path / "real")
    [attachment] = attachments([str(tmp_path / "data.csv.gz")])
    assert (attachment.name, attachment.content, attachment.type) == ("data.csv.gz", b"x", "application/octet-stream")
