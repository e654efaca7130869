"""What a program hands over as code, made ready for `submit`."""

from __future__ import annotations

import os

from scq.errors import UsageError
from scq.library.given import absolute, text

SHELL = "#!/bin/bash\n"
KINDS = {"python": (".py",), "bash": (".sh", ".bash")}
"""Kind of a script to the endings by which `submit` knows it."""


def encoded(script: str) -> bytes:
    """The text of a script as it is stored. Raises UsageError."""
    return text("the script", script).encode("utf-8")


def source(kind: str, script: str, path: str | os.PathLike[str] | None) -> tuple[str, bytes | None]:
    """(source, stdin) of `submit` for a script of one kind, given as text or as a path. Raises UsageError."""
    if (path is None) == (not text("the script", script)):
        raise UsageError("a script is either text or a file", "Pass script_content or path, one of the two.")
    if path is not None:
        return _file(kind, absolute(path)), None
    if kind == "bash" and not script.startswith("#!"):
        script = SHELL + script
    _expect(kind, script.partition("\n")[0])
    return "-", encoded(script)


def _file(kind: str, path: str) -> str:
    other = next(endings for name, endings in KINDS.items() if name != kind)
    is_folder = os.path.isdir(path)
    if path.endswith(other) or (is_folder and kind == "bash"):
        raise UsageError(f"{path} is not a {kind} script", "submit_job takes everything that can be sent.")
    if not is_folder and os.path.lexists(path) and not path.endswith(KINDS[kind]):
        raise UsageError(f"{path} has no ending that tells a {kind} script", f"Call it {KINDS[kind][0]}, or use submit_job.")
    return path


def _expect(kind: str, first_line: str) -> None:
    """Check what kind of script its first line asks for: `submit` would go by it."""
    words = first_line[2:].split() if first_line.startswith("#!") else []
    is_shell = any(word.endswith(("/sh", "bash")) for word in words)
    if words and is_shell != (kind == "bash"):
        raise UsageError(f"this is not a {kind} script: it begins with {first_line[:80]!a}", "submit_script goes by that line.")
