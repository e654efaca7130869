"""The main job in every generation that can be written: submit, check, review, approve, run, answer, share, again, clean up."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.people import OWNER, SCIENTIST, Person, code_folder, syftbox

GENERATIONS = ["a3", "b0", "b1", "b2", "c0", "c1"]
SCRIPT = 'mkdir -p "${OUTPUT_DIR:-outputs}"\necho hello\necho oops >&2\necho 42 > "${OUTPUT_DIR:-outputs}/answer.txt"\n'


@pytest.fixture
def people(tmp_path: Path) -> tuple[Person, Person]:
    root = syftbox(tmp_path, OWNER, SCIENTIST)
    return Person(tmp_path / "do", root, OWNER), Person(tmp_path / "ds", root, SCIENTIST)


def submitted(people: tuple[Person, Person], tmp_path: Path, generation: str, script: str = SCRIPT, name: str = "count") -> str:
    source = code_folder(tmp_path / "code" / name, script, note__txt="for reading")
    data = people[1].json("submit", OWNER, str(source), "--name", name, "--layout", generation)
    assert data["layout"] == generation
    return str(data["id"])


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_job_goes_all_the_way(people: tuple[Person, Person], tmp_path: Path, generation: str) -> None:
    owner, scientist = people
    owner.scq("check")
    uid = submitted(people, tmp_path, generation)
    new = owner.json("check")["new_jobs"]
    assert [(job["id"], job["status"]) for job in new] == [(uid, "pending")]
    assert owner.json("check")["new_jobs"] == [], "a second look is silent"
    assert [job["id"] for job in owner.json("pending")["jobs"]] == [uid]

    review = owner.json("review", uid)
    assert review["files"][0]["path"] == "run.sh"
    assert any("answer.txt" in (file["text"] or "") for file in review["files"])
    owner.scq("approve", uid, "-r", "looks safe")
    assert owner.job(uid)["status"] == "approved"
    assert owner.job(uid)["approval"]["reason"] == "looks safe"

    runs = owner.json("run-approved")["runs"]
    assert [(run["id"], run["status"], run["exit_code"]) for run in runs] == [(uid, "completed", 0)]
    done = owner.job(uid)
    assert (done["status"], done["run"]["cause"], done["results"]) == (
        "completed",
        "exit",
        {"outputs": "withheld", "logs": "withheld"},
    )
    assert [row["path"] for row in owner.json("output", uid)["outputs"]] == ["answer.txt"]
    logs = owner.json("logs", uid)["logs"]
    assert "hello\n" in logs["stdout"]
    assert "oops\n" in logs["stderr"]

    assert [job["status"] for job in scientist.json("list", "--mine")["jobs"]] == ["completed"]
    assert owner.json("run-approved")["runs"] == [], "nothing is run twice"
    owner.scq("share", uid)
    assert owner.job(uid)["results"] == {"outputs": "released", "logs": "released"}

    owner.scq("check", "--full")
    owner.scq("rerun", uid)
    assert owner.job(uid)["status"] == "approved"
    assert [run["status"] for run in owner.json("run-approved")["runs"]] == ["completed"]
    assert owner.job(uid)["run"]["attempt"] == 2
    assert [job["id"] for job in owner.json("cleanup", "--older-than", "0", "--unanswered")["removed"]] == [uid]
    assert owner.json("list")["jobs"] == []
    assert scientist.json("list")["jobs"] == []
    assert owner.scq("audit", "show").out.count("\n") == 9
    assert owner.scq("audit", "verify").out.startswith("whole: 9 rows")


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_failing_job_is_failed_with_its_code(people: tuple[Person, Person], tmp_path: Path, generation: str) -> None:
    owner, scientist = people
    uid = submitted(people, tmp_path, generation, "echo before\nexit 3\n")
    owner.scq("approve", uid)
    answer = owner.scq("run-approved", "--json", code=4).json
    assert answer["data"]["runs"][0]["exit_code"] == 3
    job = owner.job(uid)
    assert (job["status"], job["run"]["exit_code"]) == ("failed", 3)
    seen = scientist.job(uid)
    assert (seen["status"], seen["run"]["exit_code"]) == ("failed", 3)
    assert scientist.scq("wait", uid, code=4).out


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_rejected_job_never_runs(people: tuple[Person, Person], tmp_path: Path, generation: str) -> None:
    owner, _ = people
    uid = submitted(people, tmp_path, generation)
    owner.scq("reject", uid, "-r", "too broad")
    job = owner.job(uid)
    assert (job["status"], job["approval"]["verdict"], job["approval"]["reason"]) == ("rejected", "reject", "too broad")
    assert owner.json("run-approved")["runs"] == []


@pytest.mark.parametrize("generation", GENERATIONS)
def test_content_that_changes_after_approval_is_refused(people: tuple[Person, Person], tmp_path: Path, generation: str) -> None:
    owner, _ = people
    uid = submitted(people, tmp_path, generation)
    owner.scq("check")
    owner.scq("approve", uid)
    (script,) = [path for path in owner.root.rglob("note.txt") if uid in str(path) or "count" in str(path)]
    script.write_text("something else entirely")
    refused = owner.json("run-approved", code=5)["runs"]
    assert [(run["id"], run["status"], run["cause"]) for run in refused] == [(uid, "pending", "integrity")]
    job = owner.job(uid)
    assert (job["status"], job["changed"]) == ("pending", True)
    assert "no longer what was approved" in job["problems"][-1]["what"]
    events = owner.json("check")["events"]
    assert events == [], "the change was told by the look before"


@pytest.mark.parametrize("generation", GENERATIONS)
def test_approving_what_changed_since_the_review_is_refused(
    people: tuple[Person, Person], tmp_path: Path, generation: str
) -> None:
    owner, _ = people
    uid = submitted(people, tmp_path, generation)
    owner.scq("review", uid)
    digest = owner.job(uid)["digest"]
    (note,) = [path for path in owner.root.rglob("note.txt") if uid in str(path) or "count" in str(path)]
    note.write_text("swapped")
    answer = owner.scq("approve", uid, code=5)
    assert "has changed since you reviewed it" in answer.err
    owner.scq("approve", uid, "--digest", digest, code=5)
    owner.scq("approve", uid, "--digest", owner.job(uid)["digest"])
    assert owner.job(uid)["approval"]["method"] == "digest"
