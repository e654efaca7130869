"""scq and the published permission engine answer the same questions about the same files.

Where scq reads a file more strictly than the engine, it never grants what the engine does not.
"""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from scq.access import Rules
from scq.layouts.inbox_welcome import welcome
from tests.interop.peers import HERE, PEERS, Peer, required

pytestmark = pytest.mark.interop

ENGINE: Peer = PEERS[0]
OWNER = "owner@hospital.example"
PEOPLE = ("alice@uni.example", "bob_smith@lab.example", "carol@uni.example", OWNER)
LEVELS = ("read", "write", "admin")
FOLDERS = ("a", "b", "inbox", "review", "alice@uni.example", "bob_smith@lab.example", "v1", "J 1", ".hidden")
NAMES = (*FOLDERS, "x.csv", "syft.pub.yaml")
SEGMENTS = (
    "*",
    "**",
    "**",
    "?",
    "*.csv",
    "v?",
    "a",
    "inbox",
    "{{.UserEmail}}",
    "x.csv",
    ".*",
    "{a}",
    "a**",
    "***",
    "*@uni.example",
)
ODD_SEGMENTS = (*SEGMENTS, "[ab]", "[!a]", "", ".", "..", "\\*", "a\\", "[", "]")
ENTRIES = (*PEOPLE, "*", "USER", "*@uni.example", "?ob_smith@lab.example", "nobody@x.example", "")
ODD_ENTRIES = (*ENTRIES, "[a]*", "*[!b]*", "user", "alice@*")


@pytest.fixture(scope="module")
def interpreter() -> Path:
    return required(ENGINE)


def permission_file(chance: random.Random, segments: tuple[str, ...], entries: tuple[str, ...]) -> str:
    rules = [
        {
            "pattern": "/".join(chance.choices(segments, k=chance.randint(1, 4))),
            "access": {level: chance.choices(entries, k=chance.randint(0, 2)) for level in LEVELS if chance.random() < 0.7},
        }
        for _ in range(chance.randint(0, 5))
    ]
    return yaml.safe_dump({"rules": rules, "terminal": chance.random() < 0.2})


def case(seed: int, segments: tuple[str, ...], entries: tuple[str, ...]) -> dict[str, Any]:
    chance = random.Random(seed)
    folders = ["/".join(chance.choices(FOLDERS, k=chance.randint(1, 3))) for _ in range(3)]
    homes = ["", *folders, *(folder.rpartition("/")[0] for folder in folders)]
    files = {f"{home}/syft.pub.yaml".lstrip("/"): permission_file(chance, segments, entries) for home in chance.sample(homes, 3)}
    below = ["/".join(chance.choices(NAMES, k=chance.randint(1, 2))) for _ in range(6)]
    paths = [f"{home}/{rest}".lstrip("/") for home in homes for rest in below] + folders
    asked = [path for path in paths if "syft.pub.yaml/" not in path]
    return {
        "owner": OWNER,
        "folders": folders,
        "files": files,
        "questions": [[path, who, level] for path in asked for who in PEOPLE for level in LEVELS],
    }


def their_answers(interpreter: Path, cases: list[dict[str, Any]]) -> list[list[bool] | None]:
    command = [str(interpreter), str(HERE / "drivers" / "permission_driver.py")]
    done = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def our_answers(folder: Path, one: dict[str, Any]) -> list[bool]:
    folder.mkdir()
    for name in one["folders"]:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, text in one["files"].items():
        (folder / name).write_text(text, encoding="utf-8")
    rules = Rules(str(folder), OWNER)
    return [rules.may(path, who, level) for path, who, level in one["questions"]]


def test_every_question_about_files_that_both_read_has_the_same_answer(interpreter: Path, tmp_path: Path) -> None:
    cases = [case(seed, SEGMENTS, ENTRIES) for seed in range(60)]
    granted = 0
    for number, (one, theirs) in enumerate(zip(cases, their_answers(interpreter, cases), strict=True)):
        ours = our_answers(tmp_path / str(number), one)
        assert theirs is not None
        differing = [row for row in zip(one["questions"], ours, theirs, strict=True) if row[1] != row[2]]
        assert not differing, (one["files"], differing[:5])
        granted += sum(answer for answer, (_, who, _) in zip(ours, one["questions"], strict=True) if who != OWNER)
    assert granted > 1_000


def test_what_scq_reads_more_strictly_never_grants_more(interpreter: Path, tmp_path: Path) -> None:
    cases = [case(seed, ODD_SEGMENTS, ODD_ENTRIES) for seed in range(1_000, 1_060)]
    granted = refused = 0
    for number, (one, theirs) in enumerate(zip(cases, their_answers(interpreter, cases), strict=True)):
        ours = our_answers(tmp_path / str(number), one)
        assert theirs is not None
        wrong = [row for row in zip(one["questions"], ours, theirs, strict=True) if row[1] and not row[2]]
        assert not wrong, (one["files"], wrong[:5])
        granted += sum(answer for answer, (_, who, _) in zip(ours, one["questions"], strict=True) if who != OWNER)
        refused += sum(theirs) - sum(ours)
    assert granted > 100
    assert refused > 0


DAMAGED = (
    "rules: [unclosed",
    "rules: 5",
    "- a list",
    "rules:\n- pattern: a/**\n  access: {read: everybody}\n",
    "rules:\n- pattern: '{{.Year}}/**'\n  access: {read: ['*']}\n",
    "rules:\n- access: {read: ['*']}\n",
)


@pytest.mark.parametrize("text", DAMAGED)
def test_a_file_that_the_engine_refuses_grants_nothing_here(interpreter: Path, tmp_path: Path, text: str) -> None:
    questions = [["a/b", who, "read"] for who in PEOPLE[:3]]
    one = {"owner": OWNER, "folders": ["a"], "files": {"a/syft.pub.yaml": text}, "questions": questions}

    assert their_answers(interpreter, [one]) == [None]
    assert our_answers(tmp_path / "datasite", one) == [False, False, False]


def tree(root: Path) -> dict[str, tuple[int, bytes]]:
    """Everything below a folder: permission bits and, of files, the content."""
    entries = sorted(root.rglob("*"))
    return {str(path.relative_to(root)): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"") for path in entries}


def test_an_accepted_peer_finds_the_same_folders_and_bytes_whoever_made_them(interpreter: Path, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for submitter in PEOPLE[:2]:
        request = {"do": "prepare", "root": str(theirs), "me": OWNER, "submitter": submitter}
        theirs.mkdir(exist_ok=True)
        ours.mkdir(exist_ok=True)
        command = [str(interpreter), str(HERE / "drivers" / ENGINE.driver), json.dumps(request)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, umask=0o022)
        assert done.returncode == 0, done.stderr
        welcome(str(ours), OWNER, submitter)

    assert tree(ours) == tree(theirs)
    assert len(tree(ours)) == 13
