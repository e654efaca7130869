"""Proof that a bubblewrap box holds: a small script inside tries what must not work, and its answers are judged outside."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from scq.descriptors import opened
from scq.errors import ConfigError
from scq.model import Problem
from scq.ports import Invocation
from scq.sandbox.program import INSTALL, NEEDED_VERSION, TIMEOUT_S, find_bwrap, installed_version
from scq.sandbox.scratch import TRIAL, remove_scratch, sweep_trials

WHERE = "sandbox"
SECRET = "scq-canary"  # noqa: S105 - a word to look for
PROBE = """
echo "namespace $(readlink /proc/self/ns/pid)"
for entry in /proc/[0-9]*; do echo "process ${entry#/proc/}"; done
while read -r name rest; do case $name in *:*) echo "interface ${name%%:*}";; esac; done < /proc/net/dev
while read -r id parent device inside point options rest; do echo "mount $point $options"; done < /proc/self/mountinfo
while read -r name value rest; do
  case $name in CapEff:|NoNewPrivs:|Seccomp:|Uid:) echo "$name $value";; esac
done < /proc/self/status
export -p | while read -r word rest; do echo "variable ${rest%%=*}"; done
read -r word < /proc/1/environ; echo "environ $word"
read -r word < /proc/1/cmdline; echo "cmdline $word"
read -r word < "$CANARY" && echo "canary $word"
echo own > proof && echo "work writable"
true > /usr/.scq-selftest && echo "usr writable"
true >> /proc/sys/kernel/core_pattern && echo "kernel writable"
chmod u+s proof && echo "set-id possible"
command -v unshare > /dev/null && unshare -U true && echo "namespaces possible"
echo "end reached"
"""
GIVEN = {"PATH", "HOME", "LANG", "CANARY", "PWD", "OLDPWD", "_", "SHLVL"}
"""The variables of the probe, and those a shell makes itself."""
TUNNELS = {"sit0", "tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "ip6tnl0", "ip6gre0"}
"""Interfaces that some kernels put into every new network. They are down and lead nowhere."""


class Box(Protocol):
    """What of the sandbox is tried."""

    interpreter_paths: tuple[str, ...]
    scratch_root: str

    def scratch(self, directory: str) -> str: ...
    def wrap(self, command: Sequence[str], *, work: str, cwd: str, env: Mapping[str, str]) -> Invocation: ...
    def dropped(self) -> tuple[int, int] | None: ...


def check_bwrap(sandbox: Box) -> list[Problem]:
    """Everything that keeps the box from holding; empty when it holds."""
    program = find_bwrap()
    if program is None:
        return [Problem(WHERE, "bubblewrap (bwrap) is not installed", INSTALL)]
    version = installed_version(program)
    if version < NEEDED_VERSION:
        found, needed = (".".join(map(str, number)) for number in (version, NEEDED_VERSION))
        return [Problem(WHERE, f"bubblewrap {found} is too old, {needed} is needed", "Install a newer package of bubblewrap.")]
    try:
        sweep_trials(sandbox.scratch_root)
        with tempfile.TemporaryDirectory(prefix=TRIAL) as directory:
            try:
                return _try_to_break_out(sandbox, directory)
            finally:
                remove_scratch(directory)
    except ConfigError as error:
        return [Problem(WHERE, str(error), error.advice)]
    except (OSError, subprocess.SubprocessError) as error:
        return [Problem(WHERE, f"the self-test of the box could not be run ({error})", "Run scq doctor for details.")]


def _try_to_break_out(sandbox: Box, directory: str) -> list[Problem]:
    scratch = sandbox.scratch(directory)
    work, private = os.path.join(scratch, "work"), os.path.join(scratch, "private")
    canary = os.path.join(private, "canary")
    for folder in (work, private):
        os.mkdir(folder, 0o700)
    with open(canary, "w") as file:
        file.write(f"{SECRET}\n")
    invocation = sandbox.wrap(["/bin/sh", "-c", PROBE], work=work, cwd=".", env={"CANARY": canary})
    dropped = sandbox.dropped()
    if dropped is not None:
        # The same user owns it: only the box keeps it from being read, not the access rights.
        for path in (private, canary):
            os.chown(path, *dropped)
    said = _run(invocation, dropped)
    if "end reached" not in said.stdout:
        return [Problem(WHERE, f"the box cannot be made: {_last_line(said.stderr)}", _advice(said.stderr, sandbox))]
    return [
        Problem(WHERE, what, "Do not run jobs here; report this.") for what in _judge(said.stdout, os.path.join(work, "proof"))
    ]


def _run(invocation: Invocation, dropped: tuple[int, int] | None) -> subprocess.CompletedProcess[str]:
    user, group = dropped or (None, None)
    with opened(invocation) as (argv, descriptors):
        return subprocess.run(
            argv,
            env=dict(invocation.env),
            cwd=invocation.cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
            pass_fds=descriptors,
            user=user,
            group=group,
            extra_groups=None if dropped is None else [],
        )


def _judge(answers: str, proof: str) -> Iterator[str]:
    """What the answers of the probe give away, one sentence each."""
    said: dict[str, list[str]] = {}
    for line in answers.splitlines():
        key, _, value = line.partition(" ")
        said.setdefault(key, []).append(value)
    if set(said.get("interface", [])) - TUNNELS != {"lo"}:
        yield f"a job can see network interfaces: {', '.join(said.get('interface', ['unknown']))}"
    if SECRET in said.get("canary", []):
        yield "a job can read private files outside its folder"
    if said.get("namespace", [""])[0] in ("", os.readlink("/proc/self/ns/pid")) or str(os.getpid()) in said.get("process", []):
        yield "a job can see the processes of this machine"
    if "usr" in said or "kernel" in said or not {"/", "/dev", "/usr"} <= _read_only(said.get("mount", [])):
        yield "a job can write to the system"
    if said.get("CapEff:") != ["0000000000000000"] or said.get("NoNewPrivs:") != ["1"] or "set-id" in said:
        yield "a job can have or gain privileges"
    if said.get("Seccomp:") != ["2"] or "namespaces" in said:
        yield "the system calls of a job are not filtered"
    if not {"CANARY"} <= set(said.get("variable", [])) <= GIVEN or said.get("environ") != [""]:
        yield "a job can see variables of the caller"
    if os.path.dirname(proof) in "".join(said.get("cmdline", [proof])):
        yield "a job can see where its folder lies on this machine"
    if "work" not in said or not os.path.isfile(proof):
        yield "a job cannot write to its own folder"
    elif os.lstat(proof).st_uid == 0 or said.get("Uid:", ["0"])[0] == "0":
        yield "a job runs as root"


def _read_only(mounts: list[str]) -> set[str]:
    """Mount points whose option list begins with `ro`; of mounts upon each other the last one counts."""
    options = dict(mount.split(" ", 1) for mount in mounts if " " in mount)
    return {point for point, option in options.items() if option.split(",")[0] == "ro"}


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return "".join(character for character in (lines[-1] if lines else "no reason given") if character.isprintable())


def _advice(stderr: str, sandbox: Box) -> str:
    """What to change so that the box can be made."""
    for path in sandbox.interpreter_paths:
        if path in stderr:
            return f"sandbox.interpreters: {path} is not there or not readable for the user of the box."
    return sysctl_advice("/proc/sys") or "See docs/sandbox.md for what the box needs from the machine."


def sysctl_advice(settings: str) -> str | None:
    """The kernel setting that forbids user namespaces, as the command that allows them; None when no known one does."""
    for path, forbidding, command in (
        ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"),
    ):
        try:
            with open(os.path.join(settings, path)) as file:
                value = file.read().strip()
        except OSError:  # a kernel without this setting
            continue
        if value == forbidding:
            return f"Allow user namespaces: {command} (keep it in /etc/sysctl.d/)."
    return None
