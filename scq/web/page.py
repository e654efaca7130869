"""The report as one page: a single HTML file that loads nothing and sends nothing.

Its policy allows exactly the one style and the one script in it, by their sha256. Every text that is put in passes
`clean.line` and the escaping of the template engine, wherever it came from.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from scq import __version__, resources
from scq.clean import line
from scq.files import read_text
from scq.lastcalls import Ended
from scq.model import STATUSES, AuditRow, Problem, Trouble
from scq.showing import size
from scq.timeline import Story, Summary, span
from scq.web import charts

if TYPE_CHECKING:
    from jinja2 import Environment

JOBS, ROWS, TRACKS, PEOPLE, FILES, AUDIT_ROWS = 1_000, 200, 24, 200, 20, 50
"""The most rows a page shows: of jobs, of other tables, of the timeline, of submitters, of the files of one release, of the
audit log. Figures are always over all."""
LONGEST, LONGEST_NAME = 400, 120
"""Characters that are shown of a text, and of a name."""
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
SERIES = (
    ("submitted", "Submitted"),
    ("decided", "Decided"),
    ("ended", "Run to the end"),
    ("released", "Released"),
)
CAUSES = {
    "exit": "ended with an error",
    "timeout": "ran out of time",
    "cpu": "used up its CPU time",
    "memory": "used too much memory",
    "processes": "started too many processes",
    "disk": "wrote too much",
    "output": "left more results than are allowed",
    "killed": "was ended from outside",
    "interrupted": "was interrupted",
    "integrity": "was not what had been approved",
    "start": "could not be started",
    "dependencies": "needs packages that could not be had",
    "node": "lost the machine it ran on",
    "preempted": "had to make room",
    "cancelled": "was cancelled while it ran",
    "": "failed with other software",
}
OUTBOX_WORDS = {
    "queued": "to send",
    "deferred": "to try again",
    "ambiguous": "uncertain",
    "sent": "sent",
    "bundled": "told in a digest",
    "dead": "given up",
    "dropped": "dropped",
}


class AuditEnd(Struct, frozen=True):
    """The audit log: how many rows, the sha256 of the last one, and what is wrong with it (empty: it is whole)."""

    count: int
    head: str
    wrong: str
    kinds: Mapping[str, int]
    rows: tuple[AuditRow, ...]
    """The newest, newest first."""


class Own(Struct, frozen=True):
    """What only the owner's page shows."""

    root: str
    """Name of the SyftBox folder."""
    run_id: str
    outbox: Mapping[str, int]
    troubles: Mapping[str, Trouble]
    ended: Mapping[str, Ended]
    looked_at: datetime | None
    peers_pending: int
    audit: AuditEnd
    problems: tuple[Problem, ...]


class Page(Struct, frozen=True):
    """Everything a page is made of. Without `own` it is the page of one `submitter`."""

    owner: str
    made_at: datetime
    stories: tuple[Story, ...]
    """Newest first."""
    summary: Summary
    since: datetime | None = None
    complete: bool = True
    """False when the folders could not be read, so that what was remembered is shown."""
    submitter: str = ""
    own: Own | None = None
    zone: tzinfo | None = None
    """For the times that are shown; None is the zone of the machine."""


def render(page: Page) -> str:
    """The page as HTML. Raises ConfigError when the installation lacks its templates."""
    from markupsafe import Markup

    folder = os.path.join(resources.folder("templates"), "report")
    style = read_text(os.path.join(folder, "page.css"))
    script = read_text(os.path.join(folder, "page.js"))
    # Both come with scq and are the same in every page.
    shipped = {"style": Markup(style), "script": Markup(script), "policy": Markup(policy(style, script))}  # noqa: S704
    return _environment(folder, page.zone).get_template("page.html").render(**_values(page), **shipped)


def _values(page: Page) -> dict[str, Any]:
    """What the template works with."""
    shown, began_at = charts.tracks(page.stories[:TRACKS], page.made_at)
    activity = page.summary.activity
    return {
        "page": page,
        "own": page.own,
        "summary": page.summary,
        "version": __version__,
        "statuses": STATUSES,
        "causes": CAUSES,
        "outbox_words": OUTBOX_WORDS,
        "series": SERIES,
        "charts": charts,
        "most": max(getattr(count, name) for count in activity.counts for name, _ in SERIES),
        "pending": [one for one in page.stories if one.status == "pending"][::-1],
        "held": [one for one in page.stories if one.results.outcome == "waiting"][::-1],
        "failed": [one for one in page.stories if one.status == "failed"],
        "decided": [one for _, one in sorted(_decided(page), key=itemgetter(0), reverse=True)],
        "released": [one for one in page.stories if one.results.outcome == "released"],
        "tracks": shown,
        "tracks_began_at": began_at,
        "limits": {"jobs": JOBS, "rows": ROWS, "people": PEOPLE, "files": FILES},
    }


def _decided(page: Page) -> Iterator[tuple[datetime, Story]]:
    for one in page.stories:
        if one.verdict is not None and one.verdict.at is not None:
            yield one.verdict.at, one


def _environment(folder: str, zone: tzinfo | None) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_inert,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        span=span,
        size=size,
        name=lambda text: line(text, LONGEST_NAME),
        iso=lambda moment: moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        when=lambda moment: moment.astimezone(zone).strftime("%Y-%m-%d %H:%M"),
        day=lambda moment: f"{moment.day} {MONTHS[moment.month - 1]} {moment.year}",
        local=lambda moment: moment.astimezone(zone),
    )
    return environment


def _inert(value: object) -> object:
    """What a template puts out; markup of the template itself stays."""
    return line(value, LONGEST) if isinstance(value, str) and not hasattr(value, "__html__") else value


def policy(style: str, script: str) -> str:
    """The Content-Security-Policy under which this style and this script are all that counts."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
