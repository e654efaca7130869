"""The geometry of charts: everything lies inside, and on one scale."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from scq.timeline import Results, Story, Verdict
from scq.web.charts import HEIGHT, THINNEST, WIDTH, Part, bars, length, tracks
from tests.unit.web.samples import NOW, history

HOUR = timedelta(hours=1)


def job(status: Any = "completed", **fields: Any) -> Story:
    return Story(id="aaaa1111", name="n", submitter="s", status=status, submitted_at=NOW - 10 * HOUR, **fields)


def test_bars_stand_on_one_line_and_have_the_height_of_their_value() -> None:
    found = bars([0, 5, 10], 10)
    assert [bar.index for bar in found] == [1, 2]
    assert [bar.height for bar in found] == [HEIGHT / 2, HEIGHT]
    assert all(bar.y + bar.height == HEIGHT for bar in found)
    assert all(bar.x >= 0 and bar.x + bar.width <= WIDTH for bar in found)


def test_the_smallest_value_is_still_seen() -> None:
    assert bars([1], 10_000)[0].height == 2
    assert bars([], 0) == ()


def test_a_lying_bar_has_the_length_of_its_value() -> None:
    assert (length(5, 10), length(0, 10), length(0, 0)) == (500, 0, 0)


def test_a_track_shows_waiting_queueing_running_and_the_release() -> None:
    told = job(
        verdict=Verdict("approved", NOW - 8 * HOUR),
        began_at=NOW - 6 * HOUR,
        ended_at=NOW - 5 * HOUR,
        results=Results("released", NOW - 2 * HOUR),
    )
    (track,), begin = tracks([told], NOW)
    assert begin == told.submitted_at
    assert track.parts == (Part("wait", 0, 200), Part("queue", 200, 200), Part("run", 400, 100), Part("release", 800, THINNEST))


def test_what_is_not_over_reaches_until_now() -> None:
    approved = Verdict("approved", NOW - 5 * HOUR)
    assert tracks([job("pending")], NOW)[0][0].parts == (Part("wait", 0, WIDTH),)
    assert tracks([job("approved", verdict=approved)], NOW)[0][0].parts[1] == Part("queue", 500, 500)
    running = job("running", verdict=approved, began_at=NOW - 4 * HOUR)
    assert tracks([running], NOW)[0][0].parts[2] == Part("run", 600, 400)


def test_no_part_leaves_the_chart_whatever_the_clocks_said() -> None:
    odd = job(verdict=Verdict("approved", NOW + 99 * HOUR), began_at=NOW - 99 * HOUR, ended_at=NOW + HOUR)
    shown, _ = tracks([odd, *history(60)], NOW)
    assert all(0 <= part.x <= WIDTH and 0 < part.width <= WIDTH - part.x + 0.11 for track in shown for part in track.parts)
    assert tracks([], NOW) == ((), NOW)
