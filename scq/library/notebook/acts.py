"""The questions of a notebook that decide something. Each is about what was shown: a job that is another one by now is refused,
which is how one of two people who act at once hears of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from scq.clean import line
from scq.errors import UsageError
from scq.library.notebook import facts
from scq.library.notebook.questions import Asked
from scq.report import Report

UNREAD = "was never read here"


def approve(asked: Asked) -> dict[str, Any]:
    """Let jobs run. Without `unread` those that were never reviewed are named, not approved."""
    from scq.commands import approve as verb

    def refuse(question: str) -> bool:
        raise UsageError(UNREAD)

    return _decided(asked, verb.run, confirm=None if asked.flag("unread") else refuse)


def reject(asked: Asked) -> dict[str, Any]:
    """Refuse jobs, with one reason for all."""
    from scq.commands import reject as verb

    return _decided(asked, verb.run)


def cancel(asked: Asked) -> dict[str, Any]:
    """Withdraw jobs."""
    from scq.commands import cancel as verb

    return _decided(asked, verb.run)


def release(asked: Asked) -> dict[str, Any]:
    """Let results leave: all of them, or exactly the named files; the logs where they are wanted."""
    from scq.commands import release as verb

    identity, names = asked.job(), asked.files()
    chosen = [] if names is None else [facts.exactly(path) for path in _meant(asked, identity, names)]
    options = {"only": chosen, "outputs": asked.flag("outputs"), "logs": asked.flag("logs"), "seen": asked.revision()}
    return _answered(asked.verbs.call(verb.run, identity, reason=asked.reason(), **options))


def withhold(asked: Asked) -> dict[str, Any]:
    """Keep results here, and say why."""
    from scq.commands import withhold as verb

    return _answered(asked.verbs.call(verb.run, asked.job(), reason=asked.reason(), seen=asked.revision()))


def _decided(asked: Asked, verb: Callable[..., Report], **options: Any) -> dict[str, Any]:
    named = asked.jobs()
    report = asked.verbs.attempt(verb, list(named), reason=asked.reason(), seen=named, **options)
    asked.problems.extend(report.problems)
    done = [each["id"] for each in report.data["jobs"]]
    decided = set(done)
    # A report gives the errors in the order in which the jobs were named.
    refused = list(zip((identity for identity in named if identity not in decided), report.errors, strict=True))
    unread = [identity for identity, what in refused if what == f"{UNREAD}."]
    told = [{"id": identity, "what": line(what, 1_000), "advice": ""} for identity, what in refused if what != f"{UNREAD}."]
    # What a refused one has become nobody told yet.
    there = {each["id"]: each for each in (report.data["jobs"] if not refused else asked.verbs.rows())}
    rows = [facts.row(there[identity]) for identity in named if identity in there]
    return {"done": done, "refused": told, "unread": unread, "rows": rows}


def _meant(asked: Asked, identity: str, names: Iterable[str]) -> list[str]:
    """The result files that were chosen by their names as they are shown. Two that look alike are nobody's choice."""
    from scq.commands import output as verb

    there: dict[str, list[str]] = {}
    for each in asked.verbs.call(verb.run, identity).data["outputs"]:
        there.setdefault(facts.path_word(each["path"]), []).append(each["path"])
    for name in names:
        count = len(there.get(name, ()))
        if count == 0:
            raise UsageError(f"no result file is called {line(name)}", "Open the results again.")
        if count > 1:
            raise UsageError(f"{count} result files look like {line(name)}", "Release all of them, or choose with scq release.")
    return [there[name][0] for name in names]


def _answered(report: Report) -> dict[str, Any]:
    answer = facts.cleaned(report.data["answer"])
    return {"row": facts.row(report.data), "results": report.data["results"], "answer": answer}
