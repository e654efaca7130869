"""Start-up: what a call loads, seen in an interpreter of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.people import OWNER, SCIENTIST, Person, code_folder, syftbox

ROOT = Path(__file__).resolve().parents[2]
SLOW = ["googleapiclient", "google.auth", "apprise", "jinja2", "rich", "requests", "pydantic", "smtplib", "asyncio"]
CALL = """
import json, sys
from scq.__main__ import main
try:
    main()
except SystemExit as end:
    assert end.code in (None, 0), end.code
json.dump(sorted(sys.modules), sys.stderr)
"""


def loaded(script: str, *arguments: str) -> set[str]:
    """Names of the modules that are loaded at the end of a script."""
    command = [sys.executable, "-c", script, *arguments]
    env = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    modules: list[str] = json.loads(done.stderr.splitlines()[-1])
    return set(modules)


@pytest.fixture
def owner(tmp_path: Path) -> Person:
    """An owner with one job that waits and one that is over, after a first look."""
    root = syftbox(tmp_path, OWNER, SCIENTIST)
    owner, scientist = Person(tmp_path / "do", root, OWNER), Person(tmp_path / "ds", root, SCIENTIST)
    os.utime(owner.home / "config.yaml", (1, 1))
    for name, generation in (("first", "c0"), ("second", "a3")):
        source = code_folder(tmp_path / "code" / name)
        scientist.scq("submit", OWNER, str(source), "--name", name, "--layout", generation)
    owner.scq("approve", "first")
    owner.scq("run-approved")
    owner.scq("check", "--full")
    owner.scq("cycle")
    return owner


@pytest.mark.parametrize(
    "verb", ["status", "list", "pending", "check", "check --full", "check --json", "cycle", "--version", "--help"]
)
def test_a_call_loads_nothing_slow(owner: Person, verb: str) -> None:
    place = ["--home", str(owner.home), "--root", str(owner.root), "--email", OWNER]
    words = verb.split()
    modules = loaded(CALL, *(words if words[0].startswith("--") else [*place, *words]))
    assert "scq" in modules
    assert modules.isdisjoint(SLOW)


@pytest.mark.parametrize(
    ("verb", "spared"),
    [
        ("status", {"yaml"}),
        ("pending", {"yaml"}),
        ("check", {"yaml"}),
        ("cycle", {"yaml"}),
        ("check --full", set()),
        ("list", set()),
    ],
)
def test_a_call_of_a_scheduler_loads_no_command_line_library_and_an_idle_one_no_yaml(
    owner: Person, verb: str, spared: set[str]
) -> None:
    """A look that finds nothing young parses nothing; one that visits files younger than its clock can trust does."""
    place = ["--home", str(owner.home), "--root", str(owner.root), "--email", OWNER]
    assert loaded(CALL, *place, *verb.split()).isdisjoint({"typer", "subprocess", "tempfile"} | spared)


def test_reading_needs_no_lock(owner: Person) -> None:
    place = ["--home", str(owner.home), "--root", str(owner.root), "--email", OWNER]
    assert "filelock" not in loaded(CALL, *place, "status")


def test_importing_the_package_loads_no_other_package() -> None:
    script = "import json, sys; before = set(sys.modules); import scq; json.dump(sorted(set(sys.modules) - before), sys.stderr)"
    modules = loaded(script)
    tops = {name.partition(".")[0] for name in modules}
    assert tops - set(sys.stdlib_module_names) == {"scq"}
    assert {name for name in modules if name.startswith("scq.")} == set()
    assert tops.isdisjoint({"asyncio", "smtplib", "subprocess", "logging", "email", "json", "tempfile"})


def test_looking_at_the_public_names_loads_nothing() -> None:
    script = "import json, sys, scq; dir(scq); hasattr(scq, 'nothing'); json.dump(sorted(sys.modules), sys.stderr)"
    assert not {name for name in loaded(script) if name.startswith("scq.")}
