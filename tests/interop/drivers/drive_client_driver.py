"""Drives an installed syft with syft-rds through its public API. Runs inside the peer's environment.

Usage: python drive_client_driver.py '{"server": URL, "me": …, "role": "ds", "token": PATH, "steps": [{"do": "sync"}, …]}'.
The answer is a JSON list on stdout, one item for each step; what the peer itself prints goes to stderr. The home
directory decides where its SyftBox is. Nothing of the peer is changed but where its Drive calls go.
"""

import contextlib
import json
import sys
from pathlib import Path

from syft.sync.connections.drive import gdrive_transport
from syft_rds import login_do, login_ds

GOOGLE = "https://www.googleapis.com"


def go_to(server):
    """Send every Drive call to `server`. The peer knows one address only, and has no setting for it."""
    made_by_google = gdrive_transport.build_http

    def build_http():
        http = made_by_google()
        ask = http.request
        http.request = lambda uri, *rest, **named: ask(uri.replace(GOOGLE, server, 1), *rest, **named)
        return http

    gdrive_transport.build_http = build_http


def add_peer(client, address):
    client.add_peer(address, sync=False)


def approve_peer(client, address):
    client.approve_peer_request(address)


def peers(client):
    """Address → state, as a person sees them after a fresh look."""
    client.load_peers(force_download=True)
    return {peer.email: peer.state.value for peer in client.peers}


def submit_bash(client, owner, name, script, force=""):
    """`force`: also to an owner who has not answered yet."""
    client.submit_bash_job(owner, script, job_name=name, force_submission=bool(force))


def submit_python(client, owner, name, path):
    client.submit_python_job(owner, path, job_name=name)


def sync(client):
    client.sync()


def jobs(client):
    return {job.name: job.status for job in client.jobs}


def approve(client, name):
    client.jobs[name].approve()


def run(client):
    client.process_approved_jobs(
        stream_output=False, timeout=60, share_outputs_with_submitter=True, share_logs_with_submitter=True
    )


def read(client, name):
    """Everything a person sees of one job. The folder's own permission files are not results."""
    job = client.jobs[name]
    outputs = {}
    for top in map(Path, job.output_paths):
        for path in filter(Path.is_file, [top, *top.rglob("*")]):
            outputs[str(path.relative_to(top.parent))] = shown(path.read_bytes())
    outputs.pop("syft.pub.yaml", None)
    return {"status": job.status, "outputs": outputs, "stdout": str(job.stdout), "reason": job.review_reason}


def shown(content):
    """Text as it is, anything else in hexadecimal."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.hex()


ACTIONS = {action.__name__: action for action in (add_peer, approve_peer, peers, submit_bash, submit_python)}
ACTIONS |= {action.__name__: action for action in (sync, jobs, approve, run, read)}


def main():
    request = json.loads(sys.argv[1])
    with contextlib.redirect_stdout(sys.stderr):
        go_to(request["server"])
        login = {"do": login_do, "ds": login_ds}[request["role"]]
        client = login(request["me"], request["token"], sync=False)
        answers = [ACTIONS[step.pop("do")](client, **step) for step in request["steps"]]
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
