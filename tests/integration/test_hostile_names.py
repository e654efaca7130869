"""Names that climb, break lines, paint or hide: shown clean, used as plain names, and never as a way out."""

from __future__ import annotations

import json
import os
import shutil
import unicodedata
import uuid
from pathlib import Path

import pytest

from tests.integration.hostile import GENERATIONS, SCRIPT, Box, Careful, problems_of
from tests.people import OWNER, SCIENTIST, code_folder

ANSI = "\x1b[2J\x1b]0;owned\x07red"
BIDI = "\u202egnp.exe\u2066"
STRANGE = {
    "line break": "two\nlines\rthree",
    "ANSI": ANSI,
    "bidi marks": BIDI,
    "C1 controls": "a\x9b31mb",
    "longest": "x" * 255,
    "v1": "v1",
    "v2": "v2",
    "glob": "[a]*?{b}",
    "option": "--help",
    "shell": "$(touch pwned);`id`",
    "quotes": "'\"\\",
    "blank": " ",
    "leading dot": ".hidden",
    "three dots": "...",
    "status word": "approved",
}
REFUSED = ["../climb", "a/b", "..", ".", "two\nlines", ANSI, BIDI, "x" * 300, "bad\udcff", "\0", ".hidden"]
PLACES = {"b2": f"{OWNER}/app_data/job/{SCIENTIST}", "c0": f"{OWNER}/app_data/job/inbox/{SCIENTIST}"}
PLACES["c1"] = f"{PLACES['c0']}/v1"


def is_clean(text: str) -> bool:
    return all(char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cf", "Cs") for char in text)


def edit_metadata(box: Box, job: str, **changes: object) -> None:
    path = box.place(job) / "metadata.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def tour(box: Box, *jobs: str) -> None:
    """Every verb that shows jobs, then approving, running and answering them: each printed line is clean."""
    looking = [("check",), ("list",), ("pending",), ("status",)]
    looking += [(verb, job) for job in jobs for verb in ("show", "review", "diff")]
    working = [("approve", *jobs), ("run-approved", "--stream"), ("reject", *jobs), ("audit", "show"), ("list",)]
    working += [(verb, job) for job in jobs for verb in ("logs", "output", "share", "show")]
    for call in (*looking, *working):
        answer = box.owner.scq(*call, code=None)
        assert is_clean(answer.out + answer.err), call


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_name_that_cannot_stand_is_refused_at_submission(generation: str, tmp_path: Path) -> None:
    box = Box(tmp_path)
    source = code_folder(tmp_path / "source", SCRIPT)
    for name in REFUSED:
        before = sorted(box.root.rglob("*"))
        answer = box.scientist.scq("submit", OWNER, str(source), "--name", name, "--layout", generation, code=None)
        if answer.code == 0:
            assert generation == "a3", name
            assert name.isprintable()
        else:
            assert answer.code == 2
            assert "name" in answer.err
            assert is_clean(answer.err)
            assert sorted(box.root.rglob("*")) == before
    box.answers(box.submit(generation, "healthy"))
    assert sorted(path.name for path in box.root.iterdir()) == ["datasites", OWNER, SCIENTIST, "second@example.net"]
    box.kept_its_secret()


@pytest.mark.parametrize("generation", ["b2", "c0", "c1"])
def test_a_folder_of_any_name_is_a_plain_job_or_a_problem(generation: str, tmp_path: Path) -> None:
    box = Box(tmp_path)
    good = box.submit(generation, "healthy")
    for name in STRANGE.values():
        box.place(box.submit(generation, "plain")).rename(box.root / PLACES[generation] / name)
    os.mkdir(os.fsencode(box.root / PLACES[generation]) + b"/bad\xff")
    checked = box.owner.scq("check")
    assert is_clean(checked.out + checked.err)
    assert "UTF-8" in checked.err
    jobs = {job["name"]: job["id"] for job in box.listed().values()}
    unseen = {kind for kind, name in STRANGE.items() if name not in jobs}
    assert unseen <= {"v2"}, "a later protocol's folder is a problem, everything else a job"
    assert not unseen or "protocol v2" in checked.err or "jobs are not read" in checked.err
    tour(box, *(job for job in jobs.values() if job != good))
    assert not list(tmp_path.rglob("pwned"))
    box.answers(good)
    box.kept_its_secret()


@pytest.mark.parametrize("generation", ["b2", "c0", "c1"])
def test_a_name_in_the_config_leads_nowhere(generation: str, tmp_path: Path) -> None:
    box = Box(tmp_path)
    good = box.submit(generation, "healthy")
    names = ["../../../../../outside/climb", "/etc/climb", "..", "healthy", "a\0b", ANSI, "x" * 5000]
    uids = {name: box.submit(generation, f"plain{number}") for number, name in enumerate(names)}
    for name, uid in uids.items():
        config = box.place(uid) / "config.yaml"
        lines = [line for line in config.read_text().splitlines() if not line.startswith("name:")]
        config.write_text("\n".join([*lines, f"name: {json.dumps(name)}", ""]))
    box.owner.scq("check")
    listed = box.listed()
    for number, uid in enumerate(uids.values()):
        assert listed[uid]["name"] == f"plain{number}"
        assert "config.yaml" in problems_of(listed[uid])
    tour(box, *uids.values())
    box.answers(good)
    assert not list(tmp_path.rglob("climb*"))
    box.kept_its_secret()


def test_the_free_name_of_a_status_folder_job_is_only_text(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    box = Box(tmp_path)
    good = box.submit("a3", "healthy")
    names = ["../../climb", "/etc/climb", "a\0b", ANSI, BIDI, "two\nlines", "x" * 5000, "\ud800", "v1"]
    script = SCRIPT + 'printf %s "$JOB_NAME" > "$OUTPUT_DIR/name.txt"\n'
    uids = {name: box.submit("a3", f"plain{number}", script) for number, name in enumerate(names)}
    for name, uid in uids.items():
        edit_metadata(box, uid, name=name, description=name, tags=[name])
    tour(box, *uids.values())
    assert is_clean(capfd.readouterr().out), "what is streamed while the jobs run"
    for uid, job in box.listed().items():
        assert uid == good or job["status"] == "completed" or "metadata.json" in problems_of(job)
    box.answers(good)
    assert not list(tmp_path.rglob("climb*"))
    box.kept_its_secret()


def test_the_folder_name_of_a_status_folder_job_is_no_id_unless_it_is_one(tmp_path: Path) -> None:
    box = Box(tmp_path)
    good = box.submit("a3", "healthy")
    for name in [ANSI, BIDI, "two\nlines", "x" * 255, "v1", "-rf", "a" * 36 + "-b", good.upper()]:
        place = box.place(box.submit("a3", "plain"))
        place.rename(place.parent / name)
    listed = box.listed()
    assert all(uuid.UUID(uid) for uid in listed)
    assert len(listed) == 9
    assert all("metadata.json" in problems_of(job) for uid, job in listed.items() if uid != good)
    tour(box, *(uid for uid in listed if uid != good))
    box.answers(good)
    box.kept_its_secret()


def test_a_folder_name_that_begins_with_the_id_of_another_job_shares_nothing_with_it(tmp_path: Path) -> None:
    box = Box(tmp_path)
    mine, other = box.submit("a3", "mine", SCRIPT + "echo mine\n"), box.submit("a3", "other", SCRIPT + "echo other\n")
    place = box.place(other)
    edit_metadata(box, other, uid=f"{mine}x")
    place.rename(place.parent / f"{mine}x")
    ids = [job["id"] for job in box.listed().values()]
    box.owner.scq("approve", *ids)
    box.owner.scq("run-approved")
    assert "mine\n" in box.owner.json("logs", mine)["logs"]["stdout"]
    directories = [record["run"]["directory"] for record in box.owner.state()["jobs"].values()]
    assert len(set(directories)) == 2


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_deciding_about_a_painted_name_prints_it_clean(verb: str, tmp_path: Path) -> None:
    box = Box(tmp_path)
    uid = box.submit("a3", "plain")
    edit_metadata(box, uid, name=f"{ANSI}{BIDI}\nsecond line")
    answer = box.owner.scq(verb, uid, "-r", "read it")
    assert "red" in answer.out
    assert is_clean(answer.out)


def test_a_copied_id_in_another_datasite_takes_nothing_away(tmp_path: Path) -> None:
    box = Box(tmp_path)
    uid = box.submit("a3", "mine")
    place = box.place(uid)
    copy = box.root / "datasites" / SCIENTIST / place.relative_to(box.root / "datasites" / OWNER)
    copy.parent.mkdir(parents=True)
    shutil.copytree(place, copy)
    jobs = box.owner.json("list")["jobs"]
    assert sorted(job["path"] for job in jobs) == sorted(str(path.relative_to(box.root)) for path in (place, copy))
    assert len({job["id"] for job in jobs}) == 2
    assert box.owner.job(uid)["path"] == str(place.relative_to(box.root))
    box.owner.scq("approve", uid)
    assert [run["id"] for run in box.owner.json("run-approved")["runs"]] == [uid]


def test_messages_about_a_painted_name_hold_no_control_characters(tmp_path: Path) -> None:
    box = Box(tmp_path)
    uid = box.submit("a3", "plain")
    edit_metadata(
        box, uid, name=f"a\r\nBcc: thief@example.org\r\n\r\n{ANSI}{BIDI}", requester_email="thief@example.org, x@example.org"
    )
    box.owner.scq("check")
    box.owner.scq("notify", code=None)
    mails = [path.read_text() for path in (box.owner.home / "mailbox").rglob("*") if path.is_file()]
    assert mails
    for mail in mails:
        headers = mail.partition("\n\n")[0]
        assert "\nBcc:" not in headers
        assert "\x1b" not in mail


def test_two_people_may_use_one_name(tmp_path: Path) -> None:
    for generation in GENERATIONS:
        box = Box(tmp_path / generation)
        first, second = box.submit(generation, "same"), box.submit(generation, "same", by=box.second)
        assert {job["submitter"] for job in box.listed().values()} == {SCIENTIST, "second@example.net"}
        answer = box.owner.scq("approve", "same", code=2)
        assert first in answer.err
        assert second in answer.err
        box.owner.scq("approve", first)
        assert [run["id"] for run in box.owner.json("run-approved")["runs"]] == [first]
        assert box.owner.job(second)["status"] == "pending"
        assert Careful.job(box.second, second)["status"] == "pending"
        box.owner.scq("reject", second, "-r", "not yours")
        assert box.owner.job(first)["status"] == "completed"


def test_what_a_job_prints_cannot_act_on_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    box = Box(tmp_path)
    uid = box.submit("c0", "painter", f"printf '{ANSI}{BIDI}\\n\\377\\n'\n")
    tour(box, uid)
    streamed = capfd.readouterr().out
    assert "red" in streamed
    assert is_clean(streamed)
    assert "red" in box.owner.scq("logs", uid).out
