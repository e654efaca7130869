"""The commands of the walk through waiting jobs, and the options that `a` takes."""

from __future__ import annotations

import getopt
import shlex
from typing import Any

from scq.clean import line
from scq.errors import UsageError

OPTIONS = ("reason=", "expires=", "max-runs=", "timeout=", "memory=", "by=", "accept-finding=")
"""What `a` understands, as `scq approve` does."""
HELP = """\
 1, 2 …  open a file
 o       open all of them
 d       show what changed
 f       show all findings
 e       open copies in your editor;
         e 2 opens one
 l       show this job again
 a       approve exactly this content
 r       reject; the submitter reads why
 s       skip: it goes on waiting
 b       back to the one before
 q       quit, like Ctrl+C or Ctrl+D;
         what was decided stays decided

An approval takes the options of
scq approve:
 a --expires 7d --max-runs 1
 a --timeout 30m --memory 2GiB
 a -r REASON"""


def choices(text: str) -> dict[str, Any]:
    """The options behind `a`, as arguments of `approve`; other words belong to the reason. Raises UsageError."""
    try:
        given, rest = getopt.gnu_getopt(_words(text), "r:", list(OPTIONS))
    except getopt.GetoptError as error:
        options = ", ".join(f"--{option.rstrip('=')}" for option in OPTIONS)
        raise UsageError(line(str(error)), f"The options are those of scq approve: -r, {options}") from error
    found: dict[str, Any] = {}
    reason: list[str] = []
    for option, value in given:
        name = option.removeprefix("--").replace("-", "_")
        if option in ("-r", "--reason"):
            reason.append(value)
        elif name == "accept_finding":
            found.setdefault("accept", []).append(value)
        else:
            found[name] = _number(value) if name == "max_runs" else value
    return found | ({"reason": " ".join([*reason, *rest])} if reason or rest else {})


def _words(text: str) -> list[str]:
    """As a shell reads them; an apostrophe that quotes nothing is a letter like others."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _number(value: str) -> int:
    if value.isascii() and value.isdecimal() and len(value) < 12:
        return int(value)
    raise UsageError(f"--max-runs {value[:80]!a} is not allowed", "It is a whole number, such as 1")
