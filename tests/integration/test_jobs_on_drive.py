"""A job on Drive from its message to its copy, through the command line: listed, read, not decided, and told once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from scq.config_values import Config
from scq.config_values import Drive as DriveSettings
from scq.context import Context, utc_now
from scq.looking import observe, observe_peers
from scq.polling import poll
from tests import drive_world
from tests.drive_world import ALICE, OWNER
from tests.people import Person, syftbox
from tests.servers.drive import DriveServer, Fault

INBOX = f"syft_datasite#0.10.0#{OWNER}#inbox#{ALICE}"


class Drive:
    """The owner's account, with an inbox that Alice made."""

    def __init__(self, server: DriveServer, folder: Path) -> None:
        self.server = server
        self.root = syftbox(folder, OWNER)
        self.inbox = server.add_folder(ALICE, INBOX, share={OWNER: "writer"})
        token = server.token_file(folder / "token.json", OWNER, read_only=True)
        config = f"sandbox: none\ndrive_token_path: {token}\ndrive: {{endpoint: '{server.endpoint}'}}\n"
        self.owner = Person(folder / "do", self.root, OWNER, config)
        self.sent = 0

    def send(self, name: str = "study", **fields: Any) -> str:
        """Alice sends a job; the id of its message."""
        self.sent += 1
        body = drive_world.pack(drive_world.message(drive_world.job(name, **fields)))
        file_name = drive_world.file_name(drive_world.AT + self.sent, f"{self.sent:08}-0000-4000-8000-000000000000")
        return self.server.add_file(ALICE, file_name, self.inbox, body)

    def answer(self, state: str) -> None:
        """The owner answers Alice with another client."""
        box = self.server.add_folder(OWNER, "SyftBox")
        self.server.add_file(OWNER, "SYFT_peers.json", box, json.dumps({ALICE: {"state": state}}).encode())

    def copy(self, name: str = "study") -> None:
        """What the owner's client makes of a message."""
        for change in drive_world.job(name):
            place = self.root / OWNER / change["path_in_datasite"]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(change["content"])

    def check(self, *options: str, code: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = self.owner.json("check", *options, code=code)
        return found


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Drive]:
    with DriveServer() as server:
        yield Drive(server, tmp_path)


def test_a_job_is_found_before_it_arrives_and_told_once(drive: Drive) -> None:
    drive.answer("accepted")
    assert drive.check()["new_jobs"] == []
    drive.send()
    (job,) = drive.check()["new_jobs"]
    assert (job["name"], job["submitter"], job["status"], job["where"]) == ("study", ALICE, "pending", "drive")
    assert job["digest"] is None
    assert drive.check()["new_jobs"] == []
    (listed,) = drive.owner.json("list")["jobs"]
    assert (listed["id"], listed["where"]) == (job["id"], "drive")
    drive.copy()
    again = drive.check()
    assert (again["new_jobs"], again["changed_jobs"], again["events"]) == ([], [], [])
    shown = drive.owner.job(job["id"])
    assert (shown["id"], shown["where"]) == (job["id"], "local")
    assert shown["digest"].startswith("sha256:")


def test_an_archived_message_of_a_job_that_is_here_changes_nothing(drive: Drive) -> None:
    drive.answer("accepted")
    drive.check()
    message = drive.send()
    drive.check()
    drive.copy()
    drive.server.trash(message)
    assert drive.check()["events"] == []
    assert [job["where"] for job in drive.owner.json("pending")["jobs"]] == ["local"]


def test_a_job_whose_message_was_taken_back_has_vanished(drive: Drive) -> None:
    drive.check()
    message = drive.send()
    drive.check()
    drive.server.trash(message)
    assert [event["kind"] for event in drive.check()["events"]] == ["job.vanished"]
    assert drive.owner.json("list")["jobs"] == []


def test_its_files_can_be_read_from_the_message_and_nothing_is_written(drive: Drive) -> None:
    drive.send()
    (job,) = drive.check()["new_jobs"]
    before = sorted(drive.root.rglob("*"))
    shown = drive.owner.json("review", job["id"])
    first = shown["files"][0]
    assert (first["path"], first["text"]) == ("run.sh", "#!/bin/bash\npython main.py\n")
    assert {file["path"] for file in shown["files"]} == {"run.sh", "config.yaml", "code/main.py"}
    assert sorted(drive.root.rglob("*")) == before
    read = drive.owner.scq("review", job["short_id"]).out
    assert "on Google Drive, not in the SyftBox folder yet" in read
    assert "scq approve" not in read
    assert drive.owner.json("review", job["id"], "--file", "code/main.py")["files"][0]["text"] == "print(1)\n"


@pytest.mark.parametrize("verb", [("approve",), ("reject", "-r", "no")])
def test_it_is_not_decided_before_it_is_here(drive: Drive, verb: tuple[str, ...]) -> None:
    drive.send()
    (job,) = drive.check()["new_jobs"]
    refused = drive.owner.scq(verb[0], job["id"], *verb[1:], code=75)
    assert "is on Google Drive only" in refused.err
    assert "scq check --fetch" in refused.err
    drive.copy()
    drive.owner.scq("review", job["id"])
    drive.owner.scq(verb[0], job["id"], *verb[1:])


def test_what_was_read_on_drive_is_not_what_was_reviewed_here(drive: Drive) -> None:
    """A message can be replaced: only a review of the copy counts."""
    drive.send()
    (job,) = drive.check()["new_jobs"]
    drive.owner.scq("review", job["id"])
    drive.copy()
    drive.check()
    (record,) = drive.owner.state()["jobs"].values()
    assert "reviewed" not in record


def test_a_sender_who_is_no_peer_is_named_so_until_accepted(drive: Drive) -> None:
    drive.send()
    found = drive.check()
    assert [peer["address"] for peer in found["new_peers"]] == [ALICE]
    assert "not_a_peer" in found["new_jobs"][0]["flags"]
    assert "not an accepted peer" in drive.owner.scq("show", "study").out
    drive.answer("accepted")
    found = drive.check()
    assert [peer["address"] for peer in found["granted_peers"]] == [ALICE]
    assert drive.owner.job("study")["flags"] == []
    assert drive.check()["events"] == []


def test_messages_about_jobs_and_peers_reach_the_mailbox_once(drive: Drive) -> None:
    drive.answer("accepted")
    drive.owner.scq("notify")
    drive.send()
    told = drive.owner.json("notify")["messages"]
    assert {row["kind"] for row in told if row["recipient"] == OWNER} >= {"job.received"}
    drive.copy()
    assert drive.owner.json("notify")["messages"] == []


def test_a_drive_out_of_reach_stops_nothing_else(drive: Drive) -> None:
    drive.check()
    drive.copy()
    drive.server.faults.append(Fault("*", status=403, reason="domainPolicy", times=50))
    found = drive.check(code=78)
    assert [job["where"] for job in found["new_jobs"]] == ["local"]
    assert {source["name"]: source["ok"] for source in found["sources"]} == {"local": True, "drive": False}
    assert [row["where"] for row in drive.owner.json("status")["troubles"]] == ["source drive"]
    drive.server.faults.clear()
    drive.check()
    assert drive.owner.json("status")["troubles"] == []


def test_a_dead_sign_in_asks_for_another_and_is_told_once_a_day(drive: Drive) -> None:
    drive.check()
    drive.server.revoke(OWNER)
    found = drive.check(code=77)
    assert [event["kind"] for event in found["events"]] == ["auth.failed"]
    assert drive.check(code=77)["events"] == []


def test_another_account_is_refused_by_name(drive: Drive, tmp_path: Path) -> None:
    drive.server.token_file(tmp_path / "token.json", "other@hospital.example", read_only=True)
    said = drive.owner.scq("check", code=78).err
    assert "other@hospital.example" in said
    assert OWNER in said


def test_drive_is_left_alone_where_it_is_switched_off(drive: Drive) -> None:
    drive.owner.configure((drive.owner.home / "config.yaml").read_text().replace("drive: {", "drive: {use: never, "))
    drive.send()
    assert drive.check()["sources"] == [{"name": "local", "ok": True, "complete": True}]
    assert drive.server.calls == []


def test_a_dry_run_remembers_nothing(drive: Drive) -> None:
    drive.send()
    assert len(drive.check("--dry-run")["new_jobs"]) == 1
    assert len(drive.check()["new_jobs"]) == 1


def test_a_reset_leaves_what_is_on_drive(drive: Drive) -> None:
    drive.send()
    drive.send("other")
    drive.copy()
    drive.check()
    drive.owner.scq("reset", "--yes")
    drive.check()
    assert [(job["name"], job["where"]) for job in drive.owner.json("list")["jobs"]] == [("other", "drive")]


# Calls that overlap: each looks from the same place, and the one that looked first is done last.


class Call:
    """One call of the owner that is stopped between its look at Drive and what it remembers."""

    def __init__(self, drive: Drive, *, only: Literal["", "peers"] = "") -> None:
        config = Config(
            email=OWNER,
            root=str(drive.root),
            sandbox="none",
            drive_token_path=str(drive.root.parent / "token.json"),
            drive=DriveSettings(endpoint=drive.server.endpoint),
        )
        self.ctx = Context(config, str(drive.owner.home), env={}, now=utc_now)
        self.only = only
        self.remote = poll(self.ctx, self.ctx.store.load(), full=False, only=only)

    def goes_on(self) -> list[str]:
        ctx = Context(self.ctx.config, self.ctx.home, env={}, now=utc_now)
        seen = observe_peers(ctx, self.remote) if self.only else observe(ctx, remote=self.remote)
        return [event.kind for event in seen.events]


def kinds(found: dict[str, Any]) -> list[str]:
    return [event["kind"] for event in found["events"]]


@pytest.mark.parametrize("only", ["", "peers"])
def test_a_look_that_ends_after_a_newer_one_takes_no_grant_back(drive: Drive, only: Literal["", "peers"]) -> None:
    drive.check()
    late = Call(drive, only=only)
    drive.answer("accepted")
    assert kinds(drive.check()) == ["peer.granted"]
    assert late.goes_on() == []
    assert kinds(drive.check()) == [], "told a second time"
    assert drive.owner.state()["peers"][ALICE]["state"] == "accepted"


def test_a_look_that_ends_after_a_newer_one_brings_no_job_back_that_is_gone(drive: Drive) -> None:
    drive.check()
    message = drive.send()
    late = Call(drive)
    drive.server.trash(message)
    drive.check()
    late.goes_on()
    drive.check()
    assert drive.owner.json("list")["jobs"] == []


def test_a_newer_look_that_began_before_an_older_one_was_remembered_leaves_no_job_behind(drive: Drive) -> None:
    drive.check()
    message = drive.send()
    first = Call(drive)
    drive.server.trash(message)
    second = Call(drive)
    assert (first.goes_on(), second.goes_on()) == (["job.received"], [])
    assert kinds(drive.check()) == ["job.vanished"]


def test_what_only_the_older_of_two_looks_found_is_told_by_the_next(drive: Drive) -> None:
    drive.check()
    drive.send()
    late = Call(drive)
    drive.send("other")
    assert kinds(drive.check()) == ["job.received", "job.received"]
    assert late.goes_on() == []
    assert kinds(drive.check()) == []


def test_two_looks_at_the_same_tell_it_once(drive: Drive) -> None:
    drive.check()
    drive.send()
    first, second = Call(drive), Call(drive)
    assert sorted(first.goes_on() + second.goes_on()) == ["job.received"]
    assert kinds(drive.check()) == []


# Jobs that go and come again.


def test_a_job_that_is_sent_anew_after_it_had_gone_is_told_again(drive: Drive) -> None:
    drive.check()
    message = drive.send()
    assert kinds(drive.check()) == ["job.received"]
    drive.server.trash(message)
    assert kinds(drive.check()) == ["job.vanished"]
    drive.send()
    found = drive.check()
    assert (kinds(found), [job["name"] for job in found["new_jobs"]]) == (["job.received"], ["study"])


def test_a_message_that_comes_back_is_not_told_again(drive: Drive) -> None:
    drive.check()
    message = drive.send()
    (job,) = drive.check()["new_jobs"]
    drive.server.move(message, drive.server.add_folder(ALICE, "elsewhere"))
    assert kinds(drive.check()) == ["job.vanished"]
    drive.server.move(message, drive.inbox)
    assert kinds(drive.check()) == []
    assert [shown["id"] for shown in drive.owner.json("list")["jobs"]] == [job["id"]]


def test_a_job_does_not_vanish_while_its_copy_cannot_be_seen(drive: Drive) -> None:
    drive.answer("accepted")
    drive.check()
    message = drive.send()
    drive.check()
    hidden = drive.root.with_name("unmounted")
    drive.root.rename(hidden)
    drive.server.trash(message)
    assert "job.vanished" not in kinds(drive.check(code=75))
    hidden.rename(drive.root)
    drive.copy()
    assert kinds(drive.check()) == []
    assert [job["where"] for job in drive.owner.json("list")["jobs"]] == ["local"]


def test_a_job_that_went_while_the_folder_was_away_vanishes_when_it_is_back(drive: Drive) -> None:
    drive.check()
    message = drive.send()
    drive.check()
    hidden = drive.root.with_name("unmounted")
    drive.root.rename(hidden)
    drive.server.trash(message)
    drive.check(code=75)
    hidden.rename(drive.root)
    assert kinds(drive.check()) == ["job.vanished"]


def test_another_account_and_back_tells_nobody_of_an_old_grant(drive: Drive, tmp_path: Path) -> None:
    drive.answer("accepted")
    drive.check()
    other = "second@hospital.example"
    (drive.root / other).mkdir()
    box = drive.server.add_folder(other, "SyftBox")
    drive.server.add_file(other, "SYFT_peers.json", box, json.dumps({"carol@uni.example": {"state": "accepted"}}).encode())
    for address in (other, OWNER):
        drive.server.token_file(tmp_path / "token.json", address, read_only=True)
        drive.owner.email = address
        assert kinds(drive.check()) == []


# Another sign-in.


@pytest.mark.parametrize("verb", ["check", "notify", "check --dry-run", "peers --refresh", "review study"])
def test_a_new_sign_in_is_asked_whose_it_is_before_anything_is_believed(drive: Drive, tmp_path: Path, verb: str) -> None:
    drive.answer("accepted")
    drive.send()
    drive.check()
    before = drive.owner.state()
    drive.server.token_file(tmp_path / "token.json", "carol@uni.example", read_only=True)
    drive.server.forget_calls()
    said = drive.owner.scq(*verb.split(), code=78)
    assert "carol@uni.example" in said.err
    assert [call.method for call in drive.server.calls] == ["about.get"]
    after = drive.owner.state()
    assert (after["drive"], after["peers"], after["jobs"]) == (before["drive"], before["peers"], before["jobs"])


def test_a_new_sign_in_of_the_same_account_costs_one_call_more_once(drive: Drive, tmp_path: Path) -> None:
    drive.check()
    drive.server.token_file(tmp_path / "token.json", OWNER, read_only=True, refresh_token="another")
    counts = []
    for _ in range(3):
        drive.server.forget_calls()
        drive.check()
        counts.append([call.method for call in drive.server.calls])
    assert counts == [["about.get", "changes.list"], ["changes.list"], ["changes.list"]]


def test_a_dead_sign_in_is_told_in_one_line(drive: Drive) -> None:
    drive.check()
    drive.server.revoke(OWNER)
    drive.check(code=77)
    (trouble,) = drive.owner.json("status")["troubles"]
    assert "Sign in with: scq auth google --drive. Usual causes: " in trouble["advice"]


# What is shown.


def test_the_copy_of_a_job_is_shown_when_it_arrives_and_only_then(drive: Drive) -> None:
    drive.answer("accepted")
    drive.send()
    (job,) = drive.check()["new_jobs"]
    drive.copy()
    assert drive.owner.scq("check").out == f"{job['short_id']}  pending  study  (in the SyftBox folder now)\n"
    assert drive.owner.scq("check").out == ""


def test_the_jobs_of_a_stranger_make_no_mail_before_he_is_accepted(drive: Drive) -> None:
    asked = drive.owner.json("notify")["messages"]
    assert [(row["kind"], row["recipient"]) for row in asked] == [("peer.requested", OWNER)]
    for number in range(3):
        drive.send(f"job{number}")
    assert drive.owner.json("notify")["messages"] == []
    assert len(drive.owner.json("pending")["jobs"]) == 3
    drive.answer("accepted")
    told = [(row["kind"], row["recipient"]) for row in drive.owner.json("notify")["messages"]]
    assert told.count(("job.received", OWNER)) == told.count(("job.received", ALICE)) == 3
    assert drive.owner.json("notify")["messages"] == []


def test_a_job_that_has_vanished_is_shown_as_gone(drive: Drive) -> None:
    drive.check()
    message = drive.send()
    (job,) = drive.check()["new_jobs"]
    drive.server.trash(message)
    assert f"{job['short_id']}  gone  study" in drive.owner.scq("check").out


def test_an_address_that_a_shell_would_carry_out_is_quoted(drive: Drive) -> None:
    mallory = "`reboot`@evil.example"
    drive.server.add_folder(mallory, f"syft_datasite#0.10.0#{OWNER}#inbox#{mallory}", share={OWNER: "writer"})
    assert f"scq peers accept '{mallory}', or scq peers reject '{mallory}'" in drive.owner.scq("check").out


@pytest.mark.parametrize(("body", "what"), [(b"no gzip", "is not gzip"), (b"SYC2", "is encrypted")])
def test_a_review_of_a_message_that_became_unreadable_says_which(drive: Drive, body: bytes, what: str) -> None:
    message = drive.send()
    drive.check()
    drive.server.touch(message, body)
    assert f"the message with 'study' {what}" in drive.owner.scq("review", "study", code=1).err


def test_what_was_too_large_comes_with_a_full_look_once_it_is_allowed(drive: Drive) -> None:
    usual = (drive.owner.home / "config.yaml").read_text()
    drive.owner.configure(usual.replace("drive: {", "drive: {message_bytes: 100, "))
    drive.send()
    assert "scq check --full" in drive.owner.scq("check").err
    drive.owner.configure(usual.replace("drive: {", "drive: {unpacked_bytes: 100, "))
    for _ in range(3):
        drive.check("--full")
    assert "unpacks to more than 100 bytes" in drive.owner.scq("check", "--full").err
    drive.owner.configure(usual)
    assert drive.check()["new_jobs"] == []
    assert [job["name"] for job in drive.check("--full")["new_jobs"]] == ["study"]


@pytest.mark.parametrize("how", ["damaged", "refused"])
def test_peers_are_not_told_of_before_the_answers_were_read_once(drive: Drive, how: str) -> None:
    box = drive.server.add_folder(OWNER, "SyftBox")
    words = json.dumps({ALICE: {"state": "accepted"}, "bob@uni.example": {"state": "accepted"}}).encode()
    answers = drive.server.add_file(OWNER, "SYFT_peers.json", box, b"{broken" if how == "damaged" else words)
    if how == "refused":
        drive.server.faults.append(Fault("files.get_media", status=403, reason="forbidden", where=answers, times=2))
    for _ in range(2):
        assert kinds(drive.check()) == []
    drive.server.touch(answers, words)
    assert kinds(drive.check()) == []
    assert {peer["address"]: peer["state"] for peer in drive.owner.json("peers")["peers"]} == {
        ALICE: "accepted",
        "bob@uni.example": "accepted",
    }


def test_fetching_once_is_no_change_of_the_settings(drive: Drive) -> None:
    drive.check()
    drive.owner.scq("check", "--fetch")
    drive.check()
    assert [row["what"] for row in drive.owner.json("audit", "show")["rows"]] == ["opt-out"]


def test_a_job_that_arrives_as_its_sender_is_accepted_is_said_to_be_here(drive: Drive) -> None:
    drive.send()
    drive.check()
    drive.answer("accepted")
    drive.copy()
    assert "pending  study  (in the SyftBox folder now)" in drive.owner.scq("check").out
