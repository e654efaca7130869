"""The library in many threads at once, and within asyncio, on one SyftBox."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import scq as q
from scq.errors import BusyError
from scq.library.client import QueueClient
from tests.people import OWNER, SCIENTIST, Person, syftbox

THREADS = 8


@pytest.fixture
def people(tmp_path: Path) -> tuple[QueueClient, QueueClient]:
    """The clients of an owner and of a scientist."""
    root = syftbox(tmp_path, OWNER, SCIENTIST)

    def client(email: str) -> QueueClient:
        home = tmp_path / email.partition("@")[0]
        Person(home, root, email)
        return q.create_client(home=home, root=root, email=email)

    return client(OWNER), client(SCIENTIST)


def in_threads(work: Callable[[int], str]) -> list[str]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, range(THREADS)))


def test_nothing_is_lost_when_eight_threads_work_at_once(people: tuple[QueueClient, QueueClient]) -> None:
    owner, scientist = people

    def work(number: int) -> str:
        job = scientist.submit_bash(OWNER, f"echo {number}\n", f"job {number}")
        assert job in scientist.jobs_for_others
        assert job in owner.pending_for_me
        owner.review_job(job)
        owner.approve(job, f"by thread {number}")
        assert job in owner.approved_by_me
        return job.uid

    ids = in_threads(work)
    assert len(set(ids)) == THREADS
    found = {job.uid: job for job in owner.all_jobs_for_me()}
    assert found.keys() == set(ids)
    assert [found[uid].reason for uid in ids] == [f"by thread {number}" for number in range(THREADS)]
    assert {job.status for job in found.values()} == {"approved"}
    assert all(job.reviewed == job.digest for job in found.values())


def test_each_job_is_decided_once_when_eight_threads_decide_about_the_same(people: tuple[QueueClient, QueueClient]) -> None:
    owner, scientist = people
    for number in range(4):
        scientist.submit_bash(OWNER, f"echo {number}\n", f"job {number}")
    shown = [owner.pending_for_me() for _ in range(THREADS)]

    def decide(number: int) -> str:
        try:
            decided = shown[number].approve_all(f"by thread {number}", unread=True)
        except q.RefusedJobsError as error:
            decided = error.decided
        except BusyError as error:
            return str(error)
        return ",".join(job.uid for job in decided)

    said = [part for text in in_threads(decide) for part in text.split(",") if part]
    decided = [part for part in said if "decided by another call" not in part]
    assert sorted(decided) == sorted(job.uid for job in owner.all_jobs_for_me("approved"))
    assert len(decided) == 4


def test_the_library_works_within_a_running_loop(people: tuple[QueueClient, QueueClient]) -> None:
    owner, scientist = people

    async def main() -> list[str]:
        job = scientist.submit_bash(OWNER, "echo done\n", "survey")
        waiting = asyncio.create_task(asyncio.to_thread(scientist.wait_for_completion, job.uid, 60, 0.01))
        await asyncio.to_thread(owner.approve, job.uid)
        rows = await asyncio.to_thread(owner.run_approved)
        return [(await waiting).status, rows[0]["status"], owner.get_job(job.uid).status]

    assert asyncio.run(main()) == ["completed"] * 3


def test_settings_of_a_client_count_in_every_thread(people: tuple[QueueClient, QueueClient]) -> None:
    home = people[0]._verbs.home
    clients = [q.create_client(q.QueueConfig(job_timeout=number + 1), home=home) for number in range(THREADS)]
    found = in_threads(lambda number: str(clients[number]._verbs.context().config.job_timeout))
    assert found == [f"{number + 1}.0" for number in range(THREADS)]
