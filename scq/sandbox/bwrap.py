"""The box made by bubblewrap: no network, no home, no processes of others, a read-only system, one writable folder.

Entered with real user id 0 it would be no box (the job could write kernel settings and leave set-user-id files), so a call by
root runs it as an ordinary user. Source of the options: bwrap(1), bubblewrap 0.8.0.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Mapping, Sequence

from scq.errors import ConfigError, UsageError
from scq.model import NO_LIMITS, Limits, Problem
from scq.ports import Invocation, Mount, Plan
from scq.sandbox import seccomp, shown
from scq.sandbox.account import own_name
from scq.sandbox.program import INSTALL, find_bwrap
from scq.sandbox.scratch import hand_over, make_scratch
from scq.sandbox.sources import prove_readable
from scq.sandbox.work import inside, moved

WORK = "/job"
"""Where the box shows the private copy."""
TEMPORARY_BYTES = 64 << 20
USUAL_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"}  # noqa: S108 - inside the box
HOSTNAME = "job"
ISOLATION = (
    *("--unshare-all", "--unshare-user", "--disable-userns", "--hostname", HOSTNAME),
    *("--cap-drop", "ALL", "--die-with-parent", "--new-session"),
)
HOSTS = f"127.0.0.1 localhost {HOSTNAME}\n::1 localhost\n".encode()
"""Without a network nothing else has a name, but programs that talk to themselves look these up."""
OPTIONS, SECCOMP, STATUS, NAMES = "{options}", "{seccomp}", "{status}", "{names}"
"""Words of the argument vector that become descriptors. The options name folders of this machine, and the job can read the
argument vector as `/proc/1/cmdline`: so they come through one."""


class BwrapSandbox:
    """A bubblewrap box.

    `user` is the account a call by root drops to, `scratch_root` the place for the private copies of its runs,
    `interpreter_paths` are further folders to show read-only at their own place, `temporary_bytes` caps `/tmp` and `/dev/shm`.
    `apart`: private copies are made below `scratch_root` whoever calls.
    """

    name = "bwrap"

    def __init__(
        self,
        *,
        user: str = "nobody",
        scratch_root: str = "/var/tmp/scq",  # noqa: S108 - made with its owner checked
        interpreter_paths: Sequence[str] = (),
        temporary_bytes: int = TEMPORARY_BYTES,
        apart: bool = False,
    ) -> None:
        self.user = user
        self.scratch_root = scratch_root
        self.interpreter_paths = tuple(interpreter_paths)
        self.temporary_bytes = temporary_bytes
        self.apart = apart

    def check(self) -> Sequence[Problem]:
        """Prove that the box holds on this machine, by trying to break out of one. Takes about 30 ms."""
        from scq.sandbox.selftest import check_bwrap

        return check_bwrap(self)

    def scratch(self, directory: str) -> str:
        """The directory of the run itself, or for root a folder that the dropped user can reach. Raises ConfigError."""
        dropped = self.dropped()
        if dropped is None and not self.apart:
            return directory
        return make_scratch(directory, self.scratch_root, *(dropped or (os.geteuid(), os.getegid())))

    def plan(
        self,
        command: Sequence[str],
        *,
        work: str,
        cwd: str,
        env: Mapping[str, str],
        mounts: Sequence[Mount] = (),
        network: bool = False,
        limits: Limits = NO_LIMITS,
    ) -> Plan:
        """What `wrap` gives the job. The box adds PATH, HOME and LANG where `env` has none.

        Raises UsageError when `cwd` leaves `work`, and ConfigError when a mount cannot be shown where it is wanted.
        """
        taken = (*shown.system(network=network), *shown.interpreters(self.interpreter_paths))
        environment = {name: moved(value, work, WORK) for name, value in {**USUAL_ENVIRONMENT, **env}.items()}
        return Plan(
            sandbox=self.name,
            user=own_name() if self.dropped() is None else self.user,
            network=network,
            command=tuple(command),
            cwd=inside(WORK, cwd),
            environment=environment,
            mounts=(*taken, Mount(work, WORK, writable=True), *shown.ordered(mounts, taken, WORK)),
            limits=limits,
            notes=self._notes(network),
        )

    def wrap(
        self,
        command: Sequence[str],
        *,
        work: str,
        cwd: str,
        env: Mapping[str, str],
        mounts: Sequence[Mount] = (),
        network: bool = False,
        limits: Limits = NO_LIMITS,
    ) -> Invocation:
        """The command inside the box, as planned. Called by root it also gives `work` to the dropped user.

        Raises what `plan` raises; ConfigError without bwrap, libseccomp or a usable user, and when a mount cannot be read by the
        user the job runs as.
        """
        program = find_bwrap()
        if program is None:
            raise ConfigError("sandbox: bubblewrap (bwrap) is not installed", INSTALL)
        plan = self.plan(command, work=work, cwd=cwd, env=env, mounts=mounts, network=network, limits=limits)
        feeds = {OPTIONS: _as_feed(self._options(plan)), SECCOMP: seccomp.program()}
        dropped = self.dropped()
        prove_readable([*shown.interpreters(self.interpreter_paths), *mounts], dropped, plan.user)
        if dropped is not None:
            hand_over(work, *dropped)
        names: tuple[str, ...] = ()
        if not network:
            feeds[NAMES] = HOSTS
            names = ("--perms", "0444", "--ro-bind-data", NAMES, "/etc/hosts")
        # In this order: the options end by making everything read-only.
        argv = (program, *names, "--args", OPTIONS, "--seccomp", SECCOMP, "--json-status-fd", STATUS, "--", *plan.command)
        # bwrap's own environment can be read inside as /proc/1/environ: it has to be empty.
        return Invocation(argv, {}, "/", None if dropped is None else dropped[0], feeds, STATUS)

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

    def _notes(self, network: bool) -> tuple[str, ...]:
        return (
            "network of this machine, its local services included"
            if network
            else f"no network: localhost and {HOSTNAME} are the job itself",
            f"{' and '.join(shown.TEMPORARY)}: {self.temporary_bytes >> 20} MiB each",
            f"system calls refused: {seccomp.COUNT}",
            "no capabilities, no further user namespaces, a session of its own",
        )

    def _options(self, plan: Plan) -> Iterator[str]:
        yield from ISOLATION
        if plan.network:
            yield "--share-net"
        yield "--clearenv"
        for name, value in plan.environment.items():
            yield from ("--setenv", name, value)
        yield from ("--proc", "/proc", "--dev", "/dev")
        for path in shown.TEMPORARY:
            yield from ("--size", str(self.temporary_bytes), "--tmpfs", path)
        for mount in plan.mounts:
            yield from (_binding(mount), mount.source, mount.target)
        for path in shown.services():
            yield from ("--perms", "0555", "--size", "4096", "--tmpfs", path, "--remount-ro", path)
        for target, path in shown.links():
            yield from ("--symlink", target, path)
        yield from ("--chdir", plan.cwd)
        # What bubblewrap itself mounts there has no cap: nothing but the capped folders and the job's own stays writable.
        yield from ("--remount-ro", "/dev", "--remount-ro", "/")


def _binding(mount: Mount) -> str:
    """The option that shows it. Only `--dev-bind` leaves a device usable."""
    return "--dev-bind" if mount.device else "--bind" if mount.writable else "--ro-bind"


def _as_feed(options: Iterator[str]) -> bytes:
    """Options as `--args` reads them, each ended by a NUL. Raises UsageError for one that holds a NUL: it would be two."""
    words = tuple(options)
    for word in words:
        if "\0" in word:
            raise UsageError(f"{word!r} holds a NUL character", "Such a path or value cannot be given to a job.")
    return b"".join(os.fsencode(word) + b"\0" for word in words)
