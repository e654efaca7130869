"""How jobs show themselves in a notebook: always as text and as a static page, and as a widget where one can act."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from hashlib import sha256
from typing import Any

from scq.errors import ConfigError
from scq.library.jobs import CodeJob, JobCollection, LiveJobs
from scq.library.notebook.desk import Desk
from scq.library.shell import is_notebook
from scq.library.verbs import Verbs, hearing, settle
from scq.model import Problem
from scq.report import Report
from scq.web import cards

VIEW = "application/vnd.jupyter.widget-view+json"
ADVICE = "<p>pip install 'scq[notebook]' gives buttons here.</p>"


def of_job(job: CodeJob) -> dict[str, Any]:
    """The MIME bundle of one job."""
    verbs, uid = job._verbs, job.uid
    desk = Desk(verbs, lambda: [CodeJob(verbs.show(uid), verbs)], [uid])
    bundle = {"text/plain": repr(job), "text/html": html_of_job(job)}
    return _with_view(bundle, ("job", verbs, uid), desk, kind="job", word=uid, title=job.short_id)


def of_jobs(collection: JobCollection) -> dict[str, Any]:
    """The MIME bundle of a collection, from one look."""
    held, verbs, title = _held(collection), collection._verbs, _title(collection)
    ids = [job.uid for job in held.jobs()]
    bundle = {"text/plain": repr(held), "text/html": _table(collection, held)}
    # What shows the same jobs is one view, whichever object shows them. Neither its key nor its desk holds a job: there may be
    # ten thousand, displayed again and again.
    key: Hashable
    jobs: Callable[[], Sequence[CodeJob]]
    if isinstance(collection, LiveJobs):
        key, jobs = ("live", verbs, title or collection.jobs), collection.jobs
    else:
        key, jobs = ("jobs", verbs, sha256(repr(ids).encode()).digest()), lambda: _now(verbs, ids)
    return _with_view(bundle, key, Desk(verbs, jobs, ids), kind="jobs", title=title)


def html_of_job(job: CodeJob) -> str:
    """One job as a static card."""
    return cards.job(job.as_dict(), me=_me(job._verbs))


def html_of_jobs(collection: JobCollection) -> str:
    """A collection as a static table of its newest jobs."""
    return _table(collection, _held(collection))


def _with_view(bundle: dict[str, Any], key: Hashable, desk: Desk, **shown: str) -> dict[str, Any]:
    if not is_notebook():
        return bundle
    try:
        from scq.library.notebook import widgets
    except ImportError as error:
        if (error.name or "").startswith("scq"):
            raise
        return bundle | {"text/html": bundle["text/html"] + ADVICE}

    found = widgets.opened(key, desk, **shown)
    return bundle | {VIEW: {"version_major": 2, "version_minor": 0, "model_id": found.model_id}}


def _held(collection: JobCollection) -> JobCollection:
    """What a collection holds at this moment. The widget tells what was wrong; a warning would tell it at every display."""
    with hearing():
        return JobCollection(collection.jobs(), collection._verbs)


def _table(collection: JobCollection, held: JobCollection) -> str:
    rows = [job.as_dict() for job in held.jobs()]
    return cards.jobs(rows, title=_title(collection), me=_me(collection._verbs))


def _title(collection: JobCollection) -> str:
    return str(getattr(collection, "title", ""))


def _me(verbs: Verbs) -> str:
    """Who looks; empty where the settings do not say: what was seen can be shown all the same."""
    try:
        return verbs.context().config.email
    except ConfigError:
        return ""


def _now(verbs: Verbs, ids: Sequence[str]) -> Sequence[CodeJob]:
    """These jobs as they are now, by one verb."""
    found = {facts["id"]: facts for facts in verbs.rows()}
    there = [uid for uid in ids if uid in found]
    if gone := len(ids) - len(there):
        what = f"{gone} of {len(ids)} are not there any more"
        settle(Report("list", problems=(Problem("jobs", what, "Look for them with scq list."),)))
    return [CodeJob(found[uid], verbs) for uid in there]
