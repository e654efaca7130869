"""scq audit show, verify, export."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from scq.audit import tip
from tests.people import OWNER, World

Edit = Callable[[list[bytes]], list[bytes]]


class TestShow:
    def test_who_decided_what_on_which_content(self, world: World) -> None:
        uid = world.ended(script="exit 3\n")
        rows = world.owner.json("audit", "show")["rows"]
        digest = world.owner.job(uid)["digest"]
        assert [(row["n"], row["what"], row["by"], row["job"], row["digest"]) for row in rows] == [
            (1, "opt-out", OWNER, "", ""),
            (2, "approve", OWNER, uid, digest),
            (3, "run", OWNER, uid, digest),
            (4, "end", OWNER, uid, digest),
        ]
        assert rows[0]["detail"] == "sandbox.type: none"
        assert rows[3]["detail"] == "exit 3"
        assert all(row["user"] and row["verb"] == row["what"] for row in rows)
        assert rows[0]["at"].endswith("Z")
        assert world.owner.scq("audit", "show").out.splitlines()[0].split()[0] == "1"

    def test_what_left_stands_behind_its_reason(self, world: World) -> None:
        uid = world.ended("answered", "mkdir -p outputs; echo 42 > outputs/answer.txt\n")
        world.owner.scq("release", uid, "-r", "one number")
        shown = world.owner.scq("audit", "show").out.splitlines()[-1]
        assert "  one number  " in shown
        assert re.search(r"answer\.txt  \[[0-9a-f]{12}\]$", shown), "and the run of the call is last"

    def test_rows_of_one_job_and_the_newest_rows(self, world: World) -> None:
        one, _ = world.approved("one"), world.approved("two")
        assert [row["job"] for row in world.owner.json("audit", "show", one[:8])["rows"]] == [one]
        assert [row["n"] for row in world.owner.json("audit", "show", "--limit", "1")["rows"]] == [3]

    def test_an_empty_log_is_empty(self, world: World) -> None:
        assert world.owner.json("audit", "show") == {"rows": [], "sealed": True}

    def test_a_log_that_was_edited_is_an_integrity_failure(self, world: World) -> None:
        world.approved("one")
        world.approved("two")
        log = Path(world.owner.home / "audit.jsonl")
        log.write_text(log.read_text().replace('"approve"', '"reject"', 1))
        answer = world.owner.scq("audit", "show", "--json", code=5).json
        assert answer["data"]["sealed"] is False
        assert "row 3 does not follow" in answer["problems"][0]["what"]

    def test_a_damaged_log_is_named(self, world: World) -> None:
        world.approved()
        with (world.owner.home / "audit.jsonl").open("a") as file:
            file.write("damage\n")
        assert "line 3 is damaged" in world.owner.scq("audit", "show", code=1).err


def five(world: World) -> Path:
    """A log of five rows (the first says that there is no sandbox), all of them appended."""
    for number in range(4):
        world.approved(f"job-{number}")
    world.owner.scq("check")
    path = world.owner.home / "audit.jsonl"
    assert len(path.read_bytes().splitlines()) == 5
    return path


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


class TestVerify:
    def test_a_log_nobody_touched_is_whole(self, world: World) -> None:
        path = five(world)
        data = world.owner.json("audit", "verify")
        assert data == {"path": str(path), "count": 5, "head": world.owner.state()["audit_head"], "signed": None, "bad": None}
        assert world.owner.scq("audit", "verify").out.startswith("whole: 5 rows, head ")

    def test_where_nothing_happened_nothing_is_wrong_and_nothing_is_written(self, world: World) -> None:
        before = sorted(os.listdir(world.owner.home))
        assert world.owner.json("audit", "verify")["count"] == 0
        assert sorted(os.listdir(world.owner.home)) == before

    def test_an_answer_about_results_remembers_the_line_it_ended_in(self, world: World) -> None:
        """Also when log and state are both put back to an older end that fits together."""
        uid = world.ended("answered", "mkdir -p outputs; echo 42 > outputs/answer.txt\n")
        path = world.owner.home / "audit.jsonl"
        old, older = path.read_bytes(), world.owner.state()
        world.owner.scq("release", uid, "-r", "one number")
        assert world.owner.scq("audit", "verify").code == 0
        state = world.owner.state()
        (record,) = state["jobs"].values()
        assert record["answer"]["audit_head"] == state["audit_head"]
        state |= {name: older[name] for name in ("audited", "audit_head")}
        (world.owner.home / "state.json").write_text(json.dumps(state))
        path.write_bytes(old)
        bad = world.owner.scq("audit", "verify", "--json", code=5).json["data"]["bad"]
        assert (bad["kind"], bad["line"]) == ("cut off", record["answer"]["audit_row"])

    @pytest.mark.parametrize(
        ("edit", "kind", "line"),
        [
            (lambda lines: [*lines[:2], lines[2].replace(b"approve", b"Approve", 1), *lines[3:]], "changed", 3),
            (lambda lines: [*lines[:2], *lines[3:]], "missing", 3),
            (lambda lines: lines[:4], "cut off", 5),
            (lambda lines: [], "cut off", 1),
            (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], "reordered", 2),
            (lambda lines: [*lines[:3], b'"\xff"\n', *lines[4:]], "damaged", 4),
            (lambda lines: [*lines[:4], b"x" * (17 << 20) + b"\n"], "damaged", 0),
        ],
    )
    def test_the_first_bad_line_is_named_with_what_is_wrong(self, world: World, edit: Edit, kind: str, line: int) -> None:
        path = five(world)
        path.write_bytes(b"".join(edit(lines_of(path))))
        document = world.owner.scq("audit", "verify", "--json", code=5).json
        assert (document["data"]["bad"]["kind"], document["data"]["bad"]["line"]) == (kind, line)
        assert document["ok"] is False
        assert f"{path}: {kind}: " in world.owner.scq("audit", "verify", code=5).err

    def test_a_log_that_was_taken_away_is_not_an_empty_one(self, world: World) -> None:
        five(world).unlink()
        assert "cut off" in world.owner.scq("audit", "verify", code=5).err

    def test_a_fifo_in_its_place_blocks_nobody(self, world: World) -> None:
        path = five(world)
        path.unlink()
        os.mkfifo(path)
        assert "damaged: is not a regular file" in world.owner.scq("audit", "verify", code=5).err
        assert "not a regular file" in world.owner.scq("reject", "job-0", code=1).err
        assert world.owner.job("job-0")["status"] == "approved", "what cannot be written down is not decided"

    def test_a_key_alone_is_wrong_usage(self, world: World) -> None:
        assert "--key goes with --file" in world.owner.scq("audit", "verify", "--key", "x", code=2).err


class TestExport:
    @pytest.fixture
    def out(self, world: World) -> Path:
        five(world)
        world.owner.scq("init")
        path = world.folder / "export.json"
        world.owner.scq("audit", "export", "--to", str(path))
        return path

    def test_an_export_holds_every_line_as_it_stands(self, world: World, out: Path) -> None:
        document = json.loads(out.read_bytes())
        assert [row.encode() + b"\n" for row in document["rows"]] == lines_of(world.owner.home / "audit.jsonl")
        assert (document["scq"], document["kind"], document["owner"], document["count"]) == (1, "audit", OWNER, 5)
        assert document["head"] == world.owner.state()["audit_head"]
        assert document["public_key"] == (world.owner.home / "audit.pub").read_text()
        assert out.stat().st_mode & 0o777 == 0o600
        answer = world.owner.scq("audit", "verify", "--file", str(out))
        assert "whole: 5 rows" in answer.out
        assert "the log here still holds all of it" in answer.out

    def test_it_can_go_to_standard_output(self, world: World) -> None:
        five(world)
        document = json.loads(world.owner.scq("audit", "export").out)
        assert (document["count"], document["signature"]) == (5, "")
        assert world.owner.json("audit", "export")["document"]["rows"] == document["rows"]

    def test_rows_a_killed_call_did_not_append_are_part_of_it(self, world: World, out: Path) -> None:
        log = world.owner.home / "audit.jsonl"
        world.owner.scq("reject", "job-3")
        state = world.owner.state()
        log.write_bytes(b"".join(lines_of(log)[:5]))
        row = {"n": 6, "at": "2026-11-21T12:00:00Z", "what": "reject", "by": OWNER}
        waiting = state | {"audit": [row], "audit_head": ""}
        (world.owner.home / "state.json").write_text(json.dumps(waiting))
        assert world.owner.json("audit", "export")["count"] == 6

    def test_somebody_else_can_check_it_with_the_public_key(self, world: World, out: Path) -> None:
        key = str(world.owner.home / "audit.pub")
        assert "signed with" in world.scientist.scq("audit", "verify", "--file", str(out), "--key", key).out
        assert "compare that" in world.scientist.scq("audit", "verify", "--file", str(out)).out
        world.scientist.scq("init")
        other = str(world.scientist.home / "audit.pub")
        answer = world.scientist.scq("audit", "verify", "--file", str(out), "--key", other, code=5)
        assert "signature" in answer.err

    @pytest.mark.parametrize(
        ("field", "value", "kind"),
        [
            ("exported_at", "2020-01-01T00:00:00Z", "signature"),
            ("owner", "somebody@example.org", "signature"),
            ("head", "0" * 64, "changed"),
            ("count", 4, "added"),
            ("signature", "AAAA", "signature"),
            ("rows", [], "cut off"),
        ],
    )
    def test_an_export_that_was_changed_shows_it(self, world: World, out: Path, field: str, value: object, kind: str) -> None:
        document = json.loads(out.read_bytes()) | {field: value}
        out.write_text(json.dumps(document))
        found = world.owner.scq("audit", "verify", "--file", str(out), "--json", code=5).json
        assert found["data"]["bad"]["kind"] == kind

    def test_an_export_without_signature_does_not_pass_for_a_signed_one(self, world: World, out: Path) -> None:
        document = json.loads(out.read_bytes()) | {"signature": "", "public_key": ""}
        out.write_text(json.dumps(document))
        assert "not signed" in world.owner.scq("audit", "verify", "--file", str(out)).out
        key = str(world.owner.home / "audit.pub")
        assert "is not signed" in world.owner.scq("audit", "verify", "--file", str(out), "--key", key, code=5).err

    def test_a_log_and_state_that_were_both_set_back_show_against_an_earlier_export(self, world: World, out: Path) -> None:
        log, state = world.owner.home / "audit.jsonl", world.owner.state()
        kept = lines_of(log)[:3]
        log.write_bytes(b"".join(kept))
        end = tip(str(log))
        (world.owner.home / "state.json").write_text(json.dumps(state | {"audited": 3, "audit_head": end.head, "audit": []}))
        world.owner.scq("audit", "verify")
        found = world.owner.scq("audit", "verify", "--file", str(out), "--json", code=5).json
        assert found["data"]["bad"]["kind"] == "cut off"
        world.approved("later-one")
        world.approved("later-two")
        found = world.owner.scq("audit", "verify", "--file", str(out), "--json", code=5).json
        assert found["data"]["bad"]["kind"] == "changed"

    def test_a_log_that_is_not_whole_is_not_exported(self, world: World) -> None:
        path = five(world)
        path.write_bytes(b"".join(lines_of(path)[1:]))
        target = world.folder / "export.json"
        assert "missing" in world.owner.scq("audit", "export", "--to", str(target), code=5).err
        assert not target.exists()

    def test_nothing_is_overwritten(self, world: World, out: Path) -> None:
        before = out.read_bytes()
        assert "exists already" in world.owner.scq("audit", "export", "--to", str(out), code=2).err
        assert out.read_bytes() == before
        assert "its folder is not there" in world.owner.scq("audit", "export", "--to", "/nowhere/x", code=2).err

    def test_signing_without_a_key_says_how_to_get_one(self, world: World) -> None:
        assert "scq init makes one" in world.owner.scq("audit", "export", "--sign", code=78).err

    def test_signing_can_be_left_out(self, world: World, out: Path) -> None:
        assert json.loads(world.owner.scq("audit", "export", "--no-sign").out)["signature"] == ""

    @pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[" * 100_000, b'{"scq":2,"kind":"audit"}'])
    def test_what_is_no_export_is_named(self, world: World, content: bytes) -> None:
        path = world.folder / "export.json"
        path.write_bytes(content)
        assert "is not an export" in world.owner.scq("audit", "verify", "--file", str(path), code=1).err

    def test_a_file_that_is_not_there_or_never_ends_is_an_error(self, world: World) -> None:
        os.mkfifo(world.folder / "pipe")
        for name in ("nothing", "pipe"):
            world.owner.scq("audit", "verify", "--file", str(world.folder / name), code=1)
