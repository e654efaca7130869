"""The documented job runner, on a real SyftBox with real runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

import scq as q
from scq.errors import BusyError, ConfigError, IntegrityError, UsageError
from scq.library.runner import SyftJobConfig, SyftJobRunner, create_runner
from scq.library.verbs import ProblemWarning
from scq.permissions import read_rules
from scq.store import exclusive
from tests.people import OWNER, SCIENTIST, SECOND, code_folder
from tests.unit.library.conftest import COUNTING, Desk


@pytest.fixture
def runner(desk: Desk) -> SyftJobRunner:
    return create_runner(str(desk.root), OWNER, home=desk.home(OWNER))


def submit(desk: Desk, name: str, run_sh: str = COUNTING, person: str = SCIENTIST) -> q.CodeJob:
    if person not in (OWNER, SCIENTIST):
        desk.home(person).mkdir(exist_ok=True)
        (desk.root / person).mkdir(exist_ok=True)
    desk.turn(person)
    job = q.submit_job(OWNER, code_folder(desk.folder / "code", run_sh), name)
    desk.turn(OWNER)
    return job


def approved(desk: Desk, name: str, run_sh: str = COUNTING, person: str = SCIENTIST) -> q.CodeJob:
    return q.approve(submit(desk, name, run_sh, person).uid)


def readable(desk: Desk, person: str) -> set[str]:
    """What of the owner's results a person may read, beside the status of their own job."""
    folders = {path.parent for path in desk.root.glob(f"{OWNER}/app_data/job/review/**/syft.pub.yaml")}
    rules = [rule for folder in folders for rule in read_rules(str(folder))]
    return {rule["pattern"] for rule in rules if person in rule["access"]["read"]} - {"state.yaml"}


class Rounds:
    """Stands in for the pause between two rounds: does something instead, and presses Ctrl+C after the last one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *between: Callable[[], object]) -> None:
        self.between = list(between)
        self.pauses: list[float] = []
        monkeypatch.setattr("scq.library.runner.time.sleep", self)

    def __call__(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if not self.between:
            raise KeyboardInterrupt
        self.between.pop(0)()


def test_making_a_runner_reads_and_writes_nothing_of_the_owner(desk: Desk) -> None:
    desk.configure(OWNER, "job_timeout: often\n")
    before = sorted(desk.folder.rglob("*"))
    create_runner(desk.root, OWNER, home=desk.folder / "nobody")
    SyftJobRunner(SyftJobConfig(str(desk.folder / "nowhere"), OWNER))
    assert sorted(desk.folder.rglob("*")) == before


def test_an_address_is_taken_from_the_name_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "SyftBox_Ana@Example.org").mkdir()
    config = SyftJobConfig.from_syftbox_folder(tmp_path / "SyftBox_Ana@Example.org")
    assert config.email == "ana@example.org"
    assert config.syftbox_folder == str(tmp_path / "SyftBox_Ana@Example.org")


def test_a_given_address_wins_over_the_name_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "SyftBox_ana@example.org").mkdir()
    assert SyftJobConfig.from_syftbox_folder(tmp_path / "SyftBox_ana@example.org", email=OWNER.upper()).email == OWNER


def test_a_folder_may_begin_with_a_tilde(no_real_home: Path) -> None:
    (no_real_home / "SyftBox").mkdir()
    config = SyftJobConfig.from_syftbox_folder("~/SyftBox", OWNER, home="~/mine")
    assert (config.syftbox_folder, config.home) == (str(no_real_home / "SyftBox"), str(no_real_home / "mine"))


@pytest.mark.parametrize(("folder", "email"), [("nowhere", OWNER), ("", ""), ("", "nobody"), ("", "../x@y.org")])
def test_a_runner_for_nobody_is_refused(tmp_path: Path, folder: str, email: str) -> None:
    with pytest.raises(ConfigError):
        create_runner(tmp_path / folder, email)


@pytest.mark.parametrize("interval", [0, -1, float("nan"), float("inf"), "often", True])
def test_a_pause_that_is_none_is_refused(tmp_path: Path, interval: float) -> None:
    with pytest.raises(ConfigError, match="poll_interval"):
        create_runner(tmp_path, OWNER, poll_interval=interval)


def test_a_new_job_is_shown_once_with_place_script_and_configuration(
    desk: Desk, runner: SyftJobRunner, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runner.check_for_new_jobs() == []
    assert capsys.readouterr().out == ""
    job = submit(desk, "survey")
    assert runner.check_for_new_jobs() == [job]
    out = capsys.readouterr().out
    for text in (f"{SCIENTIST}/survey", "location: ", "1: #!/bin/bash", f"submitted_by: {SCIENTIST}", "digest: sha256:"):
        assert text in out
    assert create_runner(desk.root, OWNER, home=desk.home(OWNER)).check_for_new_jobs() == []
    assert capsys.readouterr().out == ""


def test_approved_jobs_are_run_and_how_they_ended_is_printed(
    desk: Desk, runner: SyftJobRunner, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = approved(desk, "good"), approved(desk, "bad", "exit 3\n")
    submit(desk, "waiting")
    rows = runner.process_approved_jobs(stream_output=False)
    assert {row["name"]: (row["status"], row["exit_code"]) for row in rows} == {"good": ("completed", 0), "bad": ("failed", 3)}
    out = capsys.readouterr().out
    assert f"{good.short_id}  completed  good" in out
    assert f"{bad.short_id}  failed  bad" in out
    assert "2 approved jobs processed" in out
    assert q.get_job("waiting").status == "pending"


def test_nothing_approved_is_nothing_said(runner: SyftJobRunner, capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.process_approved_jobs() == []
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("stream", [True, False])
def test_what_a_job_prints_is_streamed_only_when_asked(
    desk: Desk, runner: SyftJobRunner, capfd: pytest.CaptureFixture[str], stream: bool
) -> None:
    approved(desk, "survey")
    runner.process_approved_jobs(stream_output=stream)
    assert (f"[{SCIENTIST}][survey] counted" in "".join(capfd.readouterr())) == stream
    assert "counted" in q.get_job_logs("survey")


def test_jobs_named_to_be_skipped_wait(desk: Desk, runner: SyftJobRunner) -> None:
    for name in ("one", "two", "three"):
        approved(desk, name)
    assert [row["name"] for row in runner.process_approved_jobs(False, skip_job_names=["one", "three"])] == ["two"]
    assert [row["name"] for row in runner.process_approved_jobs(False, skip_job_names="one")] == ["three"]
    assert [row["name"] for row in runner.process_approved_jobs(False)] == ["one"]


def test_a_job_ends_when_its_time_is_up(desk: Desk, runner: SyftJobRunner) -> None:
    approved(desk, "endless", "while true; do read -t 1 < /dev/zero || true; done\n")
    (row,) = runner.process_approved_jobs(stream_output=False, timeout=0.3)
    assert (row["status"], row["cause"]) == ("failed", "timeout")


@pytest.mark.parametrize("timeout", [0, -5, float("nan"), "often"])
def test_a_time_limit_that_is_none_is_refused(runner: SyftJobRunner, timeout: float) -> None:
    with pytest.raises(ConfigError, match="timeout"):
        runner.process_approved_jobs(timeout=timeout)


@pytest.mark.parametrize("shared", [True, False])
def test_results_are_shared_only_when_asked(desk: Desk, runner: SyftJobRunner, shared: bool) -> None:
    approved(desk, "survey")
    runner.process_approved_jobs(False, share_outputs_with_submitter=shared, share_logs_with_submitter=shared)
    assert bool(readable(desk, SCIENTIST)) == shared
    expected = "released" if shared else "withheld"
    assert q.get_job("survey").as_dict()["results"] == {"outputs": expected, "logs": expected}


def test_content_that_is_not_what_was_approved_raises_after_the_others_were_run(
    desk: Desk, runner: SyftJobRunner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    approved(desk, "good")
    approved(desk, "swapped")
    script = next(desk.root.glob(f"{OWNER}/**/swapped/**/run.sh"))
    from scq import running

    real = running.Runner.run

    def swap_first(self: running.Runner, keys: list[str]) -> None:
        script.write_text("#!/bin/bash\ncat secret\n")
        real(self, keys)

    monkeypatch.setattr(running.Runner, "run", swap_first)
    with pytest.raises(IntegrityError, match="swapped"):
        runner.process_approved_jobs(stream_output=False)
    out = capsys.readouterr().out
    assert "completed  good" in out
    assert "refused  swapped" in out


def test_without_a_sandbox_no_job_is_run(desk: Desk, runner: SyftJobRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    from scq.model import Problem
    from scq.sandbox.bwrap import BwrapSandbox

    approved(desk, "survey")
    desk.configure(OWNER, "")
    monkeypatch.setattr(BwrapSandbox, "check", lambda self: [Problem("bwrap", "is not installed", "apt install bubblewrap")])
    with pytest.raises(ConfigError, match="no job was run") as caught:
        runner.process_approved_jobs()
    assert any("apt install bubblewrap" in note for note in caught.value.__notes__)
    assert q.get_job("survey").status == "approved"


def test_two_calls_at_once_are_one_call(desk: Desk, runner: SyftJobRunner) -> None:
    with exclusive(str(desk.home(OWNER) / "locks" / "run-approved.lock"), 0), pytest.raises(BusyError):
        runner.process_approved_jobs()


def test_results_are_shared_by_the_name_of_the_job(desk: Desk, runner: SyftJobRunner) -> None:
    approved(desk, "survey")
    runner.process_approved_jobs(stream_output=False)
    runner.share_job_results("survey", False, False)
    assert readable(desk, SCIENTIST) == set()
    runner.share_job_results("survey", share_outputs=True, share_logs=False)
    assert q.get_job("survey").as_dict()["results"] == {"outputs": "released", "logs": "withheld"}
    runner.share_job_results("survey", share_outputs=False, share_logs=True, user=SCIENTIST.upper())
    assert q.get_job("survey").as_dict()["results"] == {"outputs": "released", "logs": "released"}
    assert readable(desk, SCIENTIST)


def test_of_two_people_s_jobs_of_one_name_the_right_one_is_shared(desk: Desk, runner: SyftJobRunner) -> None:
    for person in (SCIENTIST, SECOND):
        approved(desk, "survey", person=person)
    runner.process_approved_jobs(stream_output=False)
    with pytest.raises(UsageError, match="fits 2 jobs"):
        runner.share_job_results("survey", True, True)
    runner.share_job_results("survey", True, True, user=SECOND)
    assert readable(desk, SECOND)
    assert readable(desk, SCIENTIST) == set()


def test_a_name_is_never_taken_for_the_beginning_of_an_id(desk: Desk, runner: SyftJobRunner) -> None:
    job = approved(desk, "survey")
    runner.process_approved_jobs(stream_output=False)
    with pytest.raises(UsageError, match="no job"):
        runner.share_job_results(job.short_id, True, True)
    assert readable(desk, SCIENTIST) == set()


def test_a_job_that_is_not_over_has_nothing_to_share(desk: Desk, runner: SyftJobRunner) -> None:
    submit(desk, "survey")
    with pytest.raises(UsageError, match="pending"):
        runner.share_job_results("survey", True, True)


def test_a_reset_deletes_every_job_of_the_owner_and_says_so(
    desk: Desk, runner: SyftJobRunner, capsys: pytest.CaptureFixture[str]
) -> None:
    approved(desk, "one")
    submit(desk, "two")
    mine = q.submit_job(SCIENTIST, code_folder(desk.folder / "code"), "to the scientist")
    assert runner.reset_all_jobs() == 2
    out = capsys.readouterr().out
    assert "approved  one" in out
    assert "pending  two" in out
    assert "cannot be undone" in out
    assert q.all_jobs_for_me() == []
    assert q.my_jobs() == [mine]
    assert runner.reset_all_jobs() == 0


def test_the_loop_says_what_it_does_lists_what_waits_and_announces_the_rest(
    desk: Desk, runner: SyftJobRunner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    submit(desk, "early")
    Rounds(monkeypatch, lambda: submit(desk, "late"), lambda: q.approve("late"))
    runner.run()
    out = capsys.readouterr().out
    head, _, rest = out.partition("waiting for a decision:")
    for text in ("scq 0", OWNER, str(desk.root), "5 s", "Ctrl+C"):
        assert text in head
    assert "early" in rest
    assert out.count("NEW JOB") == 1
    assert f"{SCIENTIST}/late" in rest
    assert "completed  late" in rest
    assert rest.endswith("runner ended\n")


def test_the_loop_pauses_as_long_as_it_was_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = Rounds(monkeypatch, lambda: None)
    create_runner(desk.root, OWNER, poll_interval=2.5, home=desk.home(OWNER)).run()
    assert rounds.pauses == [2.5, 2.5]


def test_the_loop_goes_on_after_a_failure_and_tells_it_once(
    desk: Desk, runner: SyftJobRunner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = (desk.home(OWNER) / "config.yaml").read_text()

    def break_it() -> None:
        desk.configure(OWNER, "job_timeout: often\nmax_concurrent_jobs: none\n")

    def mend_it() -> None:
        desk.configure(OWNER, good)
        approved(desk, "survey")

    Rounds(monkeypatch, break_it, lambda: None, lambda: None, mend_it, break_it)
    runner.run()
    out = capsys.readouterr().out
    assert out.count("! config.yaml: job_timeout") == 2
    assert "completed  survey" in out
    assert "no job waits for a decision" in out


def test_the_loop_outlives_a_folder_that_is_away(
    desk: Desk, runner: SyftJobRunner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    approved(desk, "survey")
    away = desk.root.with_name("away")
    Rounds(monkeypatch, lambda: desk.root.rename(away), lambda: away.rename(desk.root))
    runner.run()
    out = capsys.readouterr().out
    assert "completed  survey" in out
    assert "! " in out
    assert out.endswith("runner ended\n")


def test_a_warning_of_the_configuration_does_not_stop_a_call(desk: Desk, runner: SyftJobRunner) -> None:
    approved(desk, "survey")
    desk.configure(OWNER, "sandbox: none\ncolour: red\n")
    with pytest.warns(ProblemWarning, match="colour"):
        assert [row["status"] for row in runner.process_approved_jobs(stream_output=False)] == ["completed"]


def started(desk: Desk) -> subprocess.Popen[str]:
    """A runner in a process of its own, with a long pause between two rounds."""
    code = f"import scq as q; q.create_runner({str(desk.root)!r}, {OWNER!r}, poll_interval=600).run()"
    env = {**os.environ, "SCQ_HOME": str(desk.home(OWNER))}
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", code], stdout=pipe, stderr=pipe, text=True, env=env)


def read_until(stream: IO[str] | None, text: str) -> None:
    assert stream is not None
    assert any(text in line for line in stream)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_a_real_runner_at_once(desk: Desk) -> None:
    with started(desk) as process:
        read_until(process.stdout, "no job waits")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "runner ended\n", "")


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_the_job_that_runs_and_remembers_it(desk: Desk) -> None:
    approved(desk, "endless", "echo started\nexec sleep 60\n")
    with started(desk) as process:
        read_until(process.stdout, "][endless] started")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out.endswith("runner ended\n")
    assert q.get_job("endless").status == "failed"
