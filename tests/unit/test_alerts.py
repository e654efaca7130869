"""The alert functions as a script uses them, over real mailboxes, a real web server and a real mail server."""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
import subprocess
import sys
import warnings
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
import yaml
from trustme import CA

import scq
from scq import alerts
from scq.errors import ConfigError, UsageError
from tests.people import OWNER
from tests.servers.http import Answer, HttpServer
from tests.servers.proxy import Internet
from tests.servers.smtp import PASSWORD, mail_server, tls_context

MAILBOXES = "channels: {mailbox: {type: file}, second: {type: file, path: $SCQ_HOME/second}}\n"


class Desk:
    """A script's surroundings: a home with a configuration, and the mails that were written there."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def configure(self, text: str) -> None:
        self.home.mkdir(mode=0o700, exist_ok=True)
        (self.home / "config.yaml").write_text(text)

    @property
    def settings(self) -> dict[str, Any]:
        value: dict[str, Any] = yaml.safe_load((self.home / "config.yaml").read_text())
        return value

    def mails(self, name: str = "mailbox") -> list[Any]:
        paths = sorted((self.home / name / "new").glob("*"), key=lambda path: path.stat().st_mtime_ns)
        return [message_from_bytes(path.read_bytes(), policy=default) for path in paths]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    for name in [name for name in os.environ if name.startswith(("SCITEX_", "SCQ_DEFAULT", "SCQ_ENV", "DBUS_", "DISPLAY"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SCQ_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SCQ_EMAIL", OWNER)
    desk = Desk(tmp_path / "home")
    desk.configure(MAILBOXES)
    return desk


def text(mail: Any) -> str:
    return str(mail.get_body(("plain",)).get_content())


def test_a_message_is_sent_over_the_first_channel(desk: Desk) -> None:
    assert alerts.send("95.2% accuracy achieved", title="Training Complete") is True
    [mail] = desk.mails()
    assert (mail["To"], mail["Subject"], text(mail).strip()) == (OWNER, "Training Complete", "95.2% accuracy achieved")


def test_a_named_backend_is_used_and_no_other(desk: Desk) -> None:
    assert alerts.alert("hello", backend="second")
    assert (len(desk.mails()), len(desk.mails("second"))) == (0, 1)


def test_every_backend_of_a_list_is_told_and_one_is_enough(desk: Desk) -> None:
    assert alerts.alert("hello", backend=["mailbox", "telegram", "second"])
    assert (len(desk.mails()), len(desk.mails("second"))) == (1, 1)


@pytest.mark.parametrize("backend", ["telegram", "matplotlib", "nothing"])
def test_a_named_backend_that_is_not_there_is_a_value_error(desk: Desk, backend: str) -> None:
    with pytest.raises(ValueError, match=backend):
        alerts.alert("hello", backend=backend)


def test_a_named_backend_that_fails_is_a_runtime_error_unless_fallback(desk: Desk) -> None:
    with HttpServer(lambda request: Answer(500)) as server:
        desk.configure(f"{MAILBOXES[:-2]}, hook: {{type: webhook, url: '{server.url}/key-of-mine'}}}}\n")
        with pytest.raises(RuntimeError, match="hook") as caught:
            alerts.alert("hello", backend="hook")
        assert "key-of-mine" not in str(caught.value)
        assert alerts.alert("hello", backend="hook", fallback=True)
    assert len(desk.mails()) == 1


def test_when_nobody_could_be_told_it_is_false_and_a_warning_says_why(desk: Desk) -> None:
    with pytest.warns(scq.ProblemWarning, match="nobody could be told: telegram") as seen:
        assert alerts.alert("hello", backend=["telegram"]) is False
    assert seen[0].filename == __file__


@pytest.mark.parametrize("level", ["loud", "", "INFO"])
def test_an_unknown_level_is_a_value_error(desk: Desk, level: str) -> None:
    with pytest.raises(ValueError, match="is not a level"):
        alerts.send("hello", level=level)
    assert not desk.mails()


@pytest.mark.parametrize("backend", ["", [], [""], [3]])
def test_a_backend_that_is_no_name_is_a_value_error(desk: Desk, backend: Any) -> None:
    with pytest.raises(ValueError, match="name a channel"):
        alerts.send("hello", backend=backend)


def test_results_come_back_for_each_channel(desk: Desk) -> None:
    good, bad = alerts.tell("hello", backend=["mailbox", "telegram"])
    assert (good.success, good.backend, good.message, good.error) == (True, "mailbox", "hello", "")
    assert good.details["recipient"] == OWNER
    assert good.timestamp.endswith("+00:00")
    assert (bad.success, bad.backend, bad.details["kind"]) == (False, "telegram", "config")
    assert "SCITEX_NOTIFICATION_TELEGRAM_TOKEN" in bad.error


def test_recipients_copies_and_files_are_sent_along(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    alerts.send("hello", to="a@example.org", cc=["b@example.org"], attachments=tmp_path / "a.txt")
    [mail] = desk.mails()
    assert (mail["To"], mail["Cc"]) == ("a@example.org", "b@example.org")
    assert [part.get_filename() for part in mail.iter_attachments()] == ["a.txt"]
    with pytest.raises(UsageError, match="missing"):
        alerts.send("hello", attachments=["missing"])


def test_an_argument_nobody_knows_loses_no_message(desk: Desk) -> None:
    with pytest.warns(scq.ProblemWarning, match="timeout"):
        assert alerts.send("hello", timeout=5)


def test_a_mistake_in_the_configuration_loses_no_message(desk: Desk) -> None:
    desk.configure(MAILBOXES + "job_timeout: never\n")
    with pytest.warns(scq.ProblemWarning, match="job_timeout"):
        assert alerts.send("hello")


def test_the_asynchronous_forms_do_the_same(desk: Desk) -> None:
    assert asyncio.run(alerts.alert_async("hello", "Title", backend="mailbox"))
    assert desk.mails()[0]["Subject"] == "Title"
    for function in (alerts.call_async, alerts.sms_async):
        with pytest.raises(ValueError, match="SCITEX_NOTIFICATION_TWILIO_SID"):
            asyncio.run(function("hello"))


def test_the_documented_variables_call_and_write_to_a_phone(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "env.src").write_text(
        f"export SCITEX_NOTIFICATION_TWILIO_SID=AC{'0' * 32}\nexport SCITEX_NOTIFICATION_TWILIO_TOKEN='{'1' * 32}'\n"
        "export SCITEX_NOTIFICATION_TWILIO_FROM=+15005550006\nexport SCITEX_NOTIFICATION_TWILIO_TO=+15005550101\n"
    )
    monkeypatch.setenv("SCITEX_NOTIFICATION_ENV_SRC", str(tmp_path / "env.src"))
    with Internet(lambda request: Answer(201, {"sid": "S1", "status": "queued"}), tmp_path, monkeypatch) as net:
        assert alerts.call("Critical alert!", level="critical")
        assert asyncio.run(alerts.sms_async("done", title="Build", to_number="+15005550109"))
        net.server.answer = lambda request: Answer(401, {"code": 20003})
        with pytest.raises(RuntimeError, match="sms") as caught:
            alerts.sms("done")
    paths = [request.path.rpartition("/")[2] for request in net.requests]
    assert paths == ["Calls.json", "Messages.json", "Messages.json"]
    assert b"15005550101" in net.requests[0].body
    assert b"15005550109" in net.requests[1].body
    assert "1" * 32 not in str(caught.value)


def test_a_phone_that_is_not_set_up_is_a_value_error(desk: Desk) -> None:
    with pytest.raises(ValueError, match="twilio"):
        alerts.call("hello", to_number="+15005550109")
    with pytest.raises(ValueError, match="sms"):
        alerts.sms("hello", title="Build")


def test_backends_are_listed_with_why_not(desk: Desk) -> None:
    rows = {row["name"]: row for row in alerts.list_backends()}
    assert rows["mailbox"] == {"name": "mailbox", "available": True, "configured": True, "why": ""}
    assert rows["email"]["available"], "it is the mailbox"
    assert rows["slack"] == {
        "name": "slack",
        "available": False,
        "configured": False,
        "why": "config.yaml does not set it up",
    }
    assert "no windows" in rows["playwright"]["why"]
    available = alerts.available_backends()
    assert available[:2] == ["mailbox", "second"]
    assert not {"slack", "matplotlib", "twilio"} & set(available)


def test_settings_are_kept_and_secrets_in_files_of_their_own(desk: Desk) -> None:
    desk.configure("# mine\ndo_email: owner@example.org\n")
    hook = "https://hooks.slack.com/services/T00000000/B00000000/abcdefghijklmnopqrstuvwx"
    alerts.config(slack_webhook=hook)
    config = (desk.home / "config.yaml").read_text()
    assert config.startswith("# mine\n")
    assert "hooks.slack.com" not in config
    assert desk.settings["channels"] == {
        "mailbox": {"type": "file"},
        "slack": {"type": "slack", "url_file": "$SCQ_HOME/secrets/slack.url"},
    }
    kept = desk.home / "secrets" / "slack.url"
    assert kept.read_text() == hook
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "slack" in alerts.available_backends()


def test_the_documented_mail_settings_make_a_channel(desk: Desk) -> None:
    alerts.config(email_to="researcher@example.edu", email_from="lab@example.org", smtp_host="smtp.example.edu", smtp_port=2525)
    assert desk.settings["channels"]["email"] == {
        "type": "smtp",
        "to": "researcher@example.edu",
        "from": "lab@example.org",
        "host": "smtp.example.edu",
        "port": 2525,
    }
    assert list(desk.settings["channels"]) == ["mailbox", "second", "email"]


def test_an_address_at_gmail_says_the_server_and_the_user(desk: Desk) -> None:
    alerts.config(email_from="Lab <lab@gmail.com>", smtp_password="four words of noise")
    email = desk.settings["channels"]["email"]
    assert (email["host"], email["user"]) == ("smtp.gmail.com", "lab@gmail.com")
    assert "four words" not in (desk.home / "config.yaml").read_text()
    assert "email" in alerts.available_backends()


def test_a_literal_secret_gives_way_to_the_file(desk: Desk) -> None:
    desk.configure("channels: {webhook: {type: webhook, url: 'https://example.org/old'}}\n")
    alerts.config(webhook_url="https://example.org/new")
    assert "/old" not in (desk.home / "config.yaml").read_text()
    assert alerts.available_backends()[0] == "webhook"


def test_a_phone_is_set_up_for_calls_and_texts(desk: Desk) -> None:
    alerts.config(twilio_sid="AC" + "0" * 32, twilio_token="1" * 32, twilio_from="+15005550006", twilio_to="+15005550109")
    channels = desk.settings["channels"]
    assert (channels["twilio"]["type"], channels["sms"]["type"]) == ("twilio-call", "twilio-sms")
    assert {"twilio", "sms"} <= set(alerts.available_backends())


def test_settings_that_are_unknown_or_not_allowed_change_nothing(desk: Desk) -> None:
    before = (desk.home / "config.yaml").read_text()
    with pytest.raises(TypeError, match="colour"):
        alerts.config(colour="red")
    with pytest.raises(ValueError, match="slack_webhook: is not") as caught:
        alerts.config(slack_webhook="secret-word")
    assert "secret-word" not in str(caught.value)
    with pytest.raises(ValueError, match="smtp_port"):
        alerts.config(smtp_port=0)
    with pytest.raises(ConfigError, match="host"):
        alerts.config(email_from="lab@example.org", smtp_password="word")
    alerts.config(slack_webhook=None)
    assert (desk.home / "config.yaml").read_text() == before
    assert not (desk.home / "secrets" / "email.password").exists()


def test_settings_can_be_kept_where_there_is_nothing_yet(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCQ_HOME", str(tmp_path / "new"))
    alerts.config(telegram_token="12345:abcdefghij", telegram_chat_id=42)
    assert yaml.safe_load((tmp_path / "new" / "config.yaml").read_text())["channels"]["telegram"]["to"] == 42


def test_a_script_says_who_it_is(desk: Desk) -> None:
    alerts.notify("Fit", "done", ID="AB12CD34")
    [mail] = desk.mails()
    assert mail["Subject"] == "test_alerts.py—Fit (ID: AB12CD34)"
    told = text(mail)
    assert told.startswith("test_alerts.py\n\ndone")
    assert f"script {__file__}" in told
    assert f"@{os.uname().nodename}" in told


def test_a_script_in_a_repository_names_the_branch(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "code" / ".git").mkdir(parents=True)
    (tmp_path / "code" / "deep").mkdir()
    (tmp_path / "code" / ".git" / "HEAD").write_text("ref: refs/heads/trial\n")
    alerts.notify(file=tmp_path / "code" / "deep" / "fit.py", recipient_email="a@example.org")
    [mail] = desk.mails()
    assert mail["To"] == "a@example.org"
    assert re.fullmatch(r"fit\.py \(ID: [A-Z0-9]{8}\)", mail["Subject"])
    assert "branch trial" in text(mail)


@pytest.mark.parametrize("head", [None, "0123456789abcdef\n"])
def test_a_repository_without_a_branch_is_no_trouble(desk: Desk, tmp_path: Path, head: str | None) -> None:
    (tmp_path / "code" / ".git").mkdir(parents=True)
    if head is not None:
        (tmp_path / "code" / ".git" / "HEAD").write_text(head)
    alerts.notify("x", file=tmp_path / "code" / "notes.txt", ID=None)
    assert "branch" not in text(desk.mails()[0])
    assert desk.mails()[0]["Subject"] == "x"


def test_a_script_without_a_mail_channel_is_a_value_error(desk: Desk) -> None:
    desk.configure("channels: {}\n")
    with pytest.raises(ValueError, match="SCITEX_NOTIFICATION_EMAIL_FROM"):
        alerts.notify("x")
    desk.configure("channels: {google: {type: gmail}}\n")
    with pytest.raises(ValueError, match="google"):
        alerts.notify("x")


def test_the_documented_variables_send_a_script_mail(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    desk.configure("channels: {}\n")
    with mail_server("starttls", tls_context(authority)) as server:
        for name, value in {
            "SCITEX_SCHOLAR_EMAIL_NOREPLY": "bot@example.org",
            "SCITEX_NOTIFICATION_EMAIL_SMTP_HOST": "localhost",
            "SCITEX_NOTIFICATION_EMAIL_SMTP_PORT": str(server.port),
            "SCITEX_SCHOLAR_EMAIL_RECIPIENT": "a@example.org",
        }.items():
            monkeypatch.setenv(name, value)
        alerts.notify("Fit", "done", sender_name="The, <Lab>", cc="c@example.org", verbose=True)
        [content] = server.contents
    mail: Any = message_from_bytes(content, policy=default)
    assert (mail["From"], mail["To"], mail["Cc"]) == ("The Lab <bot@example.org>", "a@example.org", "c@example.org")
    assert capsys.readouterr().out == "mail sent to a@example.org\n"


def test_mail_through_any_server(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    (tmp_path / "run.log").write_bytes(b"\x1b[1mdone\x1b[0m\n")
    with mail_server("starttls", tls_context(authority)) as server:
        alerts.send_gmail(
            *("bot@example.org", "", "a@example.org", "Results", "ready"),
            sender_name="Lab",
            ID="X",
            attachment_paths=[tmp_path / "run.log"],
            smtp_server="localhost",
            smtp_port=server.port,
        )
        [content] = server.contents
        with pytest.raises(RuntimeError) as caught:
            alerts.send_gmail(
                "bot@example.org", PASSWORD, "a@example.org", "R", "r", smtp_server="localhost", smtp_port=server.port
            )
    assert PASSWORD not in str(caught.value)
    mail: Any = message_from_bytes(content, policy=default)
    assert (mail["From"], mail["Subject"]) == ("Lab <bot@example.org>", "Results (ID: X)")
    assert [part.get_content() for part in mail.iter_attachments()] == ["done\n"]
    assert capsys.readouterr().out == "mail sent to a@example.org\n"


def test_mail_without_a_server_or_with_a_wrong_address_is_a_value_error(desk: Desk) -> None:
    with pytest.raises(ValueError, match="smtp_server"):
        alerts.send_gmail("bot@example.org", "x", "a@example.org", "s", "m")
    with pytest.raises(ValueError, match="not one plain"):
        alerts.send_gmail("bot@gmail.com", "x", "a@example.org\nBcc: b@example.org", "s", "m")


def test_a_block_that_ends_well_is_told(desk: Desk) -> None:
    with alerts.session("training"):
        pass
    [mail] = desk.mails()
    assert mail["Subject"] == "training finished"
    assert text(mail).startswith("training finished after 0 seconds on ")


def test_a_block_that_fails_is_told_and_its_exception_raised(desk: Desk) -> None:
    with pytest.raises(ZeroDivisionError), alerts.session("training", "second", title="Oh"):
        _ = 1 / 0
    [mail] = desk.mails("second")
    assert mail["Subject"] == "Oh"
    assert "ZeroDivisionError: division by zero" in text(mail)
    assert "_ = 1 / 0" in text(mail)


@pytest.mark.parametrize(
    ("error", "word"), [(SystemExit(0), "finished"), (SystemExit(3), "failed"), (KeyboardInterrupt(), "failed")]
)
def test_an_exit_is_a_failure_unless_it_says_otherwise(desk: Desk, error: BaseException, word: str) -> None:
    with pytest.raises(type(error)), alerts.session("training"):
        raise error
    assert desk.mails()[0]["Subject"] == f"training {word}"


def test_a_function_tells_how_each_call_ended(desk: Desk) -> None:
    @alerts.notify_on_exit
    def add(one: int, two: int = 2) -> int:
        """Adds."""
        return one + two

    @alerts.notify_on_exit(channel="second", on_failure=True, name="division")
    def divide(number: int) -> float:
        return 1 / number

    assert (add(1, two=3), add.__name__, add.__doc__) == (4, "add", "Adds.")
    assert desk.mails()[0]["Subject"].endswith("add finished")
    assert divide(1) == 1
    assert not desk.mails("second")
    with pytest.raises(ZeroDivisionError):
        divide(0)
    assert desk.mails("second")[0]["Subject"] == "division failed"


def test_an_asynchronous_function_tells_how_it_ended(desk: Desk) -> None:
    @alerts.notify_on_exit(name="wait")
    async def wait(number: int) -> float:
        await asyncio.sleep(0)
        return 1 / number

    assert asyncio.run(wait(2)) == 0.5
    with pytest.raises(ZeroDivisionError):
        asyncio.run(wait(0))
    assert [mail["Subject"] for mail in desk.mails()] == ["wait finished", "wait failed"]


def test_a_generator_tells_when_it_has_ended(desk: Desk) -> None:
    @alerts.notify_on_exit(name="count")
    def count(end: int) -> Any:
        for number in range(end):
            got = yield number
            if got:
                raise KeyError(got)
        return "all"

    running = count(2)
    assert next(running) == 0
    assert not desk.mails()
    assert list(running) == [1]
    failing = count(2)
    next(failing)
    with pytest.raises(KeyError, match="stop"):
        failing.send("stop")
    left = count(2)
    next(left)
    left.close()
    assert [mail["Subject"] for mail in desk.mails()] == ["count finished", "count failed", "count finished"]


def test_an_asynchronous_generator_is_refused_before_it_begins(desk: Desk) -> None:
    async def numbers() -> Any:
        yield 1

    with pytest.raises(TypeError, match="asynchronous generator"):
        alerts.notify_on_exit(numbers)


def test_an_exception_that_cannot_be_shown_is_raised_all_the_same(desk: Desk) -> None:
    class OddError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("not me")

    with pytest.raises(OddError), alerts.session("x"):
        raise OddError
    assert "OddError: (it cannot be shown)" in text(desk.mails()[0])


def test_nobody_to_tell_never_hides_how_the_task_ended(desk: Desk) -> None:
    @alerts.notify_on_exit(channel="telegram", name="sum")
    def total() -> int:
        return 3

    with pytest.warns(scq.ProblemWarning, match="nobody was told that sum finished"):
        assert total() == 3
    with pytest.warns(scq.ProblemWarning), pytest.raises(ZeroDivisionError), alerts.session("x", "telegram"):
        _ = 1 / 0


def test_an_unknown_level_comes_out_before_the_task_begins(desk: Desk) -> None:
    with pytest.raises(ValueError, match="'loud' is not a level"):
        alerts.notify_on_exit(level_ok="loud")(print)
    with pytest.raises(ValueError, match="'loud' is not a level"), alerts.session("x", level_failed="loud"):
        raise AssertionError("it began")


def test_a_cancelled_task_is_told_and_stays_cancelled(desk: Desk) -> None:
    @alerts.notify_on_exit(name="sleep")
    async def sleep() -> None:
        await asyncio.sleep(60)

    async def cancelled() -> bool:
        task = asyncio.create_task(sleep())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(cancelled())
    assert "CancelledError" in text(desk.mails()[0])


def test_warnings_as_errors_do_not_take_the_place_of_a_result(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert alerts.notify_on_exit(channel="telegram", name="sum")(lambda: 3)() == 3
    assert "scq: nobody was told that sum finished" in capsys.readouterr().err


def test_a_home_that_cannot_be_used_does_not_hide_a_result(desk: Desk) -> None:
    desk.configure(MAILBOXES)
    (desk.home / "mailbox").write_text("a file where a folder should be")
    with pytest.warns(scq.ProblemWarning, match="nobody was told"):
        assert alerts.notify_on_exit(channel="mailbox")(lambda: 5)() == 5


def test_importing_the_functions_loads_nothing_slow() -> None:
    script = "import json, sys; from scq import alerts; json.dump(sorted(sys.modules), sys.stdout)"
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env={"PYTHONPATH": root, "PATH": "/nowhere"}, check=True
    )
    loaded = set(json.loads(done.stdout))
    assert "scq.alerts" in loaded
    assert loaded.isdisjoint(
        {"asyncio", "smtplib", "email", "apprise", "jinja2", "yaml", "requests", "ssl", "subprocess", "scq.context"}
    )
