"""Whether a path that is named in code lies where a job has nothing to look for."""

from __future__ import annotations

import posixpath
import re

ORDINARY = (
    *("/bin", "/dev/fd", "/dev/null", "/dev/random", "/dev/stderr", "/dev/stdin", "/dev/stdout", "/dev/urandom", "/dev/zero"),
    *("/lib", "/lib64", "/sbin", "/tmp", "/usr"),  # noqa: S108 - names that jobs use, nothing is made there
)
"""What every job may name: installed software, its own temporary folder, harmless devices."""
PRIVATE = ("boot", "dev", "etc", "home", "media", "mnt", "opt", "proc", "root", "run", "srv", "sys", "var", "Users", "Volumes")
_PATH = re.compile(r"[\w./~@+:,=*?%{}\[\] -]+")


def outside(text: str, allowed: tuple[str, ...]) -> bool:
    """True for a path that is absolute or leaves the code, and lies neither in an ordinary nor in an `allowed` place.

    `allowed` holds absolute paths, and paths relative to the working folder that lead out of it (`../output`).
    """
    if len(text) > 4096 or _PATH.fullmatch(text) is None or text.isspace():
        return False
    if text == "~" or re.match(r"~[\w.-]*/", text):
        return True
    if not text.startswith("/") and ".." not in text.split("/"):
        return False
    path = posixpath.normpath(text)
    if path.startswith("//"):
        path = path[1:]
    if not path.startswith(("/", "..")):
        return False
    return not any(path == place or path.startswith(place.rstrip("/") + "/") for place in (*ORDINARY, *allowed))


def is_private(text: str) -> bool:
    """True for a text that can hardly be anything but a path of this machine's own files."""
    if text.startswith("~/"):
        return True
    parts = text.split("/")
    return len(parts) > 2 and not parts[0] and parts[1] in PRIVATE and " " not in text
