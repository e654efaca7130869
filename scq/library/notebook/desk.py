"""What answers a notebook: one question in, one reply out, over the verbs. Knows nothing of widgets.

A question is `{"id": int, "ask": str, …}`, a reply `{"id", "ok": True, "data", "problems"}` or `{"id", "ok": False, "error"}`.
Questions come from a browser page: everything in them is checked, and no text in a reply is as a stranger wrote it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from scq.clean import line
from scq.errors import BUG, FAILED, ScqError, UsageError
from scq.library.jobs import CodeJob
from scq.library.notebook import acts, asks, facts
from scq.library.notebook.questions import Asked
from scq.library.verbs import Verbs, hearing
from scq.machine import advice_on, words_of
from scq.model import Problem
from scq.secrets import redacted

MOST_NUMBER = 1 << 53
"""What a browser can count up to."""
ASKS: Mapping[str, Callable[[Asked], dict[str, Any]]] = {
    "rows": asks.rows,
    "job": asks.job,
    "look": asks.look,
    "review": asks.review,
    "diff": asks.diff,
    "logs": asks.logs,
    "outputs": asks.outputs,
    "approve": acts.approve,
    "reject": acts.reject,
    "cancel": acts.cancel,
    "release": acts.release,
    "withhold": acts.withhold,
}


class Desk:
    """Answers for the jobs of one view. `jobs` looks at them anew, with one verb; only they can be named in a question."""

    def __init__(self, verbs: Verbs, jobs: Callable[[], Sequence[CodeJob]], known: Iterable[str] = ()) -> None:
        """`known` are ids of jobs of the view that was seen already."""
        self._verbs = verbs
        self._jobs = jobs
        self._known = frozenset(known)

    def answer(self, request: object) -> dict[str, Any]:
        """The reply to a question, whatever it is. A bug of scq is raised as it is: `bug` makes the reply then."""
        number = number_of(request)
        try:
            with hearing() as problems:
                asked = Asked(self._verbs, _question(request, number), problems, self.look, self.check)
                data = _ask(asked)(asked)
        except ScqError as error:
            return refusal(number, error.exit_code, str(error), error.advice)
        except OSError as error:
            advice = advice_on(error)
            if advice is None:
                raise
            return refusal(number, FAILED, words_of(error), advice)
        return {"id": number, "ok": True, "data": data, "problems": _shown(problems)}

    def look(self) -> Sequence[CodeJob]:
        """The jobs of this view as they are now. Those that were in it before can still be named."""
        found = self._jobs()
        self._known |= frozenset(job.uid for job in found)
        return found

    def check(self, identity: str) -> None:
        """Raises UsageError when a job is not in this view. A page may ask about a job before it asks for rows."""
        if identity not in self._known and not any(job.uid == identity for job in self.look()):
            raise UsageError(f"{line(identity, 40)!a} is none of the jobs that are shown here", "Refresh, or run the cell again.")


def bug(request: object, error: BaseException) -> dict[str, Any]:
    """The reply to a question that could not be answered because scq is wrong somewhere, or because it was interrupted."""
    number = number_of(request)
    if isinstance(error, KeyboardInterrupt):
        return refusal(number, FAILED, "It was interrupted in the kernel.", "Ask again.")
    named = f"a bug in scq: {type(error).__name__}: {error}"
    return refusal(number, BUG, named, "Please report it, with the traceback that the log of the notebook shows.")


def number_of(request: object) -> int | None:
    """The number of a question, which its reply bears; None for what is none."""
    found = request.get("id") if isinstance(request, dict) else None
    return found if type(found) is int and 0 <= found <= MOST_NUMBER else None


def refusal(number: int | None, exit_code: int, what: str, advice: str) -> dict[str, Any]:
    """A reply that tells of a failure."""
    return {"id": number, "ok": False, "error": facts.error_object(exit_code, redacted(what), redacted(advice))}


def _question(request: object, number: int | None) -> Mapping[str, Any]:
    if not isinstance(request, dict) or number is None:
        raise UsageError("this is no question", "Run the cell again.")
    return request


def _ask(asked: Asked) -> Callable[[Asked], dict[str, Any]]:
    word = asked.text("ask", 40)
    if word not in ASKS:
        raise UsageError(f"nothing is called {line(word)!a} here", f"There are: {', '.join(ASKS)}.")
    return ASKS[word]


def _shown(problems: Iterable[Problem]) -> list[dict[str, str]]:
    """Problems as they are shown, each once."""
    found = list(dict.fromkeys(problems))
    shown = [facts.problem_object(problem) for problem in found[: facts.SHOWN_PROBLEMS]]
    more = len(found) - len(shown)
    return shown if more <= 0 else [*shown, {"where": "scq", "what": f"and {more} more problems", "advice": "See scq status."}]
