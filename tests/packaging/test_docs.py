"""The documents say what is true: commands run, links lead somewhere, tables agree with the code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scq import errors, layouts

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TOUR = re.findall(r"<!-- as: (\w+) -->\n```sh\n(.*?)```", README, re.S)
VERB = re.compile(r"\bscq(?:\"|`)? ([a-z][a-z-]+)")


@pytest.fixture
def scq_on_path(tmp_path: Path) -> str:
    """A PATH on which `scq` is this checkout."""
    folder = tmp_path / "bin"
    folder.mkdir()
    command = folder / "scq"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m scq "$@"\n')
    command.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def rows(document: str, heading: str) -> dict[int, str]:
    """Exit code → meaning of the table below a heading line."""
    table = document.partition(heading)[2].partition("\n\n")[0]
    return {int(code): meaning for code, meaning in re.findall(r"^\| (\d+) \| (.+?) \|$", table, re.M)}


def known_verbs() -> set[str]:
    done = subprocess.run([sys.executable, "-m", "scq", "--help"], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return set(re.findall(r"^  ([a-z][a-z-]+) {2,}\S", done.stdout.partition("Commands:")[2], re.M))


def test_the_readme_begins_with_the_two_commands() -> None:
    lines = [line for line in README.splitlines() if line.startswith("make ")]
    assert [line.split()[1] for line in lines[:2]] == ["demo", "test"]
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
    assert {"demo", "test", "lint", "check", "fmt", "build", "bench"} <= set(targets)


def test_the_tour_of_the_readme_runs_as_written(tmp_path: Path, scq_on_path: str) -> None:
    assert [who for who, _ in TOUR] == ["submitter", "owner", "submitter"]
    (tmp_path / "SyftBox").mkdir()
    shown = ""
    for who, script in TOUR:
        home = tmp_path / who
        home.mkdir(exist_ok=True)
        if not (home / "config.yaml").exists():
            home.chmod(0o700)
            (home / "config.yaml").write_text("sandbox: none\n")
        env = {**os.environ, "HOME": str(tmp_path), "SCQ_HOME": str(home), "PATH": scq_on_path, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, env=env, cwd=tmp_path, check=False
        )
        assert done.returncode == 0, f"{who}: {script}\n{done.stdout}\n{done.stderr}"
        shown = done.stdout
    assert "completed" in shown
    assert "rows: 42" in shown
    assert [path.read_text() for path in (tmp_path / "results").rglob("rows.txt")] == ["rows: 42\n"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_files_that_are_there(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?://)([^)#]+)", document.read_text("utf-8"))
    assert [target for target in targets if not (document.parent / target).exists()] == []


@pytest.mark.parametrize(("name", "heading"), [("README.md", "| exit | meaning |"), ("docs/json.md", "| exit | meaning |")])
def test_the_table_of_exit_codes_is_that_of_the_code(name: str, heading: str) -> None:
    codes = {value for key, value in vars(errors).items() if key.isupper() and isinstance(value, int)}
    assert set(rows((ROOT / name).read_text("utf-8"), heading)) == codes


@pytest.mark.parametrize("name", ["systemd/scq.service", "cron/scq.cron", "README.md"])
def test_only_verbs_that_exist_are_called(name: str) -> None:
    called = {
        verb
        for line in (ROOT / name).read_text("utf-8").splitlines()
        if "bin/scq" in line or line.startswith("scq ")
        for verb in VERB.findall(line)
    }
    assert called
    assert called <= known_verbs()


def test_every_verb_is_described_in_the_json_document() -> None:
    headings = re.findall(r"^### (.+)$", (ROOT / "docs" / "json.md").read_text("utf-8"), re.M)
    described = {verb for heading in headings for verb in heading.split(", ")}
    assert described == known_verbs()


def test_every_generation_that_can_be_written_is_in_the_layout_document() -> None:
    text = (ROOT / "docs" / "layouts.md").read_text("utf-8")
    assert [word for word in layouts.GENERATIONS if f"`{word}`" not in text] == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """The command has to exist where it is verified, so another one stands in for it."""
    for name in ("scq.service", "scq.timer"):
        text = (ROOT / "systemd" / name).read_text("utf-8")
        (tmp_path / name).write_text(text.replace("%h/.local/bin/scq", "/bin/true"))
    command = ["systemd-analyze", "--user", "verify", "--man=no", "--recursive-errors=one", "scq.service", "scq.timer"]
    env = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env, check=False)
    assert (done.returncode, done.stderr) == (0, "")
