"""What an owner who is an ordinary user does on a cluster. Called as `python -I ordinary.py REPOSITORY FOLDER CONF BIN UMASK`.

Says on standard output, as JSON, what the owner saw. It stops with an error where a call does not end as it should.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

CONFIG = """network: none
executor:
  name: slurm
  slurm: {{shared_dir: {shared}, bin: {bin}, conf: {conf}, python: {python}, file_delay: 0s}}
"""
SLOW = "touch alive; while :; do sleep 1; done\n"
PATIENCE_S = 60.0


def main(repository: str, folder: str, conf: str, programs: str, umask: str) -> None:
    """One job that ends by itself and one that is cancelled, from the submission to the release."""
    sys.path.insert(0, repository)
    from tests.people import World

    os.umask(int(umask, 8))
    world = World(Path(folder))
    shared = Path(folder, "on", "all", "nodes")
    world.owner.configure(CONFIG.format(shared=shared, bin=programs, conf=conf, python=sys.executable))
    shared.parent.mkdir(parents=True)
    quick = world.approved("quick", "echo ran > outputs/answer.txt; id -u\n")
    slow = world.approved("slow", SLOW)
    world.owner.scq("run-approved")
    wait(lambda: list(shared.glob("scq-*/work/**/alive")), "the slow job running")
    seen = {
        "rights": {str(path.relative_to(shared)): stat.S_IMODE(path.lstat().st_mode) for path in (shared, *shared.iterdir())},
        "owners": sorted({path.lstat().st_uid for path in shared.rglob("*")}),
        "checks": {check["name"]: check for check in world.owner.json("doctor", code=None)["checks"]},
    }
    world.owner.scq("cancel", slow)
    ended = {quick: "completed", slow: "failed"}

    def over() -> bool:
        said = world.owner.scq("run-approved", code=None)
        found = {uid: world.owner.job(uid)["status"] for uid in ended}
        if any(found[uid] not in ("running", status) for uid, status in ended.items()):
            raise SystemExit(f"{found} is not {ended}: {said}")
        return found == ended

    wait(over, "the end of both jobs")
    world.owner.scq("release", quick, "--reason", "counts only")
    seen["logs"] = world.owner.json("logs", quick, "--stdout")["logs"]
    seen["runs"] = [world.owner.job(uid)["run"] for uid in (quick, slow)]
    seen["left"] = os.listdir(shared)
    json.dump(seen, sys.stdout)


def wait(condition: Callable[[], object], what: str) -> None:
    """Wait until something is true."""
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > give_up:
            raise SystemExit(f"{what} did not happen")
        time.sleep(0.1)


if __name__ == "__main__":
    main(*sys.argv[1:])
