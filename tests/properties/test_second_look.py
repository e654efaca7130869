"""Looking: a second look is silent, no two jobs share an id, and what could not be read has not vanished."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.people import OWNER, SCIENTIST
from tests.properties.place import MIXED, Place

FATES = ("waits", "approved", "rejected", "done", "done and shared", "done and reopened")
FEW = settings(max_examples=10, derandomize=True, deadline=None)


class Planned(NamedTuple):
    """A job to be made: its name, its generation, how far it comes, and whether it is announced before that."""

    name: str
    generation: str
    fate: str
    seen: bool


PLANS = st.lists(
    st.builds(Planned, st.sampled_from(["one", "two", "three"]), st.sampled_from(MIXED), st.sampled_from(FATES), st.booleans()),
    min_size=1,
    max_size=4,
    unique_by=lambda plan: (plan.name, plan.generation),
)


def made(folder: str, plans: list[Planned]) -> Place:
    """A place with these jobs; names are told apart by the generation, so that words on the command line are."""
    place = Place(Path(folder))
    for plan in plans:
        name = f"{plan.name}-{plan.generation}"
        place.submit(name, plan.generation)
        if plan.seen:
            place.owner.scq("check")
        if plan.fate == "rejected":
            place.owner.scq("reject", name)
        elif plan.fate != "waits":
            place.owner.scq("approve", name)
        if plan.fate.startswith("done"):
            place.owner.scq("run-approved", "--job", name)
        if plan.fate == "done and shared":
            place.owner.scq("share", name)
        if plan.fate == "done and reopened":
            place.owner.scq("rerun", name)
    return place


def is_silent(place: Place, *words: str) -> None:
    answer = place.owner.scq("check", *words)
    assert (answer.out, answer.err) == ("", "")
    data = place.owner.json("check", *words)
    assert (data["new_jobs"], data["changed_jobs"], data["events"]) == ([], [], [])


@FEW
@given(PLANS)
def test_a_second_look_is_silent_whatever_there_is_to_see(plans: list[Planned]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = made(folder, plans)
        place.owner.scq("check")
        is_silent(place)
        is_silent(place, "--full")
        outbox = place.owner.state().get("outbox")
        is_silent(place)
        assert place.owner.state().get("outbox") == outbox


@FEW
@given(PLANS, st.booleans())
def test_no_two_jobs_share_an_id_and_an_id_stays(plans: list[Planned], copied: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = made(folder, plans)
        if copied:
            # The same names, and the same uids, once more: from another person, or in somebody else's datasite.
            for source in (place.root / "datasites" / OWNER, place.root / OWNER):
                shutil.copytree(source, Path(str(source).replace(OWNER, SCIENTIST)), dirs_exist_ok=True)
        ids = [job["id"] for job in place.owner.json("list")["jobs"]]
        assert len(ids) == len(set(ids)) >= len(plans)
        place.owner.scq("check")
        assert [job["id"] for job in place.owner.json("list")["jobs"]] == ids
        place.owner.scq("check", "--full")
        assert [job["id"] for job in place.owner.json("list")["jobs"]] == ids


@FEW
@given(PLANS.filter(lambda plans: len(plans) > 1), st.sampled_from(["away", "empty", "a file"]), st.booleans())
def test_a_syftbox_that_is_not_there_has_lost_no_job(plans: list[Planned], how: str, full: bool) -> None:
    words = ["--full"] if full else []
    with tempfile.TemporaryDirectory() as folder:
        place = made(folder, plans)
        place.owner.scq("check", "--full")
        before = place.owner.json("list")["jobs"]
        aside = place.root.with_name("aside")
        place.root.rename(aside)
        if how == "empty":
            place.root.mkdir()
        elif how == "a file":
            place.root.write_text("")
        answer = place.owner.scq("check", *words, "--json", code=None)
        assert answer.json["data"]["events"] == []
        assert answer.code == (0 if how == "empty" else 75)
        if how == "empty":
            place.root.rmdir()
        elif how == "a file":
            place.root.unlink()
        aside.rename(place.root)
        is_silent(place)
        assert place.owner.json("list")["jobs"] == before


@FEW
@given(PLANS, st.integers(1, 7), st.integers(0, 6), st.sampled_from(["scandir", "lstat"]), st.booleans())
def test_what_cannot_be_read_for_a_while_has_not_vanished(
    plans: list[Planned], every: int, offset: int, function: str, full: bool
) -> None:
    words = ["--full"] if full else []
    with tempfile.TemporaryDirectory() as folder:
        place = made(folder, plans)
        place.owner.scq("check", "--full")
        before = place.owner.json("list")["jobs"]
        with mock.patch.object(os, function, sometimes(getattr(os, function), every, offset, str(place.root))):
            answer = place.owner.scq("check", *words, "--json", code=None)
        assert "job.vanished" not in {event["kind"] for event in answer.json["data"]["events"]}
        place.owner.scq("check", "--full")
        is_silent(place)
        after = place.owner.json("list")["jobs"]
        assert [(job["id"], job["status"]) for job in after] == [(job["id"], job["status"]) for job in before]


def sometimes(function: Callable[..., Any], every: int, offset: int, below: str) -> Callable[..., Any]:
    """A function that fails with EIO at each so many-th of its calls for paths below a folder, but not for the folder itself."""
    count = 0

    def perhaps(path: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal count
        if isinstance(path, str) and path.startswith(f"{below}/"):
            count += 1
            if count % every == offset % every:
                raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return function(path, *arguments, **options)

    return perhaps
