"""What a notebook is told of a job, without any job."""

from __future__ import annotations

from typing import Any

import pytest

from scq.library.notebook import facts
from scq.library.notebook.asks import marked
from scq.view import fits

ME, OTHER = "owner@example.org", "scientist@example.com"
RUN = {"attempt": 1, "started_at": None, "finished_at": None, "duration_s": 1.0, "exit_code": 0, "cause": "exit"}
PROBLEM = {"where": "job", "what": "its runner is gone", "advice": ""}


def job(**other: Any) -> dict[str, Any]:
    """A job object of docs/json.md that waits for ME."""
    found: dict[str, Any] = {
        "id": "a" * 32,
        "short_id": "a" * 8,
        "name": "count",
        "layout": "c0",
        "owner": ME,
        "submitter": OTHER,
        "status": "pending",
        "where": "local",
        "submitted_at": "2026-11-21T08:27:56Z",
        "digest": "sha256:1",
        "reviewed": None,
        "revision": "0123456789ab",
        "description": "",
        "tags": [],
        "invalid": [],
        "changed": False,
        "reason": None,
        "approval": None,
        "run": None,
        "results": {"outputs": "none", "logs": "none"},
        "problems": [],
    }
    return found | other


OVER = {"status": "completed", "run": RUN}
CASES = [
    ("approve", job(), ""),
    ("approve", job(reviewed="sha256:1"), ""),
    ("approve", job(reviewed="sha256:0"), facts.CHANGED),
    ("approve", job(owner=OTHER), f"Only {OTHER} decides about it."),
    ("approve", job(where="drive"), facts.ELSEWHERE),
    ("approve", job(invalid=["run.sh is missing", "too large", "a link", "more"]), "run.sh is missing; too large; a link"),
    ("approve", job(status="approved"), "It is approved already."),
    ("approve", job(status="approved", changed=True), ""),
    ("approve", job(**OVER), "It is completed."),
    ("approve", job(status="running"), "It is running."),
    ("approve", job(status="running", problems=[PROBLEM]), ""),
    ("approve", job(status="running", problems=[PROBLEM], run=RUN | {"attempt": 0}), ""),
    ("approve", job(status="running", problems=[PROBLEM], run=RUN), "It is running."),
    ("reject", job(), ""),
    ("reject", job(status="approved"), ""),
    ("reject", job(owner=OTHER), f"Only {OTHER} decides about it."),
    ("reject", job(status="rejected"), "It is rejected."),
    ("reject", job(where="drive"), facts.ELSEWHERE),
    ("cancel", job(), ""),
    ("cancel", job(owner=OTHER, submitter=ME, layout="a1"), ""),
    ("cancel", job(owner=OTHER, submitter=ME), f"Ask {OTHER} to reject it."),
    ("cancel", job(owner=OTHER), "Only its submitter or owner can cancel it."),
    ("cancel", job(**OVER), "It is completed."),
    ("diff", job(), ""),
    ("diff", job(invalid=["too large"]), "cannot be read whole"),
    ("diff", job(where="drive"), facts.ELSEWHERE),
    ("logs", job(), "It has not run yet."),
    ("logs", job(status="running"), ""),
    ("logs", job(**OVER), ""),
    ("logs", job(status="approved", run=RUN), ""),
    ("logs", job(status="rejected"), "It was rejected, so it was not run."),
    ("outputs", job(status="running"), "It is still running."),
    ("outputs", job(status="failed"), ""),
    ("release", job(**OVER), ""),
    ("release", job(), "It has not run yet."),
    ("release", job(**OVER, owner=OTHER), f"Only {OTHER} decides about its results."),
    ("release", job(**OVER, submitter=""), "there is nobody to answer"),
    ("withhold", job(**OVER), ""),
    ("withhold", job(status="completed"), "It was not run here"),
    ("withhold", job(status="running"), "It is still running."),
    ("review", job(owner=OTHER, submitter=ME), ""),
]


@pytest.mark.parametrize(("action", "known", "why"), CASES)
def test_what_cannot_be_done_has_a_reason(action: str, known: dict[str, Any], why: str) -> None:
    found = facts.why_not(known, ME)
    assert tuple(found) == facts.ACTIONS
    assert (found[action] == "") == (why == "")
    assert why in found[action]


def test_a_row_has_every_field_in_order_and_no_text_of_a_stranger_as_it_was() -> None:
    row = facts.row(job(name="a\x1b[31m\u202eb\nc", tags=["x\ny"] * 30, description="d" * 500, submitter="\u200bs"))
    found = dict(zip(facts.FIELDS, row, strict=True))
    assert found["name"] == "a�[31m�b�c"
    assert found["tags"] == ["x�y"] * facts.SHOWN_TAGS
    assert len(found["description"]) == 200
    assert found["submitter"] == "�s"
    assert (found["read"], found["outputs"], found["logs"]) == ("unread", "none", "none")


def test_a_card_is_cleaned_in_all_its_depth() -> None:
    approval = {"reason": "fine\u202e", "accepted_findings": ["net\x07"], "max_runs": None}
    problem = {"where": "w\n", "what": "x\x00", "advice": ""}
    found = facts.card(job(approval=approval, reason="no\u2066", invalid=["bad\x1b]0;title\x07"], problems=[problem] * 30))
    assert found["approval"] == {"reason": "fine�", "accepted_findings": ["net�"], "max_runs": None}
    assert (found["reason"], found["invalid"]) == ("no�", ["bad�]0;title�"])
    assert found["problems"][0] == {"where": "w�", "what": "x�", "advice": ""}
    assert len(found["problems"]) == facts.SHOWN_PROBLEMS


def test_a_card_says_where_a_run_is_on_a_cluster() -> None:
    place = {"state": "waiting", "id": "412", "partition": "m\u202e", "why": "Priority", "position": 1}
    assert facts.card(job(status="running", place=place))["place"] == (
        "waits on the cluster: job 412, partition m�, 1st in line (Priority)"
    )
    assert facts.card(job())["place"] == facts.card(job(place=None))["place"] == ""


@pytest.mark.parametrize("path", ["a*.csv", "a?.csv", "[ab].csv", "**", "x/[!a]*", "a]b", "a\nb", "[", "plain/name.txt"])
def test_an_exact_pattern_fits_its_path_and_no_other(path: str) -> None:
    others = ["ab.csv", "a.csv", "a1.csv", "b.csv", "x/yy", "deep/er", "plain/nameXtxt", "[ab]xcsv"]
    assert fits(path, facts.exactly(path))
    assert not any(fits(other, facts.exactly(path)) for other in others)


@pytest.mark.parametrize(
    ("code", "kind"), [(2, "usage"), (5, "integrity"), (75, "busy"), (78, "config"), (77, "sign_in"), (4, "failed")]
)
def test_a_failure_has_the_word_of_its_exit_code(code: int, kind: str) -> None:
    assert facts.error_object(code, "what\x1b[0m", "advice\n") == {"kind": kind, "what": "what�[0m", "advice": "advice�"}


def test_the_lines_of_a_diff_have_marks() -> None:
    text = "--- before/a\n+++ after/a\n@@ -1,2 +1,2 @@\n same\n--- old\n+++ new\n\\ No newline at end of file\n"
    assert marked(text) == [
        ["@", "@@ -1,2 +1,2 @@"],
        [" ", "same"],
        ["-", "-- old"],
        ["+", "++ new"],
        ["@", "No newline at end of file"],
    ]
    assert marked("binary files differ\n") == [["@", "binary files differ"]]
