"""scq submit: into the form the owner's queue already uses."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.people import OWNER, SCIENTIST, World, code_folder


@pytest.fixture
def code(tmp_path: Path) -> str:
    return str(code_folder(tmp_path / "study"))


def test_the_job_is_there_and_named(world: World, code: str) -> None:
    data = world.scientist.json("submit", " Owner@Example.org ", code, "--name", "count", "--timeout", "60")
    assert (data["owner"], data["name"], data["layout"]) == (OWNER, "count", "c0")
    assert data["files"] == ["run.sh"]
    assert (world.root / data["path"]).is_dir()
    assert world.owner.job(data["short_id"])["id"] == data["id"]


def test_people_read_one_line(world: World, code: str) -> None:
    out = world.scientist.scq("submit", OWNER, code, "--name", "count").out
    assert out.startswith("submitted ")
    assert out.endswith("  count  to owner@example.org (c0)\n")


def test_a_dry_run_sends_nothing(world: World, code: str) -> None:
    data = world.scientist.json("submit", OWNER, code, "--name", "count", "--dry-run")
    assert (data["id"], data["path"], data["dry_run"]) == (None, None, True)
    out = world.scientist.scq("submit", OWNER, code, "--name", "count", "--dry-run").out
    assert out == "would submit count to owner@example.org (c0, 2 files)\n"
    assert world.owner.json("list")["jobs"] == []


@pytest.mark.parametrize("generation", ["a3", "b2", "c0", "c1"])
def test_the_form_the_owner_already_uses_is_taken(world: World, code: str, generation: str) -> None:
    world.submit("first", layout=generation)
    assert world.second.json("submit", OWNER, code, "--name", "second")["layout"] == generation


@pytest.mark.parametrize(
    ("source", "beginning"), [("ages by year!.py", "ages by year- 2"), ("... .py", "job 2"), ("run.sh", "run 2")]
)
def test_a_job_without_a_name_is_named_after_its_source(world: World, tmp_path: Path, source: str, beginning: str) -> None:
    (tmp_path / source).write_text("#!/bin/bash\nexit 0\n")
    assert world.scientist.json("submit", OWNER, str(tmp_path / source))["name"].startswith(beginning)


def test_a_script_may_come_from_standard_input(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"print(1)\n"), isatty=lambda: False))
    data = world.scientist.json("submit", OWNER, "-", "--requirement", "numpy")
    assert data["name"].startswith("script 2")
    assert "script.py" in data["files"]
    assert "numpy" in world.owner.job(data["id"])["dependencies"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("nobody", "."), "is not an e-mail address"),
        (("a@b.org, c@d.org", "."), "is not an e-mail address"),
        ((OWNER, ".", "--layout", "z9"), "no layout 'z9'"),
        ((OWNER, ".", "--timeout", "0"), "a timeout of 0 s is not possible"),
        ((OWNER, "/nothing/here"), "no such file or folder"),
    ],
)
def test_a_call_that_cannot_work_says_what_to_do(world: World, arguments: tuple[str, ...], reason: str) -> None:
    answer = world.scientist.scq("submit", *arguments, code=2)
    assert reason in answer.err
    assert answer.err.count("\n") == 2, "what is wrong, and what to do"


def test_a_name_that_is_taken_is_refused(world: World, code: str) -> None:
    world.submit("count")
    assert "exists already" in world.scientist.scq("submit", OWNER, code, "--name", "count", code=2).err


def test_without_an_address_or_a_root_nothing_is_sent(world: World, code: str) -> None:
    world.scientist.email = ""
    assert "scq init --email" in world.scientist.scq("submit", OWNER, code, code=2).err
    world.scientist.email = SCIENTIST
    world.scientist.root = world.folder / "nowhere"
    assert "no such folder" in world.scientist.scq("submit", OWNER, code, code=2).err
