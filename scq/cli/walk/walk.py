"""`scq review` without a job: the jobs that wait, one by one, each read and decided with commands of one letter."""

from __future__ import annotations

import os
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Literal

from scq.clean import line
from scq.cli.walk.choices import HELP, choices
from scq.cli.walk.faces import MOST_FILES, NARROWEST, Plain
from scq.cli.walk.sheets import Opened, Shown
from scq.cli.walk.terminal import Terminal
from scq.commands import approve, pending, reject, review
from scq.commands.status.screen import count
from scq.context import Context
from scq.digest import copy
from scq.errors import IntegrityError, ScqError, UsageError
from scq.machine import advice_on, words_of
from scq.report import Report
from scq.selecting import select

Move = Literal["stay", "again", "next", "back", "quit"]
"""What comes after a command: the same prompt, the same job once more from the start, another job, or the end."""
MOST_EDITED = 50
"""Files that an editor is given at once."""
NAMED = 4
"""Files named that were not opened."""
FIRM = "\N{NO-BREAK SPACE}"


class Walk:
    """The jobs that wait, in order, and what became of each here."""

    def __init__(self, ctx: Context, face: Plain, terminal: Terminal, ids: list[str]) -> None:
        self.ctx = ctx
        self.face = face
        self.terminal = terminal
        self.ids = ids
        self.became: dict[str, str] = {}
        self.commands: dict[str, Callable[[Shown, str], Move]] = {
            "o": lambda shown, rest: self._open(shown, shown.files),
            "d": self._diff,
            "f": self._findings,
            "l": self._list,
            "e": self._edit,
            "a": self._approve,
            "r": self._reject,
            "s": self._skip,
            "b": lambda shown, rest: "back",
            "?": self._help,
            "q": lambda shown, rest: "quit",
        }

    def run(self) -> Report:
        """Go through all of them, or as far as the person wants to."""
        try:
            self._walk()
        except (KeyboardInterrupt, EOFError):
            self.terminal.say()
        counted = Counter(self.became.values())
        left = len(self.ids) - len(self.became)
        words = [*(f"{word} {counted[word]}" for word in ("approved", "rejected", "skipped")), f"left {left}"]
        lines = [", ".join(words)]
        if counted["voted"]:
            lines.append(f"{count(counted['voted'], 'approval', 'approvals')} noted; further reviewers are needed")
        if counted["elsewhere"]:
            lines.append(f"{count(counted['elsewhere'], 'job', 'jobs')} decided elsewhere or withdrawn meanwhile")
        return Report("review", {"walked": self.became, "left": left, "total": len(self.ids)}, tuple(lines))

    def _walk(self) -> None:
        at = 0
        while at < len(self.ids):
            move = self._visit(at)
            if move == "quit":
                return
            at = self._before(at) if move == "back" else self._after(at)

    def _after(self, at: int) -> int:
        """The next job that may still wait; the number of all when there is none."""
        return next((place for place in range(at + 1, len(self.ids)) if self._may_wait(place)), len(self.ids))

    def _before(self, at: int) -> int:
        """The nearest job before this one that may still wait; this one when there is none."""
        place = next((place for place in range(at - 1, -1, -1) if self._may_wait(place)), at)
        if place == at:
            self.terminal.say("None before this one still waits.")
        return place

    def _may_wait(self, place: int) -> bool:
        return self.became.get(self.ids[place], "skipped") == "skipped"

    def _visit(self, at: int) -> Move:
        """Show one job and obey until the person moves on."""
        opened: Opened = frozenset()
        while True:
            shown = self._look(self.ids[at], opened)
            if shown is None:
                return "next"
            self.terminal.say(self._sheet(shown))
            move: Move = "stay"
            while move == "stay":
                move = self._obey(shown, self.terminal.ask(self._prompt(shown)))
            if move != "again":
                return move
            opened = shown.contents()

    def _obey(self, shown: Shown, typed: str) -> Move:
        word, _, rest = typed.strip().partition(" ")
        try:
            if word.isascii() and word.isdecimal():
                return self._open(shown, [self._file(shown, word)])
            if word not in self.commands:
                self.terminal.say(f"There is no command {word[:20]!a}; ? lists them." if word else "? lists the commands.")
                return "stay"
            return self.commands[word](shown, rest.strip())
        except ScqError as error:
            self._tell(error)
            return "again" if isinstance(error, IntegrityError) else "stay"

    def _look(self, uid: str, opened: Opened = frozenset()) -> Shown | None:
        """The job as it is now; None, and a word about it, when there is nothing left to decide or it cannot be read."""
        try:
            shown = Shown(review.run(self.ctx, uid, remember=False).data, opened)
        except ScqError as error:
            self._tell(error)
            if isinstance(error, UsageError):
                self.became[uid] = "elsewhere"
            return None
        if shown.data["status"] == "pending":
            return shown
        self.became[uid] = "elsewhere"
        decision = shown.data["approval"]
        who = f"; {line(decision['by'])} decided it" if decision else ""
        self.terminal.say(f"{uid[:8]} {line(shown.data['name'])} is {shown.data['status']} now{who}.")
        return None

    # --- reading -----------------------------------------------------------------------------------------------------------

    def _open(self, shown: Shown, files: list[dict[str, Any]]) -> Move:
        if not files:
            self.terminal.say("It has no files that can be read.")
            return "stay"
        if self.terminal.page(self.face.code(files)):
            self._note(shown, [file for file in files if file["whole"]])
        return "stay"

    def _note(self, shown: Shown, files: list[dict[str, Any]]) -> None:
        """Files were opened in full. With the last of them the content counts as read, as after `scq review ID`."""
        shown.opened.update(file["path"] for file in files)
        if not shown.read and shown.digest is not None and not shown.missing():
            review.note(self.ctx, shown.id, shown.digest)
            shown.read = True

    def _file(self, shown: Shown, word: str) -> dict[str, Any]:
        """The file of this number. Raises UsageError."""
        total = len(shown.files)
        if not (word.isascii() and word.isdecimal() and len(word) < 8 and 1 <= int(word) <= total):
            raise UsageError(
                f"there is no file {word[:20]!a}", f"Files have the numbers 1 to {total}" if total else "It has none"
            )
        return shown.files[int(word) - 1]

    def _edit(self, shown: Shown, rest: str) -> Move:
        files = [self._file(shown, rest)] if rest else shown.files
        if shown.digest is None:
            raise UsageError("there is no whole copy of this job to open", "Its files are opened by their numbers")
        if len(files) > MOST_EDITED:
            raise UsageError(f"this job has {len(files)} files", "Name the one to open, such as e 3")
        self.terminal.say("This opens a copy: edits change nothing, and it is removed afterwards.")
        try:
            edited = self.terminal.edit(lambda folder: self._copied(shown, files, folder))
        except OSError as error:
            raise UsageError(f"no copy could be made: {words_of(error)}", advice_on(error) or "") from error
        if edited:
            self._note(shown, files)
        return "stay"

    def _copied(self, shown: Shown, files: list[dict[str, Any]], folder: str) -> list[str]:
        """Paths of the files in a copy that nobody can write. Raises IntegrityError when they are not what is shown."""
        record = select(self.ctx, shown.id)[1]
        content = self.ctx.layout(record.sighting.ref.layout).content(record.sighting)
        made = copy(self.ctx.config.root, content, self.ctx.caps, folder)
        if made.digest != shown.digest:
            raise IntegrityError(f"{shown.data['short_id']} changed while you read it", "This is what it is now")
        for entry in made.files:
            os.chmod(os.path.join(folder, entry.path), 0o400)
        return [os.path.join(folder, file["path"]) for file in files]

    def _diff(self, shown: Shown, rest: str) -> Move:
        report = shown.compared(self.ctx)
        self.terminal.page(self.face.diff(report.lines[0], report.data["files"]))
        return "stay"

    def _findings(self, shown: Shown, rest: str) -> Move:
        hints = shown.hints()
        self.terminal.page(self.face.findings(hints, self._width()) if hints else "Nothing was found to look at.")
        return "stay"

    def _list(self, shown: Shown, rest: str) -> Move:
        self.terminal.page(self._sheet(shown) + self.face.files(shown.rows()[MOST_FILES:], self._width()))
        return "stay"

    def _help(self, shown: Shown, rest: str) -> Move:
        self.terminal.say(HELP)
        return "stay"

    # --- deciding ----------------------------------------------------------------------------------------------------------

    def _approve(self, shown: Shown, rest: str) -> Move:
        wanted = choices(rest)
        accept = self._accepted(shown, wanted.pop("accept", []))
        if accept is None:
            return "stay"
        wanted |= {"accept": accept, "seen": {shown.id: shown.data["revision"]}}
        wanted |= {"digest": "" if shown.read else shown.digest or ""}
        asked = wanted.pop("reason", None)
        trial = approve.run(self.ctx, [shown.id], dry_run=True, **wanted)
        if trial.errors:
            return self._refused(shown, trial)
        if not self._read_enough(shown):
            return "stay"
        reason = self.terminal.ask("Reason (may be empty): ") if asked is None else asked
        return self._decided(shown, lambda: approve.run(self.ctx, [shown.id], reason=reason, **wanted))

    def _read_enough(self, shown: Shown) -> bool:
        """Whether everything was opened, or the person does without it."""
        missing = shown.missing()
        if not missing:
            return True
        were = f"{len(missing)} of {len(shown.files)} files {'was' if len(missing) == 1 else 'were'}"
        names = ", ".join(line(path, 60) for path in missing[:NAMED]) + (", …" if len(missing) > NAMED else "")
        return self.terminal.agrees(f"{were} not opened in full: {names}. Approve all the same?")

    def _accepted(self, shown: Shown, given: list[str]) -> list[str] | None:
        """Rules whose findings are accepted; None when the person does not want to accept what `deny` blocks."""
        denied = [hint for hint in shown.hints() if hint.denied and hint.rule not in given]
        if not denied:
            return given
        rules = sorted({hint.rule for hint in denied})
        self.terminal.say("`deny` in your configuration blocks this:")
        shown_whole = self.terminal.page(self.face.findings(denied, self._width()))
        agreed = shown_whole and self.terminal.agrees(f"Accept all findings of {', '.join(rules)} in this job?")
        return [*given, *rules] if agreed else None

    def _reject(self, shown: Shown, rest: str) -> Move:
        reason = rest or self.terminal.ask("Reason, which the submitter will read: ")
        reason = reason or self.terminal.ask("A rejection needs a reason (empty: do not reject): ")
        if not reason:
            self.terminal.say("It was not rejected.")
            return "stay"
        seen = {shown.id: shown.data["revision"]}
        return self._decided(shown, lambda: reject.run(self.ctx, [shown.id], reason=reason, seen=seen))

    def _skip(self, shown: Shown, rest: str) -> Move:
        self.became[shown.id] = "skipped"
        return "next"

    def _decided(self, shown: Shown, decide: Callable[[], Report]) -> Move:
        """Decide, say what came of it, and note it."""
        try:
            report = decide()
        except KeyboardInterrupt:
            short = shown.data["short_id"]
            self.became[shown.id] = "interrupted"
            self.terminal.say(f"\nInterrupted while {short} was being decided: scq show {short} tells what became of it.")
            raise
        if not report.data["jobs"]:
            return self._refused(shown, report)
        for text in report.lines:
            self.terminal.say(text)
        self._warn(report)
        waits = report.data["jobs"][0]["status"] == "pending"
        self.became[shown.id] = "voted" if waits else "approved" if report.command == "approve" else "rejected"
        return "next"

    def _refused(self, shown: Shown, report: Report) -> Move:
        """Nothing was decided: say why, and go where that leads."""
        self._warn(report)
        now = self._look(shown.id)
        if now is None:
            return "next"
        if now.data["revision"] == shown.data["revision"]:
            return "stay"
        self.terminal.say("This is what it is now:")
        return "again"

    # --- speaking ----------------------------------------------------------------------------------------------------------

    def _tell(self, error: ScqError) -> None:
        self.terminal.say(f"! {line(str(error), 1_000)}. {line(error.advice, 1_000)}".rstrip(". :") + ".")

    def _warn(self, report: Report) -> None:
        for problem in report.problems:
            self.terminal.say(f"! {line(problem.where, 300)}: {line(problem.what, 500)}\n  {line(problem.advice, 500)}".rstrip())
        for error in report.errors:
            self.terminal.say(f"! {line(error, 1_000)}")

    def _sheet(self, shown: Shown) -> str:
        place = f"{self.ids.index(shown.id) + 1} of {len(self.ids)}"
        return self.face.sheet(shown.sheet(self.ctx, place), self._width())

    def _prompt(self, shown: Shown) -> str:
        total = len(shown.files)
        words = ["1 file" if total == 1 else f"1-{total} file", "o all"] if total else []
        words += ["d diff"] + (["f findings"] if shown.data["findings"] else [])
        words += ["e editor", "a approve", "r reject", "s skip", "b back", "? help", "q quit"]
        whole = [word.replace(" ", FIRM) for word in words]  # a letter stays with its meaning when the line is wrapped
        rows = textwrap.fill(f"[{', '.join(whole)}]", max(NARROWEST, self._width() - 2))
        return f"\n{rows.replace(FIRM, ' ')} "

    def _width(self) -> int:
        return self.terminal.size().columns


def walk(ctx: Context, face: Plain, terminal: Terminal, *, submitter: str = "", tag: str = "") -> Report:
    """Walk the waiting jobs, oldest first; only those of one submitter or with one tag where these are given."""
    found = pending.run(ctx)
    ids = [job["id"] for job in found.data["jobs"] if _fits(job, submitter, tag)]
    if not ids:
        lines = (f"No job{' like that' if submitter or tag else ''} waits for your decision.",)
        return Report("review", {"walked": {}, "left": 0, "total": 0}, lines, found.problems)
    report = Walk(ctx, face, terminal, ids).run()
    return Report(report.command, report.data, report.lines, found.problems)


def _fits(job: Mapping[str, Any], submitter: str, tag: str) -> bool:
    return (not submitter or job["submitter"].lower() == submitter.lower()) and (not tag or tag in job["tags"])
