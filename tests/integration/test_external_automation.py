"""examples/external_automation_example.py, used as its beginning says."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from scq.errors import BUSY
from tests.people import OWNER, SCIENTIST, World

PROGRAM = Path(__file__).resolve().parents[2] / "examples" / "external_automation_example.py"
SCRIPT = "mkdir -p outputs\ncat parameters.json > outputs/answer.txt\n"
Automation = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("external_automation_example", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The owner is at the keyboard."""
    world = World(tmp_path)
    for name, value in (("HOME", world.owner.home), ("ROOT", world.root), ("EMAIL", OWNER)):
        monkeypatch.setenv(f"SCQ_{name}", str(value))
    return world


@pytest.fixture
def automation(
    world: World, program: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Automation:
    """Exit code and words of the program; scq runs in this process."""

    def call(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["program", *words])
        code = program.main()
        out, err = capsys.readouterr()
        return code, out + err

    return call


@pytest.fixture
def rules(world: World, automation: Automation) -> Path:
    """Rules made from a job that was read: parameters.json may be another one."""
    first = submit(world, "first")
    code, text = automation("--rule-for", first)
    assert code == 0
    document = yaml.safe_load(text)
    (rule,) = document["rules"]
    assert rule["submitters"] == [SCIENTIST]
    del rule["files"]["parameters.json"]
    rule |= {"name": "parameters", "free": ["parameters.json"], "tags": ["count"], "timeout": "10m"}
    world.owner.scq("reject", first, "-r", "only an example")
    path = world.folder / "rules.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def submit(world: World, name: str, script: str = SCRIPT, parameters: str = "{}", tag: str = "count", **how: object) -> str:
    return world.submit(name, script, "--tag", tag, parameters__json=parameters, layout="a3", **how)  # type: ignore[arg-type]


def statuses(world: World, *uids: str) -> list[str]:
    return [str(world.owner.job(uid)["status"]) for uid in uids]


def test_known_code_with_other_parameters_is_approved_and_all_else_waits(
    world: World, rules: Path, automation: Automation
) -> None:
    good = submit(world, "good", parameters='{"from": 30}')
    others = (
        submit(world, "other code", SCRIPT + "cat /data/*\n"),
        submit(world, "one more file", helper__py="print(1)\n"),
        submit(world, "too much", parameters="x" * 20_000),
        submit(world, "no tag", tag="rows"),
        submit(world, "somebody else", by=world.second),
    )
    code, said = automation(str(rules))
    assert code == 0
    assert f"{good[:8]} would be approved: fits the rule 'parameters'" in said
    assert statuses(world, good) == ["pending"], "without --act nothing is decided"

    assert automation(str(rules), "--act")[0] == 0
    assert statuses(world, good, *others) == ["approved", *["pending"] * 5]
    approval = world.owner.job(good)["approval"]
    assert (approval["max_runs"], approval["timeout_s"], approval["digest"]) == (1, 600, world.owner.job(good)["digest"])
    for reason in ("unknown content of 'run.sh'", "'helper.py'", "more free content", "none of the tags", "another submitter"):
        assert reason in said


def test_packages_are_part_of_a_rule(world: World, automation: Automation) -> None:
    """The form of syft-job keeps them in config.yaml, which no rule can name by its digest."""
    code = python_file(world)
    first, again, other = (
        str(world.scientist.json("submit", OWNER, str(code), "--name", name, "--layout", "c0", "--requirement", package)["id"])
        for name, package in (("first", "numpy"), ("again", "numpy"), ("other", "nunpy"))
    )
    rules = world.folder / "rules.yaml"
    document = yaml.safe_load(automation("--rule-for", first)[1])
    document["rules"][0]["files"]["run.sh"].append(run_sh(world, other))
    rules.write_text(yaml.safe_dump(document))
    assert "other packages" in automation(str(rules), "--act")[1]
    assert statuses(world, again, other) == ["approved", "pending"]


def python_file(world: World) -> Path:
    path = world.folder / "analysis.py"
    path.write_text("print(1)\n")
    return path


def run_sh(world: World, uid: str) -> str:
    """The digest of the run.sh of a job."""
    files = world.owner.json("review", uid)["files"]
    return str(next(file["sha256"] for file in files if file["path"] == "run.sh"))


def test_the_submitter_of_a_rejected_job_reads_why(world: World, rules: Path, automation: Automation) -> None:
    bad = submit(world, "bad", "rm -rf outputs\n")
    assert "would be rejected" in automation(str(rules), "--reject-others")[1]
    assert statuses(world, bad) == ["pending"]
    assert automation(str(rules), "--reject-others", "--act")[0] == 0
    assert "unknown content of 'run.sh'" in world.scientist.job(bad)["reason"]


def test_a_job_that_is_decided_meanwhile_stops_nothing(
    world: World, rules: Path, automation: Automation, program: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = submit(world, "one"), submit(world, "two")
    inspect = program.q.inspect_job

    def withdrawn_while_it_is_read(job: object) -> object:
        reading = inspect(job)
        if reading["id"] == first:
            world.scientist.scq("cancel", first)
        return reading

    monkeypatch.setattr(program.q, "inspect_job", withdrawn_while_it_is_read, raising=False)
    code, said = automation(str(rules), "--act")
    assert (code, statuses(world, second)) == (0, ["approved"]), said
    assert f"{first[:8]} waits for you" in said


@pytest.mark.parametrize(
    "text",
    [
        "rules: 3",
        "rules: [3]",
        "rules: [{name: x, run: y}]",
        "rules: [{name: x, submitters: [a], files: {a.py: [b]}}]",
        "rules: [{name: x, submitters: a, files: {run.sh: [b]}}]",
        "rules: [{name: x, submitters: [a], files: {run.sh: b}}]",
        "rules: [{name: x, submitters: [a], files: {run.sh: [b]}, free_bytes: much}]",
        "rules: [",
    ],
)
def test_a_rule_that_is_half_understood_decides_nothing(world: World, automation: Automation, text: str) -> None:
    uid = submit(world, "job")
    path = world.folder / "rules.yaml"
    path.write_text(text)
    code, said = automation(str(path), "--act", "--reject-others")
    assert (code, bool(said), statuses(world, uid)) == (1, True, ["pending"])


def test_it_tries_again_later_when_scq_is_busy(
    rules: Path, automation: Automation, program: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy() -> None:
        raise program.BusyError("another call is at work")

    monkeypatch.setattr(program.q, "pending_for_me", busy, raising=False)
    assert automation(str(rules))[0] == BUSY


def test_scq_automate_runs_it_with_the_owners_authority(world: World, rules: Path) -> None:
    good = submit(world, "good", parameters="[1]")
    own = world.folder / "own"
    own.mkdir(mode=0o700)
    (own / PROGRAM.name).write_bytes(PROGRAM.read_bytes())
    (own / PROGRAM.name).chmod(0o700)
    world.owner.configure(f"sandbox: none\napprove:\n  command: [{sys.executable}, {own / PROGRAM.name}, {rules}, --act]\n")
    answer = world.owner.scq("automate")
    assert statuses(world, good) == ["approved"], answer


def test_it_says_what_it_needs() -> None:
    ended = subprocess.run([sys.executable, str(PROGRAM)], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "--rule-for" in ended.stderr
