"""Jobs as HTML that stands by itself in a notebook: no script, nothing to load, the same after the notebook was saved.

This is what a job looks like where no widget can be shown. Every text passes `clean.line` and the escaping of the template
engine, wherever it came from; facts that are missing or of another type than docs/json.md says are left out.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from scq import resources
from scq.clean import block, line
from scq.files import read_text
from scq.model import FINISHED, STATUSES
from scq.showing import NO_PEER, NODE, ON_DRIVE, seconds, size, where_note, where_words
from scq.web.nextsteps import getting, steps
from scq.web.page import CAUSES
from scq.web.seen import NAME, TEXT, Seen

if TYPE_CHECKING:
    from jinja2 import Template

ROWS = 100
"""The most jobs of a table."""
LONG_TEXT = 2_000
"""Characters that are shown of a description."""
VERDICTS = {"approve": "approved", "reject": "rejected"}
METHODS = {"adopted": " with other software", "digest": " by digest", "cancel": " (cancelled)"}
READ = {"read": "read here", "changed": "changed since it was read here", "unread": "not read here yet"}
"""Whether its owner read what can execute, with `scq review` or in a notebook."""


def job(facts: Mapping[str, Any], *, me: str = "") -> str:
    """One job as a card with all that matters of it, as an HTML fragment.

    `facts` is the job object of docs/json.md; `answer`, as `show` gives it, is used where it is there. `me` is the address of
    whoever looks; without one the next steps of both its owner and its submitter are named. Raises ConfigError when the
    installation lacks its templates.
    """
    seen = Seen(facts)
    return _rendered("job", job=_card(seen, me), steps=steps(seen, me), get=getting(seen))


def jobs(rows: Sequence[Mapping[str, Any]], *, title: str = "", total: int | None = None, me: str = "") -> str:
    """Jobs as a table, as an HTML fragment: counts by status, and the newest `ROWS` jobs, newest first.

    `rows` are job objects of docs/json.md, oldest first; `total` is how many there are when `rows` are only the newest of them.
    A column that would say the same of each, because it is always `me`, is left out. Raises ConfigError when the installation
    lacks its templates.
    """
    newest = [Seen(facts) for facts in rows[-ROWS:][::-1]]
    shown = [_row(seen, me) for seen in newest]
    count = max(len(rows), total or 0)
    counted = Counter(Seen(facts).status for facts in rows) if count == len(rows) else Counter()
    people = [name for name in ("submitter", "owner") if not me or any(row[name] != line(me, NAME) for row in shown)]
    return _rendered(
        "jobs",
        title=line(title, NAME),
        count=count,
        counts=[(status, counted[status]) for status in (*STATUSES, "unknown") if counted[status]],
        rows=shown,
        people=people,
        more=count - len(shown),
        get=getting(newest[0]) if newest else "",
    )


def _told_read(seen: Seen, me: str) -> str:
    """What its owner is told about having read it, while that matters; nobody else reads it here."""
    read = seen.read
    matters = seen.status in ("pending", "approved") and (seen.text("owner").lower() == me.lower() if me else read != "unread")
    return READ[read] if matters else ""


def _row(seen: Seen, me: str) -> dict[str, Any]:
    """One line of the table."""
    notes = (
        "cannot be run" if seen.lines("invalid") else "",
        "changed since it was approved" if seen.is_set("changed") else "",
        _told_read(seen, me) if seen.status == "pending" else "",
        where_note(seen.place) if seen.place is not None else "",
    )
    return {
        "name": seen.line("name", NAME),
        "short_id": seen.line("short_id", 8),
        "status": seen.status,
        "submitter": seen.line("submitter", NAME),
        "owner": seen.line("owner", NAME),
        "submitted_at": seen.time("submitted_at") or seen.time("first_seen_at"),
        "tags": seen.lines("tags"),
        "notes": [note for note in notes if note],
    }


def _card(seen: Seen, me: str) -> dict[str, Any]:
    """All that is shown of one job."""
    approval, status = seen.part("approval"), seen.status
    return {
        **_row(seen, me),
        "updated_at": seen.time("updated_at"),
        "description": _shortened(block(seen.text("description")[: 2 * LONG_TEXT]).strip()),
        "digest": _digest(seen.text("digest")),
        "told": _told_read(seen, me),
        "kind": seen.line("kind", NAME),
        "entrypoint": seen.line("entrypoint"),
        "dependencies": seen.lines("dependencies"),
        "asks_for": _asked_time(seen),
        "places": [ON_DRIVE] if seen.text("where") == "drive" else [],
        "remarks": [NO_PEER] if "not_a_peer" in seen.lines("flags") else [],
        "approval": _approval(approval) if approval else None,
        "reason": "" if approval else seen.line("reason"),
        "run": _run(seen) if seen.part("run") else None,
        "results": _results(seen) if status in FINISHED and status != "rejected" else "",
        "changed": seen.is_set("changed"),
        "cannot": seen.lines("invalid"),
        "problems": [(part.line("what"), part.line("advice")) for part in seen.parts("problems") if part],
    }


def _shortened(text: str) -> str:
    return text if len(text) <= LONG_TEXT else text[: LONG_TEXT - 1].rstrip() + "…"


def _digest(text: str) -> str:
    """The beginning of a digest, as much as tells two of them apart."""
    return line(text.removeprefix("sha256:"), TEXT)[:12]


def _asked_time(seen: Seen) -> str:
    wanted = seen.number("timeout_s")
    return "" if wanted is None or wanted <= 0 else seconds(wanted)


def _approval(seen: Seen) -> dict[str, Any]:
    return {
        "word": VERDICTS.get(seen.text("verdict"), "decided") + METHODS.get(seen.text("method"), ""),
        "by": seen.line("by", NAME),
        "at": seen.time("at"),
        "reason": seen.line("reason"),
        "digest": _digest(seen.text("digest")),
        "bounds": list(_bounds(seen)),
        "accepted": seen.lines("accepted_findings"),
    }


def _bounds(seen: Seen) -> Iterator[str]:
    """How far an approval reaches, one bound a phrase."""
    until, runs = seen.time("expires_at"), seen.number("max_runs")
    time, memory = seen.number("timeout_s"), seen.number("memory")
    if until is not None:
        yield f"until {_when(until)}"
    if runs is not None:
        yield "1 run" if runs == 1 else f"{int(runs)} runs"
    if time is not None:
        yield f"time {seconds(time)}"
    if memory is not None:
        yield f"memory {size(int(memory))}"


def _run(job: Seen) -> dict[str, Any]:
    """How the last run of a job went, in plain words, or where it is now."""
    seen = job.part("run")
    code, cause, ended = seen.number("exit_code"), seen.text("cause"), seen.time("finished_at")
    if ended is None and code is None and not cause:
        how = "has not ended yet" if job.place is None else where_words(job.place, when=_when)
    elif code == 0 and cause in ("", "exit"):
        how = "ended well"
    else:
        how = CAUSES.get(cause, "ended in another way")
    node = seen.line("node", NODE)
    length = seen.number("duration_s")
    return {
        "how": how + (f" on {node}" if node and ended is not None else ""),
        "exit_code": "" if code is None else str(int(code)),
        "took": "" if length is None else seconds(max(0.0, length)),
        "attempt": int(seen.number("attempt") or 0),
        "started_at": seen.time("started_at"),
        "finished_at": ended,
    }


def _results(seen: Seen) -> str:
    """What became of the results, as a sentence."""
    words = {"none": "none", "withheld": "held here", "released": "released"}
    parts = [(name, words.get(seen.part("results").text(name), "")) for name in ("outputs", "logs")]
    return ", ".join(f"{name}: {word}" for name, word in parts if word)


def _rendered(macro: str, **values: Any) -> str:
    from markupsafe import Markup

    template, style = _template()
    # The style comes with scq and is the same each time.
    made = getattr(template.module, macro)(**values, style=Markup(style))  # noqa: S704
    return str(made)


@cache
def _template() -> tuple[Template, str]:
    """The template of cards and tables, and their style."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = os.path.join(resources.folder("templates"), "notebook")
    environment = Environment(
        loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(when=_when, iso=lambda moment: moment.astimezone(UTC).isoformat(timespec="seconds"))
    return environment.get_template("cards.html"), read_text(os.path.join(folder, "cards.css"))


def _when(moment: datetime) -> str:
    """A time that is right wherever and whenever the saved notebook is read."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
