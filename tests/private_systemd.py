"""A user manager of systemd of its own: in private namespaces, for an ordinary account, gone when the call ends.

Needs root (for the namespaces), systemd and dbus; `missing` says what a machine lacks. Nothing outside is changed but two empty
control groups, which are removed again.
"""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

SYSTEMD = "/lib/systemd/systemd"
ACCOUNT, UID, GID = "nobody", 65534, 65534
HOME = "/home/owner"
REPOSITORY = Path(__file__).resolve().parent.parent
CGROUPS = Path("/sys/fs/cgroup")
PROGRAMS = ("unshare", "setpriv", "dbus-run-session", "systemctl", "mount")


def missing() -> str:
    """What keeps a private manager from being started here; empty when nothing does."""
    if os.geteuid() != 0:
        return "only root can make the namespaces for a private manager of systemd"
    if lacks := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"{lacks[0]} is not installed"
    if not os.path.exists(SYSTEMD):
        return "systemd is not installed"
    return "" if _trees() else "this machine has no control groups that may be written"


def call(folder: Path, *argv: str, timeout_s: float = 90.0) -> subprocess.CompletedProcess[str]:
    """Run a command under a user manager, with the account's home `HOME` kept in `folder`/home."""
    home = folder / "home"
    home.mkdir()
    os.chown(home, UID, GID)
    groups = [tree / f"scq-test-{os.getpid()}" for tree in _trees()]
    for group in groups:
        group.mkdir()
        for path in (group, *(group / name for name in ("cgroup.procs", "cgroup.subtree_control") if (group / name).exists())):
            os.chown(path, UID, GID)
    try:
        return subprocess.run(
            ["unshare", "-mpf", "--kill-child", "--mount-proc", "bash", "-ec", _outer(home, groups, argv)],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    finally:
        for group in groups:
            _remove_group(group)


def _trees() -> list[Path]:
    """Where control groups are made: one hierarchy, or the two of a machine that keeps the older form."""
    mixed = [CGROUPS / "systemd", CGROUPS / "unified"]
    found = mixed if mixed[0].is_dir() else [CGROUPS]
    return [tree for tree in found if (tree / "cgroup.procs").exists() and os.access(tree, os.W_OK)]


def _outer(home: Path, groups: list[Path], argv: tuple[str, ...]) -> str:
    """As root: the folders a machine that was started with systemd has, then down to the account."""
    run = f"/run/user/{UID}"
    env = {"HOME": HOME, "USER": ACCOUNT, "XDG_RUNTIME_DIR": run, "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    command = shlex.join(argv)
    inner = (
        f"{SYSTEMD} --user --unit=basic.target >/dev/null 2>&1 & "
        f"for i in $(seq 200); do [ -S {run}/systemd/private ] && break; sleep 0.05; done; {command}"
    )
    variables = [f"{name}={value}" for name, value in env.items()]
    start = ["setpriv", f"--reuid={UID}", f"--regid={GID}", "--clear-groups", "env", "-i", *variables]
    return "\n".join(
        (
            *(f"echo $$ > {group}/cgroup.procs" for group in groups),
            *_opened((str(REPOSITORY), sys.prefix, sys.base_prefix)),
            "mount -t tmpfs tmpfs /run",
            f"mkdir -p /run/systemd/system /run/systemd/unit-root /run/systemd/inaccessible/dir {run}",
            "touch /run/systemd/inaccessible/reg; chmod 000 /run/systemd/inaccessible/*",
            "mknod -m 000 /run/systemd/inaccessible/chr c 0 0",
            f"chown {UID}:{GID} {run}; chmod 700 {run}",
            "mount -t tmpfs -o mode=755 tmpfs /home",
            f"mkdir {HOME}; mount --bind {shlex.quote(str(home))} {HOME}; cd {shlex.quote(str(REPOSITORY))}",
            shlex.join([*start, "dbus-run-session", "--", "bash", "-c", inner]),
        )
    )


def _opened(paths: tuple[str, ...]) -> list[str]:
    """Commands that let the account enter folders which lie in one that is closed to it, such as /root."""
    lines: list[str] = []
    closed = {str(parent) for path in paths for parent in Path(path).parents if not parent.stat().st_mode & stat.S_IXOTH}
    for top in sorted(closed):
        below = [path for path in dict.fromkeys(paths) if path.startswith(top + "/")]
        lines.append("mount -t tmpfs -o mode=755 tmpfs /mnt")
        for number, path in enumerate(below):
            lines.append(f"mkdir /mnt/{number}; mount --bind {shlex.quote(path)} /mnt/{number}")
        lines.append(f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(top)}")
        for number, path in enumerate(below):
            lines.append(f"mkdir -p {shlex.quote(path)}; mount --bind /mnt/{number} {shlex.quote(path)}")
        lines.append("umount -R /mnt")
    return lines


def _remove_group(group: Path) -> None:
    """Remove a control group with those below; whoever was in it has just been ended."""
    for folder, _, _ in os.walk(group, topdown=False):
        for _ in range(100):
            try:
                os.rmdir(folder)
            except OSError:
                subprocess.run(["sleep", "0.05"], check=False)
                continue
            break
