"""scq logs, output, share, wait, rerun: what came of a job."""

from __future__ import annotations

import json
import os

import pytest
from msgspec.structs import replace

from scq.commands import rerun as rerun_verb
from scq.commands import wait as wait_verb
from scq.config_values import Config
from scq.context import Context
from scq.errors import UsageError
from tests.making import run
from tests.people import OWNER, World

SPOKEN = "mkdir -p outputs/deep\necho hello\necho oops >&2\necho 42 > outputs/answer.txt\necho 1 > outputs/deep/b.txt\n"
LAYOUTS = ["a3", "b2", "c0"]


def context(world: World) -> Context:
    return Context(Config(email=OWNER, root=str(world.root)), str(world.owner.home), env={})


class TestLogs:
    def test_both_streams_are_shown_under_their_names(self, world: World) -> None:
        uid = world.ended(script=SPOKEN)
        assert world.owner.scq("logs", uid).out == "── stdout\nhello\n── stderr\noops\n"

    @pytest.mark.parametrize(("option", "text"), [("--stdout", "hello\n"), ("--stderr", "oops\n")])
    def test_one_stream_is_shown_alone(self, world: World, option: str, text: str) -> None:
        uid = world.ended(script=SPOKEN)
        assert world.owner.scq("logs", uid, option).out == text
        assert world.owner.json("logs", uid, option)["logs"] == {option[2:]: text}

    def test_an_empty_stream_has_no_line_of_its_own(self, world: World) -> None:
        uid = world.ended(script="echo hello\n")
        assert world.owner.scq("logs", uid).out == "── stdout\nhello\n── stderr\n"
        assert world.owner.scq("logs", uid, "--stderr").out == ""

    def test_a_job_that_never_ran_has_none(self, world: World) -> None:
        uid = world.submit()
        assert f"{uid[:8]} has no logs" in world.owner.scq("logs", uid, code=2).err
        uid = world.submit("old", layout="a3")
        assert "has no logs" in world.owner.scq("logs", uid, code=2).err

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_a_submitter_reads_what_the_layout_published(self, world: World, layout: str) -> None:
        uid = world.ended(script="echo hello\n", layout=layout)
        assert "hello\n" not in "".join(world.scientist.json("logs", uid)["logs"].values())
        world.owner.scq("share", uid, "--logs")
        assert "hello\n" in "".join(world.scientist.json("logs", uid)["logs"].values())

    def test_a_status_folder_without_a_log_file_has_it_in_its_metadata(self, world: World) -> None:
        uid = world.ended(layout="a3")
        place = world.place(uid)
        for path in [*place.rglob("*.log"), *place.rglob("std*.txt")]:
            path.unlink()
        metadata = place / "metadata.json"
        facts = json.loads(metadata.read_text())
        metadata.write_text(json.dumps(facts | {"logs": "kept inside\n"}))
        assert world.scientist.json("logs", uid)["logs"] == {"execution": "kept inside\n"}
        metadata.write_text(json.dumps(facts | {"logs": 5}))
        assert "has no logs" in world.scientist.scq("logs", uid, code=2).err
        metadata.unlink()
        assert "has no logs" in world.scientist.scq("logs", uid, code=2).err

    def test_what_a_job_prints_cannot_touch_the_terminal(self, world: World) -> None:
        uid = world.ended(script="printf 'a\\033[2Jb\\377\\n'\n")
        assert "a�[2Jb�" in world.owner.scq("logs", uid).out


class TestOutput:
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_result_files_are_listed_and_copied(self, world: World, layout: str) -> None:
        script = SPOKEN.replace("outputs", '"${OUTPUT_DIR:-outputs}"')
        uid = world.ended(script=script, layout=layout)
        data = world.owner.json("output", uid)
        assert [(row["path"], row["size"]) for row in data["outputs"]] == [("answer.txt", 3), ("deep/b.txt", 2)]
        assert data["copied_to"] is None
        target = world.folder / "new" / "results"
        copied = world.owner.json("output", uid, "--copy-to", str(target))
        assert copied["copied_to"] == str(target)
        assert (target / "deep/b.txt").read_text() == "1\n"

    def test_people_read_sizes_and_names(self, world: World) -> None:
        uid = world.ended(script=SPOKEN)
        target = world.folder / "results"
        text = world.owner.scq("output", uid, "--copy-to", str(target)).out
        first, second, advice, copied = text.splitlines()
        assert first.startswith("      3 B  held      answer.txt")
        assert second.startswith("      2 B  held      deep/b.txt")
        assert advice == f"held until you answer: scq release {uid[:8]} -r REASON, or scq withhold {uid[:8]} -r REASON"
        assert copied == f"copied to {target}"

    def test_the_owner_sees_what_is_in_the_files_and_what_to_look_at(self, world: World) -> None:
        uid = world.ended(script="mkdir -p outputs\nprintf 'name,mail\\nJane,jane.doe@hospital.org\\n' > outputs/people.csv\n")
        (row,) = world.owner.json("output", uid)["outputs"]
        assert (row["kind"], row["released"]) == ("csv", False)
        assert "email" in [hint["rule"] for hint in row["findings"]]
        text = world.owner.scq("output", uid).out
        assert "! email: " in text
        assert "Jane" not in text
        assert "| Jane," in world.owner.scq("output", uid, "-p").out

    def test_one_file_is_shown_with_its_beginning(self, world: World) -> None:
        uid = world.ended(script=SPOKEN)
        text = world.owner.scq("output", uid, "--file", "deep/b.txt").out
        assert "deep/b.txt" in text
        assert "| 1\n" in text
        assert "answer.txt" not in text
        missing = world.owner.scq("output", uid, "--file", "b.txt", code=2)
        assert "There are: answer.txt, deep/b.txt." in missing.err

    def test_what_was_released_is_told_apart_and_the_answer_is_shown(self, world: World) -> None:
        uid = world.ended(script=SPOKEN)
        assert world.owner.json("output", uid)["answer"] is None
        world.owner.scq("release", uid, "--only", "answer.txt", "-r", "one number")
        data = world.owner.json("output", uid)
        assert {row["path"]: row["released"] for row in data["outputs"]} == {"answer.txt": True, "deep/b.txt": False}
        assert (data["answer"]["reason"], data["results"]["outputs"]) == ("one number", "released")
        text = world.owner.scq("output", uid).out
        assert "      3 B  released  answer.txt" in text
        assert "      2 B  held      deep/b.txt" in text
        assert text.splitlines()[-1].startswith("released (1 file) by ")
        assert text.endswith(": one number\n")
        world.owner.scq("withhold", uid, "-r", "sorry")
        assert world.owner.scq("output", uid).out.splitlines()[-1].startswith("withheld by ")

    def test_a_submitter_sees_only_what_left_without_a_look_inside(self, world: World) -> None:
        uid = world.ended(script=SPOKEN)
        assert world.scientist.scq("output", uid).out == "no result files (completed)\n"
        world.owner.scq("release", uid, "--only", "answer.txt", "-r", "one number")
        assert world.scientist.scq("output", uid).out == "      3 B  answer.txt\n"
        data = world.scientist.json("output", uid)
        assert [(row["path"], row["released"], row["kind"]) for row in data["outputs"]] == [("answer.txt", True, None)]
        assert not os.path.isabs(data["folder"])
        assert "no result file 'b.txt'" in world.scientist.scq("output", uid, "--file", "b.txt", code=2).err

    def test_why_results_wait_although_some_leave_by_themselves(self, world: World) -> None:
        world.owner.configure("sandbox: none\nauto_release:\n  types: [.csv]\n")
        uid = world.ended(script=SPOKEN)
        data = world.owner.json("output", uid)
        assert data["waits"] == "answer.txt is of none of the types .csv"
        assert "did not leave by itself: answer.txt is of none" in world.owner.scq("output", uid).out
        tidy = world.ended("tidy", "mkdir -p outputs\nprintf 'sex,n\\nf,12\\nm,11\\n' > outputs/counts.csv\n")
        assert world.owner.json("output", tidy)["answer"]["automatic"] is True
        assert [row["path"] for row in world.scientist.json("output", tidy)["outputs"]] == ["counts.csv"]
        assert "released (1 file) by itself by " in world.owner.scq("output", tidy).out

    def test_what_a_file_is_called_or_holds_cannot_touch_the_terminal(self, world: World) -> None:
        uid = world.ended(script="mkdir -p outputs\nprintf 'a\\033[2Jb\\n' > \"outputs/x$(printf '\\342\\200\\256').txt\"\n")
        text = world.owner.scq("output", uid, "--preview").out
        assert "x\ufffd.txt" in text
        assert "\x1b" not in text
        assert "\u202e" not in text

    def test_no_results_and_dry_runs_copy_nothing(self, world: World) -> None:
        uid, empty = world.ended(script=SPOKEN), world.ended("empty")
        target = world.folder / "results"
        assert world.owner.scq("output", empty, "--copy-to", str(target)).out == "no result files (completed)\n"
        world.owner.scq("output", uid, "--copy-to", str(target), "--dry-run")
        assert not target.exists()

    def test_a_folder_with_something_in_it_is_never_replaced(self, world: World) -> None:
        uid = world.ended(script=SPOKEN)
        target = world.folder / "results"
        target.mkdir()
        world.owner.scq("output", uid, "--copy-to", str(target))
        assert "is not empty" in world.owner.scq("output", uid, "--copy-to", str(target), code=2).err
        assert sorted(os.listdir(target)) == ["answer.txt", "deep"]

    def test_what_was_not_copied_is_told(self, world: World) -> None:
        uid = world.ended(script=SPOKEN)
        world.owner.configure("sandbox: none\nrun:\n  output_bytes: 4\n")
        answer = world.owner.scq("output", uid, "--copy-to", str(world.folder / "results"), code=2)
        assert "not everything was copied: deep/b.txt: more than 4 bytes in total" in answer.err

    @pytest.mark.parametrize("layout", ["a3", "b2"])
    def test_results_nobody_collected_are_named(self, world: World, layout: str) -> None:
        uid = world.ended(layout=layout)
        stray = world.place(uid) / "code" / "outputs"
        stray.mkdir(parents=True)
        (stray / "lost.txt").touch()
        data = world.owner.json("output", uid)
        assert data["outputs"] == []
        assert data["stray"] == [str((stray / "lost.txt").relative_to(world.root))]
        assert "not collected by its runner: " in world.owner.scq("output", uid).out


class TestWait:
    def test_a_job_that_is_over_ends_the_wait_at_once(self, world: World) -> None:
        good, bad = world.ended("good"), world.ended("bad", "exit 3\n")
        assert world.owner.scq("wait", good).out == f"{good[:8]}  completed  good\n"
        assert world.owner.scq("wait", bad, code=4).out.startswith(f"{bad[:8]}  failed  bad")

    def test_a_rejection_is_told_with_its_reason(self, world: World) -> None:
        uid = world.submit(layout="a3")
        world.owner.scq("reject", uid, "-r", "too broad")
        assert world.scientist.scq("wait", uid, code=4).out == f"{uid[:8]}  rejected  count: too broad\n"

    def test_time_runs_out(self, world: World) -> None:
        uid = world.submit()
        document = world.owner.scq("wait", uid, "--timeout", "0", "--json", code=75).json
        assert document["errors"] == [f"{uid[:8]} is still pending after 0 s"]
        assert document["data"]["status"] == "pending"

    def test_every_step_is_told_while_waiting(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        uid = world.submit()
        steps = iter([lambda: world.owner.scq("approve", uid), lambda: world.owner.scq("run-approved")])
        monkeypatch.setattr(wait_verb.time, "sleep", lambda _: next(steps)())
        told: list[str] = []
        wait_verb.run(context(world), uid, interval=1, progress=lambda job: told.append(job.status))
        assert told == ["approved"]

    def test_nobody_has_to_listen(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        uid = world.submit()
        monkeypatch.setattr(wait_verb.time, "sleep", lambda _: world.owner.scq("reject", uid))
        assert wait_verb.run(context(world), uid).exit_code == 4

    def test_progress_of_the_command_line_goes_to_stderr(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        uid = world.submit()
        steps = iter([lambda: world.owner.scq("approve", uid), lambda: world.owner.scq("run-approved")])
        monkeypatch.setattr(wait_verb.time, "sleep", lambda _: next(steps)())
        answer = world.scientist.scq("wait", uid)
        assert answer.err == f"{uid[:8]}  approved  count\n"
        assert answer.out == f"{uid[:8]}  completed  count\n"


class TestRerun:
    def test_a_failed_job_runs_once_more(self, world: World) -> None:
        uid = world.ended(script="exit 3\n")
        answer = world.owner.scq("rerun", uid)
        assert answer.out == f"approved again {uid[:8]}  count; scq run-approved runs it\n"
        world.owner.scq("run-approved", code=4)
        assert world.owner.job(uid)["run"]["attempt"] == 2

    def test_what_is_answered_is_the_job_as_it_is_afterwards(self, world: World) -> None:
        uid = world.ended()
        said, shown = world.owner.json("rerun", uid), world.owner.job(uid)
        assert [said[name] for name in ("status", "results", "revision")] == [
            shown[name] for name in ("status", "results", "revision")
        ]

    def test_a_dry_run_changes_nothing(self, world: World) -> None:
        uid = world.ended()
        data = world.owner.json("rerun", uid, "--dry-run")
        assert (data["status"], data["dry_run"]) == ("approved", True)
        assert world.owner.job(uid)["status"] == "completed"

    def test_what_was_never_approved_here_is_not_run_again(self, world: World) -> None:
        uid = world.ended()
        (world.owner.home / "state.json").unlink()
        (world.owner.home / "state.json.bak").unlink()
        assert "was not approved here" in world.owner.scq("rerun", uid, code=2).err

    def test_only_the_owner_and_only_what_is_over(self, world: World) -> None:
        uid = world.submit()
        assert "is pending" in world.owner.scq("rerun", uid, code=2).err
        assert f"belongs to {OWNER}" in world.scientist.scq("rerun", uid, code=2).err

    def test_content_that_changed_since_its_approval_is_refused(self, world: World) -> None:
        uid = world.ended(note__txt="one")
        (note,) = world.root.rglob("note.txt")
        note.write_text("two")
        assert "no longer what was approved" in world.owner.scq("rerun", uid, code=5).err
        assert world.owner.job(uid)["status"] == "completed"

    def test_a_job_that_was_started_meanwhile_is_left_alone(self, world: World) -> None:
        world.ended()
        ctx = context(world)
        (key,) = ctx.store.load().jobs
        state = ctx.store.load()
        busy = replace(state.jobs[key], run=run("claimed", cause=None))
        with pytest.raises(UsageError, match="is running"):
            rerun_verb._reopened(ctx, replace(state, jobs={key: busy}), key, state.jobs[key], "sha256:0")

    def test_a_folder_that_cannot_be_written_is_told(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        uid = world.ended()

        def gone(*_: object, **__: object) -> None:
            raise OSError(30, "Read-only file system", "done")

        monkeypatch.setattr("scq.layouts.inbox_review.InboxReview.reopen", gone)
        assert "Read-only" in world.owner.scq("rerun", uid, code=1).err
