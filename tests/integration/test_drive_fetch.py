"""Fetching from a Drive on loopback and sending back to it: real requests, real files, the real library."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid5

import pytest
from msgspec.structs import replace

from scq import returning
from scq.audit import read_rows
from scq.commands import approve, check, reject, release, run_approved, withhold
from scq.config_values import Config, Drive
from scq.context import Context
from scq.drive.poll import Poll
from scq.fetching import fetch
from scq.layouts.inbox_welcome import welcome
from scq.model import Problem
from scq.polling import poll
from scq.returning import send_back
from scq.sync_clients import alone
from tests.drive_world import ALICE, CAROL, NAMES, OWNER, change, file_name, folder, job, message, pack
from tests.golden import ROOT
from tests.servers.drive import DriveServer, Fault

STUDY = folder("study")
SCRIPT = "mkdir -p outputs/deep\necho 42 > outputs/answer.txt\nprintf '\\377' > outputs/deep/raw.bin\necho hello\n"
ARCHIVE = f"syft_{ALICE}_to_{OWNER}_archive"


class Hospital:
    """An owner with an empty SyftBox whose Drive knows Alice (accepted) and Carol (not)."""

    def __init__(self, place: Path, server: DriveServer, *, read_only: bool = False, recorded: Path | None = None) -> None:
        self.server = server
        self.root, self.home = place / "SyftBox", place / "home"
        self.root.mkdir(parents=True)
        self.home.mkdir(mode=0o700)
        token = server.token_file(self.home / "token_do.json", OWNER, read_only=read_only)
        drive = Drive(use="always", fetch=True, endpoint=server.endpoint)
        self.config = Config(email=OWNER, root=str(self.root), sandbox="none", drive_token_path=str(token), drive=drive)
        self._sent = 0
        if recorded is not None:
            server.load(recorded)
            return
        self.box = server.add_folder(OWNER, "SyftBox")
        states = json.dumps({ALICE: {"state": "accepted"}})
        server.add_file(OWNER, "SYFT_peers.json", self.box, states.encode(), mime="text/plain")
        self.inbox, self.outbox = (self._folder(ALICE, kind) for kind in ("inbox", "outbox"))
        self.carols = self._folder(CAROL, "inbox")

    def _folder(self, peer: str, kind: str) -> str:
        return self.server.add_folder(peer, f"syft_datasite#0.10.0#{OWNER}#{kind}#{peer}", share={OWNER: "writer"})

    def befriend_carol(self) -> None:
        """Accept her too, as another client does it."""
        (answers,) = self.server.find("SYFT_peers.json", OWNER)
        self.server.touch(answers.id, json.dumps({ALICE: {"state": "accepted"}, CAROL: {"state": "accepted"}}).encode())
        self.carols_outbox = self._folder(CAROL, "outbox")

    @property
    def datasite(self) -> Path:
        return self.root / OWNER

    @property
    def study(self) -> Path:
        return self.datasite / STUDY

    @property
    def review(self) -> Path:
        return self.datasite / STUDY.replace("/inbox/", "/review/")

    def context(self, **changes: Any) -> Context:
        return Context(replace(self.config, **changes), str(self.home), env={"HOME": str(self.home)})

    def send(self, changes: list[dict[str, Any]], sender: str = ALICE, inbox: str = "", **fields: Any) -> str:
        """A message from somebody; its id."""
        self._sent += 1
        name = file_name(1795248828.25 + self._sent, str(uuid5(NAMES, str(self._sent))))
        return self.server.add_file(sender, name, inbox or self.inbox, pack(message(changes, sender, **fields)))

    def look(self, ctx: Context, *, full: bool = False) -> Poll:
        found = poll(ctx, ctx.store.load(), full=full)
        assert found is not None
        assert found.failure is None, found.failure
        return found

    def fetch(self, ctx: Context | None = None) -> tuple[Poll, tuple[Problem, ...]]:
        """One look, fetching, and the save that follows."""
        ctx = ctx or self.context()
        found, problems = fetch(ctx, self.look(ctx))
        keep(ctx, found)
        return found, problems

    def places(self, message_id: str) -> list[str]:
        """Names of the folders a message lies in."""
        return [self.server.item(parent).name for parent in self.server.item(message_id).parents]

    def audited(self) -> list[str]:
        return [row.detail for row, _ in read_rows(self.context().store.audit_path) if row.what == "fetch"]

    def offline(self) -> Context:
        """A call that does not look at Drive."""
        return self.context(drive=Drive(use="never"))

    def arrived(self) -> str:
        """Alice's job, brought here and seen; its id."""
        self.send([*job()[1:], change(f"{STUDY}/run.sh", SCRIPT)])
        assert self.fetch()[1] == ()
        return str(check.run(self.offline()).data["new_jobs"][0]["id"])

    def ended(self) -> str:
        """Alice's job after its run; its id."""
        uid = self.arrived()
        approve.run(self.offline(), [uid])
        run_approved.run(self.offline())
        return uid

    def sent_back(self, ctx: Context | None = None) -> dict[str, bytes]:
        """Send what there is to be sent; what Alice has by now, by path in the folder of answers to her job."""
        assert send_back(ctx or self.context()) == ()
        start = f"{STUDY.replace('/inbox/', '/review/')}/"
        assert all(path.startswith(start) for path in self.received())
        return {path.removeprefix(start): content for path, content in self.received().items()}

    def events(self) -> list[dict[str, Any]]:
        """Every event in Alice's outbox, in the order in which her client applies them."""
        found = sorted(self.server.inside(self.outbox), key=lambda item: float(item.name.split("_")[1]))
        documents = [json.loads(document(item.content or b"")) for item in found]
        return [event for one in documents for event in one["events"]]

    def received(self) -> dict[str, bytes]:
        """The files that Alice's client has written by now, by path in the datasite."""
        files: dict[str, bytes] = {}
        for event in self.events():
            binary = event["content_type"] == "binary"
            content = base64.b64decode(event["content"]) if binary else event["content"].encode()
            assert hashlib.sha256(content).hexdigest() == event["new_hash"]
            files[event["path_in_datasite"]] = content
        return files


def keep(ctx: Context, found: Poll) -> None:
    """Save what a look found, as a look does."""

    def saved(state: Any) -> Any:
        known = state.drive
        drive = replace(found.memory, sent=known.sent, outgoing=known.outgoing, answers=known.answers)
        return replace(state, drive=drive)

    ctx.store.update(saved)


def document(body: bytes) -> bytes:
    """The JSON in the body of a message."""
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as archive:
        member = archive.extractfile("proposed_file_changes.json")
        assert member is not None
        return member.read()


@pytest.fixture
def server() -> Iterator[DriveServer]:
    with DriveServer() as drive:
        yield drive


@pytest.fixture
def hospital(tmp_path: Path, server: DriveServer) -> Hospital:
    return Hospital(tmp_path, server)


# bringing what arrived


def test_a_job_of_an_accepted_peer_is_brought_whole_and_its_message_goes_to_the_archive(hospital: Hospital) -> None:
    sent = hospital.send(job())
    found, problems = hospital.fetch()
    assert problems == ()
    assert sorted(str(path.relative_to(hospital.study)) for path in hospital.study.rglob("*") if path.is_file()) == [
        "code/main.py",
        "config.yaml",
        "run.sh",
    ]
    assert (hospital.study / "code/main.py").read_text() == "print(1)\n"
    assert hospital.places(sent) == [ARCHIVE]
    archive = hospital.server.find(ARCHIVE, OWNER)[0]
    assert [hospital.server.item(parent).name for parent in archive.parents] == ["SyftBox"]
    assert (found.jobs, found.memory.messages, found.gone) == ((), {}, frozenset({sent}))
    body = hospital.server.item(sent).content or b""
    rows = [row for row, _ in read_rows(hospital.context().store.audit_path)]
    assert [(row.what, row.detail, row.digest) for row in rows] == [
        ("fetch", f"{ALICE}: job study", f"sha256:{hashlib.sha256(body).hexdigest()}")
    ]
    assert check.run(hospital.offline()).data["new_jobs"][0]["submitter"] == ALICE


def test_with_nothing_to_fetch_no_request_is_made_and_nothing_is_locked(hospital: Hospital) -> None:
    ctx = hospital.context()
    found = hospital.look(ctx)
    hospital.server.forget_calls()
    assert fetch(ctx, found) == (found, ())
    assert hospital.server.calls == []
    assert os.listdir(hospital.root) == []


def test_a_second_message_builds_on_the_first_in_the_order_they_were_sent(hospital: Hospital) -> None:
    first, last = "print(1)\n", "print(2)\n"
    known = hashlib.sha256(first.encode()).hexdigest()
    hospital._sent = 8  # 9 comes before 10, whatever the text of the names says
    hospital.send(job())
    hospital.send([change(f"{STUDY}/code/main.py", last, old_hash=known), change(f"{STUDY}/code/more.py", "pass\n")])
    assert hospital.fetch()[1] == ()
    assert (hospital.study / "code/main.py").read_text() == last
    hospital.send([change(f"{STUDY}/code/more.py", None, old_hash=hashlib.sha256(b"pass\n").hexdigest())])
    assert hospital.fetch()[1] == ()
    assert not (hospital.study / "code/more.py").exists()
    assert hospital.audited() == [f"{ALICE}: job study", f"{ALICE}: 2 files", f"{ALICE}: 1 files"]
    assert len(hospital.server.find(ARCHIVE)) == 1, "one archive for all"


def test_what_others_send_stays_where_it_is(hospital: Hospital) -> None:
    sent = hospital.send(job(sender=CAROL), CAROL, hospital.carols)
    found, problems = hospital.fetch()
    assert problems == ()
    assert list(found.memory.messages) == [sent]
    assert not hospital.datasite.exists()


def test_a_message_in_the_name_of_somebody_else_is_refused_once(hospital: Hospital) -> None:
    sent = hospital.send(job(), sender_email=CAROL)
    found, problems = hospital.fetch()
    assert [(problem.where, problem.what) for problem in problems] == [
        (f"drive message {sent} from {ALICE}", f"is not fetched: it says that it comes from {CAROL}")
    ]
    assert found.memory.messages[sent].refused
    assert hospital.places(sent) == [f"syft_datasite#0.10.0#{OWNER}#inbox#{ALICE}"]
    assert not hospital.study.exists()
    assert hospital.fetch()[1] == ()
    ctx = hospital.context()
    assert fetch(ctx, hospital.look(ctx, full=True))[1] == ()


def test_only_what_the_permission_files_allow_is_written_and_the_rest_is_told(hospital: Hospital) -> None:
    rules = "rules:\n- pattern: '**'\n  access: {read: ['*'], write: ['*'], admin: ['*']}\n"
    forbidden = [
        change(f"{folder('theirs', sender=CAROL)}/config.yaml", "name: theirs\n"),
        change(f"{STUDY}/syft.pub.yaml", rules),
        change("app_data/job/inbox/other.txt", "x"),
    ]
    hospital.send([*job(), *forbidden, change(f"{STUDY}/code/__pycache__/main.pyc", "x")])
    _, problems = hospital.fetch()
    assert [problem.what.rpartition(" may")[0].rpartition("/")[2] for problem in problems] == [
        "config.yaml",
        "syft.pub.yaml",
        "other.txt",
    ]
    written = {path.name for path in hospital.datasite.rglob("*") if path.is_file()}
    assert written == {"main.py", "config.yaml", "run.sh", "syft.pub.yaml"}
    assert not (hospital.study / "syft.pub.yaml").exists()
    assert not (hospital.datasite / "app_data/job/inbox" / CAROL).exists()


def test_a_conflict_leaves_everything_as_it_was_and_the_message_where_it_is(hospital: Hospital) -> None:
    hospital.arrived()
    before = {path: path.read_bytes() for path in hospital.datasite.rglob("*") if path.is_file()}
    sent = hospital.send([change(f"{STUDY}/new.txt", "x"), change(f"{STUDY}/code/main.py", "print(3)\n")])
    found, problems = hospital.fetch()
    assert len(problems) == 1
    assert problems[0].what.endswith("main.py is there already with other content")
    assert {path: path.read_bytes() for path in hospital.datasite.rglob("*") if path.is_file()} == before
    assert list(found.memory.messages) == [sent]


def test_a_bad_message_never_stops_the_good_ones(hospital: Hospital) -> None:
    hospital.send([change("private/secret.txt", "x")])
    hospital.send([change("../escape.txt", "x")])
    good = hospital.send(job())
    _, problems = hospital.fetch()
    assert [problem.what for problem in problems] == [
        "is not fetched: nothing of it may be written: private/secret.txt is in a folder that nobody else changes",
        "is not fetched: nothing of it may be written: ../escape.txt climbs out of the datasite",
    ]
    assert hospital.places(good) == [ARCHIVE]
    assert not list(hospital.root.parent.rglob("escape.txt"))


def test_while_the_archive_cannot_be_had_the_files_are_brought_once_and_the_message_follows_later(hospital: Hospital) -> None:
    sent = hospital.send(job())
    hospital.server.faults.append(Fault("files.update", 403, "insufficientFilePermissions", times=1))
    found, problems = hospital.fetch()
    assert len(problems) == 1
    assert "cannot be moved to the archive" in problems[0].what
    assert found.memory.messages[sent].fetched
    assert hospital.study.is_dir()
    for path in sorted(hospital.study.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    hospital.study.rmdir()
    hospital.server.forget_calls()
    assert hospital.fetch()[1] == ()
    assert hospital.server.count("files.get_media") == 0
    assert hospital.places(sent) == [ARCHIVE]
    assert not hospital.study.exists(), "a job that was removed meanwhile does not come back"
    assert len(hospital.audited()) == 1


def test_what_was_left_out_is_told_also_when_the_archive_cannot_be_had(hospital: Hospital) -> None:
    hospital.send([*job(), change("public/notes.txt", "x")])
    hospital.server.faults.append(Fault("files.update", 403, "insufficientFilePermissions", times=1))
    _, problems = hospital.fetch()
    assert [problem.advice for problem in problems][:1] == ["It was left out."]
    assert ["may not be written" in problem.what for problem in problems] == [True, False]


def test_nothing_is_brought_of_a_peer_whose_rejection_waits_to_be_put_on_drive(hospital: Hospital) -> None:
    sent = hospital.send(job())
    ctx = hospital.context()
    seen = hospital.look(ctx)
    ctx.store.update(lambda state: replace(state, drive=replace(state.drive, answers={ALICE: "rejected"})))
    assert fetch(ctx, seen)[0].memory.messages.keys() == {sent}, "decided after the look"
    assert hospital.fetch()[1] == ()
    assert hospital.places(sent) == [f"syft_datasite#0.10.0#{OWNER}#inbox#{ALICE}"]
    assert not hospital.study.exists()


def test_a_message_that_was_taken_away_since_the_look_is_gone(hospital: Hospital) -> None:
    moved, removed = hospital.send(job("one")), hospital.send(job("two"))
    ctx = hospital.context()
    seen = hospital.look(ctx)
    hospital.server.move(moved, hospital.box)
    hospital.server.remove(removed)
    found, problems = fetch(ctx, seen)
    assert (problems, found.memory.messages, found.jobs) == ((), {}, ())
    assert found.gone == {moved, removed}
    assert not hospital.datasite.exists()


def test_what_was_refused_is_tried_again_when_a_person_asks_for_everything(hospital: Hospital) -> None:
    hospital.send(job())
    assert len(hospital.fetch(hospital.context(submission_files=1))[1]) == 1
    assert hospital.fetch()[1] == ()
    assert not hospital.study.exists()
    report = check.run(hospital.context(), full=True, fetch=True)
    assert report.problems == ()
    assert hospital.study.exists()


def test_a_file_that_is_another_one_since_the_look_is_refused(hospital: Hospital) -> None:
    changed, swapped = hospital.send(job("one")), hospital.send(job("two"))
    ctx = hospital.context()
    seen = hospital.look(ctx)
    hospital.server.touch(changed, b"no message at all")
    hospital.server.item(swapped).owner = CAROL
    found, problems = fetch(ctx, seen)
    assert [problem.what for problem in problems] == [
        "is not fetched: it is not gzip",
        "is not fetched: it belongs to somebody else than the folder it lies in",
    ]
    assert [message.refused for message in found.memory.messages.values()] == [True, True]
    assert not hospital.study.parent.exists()


def test_while_another_client_works_nothing_is_fetched(hospital: Hospital) -> None:
    sent = hospital.send(job())
    with alone(str(hospital.root), {"HOME": str(hospital.home)}):
        found, problems = hospital.fetch()
    assert len(problems) == 1
    assert "nothing was fetched" in problems[0].what
    assert list(found.memory.messages) == [sent]
    name = "syfteventsmessagev3_1795248900.5_3c7db404-a886-4ac9-81f7-2bb2fea3249a.tar.gz"
    ctx = hospital.context()
    found, problems = fetch(ctx, replace(hospital.look(ctx), foreign=(name,)))
    assert "another program syncs this account" in problems[0].what
    assert list(found.memory.messages) == [sent]
    assert hospital.fetch()[1] == ()
    assert hospital.places(sent) == [ARCHIVE]


def test_a_sign_in_that_may_only_read_is_told_and_nothing_is_lost(tmp_path: Path, server: DriveServer) -> None:
    hospital = Hospital(tmp_path, server, read_only=True)
    sent = hospital.send(job())
    found, problems = hospital.fetch()
    assert len(problems) == 1
    assert "scq auth google --drive --write" in problems[0].advice
    assert list(found.memory.messages) == [sent]
    assert not hospital.study.exists()


def test_a_disk_that_cannot_be_written_keeps_the_senders_later_messages_waiting(hospital: Hospital) -> None:
    first, second = hospital.send(job()), hospital.send([change(f"{STUDY}/code/more.py", "pass\n")])
    welcome(str(hospital.root), OWNER, ALICE)
    queue = hospital.datasite / "app_data/job"
    (queue / f".fetched.{os.getpid()}.tmp").write_text("in the way of the folder that is built")
    os.chmod(queue, 0o755)
    found, problems = hospital.fetch()
    assert len(problems) == 1
    assert "cannot be written" in problems[0].what
    assert list(found.memory.messages) == [first, second]
    (queue / f".fetched.{os.getpid()}.tmp").unlink()
    assert hospital.fetch()[1] == ()
    assert (hospital.study / "code/more.py").exists()


def test_when_drive_is_out_of_reach_the_rest_waits_for_the_next_call(hospital: Hospital) -> None:
    hospital.send(job())
    ctx = hospital.context(drive=replace(hospital.config.drive, timeout=0.5))
    seen = hospital.look(hospital.context())
    hospital.server.faults.append(Fault("files.get_media", 503, times=100))
    found, problems = fetch(ctx, seen)
    assert len(problems) == 1
    assert "cannot be fetched now" in problems[0].what
    assert len(found.memory.messages) == 1
    hospital.server.faults.clear()
    assert hospital.fetch()[1] == ()


RECORDED = ROOT / "drive"
TAKEN = ("01_one_job", "02_multi_file_job", "07_two_senders_v0", "08_one_job_v0")


@pytest.mark.skipif(not RECORDED.is_dir(), reason="no fixtures beside the repository")
@pytest.mark.parametrize("scenario", TAKEN)
def test_jobs_that_real_clients_sent_lie_here_as_they_were_sent(tmp_path: Path, server: DriveServer, scenario: str) -> None:
    hospital = Hospital(tmp_path, server, recorded=RECORDED / scenario)
    jobs = json.loads((RECORDED / scenario / "expected.json").read_text("utf-8"))["jobs"]
    assert hospital.fetch()[1] == ()
    for wanted in jobs:
        place = hospital.datasite / wanted["job_dir"]
        assert sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()) == sorted(wanted["files"])
    assert {found["name"] for found in check.run(hospital.offline()).data["new_jobs"]} == {one["job_name"] for one in jobs}


# sending back


def test_a_submitter_gets_the_state_of_his_job_and_of_its_results_only_what_was_released(hospital: Hospital) -> None:
    uid = hospital.ended()
    assert set(hospital.sent_back()) == {"state.yaml"}
    release.run(hospital.offline(), uid, only=["answer.txt"], reason="sound")
    assert set(hospital.sent_back()) == {"state.yaml", "outputs/answer.txt"}
    release.run(hospital.offline(), uid, logs=True, reason="sound")
    got = hospital.sent_back()
    assert got == {
        "state.yaml": (hospital.review / "state.yaml").read_bytes(),
        "outputs/answer.txt": b"42\n",
        "outputs/deep/raw.bin": b"\xff",
        "stdout.txt": b"hello\n",
        "stderr.txt": b"",
        "returncode.txt": b"0",
    }


def test_each_change_is_sent_once_and_without_news_no_request_is_made(hospital: Hospital) -> None:
    hospital.ended()
    hospital.sent_back()
    events = hospital.events()
    assert [(event["path_in_datasite"].rpartition("/")[2], event["old_hash"]) for event in events] == [("state.yaml", None)]
    assert events[0]["datasite_email"] == OWNER
    hospital.server.forget_calls()
    hospital.sent_back()
    assert hospital.server.calls == []


def test_the_times_in_an_outbox_only_grow_also_when_the_clock_goes_back(hospital: Hospital) -> None:
    uid = hospital.arrived()
    approve.run(hospital.offline(), [uid])
    hospital.sent_back()
    ctx = hospital.context()
    early = replace_now(ctx, -3600)
    reject.run(hospital.offline(), [uid], reason="no")
    hospital.sent_back(early)
    times = [float(item.name.split("_")[1]) for item in hospital.server.inside(hospital.outbox)]
    assert len(times) == 2
    assert times == sorted(set(times))
    states = [event["content"] for event in hospital.events()]
    assert ["status: approved" in states[0], "status: rejected" in states[1]] == [True, True]


def replace_now(ctx: Context, seconds: float) -> Context:
    """A call on a machine whose clock goes wrong."""
    from datetime import timedelta

    real = ctx.now
    ctx.now = lambda: real() + timedelta(seconds=seconds)
    return ctx


def test_withheld_results_never_leave(hospital: Hospital) -> None:
    uid = hospital.ended()
    withhold.run(hospital.offline(), uid, reason="not these")
    (hospital.review / "outputs").mkdir(exist_ok=True)
    (hospital.review / "outputs/answer.txt").write_text("put there by hand")
    assert set(hospital.sent_back()) == {"state.yaml"}


def test_a_result_that_is_not_what_was_released_does_not_leave(hospital: Hospital) -> None:
    uid = hospital.ended()
    release.run(hospital.offline(), uid, reason="sound")
    (hospital.review / "outputs/answer.txt").write_text("43\n")
    problems = send_back(hospital.context())
    assert len(problems) == 1
    assert problems[0].where.endswith("outputs/answer.txt")
    assert "it is not what was released" in problems[0].what
    names = {path.rpartition("/")[2] for path in hospital.received()}
    assert names == {"state.yaml", "raw.bin"}
    (hospital.review / "outputs/answer.txt").unlink()
    (hospital.review / "outputs/answer.txt").symlink_to("/etc/passwd")
    assert len(send_back(hospital.context())) == 1
    assert {path.rpartition("/")[2] for path in hospital.received()} == names


def test_an_upload_whose_answer_got_lost_is_recognised_and_not_made_twice(hospital: Hospital) -> None:
    hospital.ended()
    hospital.server.faults.append(Fault("files.create", 500, times=50, carried_out=True))
    ctx = hospital.context(drive=replace(hospital.config.drive, timeout=0.5))
    send_back(ctx)
    hospital.server.faults.clear()
    hospital.sent_back()
    hospital.server.forget_calls()
    hospital.sent_back()
    assert hospital.server.calls == []
    assert len(hospital.server.inside(hospital.outbox)) == 1


def test_what_cannot_be_sent_now_is_sent_later_also_when_the_job_is_over_by_then(hospital: Hospital) -> None:
    hospital.ended()
    hospital.server.revoke(OWNER)
    problems = send_back(hospital.context())
    assert len(problems) == 1
    assert "answers wait to be sent" in problems[0].what
    check.run(hospital.offline(), full=True)
    ctx = hospital.context()
    assert ctx.store.load().jobs == {}, "it is among the finished ones"
    hospital.server.token_file(hospital.home / "token_do.json", OWNER)
    assert set(hospital.sent_back()) == {"state.yaml"}
    hospital.sent_back()
    assert hospital.context().store.load().drive.sent == {}, "and nothing of it has to be remembered"


def test_large_results_go_in_several_messages_and_the_state_comes_last(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(returning, "BATCH", 2)
    uid = hospital.ended()
    release.run(hospital.offline(), uid, reason="sound")
    assert set(hospital.sent_back()) == {"outputs/answer.txt", "outputs/deep/raw.bin", "state.yaml"}
    assert len(hospital.server.inside(hospital.outbox)) == 3
    assert hospital.events()[-1]["path_in_datasite"].endswith("state.yaml")
    monkeypatch.setattr(returning, "LARGEST", 2)
    hospital.context().store.update(lambda state: replace(state, drive=replace(state.drive, sent={})))
    problems = send_back(hospital.context())
    assert ["is too large" in problem.what for problem in problems] == [True, True]


def test_nothing_is_sent_to_a_peer_who_is_not_accepted_any_more_nor_with_fetching_switched_off(hospital: Hospital) -> None:
    hospital.ended()
    hospital.server.forget_calls()
    assert send_back(hospital.context(drive=replace(hospital.config.drive, fetch=False))) == ()
    ctx = hospital.context()
    ctx.store.update(lambda state: replace(state, drive=replace(state.drive, states={ALICE: "rejected"})))
    assert send_back(hospital.context()) == ()
    assert hospital.server.calls == []


def test_nothing_is_sent_to_a_peer_whose_rejection_is_written_down(hospital: Hospital) -> None:
    hospital.ended()
    ctx = hospital.context()
    ctx.store.update(lambda state: replace(state, drive=replace(state.drive, answers={ALICE: "rejected"})))
    assert hospital.sent_back() == {}


def test_nothing_is_sent_to_a_peer_whom_another_client_has_rejected_since_the_look(hospital: Hospital) -> None:
    hospital.ended()
    (answers,) = hospital.server.find("SYFT_peers.json", OWNER)
    hospital.server.touch(answers.id, json.dumps({ALICE: {"state": "rejected"}}).encode())
    assert hospital.sent_back() == {}
    hospital.server.touch(answers.id, json.dumps({ALICE: {"state": "accepted"}, CAROL: {"state": "rejected"}}).encode())
    hospital.server.trash(answers.id)
    assert hospital.sent_back() == {}
    hospital.server.trash(answers.id, False)
    assert set(hospital.sent_back()) == {"state.yaml"}


def test_what_the_permission_files_keep_from_a_submitter_is_not_sent(hospital: Hospital) -> None:
    uid = hospital.ended()
    release.run(hospital.offline(), uid, reason="sound")
    rules = hospital.review / "syft.pub.yaml"
    before = rules.read_text()
    rules.write_text("rules:\n- pattern: state.yaml\n  access: {read: [" + ALICE + "]}\n")
    problems = send_back(hospital.context())
    assert {path.rpartition("/")[2] for path in hospital.received()} == {"state.yaml"}
    assert ["do not let alice@uni.example read it" in problem.what for problem in problems] == [True, True]
    rules.write_text(before)
    assert set(hospital.sent_back()) == {"state.yaml", "outputs/answer.txt", "outputs/deep/raw.bin"}


def test_an_outbox_that_is_somebody_elses_or_gone_gets_nothing(hospital: Hospital) -> None:
    hospital.ended()
    hospital.server.item(hospital.outbox).owner = CAROL
    (problem,) = send_back(hospital.context())
    assert (problem.where, "is not there any more" in problem.what) == (f"peer {ALICE}", True)
    assert hospital.events() == []
    hospital.server.item(hospital.outbox).owner = ALICE
    hospital.server.trash(hospital.outbox)
    assert len(send_back(hospital.context())) == 1
    hospital.server.trash(hospital.outbox, False)
    assert set(hospital.sent_back()) == {"state.yaml"}


def test_an_outbox_that_cannot_be_written_keeps_no_answer_from_others(hospital: Hospital) -> None:
    hospital.befriend_carol()
    hospital.send(job("theirs", sender=CAROL), CAROL, hospital.carols)
    hospital.arrived()
    approve.run(hospital.offline(), [known.id for known in hospital.context().store.load().jobs.values()])
    for blocked, other in ((hospital.outbox, hospital.carols_outbox), (hospital.carols_outbox, hospital.outbox)):
        for item in (*hospital.server.inside(blocked), *hospital.server.inside(other)):
            hospital.server.remove(item.id)
        forgotten = hospital.context().store.update(lambda state: replace(state, drive=replace(state.drive, sent={})))
        assert len(forgotten.jobs) == 2
        hospital.server.share(blocked, OWNER, "reader")
        (problem,) = send_back(hospital.context())
        assert "answers wait to be sent" in problem.what
        assert len(hospital.server.inside(other)) == 1
        hospital.server.share(blocked, OWNER, "writer")


def test_what_was_released_is_sent_also_when_the_job_was_over_before_anything_was_sent(hospital: Hospital) -> None:
    uid = hospital.ended()
    release.run(hospital.offline(), uid, reason="sound")
    check.run(hospital.offline(), full=True)
    assert hospital.context().store.load().jobs == {}
    assert set(hospital.sent_back()) == {"state.yaml", "outputs/answer.txt", "outputs/deep/raw.bin"}


def test_what_was_released_waits_for_an_outbox_that_is_gone_for_a_while(hospital: Hospital) -> None:
    hospital.befriend_carol()
    uid = hospital.ended()
    release.run(hospital.offline(), uid, reason="sound")
    check.run(hospital.offline(), full=True)
    ctx = hospital.context()
    known = ctx.store.load().drive.folders
    without = {id: known for id, known in known.items() if id != hospital.outbox}
    ctx.store.update(lambda state: replace(state, drive=replace(state.drive, folders=without)))
    assert hospital.sent_back() == {}
    ctx.store.update(lambda state: replace(state, drive=replace(state.drive, folders=known)))
    assert set(hospital.sent_back()) == {"state.yaml", "outputs/answer.txt", "outputs/deep/raw.bin"}
    hospital.sent_back()
    assert ctx.store.load().drive.sent == {}
    later = hospital.context()
    ctx.store.update(lambda state: replace(state, drive=replace(state.drive, folders=without, sent={key_of(ctx): {}})))
    replace_now(later, 31 * 24 * 3600)
    hospital.sent_back(later)
    assert ctx.store.load().drive.sent == {}, "but not for ever"


def key_of(ctx: Context) -> str:
    """The one job that is over."""
    (key,) = ctx.store.finished_keys()
    return key


def test_with_the_sign_in_of_another_account_nothing_leaves(hospital: Hospital) -> None:
    hospital.ended()
    hospital.server.token_file(hospital.home / "token_do.json", CAROL)
    problems = send_back(hospital.context())
    assert len(problems) == 1
    assert CAROL in problems[0].what
    assert hospital.events() == []


def test_our_own_events_are_no_sign_of_another_client(hospital: Hospital) -> None:
    hospital.ended()
    hospital.sent_back()
    hospital.send(job("next"))
    assert hospital.fetch()[1] == ()
    assert (hospital.study.parent / "next").is_dir()
