"""scq approve, reject, cancel."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from scq import deciding, keeping
from scq.cli import session
from scq.commands import approve, cancel, reject
from scq.config_values import Config
from scq.context import Context
from scq.errors import BusyError, IntegrityError
from scq.model import Content, Manifest
from tests.making import decision, run
from tests.people import OWNER, World


def test_an_approval_names_the_job_and_exactly_what_may_run(world: World) -> None:
    uid = world.submit()
    answer = world.owner.scq("approve", "count", "-r", "fine")
    digest = world.owner.job(uid)["digest"]
    assert answer.out == f"approved {uid[:8]}  count  {digest}\n"


def test_what_is_answered_is_the_job_as_it_is_afterwards(world: World) -> None:
    uid = world.submit()
    data = world.owner.json("approve", uid, "-r", "fine")
    shown = world.owner.job(uid)
    assert data["dry_run"] is False
    assert data["jobs"][0]["approval"] == shown["approval"]
    assert data["jobs"][0]["status"] == "approved"
    assert data["jobs"][0]["revision"] == shown["revision"]
    assert world.owner.json("reject", uid)["jobs"][0]["revision"] == world.owner.job(uid)["revision"]


def test_several_jobs_are_decided_at_once_each_on_its_own(world: World) -> None:
    one, two = world.submit("one"), world.submit("two")
    answer = world.owner.scq("approve", one, "nothing", two, one, code=2)
    assert answer.out.count("approved") == 2, "a job named twice is decided once"
    assert "no job 'nothing'" in answer.err
    assert {world.owner.job(uid)["status"] for uid in (one, two)} == {"approved"}


def test_the_worst_refusal_gives_the_exit_code(world: World) -> None:
    uid = world.submit(note__txt="a")
    world.owner.scq("review", uid)
    (note,) = world.root.rglob("note.txt")
    note.write_text("swapped")
    document = world.owner.scq("approve", "nothing", uid, "--json", code=5).json
    assert (document["ok"], document["data"]["jobs"], len(document["errors"])) == (False, [], 2)


@pytest.mark.parametrize("verb", ["approve", "reject", "cancel"])
def test_a_dry_run_says_what_would_be_done_and_does_nothing(world: World, verb: str) -> None:
    uid = world.submit()
    before = sorted(os.listdir(world.owner.home))
    answer = world.owner.scq(verb, uid, "--dry-run")
    assert answer.out.startswith("would be ")
    assert world.owner.job(uid)["status"] == "pending"
    assert sorted(os.listdir(world.owner.home)) == before


def test_an_approved_job_can_still_be_rejected_and_a_rejected_one_not_approved(world: World) -> None:
    uid = world.approved()
    world.owner.scq("reject", uid, "-r", "second thoughts")
    assert world.owner.job(uid)["status"] == "rejected"
    assert "is rejected" in world.owner.scq("approve", uid, code=2).err
    assert "is rejected" in world.owner.scq("reject", uid, code=2).err


def test_a_job_that_is_over_is_not_decided_again(world: World) -> None:
    uid = world.ended()
    assert "scq rerun" in world.owner.scq("approve", uid, code=2).err
    assert "is completed" in world.owner.scq("reject", uid, code=2).err
    assert "is completed" in world.owner.scq("cancel", uid, code=2).err


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_only_the_owner_decides(world: World, verb: str) -> None:
    uid = world.submit()
    assert f"belongs to {OWNER}" in world.scientist.scq(verb, uid, code=2).err
    assert world.owner.job(uid)["status"] == "pending"


def test_what_cannot_be_run_cannot_be_approved_but_rejected(world: World) -> None:
    uid = world.submit()
    os.symlink("/etc/passwd", world.place(uid) / "code" / "link")
    assert "link: is a symbolic link" in world.owner.scq("approve", uid, code=2).err
    world.owner.scq("reject", uid)
    assert world.owner.job(uid)["status"] == "rejected"


def test_a_digest_goes_with_one_job_and_must_be_exact(world: World) -> None:
    one, two = world.submit("one"), world.submit("two")
    digest = world.owner.job(one)["digest"]
    assert "exactly one job" in world.owner.scq("approve", one, two, "--digest", digest, code=2).err
    assert f"not {digest}" in world.owner.scq("approve", two, "--digest", digest, code=5).err
    world.owner.scq("approve", one, "--digest", digest)


@pytest.mark.parametrize(("said", "code", "status"), [(True, 0, "approved"), (False, 2, "pending")])
def test_a_job_nobody_reviewed_is_asked_about_on_a_terminal(
    world: World, monkeypatch: pytest.MonkeyPatch, said: bool, code: int, status: str
) -> None:
    asked: list[str] = []

    def confirm(question: str) -> bool:
        asked.append(question)
        return said

    monkeypatch.setattr("scq.cli.decide.asking", lambda: confirm)
    uid = world.submit()
    world.owner.scq("approve", uid, code=code)
    assert world.owner.job(uid)["status"] == status
    assert asked == [f"{uid[:8]} was never reviewed here. Approve {world.owner.job(uid)['digest']} unread?"]


def test_a_reviewed_job_and_yes_ask_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scq.cli.decide.asking", lambda: pytest.fail)
    one, two = world.submit("one"), world.submit("two")
    world.owner.scq("review", one)
    world.owner.scq("approve", one)
    world.owner.scq("approve", two, "--yes")


def test_nobody_is_asked_where_nobody_sits() -> None:
    assert session.asking() is None


def test_content_that_changes_in_the_middle_of_an_approval_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = world.submit()
    real = keeping.copy

    def swapped(root: str, content: Content, caps: object, target: str) -> Manifest:
        Path(root, content.base, "run.sh").write_text("echo other\n")
        return real(root, content, caps, target)  # type: ignore[arg-type]

    monkeypatch.setattr(keeping, "copy", swapped)
    assert "is changing while it is approved" in world.owner.scq("approve", uid, code=5).err
    assert world.owner.job(uid)["status"] == "pending"
    assert os.listdir(world.owner.home / "approved") == []


def test_approving_the_same_content_twice_keeps_one_copy(world: World) -> None:
    world.approved()
    world.owner.scq("approve", "count", "-r", "again")
    assert len(os.listdir(world.owner.home / "approved")) == 1
    assert world.owner.job("count")["approval"]["reason"] == "again"


def test_a_submitter_cancels_where_the_layout_lets_him(world: World) -> None:
    uid = world.submit(layout="a3")
    answer = world.scientist.scq("cancel", uid)
    assert answer.out.startswith(f"cancelled {uid[:8]}")
    job = world.owner.job(uid)
    assert (job["status"], job["reason"]) == ("rejected", "Cancelled by requester")
    assert "is rejected" in world.scientist.scq("cancel", uid, code=2).err


def test_a_submitter_is_sent_to_the_owner_where_the_layout_does_not(world: World) -> None:
    uid = world.submit(layout="c0")
    assert f"Ask {OWNER} to reject it" in world.scientist.scq("cancel", uid, code=2).err
    assert world.owner.job(uid)["status"] == "pending"


def test_the_owner_cancels_in_every_layout_and_a_stranger_in_none(world: World) -> None:
    uid = world.submit(layout="c0")
    assert "is not yours" in world.second.scq("cancel", uid, code=2).err
    world.owner.scq("cancel", uid, "-r", "moved")
    job = world.owner.job(uid)
    assert (job["status"], job["approval"]["method"], job["approval"]["reason"]) == ("rejected", "cancel", "moved")


def test_a_folder_that_cannot_be_written_is_told_and_done_by_a_later_call(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = world.submit(layout="c0")
    with monkeypatch.context() as patch:

        def read_only(*_: object, **__: object) -> None:
            raise OSError(30, "Read-only file system", "status.json")

        patch.setattr("scq.layouts.inbox_review.InboxReview.decide", read_only)
        answer = world.owner.scq("approve", uid, code=1)
    assert "cannot be written (Read-only file system)" in answer.err
    assert "next call" in answer.err
    world.owner.scq("check")
    assert world.scientist.json("show", uid)["status"] == "approved"


def test_a_job_that_starts_while_it_is_decided_is_not_decided(world: World) -> None:
    world.approved()
    ctx = Context(Config(email=OWNER, root=str(world.root)), str(world.owner.home), env={})
    state = ctx.store.load()
    (key,) = state.jobs
    busy = replace(state, jobs={key: replace(state.jobs[key], run=run("claimed", cause=None))})
    with pytest.raises(IntegrityError, match="was started while it was being decided"):
        deciding._written_down(ctx, busy, "reject", state.jobs, decision("reject"), {})


def test_who_shows_a_job_first_is_told_when_it_is_another_one_by_then(world: World) -> None:
    one, two = world.submit("one"), world.submit("two", note__txt="a")
    shown = {job["id"]: job["revision"] for job in world.owner.json("pending")["jobs"]}
    world.owner.scq("reject", one, "-r", "too broad")
    (note,) = world.root.rglob("note.txt")
    note.write_text("swapped")
    ctx = Context(Config(email=OWNER, root=str(world.root)), str(world.owner.home), env={})
    report = approve.run(ctx, [one, two], seen=shown)
    assert (report.exit_code, report.data["jobs"]) == (75, [])
    assert [text.partition(". Look")[0] for text in report.errors] == [
        f"{one[:8]} changed since it was shown: {OWNER} rejected it (too broad)",
        f"{two[:8]} changed since it was shown: it holds other content now",
    ]
    assert cancel.run(ctx, [two], seen=shown).exit_code == 75
    assert reject.run(ctx, [two], seen={}).exit_code == 75, "what was not shown is not decided"
    assert reject.run(ctx, [two], seen={two: ""}).exit_code == 75
    assert reject.run(ctx, [two], seen={two: world.owner.job(two)["revision"]}).exit_code == 0


def test_of_two_decisions_at_one_moment_the_second_writes_nothing(world: World) -> None:
    world.approved()
    ctx = Context(Config(email=OWNER, root=str(world.root)), str(world.owner.home), env={})
    state = ctx.store.load()
    ((key, record),) = state.jobs.items()
    shown = {key: replace(record, decision=None)}
    with pytest.raises(BusyError, match="at this moment"):
        deciding._written_down(ctx, state, "reject", shown, decision("reject"), {record.id: "0" * 12})
