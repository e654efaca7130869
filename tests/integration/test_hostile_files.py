"""Metadata, config and state files as a stranger may leave them: each is named, and the jobs beside it go on."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.hostile import GENERATIONS, Apart, Box, problems_of

METADATA = {"a3": "metadata.json", "b2": "config.yaml", "c0": "config.yaml", "c1": "config.yaml"}
DEPTH = 50_000
MERGED = "a0: &a0 {k: 1}\n" + "".join(f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
REFERRED = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
FUTURE, FIRST, LAST = "2999-01-01T00:00:00", "0001-01-01T00:00:00", "9999-12-31T23:59:59.999999"

Spoil = Callable[[Path, Path], object]


def written(content: bytes) -> Spoil:
    return lambda path, secret: path.write_bytes(content)


def replaced(make: Spoil) -> Spoil:
    def spoil(path: Path, secret: Path) -> None:
        path.unlink()
        make(path, secret)

    return spoil


ANY_FILE: dict[str, Spoil] = {
    "missing": lambda path, secret: path.unlink(),
    "empty": written(b""),
    "blank": written(b" \n\n"),
    "50 MB": lambda path, secret: os.truncate(path, 50 << 20),
    "not UTF-8": written(b"name: \xff\xfe"),
    "binary": written(bytes(range(256))),
    "FIFO": replaced(lambda path, secret: os.mkfifo(path)),
    "link to a secret": replaced(lambda path, secret: path.symlink_to(secret)),
    "link to itself": replaced(lambda path, secret: path.symlink_to(path)),
    "folder": replaced(lambda path, secret: path.mkdir()),
}
YAML_FILE: dict[str, Spoil] = {
    "list": written(b"- a\n- b\n"),
    "merge bomb": written(MERGED.encode()),
    "alias bomb": written(REFERRED.encode()),
    "endless alias": written(b"name: &a [*a]\nstatus: *a\n"),
    "deep in brackets": written(b"a: " + b"[" * DEPTH),
    "deep in blocks": written(b"- " * DEPTH),
    "object": written(b"name: !!python/object/apply:os.system [touch hacked]\n"),
    "wrong types": written(b"name: {a: b}\nstatus: [approved]\ntype: [python]\nsubmitted_by: 7\nsubmitted_at: true\n"),
    "not YAML": written(b"name: [unclosed\n\tstatus: x"),
}
MISTAGGED = {
    "time": b"submitted_at: !!timestamp tomorrow\nreceived_at: !!timestamp tomorrow\nstatus: pending\n",
    "truth": b"name: !!bool perhaps\nstatus: pending\n",
    "number": b"return_code: !!int ''\nstatus: pending\n",
}
JSON_FILE: dict[str, Spoil] = {
    "list": written(b"[1, 2]"),
    "not JSON": written(b"name: count"),
    "deep": written(b'{"a": ' + b"[" * DEPTH),
    "deep and closed": written(b'{"name": ' * DEPTH + b"1" + b"}" * DEPTH),
    "wrong types": written(json.dumps({"name": 7, "requester_email": [], "target_email": {}, "status": 1.5}).encode()),
    "huge number": written(b'{"name": ' + b"9" * 100_000 + b"}"),
}


def names_it(said: str, kind: str, name: str) -> bool:
    return name in said or (kind == "missing" and "arrive" in said)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_damaged_metadata_file_is_named_and_the_neighbour_is_answered(generation: str, tmp_path: Path) -> None:
    box = Box(tmp_path, Apart)
    name = METADATA[generation]
    kinds = ANY_FILE | (JSON_FILE if generation == "a3" else YAML_FILE)
    uids = {kind: box.submit(generation, f"bad{number}") for number, kind in enumerate(kinds)}
    good = box.submit(generation, "healthy")
    listed = box.listed()
    places = {kind: box.root / listed[uid]["path"] for kind, uid in uids.items()}
    for kind, spoil in kinds.items():
        spoil(places[kind] / name, box.secret)

    box.owner.scq("check")
    listed = box.listed()
    unnamed = {kind: listed[uid] for kind, uid in uids.items() if not names_it(problems_of(listed[uid]), kind, name)}
    assert unnamed == {}
    assert {listed[uid]["status"] for uid in uids.values()} == {"pending"}
    assert box.owner.json("approve", *uids.values(), code=None)["jobs"] == [], "what cannot be read is never approved"
    box.answers(good)
    box.kept_its_secret()

    box.owner.scq("reject", *uids.values(), "-r", "damaged", code=None)
    listed = box.listed()
    assert {kind: listed[uid]["status"] for kind, uid in uids.items() if listed[uid]["status"] != "rejected"} == {}
    box.kept_its_secret()


@pytest.mark.parametrize("generation", ["c0", "c1"])
def test_every_damaged_state_file_is_named_and_never_approves(generation: str, tmp_path: Path) -> None:
    box = Box(tmp_path, Apart)
    box.owner.configure("sandbox: none\napprovals:\n  adopt: true\n")
    kinds = {kind: spoil for kind, spoil in (ANY_FILE | YAML_FILE).items() if kind != "missing"}
    kinds["unknown word"] = written(b"status: approved-by-god\n")
    uids = {kind: box.submit(generation, f"bad{number}") for number, kind in enumerate(kinds)}
    good = box.submit(generation, "healthy")
    box.owner.scq("check")
    box.owner.scq("reject", *uids.values(), "-r", "made to have a state file")
    listed = box.listed()
    for kind, spoil in kinds.items():
        spoil(box.root / listed[uids[kind]]["path"].replace("/inbox/", "/review/") / "state.yaml", box.secret)

    # a home that decided nothing sees the folders alone
    fresh = Apart(tmp_path / "fresh", box.root, box.owner.email, "sandbox: none\napprovals:\n  adopt: true\n")
    fresh.scq("check")
    seen = {job["id"]: job for job in fresh.json("list")["jobs"]}
    assert {kind: seen[uid] for kind, uid in uids.items() if "state.yaml" not in problems_of(seen[uid])} == {}
    assert {seen[uid]["status"] for uid in uids.values()} == {"pending"}
    assert fresh.json("approve", *uids.values(), code=None)["jobs"] == []
    box.answers(good)
    box.kept_its_secret()


@pytest.mark.parametrize("generation", ["b2", "c0", "c1"])
@pytest.mark.parametrize("tag", MISTAGGED)
def test_a_yaml_tag_that_does_not_fit_its_value_is_damage(tag: str, generation: str, tmp_path: Path) -> None:
    box = Box(tmp_path)
    bad, good = box.submit(generation, "bad"), box.submit(generation, "healthy")
    (box.place(bad) / "config.yaml").write_bytes(MISTAGGED[tag])
    box.owner.scq("check")
    assert "config.yaml" in problems_of(box.listed()[bad])
    box.answers(good)


@pytest.mark.parametrize(
    ("zone", "moment"),
    [
        ("UTC", FUTURE),
        ("Asia/Tokyo", f"{FUTURE}Z"),
        ("Asia/Tokyo", f"{LAST}Z"),
        ("Asia/Tokyo", f"{FIRST}-12:00"),
        ("America/Los_Angeles", f"{FIRST}Z"),
        ("America/Los_Angeles", f"{LAST}+14:00"),
        ("America/Los_Angeles", LAST),
    ],
)
def test_a_time_nobody_can_have_meant_disturbs_nothing(
    zone: str, moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        box = Box(tmp_path)
        for generation in ("a3", "c0"):
            odd, good = box.submit(generation, "odd"), box.submit(generation, "healthy")
            path = box.place(odd) / METADATA[generation]
            path.write_text(with_times(path.read_text(), moment))
            box.owner.scq("check")
            box.owner.scq("list")
            box.owner.scq("show", odd)
            box.owner.scq("status")
            box.answers(good)
            box.answers(odd)
            box.owner.scq("share", odd)
            box.owner.scq("rerun", odd)
        box.owner.scq("cleanup", "--older-than", "0")
        box.kept_its_secret()
    finally:
        monkeypatch.undo()
        time.tzset()


def with_times(text: str, moment: str) -> str:
    """Every time in a metadata file replaced."""
    if text.startswith("{"):
        values = json.loads(text)
        return json.dumps({key: moment if key.endswith("_at") and value else value for key, value in values.items()})
    return re.sub(r"(?m)^(\w+_at): .*$", rf"\1: '{moment}'", text)
