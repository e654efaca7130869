"""What test_cron_daemon.py runs beside a cron daemon: installs, waits for the first call, removes, says what it saw."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from scq.ports import Entry, Schedule
from scq.schedule.cron import Cron


def crontab() -> bytes:
    return subprocess.run(["crontab", "-l"], capture_output=True, check=True).stdout


def main(home: Path, root: str, email: str) -> None:
    others = f'MAILTO=""\nHOME={home}/account\n#\t100 % mine \xff\n0 0 1 1 * true\n'.encode("latin-1")
    subprocess.run(["crontab", "-"], input=others, check=True)
    scq = str(Path(sys.executable).with_name("scq"))
    argv = (scq, "--home", str(home), "--root", root, "--email", email, "cycle")
    schedule = Schedule(str(home), (Entry("notify", argv, 60, "look, tell"),))
    cron = Cron({"PATH": os.environ["PATH"]})
    no_daemon = [problem.what for problem in cron.verify(schedule)]
    (home / "account").mkdir()
    cron.install(schedule)
    written = crontab()
    with subprocess.Popen(["cron", "-f"]) as daemon:
        until = time.monotonic() + 150
        done = home / "locks" / "cycle.done"
        while not done.exists() and time.monotonic() < until:
            time.sleep(0.2)
        said = {
            "no_daemon": no_daemon,
            "problems": [problem.what for problem in cron.verify(schedule)],
            "states": [found.state for found in cron.installed(str(home))],
            "called": done.exists(),
            "kept": written.startswith(others),
            "ours": written.removeprefix(others).decode("utf-8", "replace"),
        }
        cron.remove(str(home))
        said["restored"] = crontab() == others
        daemon.kill()
    print(json.dumps(said))


main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
