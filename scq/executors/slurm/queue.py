"""The queue of a cluster at one moment, from one call of squeue.

Names of jobs come from whoever submitted them and may hold anything, line breaks too. They stand last in a row and are cut to
`NAME_WIDTH` characters, which is less than the shortest row, so nobody can write a row of their own into the list.
"""

from __future__ import annotations

import os
import re
import time
from array import array
from bisect import bisect_left
from datetime import UTC, datetime
from itertools import accumulate

from msgspec import Struct

from scq import clean
from scq.config_values import Slurm
from scq.errors import BusyError
from scq.executors.slurm import endings
from scq.executors.slurm.commands import LATER, Commands
from scq.model import Whereabouts

NAME_WIDTH = 21
"""One more than a tag has, so that a longer name is never taken for one."""
FORMAT = f"--format=%A|%U|%T|%P|%Q|%S|%60r|%60N|%{NAME_WIDTH}j"
"""Number, user number, state, partition, priority, start, reason, nodes, name: squeue(1).

Without a width a reason that lists nodes may be longer than a line is read, and a job whose row is not read counts as gone.
"""
TAG = re.compile(r"scq-[0-9a-f]{16}")
MOST = 2_000_000
"""Waiting jobs that are kept for telling the place in the queue, 8 bytes each; with more nobody's place is told."""
MOST_PARTITIONS = 1000
LARGEST = 0xFFFFFFFF
WORD_LIMIT = 60


class Row(Struct, frozen=True):
    """One job of ours as the cluster lists it."""

    id: int
    state: str
    partition: str
    priority: int
    starts: datetime | None
    reason: str
    node: str


class Queue:
    """Our jobs by tag, and of all waiting ones as much as tells the place of ours. `at` is when it was asked, epoch seconds."""

    def __init__(self, uid: int, at: float) -> None:
        self.at = at
        self.jobs: dict[str, Row] = {}
        self._uid = uid
        self._waiting: dict[str, array[int]] = {}
        self._places_of: dict[str, dict[int, int]] = {}
        self._count = 0

    def add(self, line: str) -> None:
        """Take one line of squeue; one that is no row is passed over."""
        parts = line.split("|", 8)
        if len(parts) != 9 or not all(_is_number(parts[index]) for index in (0, 1, 4)):
            return
        number, uid, priority = int(parts[0]), int(parts[1]), int(parts[4])
        state, partition, name = parts[2], parts[3], parts[8].rstrip(" ")
        if state == "PENDING":
            self._note_waiting(partition, priority, number)
        if uid != self._uid or TAG.fullmatch(name) is None:
            return
        reason, node = _word(parts[6]), _word(parts[7])
        row = Row(number, state, _word(partition), priority, _time(parts[5]), reason, node)
        # Two under one tag are not expected; then the one that may still do something counts.
        if name not in self.jobs or not endings.alive(self.jobs[name].state):
            self.jobs[name] = row

    def state(self, tag: str) -> str:
        """Slurm's word for the state of our job of that tag, empty when the cluster does not know it."""
        row = self.jobs.get(tag)
        return endings.GONE if row is None else row.state

    def position(self, row: Row) -> int | None:
        """Place of a waiting job in the best of its partitions, from 1; None when it cannot be told."""
        if self._count > MOST:
            return None
        mine = _key(row.priority, row.id)
        places = [self._places(name).get(mine) for name in row.partition.split(",") if name in self._waiting]
        return min((place for place in places if place is not None), default=None)

    def _places(self, partition: str) -> dict[int, int]:
        """Place of each of our waiting jobs in one partition. One pass over all that wait there, however many are ours."""
        if partition not in self._places_of:
            ours = [row for row in self.jobs.values() if row.state == "PENDING" and partition in row.partition.split(",")]
            mine = sorted(_key(row.priority, row.id) for row in ours)
            earlier = [0] * (len(mine) + 1)
            for one in self._waiting[partition]:
                earlier[bisect_left(mine, one)] += 1
            before = list(accumulate(reversed(earlier)))[::-1]
            self._places_of[partition] = {key: 1 + before[index + 1] for index, key in enumerate(mine)}
        return self._places_of[partition]

    def whereabouts(self, row: Row) -> Whereabouts:
        """What people are told about a job that the cluster knows."""
        number, stage = str(row.id), endings.stage(row.state)
        if stage == "waiting":
            return Whereabouts(stage, number, row.partition, "", _reason(row.reason), self.position(row), row.starts)
        return Whereabouts(stage, number, row.partition, row.node, since=row.starts)

    def _note_waiting(self, partition: str, priority: int, number: int) -> None:
        self._count += 1
        if self._count > MOST:
            self._waiting.clear()
            return
        for name in partition.split(",")[:MOST_PARTITIONS]:
            if name in self._waiting or len(self._waiting) < MOST_PARTITIONS:
                self._waiting.setdefault(name, array("Q")).append(_key(priority, number))


def ask(commands: Commands, setting: Slurm) -> Queue:
    """The queue now. Raises BusyError when the cluster does not answer, ConfigError where its commands are missing."""
    queue = Queue(os.getuid(), time.time())
    words = ["--states=all", "--noheader", FORMAT]
    if not setting.others:
        words.append("--me")
    said = commands.lines("squeue", words, queue.add)
    if said.code != 0:
        raise BusyError(f"the cluster does not answer (squeue: {said.sentence or f'exit code {said.code}'})", LATER)
    return queue


def _key(priority: int, number: int) -> int:
    """Larger for a job that comes earlier: higher priority first, then the older one."""
    return (priority << 32) | (LARGEST - number)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= LARGEST


def _word(text: str) -> str:
    return clean.line(text, WORD_LIMIT)


def _reason(text: str) -> str:
    return "" if text == "None" else text


def _time(text: str) -> datetime | None:
    """A time as squeue prints it, which was asked for UTC; None for `N/A` and anything else."""
    if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", text, re.ASCII) is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
