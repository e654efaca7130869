"""`scq review` without a job: waiting jobs are read and decided one by one, with and without `rich`."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scq.cli.choices import HELP, choices
from scq.cli.faces import Face, Plain, Rich, face
from scq.cli.session import Session
from scq.cli.terminal import Terminal, cells
from scq.cli.walking import walk
from scq.errors import UsageError
from scq.report import Report
from tests.people import SECOND, World

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
HOSTILE = "[red]x[/] [link=https://example.org]y :boom: \x1b[31mz\x1b]0;title\x07 \x9b2J\u202eevil\u200b"
PYTHON = "import csv\nprint(1)\n"
FACES: list[Face] = [Plain(), Rich({})]
both_faces = pytest.mark.parametrize("drawn", FACES, ids=["plain", "rich"])
Answer = str | type[BaseException] | Callable[[], object]


class Script(Terminal):
    """A person whose answers are known: text, or an interrupt; something callable happens before the next answer."""

    def __init__(self, *answers: Answer, columns: int = 80, env: dict[str, str] | None = None) -> None:
        super().__init__(io.StringIO(), io.StringIO(), env or {})
        self.answers = list(answers)
        self.asked: list[str] = []
        self.columns = columns

    def size(self) -> os.terminal_size:
        return os.terminal_size((self.columns, 24))

    def ask(self, prompt: str) -> str:
        self.asked.append(prompt)
        self.out.write(prompt)
        while self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, str):
                self.out.write(answer + "\n")
                return answer
            if isinstance(answer, type):
                raise answer
            answer()
        raise EOFError

    @property
    def shown(self) -> str:
        return COLOUR.sub("", self.out.getvalue())  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def colourful(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests look the same wherever they run."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("COLORTERM", raising=False)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def walked(world: World | Any, terminal: Script, drawn: Face | None = None, **chosen: str) -> Report:
    """One walk of the owner."""
    owner = world.owner
    here = Session(home=str(owner.home), root=str(owner.root), email=owner.email, config_path="", lock_timeout=-1)
    return walk(here.context(), drawn or Plain(), terminal, **chosen)


def status(world: World, uid: str) -> str:
    return str(world.owner.job(uid)["status"])


def rewrite(world: World, uid: str, name: str, text: str) -> None:
    """What the submitter, or the network, does to a job that lies there."""
    (next(world.place(uid).rglob(name))).write_text(text)


class TestLooking:
    @both_faces
    def test_the_head_says_everything_needed_for_a_first_impression(self, world: World, drawn: Face) -> None:
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
    def test_what_changed_since_an_approved_one_is_counted_named_and_shown(self, world: World, drawn: Face) -> None:
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
    def test_long_lists_are_cut_and_l_and_f_show_all(self, world: World, drawn: Face) -> None:
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
    def test_no_line_is_wider_than_a_narrow_terminal(self, world: World, drawn: Face) -> None:
        world.submit("count", "echo 1\n", "--description", "long " * 40, "--tag", "t" * 90, main__py="eval('1')\n")
        terminal = Script("f", "l", "q", columns=40)
        walked(world, terminal, drawn)
        assert max(cells(row) for row in terminal.shown.splitlines()) <= 40

    @both_faces
    def test_hostile_words_reach_the_terminal_as_plain_letters(self, world: World, drawn: Face) -> None:
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


class TestOpening:
    @both_faces
    def test_a_file_is_opened_by_its_number_and_marked(self, world: World, drawn: Face) -> None:
        uid = world.submit(layout="a3", main__py=PYTHON, empty__txt="", data__bin="\0\1", z__unknown="so\n")
        terminal = Script("4", "3", "2", "5", "l", "q")
        walked(world, terminal, drawn)
        assert "print(1)" in terminal.shown
        assert "empty" in terminal.shown
        assert "binary, sha256" in terminal.shown
        assert terminal.shown.count("opened") == 4
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

    def test_no_editor_is_given_very_many_files_at_once(self, world: World) -> None:
        world.submit(layout="a3", **{f"part{number:02}__txt": "x" for number in range(50)})
        terminal = Script("e", "e 51", "l", "q", env={"EDITOR": "true"})
        walked(world, terminal)
        assert "this job has 51 files. Name the one to open, such as e 3." in terminal.shown
        assert terminal.shown.count("opened)") == 1


class TestApproving:
    def test_exactly_what_is_shown_is_approved_with_its_bounds(self, world: World) -> None:
        uid = world.submit(layout="a3", main__py=PYTHON)
        terminal = Script("a --expires 7d --max-runs 1 --timeout 30m --memory 2GiB -r 'it counts'", "y")
        report = walked(world, terminal)
        approval = world.owner.job(uid)["approval"]
        assert approval["digest"] == world.owner.job(uid)["digest"]
        assert (approval["max_runs"], approval["timeout_s"], approval["memory"]) == (1, 1800, 2 << 30)
        assert (approval["reason"], approval["method"]) == ("it counts", "digest")
        assert "2 of 2 files were not opened. Approve all the same? [y/N]" in terminal.shown
        assert report.lines == ("approved 1, rejected 0, skipped 0, left 0",)

    def test_no_is_the_usual_answer_about_files_that_were_not_opened(self, world: World) -> None:
        uid = world.submit(layout="a3", main__py=PYTHON)
        terminal = Script("1", "a", "", "q")
        walked(world, terminal)
        assert "1 of 2 files was not opened" in terminal.shown
        assert status(world, uid) == "pending"

    def test_bad_bounds_are_named_before_anything_is_asked(self, world: World) -> None:
        uid = world.submit()
        bad = {
            "a --expires soon": "--expires 'soon' is not allowed",
            "a --max-runs many": "--max-runs 'many' is not allowed",
            "a --max-runs 0": "--max-runs '0' is not allowed",
            "a --forever": "option --forever not recognized",
            "a -r": "option -r requires argument",
            "a don't": "No closing quotation",
            "a --by nobody": "--by 'nobody' is not allowed",
        }
        terminal = Script(*bad, "q")
        walked(world, terminal)
        assert [words for words in bad.values() if f"! {words}" not in terminal.shown] == []
        assert len(terminal.asked) == len(bad) + 1
        assert status(world, uid) == "pending"

    @both_faces
    def test_denied_findings_are_accepted_only_in_so_many_words(self, world: World, drawn: Face) -> None:
        world.owner.configure("sandbox: none\ndeny: [network]\n")
        uid = world.submit(layout="a3", main__py="import socket\n")
        terminal = Script("o", "a", "n", "a fine", "y")
        walked(world, terminal, drawn)
        assert terminal.shown.count("Accept all findings of network in this job? [y/N]") == 2
        assert world.owner.job(uid)["approval"]["accepted_findings"] == ["network"]

    def test_findings_accepted_by_an_option_are_not_asked_about(self, world: World) -> None:
        world.owner.configure("sandbox: none\ndeny: [network]\n")
        uid = world.submit(layout="a3", main__py="import socket\n")
        terminal = Script("o", "a --accept-finding network -r fine")
        walked(world, terminal)
        assert len(terminal.asked) == 2
        assert status(world, uid) == "approved"

    @pytest.mark.parametrize("last", ["a", "y", "reason"])
    def test_content_that_changed_meanwhile_is_never_approved(self, world: World, last: str) -> None:
        uid = world.submit(layout="a3", main__py=PYTHON)

        def change() -> None:
            rewrite(world, uid, "main.py", "print('other')\n")

        answers: list[Answer] = ["a", "y", "reason"]
        answers.insert(answers.index(last), change)
        terminal = Script(*answers[: answers.index(last) + 1], "q")
        walked(world, terminal)
        assert "changed since it was shown" in terminal.shown
        assert "This is what it is now:" in terminal.shown
        assert terminal.shown.count("1 of 1: count") == 2
        assert status(world, uid) == "pending"

    @pytest.mark.parametrize("word", ["a fine", "r bad"])
    def test_what_somebody_else_decided_is_told_and_the_next_one_follows(self, world: World, word: str) -> None:
        first, second = world.submit("one"), world.submit("two")
        terminal = Script("o", lambda: world.owner.scq("approve", first, "-r", "elsewhere"), word, "s")
        report = walked(world, terminal)
        assert "owner@example.org approved it (elsewhere)" in terminal.shown
        assert f"{first[:8]} one is approved now; owner@example.org decided it" in terminal.shown
        assert report.data["walked"] == {first: "elsewhere", second: "skipped"}
        assert report.lines[1] == "1 job decided elsewhere or withdrawn meanwhile"
        assert world.owner.job(first)["approval"]["reason"] == "elsewhere"

    def test_what_was_decided_or_withdrawn_before_its_turn_is_passed_over(self, world: World) -> None:
        import shutil

        first, second, third = world.submit("one"), world.submit("two"), world.submit("three")
        place = world.place(third)
        terminal = Script(lambda: world.owner.scq("reject", second, "-r", "no"), lambda: shutil.rmtree(place), "s")
        report = walked(world, terminal)
        assert report.data["walked"] == {first: "skipped", second: "elsewhere", third: "elsewhere"}
        assert f"{second[:8]} two is rejected now" in terminal.shown
        assert f"no job '{third}'" in terminal.shown

    def test_one_of_two_approvals_is_said_to_wait_for_another(self, world: World) -> None:
        world.owner.configure(f"sandbox: none\napprovals: {{quorum: 2, reviewers: [{world.owner.email}, {SECOND}]}}\n")
        uid = world.submit()
        report = walked(world, Script("o", "a", "fine"))
        assert report.lines == ("approved 0, rejected 0, skipped 0, left 0", "1 approval noted; further reviewers are needed")
        assert status(world, uid) == "pending"

    def test_an_interrupt_while_deciding_says_where_to_look(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        from scq.commands import reject

        def interrupted(*words: object, **more: object) -> Report:
            raise KeyboardInterrupt

        uid = world.submit()
        monkeypatch.setattr(reject, "run", interrupted)
        terminal = Script("r bad")
        assert walked(world, terminal).data["left"] == 1
        assert f"scq show {uid[:8]} tells what became of it" in terminal.shown


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


class TestChoices:
    def test_options_and_words_may_be_mixed(self) -> None:
        assert choices("looks --max-runs 2 good --accept-finding a --accept-finding b") == {
            "reason": "looks good",
            "max_runs": 2,
            "accept": ["a", "b"],
        }
        assert choices("") == {}
        assert choices("--reason '' --by a@b.org") == {"reason": "", "by": "a@b.org"}

    def test_a_number_of_any_length_is_refused_in_words(self) -> None:
        with pytest.raises(UsageError, match="--max-runs"):
            choices(f"--max-runs {'9' * 5000}")


class Tty(io.StringIO):
    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


def script(folder: Path, name: str, text: str) -> str:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}")
    file.chmod(0o755)
    return str(file)


def terminal_of(env: dict[str, str], answers: str = "", **more: Any) -> Terminal:
    return Terminal(io.StringIO(answers), Tty(), {"PATH": os.environ["PATH"], "COLUMNS": "80", **env}, **more)


class TestTerminal:
    LONG = "long\n" * 200

    def test_the_pager_gets_its_arguments_and_the_usual_options_of_less(self, tmp_path: Path) -> None:
        pager = script(tmp_path, "pager", f'echo "$LESS|$*" > {tmp_path}/told; cat > {tmp_path}/text\n')
        terminal_of({"PAGER": f"{pager} -a 'b c'"}).page(self.LONG)
        assert (tmp_path / "told").read_text() == "-FRX|-a b c\n"
        assert (tmp_path / "text").read_text() == self.LONG
        terminal_of({"PAGER": pager, "LESS": "-S"}).page(self.LONG)
        assert (tmp_path / "told").read_text() == "-S|\n"

    def test_there_is_no_pager_where_none_is_needed_or_wanted(self, tmp_path: Path) -> None:
        pager = script(tmp_path, "pager", f"touch {tmp_path}/called; cat\n")
        cases = [
            (terminal_of({"PAGER": pager}), "short\n"),
            (terminal_of({"PAGER": pager}, paging=False), self.LONG),
            (terminal_of({"PAGER": "cat"}), self.LONG),
            (terminal_of({"PAGER": ""}), self.LONG),
            (terminal_of({"TERM": "dumb"}), self.LONG),
            (terminal_of({"TERM": "xterm", "PATH": "/nowhere"}), self.LONG),
            (Script(env={"PAGER": pager}), self.LONG),
        ]
        for terminal, text in cases:
            terminal.page(text)
            assert terminal.out.getvalue() == text  # type: ignore[attr-defined]
        assert not (tmp_path / "called").exists()

    def test_wide_letters_long_lines_and_tabs_are_counted_as_they_take_room(self, tmp_path: Path) -> None:
        pager = script(tmp_path, "pager", f"cat >> {tmp_path}/text\n")
        for text in ("漢" * 1000, "x" * 2000, "\t" * 250):
            terminal_of({"PAGER": pager}).page(text + "\n")
        assert (tmp_path / "text").read_text().count("\n") == 3

    def test_a_pager_that_cannot_be_started_hides_nothing(self, capfd: pytest.CaptureFixture[str]) -> None:
        terminal = terminal_of({"PAGER": "/nowhere/pager"})
        terminal.page(self.LONG)
        assert "The pager could not be started: /nowhere/pager" in terminal.out.getvalue()  # type: ignore[attr-defined]
        assert self.LONG in terminal.out.getvalue()  # type: ignore[attr-defined]

    def test_a_pager_that_is_left_early_is_no_trouble(self) -> None:
        terminal_of({"PAGER": "true"}).page("long\n" * 100_000)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_an_end_of_the_call_waits_until_the_copy_is_removed(self, tmp_path: Path, number: int) -> None:
        editor = script(tmp_path, "editor", f'dirname "$1" > {tmp_path}/where; kill -{number} {os.getpid()}; exec sleep 60\n')
        before = signal.getsignal(number)
        with pytest.raises(SystemExit):
            terminal_of({"EDITOR": editor}).edit(lambda folder: [f"{folder}/x"])
        assert not Path((tmp_path / "where").read_text().strip()).exists()
        assert signal.getsignal(number) is before

    def test_an_interrupt_belongs_to_the_editor(self, tmp_path: Path) -> None:
        editor = script(tmp_path, "editor", f"kill -INT {os.getpid()}\n")
        assert terminal_of({"EDITOR": editor}).edit(lambda folder: []) is True

    def test_an_editor_that_fails_or_is_missing_is_named(self, capfd: pytest.CaptureFixture[str]) -> None:
        terminal = terminal_of({"EDITOR": "exit 3;"})
        assert terminal.edit(lambda folder: []) is False
        assert "exit code 3" in terminal.out.getvalue()  # type: ignore[attr-defined]
        with pytest.raises(UsageError, match=r"could not be started: /nowhere/ed"):
            terminal_of({"VISUAL": "/nowhere/ed", "EDITOR": "true"}).edit(lambda folder: [])
        with pytest.raises(UsageError, match="there is no editor"):
            terminal_of({"PATH": "/nowhere"}).edit(lambda folder: [])

    def test_vi_is_the_editor_of_those_who_chose_none(self, tmp_path: Path) -> None:
        script(tmp_path, "vi", f'/bin/echo "$@" > {tmp_path}/told\n')
        assert terminal_of({"PATH": str(tmp_path), "EDITOR": " "}).edit(lambda folder: ["/one two"]) is True
        assert (tmp_path / "told").read_text() == "/one two\n"

    def test_answers_are_clean_and_the_end_of_input_is_one(self) -> None:
        terminal = terminal_of({}, "a\x1b[Ab\n  yes \r\nYES\n\n")
        assert terminal.ask("> ") == "a�b"
        assert terminal.ask("> ") == "yes"
        assert [terminal.agrees("Sure?"), terminal.agrees("Sure?")] == [True, False]
        with pytest.raises(EOFError):
            terminal.ask("> ")

    def test_letters_that_the_terminal_does_not_know_are_replaced(self) -> None:
        raw = io.BytesIO()
        out = io.TextIOWrapper(raw, encoding="ascii")
        source = io.TextIOWrapper(io.BytesIO(b"caf\xe9\n"), encoding="ascii")
        terminal = Terminal(source, out, {})
        terminal.say("── Müller …")
        assert terminal.ask("> ") == "caf�"
        assert raw.getvalue() == b"?? M?ller ?\n> "

    def test_the_face_is_rich_only_where_it_can_be_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert isinstance(face(Tty(), {"TERM": "xterm"}), Rich)
        assert isinstance(face(Tty(), {"TERM": "dumb"}), Plain)
        assert isinstance(face(io.TextIOWrapper(io.BytesIO(), encoding="ascii"), {"TERM": "xterm"}), Plain)
        monkeypatch.setitem(sys.modules, "rich", None)
        assert isinstance(face(Tty(), {"TERM": "xterm"}), Plain)

    def test_colours_can_be_refused_in_both_faces(self, monkeypatch: pytest.MonkeyPatch) -> None:
        code = {"path": "a.py", "size": 3, "executable": False, "text": "import csv\n", "whole": True}
        change = {"path": "a.py", "change": "changed", "diff": "@@\n-a\n+b\n"}
        for env in ({"TERM": "xterm"}, {"TERM": "xterm", "NO_COLOR": "1"}):
            if "NO_COLOR" in env:
                monkeypatch.setenv("NO_COLOR", "1")
            for drawn in (Rich(env), face(io.TextIOWrapper(io.BytesIO(), encoding="ascii"), env), Plain(lambda path, text: text)):
                text = drawn.code([code], 80) + drawn.diff("compared", [change], 80)
                assert ("\x1b[" in text) == (isinstance(drawn, Rich) and "NO_COLOR" not in env)
        assert "\x1b[32m+b\x1b[0m" in Plain(mark=lambda meaning, text: f"\x1b[32m{text}\x1b[0m").diff("x", [change], 80)

    @pytest.mark.parametrize("drawn", [Plain(lambda path, text: f"\x1b[1m{text}"), Rich({})], ids=["plain", "rich"])
    def test_very_long_texts_get_no_colours_that_a_person_would_wait_for(self, drawn: Face) -> None:
        for lines, coloured in ((10, True), (10_000, False)):
            text = "import csv\n" * lines
            shown = drawn.code([{"path": "a.py", "size": 3, "executable": False, "whole": True, "text": text}], 80)
            assert (re.search(r"\x1b\[[0-9;]+m.*import", shown) is not None) is coloured
            assert re.search(rf"^ *{lines} +import csv", COLOUR.sub("", shown), re.MULTILINE)

    def test_very_long_differences_get_none_either(self) -> None:
        changes = [{"path": "a", "change": "changed", "diff": "+added\n" * lines} for lines in (10, 10_000)]
        shown = Rich({}).diff("x", changes, 80)
        assert (shown.count("\x1b[32m+added"), shown.count("\n+added")) == (10, 10_000)


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
        parts = ("scq.cli.walking", "scq.cli.faces", "scq.cli.terminal", "scq.cli.sheets", "rich", "getopt", "pygments")
        code = "import sys, json; from scq.cli.shortcut import call\n"
        code += f"call({[*place, 'review', uid]!r})\nprint(json.dumps([name for name in {parts!r} if name in sys.modules]))"
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert json.loads(ran.stdout.splitlines()[-1]) == []
