"""The box made by bubblewrap: no network, no home, no processes of others, a read-only system, one writable folder.

Entered with real user id 0 it would be no box (the job could write kernel settings and leave set-user-id files), so a call by
root runs it as an ordinary user. Source of the options: bwrap(1), bubblewrap 0.8.0.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Mapping, Sequence

from scq.errors import ConfigError
from scq.model import Problem
from scq.ports import Invocation
from scq.sandbox.program import INSTALL, find_bwrap
from scq.sandbox.scratch import hand_over, make_scratch
from scq.sandbox.work import inside, moved

WORK = "/job"
"""Where the box shows the private copy."""
TEMPORARY_BYTES = 64 << 20
USUAL_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"}  # noqa: S108 - inside the box
ISOLATION = ("--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL", "--die-with-parent", "--new-session")
SYSTEM_LINKS = ("/bin", "/lib", "/lib64", "/sbin")
SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/ssl/certs")


class BwrapSandbox:
    """A bubblewrap box.

    `user` is the account a call by root drops to, `scratch_root` the place for the private copies of its runs,
    `interpreter_paths` are further folders to show read-only at their own place, `temporary_bytes` caps `/tmp` and `/dev/shm`.
    """

    name = "bwrap"

    def __init__(
        self,
        *,
        user: str = "nobody",
        scratch_root: str = "/var/tmp/scq",  # noqa: S108 - made with its owner checked
        interpreter_paths: Sequence[str] = (),
        temporary_bytes: int = TEMPORARY_BYTES,
    ) -> None:
        self.user = user
        self.scratch_root = scratch_root
        self.interpreter_paths = tuple(interpreter_paths)
        self.temporary_bytes = temporary_bytes

    def check(self) -> Sequence[Problem]:
        """Prove that the box holds on this machine, by trying to break out of one. Takes about 30 ms."""
        from scq.sandbox.selftest import check_bwrap

        return check_bwrap(self)

    def scratch(self, directory: str) -> str:
        """The directory of the run itself, or for root a folder that the dropped user can reach. Raises ConfigError."""
        dropped = self.dropped()
        return directory if dropped is None else make_scratch(directory, self.scratch_root, *dropped)

    def wrap(self, command: Sequence[str], *, work: str, cwd: str, env: Mapping[str, str]) -> Invocation:
        """The command inside the box. Called by root it also gives `work` to the dropped user.

        The box adds PATH, HOME and LANG where `env` has none. Raises UsageError when `cwd` leaves `work`, and ConfigError without
        bwrap or without a usable user.
        """
        program = find_bwrap()
        if program is None:
            raise ConfigError("sandbox: bubblewrap (bwrap) is not installed", INSTALL)
        argv = (program, *self._options(work, inside(WORK, cwd), env), "--", *command)
        dropped = self.dropped()
        if dropped is not None:
            hand_over(work, *dropped)
        # bwrap's own environment can be read inside as /proc/1/environ: it has to be empty.
        return Invocation(argv, {}, "/", None if dropped is None else dropped[0])

    def dropped(self) -> tuple[int, int] | None:
        """User and group that a call by root drops to; None for an ordinary user. Raises ConfigError."""
        if 0 not in (os.getuid(), os.geteuid()):
            return None
        try:
            account = pwd.getpwnam(self.user)
        except KeyError:
            raise ConfigError(
                f"sandbox.user: there is no user {self.user!r} on this machine", "Name an ordinary user, such as nobody."
            ) from None
        if account.pw_uid == 0:
            raise ConfigError("sandbox.user: root cannot be boxed", "Name an ordinary user, such as nobody.")
        return account.pw_uid, account.pw_gid

    def _options(self, work: str, cwd: str, env: Mapping[str, str]) -> Iterator[str]:
        yield from ISOLATION
        yield "--clearenv"
        for name, value in {**USUAL_ENVIRONMENT, **env}.items():
            yield from ("--setenv", name, moved(value, work, WORK))
        yield from ("--ro-bind", "/usr", "/usr")
        for path in SYSTEM_LINKS:
            yield from ("--symlink", os.readlink(path), path) if os.path.islink(path) else ("--ro-bind-try", path, path)
        for path in SYSTEM_FILES:
            yield from ("--ro-bind-try", path, path)
        size = str(self.temporary_bytes)
        yield from ("--proc", "/proc", "--dev", "/dev")
        for path in ("/tmp", "/dev/shm"):  # noqa: S108 - inside the box
            yield from ("--size", size, "--tmpfs", path)
        for path in self.interpreter_paths:
            yield from ("--ro-bind", path, path)
        yield from ("--bind", work, WORK, "--chdir", cwd)
        # What bubblewrap itself mounts there has no cap: nothing but the capped folders and the job's own stays writable.
        yield from ("--remount-ro", "/dev", "--remount-ro", "/")
