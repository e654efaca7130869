"""A job on Drive and its copy in the SyftBox folder are one job, told once; a message alone decides nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from scq.joining import arrived, brought, flagged, in_folders, joined, known_before
from scq.model import JobRef, Peer, Sighting
from scq.state import Record
from tests.making import ME, NOW, THEM, record, sighting

LATER = NOW + timedelta(hours=2)


def remote(name: str = "count", *messages: str, **fields: Any) -> Sighting:
    return sighting(name=name, where="drive", messages=messages or ("m1",), owner_only=False, **fields)


def waiting(name: str = "count", *messages: str, **fields: Any) -> Record:
    shown = remote(name, *messages, **fields)
    return Record(id=f"id-{name}", sighting=shown, status="pending", first_seen_at=NOW)


def join(
    records: dict[str, Record],
    *jobs: Sighting,
    gone: tuple[str, ...] = (),
    finished: dict[str, Record] | None = None,
) -> tuple[dict[str, Record], list[str]]:
    found, problems = joined(
        records,
        jobs,
        gone,
        now=NOW,
        new_id=lambda ref: f"new {ref.key}",
        finished=(finished or {}).get,
    )
    return found, [problem.what for problem in problems]


def by_key(*records: Record) -> dict[str, Record]:
    return {str(one.sighting.ref): one for one in records}


def test_a_job_that_is_only_on_drive_is_a_pending_job() -> None:
    found, problems = join({}, remote())
    (key,) = found
    assert key == str(remote().ref)
    assert (found[key].id, found[key].status, found[key].digest, found[key].first_seen_at) == ("new count", "pending", None, NOW)
    assert problems == []


def test_a_job_that_is_here_is_not_made_again_by_its_message() -> None:
    here = by_key(record())
    assert join(here, remote()) == (here, [])


def test_a_newer_submission_of_a_name_that_is_here_is_a_problem() -> None:
    here = by_key(record())
    found, problems = join(here, remote(submitted_at=LATER))
    assert found == here
    assert problems == [f"count of {THEM} was sent again on 2026-11-21 14:00 UTC"]


def test_a_newer_submission_of_a_job_that_is_over_is_a_problem_too() -> None:
    over = by_key(record(status="completed"))
    found, problems = join({}, remote(submitted_at=LATER), finished=over)
    assert found == {}
    assert len(problems) == 1


def test_a_time_nobody_knows_says_nothing() -> None:
    here = by_key(record())
    assert join(here, remote(submitted_at=None))[1] == []


def test_the_same_job_in_another_layout_is_the_same_job() -> None:
    here = by_key(record())
    other = remote(ref=JobRef("job-markers", ME, THEM, "count"))
    assert join(here, other) == (here, [])


def test_a_job_whose_copy_went_missing_is_on_drive_again() -> None:
    gone = by_key(replace(record(), missing_since=NOW))
    found, _ = join(gone, remote())
    (back,) = found.values()
    assert (back.sighting.where, back.missing_since) == ("drive", None)


def test_several_messages_of_one_job_are_one_job_and_the_newest_says_what_it_is() -> None:
    before = by_key(waiting("count", "m1", description="old"))
    found, _ = join(before, remote("count", "m2", description="new"))
    (one,) = found.values()
    assert (one.id, one.sighting.messages, one.sighting.description) == ("id-count", ("m2", "m1"), "new")


def test_a_job_is_missing_when_its_last_message_is_gone() -> None:
    before = by_key(waiting("count", "m2", "m1"))
    once, _ = join(before, gone=("m2",))
    (left,) = once.values()
    assert (left.sighting.messages, left.missing_since) == (("m1",), None)
    twice, _ = join(once, gone=("m1",))
    (gone,) = twice.values()
    assert (gone.sighting.messages, gone.missing_since) == (("m1",), NOW)
    again, _ = joined(
        twice,
        (),
        ("m1",),
        now=LATER,
        new_id=lambda ref: ref.key,
        finished=lambda key: None,
    )
    assert [one.missing_since for one in again.values()] == [NOW]


def test_a_message_that_comes_back_brings_its_job_back() -> None:
    before = by_key(replace(waiting(), missing_since=NOW))
    found, _ = join(before, remote())
    assert [one.missing_since for one in found.values()] == [None]


def test_a_job_that_is_sent_anew_after_it_had_gone_is_a_new_one() -> None:
    before = by_key(replace(waiting("count", "m1"), missing_since=NOW - timedelta(days=1), first_seen_at=NOW - timedelta(days=2)))
    (anew,) = join(before, remote("count", "m2"))[0].values()
    assert (anew.first_seen_at, anew.missing_since, anew.sighting.messages) == (NOW, None, ("m2",))
    (back,) = join(before, remote("count", "m1"))[0].values()
    assert (back.first_seen_at, back.missing_since) == (NOW - timedelta(days=2), None)


def test_what_was_sent_anew_was_not_known_before() -> None:
    known = by_key(waiting("old"), waiting("anew"), record(name="here"))
    later = {key: replace(one, first_seen_at=LATER) if one.id == "id-anew" else one for key, one in known.items()}
    assert [one.id for one in known_before(known, later).values()] == ["id-old", known[str(record(name="here").sighting.ref)].id]


def test_a_job_that_was_on_drive_and_has_its_copy_was_brought() -> None:
    before = by_key(waiting("one"), waiting("two"), record(name="here"))
    after = before | by_key(replace(record(name="one"), id="id-one"))
    assert [one.id for one in brought(before, after)] == ["id-one"]


def test_a_job_whose_copy_may_be_out_of_sight_does_not_vanish() -> None:
    before = by_key(waiting("count", "m1"))
    found, _ = joined(before, (), ("m1",), now=NOW, new_id=str, finished=lambda key: None, may_vanish=False)
    assert found == before


def test_one_who_says_himself_who_he_is_hides_no_job_of_another_one() -> None:
    claimed = record(name="count")
    claimed = replace(claimed, sighting=sighting(ref=JobRef("job-markers", ME, "", "count"), layout="b1"))
    assert len(join(by_key(claimed), remote(ref=JobRef("job-markers", ME, THEM, "count"), layout="b2"))[0]) == 2
    assert len(join(by_key(claimed), remote())[0]) == 2
    assert len(join(by_key(claimed), remote(ref=JobRef("job-markers", ME, THEM, "count"), layout="b1"))[0]) == 1
    known = by_key(waiting(ref=JobRef("job-markers", ME, THEM, "count"), layout="b2"))
    assert arrived(known, [claimed.sighting]) == known


def test_a_forged_job_is_shown_also_when_its_sender_has_one_of_that_name() -> None:
    forged = remote(flags=("forged",), ref=JobRef("inbox-review", ME, THEM, "/inbox/other@uni.example/count"))
    assert len(join(by_key(record()), forged)[0]) == 2


def test_a_letter_that_only_looks_like_one_makes_no_copy() -> None:
    waits = by_key(waiting(ref=JobRef("inbox-review", ME, "kim@uni.example", "count")))
    copy = sighting(ref=JobRef("inbox-review", ME, "\N{KELVIN SIGN}im@uni.example", "count"))
    assert arrived(waits, [copy]) == waits


def test_messages_of_a_job_that_is_here_may_go() -> None:
    here = by_key(record())
    assert join(here, gone=("m1",)) == (here, [])


def test_the_sender_of_a_job_on_drive_is_shown_as_no_peer_until_accepted() -> None:
    before = by_key(waiting())
    stranger = flagged(before, {})
    assert [one.sighting.flags for one in stranger.values()] == [("not_a_peer",)]
    assert flagged(stranger, {THEM: Peer(THEM, "pending", NOW)}) == stranger
    assert flagged(stranger, {THEM: Peer(THEM, "accepted", NOW)}) == before
    assert flagged(by_key(record()), {}) == by_key(record())


def test_a_copy_takes_over_the_id_of_the_job_on_drive() -> None:
    known = by_key(waiting())
    copy = sighting()
    assert arrived(known, [copy]) == known


def test_a_copy_under_another_name_of_its_place_takes_over_too() -> None:
    known = by_key(waiting(ref=JobRef("job-markers", ME, THEM, "count"), layout="b1"))
    copy = sighting(ref=JobRef("job-markers", ME, "", "count"), layout="b1")
    moved = arrived(known, [copy])
    assert list(moved) == [str(copy.ref)]
    assert moved[str(copy.ref)].id == "id-count"


def test_a_job_of_somebody_else_takes_nothing_over() -> None:
    known = by_key(waiting())
    others = [sighting(submitter="mallory@example.net", family="job-markers"), sighting(name="other"), sighting(family="b0")]
    assert arrived(known, others) == known


def test_a_forged_path_has_no_copy() -> None:
    known = by_key(waiting(flags=("forged",), ref=JobRef("inbox-review", ME, THEM, "forged:count")))
    assert arrived(known, [sighting()]) == known


def test_nothing_on_drive_leaves_everything_as_it_is() -> None:
    here = by_key(record())
    assert arrived(here, [sighting(name="other")]) == here


def test_only_what_lies_in_folders_is_looked_for_there() -> None:
    here = record(name="here")
    assert in_folders(by_key(here, waiting())) == by_key(here)
