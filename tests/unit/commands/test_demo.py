"""scq demo: the story of one job in ten steps; as real processes by `make demo`, here in this process."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest

from scq.cli.app import VERBS, call
from scq.commands import demo
from scq.errors import ScqError, UsageError
from scq.model import Problem
from scq.sandbox.bwrap import BwrapSandbox
from tests.people import Person

Calls = list[tuple[str, ...]]


@pytest.fixture
def no_bwrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BwrapSandbox, "check", lambda self: [Problem("bwrap", "is not installed", "apt install bubblewrap")])


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Let the calls of scq run in this process, with the environment given to them, and keep what was called."""
    real, calls = subprocess.run, Calls()

    def run(argv: list[str], **options: object) -> object:
        if argv[:3] != [sys.executable, "-m", "scq"]:
            return real(argv, **options)  # type: ignore[call-overload]
        calls.append(tuple(argv[3:]))
        said = StringIO()
        with patch.dict(os.environ, options["env"], clear=True), redirect_stdout(said), redirect_stderr(said):  # type: ignore[arg-type]
            code = call(argv[3:])
        return subprocess.CompletedProcess(argv, code, said.getvalue())

    monkeypatch.setattr(subprocess, "run", run)
    return calls


@pytest.mark.usefixtures("no_bwrap")
def test_the_story_is_played_and_what_it_is_told_to_keep_can_be_played_with(
    tmp_path: Path, in_process: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own.yaml"
    monkeypatch.setenv("SCQ_CONFIG", str(own))
    said: list[str] = []
    report = demo.run(keep=str(tmp_path / "my demo"), say=said.append)
    assert " ".join(words[0] for words in in_process) == (
        "init check init submit pending review approve run-approved diff run-approved "
        "output output release output notify audit audit"
    )
    assert not own.exists(), "the queue of the caller is not touched"
    assert report.data["sandbox"] == "none"
    assert {mail.split(":")[0] for mail in report.data["mails"]} == {demo.OWNER, demo.SCIENTIST}
    assert any("Job Completed: Age groups" in mail for mail in report.data["mails"])
    assert (tmp_path / "my demo" / "results" / "ages.csv").read_text() == "30s,3\n40s,1\n50s,2\n"
    assert [step["number"] for step in report.data["steps"]] == list(range(1, 11))
    refused = report.data["steps"][4]["calls"]
    assert [(made["by"], made["exit_code"]) for made in refused] == [(demo.SCIENTIST, 0), (demo.OWNER, 5), (demo.OWNER, 0)]
    _what_was_told(said)
    _what_can_be_played_on(report.lines, tmp_path / "my demo")


def _what_was_told(said: list[str]) -> None:
    told = "\n".join(said)
    titles = [line for line in told.splitlines() if line[:1].isdigit()]
    assert titles == [f"{number}/10  {step.title}" for number, step in enumerate(demo.STORY, 1)]
    assert "! No sandbox on this machine: is not installed. apt install bubblewrap" in told
    assert "  owner$ scq review 'Age groups'\n" in told
    assert re.search(r"── to look at: [0-9]\n +code/run\.sh:[0-9]", told), "the hints of the review"
    assert "refused  Age groups: the content is no longer what was approved\n" in told
    assert "\n    exit code 5\n  owner$ scq diff" in told
    assert "    +cp " in told, "the change that was not approved"
    assert "held      ages.csv" in told
    assert "    whole: 5 rows" in told
    assert "\x1b" not in told
    assert len(told.splitlines()) < 130, "it is read in a minute"


def _what_can_be_played_on(lines: tuple[str, ...], folder: Path) -> None:
    exports = [line.split("#")[0].removeprefix("  export ") for line in lines if line.startswith("  export ")]
    people = [dict(word.split("=", 1) for word in shlex.split(export)) for export in exports]
    assert [words["SCQ_EMAIL"] for words in people] == [demo.OWNER, demo.SCIENTIST]
    assert all(words["SCQ_ROOT"] == str(folder / "SyftBox") for words in people)
    assert all(Path(words["SCQ_HOME"], "config.yaml").is_file() for words in people)


def test_a_folder_that_is_there_is_never_used(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exists already"):
        demo.run(keep=str(tmp_path), say=print)


def test_a_step_that_does_not_end_as_it_must_ends_the_demo_and_shows_why(tmp_path: Path) -> None:
    said: list[str] = []
    scene = demo._Scene(str(tmp_path), said.append)
    with pytest.raises(ScqError, match="cat nowhere ended with exit code 1") as failed:
        scene.play(1, demo.Step("Look", "It fails.", (demo.Call(demo.OWNER, "cat nowhere", (("", 0),)),)))
    assert failed.value.exit_code == 1
    assert "nowhere" in said[-1]


@pytest.mark.usefixtures("no_bwrap", "in_process")
def test_the_verb_answers_programs_with_one_document_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    person = Person(tmp_path / "home", tmp_path / "root", "me@example.org")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    answer = person.scq("demo", "--json", "-q")
    assert (answer.json["command"], answer.json["ok"], answer.err) == ("demo", True, "")
    assert "people" not in answer.json["data"]
    assert list((tmp_path / "temporary").iterdir()) == []


def test_without_keeping_it_the_next_step_is_to_keep_it() -> None:
    assert "To play on with it:  scq demo --keep DIR" in demo._next("/tmp/gone", {})


def test_a_machine_with_a_sandbox_uses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BwrapSandbox, "check", lambda self: [])
    said: list[str] = []
    scene = demo._Scene(str(tmp_path / "demo"), said.append)
    Path(scene.folder).mkdir()
    scene.prepare()
    assert (scene.sandbox, scene.words["data"]) == ("bwrap", "/data")
    assert "sandbox:" not in (tmp_path / "demo" / "home-owner" / "config.yaml").read_text()
    assert not any("!" in line for line in said)


def test_colours_are_for_terminals_only(tmp_path: Path) -> None:
    said: list[str] = []
    step = demo.Step("Look", "Look.", (demo.Call(demo.OWNER, "true x"),))
    for colours in (False, True):
        demo._Scene(str(tmp_path), said.append, colours=colours).play(1, step)
    plain, coloured = said[:3], said[3:]
    assert "\x1b" not in "".join(plain)
    assert coloured == ["\n\x1b[1m1/10  Look\x1b[0m", "      Look.", "  owner$ \x1b[36mtrue x\x1b[0m"]


@pytest.mark.parametrize(
    ("output", "shown", "lines"),
    [
        ("a\nb\nc\n", (("", 2),), ["a", "b", "…"]),
        ("a\nb\nc\n", (("b", 1),), ["…", "b", "…"]),
        ("a\nb\nc\nd\n", (("a", 1), ("d", 5)), ["a", "…", "d"]),
        ("a\n", (("", 0),), ["…"]),
        ("", (("", 6),), []),
        ("x" * 200, (("", 1),), ["x" * 109 + "…"]),
    ],
)
def test_long_output_is_shortened_where_nothing_is_lost(output: str, shown: demo.Shown, lines: list[str]) -> None:
    assert demo._excerpt(output, shown) == lines


def test_the_story_names_only_verbs_that_exist() -> None:
    words = [shlex.split(made.line) for step in demo.STORY for made in step.calls]
    assert {line[1] for line in words if line[0] == "scq"} <= set(VERBS)
