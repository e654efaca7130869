"""`scq notify`: what changed reaches people, once, whatever happens in between."""

from __future__ import annotations

import mailbox
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.header import decode_header, make_header
from pathlib import Path

import pytest
from msgspec.structs import replace

from scq import layouts
from scq.channels.file import FileChannel
from scq.commands import notify
from scq.config_channels import ChannelSetting
from scq.config_values import Config, Notify
from scq.context import Context
from scq.errors import BUSY, FAILED, OK, SIGN_IN, BusyError, ChannelError
from scq.model import Notification
from scq.ports import Message, Receipt, Submission
from scq.store import exclusive

OWNER, ANA, BEN = "owner@example.org", "ana@uni.example", "ben@lab.example"
START = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)


class Place:
    """An owner's machine: a SyftBox, a home, a mailbox and a clock."""

    def __init__(self, folder: Path) -> None:
        self.root, self.home, self.box = folder / "SyftBox", folder / "home", folder / "box"
        (self.root / OWNER).mkdir(parents=True)
        self.now = START
        self.config = Config(
            email=OWNER,
            root=str(self.root),
            sandbox="none",
            channels=(ChannelSetting("post", "file", str(self.box), "maildir"),),
            notify=Notify(remind_after=0.0),
        )

    def context(self) -> Context:
        return Context(self.config, str(self.home), env={}, now=lambda: self.now)

    def submit(self, name: str, submitter: str = ANA) -> None:
        submission = Submission(
            owner=OWNER,
            submitter=submitter,
            name=name,
            files={"script.sh": b"echo hello\n"},
            executable=frozenset(),
            run_sh="#!/bin/bash\nbash script.sh\n",
            kind="bash",
            entrypoint="script.sh",
            dependencies=(),
            description="",
            tags=(),
            timeout_s=None,
            is_folder=False,
            source_path=None,
            submitted_at_iso=START.isoformat(),
        )
        layouts.get("inbox-review").submit(str(self.root), "c0", submission)

    def mails(self) -> set[tuple[str, str]]:
        """(recipient, subject without the tag) of everything in the mailbox."""
        found = list(mailbox.Maildir(self.box, create=False)) if self.box.exists() else []
        subjects = [(mail["To"], str(make_header(decode_header(mail["Subject"])))) for mail in found]
        assert len(subjects) == len(set(subjects))
        return {(to, subject.rpartition(" [scq")[0]) for to, subject in subjects}

    def rows(self) -> list[Notification]:
        return list(self.context().store.load().outbox.values())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def seen(place: Place) -> Place:
    """A place that was looked at before anybody sent a job."""
    assert notify.run(place.context()).exit_code == OK
    return place


def broken(monkeypatch: pytest.MonkeyPatch, fails: Callable[[Message], ChannelError | BaseException | None]) -> None:
    """Let the channel raise what `fails` says for a message, and deliver the others."""
    real = FileChannel.send

    def send(self: FileChannel, message: Message) -> Receipt:
        error = fails(message)
        if error is not None:
            raise error
        return real(self, message)

    monkeypatch.setattr(FileChannel, "send", send)


def test_nothing_to_tell_prints_and_writes_nothing(seen: Place) -> None:
    before = (seen.home / "state.json").read_bytes()
    report = notify.run(seen.context())
    assert (report.exit_code, report.lines, report.errors) == (OK, (), ())
    assert report.data["messages"] == []
    assert (seen.home / "state.json").read_bytes() == before
    assert not seen.box.exists()


def test_a_new_job_is_told_to_the_owner_and_its_arrival_to_the_submitter(seen: Place) -> None:
    seen.submit("survey")
    report = notify.run(seen.context())
    assert seen.mails() == {(OWNER, "Job: survey"), (ANA, "Job Submitted: survey")}
    assert [row.state for row in seen.rows()] == ["sent", "sent"]
    assert report.exit_code == OK
    assert all(line.startswith("sent ") and "job.received survey" in line for line in report.lines)
    assert len(report.lines) == 2


def test_nothing_is_told_twice(seen: Place) -> None:
    seen.submit("survey")
    notify.run(seen.context())
    assert notify.run(seen.context()).lines == ()
    assert len(seen.mails()) == 2


def test_two_jobs_of_one_name_from_two_people_are_two_jobs(seen: Place) -> None:
    seen.submit("survey", ANA)
    seen.submit("survey", BEN)
    notify.run(seen.context())
    recipients = [row.recipient for row in seen.rows() if row.state == "sent"]
    assert sorted(recipients) == sorted([OWNER, OWNER, ANA, BEN])
    assert len(list(mailbox.Maildir(seen.box, create=False))) == 4


def test_the_first_look_tells_the_owner_once_what_waits(place: Place) -> None:
    place.submit("one")
    place.submit("two", BEN)
    notify.run(place.context())
    assert place.mails() == {(OWNER, "Jobs Waiting for Review")}
    (mail,) = mailbox.Maildir(place.box, create=False)
    text = mail.get_payload()[0].get_payload()
    assert "2 jobs wait" in text
    assert "one" in text
    assert BEN in text


def test_a_dry_run_says_what_would_be_sent_and_changes_nothing(seen: Place) -> None:
    seen.submit("survey")
    before = (seen.home / "state.json").read_bytes()
    report = notify.run(seen.context(), dry_run=True)
    assert len(report.lines) == 2
    assert {message["state"] for message in report.data["messages"]} == {"queued"}
    assert (seen.home / "state.json").read_bytes() == before
    assert seen.mails() == set()


def test_a_message_that_fails_now_is_sent_later_and_stops_no_other(seen: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    seen.submit("survey")
    broken(monkeypatch, lambda message: ChannelError("is full", "Make room.") if message.recipient == OWNER else None)
    report = notify.run(seen.context())
    assert report.exit_code == OK
    assert [(problem.where, problem.advice) for problem in report.problems] == [("channel post", "Make room.")]
    assert "is full" in report.problems[0].what
    assert seen.mails() == {(ANA, "Job Submitted: survey")}
    monkeypatch.undo()
    assert notify.run(seen.context()).lines == ()
    seen.now += timedelta(minutes=1)
    notify.run(seen.context())
    assert seen.mails() == {(OWNER, "Job: survey"), (ANA, "Job Submitted: survey")}


def test_a_message_that_can_never_be_sent_fails_the_call_once(seen: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    seen.submit("survey")
    broken(monkeypatch, lambda message: ChannelError("no such box", kind="permanent") if message.recipient == ANA else None)
    report = notify.run(seen.context())
    assert report.exit_code == FAILED
    assert len(report.errors) == 1
    assert ANA in report.errors[0]
    assert "no such box" in report.errors[0]
    assert seen.mails() == {(OWNER, "Job: survey")}
    assert notify.run(seen.context()).exit_code == OK


def test_a_message_given_up_after_three_days_fails_the_call(seen: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    seen.submit("survey")
    broken(monkeypatch, lambda message: ChannelError("is away"))
    assert notify.run(seen.context()).exit_code == OK
    seen.now += timedelta(days=3)
    assert notify.run(seen.context()).exit_code == FAILED
    assert {row.state for row in seen.rows()} == {"dead"}
    assert notify.run(seen.context()).exit_code == OK


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_call_killed_while_it_sends_loses_and_doubles_nothing(
    seen: Place, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    seen.submit("survey")
    real = FileChannel.send

    def killed(self: FileChannel, message: Message) -> Receipt:
        if moment == "after":
            real(self, message)
        raise KeyboardInterrupt

    monkeypatch.setattr(FileChannel, "send", killed)
    with pytest.raises(KeyboardInterrupt):
        notify.run(seen.context())
    assert sorted(row.state for row in seen.rows()) == ["queued", "sending"]
    monkeypatch.setattr(FileChannel, "send", real)
    notify.run(seen.context())
    assert seen.mails() == {(OWNER, "Job: survey"), (ANA, "Job Submitted: survey")}
    assert {row.state for row in seen.rows()} == {"sent"}
    assert sorted(row.repeat for row in seen.rows()) == [False, True], "only what may have arrived is marked"


def test_a_message_that_kills_the_call_each_time_does_not_hold_up_the_others(
    seen: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen.submit("survey")
    broken(monkeypatch, lambda message: KeyboardInterrupt() if message.recipient == OWNER else None)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            notify.run(seen.context())
    assert seen.mails() == {(ANA, "Job Submitted: survey")}


def test_a_row_is_stored_as_sending_before_it_is_handed_over(seen: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    seen.submit("survey")
    states: list[dict[str, str]] = []

    def look(message: Message) -> None:
        states.append({row.recipient: row.state for row in seen.rows()})
        assert {row.key: row.state for row in seen.rows()}[message.key] == "sending"

    broken(monkeypatch, look)
    notify.run(seen.context())
    assert sorted(states[0].values()) == ["queued", "sending"]
    assert sorted(states[1].values()) == ["sending", "sent"]


def test_a_channel_that_was_taken_out_of_the_configuration_is_named_and_may_come_back(seen: Place) -> None:
    seen.submit("survey")
    configured = seen.config
    notify.run(seen.context(), dry_run=True)
    from scq.looking import observe

    observe(seen.context())
    seen.config = replace(configured, channels=())
    report = notify.run(seen.context())
    assert "there is no channel 'post'" in report.problems[0].what
    assert report.problems[0].where == "channel post"
    seen.config = configured
    seen.now += timedelta(hours=1)
    notify.run(seen.context())
    assert len(seen.mails()) == 2


def test_toggles_and_format_of_the_configuration_are_honoured(seen: Place) -> None:
    seen.config = replace(seen.config, email_format="text")
    seen.submit("survey")
    notify.run(seen.context())
    assert {mail.get_content_type() for mail in mailbox.Maildir(seen.box, create=False)} == {"text/plain"}
    seen.config = replace(seen.config, notify_on_new_job=False)
    seen.submit("another")
    assert notify.run(seen.context()).lines == ()


def test_a_template_of_the_user_is_used_and_a_broken_one_is_reported(seen: Place) -> None:
    emails = seen.home / "templates" / "emails"
    emails.mkdir(parents=True)
    (emails / "new_job.txt").write_text("Mine: {{ job_name }}\n")
    (emails / "job_submitted_ds.txt").write_text("{{ 1 // 0 }}")
    seen.config = replace(seen.config, email_format="text")
    seen.submit("survey")
    report = notify.run(seen.context())
    texts = {mail["To"]: mail.get_payload() for mail in mailbox.Maildir(seen.box, create=False)}
    assert texts[OWNER] == "Mine: survey\n"
    assert "job.received: survey" in texts[ANA]
    assert [problem.where for problem in report.problems] == ["emails/job_submitted_ds.txt"]


def test_old_rows_are_forgotten(seen: Place) -> None:
    seen.submit("survey")
    notify.run(seen.context())
    seen.now += timedelta(days=29)
    notify.run(seen.context())
    assert len(seen.rows()) == 2
    seen.now += timedelta(days=2)
    notify.run(seen.context())
    assert seen.rows() == []


def test_two_calls_at_once_are_one_call(seen: Place) -> None:
    with exclusive(str(seen.home / "locks" / "notify.lock"), 0), pytest.raises(BusyError):
        notify.run(seen.context())


def test_a_channel_that_needs_a_sign_in_exits_77_and_names_the_command(seen: Place) -> None:
    from tests.unit.test_delivering import Recorder

    seen.config = replace(seen.config, channels=(ChannelSetting("post", "gmail"),))
    seen.submit("survey")
    ctx = seen.context()
    ctx.channels["post"] = Recorder("post", fails=lambda message: ChannelError("is signed out", kind="auth"))
    report = notify.run(ctx)
    assert report.exit_code == SIGN_IN
    assert report.errors == ("channel post needs a sign-in. Run: scq auth google --send",)


def test_what_one_call_may_not_send_is_left_for_the_next_one_and_said(seen: Place) -> None:
    seen.config = replace(seen.config, notify=replace(seen.config.notify, max_per_run=3))
    for name in ("one", "two", "six"):
        seen.submit(name)
    report = notify.run(seen.context())
    assert (report.data["left"], len(report.data["messages"])) == (3, 3)
    assert report.lines[-1].startswith("3 more wait")
    assert notify.run(seen.context()).data["left"] == 0
    assert len(seen.mails()) == 6


def test_a_source_that_cannot_be_read_is_said_and_what_is_due_is_sent_all_the_same(seen: Place) -> None:
    from scq.looking import observe

    seen.submit("survey")
    observe(seen.context())
    seen.root.rename(seen.root.with_name("away"))
    report = notify.run(seen.context())
    assert report.exit_code == BUSY
    assert len(seen.mails()) == 2


def test_hostile_names_stay_one_line_everywhere(seen: Place) -> None:
    seen.submit("survey")
    config = next((seen.root / OWNER / "app_data" / "job" / "inbox" / ANA).glob("*/config.yaml"))
    config.write_text(config.read_text().replace("survey", '"x\\nBcc: v@x.org\\e[2J\\u202Egnp"'))
    report = notify.run(seen.context())
    assert all(line.isprintable() for line in report.lines)
    assert all(mail["Bcc"] is None for mail in mailbox.Maildir(seen.box, create=False))
    assert len(list(mailbox.Maildir(seen.box, create=False))) == 2


def test_an_idle_call_loads_neither_templates_nor_mail(seen: Place) -> None:
    code = (
        "import sys; from scq.commands import notify\n"
        "from scq.config_values import Config, Notify; from scq.context import Context\n"
        "root, home = sys.argv[1:]\n"
        f"notify.run(Context(Config(email={OWNER!r}, root=root, sandbox='none'), home, env={{}}))\n"
        "print(sorted({'jinja2', 'email', 'scq.render', 'scq.channels'} & set(sys.modules)))"
    )
    checkout = Path(notify.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, str(seen.root), str(seen.home)], cwd=checkout, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
