"""What can be done next with a job, as lines of Python for whoever looks at it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from msgspec import Struct

from scq.model import FINISHED
from scq.web.seen import Seen


class Step(Struct, frozen=True):
    """One line of Python that can be the next, and what it does."""

    code: str
    what: str


class Steps(Struct, frozen=True):
    """The next steps of one person; `who` is empty for the one who is asking."""

    who: str
    steps: tuple[Step, ...]

    @property
    def text(self) -> str:
        """Lines of Python, each with what it does as a comment."""
        width = max(len(step.code) for step in self.steps)
        return "\n".join(f"{step.code.ljust(width)}  # {step.what}" for step in self.steps)


def getting(seen: Seen) -> str:
    """Python that gives this job; empty when it has no id that could be written down."""
    short = seen.text("short_id")
    return f'job = q.get_job("{short}")' if re.fullmatch("[A-Za-z0-9_-]{4,64}", short) else ""


def steps(seen: Seen, me: str) -> tuple[Steps, ...]:
    """The next steps of `me`, an address; without one those of the owner and of the submitter."""
    people = (("owner", tuple(_of_owner(seen))), ("submitter", tuple(_of_submitter(seen))))
    if not me:
        return tuple(Steps(role, found) for role, found in people if found)
    mine = dict.fromkeys(step for role, found in people if seen.text(role).lower() == me.lower() for step in found)
    return (Steps("", tuple(mine)),) if mine else ()


def _of_owner(seen: Seen) -> Iterable[Step]:
    if seen.status in ("pending", "approved"):
        return _deciding(seen)
    if seen.status == "running":
        return (WAIT,)
    return _answering(seen) if seen.status in ("completed", "failed") else ()


def _deciding(seen: Seen) -> Iterator[Step]:
    reject = Step('job.reject("reason")', "its submitter reads the reason")
    if seen.lines("invalid"):
        yield from (READ, reject)
        return
    if seen.status == "approved" and not seen.is_set("changed"):
        yield from (Step("q.run_approved()", "runs every approved job now"), reject)
        return
    if seen.read != "read":
        yield READ
    if seen.text("where") == "drive":  # what is not in the folder yet can be read and refused, not allowed to run
        yield from (Step("q.check(fetch=True)", "brings it from Google Drive"), reject)
        return
    yield Step("job.diff()", "what changed since the last approved one of that name")
    yield Step('job.approve("reason")', "allows exactly this content to run")
    yield reject


def _answering(seen: Seen) -> Iterator[Step]:
    held = [name for name in ("outputs", "logs") if seen.part("results").text(name) == "withheld"]
    if seen.part("results").text("logs") in ("withheld", "released"):
        yield LOGS
    if seen.part("results").text("outputs") in ("withheld", "released"):
        yield Step("job.output_files()", "its result files")
    if held and not seen.part("answer"):
        if "outputs" in held:
            yield Step('job.release("reason")', "lets its submitter have the result files")
        else:
            yield Step('job.release("reason", outputs=False, logs=True)', "lets its submitter have the logs")
        yield Step('job.withhold("reason")', "keeps them here")
    if seen.part("approval").text("verdict") == "approve":
        yield Step("job.rerun()", "lets it run once more")


def _of_submitter(seen: Seen) -> Iterator[Step]:
    results = seen.part("results")
    if seen.status not in (*FINISHED, "unknown"):
        yield WAIT
    if seen.status in ("pending", "approved") and seen.text("layout").startswith("a"):
        yield Step('job.cancel("reason")', "takes it back")
    if results.text("logs") == "released":
        yield LOGS
    if results.text("outputs") == "released":
        yield Step("job.get_output()", "the folder of its results")


READ = Step("job.review()", "read everything that can execute")
LOGS = Step("job.get_logs()", "what it wrote while it ran")
WAIT = Step("job.wait()", "until it is over")
