"""`scq status`: the one screen, in every state it can show, and one service."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from scq import calling, installed, schedule
from scq.commands import status
from scq.commands.status.screen import Row, ago, ago_words, interval, plain, table
from scq.config_channels import ChannelSetting
from scq.config_values import Config, Drive
from scq.context import Context
from scq.executors import rundir
from scq.lastcalls import mark_ended
from scq.measuring import lateness
from scq.model import Notification, Peer, Trouble
from scq.report import Report
from scq.showing import when
from scq.store import Store
from tests.making import run
from tests.people import OWNER, World

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    (tmp_path / "SyftBox" / OWNER).mkdir(parents=True)
    return folder


def context(home: Path, now: datetime = NOW, env: dict[str, str] | None = None, **settings: Any) -> Context:
    config = Config(
        email=OWNER,
        root=str(home.parent / "SyftBox"),
        drive_token_path=str(home / "token_do.json"),
        gmail_token_path=str(home / "gmail_token.json"),
    )
    return Context(replace(config, **settings), str(home), env=env or {}, now=lambda: now)


def went_well(home: Path, verb: str, at: datetime, took: float = 0.5) -> None:
    (home / "locks").mkdir(exist_ok=True)
    mark_ended(str(home), verb, at.timestamp() - took, at.timestamp())


def install(home: Path, *entries: tuple[str, float], scheduler: str = "cron", at: datetime = NOW - DAY) -> None:
    installed.write(str(home), installed.Record(scheduler, entries, at))


def shown(ctx: Context) -> Report:
    """The screen, of which every line fits a terminal."""
    report = status.run(ctx)
    for line in report.lines:
        assert line == line.rstrip()
        assert len(line) <= 80 or " " not in line.strip(), line
    return report


def text(report: Report) -> str:
    """The screen with its line breaks and columns taken out."""
    return re.sub(r"\s+", " ", "\n".join(report.lines))


def notices(report: Report) -> list[tuple[str, str, str]]:
    return [(item["level"], item["what"], item["advice"]) for item in report.data["notices"]]


class TestScreen:
    def test_a_quiet_day_says_that_all_is_well(self, home: Path) -> None:
        install(home, ("notify", 30.0))
        went_well(home, "cycle", NOW - timedelta(seconds=12))
        report = shown(context(home))
        assert report.lines[1] == "All is well; nothing waits for you."
        assert notices(report) == []
        assert "schedule ok notify went well 12 seconds ago, every 30 s by cron" in text(report)
        assert "sandbox bwrap" in text(report)

    def test_a_fresh_home_is_told_what_to_do_first(self, home: Path) -> None:
        report = shown(context(home))
        assert notices(report) == [("action", "nothing looks for jobs by itself", "scq schedule install")]
        assert "SyftBox never looked at; scq check looks once" in text(report)
        assert report.data["schedule"] is None

    def test_calls_of_an_own_crontab_are_believed_for_a_day(self, home: Path) -> None:
        went_well(home, "check", NOW - 2 * HOUR)
        went_well(home, "notify", NOW - HOUR)
        report = shown(context(home))
        assert notices(report) == []
        assert "last good call: notify, 1 hour ago" in text(report)
        assert notices(shown(context(home, NOW + DAY)))[0][2] == "scq schedule install"

    def test_what_waits_for_the_owner_comes_first(self, world: World) -> None:
        world.ended("alpha", "mkdir -p outputs; echo 1 > outputs/a.txt\n")
        uid = world.submit("beta")
        world.owner.scq("check")
        ctx = Context(Config(email=OWNER, root=str(world.root), sandbox="none"), str(world.owner.home), env={})
        ctx.store.update(lambda state: replace(state, peers={"x@y.z": Peer("x@y.z", "pending", NOW)}))
        first, results, peers = notices(shown(ctx))
        assert first[0] == "action"
        assert first[1].startswith(f"1 job waits for your decision; waiting longest: {uid[:8]} beta, ")
        assert first[2] == f"scq review {uid[:8]}"
        assert results[1] == "results waiting for your answer: 1 job"
        assert peers[1:] == ("1 person asks to be allowed to send you jobs", "scq peers")
        assert shown(ctx).lines[1] == "3 things wait for you:"
        world.submit("gamma")
        assert notices(shown(ctx))[0][2] == "scq pending"

    def test_a_missing_folder_and_a_missing_address_need_mending(self, home: Path) -> None:
        went_well(home, "cycle", NOW)
        report = shown(context(home, root=str(home / "gone"), email=""))
        assert [(level, what) for level, what, _ in notices(report)] == [
            ("failure", "no email configured"),
            ("failure", "SyftBox: cannot be read (No such file or directory)"),
        ]
        assert notices(report)[1][2].endswith("scq init --root FOLDER")
        assert report.lines[1] == "2 things need mending:"
        assert "sources FAIL SyftBox cannot be read" in text(report)
        assert "no SyftBox folder was found" in text(shown(context(home, root="")))

    def test_without_channels_nobody_is_told(self, home: Path) -> None:
        assert "channels none nobody is told anything" in text(shown(context(home, channels=())))

    def test_programs_get_everything_that_people_see(self, home: Path) -> None:
        install(home, ("notify", 30.0))
        data = json.loads(json.dumps(shown(context(home)).data))
        assert data["at"] == "2026-11-21T12:00:00Z"
        assert data["schedule"]["scheduler"] == "cron"
        assert data["schedule"]["calls"][0] == {
            "name": "notify",
            "every": 30.0,
            "last": None,
            "late_s": 86_400.0 - 60 - 90,
            "next_at": "2026-11-20T12:00:30Z",
            "stopped": False,
        }
        assert data["channels"] == [{"name": "mailbox", "type": "file", "ok": True, "sent_at": None}]
        assert [(disk["name"], disk["state"]) for disk in data["disks"]] == [("home", "ok")]
        assert data["sources"][0]["name"] == "syftbox"
        assert (data["running"], data["sign_ins"]) == ([], [])

    def test_colours_are_used_only_where_they_are_wanted(self, home: Path) -> None:
        marked = status.run(context(home), mark=lambda meaning, text: f"<{meaning}>{text}")
        assert any("<good>ok" in line for line in marked.lines)
        assert any("<note>none" in line for line in marked.lines)
        assert marked.lines[0].startswith(f"<head>{OWNER}")
        assert "\x1b" not in "".join(shown(context(home)).lines)


class TestSources:
    def test_the_last_good_look_counts(self, home: Path) -> None:
        Store(str(home)).update(lambda state: replace(state, swept_at=NOW - HOUR))
        assert "SyftBox looked at 1 hour ago" in text(shown(context(home)))
        went_well(home, "check", NOW - MINUTE)
        assert "SyftBox looked at 1 minute ago" in text(shown(context(home)))

    def test_drive_is_there_where_it_is_used_and_says_since_when_it_is_away(self, home: Path) -> None:
        assert [source["name"] for source in shown(context(home)).data["sources"]] == ["syftbox"]
        drive: dict[str, Any] = {"drive": Drive(use="always")}
        went_well(home, "check", NOW - MINUTE)
        Store(str(home)).update(lambda state: replace(state, drive=replace(state.drive, scanned_at=NOW - HOUR)))
        assert "ok Google Drive looked at 1 minute ago" in text(shown(context(home, **drive)))
        trouble = {"source drive": Trouble("the sign-in was revoked", NOW - HOUR, "Sign in with: scq auth google --drive")}
        Store(str(home)).update(lambda state: replace(state, troubles=trouble))
        report = shown(context(home, **drive))
        assert f"FAIL Google Drive the sign-in was revoked since {when(NOW - HOUR)}" in text(report)
        assert report.data["sources"][1]["looked_at"] == "2026-11-21T11:00:00Z"
        assert [what for _, what, _ in notices(report)] == [f"Google Drive: the sign-in was revoked since {when(NOW - HOUR)}"]

    def test_a_folder_that_is_back_is_not_called_away_though_no_call_has_looked_yet(self, home: Path) -> None:
        went_well(home, "cycle", NOW)
        trouble = {"source syftbox": Trouble("cannot be read", NOW - HOUR, "Check that it is there.")}
        Store(str(home)).update(lambda state: replace(state, troubles=trouble))
        assert notices(shown(context(home))) == []
        away = notices(shown(context(home, root=str(home / "gone"))))
        assert away[0][1] == f"SyftBox: cannot be read (No such file or directory) since {when(NOW - HOUR)}"


class TestSchedule:
    def test_a_call_is_late_when_three_were_left_out_and_a_minute_more(self) -> None:
        assert lateness(30.0, NOW - timedelta(seconds=150), NOW) == 0.0
        assert lateness(30.0, NOW - timedelta(seconds=151), NOW) == 1.0
        assert lateness(30.0, NOW + DAY, NOW) == 0.0

    def test_late_calls_are_named(self, home: Path) -> None:
        install(home, ("notify", 30.0), ("run", 30.0), ("approve", 60.0), scheduler="systemd")
        went_well(home, "cycle", NOW - MINUTE)
        went_well(home, "run-approved", NOW - HOUR)
        report = shown(context(home))
        assert notices(report) == [
            ("failure", "run: overdue for 57 minutes", "scq status notify shows what became of it."),
            ("failure", "approve: overdue for 23 hours", "scq status approve shows what became of it."),
        ]
        assert "late run went well 1 hour ago, every 30 s by systemd" in text(report)
        assert "late approve never went well yet, every 1 min by systemd" in text(report)

    def test_a_fresh_installation_is_not_late(self, home: Path) -> None:
        install(home, ("notify", 30.0), at=NOW - MINUTE)
        assert notices(shown(context(home))) == []

    def test_telling_while_another_call_runs_a_long_job_is_good_enough(self, home: Path) -> None:
        install(home, ("notify", 30.0))
        went_well(home, "cycle", NOW - HOUR)
        went_well(home, "notify", NOW - MINUTE)
        assert notices(shown(context(home))) == []

    def test_a_loop_that_has_ended_is_named_at_once_and_not_when_it_is_late(self, home: Path) -> None:
        install(home, ("notify", 3600.0), scheduler="loop", at=NOW - HOUR)
        went_well(home, "cycle", NOW - MINUTE)
        ctx = context(home)
        assert notices(shown(ctx)) == [("action", "notify is stopped: it makes no calls", "scq start notify")]
        (home / "loop.json").write_text("{")
        assert [level for level, _, _ in notices(shown(ctx))] == ["failure"]

    def test_a_damaged_record_is_a_problem_and_no_end(self, home: Path) -> None:
        (home / "schedule.json").write_text("{")
        report = shown(context(home))
        assert [problem.where for problem in report.problems] == ["schedule"]
        assert "scq schedule install" in report.problems[0].advice
        assert [level for level, _, _ in notices(report)] == ["failure"]  # nobody says that nothing is installed
        assert "schedule FAIL what is installed cannot be told" in text(report)


class TestWork:
    def at_work(self, world: World, uid: str) -> Path:
        """A job that was claimed, and the folder of its run."""
        folder = world.owner.home / "runs" / f"{uid}-2"
        folder.mkdir(parents=True)

        def claim(state: Any) -> Any:
            jobs = {
                key: replace(record, run=run("claimed", directory=folder.name, attempt=2, cause=None, exit_code=None))
                for key, record in state.jobs.items()
                if record.id == uid
            }
            return replace(state, jobs={**state.jobs, **jobs})

        Store(str(world.owner.home)).update(claim)
        return folder

    def shown(self, world: World) -> Report:
        now = datetime.now(UTC) + MINUTE
        config = Config(email=OWNER, root=str(world.root), sandbox="none")
        return shown(Context(config, str(world.owner.home), env={}, now=lambda: now))

    def test_a_job_at_work_says_since_when(self, world: World) -> None:
        uid = world.approved("alpha")
        folder = self.at_work(world, uid)
        lock = rundir.acquire_lock(str(folder))
        try:
            assert f"running {uid[:8]} alpha being prepared, attempt 2" in text(self.shown(world))
            began = datetime.now(UTC).isoformat()
            rundir.write_started(str(folder), rundir.Started(began, os.getpid(), os.getpid(), "", 0, ""))
            report = self.shown(world)
        finally:
            os.close(lock)
        assert re.search(rf"running {uid[:8]} alpha for 1 min \d s, attempt 2", text(report))
        (work,) = report.data["running"]
        assert (work["id"], work["attempt"], work["alive"], work["started_at"][:4]) == (uid, 2, True, began[:4])

    def test_a_job_whose_runner_is_gone_needs_mending(self, world: World) -> None:
        uid = world.approved("alpha")
        self.at_work(world, uid)
        report = self.shown(world)
        assert f"running FAIL {uid[:8]} alpha its runner is gone, attempt 2" in text(report)
        assert ("failure", f"{uid[:8]} alpha was cut off", "The next scq run-approved ends it.") in notices(report)

    def test_a_job_of_other_software_is_theirs(self, world: World) -> None:
        uid = world.submit("alpha", layout="a3")
        queue = world.place(uid).parent
        (queue.parent / "running").mkdir(exist_ok=True)
        (queue / uid).rename(queue.parent / "running" / uid)
        assert f"running {uid[:8]} alpha by other software" in text(self.shown(world))


class TestMessages:
    def test_messages_given_up_and_channels_that_fail_are_named(self, home: Path) -> None:
        went_well(home, "cycle", NOW)
        sent = Notification("a", "1-0", "job.received", "j", "post", OWNER, "do", NOW, state="sent", ended_at=NOW - HOUR)
        rows = {row.key: row for row in (sent, replace(sent, key="b", state="dead"))}
        troubles = {"channel relay": Trouble("no answer", NOW - HOUR, "Try again")}
        Store(str(home)).update(lambda state: replace(state, outbox=rows, troubles=troubles))
        channels = (ChannelSetting("relay", type="smtp"), ChannelSetting("post", type="file"))
        report = shown(context(home, channels=channels))
        assert notices(report) == [
            ("action", "1 message was given up", "scq outbox list"),
            ("failure", f"channel relay: no answer since {when(NOW - HOUR)}", "Try again"),
        ]
        assert "channels FAIL relay smtp ok post file, last message 1 hour ago" in text(report)


class TestSignIns:
    GMAIL = (ChannelSetting("post", type="gmail"),)

    def token(self, path: Path, **fields: Any) -> None:
        path.write_text(json.dumps({"token": "t", "refresh_token": "r", "client_id": "c", "client_secret": "s"} | fields))

    def states(self, ctx: Context) -> list[tuple[str, str]]:
        return [(item["name"], item["state"]) for item in shown(ctx).data["sign_ins"]]

    def test_only_those_that_are_needed_are_shown(self, home: Path) -> None:
        assert self.states(context(home)) == []
        assert self.states(context(home, env={"COLAB_RELEASE_TAG": "x"})) == []
        assert self.states(context(home, channels=self.GMAIL)) == [("Gmail", "missing")]
        assert self.states(context(home, drive=Drive(use="always"))) == [("Google Drive", "missing")]

    def test_their_files_say_how_long_they_last(self, home: Path) -> None:
        went_well(home, "cycle", NOW)
        path = home / "gmail_token.json"
        for ends, state in ((NOW + 5 * DAY, "ok"), (NOW + DAY, "ending"), (NOW - DAY, "ending")):
            self.token(path, refresh_token_expires_at=ends.isoformat())
            report = shown(context(home, channels=self.GMAIL))
            assert [item["state"] for item in report.data["sign_ins"]] == [state]
            assert f"Gmail until {when(ends)}" in text(report)
        assert "it has ended" in notices(report)[0][1]
        self.token(path)
        assert "sign-ins ok Gmail" in text(shown(context(home, channels=self.GMAIL)))

    def test_one_that_cannot_be_used_is_named_and_never_shown(self, home: Path) -> None:
        went_well(home, "cycle", NOW)
        (home / "gmail_token.json").write_text('{"token": 5, "client_secret": "hush"')
        report = shown(context(home, channels=self.GMAIL))
        assert [item["state"] for item in report.data["sign_ins"]] == ["unusable"]
        assert "hush" not in "".join(report.lines) + json.dumps(report.data)
        self.token(home / "gmail_token.json", scopes=["https://www.googleapis.com/auth/drive"])
        assert "it lacks gmail.send" in notices(shown(context(home, channels=self.GMAIL)))[0][1]

    def test_the_key_of_a_service_account_lasts(self, home: Path) -> None:
        key = {"type": "service_account", "client_email": "bot@example.org", "private_key": "hush"}
        (home / "token_do.json").write_text(json.dumps(key))
        assert self.states(context(home)) == [("Google Drive", "ok")]
        (home / "token_do.json").write_text(json.dumps(key | {"client_email": "bot"}))
        assert self.states(context(home)) == [("Google Drive", "unusable")]


class TestDisk:
    def full(self, free: int, files: int = 9) -> Callable[[object], os.statvfs_result]:
        result = os.statvfs_result((4096, 4096, 1 << 30, free // 4096, free // 4096, 9, files, files, 0, 255))
        return lambda path: result

    @pytest.mark.parametrize(
        ("free", "files", "state"),
        [(2 << 30, 9, "ok"), (1 << 29, 9, "low"), (1 << 20, 9, "full"), (2 << 30, 0, "full")],
    )
    def test_room_is_judged_by_what_a_job_may_leave(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, free: int, files: int, state: str
    ) -> None:
        went_well(home, "cycle", NOW)
        monkeypatch.setattr(os, "statvfs", self.full(free, files))
        report = shown(context(home))
        assert [disk["state"] for disk in report.data["disks"]] == [state]
        assert bool(notices(report)) == (state != "ok")

    def test_a_folder_that_is_not_there_is_left_out(self, home: Path) -> None:
        assert [disk["path"] for disk in shown(context(home, root="/no/such/folder")).data["disks"]] == [str(home)]


class TestService:
    def test_one_that_was_never_started_says_how_to(self, world: World) -> None:
        answer = world.owner.scq("status", "notify")
        assert "nothing makes its calls; scq start notify, or scq schedule" in answer.out
        data = world.owner.json("status", "notify")
        assert (data["name"], data["scheduler"], data["running"], data["pid"]) == ("notify", "", False, None)
        assert (data["calls"], data["lines"]) == ([], [])

    def test_an_unknown_one_is_refused(self, world: World) -> None:
        assert "is no service" in world.owner.scq("status", "sync", code=2).err

    def test_one_at_rest_shows_its_last_call_and_its_log(self, world: World) -> None:
        ctx = Context(Config(email=OWNER, root=str(world.root)), str(world.owner.home))
        loop = schedule.get("loop", {})
        for file in loop.files(calling.planned(ctx, loop, {"notify": 3600.0})):
            Path(file.path).write_text(file.text)
        install(world.owner.home, ("notify", 3600.0), scheduler="loop")
        world.owner.scq("cycle")
        answer = world.owner.scq("status", "notify")
        data = world.owner.json("status", "notify")
        assert (data["scheduler"], data["running"], data["every"]) == ("loop", False, 3600.0)
        assert 0 < len(data["lines"]) <= 5
        assert re.search(r"state +stopped +called every 1 h by loop", answer.out)
        assert re.search(r"last call +ok +notify +went well", answer.out)
        assert answer.out.rstrip().endswith(data["lines"][-1])


class TestWords:
    @pytest.mark.parametrize(
        ("value", "words"),
        [(0.2, "less than a second"), (1, "1 second"), (119, "1 minute"), (7200, "2 hours"), (86_400 * 3.5, "3 days")],
    )
    def test_durations_are_rounded_down_to_their_largest_unit(self, value: float, words: str) -> None:
        assert ago_words(value) == words

    def test_what_happened_just_now_or_later_is_just_now(self) -> None:
        assert ago(NOW, NOW) == ago(NOW + HOUR, NOW) == "just now"

    @pytest.mark.parametrize(("every", "words"), [(30, "30 s"), (0.5, "0.5 s"), (300, "5 min"), (7200, "2 h"), (90, "90 s")])
    def test_intervals_are_short(self, every: float, words: str) -> None:
        assert interval(every) == words

    def test_long_text_goes_on_below_itself_and_words_are_never_cut(self) -> None:
        lines = list(table([Row("group", "name", "ok", "word " * 30 + "x" * 100)], plain))
        assert len(lines) > 2
        indent = len("group     ok    name  ")
        assert all(line.startswith(" " * indent) for line in lines[1:])
        assert lines[-1].strip() == "x" * 100
