"""Hand-made inbox/review queues, and the decisions and runs to write into them, for the tests of generation C."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from scq.layouts.inbox_review import InboxReview
from scq.model import Decision, Run, Sighting
from scq.ports import ResultSet
from scq.tree import DiskTree

OWNER, DS = "owner@example.org", "scientist@example.com"
QUEUE = f"{OWNER}/app_data/job"
NOW = datetime(2026, 11, 21, 9, 0, 0, 123456, UTC)
LOGS = ["stdout.txt", "stderr.txt", "returncode.txt"]
layout = InboxReview()


def disk(root: Path, *, full: bool = True, known: dict[str, str] | None = None) -> DiskTree:
    """A look one hour from now, so that no folder is too young to be remembered."""
    later = int((datetime.now(UTC) + timedelta(hours=1)).timestamp() * 1e9)
    return DiskTree(str(root), OWNER, full=full, known_folders=known, now_ns=later)


def sightings(root: Path) -> list[Sighting]:
    tree = disk(root)
    return [layout.read(tree, spot) for spot in layout.find(tree)]


def only(root: Path) -> Sighting:
    found = sightings(root)
    assert len(found) == 1, [item.path for item in found]
    return found[0]


def whats(sighting: Sighting) -> str:
    return " / ".join(f"{problem.where}: {problem.what}" for problem in sighting.problems)


CONFIG: dict[str, Any] = {
    "name": "count rows",
    "type": "bash",
    "submitted_at": "2026-11-21T08:37:15.600637Z",
    "entrypoint": None,
    "dependencies": [],
    "files": ["script.sh"],
    "headers": {},
}


def put_job(root: Path, key: str = "count rows", submitter: str = DS, home: str = OWNER, **config: Any) -> Path:
    """A sound submission in the inbox; returns its folder."""
    folder = root / home / "app_data/job/inbox" / submitter / key
    (folder / "code").mkdir(parents=True)
    (folder / "code/script.sh").write_text("echo 1\n")
    (folder / "run.sh").write_text("echo 1\n")
    name = key.rpartition("/")[2]
    (folder / "config.yaml").write_text(yaml.safe_dump({**CONFIG, "name": name, **config}))
    return folder


def put_state(root: Path, key: str = "count rows", submitter: str = DS, home: str = OWNER, **state: Any) -> Path:
    """A state.yaml with the given values; returns the review folder."""
    folder = root / home / "app_data/job/review" / submitter / key
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "state.yaml").write_text(yaml.safe_dump(state))
    return folder


KEYS = ("count rows", "v1/count rows")


def keys(root: Path, **how: Any) -> list[str]:
    return [spot.ref.key for spot in layout.find(disk(root, **how))]


def snapshot(root: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in sorted(root.rglob("*"))}


def approval(**values: Any) -> Decision:
    return Decision(**{"verdict": "approve", "digest": "sha256:0", "by": OWNER, "at": NOW, "reason": "Looks safe", **values})


def rejection(**values: Any) -> Decision:
    return Decision(**{"verdict": "reject", "digest": "sha256:0", "by": OWNER, "at": NOW, "reason": "Too broad", **values})


def a_run(**values: Any) -> Run:
    base = {"attempt": 1, "digest": "sha256:0", "directory": "r", "phase": "ended", "claimed_at": NOW, "cause": "exit"}
    return Run(**{**base, "exit_code": 0, "started_at": NOW, "finished_at": NOW + timedelta(seconds=2), **values})


def results_of(tmp_path: Path, run: Run | None = None, **values: Any) -> ResultSet:
    folder = tmp_path / "collected"
    (folder / "deep").mkdir(parents=True, exist_ok=True)
    (folder / "rows.txt").write_text("3\n")
    (folder / "deep/table.csv").write_text("a\n")
    base = {"run": run or a_run(), "outputs_dir": str(folder), "stdout": b"hello\xff\n", "stderr": b""}
    return ResultSet(**{**base, **values})


def state_of(root: Path, key: str = "count rows") -> dict[str, Any]:
    value: dict[str, Any] = yaml.safe_load((root / QUEUE / "review" / DS / key / "state.yaml").read_text())
    return value


def review_of(root: Path, key: str = "count rows") -> Path:
    return root / QUEUE / "review" / DS / key


def rules_of(folder: Path) -> object:
    return yaml.safe_load((folder / "syft.pub.yaml").read_text())["rules"]


def spoil(path: Path, how: str) -> None:
    """Put something in place of a file that no reader may choke on."""
    path.unlink()
    if how == "fifo":
        os.mkfifo(path)
    elif how == "folder":
        path.mkdir()
    elif how == "link":
        secret = path.parents[3] / "secret"
        secret.write_text("status: approved\nname: secret\n")
        path.symlink_to(secret)
    elif how == "huge":
        with path.open("wb") as file:
            file.truncate(50 << 20)
    else:
        path.write_bytes(SPOILED[how])


SPOILED: dict[str, bytes] = {
    "empty": b"",
    "list": b"- status: approved\n",
    "text": b"approved\n",
    "torn": b"status: [appro",
    "not utf-8": b"status: approved\nname: \xff\n",
    "nul": b"status: approved\0",
    "deep": b"[" * 100_000,
    "deep blocks": b"- " * 100_000,
    "long and torn": b"status: approved\nname: [" + b"x, " * 1_000 + b"}",
    "tag": b"!!python/object/apply:os.system ['true']\n",
    "two": b"status: approved\n---\nstatus: done\n",
}
SPOILERS = [*SPOILED, "fifo", "folder", "link", "huge"]


class PowerCut(BaseException):
    """Stands for the process dying."""
