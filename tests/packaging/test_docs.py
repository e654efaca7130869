"""The documents say what is true: commands run, links lead somewhere, tables agree with the code."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import scq
from scq import errors, layouts
from scq.config_keys import KEYS
from scq.model import PeerState
from tests import drive_world
from tests.people import Person
from tests.servers.drive import DriveServer

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
DRIVE = (ROOT / "docs" / "drive.md").read_text("utf-8")
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


@pytest.mark.parametrize("name", ["systemd/scq-notify.service", "cron/scq.cron", "README.md"])
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


def test_every_name_of_the_python_library_is_in_its_document_and_none_is_made_up() -> None:
    named = {name for document in DOCUMENTS for name in re.findall(r"\bq\.([A-Za-z_]+)", document.read_text("utf-8"))}
    assert named <= set(dir(scq))
    described = (ROOT / "docs" / "library.md").read_text("utf-8") + (ROOT / "docs" / "notifications.md").read_text("utf-8")
    assert [name for name in scq.__all__ if name[0] != "_" and not re.search(rf"\b{name}\b", described)] == []


def test_every_generation_that_can_be_written_is_in_the_layout_document() -> None:
    text = (ROOT / "docs" / "layouts.md").read_text("utf-8")
    assert [word for word in layouts.GENERATIONS if f"`{word}`" not in text] == []


def test_every_module_of_the_tour_is_there() -> None:
    tour = (ROOT / "docs" / "architecture.md").read_text("utf-8").partition("## The tour")[2].partition("## How a call")[0]
    names = re.findall(r"\b([a-z_]+)(\.py|/)(?= )", tour)
    assert len(names) > 60
    assert [name + end for name, end in names if not (ROOT / "scq" / f"{name}{end}").exists()] == []


def section(heading: str) -> str:
    """The part of docs/drive.md below a heading."""
    found = DRIVE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    assert found, heading
    return found


class TestOfDrive:
    """docs/drive.md, word for word where a word can be checked."""

    ME = "owner@hospital.example"

    @pytest.fixture
    def server(self) -> Iterator[DriveServer]:
        with DriveServer() as server:
            yield server

    @pytest.fixture
    def owner(self, tmp_path: Path, server: DriveServer) -> Person:
        """The owner, whom the people of the document ask."""
        root = tmp_path / "SyftBox"
        (root / self.ME).mkdir(parents=True)
        owner = Person(tmp_path / "home", root, self.ME, f"sandbox: none\ndrive: {{endpoint: '{server.endpoint}'}}\n")
        server.token_file(owner.home / "token_do.json", self.ME)
        for peer in sorted(set(re.findall(r"scq peers \S+ (\S+@\S+)", DRIVE))):
            server.add_folder(peer, f"syft_datasite#0.10.0#{self.ME}#inbox#{peer}", share={self.ME: "writer"})
        return owner

    def test_the_settings_are_those_of_the_code_with_their_defaults(self, owner: Person) -> None:
        documented = dict(re.findall(r"^\| `(drive\.\w+)` \| `([^`]+)` \|", section("Settings"), re.M))
        assert set(documented) == {key.path for key in KEYS if key.path.startswith("drive.")}
        owner.configure("drive:\n" + "".join(f"  {key.removeprefix('drive.')}: {word}\n" for key, word in documented.items()))
        settings = {row["key"]: row for row in owner.json("config", "show")["settings"] if row["key"] in documented}
        assert {key: row["value"] for key, row in settings.items()} == {key: row["default"] for key, row in settings.items()}

    def test_the_exit_codes_are_codes_of_scq_for_what_cannot_be_asked(self) -> None:
        assert set(rows(DRIVE, "| exit | what happened |")) == {errors.BUSY, errors.SIGN_IN, errors.CONFIG}

    def test_the_states_of_a_peer_are_those_of_the_code(self) -> None:
        assert re.findall(r"^\| `(\w+)` \|", section("Peers"), re.M) == list(get_args(PeerState))

    def test_the_commands_about_peers_run_as_written_and_are_all_there_are(self, owner: Person) -> None:
        calls = [shlex.split(line, comments=True)[1:] for line in section("Peers").splitlines() if line.startswith("scq peers")]
        for call in calls:
            owner.scq(*call)
        assert {peer["address"]: peer["state"] for peer in owner.json("peers")["peers"]} == {
            "alice@uni.example": "accepted",
            "mallory@example.net": "rejected",
        }
        there = re.findall(r"^  ([a-z][a-z-]+) {2,}\S", owner.scq("peers", "--help").out.partition("Commands:")[2], re.M)
        assert {(call[1:] or ["list"])[0] for call in calls} == set(there)

    def test_the_answers_are_in_the_log_under_the_words_of_the_documents(self, owner: Person) -> None:
        owner.scq("peers", "accept", "alice@uni.example")
        owner.scq("peers", "reject", "alice@uni.example")
        words = [row["what"] for row in owner.json("audit", "show")["rows"] if row["what"].startswith("peer-")]
        assert words == ["peer-accepted", "peer-rejected"]
        audit = (ROOT / "docs" / "audit.md").read_text("utf-8")
        assert [word for word in words if f"`{word}`" not in DRIVE or f"`{word}`" not in audit] == []

    def test_what_check_shows_of_a_job_is_what_is_written(self, owner: Person, server: DriveServer) -> None:
        (inbox,) = (item.id for item in server.find(f"syft_datasite#0.10.0#{self.ME}#inbox#alice@uni.example"))
        body = drive_world.pack(drive_world.message(drive_world.job("income_prediction")))
        server.add_file("alice@uni.example", drive_world.file_name(), inbox, body)
        shown = [line for line in re.findall(r"^\$ scq check\n(.*?)```", DRIVE, re.S | re.M)[0].splitlines() if line != "  ..."]
        said = re.sub(r"\b[0-9a-f]{8}\b", "6f1c2a9e", owner.scq("check").out).splitlines()
        assert [line for line in shown if line not in said] == []
        owner.scq("approve", "income_prediction", code=errors.BUSY)
        owner.scq("reject", "income_prediction", "-r", "no", code=errors.BUSY)

    def test_the_figures_it_names_are_described(self) -> None:
        named = set(re.findall(r"`(scq_\w+)`", DRIVE))
        described = set(re.findall(r"^\| `(scq_\w+)", (ROOT / "docs" / "monitoring.md").read_text("utf-8"), re.M))
        assert named
        assert named <= described
