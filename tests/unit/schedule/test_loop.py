"""The loop: real processes that start small scripts, and once the real scq."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from scq.errors import ConfigError, ScqError, UsageError
from scq.ports import Entry, Schedule
from scq.schedule import loop, resident
from scq.schedule.loop import Loop

SCQ = os.path.join(os.path.dirname(sys.executable), "scq")


def wait_for(is_so: Callable[[], object], what: str) -> None:
    """Wait until something is so; fail the test after 30 s."""
    until = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < until, what
        time.sleep(0.01)


class Place:
    """A home with a loop that calls a script."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.loop = Loop(os.environ)
        home.mkdir(mode=0o700)

    def script(self, text: str, name: str = "call") -> str:
        path = self.home / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    def schedule(self, text: str, every: float = 3600, *names: str) -> Schedule:
        program = self.script(text)
        return Schedule(str(self.home), tuple(Entry(name, (program, name), every, "call") for name in names or ("notify",)))

    def pid_file(self, name: str = "notify") -> Path:
        return self.home / f"syft-{name}.pid"

    def pid(self, name: str = "notify") -> int:
        return int(self.pid_file(name).read_text().splitlines()[0])

    def states(self) -> dict[str, str]:
        return {entry.name: entry.state for entry in self.loop.installed(str(self.home))}

    def calls(self) -> list[str]:
        path = self.home / "calls"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path / "home")
    yield made
    for file in made.home.glob("syft-*.pid"):
        alive = loop._alive(str(file)) if file.is_file() and not file.is_symlink() else None
        if alive is not None and alive.known:
            os.kill(alive.pid, signal.SIGTERM)


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
    except FileNotFoundError:
        return True


def test_installing_writes_what_to_start_and_calls_again_and_again(place: Place) -> None:
    wanted = place.schedule('echo $1 $$ >> "${0%/*}/calls"', 0.05)
    done = place.loop.install(wanted)
    assert done == (f"wrote {place.home}/loop.json", f"notify: started, process {place.pid()}")
    wait_for(lambda: len(place.calls()) >= 6, "three calls")
    (entry,) = place.loop.installed(str(place.home))
    assert (entry.state, entry.pid, entry.every, entry.place) == ("running", place.pid(), 0.05, str(place.pid_file()))
    assert not place.loop.verify(wanted)
    assert place.loop.unusable() == ""


def test_the_pid_file_begins_with_the_number_of_a_small_detached_process_that_only_its_owner_can_read(place: Place) -> None:
    place.loop.install(place.schedule("exit 0"))
    text = place.pid_file().read_text().splitlines()
    assert text == [str(place.pid()), f"started {resident.begun_at(place.pid())}", "every 3600"]
    assert place.pid_file().stat().st_mode & 0o777 == 0o600
    assert os.getsid(place.pid()) != os.getsid(0)
    assert os.readlink(f"/proc/{place.pid()}/fd/1") == "/dev/null"
    words = Path(f"/proc/{place.pid()}/cmdline").read_bytes().split(b"\0")
    assert words[1] == b"-I"
    assert words[2].endswith(b"/scq/schedule/resident.py")


def test_installing_again_changes_nothing(place: Place) -> None:
    wanted = place.schedule("exit 0")
    place.loop.install(wanted)
    before = place.pid()
    assert place.loop.install(wanted) == ()
    assert place.pid() == before


def test_another_interval_makes_another_process(place: Place) -> None:
    wanted = place.schedule("exit 0")
    place.loop.install(wanted)
    done = place.loop.install(replace(wanted, entries=(replace(wanted.entries[0], every=1800.0),)))
    assert done[:2] == ("notify: stopped", f"wrote {place.home}/loop.json")
    assert "started" in done[2]
    assert place.loop.installed(str(place.home))[0].every == 1800.0


def test_an_entry_that_is_not_wanted_any_more_ends(place: Place) -> None:
    wanted = place.schedule("exit 0", 3600, "notify", "approve")
    place.loop.install(wanted)
    pid = place.pid("approve")
    assert "approve: stopped" in place.loop.install(replace(wanted, entries=wanted.entries[:1]))
    wait_for(lambda: is_gone(pid), "its end")
    assert place.states() == {"notify": "running"}


def test_removing_ends_everything_and_leaves_no_file_of_ours(place: Place) -> None:
    place.loop.install(place.schedule("exit 0", 3600, "notify", "approve"))
    pids = [place.pid("notify"), place.pid("approve")]
    done = place.loop.remove(str(place.home))
    assert done == ("notify: stopped", "approve: stopped", f"removed {place.home}/loop.json")
    wait_for(lambda: all(is_gone(pid) for pid in pids), "their ends")
    assert {*os.listdir(place.home)} <= {"call", "syft-approve.error.log", "syft-notify.error.log"}
    assert place.loop.remove(str(place.home)) == ()


def test_stopping_and_starting_one_entry_leaves_the_other_alone(place: Place) -> None:
    place.loop.install(place.schedule("exit 0", 3600, "notify", "approve"))
    other = place.pid("approve")
    assert place.loop.stop(str(place.home), "notify") == "notify: stopped"
    assert not place.pid_file().exists()
    assert place.loop.stop(str(place.home), "notify") == "notify: was not running"
    assert place.states() == {"notify": "stopped", "approve": "running"}
    assert place.loop.start(str(place.home), "notify") == f"notify: started, process {place.pid()}"
    assert place.loop.start(str(place.home), "notify") == "notify: is running already"
    assert place.pid("approve") == other


def test_many_starts_at_once_make_one_process(place: Place) -> None:
    place.loop.install(place.schedule('echo x >> "${0%/*}/calls"'))
    place.loop.stop(str(place.home), "notify")
    said: list[str] = []
    threads = [threading.Thread(target=lambda: said.append(place.loop.start(str(place.home), "notify"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == sorted([*["notify: is running already"] * 7, f"notify: started, process {place.pid()}"])


def test_calls_that_take_longer_overlap_but_only_a_few(place: Place) -> None:
    place.loop.install(place.schedule('echo x >> "${0%/*}/calls"; exec sleep 60', 0.02))
    wait_for(lambda: len(place.calls()) == resident.MOST, "calls at work")
    children = Path(f"/proc/{place.pid()}/task/{place.pid()}/children")
    before = children.read_text().split()
    os.kill(place.pid(), signal.SIGHUP)  # wakes it: nothing to do
    os.kill(int(before[0]), signal.SIGKILL)
    wait_for(lambda: len(place.calls()) == resident.MOST + 1, "a call in place of the one that ended")
    assert len(children.read_text().split()) <= resident.MOST
    place.loop.stop(str(place.home), "notify")
    wait_for(lambda: all(is_gone(int(pid)) for pid in before), "their ends")


def test_a_stubborn_call_is_killed_with_what_it_started_within_the_grace_time(place: Place) -> None:
    place.loop.install(place.schedule("trap '' TERM; sleep 600 & echo $$ $! >> \"${0%/*}/calls\"; wait; while :; do wait; done"))
    wait_for(lambda: len(place.calls()) == 2, "the call")
    assert resident.GRACE_S < loop.STOP_S < 10.1
    assert place.loop.stop(str(place.home), "notify") == "notify: stopped"
    wait_for(lambda: all(is_gone(int(pid)) for pid in place.calls()), "the end of both")


def test_a_process_that_does_not_end_is_killed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "STOP_S", 0.1)
    place.loop.install(place.schedule('echo $$ >> "${0%/*}/calls"; while :; do read x < "${0%/*}/gate"; done'))
    os.mkfifo(place.home / "gate")
    wait_for(place.calls, "a call at work")
    pid = place.pid()
    os.kill(pid, signal.SIGSTOP)
    assert place.loop.stop(str(place.home), "notify") == "notify: killed, as it did not end; ended 1 call(s) at work"
    wait_for(lambda: is_gone(pid) and is_gone(int(place.calls()[0])), "the end of both")
    assert place.states() == {"notify": "stopped"}


def test_after_kill_9_it_is_stopped_its_call_ends_by_itself_and_it_starts_again(place: Place) -> None:
    place.loop.install(place.schedule('echo $$ >> "${0%/*}/calls"; read x < "${0%/*}/gate"; echo over >> "${0%/*}/calls"'))
    os.mkfifo(place.home / "gate")
    wait_for(place.calls, "the call")
    os.kill(place.pid(), signal.SIGKILL)
    wait_for(lambda: place.states() == {"notify": "stopped"}, "nobody holds the file")
    assert place.pid_file().exists()
    place.loop.start(str(place.home), "notify")
    wait_for(lambda: len(place.calls()) >= 2, "the next call")
    (place.home / "gate").write_text("go\ngo\n")
    wait_for(lambda: "over" in place.calls(), "the call that was left alone")
    assert place.states() == {"notify": "running"}


def test_a_number_that_became_somebody_elses_is_never_signalled(place: Place) -> None:
    place.loop.install(place.schedule("exit 0"))
    place.loop.stop(str(place.home), "notify")
    with subprocess.Popen(["sleep", "600"]) as stranger:
        place.pid_file().write_text(f"{stranger.pid}\nstarted 1\nevery 30\n")
        assert place.states() == {"notify": "stopped"}
        assert place.loop.stop(str(place.home), "notify") == "notify: was not running"
        with open(place.pid_file(), "r+") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert place.states() == {"notify": "unknown"}
            with pytest.raises(ScqError, match="is held by a process that it does not name"):
                place.loop.stop(str(place.home), "notify")
        assert stranger.poll() is None
        stranger.kill()


def test_who_only_looks_keeps_nobody_from_starting(place: Place) -> None:
    place.loop.install(place.schedule("exit 0"))
    place.loop.stop(str(place.home), "notify")
    with open(place.pid_file(), "w") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.1, lambda: fcntl.flock(looking, fcntl.LOCK_UN)).start()
        assert "started" in place.loop.start(str(place.home), "notify")


def test_a_pid_file_that_was_removed_ends_its_process(place: Place) -> None:
    place.loop.install(place.schedule("exit 0", 0.05))
    pid = place.pid()
    place.pid_file().unlink()
    wait_for(lambda: is_gone(pid), "the process nobody could find")
    assert not place.pid_file().exists()


def test_a_home_that_was_removed_ends_its_process(place: Place) -> None:
    place.loop.install(place.schedule("exit 0", 0.05))
    pid = place.pid()
    shutil.rmtree(place.home)
    wait_for(lambda: is_gone(pid), "the process of a home that is gone")


def test_a_program_that_is_gone_is_noted_and_tried_again(place: Place) -> None:
    wanted = place.schedule('echo x >> "${0%/*}/calls"', 0.05)
    (place.home / "call").rename(place.home / "away")
    place.loop.install(wanted)
    log = place.home / "syft-notify.error.log"
    wait_for(lambda: log.exists() and "No such file" in log.read_text(), "the note")
    assert " - scq.loop - ERROR - " in log.read_text()
    assert [problem.what for problem in place.loop.verify(wanted)] == ["is not a program that can be started"]
    (place.home / "away").rename(place.home / "call")
    wait_for(place.calls, "a call")


def test_what_keeps_calls_from_being_made_is_said_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    made = resident.Resident(0, str(tmp_path / "pid"), str(log), 1.0, ["/nowhere/scq"])
    for _ in range(3):
        made.start()
    assert log.read_text().endswith(" - scq.loop - ERROR - /nowhere/scq: No such file or directory\n")
    assert len(log.read_text().splitlines()) == 1
    made.calls = {*range(resident.MOST)}
    made.start()
    assert len(log.read_text().splitlines()) == 1, "calls may take a while"
    made.started_at -= resident.FULL_S
    for _ in range(3):
        made.start()
    assert "4 calls do not end" in log.read_text().splitlines()[1]
    assert len(log.read_text().splitlines()) == 2
    for end in made.bell:
        os.close(end)


def test_what_calls_write_on_stderr_stands_in_the_error_log_also_after_it_was_put_aside(place: Place) -> None:
    place.loop.install(place.schedule("echo said; echo wrong >&2", 0.05))
    log = place.home / "syft-notify.error.log"
    wait_for(lambda: log.exists() and log.read_text().startswith("wrong\n"), "stderr of a call")
    log.rename(place.home / "aside")
    wait_for(log.exists, "a new one")
    assert "said" not in (place.home / "aside").read_text()


def test_an_error_log_that_cannot_be_written_ends_no_call(place: Place) -> None:
    (place.home / "syft-notify.error.log").mkdir()
    place.loop.install(place.schedule('echo wrong >&2; echo x >> "${0%/*}/calls"', 0.05))
    wait_for(lambda: len(place.calls()) > 1, "calls")


def test_an_install_that_was_cut_short_is_completed_by_the_next_one(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = place.schedule("exit 0", 3600, "notify", "approve")
    place.loop.install(wanted)
    changed = replace(wanted, entries=tuple(replace(entry, argv=(*entry.argv, "more")) for entry in wanted.entries))
    for step in ("stop", "write", "start"):  # killed before the second stop, before the file is new, before the second start
        with monkeypatch.context() as patch:
            if step == "write":
                patch.setattr(loop, "write_atomic", _killed_here)
            else:
                patch.setattr(Loop, step, _killed_at_second(getattr(Loop, step)))
            with pytest.raises(_KilledError):
                place.loop.install(changed)
        place.loop.install(changed)
        assert place.states() == {"notify": "running", "approve": "running"}
        for name in ("notify", "approve"):
            assert b"\0more\0" in Path(f"/proc/{place.pid(name)}/cmdline").read_bytes()
        place.loop.install(wanted)


class _KilledError(Exception):
    """Stands for a kill -9: nothing is tidied up."""


def _killed_here(*args: object, **options: object) -> None:
    raise _KilledError


def _killed_at_second(step: Callable[..., str]) -> Callable[..., str]:
    done: list[str] = []

    def call(self: Loop, home: str, name: str) -> str:
        if done:
            raise _KilledError
        done.append(name)
        return step(self, home, name)

    return call


def test_removing_ends_processes_that_no_readable_file_names(place: Place) -> None:
    place.loop.install(place.schedule("exit 0", 3600, "notify", "approve"))
    pids = [place.pid("notify"), place.pid("approve")]
    (place.home / "loop.json").write_text("{")
    assert place.loop.remove(str(place.home)) == ("notify: stopped", "approve: stopped", f"removed {place.home}/loop.json")
    wait_for(lambda: all(is_gone(pid) for pid in pids), "their ends")
    assert place.loop.remove(str(place.home / "none")) == ()


def test_who_calls_without_standard_streams_starts_it_all_the_same(place: Place) -> None:
    place.loop.install(place.schedule('echo x >> "${0%/*}/calls"'))
    place.loop.stop(str(place.home), "notify")
    (place.home / "calls").unlink(missing_ok=True)
    code = f"import os; from scq.schedule.loop import Loop; Loop(os.environ).start({str(place.home)!r}, 'notify')"
    ended = subprocess.run([sys.executable, "-c", f"import os; os.closerange(0, 3); {code}"], check=False, timeout=30)
    assert ended.returncode == 0
    wait_for(place.calls, "a call")
    assert place.states() == {"notify": "running"}


def test_starting_leaves_nothing_of_the_caller_open(place: Place) -> None:
    place.loop.install(place.schedule("exec sleep 60"))
    place.loop.stop(str(place.home), "notify")
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    place.loop.start(str(place.home), "notify")
    os.close(writing)
    assert os.read(reading, 1) == b"", "nobody else holds the other end"
    os.close(reading)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs the administrator")
def test_a_process_of_somebody_else_is_never_signalled_whatever_the_file_says(place: Place) -> None:
    place.loop.install(place.schedule("exit 0"))
    place.loop.stop(str(place.home), "notify")
    with subprocess.Popen(["sleep", "600"]) as stranger:
        place.pid_file().write_text(f"{stranger.pid}\nstarted {resident.begun_at(stranger.pid)}\nevery 30\n")
        os.chown(place.pid_file(), 65534, 65534)
        with open(place.pid_file(), "r+") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert place.states() == {"notify": "unknown"}
            with pytest.raises(ScqError, match="does not name"):
                place.loop.stop(str(place.home), "notify")
        assert stranger.poll() is None
        stranger.kill()


BAD_ENTRIES = (
    '{"name": "../x", "argv": ["/bin/true"], "every": 1, "meaning": ""}',
    '{"name": "notify", "argv": [], "every": 1, "meaning": ""}',
    '{"name": "notify", "argv": ["true"], "every": 1, "meaning": ""}',
    '{"name": "notify", "argv": ["/x", "\\u0000"], "every": 1, "meaning": ""}',
    '{"name": "notify", "argv": ["/x"], "every": 0, "meaning": ""}',
)


@pytest.mark.parametrize("text", ["", "{}", "null", "[" * 100_000, "\xff\xfe", *(f"[{entry}]" for entry in BAD_ENTRIES)])
def test_a_damaged_file_is_named_and_written_anew(place: Place, text: str) -> None:
    (place.home / "loop.json").write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match=r"loop.json: does not say what to start"):
        place.loop.installed(str(place.home))
    place.loop.install(place.schedule("exit 0"))
    assert place.states() == {"notify": "running"}


@pytest.mark.parametrize("content", [b"", b"\xff\xff", b"9" * 5000, b"-1\n", b"1\nstarted 0\nevery x\n", b"0\n"])
def test_a_left_over_pid_file_with_any_content_is_no_process(place: Place, content: bytes) -> None:
    place.loop.install(place.schedule("exit 0"))
    place.loop.stop(str(place.home), "notify")
    place.pid_file().write_bytes(content)
    assert place.states() == {"notify": "stopped"}
    with open(place.pid_file(), "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert place.states() == {"notify": "unknown"}
    assert "started" in place.loop.start(str(place.home), "notify")


@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_a_pid_file_that_is_no_file_is_refused(place: Place, kind: str) -> None:
    place.loop.install(place.schedule("exit 0"))
    place.loop.stop(str(place.home), "notify")
    target = place.home / "precious"
    target.write_text("kept")
    {"fifo": os.mkfifo, "link": lambda path: path.symlink_to(target), "folder": os.mkdir}[kind](place.pid_file())
    for act in (place.loop.start, place.loop.stop):
        with pytest.raises(ConfigError, match="is not a regular file"):
            act(str(place.home), "notify")
    assert target.read_text() == "kept"


def test_a_folder_that_knows_no_locks_is_an_error_of_the_machine(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.loop.install(place.schedule("exit 0"))
    place.loop.stop(str(place.home), "notify")
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", _no_locks)
        with pytest.raises(OSError, match="No locks available"):
            place.loop.start(str(place.home), "notify")


def _no_locks(fd: int, operation: int) -> None:
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def test_a_process_that_cannot_begin_is_an_error_with_advice(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.loop.install(place.schedule("exit 0"))
    place.loop.stop(str(place.home), "notify")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ScqError, match="the loop could not be started"):
        place.loop.start(str(place.home), "notify")
    monkeypatch.setattr(sys, "executable", "/bin/true")
    with pytest.raises(ScqError, match="did not stay") as error:
        place.loop.start(str(place.home), "notify")
    assert "syft-notify.error.log" in error.value.advice


def test_verifying_names_what_is_missing_stopped_and_changed(place: Place) -> None:
    wanted = place.schedule("exit 0")
    assert [problem.what for problem in place.loop.verify(wanted)] == ["does not have notify"]
    place.loop.install(wanted)
    changed = replace(wanted, entries=(replace(wanted.entries[0], argv=("/bin/true",)),))
    assert [problem.what for problem in place.loop.verify(changed)] == ["notify makes other calls than it would if installed now"]
    place.loop.stop(str(place.home), "notify")
    (problem,) = place.loop.verify(wanted)
    assert problem.what == "nothing makes the calls of notify"
    assert "restart of the machine" in problem.advice


def test_an_unknown_entry_and_another_account_are_refused(place: Place) -> None:
    with pytest.raises(UsageError, match="is not installed"):
        place.loop.start(str(place.home), "other")
    with pytest.raises(UsageError, match="whole machine"):
        place.loop.files(replace(place.schedule("exit 0"), user="nobody"))


def test_the_real_scq_is_called(place: Place) -> None:
    root = place.home.parent / "SyftBox"
    (root / "owner@example.org").mkdir(parents=True)
    (place.home / "config.yaml").write_text("sandbox: none\n")
    line = (SCQ, "--home", str(place.home), "--root", str(root), "--email", "owner@example.org", "cycle")
    place.loop.install(Schedule(str(place.home), (Entry("notify", line, 3600, "look"),)))
    wait_for((place.home / "locks" / "cycle.done").exists, "a cycle that went well")
    assert place.loop.stop(str(place.home), "notify") == "notify: stopped"
    assert (place.home / "syft-notify.error.log").read_text() == ""
