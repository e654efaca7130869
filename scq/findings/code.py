"""Findings in submitted code: each file is read by the rules of its language, and every text for what is hidden in it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from scq.findings.hidden import encoded, hidden
from scq.findings.shell import in_shell
from scq.findings.sink import Sink, shown
from scq.model import Finding

SIZE = 1 << 20
"""Longest file that is looked at, bytes."""
CODE_TOTAL = 8 << 20
"""Bytes of code of one job that are looked at: the whole of it must not take hours."""
CAP = 200
"""Findings that are listed of one job."""
_SHELL = re.compile(rb"#!.*?\b(?:ba|da|z|k|a)?sh\b")
_PYTHON = re.compile(rb"#!.*?\b(?:python|pypy)[\d.]*\b|#!.*\buv run\b")
_OTHER_ENDINGS = {
    ".bat": "Windows shell",
    ".ipynb": "notebook",
    ".jl": "Julia",
    ".js": "JavaScript",
    ".lua": "Lua",
    ".php": "PHP",
    ".pl": "Perl",
    ".ps1": "PowerShell",
    ".r": "R",
    ".rb": "Ruby",
    ".rmd": "R",
}


def in_code(files: Iterable[tuple[str, bytes]], *, run_sh: str, allowed: tuple[str, ...] = ()) -> tuple[Finding, ...]:
    """Everything a reviewer should look at in the files of a submission, by path and line. Never raises on any content.

    `files` are (path, bytes), of files longer than `SIZE` at least one byte more than that. `allowed` are the places a job may
    use: absolute ones of declared data, and those below folders that lead out of the code (`../output`).
    """
    found: set[Finding] = set()
    room = CODE_TOTAL
    for path, data in files:
        is_code = len(data) <= SIZE and bool(_language(path, data, run_sh))
        room -= len(data) * is_code
        if is_code and room < 0:
            found.add(Finding(path, 0, "too-large", f"not looked at: the job has more than {CODE_TOTAL >> 20} MiB of code"))
        else:
            found.update(_in_file(path, data, run_sh, allowed))
    ordered = sorted(found, key=lambda finding: (finding.path != run_sh, finding))
    if len(ordered) <= CAP:
        return tuple(ordered)
    kept = _fairly(ordered, CAP - 1)
    return (*kept, Finding("", 0, "more", f"{len(ordered) - len(kept)} more findings of the same rules are not listed"))


def _fairly(ordered: list[Finding], most: int) -> list[Finding]:
    """As many findings of each rule as there is room for: a rule that is denied must not be lost among many others."""
    counts: dict[str, int] = {}
    ranks = []
    for place, finding in enumerate(ordered):
        counts[finding.rule] = rank = counts.get(finding.rule, 0) + 1
        ranks.append((rank, place))
    return [ordered[place] for place in sorted(place for _, place in sorted(ranks)[:most])]


def _in_file(path: str, data: bytes, run_sh: str, allowed: tuple[str, ...]) -> Iterable[Finding]:
    sink = Sink(path, allowed, in_shell, _in_python)
    if len(data) > SIZE:
        sink.add(0, "too-large", f"longer than {SIZE >> 20} MiB: not looked at")
        return sink.found
    if b"\0" in data:
        sink.add(0, "binary", "not a text, so that nobody can read what it does")
        return sink.found
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        sink.add(0, "binary", "not a text in UTF-8, so that nobody can read what it does")
        return sink.found
    language = _language(path, data, run_sh)
    hidden(text, sink, is_code=bool(language))
    encoded(text, sink)
    if language in ("shell", "python"):
        sink.code(language, text.replace("\r\n", "\n"), 1)
    elif language:
        sink.add(1, "unparsed", f"{shown(language)} code is not looked at")
    return sink.found


def _language(path: str, data: bytes, run_sh: str) -> str:
    """`shell`, `python`, the name of a language there are no rules for, or empty for what is no code."""
    first = data.lstrip(b"\xef\xbb\xbf").split(b"\n", 1)[0][:200]
    ending = "." + path.rpartition(".")[2].lower()
    if _PYTHON.match(first):
        return "python"
    if _SHELL.match(first):
        return "shell"
    if first.startswith(b"#!"):
        return first[2:].decode("utf-8", "replace").strip()
    if ending in (".py", ".pyw", ".pth"):
        return "python"
    if path == run_sh or ending in (".sh", ".bash"):
        return "shell"
    return _OTHER_ENDINGS.get(ending, "")


def _in_python(text: str, line: int, sink: Sink) -> None:
    # Parsing Python is loaded only for jobs that have some.
    from scq.findings.python import in_python

    in_python(text, line, sink)
