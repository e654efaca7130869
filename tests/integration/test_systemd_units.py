"""Every unit, shipped and installed: systemd finds nothing wrong with it, and it stays as closed as it was measured to be."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest

from scq import resources
from scq.ports import Entry, Schedule
from scq.schedule.systemd import SystemSystemd, UserSystemd

TASKS = ("notify", "run", "approve")
EXPOSURE = {
    ("--user", "notify"): 4.1,
    ("--user", "run"): 5.4,
    ("--user", "approve"): 8.7,
    ("--system", "notify"): 1.7,
    ("--system", "run"): 3.1,
    ("--system", "approve"): 4.8,
}
"""What `systemd-analyze security` of systemd 252 finds; a switch that is lost adds at least 0.1."""
LEEWAY = 0.3
"""Other releases of systemd weigh a little differently."""
TRUE = shutil.which("true") or ""
"""A program outside of /tmp: a scq below it would keep its unit from having a /tmp of its own."""
ANALYZE = shutil.which("systemd-analyze") or ""
pytestmark = pytest.mark.skipif(not ANALYZE, reason="systemd-analyze is not installed")


class Places:
    """A home with the scq that pipx would put there, and an environment for systemd-analyze."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scq = folder / ".local" / "bin" / "scq"
        self.scq.parent.mkdir(parents=True)
        self.scq.write_text("#!/bin/sh\n")
        self.scq.chmod(0o755)
        self.env = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "LC_ALL": "C"}
        folder.chmod(0o700)

    def shipped(self, scope: str) -> Path:
        """The shipped units of a scope, system units with a program that is there."""
        made = self.folder / "shipped"
        made.mkdir()
        for path in (Path(resources.folder("systemd")) / ("system" if scope == "--system" else "")).iterdir():
            if path.is_file():
                (made / path.name).write_text(path.read_text().replace("/usr/local/bin/scq", str(self.scq)))
        return made

    def installed(self, scope: str, home: str) -> Path:
        """What an install writes."""
        made = self.folder / "installed"
        made.mkdir()
        entries = tuple(Entry(name, (TRUE, "do it"), 45.0, "do", runs_jobs=name == "run") for name in TASKS)
        user = next(one.pw_name for one in pwd.getpwall() if 0 < one.pw_uid < 60_000) if scope == "--system" else ""
        schedule = Schedule(home, entries, user, (("smtp.password", "/etc/secret"),), ("/srv/Syft Box",))
        kind = SystemSystemd(self.env) if scope == "--system" else UserSystemd(self.env)
        for file in kind.files(schedule):
            (made / Path(file.path).name).write_text(file.text)
        return made

    def analyze(self, scope: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [ANALYZE, scope, "--no-pager", *arguments], env=self.env, capture_output=True, text=True, check=False, timeout=60
        )


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


@pytest.mark.parametrize("scope", ["--user", "--system"])
@pytest.mark.parametrize("home", [None, "/srv/usual", "/srv/50% of $it"])
def test_systemd_finds_nothing_wrong_with_any_unit(places: Places, scope: str, home: str | None) -> None:
    units = places.shipped(scope) if home is None else places.installed(scope, home)
    paths = sorted(str(path) for path in units.iterdir())
    assert len(paths) == 6
    said = places.analyze(scope, "verify", "--man=no", "--recursive-errors=one", *paths)
    assert (said.returncode, said.stderr) == (0, "")


def test_a_wrong_unit_is_found(places: Places) -> None:
    unit = places.shipped("--user") / "scq-run.timer"
    unit.write_text(unit.read_text().replace("Persistent=", "Persistant="))
    assert places.analyze("--user", "verify", "--man=no", "--recursive-errors=one", str(unit)).returncode != 0


@pytest.mark.parametrize("scope", ["--user", "--system"])
@pytest.mark.parametrize("shipped", [True, False])
def test_no_unit_is_more_exposed_than_it_was(places: Places, scope: str, shipped: bool) -> None:
    units = places.shipped(scope) if shipped else places.installed(scope, "/srv/creds")
    # The units of root's own account keep the rights that giving a job to another account takes.
    as_root = not shipped and scope == "--user" and os.geteuid() == 0
    for task in TASKS[::2] if as_root else TASKS:
        unit = next(path for path in units.iterdir() if path.name.startswith(f"scq-{task}") and path.suffix == ".service")
        threshold = round((EXPOSURE[scope, task] + LEEWAY) * 10)
        said = places.analyze(scope, "security", "--offline=yes", f"--threshold={threshold}", str(unit))
        assert said.returncode == 0, said.stdout.splitlines()[-1]


def test_losing_a_part_of_the_hardening_is_seen(places: Places) -> None:
    unit = places.shipped("--user") / "scq-notify.service"
    unit.write_text(unit.read_text().replace("ProtectSystem=strict", "").replace("SystemCallFilter=@system-service", ""))
    threshold = round((EXPOSURE["--user", "notify"] + LEEWAY) * 10)
    assert places.analyze("--user", "security", "--offline=yes", f"--threshold={threshold}", str(unit)).returncode != 0
