"""scq review, diff: everything that can execute is shown, cleaned, and what was read is remembered."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from scq import digest
from scq.commands import review
from scq.config_values import Config
from scq.context import Context
from scq.errors import IntegrityError
from tests.people import OWNER, World


def context(world: World) -> Context:
    return Context(Config(email=OWNER, root=str(world.root)), str(world.owner.home), env={})


def note_of(world: World, name: str = "note.txt") -> Path:
    (found,) = world.root.rglob(name)
    return found


class TestReview:
    def test_run_sh_comes_first_and_every_file_follows(self, world: World) -> None:
        uid = world.submit(script="echo hello\n", a__txt="first", z__py="print(1)")
        data = world.owner.json("review", uid)
        assert data["files"][0]["path"] == "run.sh"
        assert {"code/a.txt", "code/run.sh", "code/z.py"} <= {file["path"] for file in data["files"]}
        assert all(file["whole"] for file in data["files"])
        assert data["digest"] == world.owner.job(uid)["digest"]
        text = world.owner.scq("review", uid).out
        assert text.index("── run.sh") < text.index("── code/a.txt  5 B") < text.index("── code/z.py")
        assert "── code/run.sh  30 B (executable)" in text
        assert text.endswith(f"to approve exactly this:  scq approve {uid[:8]}\nto refuse:  scq reject {uid[:8]} -r REASON\n")

    def test_one_file_is_shown_alone_and_does_not_count_as_read(self, world: World) -> None:
        uid = world.submit(a__txt="first")
        answer = world.owner.scq("review", uid, "--file", "code/a.txt")
        assert answer.out == "\n── code/a.txt  5 B\nfirst\n"
        assert not (world.owner.home / "state.json").exists()
        refused = world.owner.scq("review", uid, "--file", "nothing", code=2).err
        assert "no file 'nothing'" in refused
        assert "code/a.txt" in refused

    def test_what_was_read_is_remembered_for_the_owner_only(self, world: World) -> None:
        uid = world.submit()
        world.scientist.scq("review", uid)
        assert not (world.scientist.home / "state.json").exists()
        data = world.owner.json("review", uid)
        assert world.owner.state()["jobs"].popitem()[1]["reviewed"] == data["digest"]

    def test_what_was_read_elsewhere_is_remembered_only_while_it_is_that(self, world: World) -> None:
        uid = world.submit(layout="a3", note__txt="old")
        read = world.owner.job(uid)["digest"]
        note_of(world).write_text("new")
        with pytest.raises(IntegrityError, match="changed while you read it"):
            review.note(context(world), uid, read)
        assert world.owner.job(uid)["reviewed"] is None
        now = world.owner.job(uid)["digest"]
        review.note(context(world), uid, now)
        assert world.owner.job(uid)["reviewed"] == now

    def test_reading_without_remembering_writes_nothing(self, world: World) -> None:
        world.submit()
        assert review.run(context(world), "count", remember=False).lines
        assert not (world.owner.home / "state.json").exists()

    def test_a_job_that_is_over_can_be_read_and_stays_over(self, world: World) -> None:
        uid = world.ended()
        world.owner.scq("check", "--full")
        assert "echo done" in world.owner.scq("review", uid).out
        assert not world.owner.state().get("jobs")

    def test_a_binary_file_is_named_with_its_hash(self, world: World) -> None:
        uid = world.submit()
        (world.place(uid) / "code/data.bin").write_bytes(b"\0\1")
        (file,) = [file for file in world.owner.json("review", uid)["files"] if file["path"] == "code/data.bin"]
        assert (file["text"], file["whole"]) == (None, False)
        assert f"   binary, sha256 {file['sha256']}" in world.owner.scq("review", uid).out

    def test_a_long_file_is_cut_and_says_so(self, world: World) -> None:
        uid = world.submit(long__txt="x" * (review.SHOWN_BYTES + 10))
        (file,) = [file for file in world.owner.json("review", uid)["files"] if file["path"] == "code/long.txt"]
        assert (len(file["text"]), file["whole"]) == (review.SHOWN_BYTES, False)
        assert "… shown are the first 262.1 kB of 262.2 kB; sha256" in world.owner.scq("review", uid).out

    def test_what_cannot_be_run_offers_no_approval(self, world: World) -> None:
        uid = world.submit()
        os.symlink("/etc/passwd", world.place(uid) / "code/link")
        answer = world.owner.scq("review", uid)
        assert "cannot be run  code/link: is a symbolic link" in answer.out
        assert "scq approve" not in answer.out

    def test_text_cannot_touch_the_terminal_but_programs_get_it_as_it_is(self, world: World) -> None:
        uid = world.submit(evil__txt="a\x1b[2J\u202eb\r\nc\td")
        assert "a�[2J�b\nc\td" in world.owner.scq("review", uid).out
        (file,) = [file for file in world.owner.json("review", uid)["files"] if file["path"] == "code/evil.txt"]
        assert file["text"] == "a\x1b[2J\u202eb\nc\td" or file["text"] == "a\x1b[2J\u202eb\r\nc\td"

    def test_a_painter_colours_cleaned_text_only(self, world: World) -> None:
        world.submit(evil__txt="a\x1b[2Jb")
        painted: list[tuple[str, str]] = []

        def paint(path: str, text: str) -> str:
            painted.append((path, text))
            return f"<{text}>"

        lines = review.run(context(world), "count", paint=paint).lines
        assert ("code/evil.txt", "a�[2Jb") in painted
        assert "<a�[2Jb>" in lines


class TestFindings:
    def test_what_should_be_looked_at_stands_before_the_files(self, world: World) -> None:
        uid = world.submit("count", "curl x\n", tool__py="import socket\n", layout="a3")
        text = world.owner.scq("review", uid).out
        assert "── to look at: 2\n" in text
        assert "   run.sh:3   network  curl uses the network\n" in text
        assert text.index("── to look at") < text.index("── run.sh")
        assert world.owner.json("review", uid)["findings"] == [
            {"path": "run.sh", "line": 3, "rule": "network", "what": "curl uses the network", "denied": False},
            {"path": "tool.py", "line": 1, "rule": "network", "what": "socket is imported: it uses the network", "denied": False},
        ]

    def test_denied_findings_are_marked_and_change_no_exit_code(self, world: World) -> None:
        uid = world.submit("count", "curl x\nrm y\n", layout="a3")
        world.owner.configure("sandbox: none\ndeny: [network]\n")
        text = world.owner.scq("review", uid).out
        assert "── to look at: 2, denied: 1\n" in text
        assert " ✗ run.sh:3  network  curl uses the network\n" in text
        assert "   run.sh:4  delete   rm deletes files\n" in text
        assert [item["denied"] for item in world.owner.json("review", uid)["findings"]] == [True, False]

    def test_a_denied_word_that_is_no_rule_is_told(self, world: World) -> None:
        uid = world.submit("count", "curl x\n", layout="a3")
        world.owner.configure("sandbox: none\ndeny: [netwrok, network]\n")
        answer = world.owner.scq("review", uid)
        assert "'netwrok' is not a rule and blocks nothing" in answer.out + answer.err
        assert "denied: 1" in answer.out

    def test_one_file_is_shown_with_its_own_findings(self, world: World) -> None:
        uid = world.submit("count", "curl x\n", tool__py="import socket\n", layout="a3")
        assert [item["path"] for item in world.owner.json("review", uid, "--file", "tool.py")["findings"]] == ["tool.py"]

    def test_a_job_without_findings_says_nothing_of_them(self, world: World) -> None:
        uid = world.submit("count", layout="a3")
        assert "to look at" not in world.owner.scq("review", uid).out
        assert world.owner.json("review", uid)["findings"] == []

    def test_the_limits_asked_for_stand_beside_those_it_would_get(self, world: World) -> None:
        uid = world.submit("count", scq__yaml="limits: {timeout: 2h, processes: 7}\n", layout="a3")
        text = world.owner.scq("review", uid).out
        assert "would run with: time 10 min 0 s, memory" in text
        assert "asks for: time 2 h 0 min, processes 7\n" in text
        assert "asks for more than it gets: time\n" in text
        limits = world.owner.json("review", uid)["limits"]
        assert limits["asked"] == {"wall_s": 7200.0, "processes": 7}
        assert (limits["given"]["wall_s"], limits["given"]["processes"], limits["asks_for_more"]) == (600.0, 7, ["wall_s"])

    def test_a_request_that_cannot_be_used_is_a_problem_and_no_more(self, world: World) -> None:
        uid = world.submit("count", scq__yaml="limits: {memory: much}\n", layout="a3")
        answer = world.owner.scq("review", uid)
        assert "scq.yaml: limits.memory" in answer.out + answer.err


class TestDiff:
    def test_nothing_earlier_is_nothing_to_compare(self, world: World) -> None:
        uid = world.submit()
        data = world.owner.json("diff", uid)
        assert data == {"id": uid, "against": None, "files": [], "same": False}
        assert "no earlier approved job of scientist@example.com is called count" in world.owner.scq("diff", uid).out

    def test_a_job_that_changed_is_compared_with_what_was_approved(self, world: World) -> None:
        uid = world.approved(note__txt="one\ntwo\n")
        note_of(world).write_text("one\n2\n")
        (note_of(world).parent / "more.txt").write_text("new\n")
        data = world.owner.json("diff", uid)
        assert data["against"].startswith("what was approved (sha256:")
        assert [(file["path"], file["change"]) for file in data["files"]] == [
            ("code/more.txt", "added"),
            ("code/note.txt", "changed"),
        ]
        assert "-two\n+2\n" in data["files"][1]["diff"]
        assert "── code/note.txt  changed" in world.owner.scq("diff", uid).out

    def test_without_the_kept_copy_the_last_approved_job_of_that_name_is_taken(self, world: World) -> None:
        first = world.approved(note__txt="one\n", layout="a3")
        world.approved("other", layout="a3")
        second = world.submit(note__txt="two\n", layout="a3")
        assert world.owner.json("diff", second)["against"] == first
        third = world.approved(note__txt="three\n", layout="a3")
        assert world.owner.json("diff", second)["against"] == third
        shutil.rmtree(world.owner.home / "approved")
        note = next(path for path in world.root.rglob("note.txt") if third in str(path))
        note.write_text("changed\n")
        assert world.owner.json("diff", third)["against"] == first

    def test_an_equal_job_says_so(self, world: World) -> None:
        first, second = world.approved(layout="a3"), world.submit(layout="a3")
        data = world.owner.json("diff", second)
        assert (data["against"], data["same"], data["files"]) == (first, True, [])
        assert world.owner.scq("diff", second).out == f"no difference from {first}\n"

    def test_two_jobs_can_be_named(self, world: World) -> None:
        one, two = world.submit("one", gone__txt="x"), world.submit("two")
        data = world.owner.json("diff", two, one)
        assert ("code/gone.txt", "removed") in [(file["path"], file["change"]) for file in data["files"]]
        assert "no job 'zzz'" in world.owner.scq("diff", two, "zzz", code=2).err

    def test_a_job_that_is_over_is_compared_by_one_full_look(self, world: World) -> None:
        first = world.ended("count", note__txt="one", layout="a3")
        second = world.ended("count", note__txt="two", layout="a3")
        world.owner.scq("check", "--full")
        data = world.owner.json("diff", second)
        assert (data["against"], [file["path"] for file in data["files"]]) == (first, ["note.txt"])

    def test_binary_files_and_executable_bits_differ_in_words(self, world: World) -> None:
        uid = world.approved(note__txt="same", data__txt="x")
        note_of(world).chmod(0o755)
        (note_of(world).parent / "data.txt").write_bytes(b"\0")
        files = {file["path"]: file["diff"] for file in world.owner.json("diff", uid)["files"]}
        assert files["code/note.txt"] == "the executable bit or what follows the shown part differs\n"
        assert files["code/data.txt"] == "binary files differ\n"

    def test_what_cannot_be_read_whole_is_not_compared(self, world: World) -> None:
        world.approved("one")
        uid = world.submit("two")
        os.symlink("/etc/passwd", world.place(uid) / "code/link")
        answer = world.owner.scq("diff", uid, "one", code=2)
        assert "cannot be read: code/link: is a symbolic link" in answer.err

    def test_an_added_empty_file_is_still_told(self, world: World) -> None:
        uid = world.approved()
        (world.place(uid) / "code/empty").touch()
        assert [file["change"] for file in world.owner.json("diff", uid)["files"]] == ["added"]


@pytest.mark.parametrize("generation", ["a3", "b2", "c1"])
def test_every_layout_can_be_read_and_compared(world: World, generation: str) -> None:
    uid = world.approved(layout=generation, note__txt="one")
    note_of(world).write_text("two")
    assert [file["change"] for file in world.owner.json("diff", uid)["files"]] == ["changed"]
    assert "two" in world.owner.scq("review", uid).out


class TestSwapped:
    """Somebody exchanges a file between the moment it is hashed and the moment it is shown."""

    @pytest.fixture
    def swapped(self, world: World, monkeypatch: pytest.MonkeyPatch) -> str:
        """The id of a job whose note says something harmless to whoever reads it after it was hashed."""
        world.approved(note__txt="before", layout="a3")
        uid = world.submit(note__txt="harmful", layout="a3")
        note = next(world.place(uid).rglob("note.txt"))
        real = digest.read_entry

        def harmless(*arguments: Any) -> bytes:
            note.write_text("harmful"[::-1])
            return real(*arguments)

        monkeypatch.setattr(review, "read_entry", harmless)
        monkeypatch.setattr("scq.reviewing.read_entry", harmless)
        monkeypatch.setattr("scq.comparing.read_entry", harmless)
        return uid

    @pytest.mark.parametrize("verb", ["review", "diff"])
    def test_nothing_is_shown_and_it_does_not_count_as_read(self, world: World, swapped: str, verb: str) -> None:
        answer = world.owner.scq(verb, swapped, code=1)
        assert "note.txt: changed while it was read" in answer.err
        assert "lufmrah" not in answer.out
        assert world.owner.job(swapped)["reviewed"] is None
