from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scq.errors import BusyError
from scq.executors.slurm import queue as queues
from scq.executors.slurm.commands import Commands
from scq.executors.slurm.queue import Queue, ask
from scq.model import Whereabouts
from tests.unit.executors.slurm.standins import TAG, Bin

OTHER = "scq-ffffffffffffffff"
REAL = f"""\
12|0|FAILED|main|4294901749|2026-11-22T05:59:17|BadConstraints||sbatch               
4|0|PENDING|main|4294901756|2027-11-22T05:59:17|Resources||a
b|c3               
5|0|PENDING|main|4294901755|N/A|Priority||{TAG} 
13|0|PENDING|main|4294901748|N/A|PartitionConfig||sbatch               
16|0|PENDING|main|4294901745|2027-11-22T05:59:17|Priority||x
1|2|3              
2|0|RUNNING|main|4294901758|2026-11-22T05:59:17|None|n1|{OTHER} 
"""  # noqa: W291
"""As squeue of Slurm 22.05 printed it, with names that hold line breaks; two of them were changed to tags."""


def taken(text: str, uid: int = 0) -> Queue:
    queue = Queue(uid, 0.0)
    for line in text.splitlines():
        queue.add(line)
    return queue


def place(queue: Queue, tag: str) -> Whereabouts:
    return queue.whereabouts(queue.jobs[tag])


def test_a_real_queue() -> None:
    queue = taken(REAL)
    assert set(queue.jobs) == {TAG, OTHER}
    assert queue.state(TAG) == "PENDING"
    assert queue.state("scq-0000000000000000") == ""
    assert place(queue, TAG) == Whereabouts("waiting", "5", "main", why="Priority", position=2)
    since = datetime(2026, 11, 22, 5, 59, 17, tzinfo=UTC)
    assert place(queue, OTHER) == Whereabouts("running", "2", "main", "n1", since=since)


def test_a_waiting_job_has_an_estimate_and_no_reason_that_is_none() -> None:
    queue = taken(f"1|7|PENDING|main|5|2026-01-02T03:04:05|None||{TAG}", uid=7)
    starts = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert place(queue, TAG) == Whereabouts("waiting", "1", "main", position=1, starts_at=starts)


def test_only_jobs_of_our_own_count_whatever_others_call_theirs() -> None:
    assert taken(f"1|8|RUNNING|main|5|N/A|None|n1|{TAG}", uid=7).jobs == {}


@pytest.mark.parametrize(
    "line",
    [
        "",
        "|" * 8,
        f"1|7|RUNNING|main|5|N/A|None|{TAG}",
        f"x|7|RUNNING|main|5|N/A|None|n1|{TAG}",
        f"1|-7|RUNNING|main|5|N/A|None|n1|{TAG}",
        f"1|7|RUNNING|main|\u0665|N/A|None|n1|{TAG}",
        f"99999999999|7|RUNNING|main|5|N/A|None|n1|{TAG}",
        f"9999999999|7|RUNNING|main|5|N/A|None|n1|{TAG}",
        f"1|7|RUNNING|main|5|N/A|None|n1|{TAG}x",
        f"1|7|RUNNING|main|5|N/A|None|n1|x{TAG}",
        f"1|7|RUNNING|main|5|N/A|None|n1|{TAG.upper()}",
        f"1|7|RUNNING|main|5|N/A|None|n1|x|{TAG}",
    ],
)
def test_a_line_that_is_no_row_of_ours_is_passed_over(line: str) -> None:
    assert taken(line, uid=7).jobs == {}


def test_the_shortest_row_is_longer_than_what_a_name_can_hold() -> None:
    """So nobody can forge a row by a line break in a name, which squeue cuts to that width."""
    shortest = f"1|0|X|p|0||||{TAG}"
    assert set(taken(shortest).jobs) == {TAG}
    assert len(shortest) > queues.NAME_WIDTH
    assert f"%{queues.NAME_WIDTH}j" in queues.FORMAT


def test_words_of_the_cluster_are_cleaned_and_odd_times_are_none() -> None:
    for time in ("Unknown", "2026-13-01T00:00:00", "2026-01-01"):
        queue = taken(f"1|7|PENDING|ma\x1bin|5|{time}|{'x' * 500}\u202e||{TAG}", uid=7)
        found = place(queue, TAG)
        assert found.starts_at is None
        assert found.partition == "ma\ufffdin"
        assert len(found.why) == queues.WORD_LIMIT


def test_of_two_jobs_under_one_tag_the_one_that_lives_counts() -> None:
    over, alive = f"1|7|FAILED|main|5|N/A|None|n1|{TAG}", f"2|7|RUNNING|main|5|N/A|None|n1|{TAG}"
    assert taken(f"{over}\n{alive}", uid=7).jobs[TAG].id == 2
    assert taken(f"{alive}\n{over}", uid=7).jobs[TAG].id == 2


def test_the_place_is_the_best_one_in_the_partitions_of_the_job() -> None:
    rows = [
        f"9|7|PENDING|a,b|50|N/A|None||{TAG}",
        "1|1|PENDING|a|60|N/A|None||x",
        "2|1|PENDING|a|50|N/A|None||older, as important",
        "10|1|PENDING|a|50|N/A|None||younger, as important",
        "3|1|PENDING|b,c|70|N/A|None||x",
        "4|1|RUNNING|b|80|N/A|None||x",
        "5|1|PENDING|c|90|N/A|None||x",
        f"6|7|PENDING|c|1|N/A|None||{OTHER}",
    ]
    queue = taken("\n".join(rows), uid=7)
    assert [place(queue, TAG).position for _ in range(2)] == [2, 2]
    assert place(queue, OTHER).position == 3


def test_a_queue_too_long_to_be_kept_tells_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "MOST", 2)
    row = f"9|7|PENDING|a|50|N/A|None||{TAG}"
    others = "\n1|1|PENDING|a|60|N/A|None||x" * 2
    assert place(taken(row + others[: len(others) // 2], uid=7), TAG).position == 2
    assert place(taken(row + others, uid=7), TAG).position is None


def test_more_partitions_than_a_cluster_has_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "MOST_PARTITIONS", 1)
    queue = taken(f"1|1|PENDING|a|60|N/A|None||x\n9|7|PENDING|b|50|N/A|None||{TAG}", uid=7)
    assert place(queue, TAG).position is None


def test_one_call_lists_all_jobs_or_only_ours(tmp_path: Path) -> None:
    bin_ = Bin(tmp_path / "bin")
    bin_.queue(f"5|{os.getuid()}|RUNNING|main|1|N/A|None|n1|{TAG} \n")
    setting = bin_.setting()
    assert ask(Commands(setting), setting).state(TAG) == "RUNNING"
    assert bin_.calls("squeue") == ["--states=all", "--noheader", queues.FORMAT]
    setting = bin_.setting(others=False)
    ask(Commands(setting), setting)
    assert bin_.calls("squeue")[-1] == "--me"


def test_a_queue_that_could_not_be_read_to_its_end_is_none(tmp_path: Path) -> None:
    bin_ = Bin(tmp_path / "bin")
    bin_.set("squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1")
    with pytest.raises(BusyError, match="squeue: slurm_load_jobs error: Unable to contact"):
        ask(Commands(bin_.setting()), bin_.setting())
    bin_.set("squeue", "exit 3")
    with pytest.raises(BusyError, match="exit code 3"):
        ask(Commands(bin_.setting()), bin_.setting())


def test_the_columns_that_the_cluster_fills_are_cut_by_it_and_their_blanks_are_dropped() -> None:
    row = taken(f"1|7|PENDING|main|5|N/A|{'None':60}|{'':60}|{TAG} ", uid=7).jobs[TAG]
    assert (row.reason, row.node) == ("None", "")
    assert queues.FORMAT.split("|")[6:8] == ["%60r", "%60N"]
