"""`scq review` without a job: what is opened, with which program, and what counts as read."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest

from scq.cli.walk.faces import Plain
from scq.context import Context
from tests.people import World
from tests.unit.cli.walk.person import PYTHON, Script, both_faces, rewrite, script, status, walked


class TestOpening:
    @both_faces
    def test_a_file_is_opened_by_its_number_and_marked(self, world: World, drawn: Plain) -> None:
        uid = world.submit(layout="a3", main__py=PYTHON, empty__txt="", data__bin="\0\1", z__unknown="so\n")
        terminal = Script("4", "3", "2", "5", "l", "q")
        walked(world, terminal, drawn)
        assert "print(1)" in terminal.shown
        assert "empty" in terminal.shown
        assert "binary, sha256" in terminal.shown
        assert terminal.shown.count("opened") == 3  # of a binary nothing can be shown
        assert re.search(r"1 +so", terminal.shown)
        assert world.owner.job(uid)["reviewed"] is None

    def test_words_that_mean_nothing_are_said_to(self, world: World) -> None:
        world.submit(layout="a3", main__py=PYTHON)
        words = ["0", "3", "9" * 20, "e 7", "e x", "-1", "x", "ab", "٣", ""]
        terminal = Script(*words, "q", env={"EDITOR": "false"})
        assert walked(world, terminal).data["left"] == 1
        assert terminal.shown.count("there is no file") == 5
        assert terminal.shown.count("There is no command") == 4
        assert terminal.shown.count("\n? lists the commands.") == 1

    @pytest.mark.parametrize("way", [("1", "2"), ("o",)])
    def test_with_its_last_file_opened_a_job_counts_as_read(self, world: World, way: tuple[str, ...]) -> None:
        uid = world.submit(layout="a3", main__py=PYTHON)
        walked(world, Script(*way, "q"))
        job = world.owner.job(uid)
        assert job["reviewed"] == job["digest"]
        terminal = Script("a", "")
        walked(world, terminal)
        assert "all of this" in terminal.shown
        assert "not opened" not in terminal.shown
        assert world.owner.job(uid)["approval"]["method"] == "manual"

    def test_looking_alone_is_not_reading(self, world: World) -> None:
        uid = world.submit(layout="a3", main__py=PYTHON)
        walked(world, Script("2", "d", "f", "l", "?", "s"))
        assert world.owner.job(uid)["reviewed"] is None

    def test_content_that_changed_before_its_last_file_was_opened_is_shown_again(self, world: World) -> None:
        uid = world.submit(layout="a3", main__py=PYTHON)
        terminal = Script("1", lambda: rewrite(world, uid, "main.py", "print(9)\n"), "2", "l", "2", "a", "fine")
        walked(world, terminal)
        assert "changed while you read it" in terminal.shown
        assert terminal.shown.index("print(1)") < terminal.shown.index("changed while") < terminal.shown.index("print(9)")
        assert "not opened" not in terminal.shown  # run.sh stayed the same and was opened before
        assert status(world, uid) == "approved"

    def test_the_beginning_of_a_very_long_file_says_so(self, world: World) -> None:
        world.submit(layout="a3", long__txt="line\n" * 60_000)
        terminal = Script("2", "q")
        walked(world, terminal)
        assert "this is the beginning; e opens all of it" in terminal.shown

    def test_what_was_not_shown_in_full_is_not_read_until_an_editor_opened_it(self, world: World) -> None:
        uid = world.submit(layout="a3", long__txt="line\n" * 60_000, hidden__py="print(1)\n\0print(2)\n")
        terminal = Script("o", "a", "n", "e 2", "e 3", "a", "fine", env={"EDITOR": "true"}, columns=200)
        walked(world, terminal)
        asked = "2 of 3 files were not opened in full: hidden.py, long.txt. Approve all the same? [y/N] "
        assert [question for question in terminal.asked if "Approve" in question] == [asked]
        assert world.owner.job(uid)["approval"]["method"] == "manual"

    def test_what_a_pager_that_failed_was_given_is_not_read(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        uid = world.submit(layout="a3", main__py="print(1)\n" * 50)
        terminal = Script("o", "a", "n", "q", env={"PAGER": "false"})
        monkeypatch.setattr(terminal.out, "isatty", lambda: True, raising=False)
        walked(world, terminal)
        assert "2 of 2 files were not opened" in terminal.shown
        assert world.owner.job(uid)["reviewed"] is None

    def test_content_that_arrives_while_reading_is_noted_is_not_what_is_noted(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from scq import looking
        from scq.commands import review

        uid = world.submit(layout="a3", main__py=PYTHON)
        shown = world.owner.job(uid)["digest"]
        observe = looking.observe

        def change(ctx: Context) -> object:
            rewrite(world, uid, "main.py", "print('other')\n")
            return observe(ctx)

        monkeypatch.setattr(review, "observe", change)
        terminal = Script("o", "a fine", "q")
        walked(world, terminal)
        job = world.owner.job(uid)
        assert (job["status"], job["reviewed"]) == ("pending", shown)
        assert job["digest"] != shown
        assert "changed since it was shown" in terminal.shown


class TestEditing:
    def test_files_opened_in_the_editor_count_as_opened_when_it_ended_well(self, world: World, tmp_path: Path) -> None:
        uid = world.submit(layout="a3", main__py=PYTHON)
        terminal = Script("e", "a", "n", "q", env={"EDITOR": "false"})
        walked(world, terminal)
        assert "2 of 2 files were not opened" in terminal.shown
        editor = script(tmp_path, "editor", f'basename "$1" >> {tmp_path}/names\n')
        walked(world, Script("e 2", "e", "q", env={"EDITOR": editor}))
        assert (tmp_path / "names").read_text() == "main.py\nrun.sh\n"
        job = world.owner.job(uid)
        assert job["reviewed"] == job["digest"]

    def test_content_that_changed_is_not_given_to_the_editor(self, world: World, tmp_path: Path) -> None:
        uid = world.submit(layout="a3", main__py=PYTHON)
        editor = script(tmp_path, "editor", f"touch {tmp_path}/started\n")
        terminal = Script(lambda: rewrite(world, uid, "main.py", "print(2)\n"), "e", "q", env={"EDITOR": editor})
        walked(world, terminal)
        assert "changed while you read it. This is what it is now." in terminal.shown
        assert terminal.shown.count("1 of 1: count") == 2
        assert not (tmp_path / "started").exists()

    def test_no_room_for_a_copy_is_told_and_the_walk_goes_on(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*words: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device", "/tmp/copy")

        world.submit()
        monkeypatch.setattr("scq.cli.walk.walk.copy", full)
        terminal = Script("e", "r too large", env={"EDITOR": "true"}, columns=200)
        assert walked(world, terminal).lines == ("approved 0, rejected 1, skipped 0, left 0",)
        assert "! no copy could be made: /tmp/copy: No space left on device. Make room on that disk" in terminal.shown

    def test_no_editor_is_given_very_many_files_at_once(self, world: World) -> None:
        world.submit(layout="a3", **{f"part{number:02}__txt": "x" for number in range(50)})
        terminal = Script("e", "e 51", "l", "q", env={"EDITOR": "true"})
        walked(world, terminal)
        assert "this job has 51 files. Name the one to open, such as e 3." in terminal.shown
        assert terminal.shown.count("opened)") == 1
