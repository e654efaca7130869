"""The report as one page: a single HTML file that loads nothing and sends nothing.

Its policy allows exactly the one style and the one script in it, by their sha256. Every text that is put in passes
`clean.line` and the escaping of the template engine, wherever it came from.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

from msgspec import Struct

from scq import __version__, resources
from scq.clean import line
from scq.files import read_text
from scq.lastcalls import Ended
from scq.model import AuditRow, Problem, Trouble
from scq.showing import size
from scq.timeline import CAUSES, STATUSES, Story, Summary, span
from scq.web import charts

if TYPE_CHECKING:
    from jinja2 import Environment

JOBS, ROWS, TRACKS, PEOPLE, FILES, AUDIT_ROWS = 1_000, 200, 24, 200, 20, 50
"""The most rows a page shows: of jobs, of other tables, of the timeline, of submitters, of the files of one release, of the
audit log. Figures are always over all."""
LONGEST = 400
"""Characters of a text that are shown."""
SERIES = (
    ("submitted", "Submitted"),
    ("decided", "Decided"),
    ("ended", "Run to the end"),
    ("released", "Released"),
)
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
    begin, end = page.since or _first(page), page.made_at
    tracks, tracks_begin = charts.tracks(page.stories[:TRACKS], page.made_at)
    counts = page.summary.activity.counts
    text: str = (
        _environment(folder, page.zone)
        .get_template("page.html")
        .render(
            page=page,
            own=page.own,
            summary=page.summary,
            public=page.own is None,
            version=__version__,
            policy=policy(style, script),
            # Both come with scq and are the same in every page.
            style=Markup(style),  # noqa: S704
            script=Markup(script),  # noqa: S704
            statuses=STATUSES,
            causes=CAUSES,
            outbox_words=OUTBOX_WORDS,
            begin=begin,
            end=end,
            pending=_chosen(page, lambda one: one.status == "pending")[::-1],
            held=_chosen(page, lambda one: one.results.outcome == "waiting")[::-1],
            failed=_chosen(page, lambda one: one.status == "failed"),
            decided=sorted(
                _chosen(page, lambda one: one.verdict is not None and one.verdict.at is not None),
                key=lambda one: one.verdict.at if one.verdict and one.verdict.at else page.made_at,
                reverse=True,
            ),
            released=_chosen(page, lambda one: one.results.outcome == "released"),
            most=max((getattr(count, name) for count in counts for name, _ in SERIES), default=0),
            series=SERIES,
            tracks=tracks,
            tracks_begin=tracks_begin,
            limits={"jobs": JOBS, "rows": ROWS, "people": PEOPLE, "files": FILES},
            charts=charts,
        )
    )
    return text


def policy(style: str, script: str) -> str:
    """The Content-Security-Policy under which this style and this script are all that counts."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _first(page: Page) -> datetime:
    return min((one.submitted_at for one in page.stories), default=page.made_at)
