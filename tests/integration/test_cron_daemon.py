"""A real cron daemon makes the calls that were installed with the real `crontab`, beside lines of somebody else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.people import OWNER, World

PROJECT = Path(__file__).resolve().parents[2]
APART = ["unshare", "-mpf", "--kill-child", "--mount-proc"]
# A daemon of its own, with tables of its own: neither this machine's tables nor its nightly work may be touched.
PLACE = """
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mount --bind "$1/crontabs" /var/spool/cron/crontabs
mount --bind "$1/none" /etc/cron.d
mount --bind "$1/empty" /etc/crontab
shift
exec "$@"
"""


@pytest.fixture
def apart(tmp_path: Path) -> list[str]:
    """How to start a program that sees its own empty cron."""
    missing = [
        name
        for name in ("cron", "crontab", "unshare", "mount")
        if shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin") is None
    ]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if os.getuid() != 0:
        pytest.skip("a cron daemon of its own can only be started by root")
    if subprocess.run([*APART, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine lets nobody have file systems of their own (unshare)")
    tables = tmp_path / "crontabs"
    tables.mkdir()
    shutil.chown(tables, "root", "crontab")
    tables.chmod(0o1730)
    (tmp_path / "none").mkdir()
    (tmp_path / "empty").write_text("")
    return [*APART, "sh", "-c", PLACE, "sh", str(tmp_path)]


def test_cron_makes_a_cycle_and_leaves_other_lines_alone(apart: list[str], tmp_path: Path) -> None:
    world = World(tmp_path / "100% of it's world")
    world.submit("count")
    home = world.owner.home
    inside = [sys.executable, str(Path(__file__).with_name("under_cron.py")), str(home), str(world.root), OWNER]
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(PROJECT)}
    done = subprocess.run([*apart, *inside], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["no_daemon"] == ["no cron daemon can be seen at work on this machine"]
    assert said["called"], said
    assert (said["problems"], said["kept"], said["restored"]) == ([], True, True)
    assert said["states"][0] in ("active", "running")
    assert said["ours"].startswith(f"# BEGIN scq {home}\n")
    (mail,) = (path for path in (home / "mailbox").rglob("*") if path.is_file())
    assert "count" in mail.read_text()
