"""What leaves of a run as it ends, what waits and why, and what a look into results finds."""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from scq.acting import current
from scq.config_values import AutoRelease, Config
from scq.context import Context
from scq.model import Answer, DataFolder, ReleasedFile
from scq.releasing import (
    FILES_PER_ROW,
    Leaving,
    at_end,
    audit_answer,
    described,
    ended,
    inspect_outputs,
    kept_outputs,
    known_data,
    objection,
)
from scq.state import State
from tests.making import ME, NOW, THEM, record, run, sighting
from tests.people import OWNER, World

ALLOWED = AutoRelease(types=(".csv", ".txt"), bytes=1_000, files=3)
ENDED = run("ended")
JOB = record("running", "running", run=ENDED)
SEEN = JOB.sighting


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    """An owner who lets small tables and texts leave by themselves."""
    (tmp_path / "root").mkdir()
    config = Config(email=ME, root=str(tmp_path / "root"), sandbox="none", auto_release=ALLOWED)
    return Context(config, str(tmp_path / "home"), env={}, now=lambda: NOW)


def but(ctx: Context, **settings: Any) -> Context:
    return Context(replace(ctx.config, **settings), ctx.home, env={}, now=lambda: NOW)


@pytest.fixture
def wrote(ctx: Context) -> Callable[..., Path]:
    """Call it with result files and their content; gives the folder of the run, which has logs too."""
    folder = Path(ctx.runs_folder(), ENDED.directory)

    def write(files: dict[str, bytes] | None = None, stdout: bytes = b"said\n") -> Path:
        for path, content in ({"counts.csv": b"sex,n\nf,12\nm,11\n"} if files is None else files).items():
            place = folder / "outputs" / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "stdout.txt").write_bytes(stdout)
        (folder / "stderr.txt").write_bytes(b"")
        return folder

    return write


def file(path: str, content: bytes) -> ReleasedFile:
    return ReleasedFile(path, len(content), sha256(content).hexdigest())


class TestAtTheEnd:
    def test_everything_is_held_where_nothing_was_said(self, ctx: Context, wrote: Callable[..., Path]) -> None:
        wrote()
        ctx = but(ctx, auto_release=AutoRelease())
        assert at_end(ctx, JOB, ENDED, SEEN) == Leaving(kept=True)
        after = ended(JOB, ENDED, Leaving(kept=True))
        assert (after.outputs, after.logs, after.answer, after.run) == ("withheld", "withheld", None, ENDED)
        assert ended(JOB, ENDED, Leaving()).outputs == "none", "there is nothing to wait for"

    @pytest.mark.parametrize(
        ("outputs", "logs", "names"),
        [
            (True, False, ["b/c.csv", "z.bin"]),
            (False, True, ["stdout.txt", "stderr.txt"]),
            (True, True, ["b/c.csv", "z.bin", "stdout.txt", "stderr.txt"]),
        ],
    )
    def test_what_the_owner_said_beforehand_leaves(
        self, ctx: Context, wrote: Callable[..., Path], outputs: bool, logs: bool, names: list[str]
    ) -> None:
        wrote({"z.bin": b"\0", "b/c.csv": b"1\n"})
        run_ = replace(ENDED, share_outputs=outputs, share_logs=logs)
        leaving = at_end(but(ctx, auto_release=AutoRelease()), JOB, run_, SEEN)
        assert leaving.answer is not None
        assert [left.path for left in leaving.answer.files] == names
        assert (leaving.answer.verdict, leaving.answer.by, leaving.answer.automatic) == ("released", ME, False)
        after = ended(JOB, run_, leaving)
        assert after.outputs == ("released" if outputs else "withheld")
        assert after.logs == ("released" if logs else "withheld")

    def test_what_fits_leaves_by_itself_and_logs_only_where_configured(self, ctx: Context, wrote: Callable[..., Path]) -> None:
        wrote()
        leaving = at_end(ctx, JOB, ENDED, SEEN)
        assert leaving.answer is not None
        assert leaving.answer.automatic
        assert (leaving.outputs, leaving.logs, leaving.waits) == (True, False, "")
        with_logs = at_end(but(ctx, auto_release=AutoRelease(types=(".csv",), logs=True)), JOB, ENDED, SEEN)
        assert with_logs.answer is not None
        assert [left.path for left in with_logs.answer.files] == ["counts.csv", "stdout.txt", "stderr.txt"]

    def test_what_does_not_fit_waits_and_says_why(self, ctx: Context, wrote: Callable[..., Path]) -> None:
        wrote({"model.pkl": b"x"})
        leaving = at_end(ctx, JOB, ENDED, SEEN)
        assert (leaving.answer, leaving.outputs, leaving.waits) == (None, False, "model.pkl is of none of the types .csv .txt")
        logs = at_end(ctx, JOB, replace(ENDED, share_logs=True), SEEN)
        assert (logs.outputs, logs.logs, logs.waits) == (False, True, leaving.waits)

    def test_nothing_leaves_to_nobody(self, ctx: Context, wrote: Callable[..., Path]) -> None:
        wrote()
        shared = replace(ENDED, share_outputs=True)
        assert at_end(ctx, JOB, shared, None) == Leaving(waits="the job is gone", kept=True)
        assert at_end(ctx, JOB, shared, replace(SEEN, submitter="")).answer is None

    def test_nothing_is_written(self, ctx: Context, wrote: Callable[..., Path]) -> None:
        folder = wrote()
        before = sorted(folder.rglob("*"))
        at_end(ctx, JOB, replace(ENDED, share_outputs=True, share_logs=True), SEEN)
        assert sorted(folder.rglob("*")) == before


class TestObjections:
    def test_small_results_without_findings_have_none(self, ctx: Context, wrote: Callable[..., Path]) -> None:
        wrote()
        assert objection(ctx, JOB, ENDED, SEEN) == ""

    def test_a_run_that_wrote_nothing_has_none(self, ctx: Context, wrote: Callable[..., Path]) -> None:
        wrote({})
        assert objection(ctx, JOB, ENDED, SEEN) == ""

    @pytest.mark.parametrize("fields", [{"exit_code": 1}, {"cause": "timeout"}, {"cause": "disk", "exit_code": 0}])
    def test_a_failed_run_waits(self, ctx: Context, wrote: Callable[..., Path], fields: dict[str, Any]) -> None:
        wrote()
        assert objection(ctx, JOB, replace(ENDED, **fields), SEEN) == "the job did not complete"

    @pytest.mark.parametrize(
        ("files", "said"),
        [
            ({f"{n}.csv": b"1\n" for n in range(4)}, "4 files, 3 are allowed"),
            ({"a.csv": b"1\n" * 501}, "1002 bytes, 1000 are allowed"),
            ({"a.csv": b"1\n", "b.csv.exe": b"1\n"}, "b.csv.exe is of none of the types"),
            ({"csv": b"1\n"}, "csv is of none of the types"),
            ({"people.csv": b"name,mail\nJane,jane.doe@hospital.org\n"}, "people.csv: email"),
            ({"a.csv": b"\x7fELF\x02\x01\x01" + bytes(64)}, "a.csv: "),
        ],
    )
    def test_what_is_too_much_of_another_type_or_striking_waits(
        self, ctx: Context, wrote: Callable[..., Path], files: dict[str, bytes], said: str
    ) -> None:
        wrote(files)
        assert objection(ctx, JOB, ENDED, SEEN).startswith(said)

    @pytest.mark.parametrize(
        "path",
        [
            "Jane Doe.csv",
            "a" * 61 + ".csv",
            "a/b/c/d.csv",
            ".hidden.csv",
            "a/.b/c.csv",
            "-x.csv",
            "größe.csv",
            "a\n.csv",
            "1984-02-29,female.csv",
            "a=b.csv",
        ],
    )
    def test_a_name_that_could_carry_data_waits(self, ctx: Context, wrote: Callable[..., Path], path: str) -> None:
        wrote({path: b"a,b\n1,2\n"})
        said = objection(ctx, JOB, ENDED, SEEN)
        assert said.endswith("has a name that somebody has to look at first")
        assert "\n" not in said

    def test_a_plain_name_in_folders_has_no_objection(self, ctx: Context, wrote: Callable[..., Path]) -> None:
        wrote({"2024/by-age_v1.0/" + "a" * 60 + ".csv": b"a,b\n1,2\n"})
        assert objection(ctx, JOB, ENDED, SEEN) == ""

    def test_a_plain_name_with_known_or_personal_data_waits(
        self, ctx: Context, wrote: Callable[..., Path], tmp_path: Path
    ) -> None:
        (tmp_path / "patients.csv").write_bytes(b"name,code\nJane Doe Rudolfstrasse twelve,x\n")
        declared = but(ctx, data=(DataFolder(str(tmp_path / "patients.csv"), "/data"),))
        folder = wrote({"jane_doe_rudolfstrasse_twelve.csv": b"a,b\n1,2\n"})
        assert objection(ctx, JOB, ENDED, SEEN) == ""
        assert objection(declared, JOB, ENDED, SEEN) == "jane_doe_rudolfstrasse_twelve.csv: copied"
        (folder / "outputs" / "jane_doe_rudolfstrasse_twelve.csv").rename(folder / "outputs" / "of_212-555-0147.csv")
        assert objection(declared, JOB, ENDED, SEEN) == "of_212-555-0147.csv: phone"

    def test_types_are_compared_without_case(self, ctx: Context, wrote: Callable[..., Path]) -> None:
        wrote({"A.CSV": b"a,b\n1,2\n"})
        assert objection(ctx, JOB, ENDED, SEEN) == ""

    def test_a_file_that_is_only_looked_into_in_part_waits(self, ctx: Context, wrote: Callable[..., Path]) -> None:
        wrote({"a.csv": b"1\n"})
        os.truncate(Path(ctx.runs_folder(), ENDED.directory, "outputs", "a.csv"), (4 << 20) + 1)
        roomy = but(ctx, auto_release=AutoRelease(types=(".csv",), bytes=1 << 30))
        assert objection(roomy, JOB, ENDED, SEEN) == "a.csv is too large to be looked through"

    def test_logs_are_looked_into_where_they_would_leave(self, ctx: Context, wrote: Callable[..., Path]) -> None:
        wrote(stdout=b"jane.doe@hospital.org\n")
        assert objection(ctx, JOB, ENDED, SEEN) == ""
        with_logs = but(ctx, auto_release=replace(ALLOWED, logs=True))
        assert objection(with_logs, JOB, ENDED, SEEN) == "(logs)/stdout.txt: email"

    def test_copies_of_declared_data_wait(self, ctx: Context, wrote: Callable[..., Path], tmp_path: Path) -> None:
        row = b"1984-02-29,female,Rudolfstrasse 12,diabetes mellitus type 2,insulin glargine"
        data = tmp_path / "data" / "deep"
        data.mkdir(parents=True)
        (data / "patients.csv").write_bytes(b"born,sex,street,diagnosis,drug\n" + row + b"\n")
        wrote({"sample.txt": row + b"\n"})
        assert objection(ctx, JOB, ENDED, SEEN) == ""
        declared = but(ctx, data=(DataFolder(str(tmp_path / "data"), "/data"),))
        assert objection(declared, JOB, ENDED, SEEN) == "sample.txt: copied"
        elsewhere = but(ctx, data=(DataFolder(str(tmp_path / "data"), "/data", submitters=("other@example.org",)),))
        assert objection(elsewhere, JOB, ENDED, SEEN) == ""

    def test_data_that_cannot_be_compared_waits(self, ctx: Context, wrote: Callable[..., Path], tmp_path: Path) -> None:
        wrote()
        gone = but(ctx, data=(DataFolder(str(tmp_path / "gone"), "/data"),))
        assert "was not compared with the results" in objection(gone, JOB, ENDED, SEEN)

    def test_a_submission_that_may_name_somebody_else_by_now_waits(self, tmp_path: Path) -> None:
        world = World(tmp_path)
        uid = world.ended(script='echo "a,b" > "$OUTPUT_DIR/a.csv"\n', layout="a3")
        config = Config(email=OWNER, root=str(world.root), sandbox="none", auto_release=ALLOWED)
        here = Context(config, str(world.owner.home), env={})
        (job,) = here.store.load().jobs.values()
        seen = current(here, job)
        assert job.id == uid
        assert job.run is not None
        assert seen is not None
        assert objection(here, job, job.run, seen) == ""
        (world.place(uid) / "code" / "more.txt").write_text("edited")
        assert "no longer what was run" in objection(here, job, job.run, seen)


class TestLooking:
    def test_kept_outputs_are_plain_files_in_order(self, ctx: Context, wrote: Callable[..., Path]) -> None:
        folder = wrote({"b.csv": b"12", "a/c.csv": b"1", "z": b""})
        (folder / "outputs" / "link").symlink_to(folder / "stdout.txt")
        os.mkfifo(folder / "outputs" / "pipe")
        assert kept_outputs(ctx, ENDED) == [("a/c.csv", 1), ("b.csv", 2), ("z", 0)]
        assert kept_outputs(ctx, run(directory="none")) == []

    def test_files_are_described_by_size_and_digest_logs_last(self, ctx: Context, wrote: Callable[..., Path]) -> None:
        folder = wrote({"stdout.txt": b"mine", "a": b""})
        (folder / "stderr.txt").unlink()
        files = described(ctx, ENDED, ["stdout.txt", "a"], logs=True)
        assert files == (file("a", b""), file("stdout.txt", b"mine"), file("stdout.txt", b"said\n"), file("stderr.txt", b""))

    def test_every_result_is_looked_into_and_what_cannot_be_read_is_told(
        self, ctx: Context, wrote: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = wrote({"a.csv": b"x,y\n1,2\n", "b.txt": b"words\n"})
        found, problems = inspect_outputs(ctx, JOB)
        assert ({path: one.kind for path, one in found.items()}, problems) == ({"a.csv": "csv", "b.txt": "text"}, ())
        real = kept_outputs(ctx, ENDED)
        (folder / "outputs" / "b.txt").unlink()
        monkeypatch.setattr("scq.releasing.kept_outputs", lambda *_: real)
        found, (problem,) = inspect_outputs(ctx, JOB)
        assert (list(found), problem.where) == (["a.csv"], "b.txt")
        monkeypatch.setattr("scq.releasing.MOST_INSPECTED", 1)
        found, (problem,) = inspect_outputs(ctx, JOB)
        assert (list(found), problem.what) == (["a.csv"], "only 1 of 2 result files were looked into")

    def test_a_job_that_ran_elsewhere_has_nothing_kept(self, ctx: Context) -> None:
        assert inspect_outputs(ctx, record()) == ({}, ())

    def test_data_is_read_up_to_a_limit_and_never_through_links(
        self, ctx: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        long = b"a line that is long enough to be recognised again\n"
        data = tmp_path / "data"
        data.mkdir()
        (tmp_path / "secret").write_bytes(long.upper().replace(b"LONG", b"secret"))
        (data / "link").symlink_to(tmp_path / "secret")
        os.mkfifo(data / "pipe")
        (data / "one").write_bytes(long)
        (tmp_path / "single").write_bytes(long)
        places = (DataFolder(str(data), "/data"), DataFolder(str(tmp_path / "single"), "/single"))
        known, problems = known_data(but(ctx, data=places), SEEN)
        assert (len(known.hashes), problems) == (1, [])
        monkeypatch.setattr("scq.releasing.DATA_BYTES", 4)
        known, (problem,) = known_data(but(ctx, data=places), SEEN)
        assert (len(known.hashes), problem.where) == (0, str(data / "one"))

    def test_tags_and_submitters_of_the_data_decide_what_is_compared(self, ctx: Context, tmp_path: Path) -> None:
        (tmp_path / "one").write_bytes(b"a line that is long enough to be recognised again\n")
        tagged = but(ctx, data=(DataFolder(str(tmp_path / "one"), "/one", tags=("heart",), submitters=(THEM,)),))
        assert len(known_data(tagged, SEEN)[0].hashes) == 0
        assert len(known_data(tagged, sighting(tags=("heart",)))[0].hashes) == 1


class TestAudit:
    @pytest.mark.parametrize(("count", "rows"), [(0, 1), (1, 1), (FILES_PER_ROW, 1), (FILES_PER_ROW + 1, 2), (120, 3)])
    def test_every_file_is_in_some_row_by_its_digest(self, ctx: Context, count: int, rows: int) -> None:
        files = tuple(file(f"part {n}.csv", str(n).encode()) for n in range(count))
        answered = replace(JOB, answer=Answer("released", ME, NOW, "agreed", files))
        state = audit_answer(ctx, State(), "key", answered)
        assert [(row.what, row.by, row.job, row.digest) for row in state.audit] == [
            ("release", ME, JOB.id, ENDED.digest),
        ] * rows
        lines = [line for row in state.audit for line in row.detail.splitlines()[1:]]
        assert lines == [f"{one.sha256} {one.path}" for one in files]
        assert {row.detail.splitlines()[0] for row in state.audit} == {"agreed"}

    def test_what_left_by_itself_and_what_stayed_says_so(self, ctx: Context) -> None:
        automatic = replace(JOB, answer=Answer("released", ME, NOW, automatic=True))
        assert [row.detail for row in audit_answer(ctx, State(), "key", automatic).audit] == ["automatic"]
        withheld = replace(JOB, answer=Answer("withheld", ME, NOW, "too small"))
        (row,) = audit_answer(ctx, State(), "key", withheld).audit
        assert (row.what, row.detail) == ("withhold", "too small")
        assert audit_answer(ctx, State(), "key", JOB) == State()
        shared = replace(JOB, answer=Answer("released", ME, NOW))
        assert [row.detail for row in audit_answer(ctx, State(), "key", shared).audit] == ["shared"]

    def test_the_name_of_a_file_cannot_add_a_line_to_the_log(self, ctx: Context) -> None:
        odd = replace(JOB, answer=Answer("released", ME, NOW, "agreed", (file("a\u2028b.csv", b""),)))
        (row,) = audit_answer(ctx, State(), "key", odd).audit
        assert row.detail.splitlines()[1:] == [f"{sha256(b'').hexdigest()} a\\u2028b.csv"]
