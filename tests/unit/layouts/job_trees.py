"""SyftBox folders for the tests of the folder and marker generations: peers' recorded ones and small ones made here."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scq.layouts.job_folders import JobFolders
from scq.layouts.job_markers import JobMarkers
from scq.model import Decision, JobRef, Run, Sighting, Verdict
from scq.ports import Layout, ResultSet, Submission
from scq.tree import DiskTree

OWNER, SENDER = "owner@example.org", "scientist@example.com"
FIXTURES = Path(os.environ.get("SCQ_FIXTURES") or Path(__file__).resolve().parents[3].parent / "shared" / "fixtures")
SCENARIOS = sorted(path.parent for prefix in ("b0", "b1", "b2") for path in FIXTURES.glob(f"disk/{prefix}-*/*/expected.json"))
NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
CONFIG = f"name: count\nsubmitted_by: {SENDER}\nsubmitted_at: '2026-11-21T08:00:00.5+00:00'\n"

B0, B1 = f"datasites/{OWNER}/app_data/job", f"datasites/{OWNER}/app_data/job"
B2 = f"{OWNER}/app_data/job/{SENDER}"
PLACE = {"b0": f"{B0}/inbox/count", "b1": f"{B1}/count", "b2": f"{B2}/count"}


def layout_of(generation: str) -> Layout:
    return JobFolders() if generation == "b0" else JobMarkers()


def recorded(scenario: Path, target: Path) -> tuple[Path, dict[str, Any]]:
    """A copy of a recorded tree with its empty folders and file times, as (SyftBox root, expected.json)."""
    expected: dict[str, Any] = json.loads((scenario / "expected.json").read_text())
    shutil.copytree(scenario / "tree", target, symlinks=True)
    rows = [line.split("\t") for line in (scenario / "manifest.tsv").read_text().splitlines()[1:]]
    for kind, _, _, _, path in rows:
        if kind == "d":
            (target / path).mkdir(parents=True, exist_ok=True)
    for _, _, _, changed, path in reversed(rows):
        if (target / path).exists():
            seconds = datetime.fromisoformat(changed).timestamp()
            os.utime(target / path, (seconds, seconds))
    who = "owner" if expected["viewer"] == OWNER else "scientist"
    return next((target / who).iterdir()), expected


def job(root: Path, path: str, config: str | bytes | None = CONFIG, **files: str) -> Path:
    """A job folder with config.yaml, run.sh and further files (`returncode_txt` stands for returncode.txt)."""
    folder = root / path
    folder.mkdir(parents=True, exist_ok=True)
    if config is not None:
        (folder / "config.yaml").write_bytes(config if isinstance(config, bytes) else config.encode())
    (folder / "run.sh").write_text("#!/bin/bash\necho hi\n")
    for name, content in files.items():
        (folder / name.replace("_txt", ".txt")).write_text(content)
    return folder


def look(root: Path, me: str = OWNER, **options: Any) -> DiskTree:
    return DiskTree(str(root), me, **options)


def see(root: Path, layout: Layout, me: str = OWNER) -> list[Sighting]:
    tree = look(root, me)
    return [layout.read(tree, spot) for spot in layout.find(tree)]


def only(root: Path, layout: Layout, me: str = OWNER) -> Sighting:
    (found,) = see(root, layout, me)
    return found


def again(root: Path, layout: Layout, ref: JobRef) -> Sighting:
    tree = look(root)
    spot = layout.locate(tree, ref)
    assert spot is not None
    return layout.read(tree, spot)


def submission(**changes: Any) -> Submission:
    values: dict[str, Any] = {
        "owner": OWNER,
        "submitter": SENDER,
        "name": "count",
        "files": {},
        "executable": frozenset(),
        "run_sh": "#!/bin/bash\necho hi\n",
        "kind": "bash",
        "entrypoint": None,
        "dependencies": (),
        "description": "",
        "tags": (),
        "timeout_s": None,
        "is_folder": False,
        "source_path": None,
        "submitted_at_iso": "2026-11-21T08:00:00.500000+00:00",
    }
    return Submission(**(values | changes))


def decision(verdict: Verdict = "approve") -> Decision:
    return Decision(verdict=verdict, digest="sha256:0", by=OWNER, at=NOW)


def ended(outputs: Path | None, **changes: Any) -> ResultSet:
    values: dict[str, Any] = {"attempt": 1, "digest": "sha256:0", "directory": "r1", "phase": "ended", "claimed_at": NOW}
    run = Run(**(values | {"exit_code": 0, "cause": "exit"} | changes))
    return ResultSet(run=run, outputs_dir=str(outputs) if outputs else None, stdout=b"out\n", stderr=b"err\n")


def made_outputs(folder: Path) -> Path:
    """Outputs as a hostile job may leave them: files, a folder, a link out and a FIFO."""
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "deep" / "b.txt").write_text("b")
    (folder / "secret").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    return folder


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Mode and content of everything below a folder."""
    found = sorted(folder.rglob("*"))
    return {str(p.relative_to(folder)): (p.lstat().st_mode, p.read_bytes() if p.is_file() else b"") for p in found}
