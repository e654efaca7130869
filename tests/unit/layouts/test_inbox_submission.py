"""Generation C: submissions the peers accept, and which form a datasite shows."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scq.errors import IntegrityError, UsageError
from scq.model import JobRef
from scq.ports import Submission
from tests.unit.layouts.inbox_trees import DS, OWNER, QUEUE, approval, keys, layout, only, put_job, put_state, sightings, snapshot


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "SyftBox"
    (folder / QUEUE).mkdir(parents=True)
    return folder


def a_submission(**values: Any) -> Submission:
    base = {
        "owner": OWNER,
        "submitter": DS,
        "name": "py one",
        "files": {"analysis.py": b"print(1)\n", "lib/stats.py": b""},
        "executable": frozenset({"lib/stats.py"}),
        "run_sh": "#!/bin/bash\npython analysis.py\n",
        "kind": "python",
        "entrypoint": "analysis.py",
        "dependencies": ("six==1.16.0",),
        "description": "",
        "tags": (),
        "timeout_s": None,
        "is_folder": True,
        "source_path": "/srv/scientist/projects/project",
        "submitted_at_iso": "2026-11-21T08:36:21.011665+00:00",
    }
    return Submission(**{**base, **values})


FLAT_CONFIG = """\
code_path: /srv/scientist/projects/project
datasets: null
dependencies:
- six==1.16.0
entrypoint: analysis.py
files:
- analysis.py
- lib/stats.py
headers: {}
is_folder_submission: true
job_type: local
name: py one
submitted_at: '2026-11-21T08:36:21.011665Z'
type: python
"""
V1_CONFIG = f"canonical_name: JobSubmissionMetadata\n{FLAT_CONFIG}version: '1'\n"


@pytest.mark.parametrize(("generation", "segment", "config"), [("c0", "", FLAT_CONFIG), ("c1", "v1/", V1_CONFIG)])
def test_a_submission_is_byte_for_byte_what_the_peers_write(tmp_path: Path, generation: str, segment: str, config: str) -> None:
    ref = layout.submit(str(tmp_path), generation, a_submission())
    assert ref == JobRef("inbox-review", OWNER, DS, f"{segment}py one")
    folder = tmp_path / QUEUE / "inbox" / DS / f"{segment}py one"
    assert (folder / "config.yaml").read_text() == config
    assert snapshot(folder) == {
        "config.yaml": config.encode(),
        "run.sh": b"#!/bin/bash\npython analysis.py\n",
        "code": None,
        "code/analysis.py": b"print(1)\n",
        "code/lib": None,
        "code/lib/stats.py": b"",
    }
    assert [oct((folder / name).stat().st_mode & 0o777) for name in ("run.sh", "config.yaml", "code/lib/stats.py")] == [
        "0o755",
        "0o644",
        "0o755",
    ]
    assert os.listdir(tmp_path / QUEUE) == ["inbox"]
    assert os.listdir(tmp_path / QUEUE / "inbox") == [DS]
    assert layout.target(str(tmp_path), OWNER) == generation


@pytest.mark.parametrize("generation", ["c0", "c1"])
def test_what_was_submitted_is_read_back(tmp_path: Path, generation: str) -> None:
    text = "Wörter: mit\nZeilen – und\x1b[31m Farbe " + "x" * 200
    layout.submit(str(tmp_path), generation, a_submission(description=text, tags=("a", "ü"), timeout_s=90, name="日 job"))
    sighting = only(tmp_path)
    assert (sighting.layout, sighting.observed, sighting.problems) == (generation, "received", ())
    assert (sighting.description, sighting.tags, sighting.timeout_s) == (text, ("a", "ü"), 90)
    assert (sighting.kind, sighting.entrypoint, sighting.dependencies) == ("python", "analysis.py", ("six==1.16.0",))
    assert sighting.submitted_at == datetime(2026, 11, 21, 8, 36, 21, 11665, UTC)
    assert (tmp_path / sighting.path / "config.yaml").read_bytes().isascii()


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"files": {}}, {"code/script.sh"}),
        ({"files": {}, "is_folder": True}, {"code/script.sh"}),
        ({"files": {"data.txt": b""}}, {"code/script.sh", "code/data.txt"}),
        ({"files": {"data.txt": b""}, "is_folder": True}, {"code/data.txt"}),
    ],
)
def test_a_bash_job_shows_its_script_below_code(tmp_path: Path, values: dict[str, Any], names: set[str]) -> None:
    bash = {"kind": "bash", "entrypoint": None, "executable": frozenset(), "run_sh": "echo hi\n", "is_folder": False}
    layout.submit(str(tmp_path), "c0", a_submission(**{**bash, **values}))
    folder = tmp_path / QUEUE / "inbox" / DS / "py one"
    assert {str(path.relative_to(folder)) for path in folder.rglob("code/*")} == names
    if "code/script.sh" in names:
        assert (folder / "code/script.sh").read_bytes() == (folder / "run.sh").read_bytes() == b"echo hi\n"
    assert only(tmp_path).kind == "bash"


def test_a_script_of_that_name_is_not_overwritten(tmp_path: Path) -> None:
    layout.submit(str(tmp_path), "c0", a_submission(kind="bash", is_folder=False, files={"script.sh": b"mine\n"}))
    assert (tmp_path / QUEUE / "inbox" / DS / "py one/code/script.sh").read_bytes() == b"mine\n"


def test_a_submission_never_stores_addresses(tmp_path: Path) -> None:
    layout.submit(str(tmp_path), "c0", a_submission())
    assert "@" not in (tmp_path / QUEUE / "inbox" / DS / "py one/config.yaml").read_text()
    assert not (tmp_path / QUEUE / "inbox" / DS / "syft.pub.yaml").exists()


@pytest.mark.parametrize("side", ["inbox", "review"])
@pytest.mark.parametrize(("generation", "key"), [("c0", "py one"), ("c1", "v1/py one")])
def test_a_taken_name_is_refused(root: Path, side: str, generation: str, key: str) -> None:
    put_job(root, key) if side == "inbox" else put_state(root, key, status="done")
    before = snapshot(root)
    with pytest.raises(UsageError, match="exists already"):
        layout.submit(str(root), generation, a_submission())
    assert {path: data for path, data in snapshot(root).items() if data is not None} == {
        path: data for path, data in before.items() if data is not None
    }


def test_the_same_name_may_be_used_in_the_other_protocol(tmp_path: Path) -> None:
    layout.submit(str(tmp_path), "c0", a_submission())
    layout.submit(str(tmp_path), "c1", a_submission())
    assert keys(tmp_path) == ["py one", "v1/py one"]


@pytest.mark.parametrize(
    "values",
    [
        {"name": "v1"},
        {"name": "../up"},
        {"name": "re[port]"},
        {"name": ""},
        {"owner": "../x@y"},
        {"submitter": ""},
        {"submitter": "a/b@c"},
        {"owner": ".hidden@x"},
        {"files": {}},
        {"files": {"../../evil": b""}},
        {"files": {"/etc/x": b""}},
        {"submitted_at_iso": "yesterday"},
    ],
)
def test_what_no_peer_could_read_is_refused_without_a_trace(tmp_path: Path, values: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        layout.submit(str(tmp_path), "c0", a_submission(**values))
    assert [path for path in tmp_path.rglob("*") if path.is_file() or path.name.endswith(".tmp")] == []


def test_an_unknown_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="c7"):
        layout.submit(str(tmp_path), "c7", a_submission())


def test_a_protocol_job_is_not_put_inside_a_flat_job(root: Path) -> None:
    put_job(root, "v1")
    with pytest.raises(UsageError, match="cannot hold others"):
        layout.submit(str(root), "c1", a_submission())


@pytest.mark.parametrize("part", ["inbox", f"inbox/{DS}", f"inbox/{DS}/v1"])
def test_a_submission_does_not_go_through_a_link(root: Path, tmp_path: Path, part: str) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    place = root / QUEUE / part
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(victim)
    with pytest.raises(IntegrityError, match="symbolic link"):
        layout.submit(str(root), "c1", a_submission())
    assert list(victim.iterdir()) == []


def test_a_submission_is_written_where_the_datasite_has_its_queue(tmp_path: Path) -> None:
    put_job(tmp_path, home=f"datasites/{OWNER}")
    layout.submit(str(tmp_path), "c0", a_submission())
    assert sorted(item.path for item in sightings(tmp_path)) == [
        f"datasites/{QUEUE}/inbox/{DS}/count rows",
        f"datasites/{QUEUE}/inbox/{DS}/py one",
    ]
    decided = sightings(tmp_path)[0]
    layout.decide(str(tmp_path), decided, approval())
    assert sightings(tmp_path)[0].observed == "approved"
    assert not (tmp_path / OWNER).exists()


def test_a_new_queue_is_made_below_datasites_where_that_is_the_form_of_the_root(tmp_path: Path) -> None:
    (tmp_path / "datasites").mkdir()
    layout.submit(str(tmp_path), "c0", a_submission())
    assert only(tmp_path).path.startswith(f"datasites/{OWNER}/")


def test_a_datasite_without_a_queue_shows_no_form(root: Path) -> None:
    assert layout.target(str(root), OWNER) is None
    assert layout.target(str(root), "nobody@example.org") is None
    assert layout.target(str(root), "../..") is None


@pytest.mark.parametrize("side", ["inbox", "review"])
def test_an_empty_side_is_the_flat_form(root: Path, side: str) -> None:
    (root / QUEUE / side).mkdir()
    assert layout.target(str(root), OWNER) == "c0"


@pytest.mark.parametrize("side", ["inbox", "review"])
def test_any_segment_is_the_newer_form(root: Path, side: str) -> None:
    put_job(root)
    (root / QUEUE / side / "second@example.net/v1").mkdir(parents=True)
    assert layout.target(str(root), OWNER) == "c1"


def test_a_flat_job_called_v1_is_no_segment(root: Path) -> None:
    put_job(root, "v1")
    put_state(root, "v1", status="pending")
    assert layout.target(str(root), OWNER) == "c0"


def test_linked_sides_show_no_form(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere/a/v1").mkdir(parents=True)
    (root / QUEUE / "inbox").symlink_to(tmp_path / "elsewhere")
    assert layout.target(str(root), OWNER) is None
