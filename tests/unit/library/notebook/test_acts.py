"""Deciding from a notebook: only about what was shown, and the second of two people is told."""

from __future__ import annotations

import shutil

import pytest

from scq.library.notebook.desk import Desk
from tests.people import OWNER, World
from tests.unit.library.notebook.conftest import Page

RESULTS = "mkdir -p outputs\nfor name in 'a*.csv' ab.csv '[ab].csv' a.csv; do echo 1 > \"outputs/$name\"; done\necho counted\n"


def statuses(page: Page, *ids: str) -> list[str]:
    rows = page.rows()
    return [rows[uid]["status"] for uid in ids]


def row(page: Page, values: list[object]) -> dict[str, object]:
    return dict(zip(page.ask("rows")["fields"], values, strict=True))


def released(world: World, uid: str) -> set[str]:
    return {each["path"] for each in world.owner.json("output", uid)["outputs"] if each["released"]}


def test_many_jobs_are_approved_by_one_verb_and_come_back_as_new_rows(world: World, owner: Page) -> None:
    ids = [world.submit(f"job{number}") for number in range(4)]
    owner.rows()
    named = owner.named(*ids)
    owner.calls.clear()
    found = owner.ask("approve", jobs=named, reason="read", unread=True)
    assert owner.calls == {"approve": 1}
    assert (found["done"], found["refused"], found["unread"]) == (ids, [], [])
    assert [row(owner, each)["status"] for each in found["rows"]] == ["approved"] * 4
    assert [row(owner, each)["id"] for each in found["rows"]] == ids
    assert world.owner.job(ids[0])["approval"]["reason"] == "read"


def test_jobs_never_read_are_named_and_not_approved_unless_wanted(world: World, owner: Page) -> None:
    unread, read = world.submit("unread"), world.submit("read")
    owner.ask("review", job=read)
    found = owner.ask("approve", jobs=owner.named(unread, read), reason="", unread=False)
    assert (found["done"], found["refused"], found["unread"]) == ([read], [], [unread])
    assert statuses(owner, unread, read) == ["pending", "approved"]
    assert owner.ask("approve", jobs=owner.named(unread), reason="", unread=True)["done"] == [unread]


def test_content_that_changed_since_it_was_shown_is_not_approved(world: World, owner: Page) -> None:
    changed, same = world.submit("changed"), world.submit("same")
    for uid in (changed, same):
        owner.ask("review", job=uid)
    named = owner.named(changed, same)
    (world.place(changed) / "run.sh").write_text("#!/bin/bash\ncurl example.net\n")
    found = owner.ask("approve", jobs=named, reason="", unread=True)
    assert found["done"] == [same]
    assert [each["id"] for each in found["refused"]] == [changed]
    assert "changed since it was shown" in found["refused"][0]["what"]
    assert row(owner, found["rows"][0])["read"] == "changed"


def test_content_that_changed_since_it_was_read_is_not_approved_with_a_new_revision_either(world: World, owner: Page) -> None:
    uid = world.submit()
    owner.ask("review", job=uid)
    (world.place(uid) / "run.sh").write_text("#!/bin/bash\ncurl example.net\n")
    found = owner.ask("approve", jobs=owner.named(uid), reason="", unread=True)
    assert found["done"] == []
    assert "has changed since you reviewed it" in found["refused"][0]["what"]
    assert statuses(owner, uid) == ["pending"]


def test_a_job_that_is_named_by_the_id_of_one_that_is_gone_is_another_one(world: World, owner: Page) -> None:
    gone = world.submit("harmless")
    named = owner.named(gone)
    owner.rows()
    shutil.rmtree(world.place(gone))
    other = world.submit(gone, "curl example.net\n")
    for ask in ("look", "job", "review", "outputs"):
        assert "no job" in owner.refused(ask, job=gone)["what"]
    found = owner.ask("approve", jobs=named, reason="", unread=True)
    assert (found["done"], [each["id"] for each in found["refused"]]) == ([], [gone])
    assert world.owner.job(other)["status"] == "pending"
    assert owner.rows()[other]["read"] == "unread"


@pytest.mark.parametrize("second_ask", ["approve", "reject"])
def test_of_two_who_act_at_once_the_second_is_told(world: World, second_ask: str) -> None:
    uid = world.submit()
    one, two = Page(world.owner), Page(world.owner)
    seen_by_one, seen_by_two = one.named(uid), two.named(uid)
    assert one.ask("reject", jobs=seen_by_one, reason="not this one")["done"] == [uid]
    fields = {"unread": True} if second_ask == "approve" else {}
    found = two.ask(second_ask, jobs=seen_by_two, reason="mine", **fields)
    assert found["done"] == []
    what = found["refused"][0]["what"]
    assert "changed since it was shown" in what
    assert f"{OWNER} rejected it (not this one)" in what
    assert row(two, found["rows"][0])["status"] == "rejected"


@pytest.mark.parametrize("layout", ["a3", "b1", "c0"])
def test_the_row_after_an_approval_is_what_the_next_look_gives(world: World, owner: Page, layout: str) -> None:
    uid = world.submit(layout=layout)
    after = row(owner, owner.ask("approve", jobs=owner.named(uid), reason="", unread=True)["rows"][0])
    assert after == owner.rows()[uid]
    found = owner.ask("reject", jobs=[{"id": uid, "revision": after["revision"]}], reason="no after all")
    assert (found["done"], found["refused"]) == ([uid], [])


def test_a_submitter_withdraws_what_waits_and_nothing_that_was_decided_meanwhile(world: World) -> None:
    first, second = world.submit("first", layout="a3"), world.submit("second", layout="a3")
    theirs = Page(world.scientist)
    named = theirs.named(first, second)
    world.owner.scq("reject", second, "-r", "no")
    found = theirs.ask("cancel", jobs=named, reason="a mistake")
    assert found["done"] == [first]
    assert "changed since it was shown" in found["refused"][0]["what"]
    assert statuses(theirs, first) == ["rejected"]
    assert theirs.refused("approve", jobs=named, reason="", unread="yes")["what"] == "unread is neither true nor false"


def test_a_submitter_approves_nothing(world: World) -> None:
    uid = world.submit()
    theirs = Page(world.scientist)
    found = theirs.ask("approve", jobs=theirs.named(uid), reason="", unread=True)
    assert found["done"] == []
    assert f"belongs to {OWNER}" in found["refused"][0]["what"]
    assert "belongs to" in theirs.ask("reject", jobs=theirs.named(uid), reason="")["refused"][0]["what"]


def test_exactly_the_named_results_leave_whatever_is_in_their_names(world: World, owner: Page) -> None:
    uid = world.ended("count", RESULTS)
    for path in ("a*.csv", "[ab].csv"):
        before = released(world, uid)
        fields = {"outputs": True, "logs": False, "reason": "checked", "revision": owner.revision(uid)}
        found = owner.ask("release", job=uid, only=[path], **fields)
        assert released(world, uid) - before == {path}
        after = row(owner, found["row"])
        assert (after["outputs"], after["revision"]) == ("released", owner.revision(uid))
        assert {each["path"] for each in found["answer"]["files"]} == released(world, uid)
    assert world.owner.job(uid)["results"] == {"outputs": "released", "logs": "withheld"}


def test_all_results_and_the_logs_leave_when_no_file_is_named(world: World, owner: Page) -> None:
    uid = world.ended("count", RESULTS)
    fields = {"outputs": True, "logs": True, "reason": "fine", "revision": owner.revision(uid)}
    assert owner.ask("release", job=uid, only=None, **fields)["results"] == {"outputs": "released", "logs": "released"}
    assert len(released(world, uid)) == 4
    answer = owner.ask("outputs", job=uid)["answer"]
    assert (answer["verdict"], answer["by"], answer["reason"]) == ("released", OWNER, "fine")


def test_a_result_with_a_hostile_name_is_shown_cleaned_and_released_as_it_is(world: World, owner: Page) -> None:
    uid = world.ended("count", "mkdir -p outputs\necho 1 > $'outputs/a\\u202eb.csv'\necho 2 > outputs/c.csv\n")
    shown = sorted(each["path"] for each in owner.ask("outputs", job=uid)["files"])
    assert shown == ["a�b.csv", "c.csv"]
    fields = {"outputs": True, "logs": False, "reason": "fine", "revision": owner.revision(uid)}
    owner.ask("release", job=uid, only=["a�b.csv"], **fields)
    assert released(world, uid) == {"a\u202eb.csv"}


def test_two_results_that_look_alike_are_nobodys_choice(world: World, owner: Page) -> None:
    uid = world.ended("count", "mkdir -p outputs\necho 1 > $'outputs/a\\u202eb'\necho 2 > $'outputs/a\\u202db'\n")
    fields = {"outputs": True, "logs": False, "reason": "fine", "revision": owner.revision(uid)}
    error = owner.refused("release", job=uid, only=["a�b"], **fields)
    assert (error["kind"], error["what"]) == ("usage", "2 result files look like a�b")
    assert released(world, uid) == set()


@pytest.mark.parametrize(
    ("only", "what"),
    [
        ([], "no result file is chosen"),
        (["*"], "no result file is called *"),
        (["nothing.csv"], "no result file is called nothing.csv"),
        (["../stdout.txt"], "no result file is called"),
        ([7], "only is not a text"),
        ("a.csv", "only is not a list"),
        (["a.csv"] * 1_001, "only has more than 1000 entries"),
    ],
)
def test_nothing_leaves_for_a_choice_that_names_no_file(world: World, owner: Page, only: object, what: str) -> None:
    uid = _with_results(world)
    fields = {"outputs": True, "logs": False, "reason": "fine", "revision": owner.revision(uid)}
    assert what in owner.refused("release", job=uid, only=only, **fields)["what"]
    assert released(world, uid) == set()


def test_a_page_that_forgets_to_say_which_files_releases_none(world: World, owner: Page) -> None:
    uid = _with_results(world)
    fields = {"outputs": True, "logs": False, "reason": "fine", "revision": owner.revision(uid)}
    assert owner.refused("release", job=uid, **fields)["what"] == "only is not a list"
    assert released(world, uid) == set()


def _with_results(world: World) -> str:
    return world.ended("count", RESULTS)


def test_an_answer_needs_a_reason_and_what_was_seen(world: World, owner: Page) -> None:
    uid = world.ended("count", RESULTS)
    seen = owner.revision(uid)
    fields = {"outputs": True, "logs": False, "only": None}
    assert "only with a reason" in owner.refused("release", job=uid, reason=" ", revision=seen, **fields)["what"]
    assert owner.refused("release", job=uid, reason="x", revision="", **fields)["what"] == "revision is empty"
    assert owner.refused("release", job=uid, reason="x", revision="000000000000", **fields)["kind"] == "busy"
    assert "only with a reason" in owner.refused("withhold", job=uid, reason="", revision=seen)["what"]
    found = owner.ask("withhold", job=uid, reason="too small", revision=seen)
    assert (found["answer"]["verdict"], found["answer"]["reason"]) == ("withheld", "too small")
    assert row(owner, found["row"])["revision"] == owner.revision(uid) != seen
    assert owner.refused("release", job=uid, reason="x", revision=seen, **fields)["kind"] == "busy"


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({}, "jobs is not a list"),
        ({"jobs": []}, "no job is chosen"),
        ({"jobs": "all"}, "jobs is not a list"),
        ({"jobs": ["x"]}, "one of them is no job"),
        ({"jobs": [{"id": 5, "revision": "x"}]}, "id is not a text"),
        ({"jobs": [{"id": "nobody", "revision": "x"}]}, "none of the jobs that are shown here"),
        ({"jobs": [{}] * 20_001}, "jobs has more than 20000 entries"),
        ({"jobs": [{"id": "UID", "revision": ""}]}, "revision is empty"),
        ({"jobs": [{"id": "UID"}]}, "revision is not a text"),
        ({"jobs": [{"id": "UID", "revision": "x"}, {"id": "UID", "revision": "y"}]}, "one of them is named twice"),
        ({"jobs": [{"id": "UID", "revision": "x"}], "reason": "x" * 10_001}, "reason is longer than 10000 characters"),
        ({"jobs": [{"id": "UID", "revision": "x"}], "reason": "\ud800"}, "reason cannot be stored as UTF-8 text"),
        ({"jobs": [{"id": "UID", "revision": "x"}], "reason": None}, "reason is not a text"),
    ],
)
def test_a_hostile_decision_decides_nothing(world: World, owner: Page, fields: dict[str, object], what: str) -> None:
    uid = world.submit()
    jobs = fields.get("jobs")
    if isinstance(jobs, list):
        fields = fields | {
            "jobs": [each | {"id": uid} if isinstance(each, dict) and each.get("id") == "UID" else each for each in jobs]
        }
    for ask in ("reject", "approve"):
        error = owner.refused(ask, **({"unread": True} | fields))
        assert (error["kind"], what in error["what"]) == ("usage", True), error
    assert statuses(owner, uid) == ["pending"]


def test_a_page_may_decide_about_what_it_showed_before_the_view_lost_it(world: World) -> None:
    """A table of what waits does not hold a job any more that was approved in it; its row can be acted on all the same."""
    uid = world.submit()
    page = Page(world.owner, [uid])
    page.desk = Desk(page.verbs, list, [uid])
    assert page.rows() == {}
    assert page.ask("approve", jobs=page.named(uid), reason="", unread=True)["done"] == [uid]
    assert page.ask("job", job=uid)["job"]["status"] == "approved"
