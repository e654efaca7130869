"""Drives an installed syft-job through its public API. Runs inside the peer's environment, once per call.

Usage: python syft_job_driver.py '{"do": "list", "root": …, "me": …, …}'. The answer is one JSON document on stdout;
what the peer itself prints goes to stderr.
"""

import contextlib
import json
import sys
from pathlib import Path

from syft_job import create_runner, get_client


def prepare(client, submitter, **_):
    """The owner makes room for a submitter, permission files included."""
    return str(client.setup_ds_job_folder_as_do(submitter))


def submit(client, owner, name, script, **_):
    """Answers with what `read` needs to find the job again."""
    client.submit_bash_job(owner, script, name)
    return {"name": name}


def list_jobs(client, **_):
    return [{"name": job.name, "status": job.status, "submitted_by": job.submitted_by} for job in client.jobs]


def approve(client, name, **_):
    client.jobs[name].approve()
    return client.jobs[name].status


def run(client, root, me, **_):
    runner = create_runner(root, me)
    runner.process_approved_jobs(
        stream_output=False, timeout=60, share_outputs_with_submitter=True, share_logs_with_submitter=True
    )
    return [job.status for job in client.jobs]


def read(client, name, **_):
    """Everything a person sees of a finished job. The folder's own permission files are not results."""
    job = client.jobs[name]
    outputs = {path.name: path.read_text() for path in map(Path, job.output_paths) if path.is_file()}
    outputs.pop("syft.pub.yaml", None)
    return {"status": job.status, "stdout": str(job.stdout), "outputs": outputs}


ACTIONS = {"prepare": prepare, "submit": submit, "list": list_jobs, "approve": approve, "run": run, "read": read}


def main():
    request = json.loads(sys.argv[1])
    with contextlib.redirect_stdout(sys.stderr):
        client = get_client(request["root"], request["me"])
        answer = ACTIONS[request.pop("do")](client, **request)
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
