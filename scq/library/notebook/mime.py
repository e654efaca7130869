"""How jobs show themselves in a notebook: always as text and as a static page, and as a widget where one can act."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Sequence
from typing import Any

from scq.errors import ConfigError
from scq.library.jobs import CodeJob, JobCollection, LiveJobs
from scq.library.notebook.desk import Desk
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
    held = _held(collection)
    is_live = isinstance(collection, LiveJobs)
    jobs = collection.jobs if is_live else _Held(held)
    # Whatever looks anew for the same person under the same title shows the same jobs, whichever object does.
    key = ("live", collection._verbs, _title(collection)) if is_live and _title(collection) else ("jobs", _Same(collection))
    bundle = {"text/plain": repr(held), "text/html": _table(collection, held)}
    desk = Desk(collection._verbs, jobs, [job.uid for job in held.jobs()])
    return _with_view(bundle, key, desk, kind="jobs", title=_title(collection))


def html_of_job(job: CodeJob) -> str:
    """One job as a static card."""
    return cards.job(job.as_dict(), me=_me(job._verbs))


def html_of_jobs(collection: JobCollection) -> str:
    """A collection as a static table of its newest jobs."""
    return _table(collection, _held(collection))


def can_act() -> bool:
    """Whether this is a notebook: IPython runs with a kernel, over which a page can ask. Loads nothing."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


def _with_view(bundle: dict[str, Any], key: Hashable, desk: Desk, **shown: str) -> dict[str, Any]:
    if not can_act():
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


class _Held:
    """The jobs of a collection that does not change: first as it holds them, from then on as they are now, by one verb."""

    def __init__(self, collection: JobCollection) -> None:
        self._verbs = collection._verbs
        self._jobs = collection.jobs()
        self._is_shown = False

    def __call__(self) -> Sequence[CodeJob]:
        from scq.commands import list as verb

        if not self._is_shown:
            self._is_shown = True
            return self._jobs
        found = {facts["id"]: facts for facts in self._verbs.call(verb.run).data["jobs"]}
        there = [job.uid for job in self._jobs if job.uid in found]
        gone = len(self._jobs) - len(there)
        if gone:
            what = f"{gone} of {len(self._jobs)} are not there any more"
            settle(Report("list", problems=(Problem("jobs", what, "Look for them with scq list."),)))
        return [CodeJob(found[uid], self._verbs) for uid in there]


class _Same:
    """Stands for one collection: equal to nothing but itself, where collections are equal by what they hold."""

    def __init__(self, collection: JobCollection) -> None:
        self._collection = collection

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other._collection is self._collection

    def __hash__(self) -> int:
        return id(self._collection)
