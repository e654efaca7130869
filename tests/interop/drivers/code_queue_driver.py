"""Drives an installed syft-code-queue and syft-simple-runner. Runs inside the peer's environment, once per call.

Usage: SYFTBOX_CLIENT_CONFIG_PATH=… python code_queue_driver.py '{"do": "list", …}'. The answer is one JSON document on
stdout; what the peer itself prints goes to stderr.
"""

import contextlib
import json
import sys
import tempfile
from pathlib import Path

with contextlib.redirect_stdout(sys.stderr):
    from syft_code_queue import create_client


def find(client, name):
    """The only job of that name."""
    jobs = [job for job in client.list_jobs(limit=50) if job.name == name]
    if len(jobs) != 1:
        raise SystemExit(f"expected one job called {name!r}, the peer lists {len(jobs)}")
    return jobs[0]


def prepare(client, **_):
    """Making a client has already made the status folders."""
    return client.email


def submit(client, owner, name, script, **_):
    """Answers with what `read` needs to find the job again."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "run.sh").write_text(script)
        Path(folder, "run.sh").chmod(0o755)
        return {"uid": str(client.submit_code(owner, Path(folder), name).uid)}


def list_jobs(client, **_):
    return [
        {"name": job.name, "status": job.status.value, "submitted_by": job.requester_email} for job in client.list_jobs(limit=50)
    ]


def approve(client, name, **_):
    client.approve_job(find(client, name).uid)
    return find(client, name).status.value


def run(client, **_):
    """One cycle of the published runner."""
    from syft_simple_runner import SimpleRunnerApp

    SimpleRunnerApp()._process_cycle()
    return [job.status.value for job in client.list_jobs(limit=50)]


def read(client, uid, **_):
    """Everything a person sees of a finished job, found by its uid as the peer's own calls do."""
    job = client.get_job(uid)
    folder = client.get_job_output(uid)
    outputs = {}
    if folder is not None and Path(folder).is_dir():
        outputs = {path.name: path.read_text() for path in Path(folder).iterdir() if path.is_file()}
    outputs.pop("syft.pub.yaml", None)
    return {"status": job.status.value, "stdout": job.logs, "log_file": client.get_job_logs(uid), "outputs": outputs}


ACTIONS = {"prepare": prepare, "submit": submit, "list": list_jobs, "approve": approve, "run": run, "read": read}


def main():
    request = json.loads(sys.argv[1])
    with contextlib.redirect_stdout(sys.stderr):
        client = create_client()
        answer = ACTIONS[request.pop("do")](client, **request)
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
