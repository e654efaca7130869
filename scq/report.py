"""What a verb returns: facts for programs, lines for people, problems, and the exit code."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from scq.errors import OK
from scq.model import Problem


class Report(Struct, frozen=True):
    """The result of one verb. `data` becomes `data` of the JSON document, `lines` go to stdout for people."""

    command: str
    data: dict[str, Any] = {}
    lines: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    exit_code: int = OK
    errors: tuple[str, ...] = ()
    """What made the verb fail, one line each; shown on stderr."""

    @property
    def ok(self) -> bool:
        return not self.errors and self.exit_code in (OK, 3)


def as_json(report: Report) -> str:
    """The versioned document of the command line contract, one line, UTF-8."""
    document = {
        "scq": 1,
        "command": report.command,
        "ok": report.ok,
        "exit_code": report.exit_code,
        "data": report.data,
        "problems": [{"where": p.where, "what": p.what, "advice": p.advice} for p in report.problems],
        "errors": list(report.errors),
    }
    try:
        return msgspec.json.encode(document).decode("utf-8")
    except UnicodeEncodeError:
        # Words of a command line or names of files that are no text.
        import json

        plain = json.dumps(msgspec.to_builtins(document), ensure_ascii=False, separators=(",", ":"))
        return plain.encode("utf-8", "replace").decode("utf-8")
