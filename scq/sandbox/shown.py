"""Which files of this machine a box shows, as mounts. Reads the machine, changes nothing."""

from __future__ import annotations

import fnmatch
import os
import posixpath
import stat
from collections.abc import Iterable, Iterator, Sequence

from scq.errors import ConfigError
from scq.ports import Mount

SYSTEM_LINKS = ("/bin", "/lib", "/lib64", "/sbin")
"""Links into `/usr` on most machines, folders of their own on some."""
SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/ssl/certs")
SERVICES = ("/usr/local/var",)
"""Below `/usr` and yet no programs: the data and the sockets of services that were built by hand. Whoever reaches that of munge
can send jobs to the cluster in the owner's name."""
NETWORK_FILES = (
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/ssl/openssl.cnf",
    "/etc/ssl/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/ca-trust",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
)
"""What names and certificates are looked up with. Only the public parts: keys of this machine lie beside them."""
TEMPORARY = ("/tmp", "/dev/shm")  # noqa: S108 - inside the box
OWN = ("/usr", "/proc", "/dev", *SYSTEM_LINKS)
"""Where nothing else can be shown, but device files below `/dev`."""
DEVICES = "/dev"
OWN_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "core", "fd", "stdin", "stdout", "stderr")
"""What every box has there, as files of its own."""


def system(*, network: bool) -> Iterator[Mount]:
    """The system's own files, read-only; with a network also what is needed to use one."""
    yield Mount("/usr", "/usr")
    for path in SYSTEM_LINKS:
        if os.path.isdir(path) and not os.path.islink(path):
            yield Mount(path, path)
    for path in (*SYSTEM_FILES, *(NETWORK_FILES if network else ())):
        # A link would lead out of what is shown: the file it leads to takes its place.
        source = os.path.realpath(path)
        if os.path.exists(source):
            yield Mount(source, path)


def services() -> Iterator[str]:
    """Folders inside those of the system that a job sees empty."""
    return (path for path in SERVICES if os.path.isdir(path) and not os.path.islink(path))


def links() -> Iterator[tuple[str, str]]:
    """(target, path) of the system's links at the top."""
    for path in SYSTEM_LINKS:
        if os.path.islink(path):
            yield os.readlink(path), path


def interpreters(paths: Iterable[str]) -> Iterator[Mount]:
    """Further folders at their own place; where a link leads there, at both places, because programs in it know either."""
    for path in paths:
        real = os.path.realpath(path)
        yield Mount(real, path)
        if real != path:
            yield Mount(real, real)


def devices(patterns: Sequence[str], folder: str = DEVICES) -> tuple[Mount, ...]:
    """The character devices directly below `/dev` that one of the patterns, such as `/dev/nvidia*`, stands for now, by name.

    Links and what every box has anyway are passed over. Raises ConfigError for a pattern of another place.
    """
    wanted = [pattern.removeprefix(f"{DEVICES}/") for pattern in patterns]
    for pattern, name in zip(patterns, wanted, strict=True):
        if name == pattern or "/" in name or name in ("", ".", ".."):
            advice = f"Name devices directly below {DEVICES}, such as {DEVICES}/nvidia*."
            raise ConfigError(f"{pattern}: is no device that can be shown to jobs", advice)
    names = [name for name in sorted(os.listdir(folder)) if any(fnmatch.fnmatchcase(name, one) for one in wanted)]
    return tuple(
        Mount(f"{folder}/{name}", f"{folder}/{name}", device=True)
        for name in names
        if name not in OWN_DEVICES and _is_device(f"{folder}/{name}")
    )


def _is_device(path: str) -> bool:
    try:
        return stat.S_ISCHR(os.lstat(path).st_mode)
    except OSError:  # it was unplugged
        return False


def ordered(given: Sequence[Mount], taken: Sequence[Mount], work: str) -> Iterator[Mount]:
    """The given mounts, outer folders before the inner ones.

    Raises ConfigError when a place is not usable: taken by the box itself, given twice, or inside a mount that has no such file.
    """
    placed: list[Mount] = []
    for mount in sorted(given, key=lambda one: one.target.split("/")):
        _check_place(mount, [*(one.target for one in taken), *OWN, work], [one.target for one in placed])
        _check_point(mount, placed)
        placed.append(mount)
        yield mount


def _check_place(mount: Mount, taken: Sequence[str], given: Sequence[str]) -> None:
    target = mount.target
    if mount.device:
        _check_device(mount, given)
        return
    advice = "Choose a place of its own, such as /data/name."
    if target[:1] != "/" or target[:2] == "//" or posixpath.normpath(target) != target or "\0" in target:
        raise ConfigError(f"{mount.source}: {target!r} is no place in the box", advice)
    clash = [one for one in taken if _within(target, one) or _within(one, target)]
    clash += [one for one in (*given, *TEMPORARY) if one == target]
    if clash:
        raise ConfigError(f"{mount.source}: cannot be shown at {target}, {clash[0]} is there already", advice)


def _check_device(mount: Mount, given: Sequence[str]) -> None:
    """Devices stand where this machine has them, beside those of the box itself."""
    folder, name = posixpath.split(mount.target)
    own = name in (*OWN_DEVICES, *(posixpath.basename(one) for one in TEMPORARY), "pts", "mqueue", "", ".", "..")
    if mount.source != mount.target or folder != DEVICES or own or "\0" in name or mount.target in given:
        advice = f"Only device files directly below {DEVICES} can be shown, each at its own place."
        raise ConfigError(f"{mount.source}: cannot be shown as a device at {mount.target}", advice)


def _check_point(mount: Mount, placed: Sequence[Mount]) -> None:
    """Inside a read-only mount no place can be made, so it has to be there."""
    for outer in reversed(placed):
        if _within(mount.target, outer.target):
            point = outer.source + mount.target[len(outer.target) :]
            if os.path.isdir(point) != os.path.isdir(mount.source) or not os.path.exists(point):
                advice = f"Make {point}, or choose another place."
                raise ConfigError(f"{mount.source}: cannot be shown at {mount.target}, {outer.source} has no such place", advice)
            return


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
