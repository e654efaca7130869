"""scq release, withhold, share: what leaves, what stays, and who hears of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from scq.commands import release as release_verb
from scq.commands import share as share_verb
from scq.commands import withhold as withhold_verb
from scq.config_values import Config
from scq.context import Context
from scq.errors import BusyError, UsageError
from scq.releasing import answerable
from scq.store import Store
from scq.view import job_of
from tests.making import record
from tests.people import OWNER, SCIENTIST, World

LAYOUTS = ["a3", "b0", "b1", "b2", "c0", "c1"]
SCRIPT = (
    'cd "${OUTPUT_DIR:-$(mkdir -p outputs && echo outputs)}"\nmkdir deep\necho hello\necho oops >&2\n'
    "echo 42 > answer.txt\necho raw > raw.csv\necho 1 > deep/b.txt\n"
)
SECRETS = ("answer.txt", "raw.csv", "b.txt")


def context(world: World) -> Context:
    return Context(Config(email=OWNER, root=str(world.root), sandbox="none"), str(world.owner.home), env={})


def ended(world: World, layout: str = "c0") -> str:
    """A job that ran and wrote three result files."""
    return world.ended(script=SCRIPT, layout=layout)


def in_the_syftbox(world: World) -> set[str]:
    """Names of the result files that lie below the root."""
    return {path.name for path in world.root.rglob("*") if path.name in SECRETS}


def readable(world: World) -> set[str]:
    """Patterns of results that some permission file lets the submitter read."""
    import yaml

    found: set[str] = set()
    for path in world.root.rglob("syft.pub.yaml"):
        for rule in yaml.safe_load(path.read_text())["rules"]:
            if SCIENTIST in rule["access"]["read"]:
                found.add(rule["pattern"])
    return {pattern for pattern in found if "output" in pattern or "std" in pattern or "execution" in pattern}


def releases(world: World, what: str = "release") -> list[dict[str, Any]]:
    return [row for row in world.owner.json("audit", "show")["rows"] if row["what"] == what]


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class TestRelease:
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_only_what_is_named_reaches_the_submitter(self, world: World, layout: str) -> None:
        uid = ended(world, layout)
        assert in_the_syftbox(world) == set()
        assert readable(world) == set()
        data = world.owner.json("release", uid, "--only", "answer.txt", "-r", "one number")
        assert data["results"] == {"outputs": "released", "logs": "withheld"}
        assert in_the_syftbox(world) == {"answer.txt"}
        assert any("output" in pattern for pattern in readable(world))
        assert [row["path"] for row in world.scientist.json("output", uid)["outputs"]] == ["answer.txt"]
        assert "hello" not in "".join(world.scientist.json("logs", uid)["logs"].values())

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_logs_leave_only_when_they_are_named(self, world: World, layout: str) -> None:
        uid = ended(world, layout)
        world.owner.scq("release", uid, "--no-outputs", "--logs", "-r", "to mend it")
        assert in_the_syftbox(world) == set()
        assert "hello\n" in "".join(world.scientist.json("logs", uid)["logs"].values())
        assert world.owner.job(uid)["results"] == {"outputs": "withheld", "logs": "released"}

    def test_releasing_again_adds_to_what_left_before(self, world: World) -> None:
        uid = ended(world)
        world.owner.scq("release", uid, "--only", "answer.txt", "-r", "one")
        world.owner.scq("release", uid, "--only", "**/*.txt", "--logs", "-r", "two")
        world.owner.scq("release", uid, "--only", "answer.txt", "-r", "three")
        answer = world.owner.job(uid)["answer"]
        assert [file["path"] for file in answer["files"]] == ["answer.txt", "deep/b.txt", "stdout.txt", "stderr.txt"]
        assert (answer["verdict"], answer["by"], answer["reason"], answer["automatic"]) == ("released", OWNER, "three", False)
        assert in_the_syftbox(world) == {"answer.txt", "b.txt"}
        assert [row["released"] for row in world.owner.json("output", uid)["outputs"]] == [True, True, False]

    def test_every_file_that_leaves_is_in_the_audit_log_by_its_digest_once(self, world: World) -> None:
        uid = ended(world)
        world.owner.scq("release", uid, "--only", "answer.txt", "-r", "first look")
        world.owner.scq("release", uid, "--logs", "-r", "the rest")
        first, second = releases(world)
        assert first["detail"] == f"first look\n{sha256('42' + chr(10))} answer.txt"
        assert second["detail"].splitlines() == [
            "the rest",
            f"{sha256('1' + chr(10))} deep/b.txt",
            f"{sha256('raw' + chr(10))} raw.csv",
            f"{sha256('hello' + chr(10))} stdout.txt",
            f"{sha256('oops' + chr(10))} stderr.txt",
        ]
        assert (first["job"], first["by"], first["digest"]) == (uid, OWNER, world.owner.job(uid)["digest"])

    def test_people_read_what_left(self, world: World) -> None:
        uid = ended(world)
        text = world.owner.scq("release", uid, "--only", "answer.txt", "-r", "one number").out
        assert text.startswith(f"released outputs of {uid[:8]}  count with {SCIENTIST}\n  ")
        assert text.endswith("  answer.txt\n")
        assert "answer  released (1 file) by " in world.owner.scq("show", uid).out

    def test_a_dry_run_releases_nothing(self, world: World) -> None:
        uid = ended(world)
        answer = world.owner.scq("release", uid, "-r", "all", "--dry-run")
        assert answer.out.startswith("would release outputs of ")
        assert "raw.csv" in answer.out
        assert in_the_syftbox(world) == set()
        assert releases(world) == []

    def test_a_pattern_nothing_fits_releases_nothing_and_names_what_is_there(self, world: World) -> None:
        uid = ended(world)
        answer = world.owner.scq("release", uid, "--only", "answer.txt", "--only", "*.tsv", "-r", "x", code=2)
        assert "no result file fits '*.tsv'" in answer.err
        assert "answer.txt, deep/b.txt, raw.csv" in answer.err
        assert in_the_syftbox(world) == set()
        empty = world.ended("empty")
        assert "no files at all" in world.owner.scq("release", empty, "--only", "*", "-r", "x", code=2).err

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ((), "with a reason"),
            (("-r", "  "), "with a reason"),
            (("--no-outputs", "-r", "x"), "nothing is named"),
            (("--no-outputs", "--logs", "--only", "*", "-r", "x"), "--only names result files"),
        ],
    )
    def test_words_that_do_not_fit_together_are_refused(self, world: World, options: tuple[str, ...], said: str) -> None:
        assert said in world.owner.scq("release", ended(world), *options, code=2).err

    def test_a_release_that_could_not_be_published_is_published_by_the_next_call(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        uid = ended(world)

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device", "outputs")

        with monkeypatch.context() as patch:
            patch.setattr("scq.layouts.inbox_review.InboxReview.finish", full)
            assert "No space left" in world.owner.scq("release", uid, "-r", "all", code=1).err
        assert in_the_syftbox(world) == set()
        world.owner.scq("run-approved")
        assert in_the_syftbox(world) == set(SECRETS)
        assert len(releases(world)) == 1

    def test_a_kept_file_that_was_changed_since_its_release_does_not_leave(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        uid = ended(world)
        (kept,) = (world.owner.home / "runs").rglob("outputs/answer.txt")
        monkeypatch.setattr("scq.releasing.carry_out", lambda *_: [])
        world.owner.scq("release", uid, "-r", "all")
        monkeypatch.undo()
        kept.write_text("43\n")
        assert "is no longer what was released" in world.owner.scq("run-approved", code=None).err
        assert in_the_syftbox(world) == set()
        world.owner.scq("release", uid, "-r", "as it is now")
        assert in_the_syftbox(world) == set(SECRETS)

    def test_only_the_owner_decides_and_only_about_what_is_over(self, world: World) -> None:
        uid = world.submit()
        assert "is pending" in world.owner.scq("release", uid, "-r", "x", code=2).err
        assert f"belongs to {OWNER}" in world.scientist.scq("release", uid, "-r", "x", code=2).err
        with pytest.raises(UsageError, match="names no submitter"):
            answerable(context(world), job_of(record(status="completed", submitter="")))

    def test_where_a_file_names_the_submitter_that_file_must_be_as_it_was_run(self, world: World) -> None:
        uid = world.ended(layout="a3", note__txt="one")
        (note,) = world.root.rglob("note.txt")
        note.write_text("two")
        answer = world.owner.scq("release", uid, "-r", "all", code=5)
        assert "no longer what was run" in answer.err
        assert "--copy-to" in answer.err

    def test_two_answers_at_once_are_not_mixed(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        uid = ended(world)
        ctx, real = context(world), Store.update

        def late(self: Store, change: Any) -> Any:
            monkeypatch.setattr(Store, "update", real)
            withhold_verb.run(context(world), uid, reason="no")
            return self.update(change)

        monkeypatch.setattr(Store, "update", late)
        with pytest.raises(BusyError, match="answered by another call"):
            release_verb.run(ctx, uid, reason="yes")
        assert world.owner.job(uid)["answer"]["reason"] == "no"

    def test_the_submitter_is_told_the_names_of_the_files_and_of_later_ones_again(self, world: World) -> None:
        uid = ended(world)
        world.owner.scq("check")
        world.owner.scq("release", uid, "--only", "answer.txt", "-r", "one")
        assert [event["kind"] for event in world.owner.json("check")["events"]] == ["outputs.released"]
        world.owner.scq("release", uid, "--only", "answer.txt", "-r", "the same")
        assert world.owner.json("check")["events"] == []
        world.owner.scq("release", uid, "-r", "more")
        assert [event["kind"] for event in world.owner.json("check")["events"]] == ["outputs.released"]
        rows = [row for row in world.owner.state()["outbox"].values() if row["kind"] == "outputs.released"]
        assert {row["recipient"] for row in rows} == {SCIENTIST}
        assert sorted(row["context"]["files"] for row in rows) == ["answer.txt", "answer.txt\ndeep/b.txt\nraw.csv"]


class TestWithhold:
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_what_was_released_is_taken_out_of_the_folder_and_may_be_released_again(self, world: World, layout: str) -> None:
        uid = ended(world, layout)
        world.owner.scq("release", uid, "--logs", "-r", "all")
        assert in_the_syftbox(world) == set(SECRETS)
        answer = world.owner.scq("withhold", uid, "-r", "a mistake")
        assert "cannot be called back" in answer.out
        assert in_the_syftbox(world) == set()
        assert readable(world) == set()
        assert "hello" not in "".join(world.scientist.json("logs", uid)["logs"].values())
        assert world.owner.job(uid)["results"] == {"outputs": "withheld", "logs": "withheld"}
        assert world.scientist.job(uid)["status"] == "completed"
        world.owner.scq("release", uid, "--only", "deep/*", "-r", "only this")
        assert in_the_syftbox(world) == {"b.txt"}

    def test_the_submitter_is_told_once_with_the_reason(self, world: World) -> None:
        uid = world.ended(script=SCRIPT)
        world.owner.scq("check")
        world.owner.scq("withhold", uid, "-r", "groups are too small")
        assert [event["kind"] for event in world.owner.json("check")["events"]] == ["results.withheld"]
        assert world.owner.json("check")["events"] == []
        (row,) = [row for row in world.owner.state()["outbox"].values() if row["kind"] == "results.withheld"]
        assert (row["recipient"], row["context"]["reason"]) == (SCIENTIST, "groups are too small")
        assert [row["detail"] for row in releases(world, "withhold")] == ["groups are too small"]
        world.owner.scq("notify")
        mails = "".join(path.read_text() for path in (world.owner.home / "mailbox").rglob("*") if path.is_file())
        assert "The results of your job are not released." in mails

    def test_an_answer_before_the_first_look_at_the_end_is_told_with_it(self, world: World) -> None:
        uid = world.ended(script=SCRIPT)
        world.owner.scq("withhold", uid, "-r", "no")
        assert [event["kind"] for event in world.owner.json("check")["events"]] == ["job.completed", "results.withheld"]

    def test_a_dry_run_says_so_and_a_reason_is_needed(self, world: World) -> None:
        uid = world.ended(script=SCRIPT)
        assert world.owner.scq("withhold", uid, "-r", "no", "--dry-run").out.startswith("would withhold the results of ")
        assert world.owner.job(uid)["answer"] is None
        assert "with a reason" in world.owner.scq("withhold", uid, code=2).err

    def test_results_of_other_software_are_not_ours_to_withhold(self, world: World) -> None:
        uid = forgotten(world)
        assert "was not run here" in world.owner.scq("withhold", uid, "-r", "no", code=2).err

    def test_only_the_owner_withholds(self, world: World) -> None:
        uid = world.ended(script=SCRIPT)
        assert f"belongs to {OWNER}" in world.scientist.scq("withhold", uid, "-r", "no", code=2).err


def forgotten(world: World) -> str:
    """A finished job of which the owner's scq remembers nothing, as if other software had run it."""
    world.ended(script=SCRIPT, name="elsewhere")
    for path in world.owner.home.glob("state.json*"):
        path.unlink()
    (job,) = world.owner.json("list")["jobs"]
    return str(job["id"])


class TestShare:
    @pytest.mark.parametrize(
        ("options", "outputs", "logs", "said"),
        [
            ((), "released", "released", "outputs and logs"),
            (("--outputs",), "released", "withheld", "outputs"),
            (("--logs",), "withheld", "released", "logs"),
        ],
    )
    def test_what_is_named_is_shared(self, world: World, options: tuple[str, ...], outputs: str, logs: str, said: str) -> None:
        uid = world.ended(script=SCRIPT)
        assert f"shared {said} of {uid[:8]}  count with {SCIENTIST}" in world.owner.scq("share", uid, *options).out
        assert world.owner.job(uid)["results"] == {"outputs": outputs, "logs": logs}

    def test_sharing_adds_up(self, world: World) -> None:
        uid = ended(world)
        world.owner.scq("share", uid, "--logs")
        assert world.owner.json("share", uid, "--outputs")["results"] == {"outputs": "released", "logs": "released"}
        assert "hello\n" in "".join(world.scientist.json("logs", uid)["logs"].values())

    def test_a_dry_run_shares_nothing(self, world: World) -> None:
        uid = world.ended(script=SCRIPT)
        assert world.owner.scq("share", uid, "--dry-run").out.startswith("would share")
        assert world.owner.job(uid)["results"] == {"outputs": "withheld", "logs": "withheld"}

    def test_a_job_without_results_can_be_shared_all_the_same(self, world: World) -> None:
        uid = world.ended()
        assert world.owner.json("share", uid, "--outputs")["answer"]["files"] == []
        assert world.owner.job(uid)["results"]["outputs"] == "released"

    def test_results_of_other_software_are_shared_where_they_lie_and_only_as_a_whole(self, world: World) -> None:
        uid = forgotten(world)
        answer = world.owner.scq("release", uid, "--only", "answer.txt", "-r", "one", code=2)
        assert "was not run here" in answer.err
        data = world.owner.json("share", uid, "--outputs")
        assert (data["results"]["outputs"], data["answer"]) == ("released", None)
        assert any("output" in pattern for pattern in readable(world))
        assert [row["detail"] for row in releases(world, "share")] == ["outputs"]

    def test_a_folder_that_cannot_be_written_is_told(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        uid = world.ended()

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device", "syft.pub.yaml")

        monkeypatch.setattr("scq.layouts.inbox_review.InboxReview.share", full)
        assert "No space left" in world.owner.scq("share", uid, code=1).err

    def test_a_job_that_is_not_over_is_not_shared(self, world: World) -> None:
        with pytest.raises(UsageError, match="is pending"):
            share_verb.run(context(world), world.submit())


def test_running_again_forgets_the_answer_to_the_run_before(world: World) -> None:
    uid = ended(world)
    world.owner.scq("release", uid, "-r", "all")
    world.owner.scq("rerun", uid)
    assert in_the_syftbox(world) == set()
    assert world.owner.job(uid)["answer"] is None
    assert not list((world.owner.home / "runs").rglob("released"))
    world.owner.scq("run-approved")
    assert world.owner.job(uid)["answer"] is None


def test_an_answer_survives_in_the_store_as_it_was_given(world: World) -> None:
    uid = ended(world)
    world.owner.scq("release", uid, "--only", "answer.txt", "-r", "one")
    (kept,) = json.loads((world.owner.home / "state.json").read_text())["jobs"].values()
    assert kept["answer"]["files"] == [{"path": "answer.txt", "size": 3, "sha256": sha256("42\n")}]


def test_a_file_of_the_job_that_is_called_like_a_log_is_not_taken_for_one(world: World) -> None:
    uid = world.ended(script="mkdir -p outputs\necho said\necho mine > outputs/stdout.txt\n")
    world.owner.scq("release", uid, "-r", "outputs alone")
    (left,) = Path(world.root).rglob("outputs/stdout.txt")
    assert left.read_text() == "mine\n"
    world.owner.scq("release", uid, "--logs", "-r", "both")
    assert left.read_text() == "mine\n"
    assert world.scientist.json("logs", uid)["logs"]["stdout"] == "said\n"


def test_results_that_were_shown_are_answered_only_while_they_are_the_same(world: World) -> None:
    uid = ended(world)
    shown = world.owner.job(uid)["revision"]
    world.owner.scq("rerun", uid)
    world.owner.scq("run-approved")
    with pytest.raises(BusyError, match="changed since it was shown"):
        release_verb.run(context(world), uid, reason="counts", seen=shown)
    with pytest.raises(BusyError, match="changed since it was shown"):
        withhold_verb.run(context(world), uid, reason="too few", seen=shown)
    assert in_the_syftbox(world) == set()
    now = world.owner.job(uid)["revision"]
    assert release_verb.run(context(world), uid, reason="counts", seen=now).exit_code == 0
    with pytest.raises(BusyError):
        release_verb.run(context(world), uid, logs=True, reason="and logs", seen=now)
    assert len(releases(world)) == 1
