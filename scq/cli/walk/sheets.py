"""What a person is shown of one job before it is decided, and what of it was opened."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from scq.clean import line
from scq.cli.walk.faces import FileRow, Hint, Sheet
from scq.commands import diff
from scq.commands import list as listing
from scq.commands.status.screen import ago, count
from scq.context import Context
from scq.errors import ScqError
from scq.joining import NOT_ACCEPTED
from scq.model import Limits
from scq.report import Report
from scq.selecting import select
from scq.showing import LIMIT_WORDS, NO_PEER, ON_DRIVE, limit_words, size, when

NAMED_CHANGES = 4
Opened = frozenset[tuple[str, str]]
"""Path and SHA-256 of files."""


class Shown:
    """One job as `review` gave it (`data`, see docs/json.md) when it was shown, and what of it was opened since.

    Files in `opened` before need not be opened again; all of it counts as opened when exactly this was read earlier.
    """

    def __init__(self, data: dict[str, Any], opened: Opened = frozenset()) -> None:
        self.data = data
        self.id: str = data["id"]
        self.digest: str | None = data["digest"] if data["where"] == "local" else None
        self.files: list[dict[str, Any]] = data["files"]
        self.read = self.digest is not None and data["reviewed"] == self.digest
        self.opened = {file["path"] for file in self.files if self.read or (file["path"], file["sha256"]) in opened}
        self._difference: Report | ScqError | None = None

    def contents(self) -> Opened:
        """What was opened, by content."""
        return frozenset((file["path"], file["sha256"]) for file in self.files if file["path"] in self.opened)

    def missing(self) -> list[str]:
        """Paths of what was not opened in full."""
        return [file["path"] for file in self.files if file["path"] not in self.opened]

    def compared(self, ctx: Context) -> Report:
        """What `diff` says about it, found once. Raises ScqError when it cannot be compared."""
        if self._difference is None:
            try:
                self._difference = diff.run(ctx, self.id)
            except ScqError as error:
                self._difference = error
        if isinstance(self._difference, ScqError):
            raise self._difference
        return self._difference

    def rows(self) -> tuple[FileRow, ...]:
        """Its files with their numbers."""
        return tuple(_row(number, file, file["path"] in self.opened) for number, file in enumerate(self.files, 1))

    def hints(self) -> tuple[Hint, ...]:
        """What is to be looked at in its code."""
        return tuple(_hint(finding) for finding in self.data["findings"])

    def sheet(self, ctx: Context, place: str) -> Sheet:
        """Everything that is shown of it at first. `place` says which of how many it is."""
        data = self.data
        warnings = [f"cannot be run: {line(reason, 300)}" for reason in data["invalid"]]
        warnings += [f"{line(problem['what'], 300)}. {line(problem['advice'], 300)}".rstrip() for problem in data["problems"]]
        warnings += [ON_DRIVE] if data["where"] == "drive" else []
        warnings += [NO_PEER] if NOT_ACCEPTED in data["flags"] else []
        facts = tuple((name, value) for name, value in _facts(ctx, self) if value)
        return Sheet(f"{place}: {line(data['name'])}", facts, tuple(warnings), self.hints(), self.rows())


def _facts(ctx: Context, shown: Shown) -> list[tuple[str, str]]:
    data = shown.data
    limits = data["limits"] or {"given": {}, "asks_for_more": []}
    before = "other content before; it changed since" if data["reviewed"] else ""
    return [
        ("job", data["short_id"]),
        ("from", line(data["submitter"]) or "(unknown)"),
        ("sent", _sent(ctx, data["submitted_at"])),
        ("digest", (shown.digest or "").removeprefix("sha256:")[:12]),
        ("about", line(data["description"], 500)),
        ("tags", line(", ".join(data["tags"]), 300)),
        ("installs", line(", ".join(data["dependencies"]), 500)),
        ("runs with", ", ".join(limit_words(msgspec.convert(limits["given"], Limits)))),
        ("asks for more", ", ".join(LIMIT_WORDS[name] for name in limits["asks_for_more"])),
        ("compared", _difference(ctx, shown)),
        ("you read", "all of this" if shown.read else before),
    ]


def _sent(ctx: Context, at: str | None) -> str:
    if at is None:
        return "at an unknown time"
    moment = datetime.fromisoformat(at)
    return f"{when(moment)} ({ago(moment, ctx.now())})"


def _difference(ctx: Context, shown: Shown) -> str:
    """In one line what `diff` shows in full."""
    try:
        found = shown.compared(ctx).data
    except ScqError as error:
        return f"not possible: {line(str(error), 300)}"
    if found["against"] is None:
        others = listing.run(ctx, submitter=shown.data["submitter"], for_me=True).data["total"] - 1
        if others < 1:
            return "first job of this submitter"
        return f"no job of this name was approved before; {count(others, 'other job', 'other jobs')} of this submitter"
    what = _approved(ctx, shown, found["against"])
    if found["same"]:
        return f"identical to {what}"
    files = found["files"]
    names = ", ".join(f"{line(file['path'], 60)} {file['change']}" for file in files[:NAMED_CHANGES])
    more = f" and {len(files) - NAMED_CHANGES} more" if len(files) > NAMED_CHANGES else ""
    return f"{count(len(files), 'file', 'files')} changed since {what}: {names}{more}"


def _approved(ctx: Context, shown: Shown, against: str) -> str:
    """What a job is compared with, by who approved it and when."""
    if against.startswith("what was approved"):
        approval = shown.data["approval"]
        by, at = approval["by"], datetime.fromisoformat(approval["at"])
    else:
        decision = select(ctx, against)[2].decision
        if decision is None or decision.verdict != "approve":
            return f"job {line(against)}, which was run before"
        by, at = decision.by, decision.at
    return f"what {'you' if by == ctx.config.email else line(by)} approved on {when(at)}"


def _row(number: int, file: dict[str, Any], opened: bool) -> FileRow:
    notes = (["executable"] if file["executable"] else []) + (["opened"] if opened else [])
    return FileRow(number, size(file["size"]), line(file["path"], 300), ", ".join(notes))


def _hint(finding: dict[str, Any]) -> Hint:
    place = f"{line(finding['path'], 120)}:{finding['line']}" if finding["path"] else ""
    return Hint(place, line(finding["rule"]), line(finding["what"], 300), finding["denied"])
