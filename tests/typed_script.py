"""What a type checker sees of the library: a script of a user that `mypy --strict` must accept, and whose mistakes it must find.

It is checked, not run: an ignored error that is none any more is an error, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

import scq as q
from scq.library.jobs import LiveJobs


def submit() -> None:
    job = q.submit_job("owner@example.org", Path("age_groups"), name="Age groups", tags=["count"])
    assert_type(job, q.CodeJob)
    assert_type(q.wait_for_completion(job, progress=True), q.CodeJob)
    assert_type(q.wait_for_completion(job.uid, progress=lambda seen: print(seen.status)), q.CodeJob)
    assert_type(q.get_job_output(job), Path | None)
    assert_type(q.my_jobs(limit=3), q.JobCollection)
    q.submit_job(5, "age_groups")  # type: ignore[arg-type]
    q.submit_jobs("owner@example.org", "age_groups")  # type: ignore[attr-defined]


def decide() -> None:
    assert_type(q.pending_for_me, LiveJobs)
    assert_type(q.pending_for_me(), q.JobCollection)
    assert_type(q.pending_for_me[0], q.CodeJob)
    assert_type(q.pending_for_me[:3], q.JobCollection)
    for job in q.pending_for_me:
        assert_type(job.approve("fine", expires="7d", max_runs=1, accept="network"), q.CodeJob)
        assert_type(job.diff(job)["same"], Any)
    try:
        q.jobs_for_me().approve_all("counts only")
    except q.RefusedJobsError as error:
        assert_type(error.decided, q.JobCollection)
        assert_type(error.refused, dict[str, str])
    q.approve(None)  # type: ignore[arg-type]
    assert_type(q.run_approved(jobs=[q.get_job("Age groups"), "a1b2c3d4"]), list[dict[str, Any]])


def elsewhere() -> None:
    client = q.create_client(q.QueueConfig(job_timeout="10m"), home=Path("lab"))
    assert_type(client, q.QueueClient)
    assert_type(client.get_job("a1b2c3d4"), q.CodeJob)
    q.create_client("lab")  # type: ignore[arg-type]
