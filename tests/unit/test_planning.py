"""What runs next, and how."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from scq.model import Bounds, DataFolder, Limits
from scq.planning import choose, command, concerns, exceeding, job_environment, label, limits, shape
from scq.state import Record
from scq.view import job_of
from tests.making import ME, NOW, THEM, decision, record, sighting


def approved(name: str, hours: int = 1, **fields: Any) -> Record:
    return record("approved", "approved", name, decision=decision(), submitted_at=NOW - timedelta(hours=hours), **fields)


def chosen(records: dict[str, Record], **options: Any) -> list[str]:
    return choose(records, ME, **({"only": (), "skip": (), "max_jobs": None} | options))


def test_the_oldest_submission_runs_first() -> None:
    assert chosen({"a": approved("aaaa", 1), "b": approved("bbbb", 3), "c": approved("cccc", 2)}) == ["b", "c", "a"]


def test_a_submission_from_the_future_counts_from_when_it_was_first_seen() -> None:
    future = approved("aaaa", -1000)
    assert chosen({"future": future, "old": approved("bbbb", 3), "new": approved("cccc", 0)}) == ["old", "future", "new"]


def test_only_what_the_ledger_allows_is_chosen() -> None:
    records = {
        "no decision": record("approved", "approved", "aaaa"),
        "pending": record("approved", "pending", "bbbb", decision=decision()),
        "foreign": approved("cccc", owner=THEM),
        "invalid": approved("dddd", invalid=("no",)),
        "gone": approved("eeee", missing_since=NOW),
    }
    assert chosen(records) == []


def test_only_skip_and_max_narrow_the_choice() -> None:
    records = {"a": approved("aaaa", 3), "b": approved("bbbb", 2), "c": approved("cccc", 1)}
    assert chosen(records, max_jobs=2) == ["a", "b"]
    assert chosen(records, skip=("aaaa", f"{THEM}/bbbb")) == ["c"]
    assert chosen(records, only=("bbbb-0000-0000",)) == ["b"]
    assert chosen(records, only=("bbbb-",), skip=("bbbb",)) == []
    assert chosen(records, only=("bb",)) == []


def test_a_job_gets_the_documented_variables_and_nothing_else() -> None:
    job = job_of(record())
    plain = job_environment(job, "/box", ME, "/run/work", "/usr/bin")
    assert plain == {
        "HOME": "/run/work",
        "LANG": "C.UTF-8",
        "PATH": "/usr/bin",
        "PYTHONUNBUFFERED": "1",
        "SYFTBOX_EMAIL": ME,
        "SYFTBOX_FOLDER": "/box",
        "SYFT_IS_IN_JOB": "true",
    }
    queued = job_environment(job_of(record(layout="a3")), "/box", ME, "/run/work", "/usr/bin")
    assert {key: queued[key] for key in queued.keys() - plain.keys()} == {
        "CODE_DIR": "/run/work/code",
        "OUTPUT_DIR": "/run/work/output",
        "JOB_ID": job.id,
        "JOB_NAME": "count",
    }


@pytest.mark.parametrize(
    ("layout", "first", "expected"),
    [("a3", b"#!", ("./run.sh",)), ("a3", b"ec", ("bash", "./run.sh")), ("c1", b"#!", ("bash", "./run.sh"))],
)
def test_the_script_is_started_as_its_generation_expects(layout: str, first: bytes, expected: tuple[str, ...]) -> None:
    assert command(sighting(layout=layout), first) == expected


def test_every_generation_has_a_shape() -> None:
    assert {layout: shape(sighting(layout=layout)).outputs for layout in ("a0", "b2", "c0")} == {
        "a0": ("output",),
        "b2": ("outputs",),
        "c0": ("code/outputs", "outputs"),
    }


CONFIGURED = Limits(wall_s=600.0, memory=4096, processes=10)


@pytest.mark.parametrize(("asked", "granted"), [(None, 600.0), (60, 60.0), (86400, 600.0)])
def test_a_submission_may_ask_for_less_but_not_for_more(asked: int | None, granted: float) -> None:
    assert limits(CONFIGURED, Limits(wall_s=asked), Bounds()) == replace(CONFIGURED, wall_s=granted)


def test_the_owners_word_for_one_job_replaces_what_is_configured_and_not_what_the_job_asks_for() -> None:
    bounds = Bounds(timeout_s=3600.0, memory=1024)
    assert limits(CONFIGURED, Limits(), bounds) == Limits(wall_s=3600.0, memory=1024, processes=10)
    assert limits(CONFIGURED, Limits(wall_s=60.0, memory=9999), bounds) == Limits(wall_s=60.0, memory=1024, processes=10)


def test_what_a_job_asks_for_in_vain_is_named() -> None:
    asked = Limits(wall_s=60.0, memory=9999, cpu_s=5.0)
    assert exceeding(asked, limits(CONFIGURED, asked, Bounds())) == ("memory",)


@pytest.mark.parametrize(
    ("folder", "fits"),
    [
        (DataFolder("/d", "/data/d"), True),
        (DataFolder("/d", "/data/d", submitters=(THEM,)), True),
        (DataFolder("/d", "/data/d", submitters=(ME,)), False),
        (DataFolder("/d", "/data/d", tags=("heart", "lung")), True),
        (DataFolder("/d", "/data/d", tags=("lung",)), False),
        (DataFolder("/d", "/data/d", submitters=(THEM,), tags=("lung",)), False),
    ],
)
def test_data_is_shown_to_the_submitters_and_tags_it_is_meant_for(folder: DataFolder, fits: bool) -> None:
    assert concerns(folder, sighting(tags=("heart",))) is fits


def test_streamed_lines_name_submitter_and_job() -> None:
    assert label(job_of(record())) == f"{THEM}][count"
    assert len(label(job_of(record(name="x" * 300)))) < 100
