"""`scq review` without a job: exactly what was shown is approved, or it is rejected, or nothing happens."""

from __future__ import annotations

import pytest

from scq.cli.walk.choices import choices
from scq.cli.walk.faces import Plain
from scq.errors import UsageError
from scq.report import Report
from tests.people import SECOND, World
from tests.unit.cli.walk.person import PYTHON, Answer, Script, both_faces, rewrite, status, walked


class TestApproving:
    def test_exactly_what_is_shown_is_approved_with_its_bounds(self, world: World) -> None:
        uid = world.submit(layout="a3", main__py=PYTHON)
        terminal = Script("a --expires 7d --max-runs 1 --timeout 30m --memory 2GiB -r 'it counts'", "y")
        report = walked(world, terminal)
        approval = world.owner.job(uid)["approval"]
        assert approval["digest"] == world.owner.job(uid)["digest"]
        assert (approval["max_runs"], approval["timeout_s"], approval["memory"]) == (1, 1800, 2 << 30)
        assert (approval["reason"], approval["method"]) == ("it counts", "digest")
        assert "2 of 2 files were not opened in full: run.sh, main.py. Approve all the same? [y/N]" in terminal.shown
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
            "a --by nobody": "--by 'nobody' is not allowed",
        }
        terminal = Script(*bad, "q")
        walked(world, terminal)
        assert [words for words in bad.values() if f"! {words}" not in terminal.shown] == []
        assert len(terminal.asked) == len(bad) + 1
        assert status(world, uid) == "pending"

    @both_faces
    def test_denied_findings_are_accepted_only_in_so_many_words(self, world: World, drawn: Plain) -> None:
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
        assert walked(world, terminal).data["walked"] == {uid: "interrupted"}
        assert f"scq show {uid[:8]} tells what became of it" in terminal.shown


class TestChoices:
    def test_options_and_words_may_be_mixed(self) -> None:
        assert choices("looks --max-runs 2 good --accept-finding a --accept-finding b") == {
            "reason": "looks good",
            "max_runs": 2,
            "accept": ["a", "b"],
        }
        assert choices("") == {}
        assert choices("-r only a count leaves --max-runs 1") == {"reason": "only a count leaves", "max_runs": 1}
        assert choices("it's only a count") == {"reason": "it's only a count"}
        assert choices("--reason '' --by a@b.org") == {"reason": "", "by": "a@b.org"}

    def test_a_number_of_any_length_is_refused_in_words(self) -> None:
        with pytest.raises(UsageError, match="--max-runs"):
            choices(f"--max-runs {'9' * 5000}")
