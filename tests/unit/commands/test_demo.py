"""scq demo: the whole main job; in full by tests/packaging, here its frame."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from scq.cli.app import call
from scq.commands import demo
from scq.errors import UsageError
from scq.model import Problem
from scq.sandbox.bwrap import BwrapSandbox
from tests.people import Person


@pytest.fixture
def no_bwrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BwrapSandbox, "check", lambda self: [Problem("bwrap", "is not installed", "apt install bubblewrap")])


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Let the steps of the demo run in this process, and keep what was called."""
    import subprocess

    real, calls = subprocess.run, []

    def run(argv: list[str], **options: object) -> object:
        if argv[:3] != [sys.executable, "-m", "scq"]:
            return real(argv, **options)  # type: ignore[call-overload]
        calls.append(tuple(argv[9:]))
        with redirect_stdout(sys.stderr):
            return subprocess.CompletedProcess(argv, call(argv[3:]))

    monkeypatch.setattr(subprocess, "run", run)
    return calls


@pytest.mark.usefixtures("no_bwrap")
def test_the_demo_plays_every_step_and_keeps_what_it_is_told_to_keep(tmp_path: Path, in_process: list[tuple[str, ...]]) -> None:
    said: list[str] = []
    report = demo.run(keep=str(tmp_path / "kept"), say=said.append)
    steps = [step[0] for step in in_process]
    assert " ".join(steps) == "init config check submit check review approve run-approved output release notify output status"
    assert (report.data["folder"], report.data["sandbox"]) == (str(tmp_path / "kept"), "none")
    assert {mail.split(":")[0] for mail in report.data["mails"]} == {demo.OWNER, demo.SCIENTIST}
    assert any("Job Completed: Age groups" in mail for mail in report.data["mails"])
    assert "! no sandbox on this machine: is not installed. apt install bubblewrap" in said
    assert "owner$ scq review 'Age groups'" in "\n".join(said)
    (ages,) = (tmp_path / "kept").rglob("review/**/ages.csv")
    assert ages.read_text() == "30s,3\n40s,1\n50s,2\n"


@pytest.mark.usefixtures("no_bwrap", "in_process")
def test_nothing_is_left_of_a_demo_that_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert not Path(demo.run(say=lambda _: None).data["folder"]).exists()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_never_used(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exists already"):
        demo.run(keep=str(tmp_path), say=print)


def test_a_step_that_fails_ends_the_demo(tmp_path: Path) -> None:
    scene = demo._Scene(str(tmp_path), str(tmp_path / "none"), lambda _: None)
    with pytest.raises(UsageError, match="scq show ended with exit code 2"):
        scene.call(demo.OWNER, "show", "nothing")


@pytest.mark.usefixtures("no_bwrap", "in_process")
def test_the_verb_answers_programs_with_one_document(tmp_path: Path) -> None:
    person = Person(tmp_path / "home", tmp_path / "root", "me@example.org")
    document = person.scq("demo", "--keep", str(tmp_path / "kept"), "--json").json
    assert (document["command"], document["ok"]) == ("demo", True)
    assert document["data"]["folder"] == str(tmp_path / "kept")


def test_a_machine_with_a_sandbox_uses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BwrapSandbox, "check", lambda self: [])
    called: list[tuple[str, ...]] = []
    said: list[str] = []
    scene = demo._Scene(str(tmp_path), str(tmp_path / "root"), said.append)
    monkeypatch.setattr(scene, "call", lambda person, *arguments: called.append(arguments))
    scene.choose_sandbox()
    assert (scene.sandbox, said) == ("bwrap", [])
    assert [arguments[0] for arguments in called] == ["init"]
