"""`scq doctor` and a Slurm cluster: what is wrong is named, nothing stays there, and nothing holds it up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

import scq.commands.doctor as doctor
from scq import __version__, checking, checking_cluster, installed
from scq.config import load
from scq.context import Context
from scq.errors import CONFIG, FAILED, OK
from scq.executors.slurm import probe
from scq.executors.slurm.order import ANSWER, Answer, Probe
from scq.model import Problem
from scq.report import Report
from tests.unit.slurm_stand_in import StandIn

ME = "owner@example.org"
NAMES = ("cluster", "shared", "node")


class Place:
    """A home with a cluster of stand-in commands."""

    def __init__(self, folder: Path) -> None:
        self.home, self.root, self.shared = folder / "home", folder / "SyftBox", folder / "shared"
        self.home.mkdir(mode=0o700)
        self.shared.mkdir(mode=0o711)
        self.shared.chmod(0o711)
        (self.root / ME).mkdir(parents=True)
        self.slurm = StandIn(folder)

    def context(self, more: str = "", sandbox: str = "bwrap") -> Context:
        (self.home / "config.yaml").write_text(
            f"do_email: {ME}\nsyftbox_root: {self.root}\nsandbox: {sandbox}\n"
            f"executor: {{name: slurm, slurm: {{shared_dir: {self.shared}, bin: {self.slurm.bin}, file_delay: 0, {more}}}}}\n"
        )
        (self.home / "config.yaml").chmod(0o600)
        env = {"HOME": str(self.home.parent), "PATH": os.environ["PATH"]}
        loaded = load(str(self.home / "config.yaml"), env, {}, home=str(self.home), strict=False)
        return Context(loaded.config, str(self.home), env=env, problems=loaded.problems)

    def look(self, more: str = "") -> list[tuple[str, str, str]]:
        """(name, level, detail) of what is found out about the cluster."""
        return [(check.name, check.level, check.detail) for check in checking.cluster(self.context(more))]

    def odd(self, more: str = "") -> list[tuple[str, str, str]]:
        return [found for found in self.look(more) if found[1] != "ok"]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    assert os.listdir(made.shared) == []
    submitted = [call for call in made.slurm.calls("sbatch") if "--version" not in call and "--test-only" not in call]
    assert len(made.slurm.calls("scancel")) == len(submitted)


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little patience with a job that will never answer."""
    monkeypatch.setattr(probe, "PATIENCE_S", 0.4)


def test_a_machine_alone_has_no_cluster_to_look_at(place: Place) -> None:
    ctx = place.context()
    (place.home / "config.yaml").write_text(f"do_email: {ME}\n")
    assert list(checking.cluster(Context(load(str(place.home / "config.yaml"), {}, {}).config, ctx.home))) == []
    assert place.slurm.calls("scontrol") == []


def test_a_good_cluster_has_its_node_answer(place: Place) -> None:
    found = place.look()
    assert [(name, level) for name, level, _ in found] == [("cluster", "ok"), ("shared", "ok"), ("node", "ok")], found
    assert found[0][2] == "slurm-wlm 22.05.8"
    assert os.uname().nodename in found[2][2]
    (submitted,) = (call for call in place.slurm.calls("sbatch") if "--version" not in call)
    assert {"--time=1", "--deadline=now+15minutes"} <= set(submitted.split())


def test_doctor_reports_it_among_the_rest(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.slurm.answers(more=',"problems":[{"where":"sandbox","what":"no bwrap","advice":"Install it."}]')
    monkeypatch.setattr(doctor, "CHECKS", (checking.limits, checking.cluster))
    report: Report = doctor.run(place.context())
    levels = {check["name"]: check["level"] for check in report.data["checks"]}
    assert levels == {"limits": "ok", "cluster": "ok", "shared": "ok", "node": "failure"}
    assert report.exit_code == FAILED
    assert "FAIL  node: node n1: sandbox: no bwrap" in report.lines
    place.slurm.answers()
    assert doctor.run(place.context()).exit_code == OK


def test_a_wrong_configuration_is_not_carried_to_the_cluster(place: Place) -> None:
    assert list(checking.cluster(place.context(sandbox="none"))) == []
    assert place.slurm.calls("scontrol") == []
    assert doctor.run(place.context(sandbox="none")).exit_code == CONFIG


def test_missing_commands_are_named(place: Place) -> None:
    (place.slurm.bin / "squeue").unlink()
    (place.slurm.bin / "scancel").unlink()
    ((name, level, detail),) = place.look()
    assert (name, level) == ("cluster", "failure")
    assert "squeue" in detail
    assert "scancel" in detail
    assert "sbatch" not in detail.partition(": ")[2]


@pytest.mark.parametrize(("said", "shown"), [("slurm 18.08.1", "is old"), ("Slurm, of course", "does not tell"), ("", "nothing")])
def test_a_version_that_is_not_known_to_work_is_a_note(said: str, shown: str, place: Place) -> None:
    place.slurm.answers()
    text = (place.slurm.bin / "sbatch").read_text().replace("slurm-wlm 22.05.8", said)
    place.slurm.write("sbatch", text)
    ((name, level, detail),) = place.odd()
    assert (name, level) == ("cluster", "warning")
    assert shown in detail


def test_without_a_controller_nothing_is_submitted(place: Place) -> None:
    place.slurm.scontrol(state="DOWN")
    ((_, level, detail),) = place.odd()
    assert (level, "head is DOWN" in detail) == ("failure", True)


@pytest.mark.parametrize("name", ["scontrol", "sbatch"])
def test_a_command_that_hangs_is_given_up(name: str, place: Place) -> None:
    place.slurm.hangs(name)
    ((_, level, detail),) = place.odd("command_timeout: 0.3")
    assert (level, name in detail) == ("failure", True)


def test_a_cluster_that_forgets_too_soon_or_kills_at_once_is_a_note(place: Place) -> None:
    place.slurm.answers()
    place.slurm.scontrol(age=59, wait=2)
    found = place.odd()
    assert [(name, level) for name, level, _ in found] == [("cluster", "warning")] * 2
    assert "59 s" in found[0][2]
    assert "MinJobAge" in found[0][2]
    assert "2 s" in found[1][2]
    assert "KillWait" in found[1][2]


def test_a_schedule_has_to_call_before_the_cluster_forgets(place: Place) -> None:
    place.slurm.answers()
    place.slurm.scontrol(age=300)
    entries = (("notify", 60.0), ("run", 600.0))
    installed.write(str(place.home), installed.Record(scheduler="cron", at=datetime.now(UTC), entries=entries))
    ((_, level, detail),) = place.odd()
    assert (level, "600 s between two calls" in detail) == ("warning", True)


def test_each_place_of_a_rule_is_tried_once(place: Place) -> None:
    place.slurm.answers()
    rules = "rules: [{tags: a, partition: p}, {tags: b, partition: p}, {tags: c, cpus: 2}, {tags: d, partition: gone}]"
    ((_, level, detail),) = place.odd(rules)
    assert (level, detail) == ("failure", "rule 4 of executor.slurm.rules: allocation failure: Invalid partition name specified")
    tried = [call for call in place.slurm.calls("sbatch") if "--test-only" in call]
    assert len(tried) == 3
    assert sum("partition=p" in call for call in tried) == 1


@pytest.mark.parametrize(("mode", "shown"), [(0o777, "written by others"), (0o731, "written by others")])
def test_a_shared_folder_open_to_others_is_not_used(mode: int, shown: str, place: Place) -> None:
    place.shared.chmod(mode)
    found = place.odd()
    place.shared.chmod(0o711)
    assert [(name, level) for name, level, _ in found] == [("shared", "failure")]
    assert shown in found[0][2]


@pytest.mark.parametrize(("mode", "noted"), [(0o777, True), (0o1777, False), (0o755, False)])
def test_a_folder_in_which_others_could_exchange_it_is_noted(mode: int, noted: bool, place: Place, tmp_path: Path) -> None:
    tmp_path.chmod(mode)
    found = [(level, detail) for name, level, detail in place.look() if name == "shared"]
    tmp_path.chmod(0o700)
    assert [level for level, _ in found] == ["warning" if noted else "ok"]
    assert (f"write in {tmp_path} can put another folder in its place" in found[0][1]) == noted


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to a group it is not in")
def test_so_is_one_that_a_group_can_write(place: Place, tmp_path: Path) -> None:
    tmp_path.chmod(0o775)
    assert [level for name, level, _ in place.look() if name == "shared"] == ["ok"]
    os.chown(tmp_path, -1, 12345)
    assert [level for name, level, _ in place.look() if name == "shared"] == ["warning"]
    tmp_path.chmod(0o700)


def test_a_shared_folder_that_is_none_is_named(place: Place, tmp_path: Path) -> None:
    place.shared.rmdir()
    assert "No such file" in place.odd()[0][2]
    place.shared.write_text("")
    assert "not a folder" in place.odd()[0][2]
    place.shared.unlink()
    (tmp_path / "other").mkdir()
    place.shared.symlink_to(tmp_path / "other")
    assert "not a folder" in place.odd()[0][2]
    place.shared.unlink()
    place.shared.mkdir()
    if os.geteuid() == 0:
        os.chown(place.shared, 65534, 65534)
        assert "belongs to user 65534" in place.odd()[0][2]
        os.chown(place.shared, 0, 0)
        place.shared.chmod(0o700)
        assert "cannot pass" in place.odd()[0][2]


@pytest.mark.parametrize(
    ("when", "level", "shown"),
    [
        ("1 second", "ok", "the box holds"),
        ("10 seconds", "warning", "10 s ahead"),
        ("10 seconds ago", "warning", "10 s behind"),
        ("2 minutes", "failure", "120 s ahead"),
        ("2 minutes ago", "failure", "120 s behind"),
    ],
)
def test_clocks_that_differ_are_named_with_the_difference(when: str, level: str, shown: str, place: Place) -> None:
    place.slurm.answers(when=when)
    found = [(found, detail) for name, found, detail in place.look() if name == "node"]
    assert any(entry == level and shown in detail for entry, detail in found), found


def test_what_is_missing_on_a_node_is_named(place: Place, tmp_path: Path) -> None:
    (tmp_path / "cohort").mkdir()
    place.slurm.answers(uid=4711, more=f',"missing":["{tmp_path}/cohort","bash"]')
    found = [detail for _, _, detail in place.odd()]
    assert found[0] == f"node n1 does not have {tmp_path}/cohort, bash"
    assert "user 4711" in found[1]


def test_a_node_looks_for_what_jobs_need(place: Place, tmp_path: Path) -> None:
    gone = tmp_path / "cohort"
    gone.mkdir()
    place.slurm.sbatch(f"rmdir {gone}; sh {place.slurm.bin}/script > $control/slurm.txt 2>&1")
    ctx = place.context(f"python: {sys.executable}")
    (place.home / "config.yaml").write_text((place.home / "config.yaml").read_text() + f"data: [{{path: {gone}}}]\n")
    ctx = Context(load(str(place.home / "config.yaml"), ctx.env, {}, home=ctx.home).config, ctx.home, env=ctx.env)
    found = [check for check in checking.cluster(ctx) if check.level != "ok"]
    assert [check.detail.partition(" does not have ")[2] for check in found] == [str(gone)]


@pytest.mark.parametrize("reason", ["None", ""])
def test_no_reason_is_not_shown_as_one(reason: str, place: Place, brief: None) -> None:
    place.slurm.sbatch("")
    place.slurm.squeue(f'echo "$name|PENDING||{reason}"')
    ((_, _, detail),) = place.odd()
    assert detail == "no node took the tiny job: it waits for a node"


def test_a_place_that_is_refused_names_its_setting(place: Place) -> None:
    place.slurm.sbatch("echo 'sbatch: error: Batch job submission failed: Invalid partition name specified' >&2; exit 1")
    (refused,) = [check for check in checking.cluster(place.context()) if check.level != "ok"]
    assert "sbatch refused it: Batch job submission failed: Invalid partition name specified" in refused.detail
    assert "executor.slurm.partition" in refused.advice


def test_a_slurm_conf_that_is_not_there_is_named_before_anything_is_asked(place: Place, tmp_path: Path) -> None:
    ((name, level, detail),) = place.odd(f"conf: {tmp_path}/none.conf")
    assert (name, level) == ("cluster", "failure")
    assert detail == f"executor.slurm.conf: {tmp_path}/none.conf is not there"
    assert place.slurm.calls("scontrol") == []


def test_trying_the_box_makes_no_folder_where_a_share_is_not_mounted(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.shared = place.shared / "mount" / "ana"
    monkeypatch.setattr(doctor, "CHECKS", (doctor._sandbox,))
    report = doctor.run(place.context())
    assert report.exit_code == FAILED
    assert f"{place.shared}: No such file or directory" in report.lines[0]
    place.shared = place.home.parent / "shared"


def test_a_job_that_waits_is_taken_back_with_the_reason(place: Place, brief: None) -> None:
    place.slurm.sbatch("")
    place.slurm.squeue('echo "$name|PENDING||ReqNodeNotAvail, UnavailableNodes:n[1-2]"')
    ((name, level, detail),) = place.odd()
    assert (name, level) == ("node", "failure")
    assert detail == "no node took the tiny job: it waits for a node (ReqNodeNotAvail, UnavailableNodes:n[1-2])"
    (call,) = place.slurm.calls("scancel")
    assert "--name=trial-" in call


@pytest.mark.parametrize(
    ("then", "queue", "shown"),
    [
        ("echo 'No module named scq' > $control/slurm.txt", 'echo "$name|FAILED|n1|None"', "as FAILED: No module named scq"),
        ("", 'echo "$name|NODE_FAIL||None"', "it ended as NODE_FAIL"),
        ("", "true", "does not know it any more"),
        ("", "echo 'other|FAILED|n1|x'; echo 'junk'", "does not know it any more"),
        ("", 'echo "$name|RUNNING|n1|None"', "runs on node n1, and no answer was seen"),
        ("", "exec sleep 60", "squeue: no answer"),
        ("", "echo 'squeue: error: Unable to contact slurm controller' >&2; exit 1", "squeue: Unable to contact"),
        ("echo '{}' > $control/answer.json", "true", "cannot be understood"),
        ("printf '\\377' > $control/answer.json", "true", "cannot be understood"),
        ("mkfifo $control/answer.json", "true", "cannot be understood"),
        ("ln -s /etc/passwd $control/answer.json", "true", "cannot be understood"),
        ("head -c 300000 /dev/zero > $control/answer.json", "true", "larger than"),
        ("echo 'Invalid account' >&2; exit 1", "true", "sbatch refused it: Invalid account"),
        ("mkfifo $control/slurm.txt", "true", "does not know it any more"),
    ],
)
def test_a_job_without_an_answer_says_what_is_known(then: str, queue: str, shown: str, place: Place, brief: None) -> None:
    place.slurm.sbatch(then)
    place.slurm.squeue(queue)
    ((name, level, detail),) = place.odd("command_timeout: 1")
    assert (name, level) == ("node", "failure")
    assert shown in detail


def test_what_a_killed_call_left_is_removed_when_it_is_old(place: Place) -> None:
    left = [place.shared / f"trial-{number}.run" for number in (1, 2)]
    for folder in left:
        folder.mkdir()
    os.utime(left[0], (0, 0))
    assert place.odd() == []
    assert sorted(place.shared.iterdir()) == [left[1]], "another call may wait for its answer there"
    left[1].rmdir()


def test_a_time_without_a_zone_is_no_time(place: Place, brief: None) -> None:
    text = '{"node":"n1","version":"1","python":"3","at":"2026-11-22T05:00:00","uid":0}'
    place.slurm.sbatch(f"echo '{text}' > $control/answer.json")
    assert "time zone" in place.odd()[0][2]


def test_hostile_words_of_a_node_are_cleaned(place: Place) -> None:
    place.slurm.answers(more=r',"missing":["\u001b[2J\u202edata"]')
    (found,) = place.odd()
    assert "\x1b" not in found[2]
    assert "\u202e" not in found[2]


def test_a_job_that_cannot_be_taken_back_is_named_with_what_to_do(place: Place) -> None:
    place.slurm.answers()
    place.slurm.scancel("echo 'scancel: error: Kill job error' >&2; exit 1")
    ((name, level, detail),) = place.odd()
    assert (name, level) == ("node", "warning")
    assert "Kill job error" in detail
    assert "scancel --name=trial-" in detail


def test_a_shared_folder_without_room_is_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> str:
        raise OSError(28, "No space left on device", str(place.shared / "trial"))

    monkeypatch.setattr(probe, "write_order", full)
    assert "No space left" in place.odd()[0][2]


def test_room_is_looked_at_in_the_shared_folder_too(place: Place) -> None:
    assert any(check.detail.endswith(f"at {place.shared}") for check in doctor._disk(place.context()))


def test_what_it_waits_for_is_shown_on_a_terminal(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    ctx = place.context()
    ctx.say = said.append
    list(checking_cluster.cluster(ctx))
    assert said == []
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    place.slurm.sbatch(f"(sleep 0.3; sh {place.slurm.bin}/script) > $control/slurm.txt 2>&1 &")
    list(checking_cluster.cluster(ctx))
    assert said == ["one tiny job on the cluster: it runs on node n1, and no answer was seen here"]


def test_a_stop_signal_waits_until_all_is_taken_back(place: Place) -> None:
    place.slurm.sbatch("")
    seen: list[list[str]] = []
    before = signal.signal(signal.SIGTERM, lambda _number, _frame: seen.append(os.listdir(place.shared)))
    place.slurm.squeue(f'kill -TERM {os.getpid()}; echo "$name|PENDING||Resources"')
    try:
        list(checking.cluster(place.context()))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [[]]


def test_a_controller_that_falls_silent_while_the_job_is_out_is_told_with_what_to_do(place: Place) -> None:
    place.slurm.answers()
    place.slurm.hangs("scancel")
    ((name, level, detail),) = place.odd("command_timeout: 1")
    assert (name, level) == ("node", "warning")
    assert "scancel: no answer" in detail
    place.slurm.scancel("")
    subprocess.run([place.slurm.bin / "scancel", "after", "all"], check=True)


def test_places_of_rules_that_are_known_are_told(place: Place) -> None:
    place.slurm.answers()
    found = place.look("rules: [{tags: a, partition: p}, {tags: b, partition: q}]")
    assert ("cluster", "ok", "the places of the rules are known there: 2 of 2 tried") in found


def test_a_node_tells_what_it_is_and_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURMD_NODENAME", "n7")
    asked = Probe("bwrap", {}, paths=(str(tmp_path), str(tmp_path / "gone")), programs=("sh", "no-such"), path="/usr/bin:/bin")
    before = datetime.now(UTC)
    probe.answer(str(tmp_path), asked, [Problem("sandbox", "no bwrap", "Install it.")])
    found = msgspec.json.decode((tmp_path / ANSWER).read_bytes(), type=Answer)
    assert (found.node, found.uid, found.version) == ("n7", os.geteuid(), __version__)
    assert before <= found.at <= datetime.now(UTC)
    assert found.missing == (str(tmp_path / "gone"), "no-such")
    assert found.problems == (Problem("sandbox", "no bwrap", "Install it."),)
    monkeypatch.delenv("SLURMD_NODENAME")
    probe.answer(str(tmp_path), asked, [])
    assert msgspec.json.decode((tmp_path / ANSWER).read_bytes(), type=Answer).node == os.uname().nodename


def test_another_thread_can_ask_too(place: Place) -> None:
    """It cannot hold signals back."""
    place.slurm.answers()
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(place.look).result()
    assert [level for _, level, _ in found] == ["ok"] * 3
