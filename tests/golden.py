"""Trees that the real peers wrote, where they are at hand: `SCQ_FIXTURES`, or `shared/fixtures` beside the repository."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "fixtures"
ROOT = Path(os.environ.get("SCQ_FIXTURES", BESIDE))
AVAILABLE = (ROOT / "disk").is_dir()


def scenarios(*generations: str) -> list[str]:
    """`<generation>/<scenario>` of every golden job tree whose folder starts with one of the given words."""
    if not AVAILABLE:
        return []
    found = (path.parent for path in sorted((ROOT / "disk").glob("*/*/expected.json")))
    return [f"{path.parent.name}/{path.name}" for path in found if path.parent.name.startswith(generations)]


def expected(scenario: str) -> dict[str, Any]:
    """What a correct reader must report."""
    value: dict[str, Any] = json.loads((ROOT / "disk" / scenario / "expected.json").read_text("utf-8"))
    return value


def materialise(scenario: str, target: Path) -> Path:
    """Copy a golden tree, make the empty folders it had, and return its SyftBox root (`SyftBox` or `SyftBox_<email>`)."""
    source = ROOT / "disk" / scenario
    shutil.copytree(source / "tree", target, dirs_exist_ok=True)
    for line in (source / "manifest.tsv").read_text("utf-8").splitlines()[1:]:
        kind, mode, _, _, path = line.split("\t")
        if kind == "d":
            (target / path).mkdir(parents=True, exist_ok=True)
        elif (target / path).is_file():
            (target / path).chmod(int(mode, 8))
    roots = sorted(target.glob("*/SyftBox*"))
    if len(roots) != 1:
        raise AssertionError(f"{scenario}: expected one SyftBox root, found {roots}")
    return roots[0]
