"""`scq audit show`: who decided what, on which content, and what was run. `verify` and `export`: that the log is whole."""

from __future__ import annotations

import os
from contextlib import nullcontext
from itertools import islice
from typing import Any

import msgspec

from scq import signing
from scq.audit import Tip, Verdict, head_of, read_lines, read_rows, verify
from scq.clean import line
from scq.context import Context
from scq.errors import INTEGRITY, OK, IntegrityError, InvalidFileError, UsageError
from scq.files import read_bytes, write_atomic
from scq.model import AuditRow, Problem
from scq.report import Report
from scq.showing import when
from scq.state import State

EXPORT_LIMIT = 1 << 30
ADVICE = "Compare the log with a backup or an earlier export."


class Export(msgspec.Struct, frozen=True):
    """A log as one document. `rows` are its lines as they stand, so that anybody can hash them (docs/audit.md)."""

    scq: int
    kind: str
    owner: str
    exported_at: str
    count: int
    head: str
    rows: list[str]
    public_key: str = ""
    """PEM; empty, as `signature`, when the document is not signed."""
    signature: str = ""

    @property
    def message(self) -> bytes:
        """What is signed: the head stands for every row."""
        return f"scq audit export 1\n{self.owner}\n{self.exported_at}\n{self.count}\n{self.head}\n".encode()

    def checked(self) -> Verdict:
        """Whether the rows follow from each other and end in the head."""
        lines = (row.encode("utf-8", "surrogatepass") + b"\n" for row in self.rows)
        return verify(lines, Tip(self.count, self.head))


def show(ctx: Context, *, job: str = "", limit: int | None = None) -> Report:
    """The audit log, oldest row first; `job` keeps the rows of one id or its beginning. Exit code 5 when a seal is broken."""
    rows = []
    problems: list[Problem] = []
    for row, sealed in read_rows(ctx.store.audit_path):
        if not sealed:
            problems.append(
                Problem(ctx.store.audit_path, f"row {row.n} does not follow from the row before it", "Compare it with a backup.")
            )
        if not job or row.job.startswith(job):
            rows.append(row)
    rows = rows if limit is None else rows[max(0, len(rows) - limit) :]
    lines = [_line(row) for row in rows]
    data = {"rows": [_as_dict(row) for row in rows], "sealed": not problems}
    return Report("audit", data, tuple(lines), tuple(problems), INTEGRITY if problems else OK)


def check(ctx: Context, *, file: str = "", key: str = "") -> Report:
    """Check the log, or an export of one: `file` names it, `key` the public key (PEM) it must be signed with.

    Exit code 5 when it is not whole; the first bad line and what is wrong with it are named. An export of this owner is also
    compared with the log here: a log that was cut off after it was exported shows that way.
    """
    if key and not file:
        raise UsageError("--key goes with --file", "Name the export that is signed.")
    if file:
        return _check_export(ctx, os.path.abspath(file), key)
    found = _check_log(ctx)
    return _answer(ctx.store.audit_path, found, (f"{_rows(found.tip.number)}, head {found.tip.head or '(none)'}",))


def export(ctx: Context, *, to: str = "", sign: bool | None = None) -> Report:
    """The whole log as one document, for a file or for stdout; signed when this home has a key, unless `sign` is said.

    Raises IntegrityError when the log is not whole, ConfigError when it cannot be signed, UsageError when the file is there.
    """
    path = os.path.abspath(to) if to else ""
    if path and (os.path.lexists(path) or not os.path.isdir(os.path.dirname(path))):
        what = "exists already" if os.path.lexists(path) else "its folder is not there"
        raise UsageError(f"{path}: {what}", "Name a new file.")
    ctx.store.update(lambda state: state)  # appends what a killed call saved and did not come to append
    found = _check_log(ctx)
    if found.kind:
        raise IntegrityError(f"{ctx.store.audit_path}: {found.what}", ADVICE)
    lines = islice(read_lines(ctx.store.audit_path), found.tip.number)
    document = Export(
        scq=1,
        kind="audit",
        owner=ctx.config.email,
        exported_at=_time(ctx),
        count=found.tip.number,
        head=found.tip.head,
        rows=[text[:-1].decode("utf-8") for text in lines],
    )
    document, problems = _signed(ctx, document, sign)
    text = msgspec.json.encode(document)
    data = {"path": path or None, "count": document.count, "head": document.head, "signed": bool(document.signature)}
    if not path:
        return Report("audit", data | {"document": msgspec.to_builtins(document)}, (text.decode("utf-8"),), problems)
    write_atomic(path, text + b"\n")
    signed = "signed" if document.signature else "not signed"
    return Report("audit", data | {"document": None}, (f"{path}: {_rows(document.count)}, {signed}",), problems)


def _signed(ctx: Context, document: Export, sign: bool | None) -> tuple[Export, tuple[Problem, ...]]:
    if sign is False or (sign is None and not signing.has_key(ctx.home)):
        return document, ()
    if sign is None and not signing.is_available():
        return document, (Problem(signing.KEY, "was not used: the export is not signed", "pip install 'scq[sign]'"),)
    public, signature = signing.sign(ctx.home, document.message)
    return msgspec.structs.replace(document, public_key=public, signature=signature), ()


def _check_log(ctx: Context) -> Verdict:
    """The log here against itself and against what the state remembers of its end."""
    store = ctx.store
    with store.locked() if os.path.lexists(store.path) else nullcontext():
        state = store.load()
        try:
            found = verify(read_lines(store.audit_path), Tip(state.audited, state.audit_head), state.audit)
            return found if found.kind else _with_answers(ctx, found, state)
        except InvalidFileError as error:
            return Verdict(Tip(), "damaged", 0, str(error).removeprefix(f"{store.audit_path}: "))


def _with_answers(ctx: Context, good: Verdict, state: State) -> Verdict:
    """Every answer that released or withheld results names the audit line it ended in: the log must still hold it."""
    finished = (ctx.store.finished_record(key) for key in ctx.store.finished_keys())
    answers = [record.answer for record in (*state.jobs.values(), *finished) if record is not None and record.answer is not None]
    wanted = {answer.audit_row: answer.audit_head for answer in answers if answer.audit_head}
    pending = {row.n for row in state.audit}
    for number, text in enumerate(read_lines(ctx.store.audit_path), start=1):
        if wanted.pop(number, head := head_of(text.removesuffix(b"\n"))) != head:
            return _bad(good, "changed", f"line {number} is not what it was when results were answered", number)
    gone = sorted(number for number in wanted if number not in pending)
    return _bad(good, "cut off", f"row {gone[0]} was written when results were answered", gone[0]) if gone else good


def _check_export(ctx: Context, path: str, key: str) -> Report:
    document = _read_export(path)
    found = document.checked()
    notes: list[str] = []
    if not found.kind:
        found = _check_signature(ctx, document, key, notes)
    if not found.kind and document.owner == ctx.config.email:
        found = _compared_with_log(ctx, document, found, notes)
    head = f"{_rows(document.count)}, head {document.head or '(none)'}, exported {document.exported_at}"
    return _answer(path, found, (line(head, 300), *notes), signed=bool(document.signature))


def _read_export(path: str) -> Export:
    try:
        document = msgspec.json.decode(read_bytes(path, EXPORT_LIMIT), type=Export)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidFileError(f"{path}: is not an export of an audit log ({error})", "scq audit export writes one.") from error
    if (document.scq, document.kind) != (1, "audit"):
        raise InvalidFileError(f"{path}: is not an export this scq reads", "Use the scq release that wrote it, or a newer one.")
    return document


def _check_signature(ctx: Context, document: Export, key: str, notes: list[str]) -> Verdict:
    good = Verdict(Tip(document.count, document.head))
    if not document.signature:
        notes.append("not signed")
        return _bad(good, "signature", "is not signed") if key else good
    own = signing.public_key(ctx.home) if document.owner == ctx.config.email else ""
    trusted = read_bytes(key, signing.KEY_LIMIT).decode("utf-8", "replace") if key else own
    if not signing.is_signed(document.message, document.signature, trusted or document.public_key):
        return _bad(good, "signature", "the signature is not of this document and key")
    if trusted:
        notes.append(f"signed with {key or os.path.join(ctx.home, signing.PUBLIC)}")
    else:
        notes.append("signed with the key it brings along: compare that with the signer's, or name one with --key")
    return good


def _compared_with_log(ctx: Context, document: Export, good: Verdict, notes: list[str]) -> Verdict:
    """Whether the log here still holds the row that was the last one when the export was made."""
    if not document.count:
        return good
    try:
        there = next(islice(read_lines(ctx.store.audit_path), document.count - 1, None), b"")
    except InvalidFileError as error:
        return _bad(good, "damaged", str(error))
    if not there:
        return _bad(good, "cut off", f"the log here ends before row {document.count}", document.count)
    if head_of(there.removesuffix(b"\n")) != document.head:
        return _bad(good, "changed", f"the log here is not what was exported: line {document.count} differs", document.count)
    notes.append("the log here still holds all of it")
    return good


def _bad(found: Verdict, kind: str, what: str, line: int = 0) -> Verdict:
    return Verdict(found.tip, kind, line, what)


def _answer(path: str, found: Verdict, lines: tuple[str, ...], *, signed: bool | None = None) -> Report:
    bad = {"line": found.line, "kind": found.kind, "what": found.what} if found.kind else None
    data: dict[str, Any] = {"path": path, "count": found.tip.number, "head": found.tip.head, "signed": signed, "bad": bad}
    if bad is None:
        return Report("audit", data, ("whole: " + lines[0], *lines[1:]))
    error = f"{path}: {found.kind}: {line(found.what, 500)}. {ADVICE}"
    return Report("audit", data, (), (), INTEGRITY, (error,))


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _time(ctx: Context) -> str:
    return ctx.now().isoformat().replace("+00:00", "Z")


def _as_dict(row: AuditRow) -> dict[str, Any]:
    fields = {name: getattr(row, name) for name in ("n", "what", "by", "job", "ref", "digest", "detail", "user", "verb", "run")}
    return {"at": row.at.isoformat().replace("+00:00", "Z"), **fields}


def _line(row: AuditRow) -> str:
    cells = (
        f"{row.n:>5}",
        when(row.at),
        f"{row.what:<13}",
        f"{row.job[:8]:<8}",
        line(row.by, 60),
        row.digest[:19],
        line(row.detail.replace("\n", "  "), 200),
        f"[{line(row.run, 40)}]" if row.run else "",
    )
    return "  ".join(cells).rstrip()
