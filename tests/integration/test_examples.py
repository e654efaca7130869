"""Every file of examples/ is used as its reader would use it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tests.people import OWNER, Person, World

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PROGRAM = EXAMPLES / "approve_seen_before.py"
ROOT = EXAMPLES.parent
STEPS = {"submit.yml": 3, "watch.yml": 3}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def own_home(no_real_home: Path) -> Path:
    """A home folder in which `~/.local/bin/scq` is this checkout."""
    program = no_real_home / ".local" / "bin" / "scq"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.quote(sys.executable)} -m scq "$@"\n')
    program.chmod(0o755)
    return no_real_home


def bare(home: Path, **more: str) -> dict[str, str]:
    """The little that cron gives to a call."""
    return {"HOME": str(home), "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin", **more}


def test_each_example_is_in_the_list_and_names_no_place_of_ours() -> None:
    files = [path for path in EXAMPLES.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    listed = set(re.findall(r"\]\(((?!\.\.)[^)#]+)\)", (EXAMPLES / "README.md").read_text()))
    there = {path.relative_to(EXAMPLES).as_posix() for path in files} - {"README.md"}
    assert {path.removeprefix("systemd/") for path in there} == {path.removeprefix("systemd/") for path in listed} | {
        "credentials.yaml"
    }
    assert not [path.name for path in files if re.search(r"/(work|root|tmp)\b", path.read_text("utf-8"))]
    assert all(os.access(path, os.X_OK) for path in files if path.read_text("utf-8").startswith("#!"))


class TestCrontab:
    LINES = [line for line in (EXAMPLES / "crontab").read_text().splitlines() if line[:1] in "*0123456789" and line]

    def test_its_lines_work_as_cron_calls_them(self, world: World, own_home: Path) -> None:
        """`cycle` runs an approved job; the others have nothing to say."""
        uid = world.approved()
        shutil.copytree(world.owner.home, own_home / ".syft-creds", dirs_exist_ok=True)
        (own_home / ".syft-creds" / "config.yaml").write_text(f"sandbox: none\ndo_email: {OWNER}\nsyftbox_root: {world.root}\n")
        variables = dict(re.findall(r"^([A-Z]+)=(.+)$", (EXAMPLES / "crontab").read_text(), re.M))
        said = []
        for line in self.LINES:
            *times, command = line.split(None, 5)
            assert all(re.fullmatch(r"[0-9*/]+", word) for word in times)
            assert "%" not in command, "cron ends a command at a percent sign"
            ended = subprocess.run(
                ["/bin/sh", "-c", command],
                env=bare(own_home) | variables,
                cwd=own_home,
                capture_output=True,
                text=True,
                check=False,
            )
            assert (ended.returncode, ended.stderr) == (0, ""), command
            said.append(ended.stdout)
        assert uid[:8] in said[0]
        assert said[1:] == ["", ""]

    @pytest.mark.skipif(shutil.which("crontab") is None, reason="there is no cron on this machine")
    def test_cron_takes_it(self, tmp_path: Path) -> None:
        """Debian's crontab can only check a table (-n); others cannot."""
        ended = subprocess.run(["crontab", "-n", str(EXAMPLES / "crontab")], capture_output=True, text=True, check=False)
        if "invalid option" in ended.stderr:
            pytest.skip("this crontab cannot check a table")
        assert ended.returncode == 0, ended.stderr


class TestGitHubActions:
    def steps(self, name: str) -> tuple[dict[str, str], list[dict[str, Any]]]:
        (job,) = yaml.safe_load((EXAMPLES / "github-actions" / name).read_text())["jobs"].values()
        return job["env"], job["steps"]

    def run(
        self, world: World, home: Path, person: Person, name: str, steps: list[str]
    ) -> list[subprocess.CompletedProcess[str]]:
        """Let the steps with these names run one after the other, as a runner does."""
        env, known = self.steps(name)
        checkout, exported = world.folder / "checkout", world.folder / "github_env"
        exported.touch()
        (checkout / "analysis").mkdir(parents=True, exist_ok=True)
        (checkout / "analysis" / "run.sh").write_text("mkdir -p outputs\necho 42 > outputs/rows.txt\n")
        path = f"{home}/.local/bin:{Path(sys.executable).parent}:/usr/bin:/bin"
        ended = []
        for step in known:
            if step.get("name") not in steps:
                continue
            more = dict(line.split("=", 1) for line in exported.read_text().splitlines())
            env |= {"SCQ_ROOT": str(world.root), "SCQ_HOME": str(person.home), "GITHUB_ENV": str(exported), "PATH": path}
            env |= {"GITHUB_RUN_ID": "17", "GITHUB_SHA": "c0ffee"}
            command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
            ended.append(
                subprocess.run(command, env=bare(home) | env | more, cwd=checkout, capture_output=True, text=True, check=False)
            )
        return ended

    @pytest.mark.parametrize("name", sorted(STEPS))
    def test_they_are_workflows(self, name: str) -> None:
        text = (EXAMPLES / "github-actions" / name).read_text()
        document = yaml.safe_load(text)
        assert set(document) <= {"name", True, "permissions", "concurrency", "jobs"}, "YAML reads `on` as true"
        env, steps = self.steps(name)
        assert sum("run" in step for step in steps) == STEPS[name]
        assert all(("run" in step) != ("uses" in step) for step in steps)
        assert "${{" not in "".join(step.get("run", "") for step in steps), "nothing of others is pasted into a script"
        assert env["SCQ_ROOT"] == "/srv/SyftBox"

    def test_a_data_scientist_submits_waits_and_gets_what_was_released(self, world: World, own_home: Path) -> None:
        (submitted,) = self.run(world, own_home, world.scientist, "submit.yml", ["Submit"])
        assert submitted.returncode == 0, submitted.stderr
        world.owner.scq("approve", "analysis 17")
        world.owner.scq("run-approved")
        world.owner.scq("release", "analysis 17", "-r", "a count")
        names = ["Wait for the owner", "Take the results that were released"]
        waited, taken = self.run(world, own_home, world.scientist, "submit.yml", names)
        assert (waited.returncode, taken.returncode) == (0, 0), taken.stderr
        assert "::notice::completed" in waited.stdout
        (rows,) = (world.folder / "checkout" / "results").rglob("rows.txt")
        assert rows.read_text() == "42\n"

    def test_the_watch_is_red_while_a_job_waits(self, world: World, own_home: Path) -> None:
        world.submit()
        world.owner.scq("check")
        names = ["Is the log of decisions whole?", "Does a job wait for a decision?"]
        whole, waits = self.run(world, own_home, world.owner, "watch.yml", names)
        assert whole.returncode == 0, whole.stderr
        assert (waits.returncode, "::warning::jobs wait" in waits.stdout) == (1, True)


class TestSettings:
    def test_slack_can_be_used_as_written(self, world: World) -> None:
        home = world.owner.home
        (home / "secrets").mkdir(mode=0o700)
        for name, text in (("slack.url", "https://hooks.slack.com/services/T0/B0/x"), ("smtp.password", "secret")):
            (home / "secrets" / name).write_text(text)
            (home / "secrets" / name).chmod(0o600)
        world.owner.configure((EXAMPLES / "slack.yaml").read_text())
        assert world.owner.json("config", "validate")["warnings"] == []
        usable = {row["name"]: (row["usable"], row["levels"]) for row in world.owner.json("channels")["channels"]}
        assert usable["team"] == (True, ["info", "warning", "error", "critical"])
        assert usable["work-mail"] == (True, ["error", "critical"])

    def test_a_password_handed_over_by_systemd_is_found(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = re.findall(r"^LoadCredentialEncrypted=([^:]+):", (EXAMPLES / "systemd" / "credentials.conf").read_text(), re.M)[0]
        (tmp_path / "credentials").mkdir(mode=0o700)
        (tmp_path / "credentials" / name).write_text("secret")
        (tmp_path / "credentials" / name).chmod(0o400)
        world.owner.configure((EXAMPLES / "systemd" / "credentials.yaml").read_text())
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
        rows = {row["name"]: row for row in world.owner.json("channels")["channels"]}
        assert (rows["work-mail"]["usable"], rows["work-mail"]["why"]) == (True, "")

    @pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
    def test_systemd_takes_the_addition_to_its_unit(self, tmp_path: Path) -> None:
        (tmp_path / "scq-notify.service").write_text("[Service]\nType=oneshot\nExecStart=/bin/true\n")
        (tmp_path / "scq-notify.service.d").mkdir()
        shutil.copy(EXAMPLES / "systemd" / "credentials.conf", tmp_path / "scq-notify.service.d")
        command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=one", "./scq-notify.service"]
        ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert (ended.returncode, ended.stderr) == (0, "")


def test_the_app_makes_one_call_of_everything(world: World, own_home: Path, tmp_path: Path) -> None:
    app = world.root / "apps" / "scq"
    shutil.copytree(EXAMPLES / "syftbox-app", app)
    uid = world.approved()
    place = {"SCQ_HOME": str(world.owner.home), "SCQ_ROOT": str(world.root), "SCQ_EMAIL": OWNER}
    ended = subprocess.run(["./run.sh"], cwd=app, env=bare(own_home, **place), capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert world.owner.job(uid)["status"] == "completed"
    for code, shown in ((75, 0), (78, 78)):
        (tmp_path / "stand-in").write_text(f"#!/bin/sh\nexit {code}\n")
        (tmp_path / "stand-in").chmod(0o755)
        ended = subprocess.run(["./run.sh"], cwd=app, env=bare(own_home, SCQ=str(tmp_path / "stand-in")), check=False)
        assert ended.returncode == shown


Automation = Callable[..., tuple[int, str]]


class TestApproveSeenBefore:
    """The program as a whole once, its rules one by one in this process."""

    @pytest.fixture
    def program(self) -> ModuleType:
        spec = importlib.util.spec_from_file_location("approve_seen_before", PROGRAM)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    @pytest.fixture
    def automation(
        self, world: World, program: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> Automation:
        """Let it decide for the owner; its calls of scq run in this process."""

        def call(*words: str) -> tuple[int, dict[str, Any]]:
            answer = world.owner.scq(*words, "--json", code=None)
            return answer.code, answer.json

        def decide(*options: str) -> tuple[int, str]:
            capsys.readouterr()
            monkeypatch.setattr(program, "call", call)
            monkeypatch.setattr(sys, "argv", ["program", *options])
            code = program.main()
            out, err = capsys.readouterr()
            return code, out + err

        return decide

    @pytest.fixture
    def known(self, world: World) -> str:
        """A job that the owner read and approved was sent again, in a form in which that is the same content."""
        world.approved("first", layout="a3")
        return world.submit("first", layout="a3")

    def status(self, world: World, uid: str) -> str:
        return str(world.owner.job(uid)["status"])

    def test_scq_lets_it_approve_what_was_approved_before(self, world: World, known: str, own_home: Path) -> None:
        own = own_home / "scq" / "approve_seen_before.py"
        own.parent.mkdir(mode=0o700)
        shutil.copy(PROGRAM, own)
        other = world.submit("other", "echo something else\n")
        (own_home / "python").symlink_to(sys.executable)
        world.owner.configure(f"sandbox: none\napprove:\n  command: [{sys.executable}, {own}]\n")
        answer = world.owner.scq("automate")
        assert self.status(world, known) == "approved", answer
        assert self.status(world, other) == "pending"
        approval = world.owner.job(known)["approval"]
        assert approval["method"] == "digest"
        assert re.fullmatch(rf"the same content as \w+, which {OWNER} approved on [\d-]+", approval["reason"])

    def test_the_same_code_under_another_name_is_known_when_that_is_allowed(self, world: World, automation: Automation) -> None:
        source = world.folder / "code" / "1"
        world.approved("first")
        same = world.scientist.json("submit", OWNER, str(source), "--name", "second", "--layout", "c0")["id"]
        (source / "run.sh").write_text("#!/bin/bash\necho something else\n")
        other = world.scientist.json("submit", OWNER, str(source), "--name", "third", "--layout", "c0")["id"]
        assert automation() == (0, "")
        code, said = automation("--same-code")
        assert (code, said.count("approving"), self.status(world, same)) == (0, 1, "approved")
        assert self.status(world, other) == "pending"

    @pytest.mark.parametrize(
        ("path", "change", "diff", "expected"),
        [
            ("config.yaml", "changed", ["@@ -1 +1 @@", " a: 1", "-name: a", "+name: b"], True),
            ("config.yaml", "changed", ["@@ -1 +1 @@", "-name: a", "+name: b", "+  continued"], False),
            ("config.yaml", "changed", ["@@ -1 +1 @@", "-name: a", "+name: b", "+dependencies: [x]"], False),
            ("config.yaml", "changed", ["(12 more lines)"], False),
            ("config.yaml", "changed", [], False),
            ("config.yaml", "added", ["@@ -0,0 +1 @@", "+name: b"], False),
            ("code/config.yaml", "changed", ["@@ -1 +1 @@", "-name: a", "+name: b"], False),
        ],
    )
    def test_only_the_lines_of_name_and_time_may_differ(
        self, program: ModuleType, path: str, change: str, diff: list[str], expected: bool
    ) -> None:
        difference = {"path": path, "change": change, "diff": "\n".join(["--- a", "+++ b", *diff])}
        assert program.harmless(difference) is expected

    def test_it_only_says_so_when_it_is_asked_to(self, world: World, known: str, automation: Automation) -> None:
        code, said = automation("--dry-run")
        assert (code, said.startswith(f"would approve {known[:8]}: the same content as ")) == (0, True)
        assert self.status(world, known) == "pending"

    def test_nothing_waits_and_nothing_is_said(self, automation: Automation) -> None:
        assert automation() == (0, "")

    @pytest.mark.usefixtures("known")
    def test_the_same_content_of_somebody_else_waits(self, world: World, automation: Automation) -> None:
        theirs = world.submit("first", layout="a3", by=world.second)
        automation()
        assert self.status(world, theirs) == "pending"

    def test_an_approval_by_digest_proves_nothing(self, world: World, automation: Automation) -> None:
        """Such as its own: one yes of a person does not renew itself for ever."""
        first = world.submit("first", layout="a3")
        world.owner.scq("approve", first, "--digest", world.owner.job(first)["digest"])
        world.submit("first", layout="a3")
        assert automation() == (0, "")

    @pytest.mark.parametrize("words", [("--max-runs", "1"), ("--expires", "7d"), ("--timeout", "5m"), ("--memory", "1GiB")])
    def test_an_approval_with_a_condition_is_not_renewed(
        self, world: World, automation: Automation, words: tuple[str, ...]
    ) -> None:
        world.owner.scq("approve", world.submit("first", layout="a3"), *words)
        world.submit("first", layout="a3")
        assert automation() == (0, "")

    @pytest.mark.usefixtures("known")
    def test_an_old_approval_is_not_renewed(self, automation: Automation) -> None:
        assert automation("--max-age", "0") == (0, "")

    def test_a_refusal_since_then_counts(self, world: World, known: str, automation: Automation) -> None:
        world.owner.scq("reject", known, "-r", "not any more")
        third = world.submit("first", layout="a3")
        assert automation() == (0, "")
        assert self.status(world, third) == "pending"

    def test_results_that_were_withheld_count(self, world: World, automation: Automation) -> None:
        script = "mkdir -p outputs\necho 1 > outputs/few.txt\n"
        uid = world.ended("first", script, layout="a3")
        world.submit("first", script, layout="a3")
        assert automation("--dry-run")[1].startswith("would approve")
        world.owner.scq("withhold", uid, "-r", "too few")
        assert automation() == (0, "")

    def test_a_finding_that_is_denied_now_waits_for_a_person(self, world: World, automation: Automation) -> None:
        script = "rm -rf ./something\n"
        world.approved("first", script, layout="a3")
        second = world.submit("first", script, layout="a3")
        world.owner.configure("sandbox: none\ndeny: [delete]\n")
        code, said = automation()
        assert (code, f"{second[:8]} waits for you: " in said) == (0, True)
        assert self.status(world, second) == "pending"

    def test_with_a_log_that_was_changed_nothing_is_approved(self, world: World, known: str, automation: Automation) -> None:
        log = world.owner.home / "audit.jsonl"
        log.write_bytes(log.read_bytes().replace(b'"approve"', b'"aprrove"', 1))
        code, said = automation()
        assert (code, "nothing is approved" in said) == (1, True)
        assert self.status(world, known) == "pending"

    def test_while_scq_is_busy_it_says_try_again(self, world: World, known: str, automation: Automation) -> None:
        from scq.store import exclusive

        world.owner.configure("sandbox: none\nlock_timeout: 0.1\n")
        with exclusive(str(world.owner.home / "locks" / "store.lock"), 0):
            code, said = automation()
        assert (code, "another scq call" in said) == (75, True)

    def test_an_scq_that_is_not_there_is_named(self, program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(program.StopError, match="scq pending gave no answer"):
            program.approve_what_is_known(timedelta(days=1), same_code=False, dry_run=False)


def test_examples_are_in_the_source_archive() -> None:
    """hatch ships what git does not ignore and pyproject.toml does not exclude."""
    settings = (ROOT / "pyproject.toml").read_text()
    excluded = re.findall(r"\[tool\.hatch\.build\.targets\.sdist\]\nexclude = (\[.*?\])", settings)
    assert "examples" not in json.loads(excluded[0])
    ignored = subprocess.run(["git", "check-ignore", str(PROGRAM)], cwd=ROOT, capture_output=True, check=False)
    assert ignored.returncode != 0
