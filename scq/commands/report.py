"""`scq report`: how the queue has been doing, in a few lines or as one HTML page that needs nothing else.

Looks and reads; writes nothing but the page.
"""

from __future__ import annotations

import os
import stat
from collections import Counter, deque
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

from scq.audit import Tip, read_rows, verify
from scq.audit import read_lines as audit_lines
from scq.clean import is_address, line
from scq.config_kinds import DURATION
from scq.context import Context
from scq.errors import BusyError, InvalidFileError, UsageError
from scq.files import write_atomic
from scq.looking import View, view
from scq.measuring import measure
from scq.model import STATUSES, AuditRow, Problem, Role, Whereabouts
from scq.report import Report
from scq.showing import size
from scq.state import Record
from scq.syftbox import lies_inside
from scq.timeline import Spread, Story, Summary, span, story, summary, within
from scq.web.page import AUDIT_ROWS, JOBS, AuditEnd, Own, Page, render

READABLE = 0o644
FORGED = "forged"
"""Flag of a job whose path names another submitter than the one who sent it."""


def run(
    ctx: Context, *, html: str = "", public: bool = False, submitter: str = "", since: str = "", dry_run: bool = False
) -> Report:
    """Figures about the jobs sent to this owner, and with `html` a page of them, which is replaced as a whole (mode 0600).

    `since` (a duration such as `90d`) keeps the jobs that are not over or to which something happened in that time. `public` with
    `submitter` tells of the jobs of this submitter only, in the words of messages to submitters; its page has mode 0644.
    Raises UsageError for options that do not fit together and for a place where the page must not lie.
    """
    address = _address(public, submitter)
    now = ctx.now()
    begin = now - timedelta(seconds=_duration(since)) if since else None
    path = _place(ctx, html, public) if html else ""
    page, problems = _page(ctx, now, begin, address)
    data = _data(page) | {"path": path or None, "bytes": None, "dry_run": dry_run}
    if not path:
        return Report("report", data, tuple(_lines(page)), problems)
    content = render(page).encode("utf-8", "replace")
    if not dry_run:
        write_atomic(path, content, mode=READABLE if public else 0o600)
    lines = [_written(path, len(content), page, dry_run)]
    if public and _is_shared(ctx, path):
        lines.append("It lies inside the SyftBox folder: who may read that place gets it.")
    return Report("report", data | {"bytes": len(content)}, tuple(lines), problems)


def _address(public: bool, submitter: str) -> str:
    if public != bool(submitter):
        raise UsageError("--public and --for belong together", "scq report --html FILE --public --for SUBMITTER")
    address = submitter.strip().lower()
    if public and not is_address(address):
        raise UsageError(f"--for {submitter[:80]!a} is not an address", "Give the address of one submitter.")
    return address


def _duration(text: str) -> float:
    value = DURATION.parse(text)
    if value is None:
        raise UsageError(f"--since {text[:80]!a} is not allowed", f"It is {DURATION.allowed}.")
    return float(value)


def _place(ctx: Context, html: str, public: bool) -> str:
    path = os.path.abspath(os.path.expanduser(html))
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise UsageError(f"{folder} is not a folder", "Make it first, or choose another --html.")
    if os.path.isdir(path) or html.endswith("/"):
        raise UsageError(f"{path} is a folder", "Name a file in it.")
    if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
        raise UsageError(f"{path} is no plain file", "Links, pipes and devices are not replaced: choose another --html.")
    if not public and _is_shared(ctx, path):
        what = "What lies there is sent to others: choose another --html, or --public --for SUBMITTER."
        raise UsageError(f"{path} lies inside the SyftBox folder", what)
    return path


def _is_shared(ctx: Context, path: str) -> bool:
    """True when a file would be made inside the SyftBox folder."""
    return bool(ctx.config.root) and lies_inside(os.path.dirname(path), ctx.config.root)


def _page(ctx: Context, now: datetime, begin: datetime | None, address: str) -> tuple[Page, tuple[Problem, ...]]:
    shown = view(ctx, full=True)
    records, remembered = _records(ctx, shown, address)
    role: Role = "ds" if address else "do"
    zone = UTC if address else None
    own, problems, places = (None, shown.problems, {}) if address else _own(ctx, shown)
    stories = within((story(record, role, places.get(record.id)) for record in records), begin)
    # What of somebody else could not be read is nothing to tell a submitter; a folder that shows nothing at all is.
    lacking = remembered or any(problem.where == "." for problem in shown.problems) if address else not shown.source.complete
    complete = shown.source.ok and not lacking
    page = Page(
        owner=ctx.config.email,
        made_at=now,
        stories=stories,
        summary=summary(stories, now, zone, begin),
        since=begin,
        complete=complete,
        submitter=address,
        own=own,
        zone=zone,
    )
    return page, problems


def _records(ctx: Context, shown: View, address: str) -> tuple[list[Record], bool]:
    """(every job a page tells of, and of a source that could not be read what was remembered, whether such a one is in it)."""
    found = dict(shown.records)
    missed: dict[str, Record] = {}
    if not (shown.source.ok and shown.source.complete):
        over = {key: ctx.store.finished_record(key) for key in ctx.store.finished_keys() - found.keys()}
        missed = {key: record for key, record in over.items() if record is not None and _is_told(ctx, record, address)}
    told = [record for record in found.values() if _is_told(ctx, record, address)]
    return [*told, *missed.values()], bool(missed)


def _is_told(ctx: Context, record: Record, address: str) -> bool:
    """Whether a page tells of a job. On that of a submitter (empty: the owner's) one with a forged name is nobody's."""
    seen = record.sighting
    if seen.owner != ctx.config.email or record.missing_since is not None:
        return False
    # In ASCII only: else there are letters that become those of another address when they are made small.
    its_own = seen.submitter.isascii() and seen.submitter.lower() == address and FORGED not in seen.flags
    return not address or its_own


def _own(ctx: Context, shown: View) -> tuple[Own, tuple[Problem, ...], dict[str, Whereabouts]]:
    """(what only the owner's page shows, what is wrong, where runs on a cluster are by the id of their job)."""
    figures = measure(ctx)
    audit, wrong = _audit(ctx)
    problems = tuple(dict.fromkeys((*shown.problems, *figures.problems, *wrong)))
    own = Own(
        root=os.path.basename(ctx.config.root.rstrip("/")),
        run_id=ctx.run_id,
        outbox=figures.outbox,
        troubles=figures.troubles,
        ended=figures.ended,
        looked_at=figures.looked_at,
        peers_pending=figures.peers["pending"],
        audit=audit,
        problems=problems,
    )
    return own, problems, {work.job.id: work.place for work in figures.work if work.place is not None}


def _audit(ctx: Context) -> tuple[AuditEnd, tuple[Problem, ...]]:
    """The audit log against itself and against what the state remembers of its end, and its newest rows."""
    store = ctx.store
    newest: deque[AuditRow] = deque(maxlen=AUDIT_ROWS)
    kinds: Counter[str] = Counter()
    try:
        with store.locked() if os.path.lexists(store.path) else nullcontext():
            state = store.load()
            found = verify(audit_lines(store.audit_path), Tip(state.audited, state.audit_head), state.audit)
            for row, _ in read_rows(store.audit_path):
                newest.append(row)
                kinds[row.what] += 1
    except (InvalidFileError, BusyError) as error:
        wrong = line(str(error), 300)
        return AuditEnd(0, "", wrong, {}, ()), (Problem(store.audit_path, f"could not be checked: {wrong}", error.advice),)
    end = AuditEnd(found.tip.number, found.tip.head, found.what, dict(kinds.most_common()), tuple(newest)[::-1])
    if not found.kind:
        return end, ()
    return end, (Problem(store.audit_path, f"{found.kind}: {found.what}", "scq audit verify says more."),)


def _data(page: Page) -> dict[str, Any]:
    figures, own = page.summary, page.own
    pending = [one for one in page.stories if one.status == "pending"]
    data: dict[str, Any] = {
        "made_at": _iso(page.made_at),
        "since": _iso(page.since) if page.since else None,
        "for": page.submitter or None,
        "complete": page.complete,
        "jobs": figures.jobs,
        "shown": min(JOBS, figures.jobs),
        "counts": figures.counts,
        "pending": [_waiting(one, page.made_at) for one in reversed(pending)],
        "results_waiting": None if own is None else figures.results_waiting,
        "submitters": [
            {"address": person.address, "jobs": person.jobs, "counts": person.counts, "wait_s": person.wait_s}
            for person in figures.people
        ],
        "activity": {
            "step": figures.activity.step,
            "earlier": figures.activity.earlier,
            "counts": [
                {"start": count.start.isoformat(), **{word: getattr(count, word) for word in count.__struct_fields__[1:]}}
                for count in figures.activity.counts
            ],
        },
        "waits": _spread(figures.waits),
        "runs": _spread(figures.runs),
        "failures": {cause or "other": number for cause, number in figures.failures.items()},
        "decisions": figures.verdicts,
        "released": {"jobs": figures.released_jobs, "files": figures.released_files, "bytes": figures.released_bytes},
        "audit": None,
    }
    if own is not None:
        data["audit"] = {"count": own.audit.count, "head": own.audit.head or None, "wrong": own.audit.wrong or None}
    return data


def _waiting(one: Story, now: datetime) -> dict[str, Any]:
    wait = max(0.0, (now - one.submitted_at).total_seconds())
    return {"id": one.id, "name": one.name, "submitter": one.submitter, "wait_s": wait, "digest": one.digest or None}


def _spread(figures: Spread) -> dict[str, Any]:
    return {
        "count": figures.count,
        "median_s": figures.median_s,
        "p90_s": figures.most_s,
        "bins": [{"range": words, "count": number} for words, number in figures.bins],
    }


def _lines(page: Page) -> list[str]:
    figures = page.summary
    span_words = f", since {page.since:%Y-%m-%d}" if page.since else ""
    lines = [f"{line(page.submitter or page.owner)}: {_jobs(figures.jobs)}{span_words}"]
    lines.append("  ".join(f"{figures.counts[word]} {word}" for word in STATUSES))
    pending = [one for one in page.stories if one.status == "pending"]
    if pending:
        oldest = pending[-1]
        wait = span(max(0.0, (page.made_at - oldest.submitted_at).total_seconds()))
        lines.append(f"waiting longest: {oldest.short_id} {line(oldest.name)}, {wait}")
    if page.own is not None and figures.results_waiting:
        lines.append(f"results waiting for your answer: {figures.results_waiting}")
    lines += _times("from arrival to decision", figures.waits) + _times("runs", figures.runs)
    lines += _people(figures) if page.own is not None else []
    if figures.failures:
        lines.append("failures: " + ", ".join(f"{number} {cause or 'other'}" for cause, number in figures.failures.items()))
    if figures.released_jobs:
        files = f"{figures.released_files} files of {_jobs(figures.released_jobs)}"
        lines.append(f"released: {files}, {size(figures.released_bytes)}")
    if page.own is not None:
        end = page.own.audit
        whole = f"whole, head {end.head or '(none)'}"
        lines.append(f"audit log: {end.count} rows, {line(end.wrong, 300) or whole}")
    return lines


def _times(what: str, figures: Spread) -> list[str]:
    if figures.median_s is None or figures.most_s is None:
        return []
    return [f"{what}: median {span(figures.median_s)}, nine of ten within {span(figures.most_s)}"]


def _people(figures: Summary) -> list[str]:
    named = [f"{line(person.address, 80) or 'not known'} {person.jobs}" for person in figures.people[:10]]
    more = f", and {len(figures.people) - 10} more" if len(figures.people) > 10 else ""
    return ["by submitter: " + ", ".join(named) + more] if named else []


def _written(path: str, count: int, page: Page, dry_run: bool) -> str:
    says = "would hold" if dry_run else "holds"
    left_out = "" if page.summary.jobs <= JOBS else f", the newest {JOBS} of them row by row"
    return f"{line(path, 500)}: {says} {_jobs(page.summary.jobs)}{left_out}, {size(count)}"


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
