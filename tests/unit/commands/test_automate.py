"""`scq automate`: the owner's own program decides, in time, with little in its hands, and nobody else's program does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from scq.audit import read_rows
from scq.cli.session import Session
from scq.commands import automate
from scq.context import Context
from scq.looking import view
from scq.store import exclusive
from tests.people import OWNER, SECOND, Person, World

APPROVE_ALL = """
scq pending --json | {python} -c '
import json, subprocess, sys
for job in json.load(sys.stdin)["data"]["jobs"]:
    subprocess.run(["scq", "approve", job["id"], "--digest", job["digest"]], check=True)
'
"""


def program(world: World, text: str, *more: str, **settings: Any) -> Path:
    """A program of the owner's, and the configuration that names it."""
    path = world.folder / "decide.sh"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o700)
    world.owner.configure(json.dumps({"sandbox": "none", "approve": {"command": [str(path), *more], **settings}}))
    return path


def log(world: World) -> str:
    return "".join(path.read_text() for path in world.owner.home.glob("*.log"))


def until(condition: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up, what
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process is there and not a zombie nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_without_a_program_nothing_happens_and_nothing_is_said(world: World) -> None:
    world.submit()
    answer = world.owner.scq("automate")
    assert (answer.out, answer.err) == ("", "")
    assert world.owner.json("automate") == {
        "ran": False,
        "exit_code": None,
        "took_s": None,
        "waiting": [],
        "decided": [],
        "dry_run": False,
    }


def test_without_a_job_that_waits_the_program_is_not_started(world: World) -> None:
    program(world, f"touch {world.folder}/ran\n")
    data = world.owner.json("automate")
    assert (data["ran"], data["waiting"]) == (False, [])
    uid = world.submit()
    world.owner.scq("reject", uid, "-r", "no")
    world.owner.scq("automate")
    assert not (world.folder / "ran").exists()


def test_a_job_for_somebody_else_does_not_start_it(world: World) -> None:
    program(world, f"touch {world.folder}/ran\n")
    source = world.folder / "code" / "other"
    source.mkdir(parents=True)
    (source / "run.sh").write_text("#!/bin/sh\n")
    world.owner.scq("submit", SECOND, str(source), "--name", "theirs")
    assert world.owner.json("automate")["ran"] is False
    assert not (world.folder / "ran").exists()


def test_the_program_decides_by_calling_scq_and_the_report_says_about_what(world: World) -> None:
    program(world, APPROVE_ALL.format(python=sys.executable))
    uid = world.submit("first")
    answer = world.owner.scq("automate", "--json")
    data = answer.json["data"]
    assert (data["ran"], data["exit_code"], data["waiting"]) == (True, 0, [uid])
    assert data["decided"] == [{"id": uid, "short_id": uid[:8], "name": "first", "verdict": "approve", "by": OWNER}]
    assert world.owner.job(uid)["status"] == "approved"
    assert uid[:8] in log(world), "what the program wrote stands in the log"
    assert world.owner.json("automate")["ran"] is False


def test_what_was_decided_stands_in_the_report_for_people(world: World) -> None:
    program(world, f'{sys.executable} -c "import scq.__main__ as m; m.main()" reject "$(cat {world.folder}/id)" -r no >&2\n')
    uid = world.submit("first")
    (world.folder / "id").write_text(uid)
    assert world.owner.scq("automate").out == f"{uid[:8]}  rejected  first\n"


def test_a_program_that_decides_nothing_leaves_everything_waiting_and_is_quiet(world: World) -> None:
    program(world, "echo thinking\n")
    uid = world.submit()
    answer = world.owner.scq("automate")
    assert (answer.out, answer.err) == ("", "")
    assert "thinking" in log(world)
    assert world.owner.job(uid)["status"] == "pending"


def test_the_program_gets_its_place_an_empty_input_and_no_secret(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "s3cret")
    monkeypatch.setenv("LANG", "C.UTF-8")
    seen = world.folder / "seen"
    program(world, f"env > {seen}; pwd >> {seen}; cat >> {seen}; echo $#: $1 >> {seen}\n", "two words; $(touch x)")
    world.submit()
    world.owner.scq("automate")
    lines = seen.read_text().splitlines()
    words = dict(line.partition("=")[::2] for line in lines if "=" in line)
    assert words.keys() - {"PWD", "SHLVL", "_", "OLDPWD"} == {
        "PATH",
        "HOME",
        "LANG",
        "SCQ_HOME",
        "SCQ_ROOT",
        "SCQ_EMAIL",
        "SCQ_CONFIG",
    }
    assert (words["SCQ_HOME"], words["SCQ_ROOT"]) == (str(world.owner.home), str(world.root))
    assert (words["SCQ_EMAIL"], words["SCQ_CONFIG"]) == (OWNER, str(world.owner.home / "config.yaml"))
    assert words["PATH"].startswith(os.path.dirname(sys.executable) + ":")
    assert lines[-2:] == [str(world.owner.home), "1: two words; $(touch x)"]


def test_scq_called_by_its_name_is_found_where_it_was_called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place = tmp_path / "bin"
    place.mkdir()
    (place / "scq").write_text("#!/bin/sh\n")
    (place / "scq").chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(place / "scq")])
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert automate._folder_of_scq() == str(place)


@pytest.mark.parametrize(("status", "code"), [(75, 75), (1, 1), (3, 1), (77, 1)])
def test_the_exit_code_says_what_became_of_it(world: World, status: int, code: int) -> None:
    path = program(world, f"echo one; echo two >&2; exit {status}\n")
    world.submit()
    answer = world.owner.scq("automate", "--json", code=code)
    assert answer.json["data"]["exit_code"] == status
    assert answer.json["errors"] == ([] if code == 75 else [f"approve.command: {path} failed with exit code {status}"])
    shown = world.owner.scq("automate", code=code)
    assert shown.out == ("" if code == 75 else "  | one\n  | two\n")


def test_a_program_ended_by_a_signal_is_named(world: World) -> None:
    program(world, "kill -KILL $$\n")
    world.submit()
    assert "was ended by signal 9" in world.owner.scq("automate", code=1).err


def test_no_more_than_the_end_of_a_flood_is_kept_and_shown_clean(world: World) -> None:
    program(world, "yes hello | head -c 300000; printf '\\033[31mlast \\377\\n'; exit 1\n")
    world.submit()
    lines = world.owner.scq("automate", code=1).out.splitlines()
    assert len(lines) == automate.TAIL_LINES
    assert lines[-1] == "  | last \ufffd"
    assert log(world).count("hello") <= automate.LOGGED_LINES + automate.TAIL_LINES


def test_the_log_of_a_failure_has_each_line_of_the_program_once(world: World) -> None:
    program(world, "seq -f 'step %g' 1 30; exit 1\n")
    world.submit()
    world.owner.scq("automate", code=1)
    text = (world.owner.home / "syft-approve.log").read_text()
    assert [text.count(f"step {number} [") for number in range(1, 31)] == [1] * 30
    assert text.index("step 1 [") < text.index("step 20 [") < text.index("step 21 [") < text.index("step 30 [")


def test_a_program_that_leaves_a_process_of_its_own_behind_is_not_waited_for(world: World) -> None:
    """One that makes a session of its own and keeps the output open: it is out of reach, and holds nobody up."""
    program(world, f"setsid sh -c 'echo $$ > {world.folder}/pid; exec sleep 300' & sleep 0.2; exit 0\n")
    world.submit()
    try:
        assert world.owner.json("automate")["exit_code"] == 0
    finally:
        os.kill(int((world.folder / "pid").read_text()), signal.SIGKILL)


def test_nothing_is_decided_while_the_jobs_cannot_be_looked_at(world: World) -> None:
    program(world, f"touch {world.folder}/ran\n")
    world.submit()
    world.owner.scq("check")
    world.root.rename(world.folder / "away")
    assert world.owner.json("automate", code=75)["ran"] is False
    assert not (world.folder / "ran").exists()


def test_it_is_ended_with_everything_it_started_when_its_time_is_over(world: World) -> None:
    pids = world.folder / "pids"
    program(world, f"sleep 300 & echo $! > {pids}; echo $$ >> {pids}; wait\n", timeout=0.3)
    world.submit()
    answer = world.owner.scq("automate", code=1)
    assert "did not end within 0.3 s (approve.timeout) and was stopped" in answer.err
    for pid in map(int, pids.read_text().split()):
        until(lambda pid=pid: not alive(pid), "it still runs")  # type: ignore[misc]


def test_one_that_ignores_the_first_signal_is_killed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automate, "GRACE_S", 0.1)
    program(world, f"trap '' TERM; echo $$ > {world.folder}/pid; exec >&- 2>&-; while :; do sleep 0.1; done\n", timeout=0.3)
    world.submit()
    assert world.owner.json("automate", code=1)["exit_code"] is None
    assert not alive(int((world.folder / "pid").read_text()))


def test_what_it_leaves_in_the_background_is_neither_awaited_nor_left(world: World) -> None:
    program(world, f"sleep 300 & echo $! > {world.folder}/pid\n")
    world.submit()
    assert world.owner.json("automate")["exit_code"] == 0
    until(lambda: not alive(int((world.folder / "pid").read_text())), "it still runs")


def test_whoever_ends_the_call_ends_the_program(world: World) -> None:
    pid = world.folder / "pid"
    program(world, f"echo $$ > {pid}.new; mv {pid}.new {pid}; sleep 300\n")
    world.submit()
    place = ["--home", str(world.owner.home), "--root", str(world.root), "--email", OWNER]
    call = subprocess.Popen([sys.executable, "-m", "scq", *place, "automate"], stderr=subprocess.PIPE)
    until(pid.exists, "it does not start")
    call.send_signal(signal.SIGTERM)
    _, err = call.communicate(timeout=30)
    assert (call.returncode, err) == (130, b"interrupted\n")
    until(lambda: not alive(int(pid.read_text())), "it still runs")


def test_it_runs_in_a_thread_of_a_program_too(world: World) -> None:
    import threading

    program(world, "exit 0\n")
    world.submit()
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(automate.run(context(world.owner)).exit_code))
    thread.start()
    thread.join(30)
    assert found == [0]


def context(person: Person) -> Context:
    return Session(str(person.home), str(person.root), person.email, "", -1.0).context()


def test_a_second_call_leaves_it_to_the_first(world: World) -> None:
    program(world, f"touch {world.folder}/ran\n")
    world.submit()
    with exclusive(str(world.owner.home / "locks" / "automate.lock"), 0):
        answer = world.owner.scq("automate", code=75)
    assert (answer.out, answer.err) == ("", "")
    assert not (world.folder / "ran").exists()


def test_a_dry_run_says_what_it_would_start_and_starts_nothing(world: World) -> None:
    path = program(world, f"touch {world.folder}/ran\n", "--token=s3cret")
    uid = world.submit()
    answer = world.owner.scq("automate", "--dry-run")
    assert answer.out == f"would run {path}: 1 job waits for a decision\n"
    world.submit("second")
    assert "2 jobs wait for a decision" in world.owner.scq("automate", "--dry-run").out
    data = world.owner.json("automate", "--dry-run")
    assert (data["dry_run"], data["ran"], data["waiting"][0]) == (True, False, uid)
    assert not (world.folder / "ran").exists()


@contextmanager
def opened(path: Path, mode: int) -> Iterator[None]:
    before = path.stat().st_mode & 0o7777
    path.chmod(mode)
    yield
    path.chmod(before)


@pytest.mark.parametrize("mode", [0o770, 0o707])
@pytest.mark.parametrize("what", ["the program", "its folder", "a script behind an interpreter", "the target of a link"])
def test_a_program_that_others_can_change_is_refused(world: World, mode: int, what: str) -> None:
    place = world.folder / "bin"
    place.mkdir()
    script = place / "decide.sh"
    script.write_text(f"#!/bin/sh\ntouch {world.folder}/ran\n")
    script.chmod(0o700)
    link = world.folder / "link"
    link.symlink_to(script)
    command = {"a script behind an interpreter": ["/bin/sh", str(script)], "the target of a link": [str(link)]}
    world.owner.configure(json.dumps({"sandbox": "none", "approve": {"command": command.get(what, [str(script)])}}))
    world.submit()
    loose = place if what == "its folder" else script
    with opened(loose, mode):
        answer = world.owner.scq("automate", code=78)
        assert f"approve.command: {loose} can be written by other accounts" in answer.err
        assert f"chmod go-w {loose}" in answer.err
        assert not (world.folder / "ran").exists()
        world.owner.scq("automate", "--dry-run", code=78)
    world.owner.scq("automate")
    assert (world.folder / "ran").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("relative", [True, False])
def test_a_link_on_the_way_that_others_can_change_is_refused(world: World, relative: bool) -> None:
    """Ours points at theirs, theirs points at a program of ours: today."""
    path = program(world, f"touch {world.folder}/ran\n")
    shared = world.folder / "shared"
    shared.mkdir()
    (shared / "theirs").symlink_to(path)
    os.lchown(shared / "theirs", 65534, 65534)
    ours = world.folder / "ours"
    ours.symlink_to("shared/theirs" if relative else shared / "theirs")
    world.owner.configure(json.dumps({"sandbox": "none", "approve": {"command": [str(ours)]}}))
    world.submit()
    assert f"{shared}/theirs belongs to somebody else" in world.owner.scq("automate", code=78).err
    assert not (world.folder / "ran").exists()


def test_a_program_reached_through_a_linked_folder_is_run(world: World) -> None:
    path = program(world, "exit 0\n")
    (world.folder / "real" / "deep").mkdir(parents=True)
    (world.folder / "real" / "deep" / "decide").symlink_to(f"../../{path.name}")
    (world.folder / "linked").symlink_to("real/deep")
    world.owner.configure(json.dumps({"sandbox": "none", "approve": {"command": [str(world.folder / "linked" / "decide")]}}))
    world.submit()
    assert world.owner.json("automate")["exit_code"] == 0


def test_in_a_folder_where_only_owners_rename_it_is_safe(world: World) -> None:
    path = program(world, "exit 0\n")
    world.submit()
    with opened(path.parent, 0o1777):
        assert world.owner.json("automate")["ran"] is True


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_program_of_somebody_else_is_refused(world: World) -> None:
    path = program(world, "exit 0\n")
    os.chown(path, 65534, 65534)
    world.submit()
    assert "belongs to somebody else" in world.owner.scq("automate", code=78).err


def test_a_program_that_is_not_there_or_cannot_run_is_a_matter_of_configuration(world: World) -> None:
    path = program(world, "exit 0\n")
    world.submit()
    path.chmod(0o600)
    assert "is not a program that can be run" in world.owner.scq("automate", code=78).err
    path.chmod(0o700)
    path.write_text("#!/no/such/interpreter\n")
    assert f"{path} cannot be started" in world.owner.scq("automate", code=78).err
    path.unlink()
    world.owner.scq("automate", code=78)


def test_a_job_that_cannot_be_approved_or_comes_from_a_stranger_starts_nothing(world: World) -> None:
    uid = world.submit()
    records = view(context(world.owner), full=False).records
    (key, record), ctx = next(iter(records.items())), context(world.owner)
    sighting = record.sighting
    others = [
        replace(record, invalid=("no run.sh",)),
        replace(record, sighting=replace(sighting, where="drive")),
        replace(record, sighting=replace(sighting, flags=("not_a_peer",))),
        replace(record, missing_since=ctx.now()),
        replace(record, status="approved"),
    ]
    assert [job.id for job in automate._waiting(ctx, {key: record}).values()] == [uid]
    assert [automate._waiting(ctx, {key: other}) for other in others] == [{}] * len(others)


def test_another_program_than_last_time_is_a_row_of_the_audit_log(world: World) -> None:
    program(world, "exit 0\n")
    world.submit()
    world.owner.scq("automate")
    path = program(world, "exit 0\n", "--all")
    world.owner.scq("automate")
    rows = [row for row, _ in read_rows(context(world.owner).store.audit_path)]
    assert [row.what for row in rows if str(path) in row.detail] == ["config"]
    assert "--all" in rows[-1].detail
