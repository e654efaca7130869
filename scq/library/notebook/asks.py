"""The questions of a notebook that change nothing, but that a job was read. Each answers with the `data` of a reply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

import msgspec

from scq.clean import block, line, log
from scq.library.notebook import facts
from scq.library.notebook.questions import Asked
from scq.model import Limits, Problem
from scq.showing import LIMIT_WORDS, limit_words

HALF_A_LOG = 128 << 10
"""Bytes shown of the beginning and of the end of a log."""
SHOWN_TEXT = 8 << 20
"""Characters of the files of one job; a page with more would not move any more."""
COLOURED_TEXT = 1 << 20
"""Characters of the files of one job that get syntax colours, which takes a second."""
PATIENCE_S = 3.0
"""Seconds that colouring all files of one job may take: a kernel that colours does nothing else, and some texts are slow."""
SHOWN_FILES = 1_000
SHOWN_FINDINGS = 200
"""Of the code of a job."""
SHOWN_HINTS = 20
"""Findings in one result file."""


def rows(asked: Asked) -> dict[str, Any]:
    """Every job of the view, as arrays in the order of `fields`."""
    found = [facts.row(job.as_dict()) for job in asked.look()]
    return {"me": asked.me(), "fields": list(facts.FIELDS), "rows": found}


def job(asked: Asked) -> dict[str, Any]:
    """What the card of one job shows."""
    found, me = asked.facts(), asked.me()
    return {"me": me, "job": facts.card(found), "why_not": facts.why_not(found, me)}


def look(asked: Asked) -> dict[str, Any]:
    """Whether one job is still what it was when it was shown."""
    found, me = asked.facts(), asked.me()
    word = {"me": me, "read": facts.read_word(found), "place": facts.place(found), "why_not": facts.why_not(found, me)}
    return {name: found[name] for name in ("status", "revision", "digest")} | word


def review(asked: Asked) -> dict[str, Any]:
    """Everything of one job that can execute, run.sh first; remembered as reviewed where this person is the owner."""
    from scq.commands import review as verb

    found = asked.verbs.call(verb.run, asked.job()).data
    remembered = found["where"] != "drive" and found["digest"] and found["owner"] == asked.me()
    after = found | {"reviewed": found["digest"]} if remembered else found
    return {
        "job": facts.card(after),
        "digest": found["digest"],
        "revision": found["revision"],
        "files": _files(asked, found),
        "findings": [_finding(each) for each in _first(found["findings"], found["short_id"], asked.problems, SHOWN_FINDINGS)],
        "limits": _limits(found["limits"]),
        "invalid": [line(why, 500) for why in found["invalid"]],
    }


def diff(asked: Asked) -> dict[str, Any]:
    """What differs from what was approved before."""
    from scq.commands import diff as verb

    found = asked.verbs.call(verb.run, asked.job()).data
    files, length, hidden = [], 0, 0
    for each in found["files"]:
        length += len(each["diff"])
        hidden += length > SHOWN_TEXT
        lines = marked(each["diff"]) if length <= SHOWN_TEXT else [["@", "not shown here"]]
        files.append({"path": facts.path_word(each["path"]), "change": each["change"], "lines": lines})
    _tell_hidden(asked, found["id"], hidden, "diff")
    return {"against": found["against"] and line(found["against"]), "same": found["same"], "files": files}


def logs(asked: Asked) -> dict[str, Any]:
    """What one job wrote."""
    from scq.commands import logs as verb

    found = asked.verbs.call(verb.run, asked.job()).data["logs"]
    return {"logs": [_log(name, text) for name, text in found.items()]}


def outputs(asked: Asked) -> dict[str, Any]:
    """The result files of one job, and what was decided about them."""
    from scq.commands import output as verb

    known = asked.facts()  # before the look at the files: results of a later run are then refused, not released
    found = asked.verbs.call(verb.run, known["id"]).data
    if len(found["outputs"]) > SHOWN_FILES:
        what = f"{len(found['outputs'])} result files, the first {SHOWN_FILES} are shown"
        asked.problems.append(Problem(known["short_id"], what, f"All of them: scq output {known['short_id']}"))
    return {
        "revision": known["revision"],
        "folder": line(found["folder"], facts.WHOLE_PATH),
        "files": [_result(each, asked.problems) for each in found["outputs"][:SHOWN_FILES]],
        "results": found["results"],
        "answer": facts.cleaned(found["answer"]),
        "waits": line(found["waits"], 500),
        "has_logs": not facts.why_not(known, "")["logs"],
    }


def marked(text: str) -> list[list[str]]:
    """A unified diff as (mark, text) for each line; the mark is ` `, `+`, `-`, or `@` for what belongs to neither side."""
    found = block(text).removesuffix("\n").split("\n")
    body = found[2:] if len(found) > 2 and found[0].startswith("--- ") and found[1].startswith("+++ ") else found
    return [[each[0], each[1:]] if each[:1] in (" ", "+", "-") else ["@", each.removeprefix("\\ ")] for each in body]


def _files(asked: Asked, found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The files of a submission with their lines. Of very many or long ones the last are named only, which is said."""
    shown: list[dict[str, Any]] = []
    hidden = length = 0
    end = monotonic() + PATIENCE_S
    for each in found["files"]:
        facts_of_it = {name: each[name] for name in ("size", "executable", "sha256", "whole")}
        lines = None
        if each["text"] is not None:
            length += len(each["text"])
            is_hidden = length > SHOWN_TEXT
            hidden += is_hidden
            coloured = length <= COLOURED_TEXT and monotonic() < end
            lines = [] if is_hidden else _lines(each["path"], each["text"], coloured=coloured)
            facts_of_it["whole"] = each["whole"] and not is_hidden
        shown.append({"path": facts.path_word(each["path"])} | facts_of_it | {"lines": lines})
    _tell_hidden(asked, found["id"], hidden, "review")
    return shown


def _tell_hidden(asked: Asked, identity: str, count: int, command: str) -> None:
    if count:
        what = f"{count} of its files are not shown here, because there is too much text"
        asked.problems.append(Problem(identity[:8], what, f"Read them with scq {command} {identity[:8]}"))


def _lines(path: str, text: str, *, coloured: bool) -> list[list[tuple[str, str]]]:
    from scq.web import colours

    shown = block(text).removesuffix("\n")
    return colours.lines(path, shown) if coloured else [[("", each)] for each in shown.split("\n")]


def _finding(found: Mapping[str, Any]) -> dict[str, Any]:
    named = {name: found[name] for name in ("line", "rule", "denied") if name in found}
    return {"path": facts.path_word(found["path"]), "what": line(found["what"], 500)} | named


def _limits(found: Mapping[str, Any] | None) -> list[str]:
    if found is None:
        return []
    asked, given = (limit_words(msgspec.convert(found[side], Limits)) for side in ("asked", "given"))
    more = [LIMIT_WORDS[name] for name in found["asks_for_more"]]
    sides = (("would run with", given), ("asks for", asked), ("asks for more than it gets", more))
    return [f"{head}: {', '.join(words)}" for head, words in sides if words]


def _log(name: str, text: str) -> dict[str, Any]:
    raw = text.encode("utf-8", "replace")
    left_out = max(0, len(raw) - 2 * HALF_A_LOG)
    if left_out:
        head, tail = raw[:HALF_A_LOG].decode("utf-8", "ignore"), raw[-HALF_A_LOG:].decode("utf-8", "ignore")
        text = f"{head}\n… {left_out} bytes left out …\n{tail}"
    return {"name": line(name, 60), "text": log(text), "left_out": left_out}


def _result(found: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    shown = _first(found["findings"], found["path"], problems, SHOWN_HINTS)
    hints = [{"rule": each["rule"], "line": each["line"], "what": line(each["what"], 500)} for each in shown]
    named = {name: found[name] for name in ("size", "released", "kind")}
    texts = {"summary": line(found["summary"], 500), "preview": block(found["preview"])}
    return {"path": facts.path_word(found["path"])} | named | texts | {"findings": hints}


def _first(found: Sequence[Mapping[str, Any]], where: str, problems: list[Problem], most: int) -> Sequence[Mapping[str, Any]]:
    """The first findings; where there are more, which is said, those that block an approval come first."""
    if len(found) <= most:
        return found
    problems.append(Problem(where, f"{len(found)} findings, the first {most} are shown", "scq shows them all."))
    return sorted(found, key=lambda each: not each.get("denied"))[:most]
