"""What test_systemd_manager.py does inside a private user manager; prints what it saw as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from scq.ports import Entry, Schedule
from scq.schedule.systemd import UserSystemd
from tests.people import OWNER, SCIENTIST, Person, code_folder, syftbox

HOME = Path(os.environ["HOME"])
PROBE = "; ".join(
    (
        'exec >"$0/seen" 2>/dev/null',
        'cat "$CREDENTIALS_DIRECTORY/pass_word"',
        'touch "$0/inside" && echo home',
        'touch "$0/../outside" && echo outside',
        'touch "$0/../SyftBox/inside" && echo box',
        "unshare -U true && echo namespace",
        "grep NoNewPrivs /proc/self/status",
        "umask",
    )
)


def wait_for(happened: Callable[[], Any], seconds: float = 40.0) -> Any:
    """What it returns once that is true; None after too long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := happened():
            return found
        time.sleep(0.1)
    return None


def units() -> list[str]:
    said = subprocess.run(["systemctl", "--user", "list-unit-files", "--no-legend", "scq*"], capture_output=True, check=False)
    return sorted(line.split()[0] for line in said.stdout.decode().splitlines())


def jobs(seen: dict[str, Any], systemd: UserSystemd) -> None:
    """A job that a scientist submits and the owner approves is run and reported by the installed timers alone."""
    root = syftbox(HOME, OWNER, SCIENTIST)
    owner = Person(HOME / ".syft-creds", root, OWNER, "sandbox: bwrap\n")
    scientist = Person(HOME / "ds", root, SCIENTIST)
    source = code_folder(HOME / "code", "id -u > outputs/uid; ls /home > outputs/home 2>/dev/null || true\n")
    uid = scientist.json("submit", OWNER, str(source), "--name", "count")["id"]
    owner.scq("check", code=None)
    owner.scq("approve", uid)
    scq = (str(Path(sys.executable).parent / "scq"), "--home", str(owner.home), "--root", str(root), "--email", OWNER)
    entries = (
        Entry("notify", (*scq, "cycle", "--no-run"), 2.0, "look"),
        Entry("run", (*scq, "run-approved"), 2.0, "run", runs_jobs=True),
    )
    schedule = Schedule(str(owner.home), entries, writable=(str(root),))
    home = schedule.home
    former = Path(systemd.folder) / "scq.timer"
    former.parent.mkdir(parents=True)
    former.write_text("[Unit]\nDescription=Look at the SyftBox code job queue every minute\n\n[Timer]\nOnStartupSec=1h\n")
    seen["unusable"] = systemd.unusable()
    seen["before"] = [problem.what for problem in systemd.verify(schedule)]
    seen["install"] = systemd.install(schedule)
    seen["again"] = systemd.install(schedule)
    seen["job"] = wait_for(lambda: (job := owner.job(uid))["status"] in ("completed", "failed") and job)
    seen["installed"] = wait_for(
        lambda: all(one.last_at for one in systemd.installed(home)) and to_builtins(systemd.installed(home))
    )
    runs = sorted(owner.home.rglob("uid"))
    seen["box"] = runs[0].read_text() if runs else ""
    seen["stop"] = systemd.stop(home, "run")
    seen["stopped"] = [one.state for one in systemd.installed(home)]
    seen["start"] = systemd.start(home, "run")
    shown = [systemd.manager.properties(name, "Result") for name in ("scq-notify.service", "scq-run.service")]
    seen["results"] = [one["Result"] for one in shown]
    edited = Path(systemd.folder) / "scq-run.timer"
    edited.write_text(edited.read_text().replace("Persistent=yes", "Persistent=no"))
    seen["edited"] = [one.state for one in systemd.installed(home)]
    seen["found"] = [problem.where for problem in systemd.verify(schedule)]
    seen["one"] = systemd.install(Schedule(home, entries[:1], writable=(str(root),)))
    seen["units"] = units()
    systemd.remove(home)


def probes(seen: dict[str, Any], systemd: UserSystemd) -> None:
    """What a call of another home may do in each unit."""
    home = HOME / "a b%$"
    home.mkdir()
    secret = home / "secret"
    secret.write_text("hush\n")
    entries = tuple(Entry(name, ("/bin/sh", "-c", PROBE, str(home)), 1.0, "probe") for name in ("notify", "run", "approve"))
    for entry in entries:
        schedule = Schedule(str(home), (entry,), writable=(str(HOME / "SyftBox"),), credentials=(("pass_word", str(secret)),))
        seen[f"install {entry.name}"] = systemd.install(schedule)
        seen[f"probe {entry.name}"] = wait_for(lambda: "0077" in (text := _read(home / "seen")) and text)
        (home / "seen").unlink(missing_ok=True)
    seen["remove"] = systemd.remove(str(home))
    seen["remove again"] = systemd.remove(str(home))


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def main() -> None:
    seen: dict[str, Any] = {}
    systemd = UserSystemd(dict(os.environ))
    jobs(seen, systemd)
    probes(seen, systemd)
    seen["left"] = units()
    print(json.dumps(seen, default=str))


if __name__ == "__main__":
    main()
