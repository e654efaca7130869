"""`scq review` without a job: jobs are shown, opened and walked through, with and without `rich`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scq.cli.walk.choices import HELP
from scq.cli.walk.faces import Plain
from scq.cli.walk.terminal import cells
from tests.people import SECOND, World
from tests.unit.cli.walk.person import COLOUR, FACES, PYTHON, Answer, Script, both_faces, rewrite, status, walked

HOSTILE = "[red]x[/] [link=https://example.org]y :boom: \x1b[31mz\x1b]0;title\x07 \x9b2J\u202eevil\u200b"


class TestLooking:
    @both_faces
    def test_the_head_says_everything_needed_for_a_first_impression(self, world: World, drawn: Plain) -> None:
        world.owner.configure("sandbox: none\ndeny: [network]\n")
        uid = world.submit("count", "echo 1\n", "--description", "Counts rows", "--tag", "stats", "--requirement", "numpy",
                           "--timeout", "999999", main__py="import socket\n")  # fmt: skip
        terminal = Script("q")
        walked(world, terminal, drawn)
        digest = world.owner.job(uid)["digest"].removeprefix("sha256:")[:12]
        words = ["1 of 1: count", uid[:8], "scientist@example.com", digest, "Counts rows", "stats", "numpy", "memory 4.3 GB"]
        words += ["asks for more  time", "first job of this submitter", "to look at: 1, denied: 1", "main.py:1", "network"]
        for word in [*words, "run.sh", "main.py", "executable", "just now"]:
            assert word in terminal.shown
        assert terminal.shown.index("1  ") < terminal.shown.index("run.sh") < terminal.shown.rindex("main.py")
        assert re.search(r"\[1-\d file, o all, d diff, f findings, .*q quit\]", terminal.asked[0].replace("\n", " "))

    def test_a_job_like_an_approved_one_is_said_to_be_identical(self, world: World) -> None:
        first = world.approved("count", main__py=PYTHON, layout="a3")
        world.submit("count", main__py=PYTHON, layout="a3")
        terminal = Script("d", "q")
        walked(world, terminal)
        assert "identical to what you approved on 20" in terminal.shown.replace("\n", " ")
        assert f"no difference from {first}" in terminal.shown

    @both_faces
    def test_what_changed_since_an_approved_one_is_counted_named_and_shown(self, world: World, drawn: Plain) -> None:
        world.approved("count", main__py=PYTHON, layout="a3")
        world.submit("count", main__py=PYTHON + "print(2)\n", more__txt="x", layout="a3")
        terminal = Script("d", "q", columns=200)
        walked(world, terminal, drawn)
        assert "2 files changed since what you approved on 20" in terminal.shown
        assert "main.py changed, more.txt added" in terminal.shown
        assert re.search(r"^\+print\(2\)\s*$", terminal.shown, re.MULTILINE)

    def test_an_approved_job_that_changed_is_compared_with_what_was_approved(self, world: World) -> None:
        uid = world.approved("count", main__py=PYTHON)
        rewrite(world, uid, "main.py", "print(3)\n")
        terminal = Script("d", "q", columns=200)
        walked(world, terminal)
        assert "1 file changed since what you approved on 20" in terminal.shown
        assert "+print(3)" in terminal.shown

    def test_what_cannot_be_compared_is_said_so(self, world: World) -> None:
        world.approved("count", layout="a3")
        uid = world.submit("count", layout="a3")
        os.mkfifo(next(world.place(uid).rglob("run.sh")).parent / "pipe")
        terminal = Script("d", "q", columns=200)
        walked(world, terminal)
        assert "compared  not possible:" in terminal.shown
        assert terminal.shown.count("cannot be read: pipe") == 2

    def test_what_other_software_ran_is_named_by_its_id(self, world: World) -> None:
        first = world.submit("count", layout="a3")
        waiting = world.place(first)
        told = json.loads((waiting / "metadata.json").read_text())
        (waiting / "metadata.json").write_text(json.dumps(told | {"status": "completed", "submitted_at": None}))
        (waiting.parents[1] / "completed").mkdir(exist_ok=True)
        waiting.rename(waiting.parents[1] / "completed" / waiting.name)
        world.submit("count", layout="a3")
        terminal = Script("q", columns=200)
        walked(world, terminal)
        assert f"identical to job {first}, which was run before" in terminal.shown

    def test_another_name_of_the_same_submitter_is_no_first_job(self, world: World) -> None:
        world.approved("one")
        world.submit("two")
        terminal = Script("q", columns=200)
        walked(world, terminal)
        assert "no job of this name was approved before; 1 other job of this submitter" in terminal.shown

    def test_a_job_that_cannot_be_run_is_shown_with_the_reason_and_can_be_rejected_only(self, world: World) -> None:
        uid = world.submit("count")
        os.mkfifo(next(world.place(uid).rglob("run.sh")).parent / "pipe")
        terminal = Script("a", "o", "e", "d", "1", "r it has a FIFO")
        walked(world, terminal)
        assert "cannot be run: pipe" in terminal.shown
        assert terminal.shown.count("cannot be run") >= 2
        for word in ("no files that can be read", "no whole copy", "there is no file '1'"):
            assert word in terminal.shown
        assert status(world, uid) == "rejected"

    def test_a_job_on_google_drive_only_is_read_and_not_decided(self, tmp_path: Path) -> None:
        from tests.integration.test_jobs_on_drive import Drive
        from tests.servers.drive import DriveServer

        with DriveServer() as server:
            drive = Drive(server, tmp_path)
            message = drive.send()
            drive.check()
            terminal = Script("o", "e", "d", "a", "y", "", "q", columns=200)
            assert walked(drive, terminal).data["left"] == 1
            server.remove(message)
            gone = Script(columns=200)
            assert walked(drive, gone).lines == ("approved 0, rejected 0, skipped 0, left 1",)
        for words in ("on Google Drive, not in the SyftBox folder yet", "not an accepted peer", "print(1)", "no whole copy"):
            assert words in terminal.shown
        assert "is on Google Drive only" in terminal.shown
        assert gone.asked == []

    @both_faces
    def test_long_lists_are_cut_and_l_and_f_show_all(self, world: World, drawn: Plain) -> None:
        many = {f"part{number:02}__txt": "x" for number in range(40)}
        world.submit("count", layout="a3", **many, main__py="eval('1')\n" * 20)
        terminal = Script("q")
        walked(world, terminal, drawn)
        assert "and 12 more: l lists all" in terminal.shown
        assert "part39.txt" not in terminal.shown
        assert "more: f shows all" in terminal.shown
        terminal = Script("l", "f", "q")
        walked(world, terminal, drawn)
        assert "part39.txt" in terminal.shown
        assert "main.py:20" in terminal.shown

    @both_faces
    def test_no_line_is_wider_than_a_narrow_terminal(self, world: World, drawn: Plain) -> None:
        world.submit("count", "echo 1\n", "--description", "long " * 40, "--tag", "t" * 90, main__py="eval('1')\n")
        terminal = Script("f", "l", "q", columns=40)
        walked(world, terminal, drawn)
        assert max(cells(row) for row in terminal.shown.splitlines()) <= 40

    @both_faces
    def test_hostile_words_reach_the_terminal_as_plain_letters(self, world: World, drawn: Plain) -> None:
        hostile = ("--description", HOSTILE, "--tag", HOSTILE)
        uid = world.submit("count", f"echo '{HOSTILE}'\n", *hostile, main__py=f'eval("{HOSTILE}")\n', layout="a3")
        told = world.place(uid) / "metadata.json"
        told.write_text(json.dumps(json.loads(told.read_text()) | {"name": HOSTILE}))
        terminal = Script("o", "d", "f", HOSTILE, f"e {HOSTILE}", f"a --{HOSTILE}", f"r {HOSTILE}", columns=160)
        walked(world, terminal, drawn)
        typed = terminal.out.getvalue().replace(HOSTILE + "\n", "")  # type: ignore[attr-defined]
        left = COLOUR.sub("", typed).replace("\n", "").replace("\t", "")
        assert "1 of 1: [red]x[/] [link=https://example.org]y :boom:" in left
        assert left.count("[link=https://example.org]") >= 6  # name, description, tag, run.sh, main.py, a command
        assert [letter for letter in left if not letter.isprintable()] == []
        assert "\x1b]" not in typed

    def test_nobody_waits(self, world: World) -> None:
        assert walked(world, Script()).lines == ("No job waits for your decision.",)
        world.submit()
        terminal = Script()
        assert walked(world, terminal, tag="other").lines == ("No job like that waits for your decision.",)
        assert terminal.asked == []

    def test_the_walk_can_be_narrowed_to_a_submitter_or_a_tag(self, world: World) -> None:
        world.submit("one", "echo 1\n", "--tag", "stats")
        world.submit("two", by=world.second)
        terminal = Script()
        assert walked(world, terminal, submitter=SECOND.upper()).data["total"] == 1
        assert "1 of 1: two" in terminal.shown
        terminal = Script()
        assert walked(world, terminal, tag="stats").data["total"] == 1
        assert "1 of 1: one" in terminal.shown


class TestMoving:
    def test_a_rejection_asks_for_its_reason_and_can_be_given_up(self, world: World) -> None:
        uid = world.submit()
        terminal = Script("r", "", "", "r", "", "too much", columns=200)
        walked(world, terminal)
        assert "It was not rejected." in terminal.shown
        assert world.owner.job(uid)["reason"] == "too much"

    def test_back_goes_to_the_nearest_one_that_still_waits(self, world: World) -> None:
        first, second, third = (world.submit(name) for name in ("one", "two", "three"))
        terminal = Script("b", "s", "r bad", "b", "o", "a good", "q")
        report = walked(world, terminal)
        assert "None before this one still waits." in terminal.shown
        titles = re.findall(r"of 3: (\w+)", terminal.shown)
        assert titles == ["one", "one", "two", "three", "one", "three"]
        assert report.data["walked"] == {first: "approved", second: "rejected"}
        assert report.lines == ("approved 1, rejected 1, skipped 0, left 1",)
        assert status(world, third) == "pending"

    @pytest.mark.parametrize("end", [KeyboardInterrupt, EOFError, "q"])
    def test_leaving_keeps_what_was_decided(self, world: World, end: Answer) -> None:
        first, _ = world.submit("one"), world.submit("two")
        report = walked(world, Script("r bad", end))
        assert (report.exit_code, report.lines) == (0, ("approved 0, rejected 1, skipped 0, left 1",))
        assert status(world, first) == "rejected"

    def test_leaving_in_the_middle_of_a_question_decides_nothing(self, world: World) -> None:
        uid = world.submit()
        for answers in (("a", KeyboardInterrupt), ("a", "y", EOFError), ("r", KeyboardInterrupt)):
            assert walked(world, Script(*answers)).data["left"] == 1
        assert status(world, uid) == "pending"

    def test_both_faces_ask_the_same(self, world: World) -> None:
        world.submit(layout="a3", main__py="eval('1')\n")
        asked = []
        for drawn in FACES:
            terminal = Script("o", "d", "f", "l", "?", "nonsense", "e", "a --expires never", "r", "", "", "s")
            terminal.env = {"EDITOR": "true"}
            walked(world, terminal, drawn)
            asked.append(terminal.asked)
        assert asked[0] == asked[1]

    def test_the_help_names_every_command_and_fits_a_narrow_terminal(self, world: World) -> None:
        world.submit()
        terminal = Script("?", "q")
        walked(world, terminal)
        assert HELP in terminal.shown
        assert max(map(len, HELP.splitlines())) <= 40
        for command in "odfelarsbq":
            assert re.search(rf"^ {command}  ", HELP, re.MULTILINE)


class TestCall:
    def test_without_a_terminal_a_job_has_to_be_named(self, world: World) -> None:
        world.submit()
        answer = world.owner.scq("review", code=2)
        assert "Name a job: scq review ID; scq pending lists those that wait" in answer.err
        assert "on a terminal" in world.owner.scq("review", "--json", code=2).json["errors"][0]

    def test_options_that_do_not_go_together_are_said_to(self, world: World) -> None:
        uid = world.submit()
        assert "--file goes with a job" in world.owner.scq("review", "--file", "run.sh", code=2).err
        assert "choose among the jobs that wait" in world.owner.scq("review", uid, "--tag", "x", code=2).err

    def test_reading_one_job_loads_nothing_of_the_walk(self, world: World) -> None:
        uid = world.submit()
        place = ["--home", str(world.owner.home), "--root", str(world.root), "--email", world.owner.email]
        parts = ("scq.cli.walk", "rich", "getopt", "pygments")
        code = "import sys, json; from scq.cli.shortcut import call\n"
        code += f"call({[*place, 'review', uid]!r})\nprint(json.dumps([name for name in {parts!r} if name in sys.modules]))"
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert json.loads(ran.stdout.splitlines()[-1]) == []
