"""Folders for private copies outside the run directory, which lies in somebody's 0700 home: where a dropped user can reach
them, or on a disk that the nodes of a cluster share."""

from __future__ import annotations

import os
import secrets
import shlex
import stat
import time
from contextlib import suppress

from scq.errors import ConfigError, InvalidFileError
from scq.files import make_folder, read_text, remove_tree, walk, write_atomic

NOTE = "scratch"
"""File in the run directory that names the folder, so that recovery and clean-up find it."""
CONTROL = ".run"
"""Ending of the folder beside the one of a run on a cluster: what node and later calls tell each other, never shown in a box."""
TRIAL = "scq-selftest-"
"""Beginning of the name of a directory that is no run."""
STALE_S = 3600.0
ENTRIES_LIMIT = 10_000_000
ADVICE = "Remove it, or name a folder that does not exist yet: sandbox.scratch, with Slurm executor.slurm.shared_dir."


def scratch_of(directory: str) -> str:
    """The folder that holds the private copy of a run: the one made for it, else the run directory itself."""
    try:
        named = read_text(os.path.join(directory, NOTE), 4096)
    except InvalidFileError:
        return directory
    return named or directory


def make_scratch(directory: str, root: str, uid: int, gid: int) -> str:
    """Make a folder below `root` for the user of the box, and remember it in the run directory. Idempotent.

    Nobody but that user (and root) can enter it: what a job makes set-user-id there is of no use to others. Raises ConfigError
    when `root` is not safe to use.
    """
    folder = scratch_of(directory)
    if folder == directory:
        kind = "trial" if os.path.basename(directory).startswith(TRIAL) else "scq"
        folder = os.path.join(root, f"{kind}-{secrets.token_hex(8)}")
        # Before it exists: a folder nobody knows of would stay for ever.
        write_atomic(os.path.join(directory, NOTE), folder.encode())
    _make_root(root, passable=uid != os.geteuid())
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    # Some shared disks refuse to give a file away even to its owner.
    if os.lstat(folder).st_uid != uid:
        os.chown(folder, uid, gid, follow_symlinks=False)
    return folder


def sweep_trials(root: str) -> None:
    """Remove what killed self-tests left below `root` more than an hour ago: no run remembers it.

    Machines that share the folder may do so at the same time.
    """
    try:
        names = [name for name in os.listdir(root) if name.startswith("trial-")]
    except OSError:  # nobody made it yet
        return
    for name in names:
        folder = os.path.join(root, name)
        with suppress(FileNotFoundError):
            if os.lstat(folder).st_mtime < time.time() - STALE_S:
                remove_tree(folder)


def remove_scratch(directory: str) -> None:
    """Remove the folder made for a run outside its directory, if there is one, and what a cluster was told of it.

    That goes first: a node that comes late finds nothing to do.
    """
    folder = scratch_of(directory)
    if folder != directory:
        remove_tree(folder + CONTROL)
        remove_tree(folder)


def remove_run(directory: str) -> None:
    """Remove everything of a run: the folder made outside first, because only the run directory knows where it is."""
    remove_scratch(directory)
    remove_tree(directory)


def hand_over(work: str, uid: int, gid: int) -> None:
    """Give a private copy to a user, links themselves and not what they point to."""
    os.chown(work, uid, gid, follow_symlinks=False)
    for path, _ in walk(work, ENTRIES_LIMIT):
        os.chown(os.path.join(work, path), uid, gid, follow_symlinks=False)


def _make_root(root: str, *, passable: bool) -> None:
    """`root` belongs to the caller, others cannot write there; `passable`: the user of the box, who is another, can pass."""
    if not os.path.lexists(root):
        make_folder(os.path.dirname(root))
        with suppress(FileExistsError):
            os.mkdir(root, 0o711)
            os.chmod(root, 0o711)  # noqa: S103 - whatever the umask says, others must be able to pass
    found = os.lstat(root)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise ConfigError(
            f"{root}: belongs to somebody else or others may write there, so private copies of jobs are not safe in it", ADVICE
        )
    if passable and not found.st_mode & 0o001:
        raise ConfigError(f"{root}: the user jobs run as cannot pass it", f"Allow it: chmod o+x {shlex.quote(root)}")
