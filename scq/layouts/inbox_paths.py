"""Where the jobs of the inbox/review generation lie, and finding them by names only.

A child of a submitter's folder that is called `v<digits>` and holds no files of a job is a protocol segment. Segment `v1`
is read, any other is reported; a flat job may legally be called `v1`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from scq.formats import is_component
from scq.layouts.inbox_config import CONFIG_FILE
from scq.layouts.review_state import STATE_FILE
from scq.model import JobRef, Problem, Spot
from scq.ports import Tree

FAMILY = "inbox-review"
SEGMENT = "v1"
RUN_SH = "run.sh"
CODE = "code"
OUTPUTS = "outputs"
LOGS = ("stdout.txt", "stderr.txt", "returncode.txt")
ABSENT = "-"
"""The stamp of a path that is not there."""


def queue_path(home: str) -> str:
    """Folder of the queue below the folder of a datasite."""
    return f"{home}/app_data/job"


def homes(owner: str) -> tuple[str, str]:
    """The folders a datasite can have: directly below the root, as the peers write it, or below `datasites`."""
    return owner, f"datasites/{owner}"


def home_of(path: str, owner: str) -> str:
    """The one of `homes` in which a path lies."""
    plain, nested = homes(owner)
    return nested if path.startswith(f"{nested}/") else plain


def job_path(home: str, side: str, ref: JobRef) -> str:
    """Folder of a job on one side: `inbox` or `review`."""
    return f"{queue_path(home)}/{side}/{ref.submitter}/{ref.key}"


def is_segmented(ref: JobRef) -> bool:
    """True for a job of protocol 1, which lies below the `v1` folder."""
    return "/" in ref.key


def job_name(ref: JobRef) -> str:
    """The folder name of a job, which is its name."""
    return ref.key.rpartition("/")[2]


def is_versioned(name: str) -> bool:
    """True for a name that reads as a protocol segment."""
    return re.fullmatch(r"v[0-9]+", name) is not None


def exists(tree: Tree, path: str) -> bool:
    """True for anything at all, links and special files too."""
    return tree.stamp(path) != ABSENT


def is_job_file(tree: Tree, path: str) -> bool:
    """True for anything but a folder: below a segment, a folder of such a name is a job that is called so."""
    return exists(tree, path) and not tree.is_dir(path)


def find(tree: Tree) -> Iterator[Spot]:
    """Every job by names only. In an incremental look the places are a guess that `locate` makes good."""
    seen: set[JobRef] = set()
    for home, owner in tree.datasites():
        for spot in _find_home(tree, home, owner):
            if spot.ref not in seen:
                seen.add(spot.ref)
                yield spot
            elif tree.full:
                what = "the same job exists both below the SyftBox folder and below its datasites folder"
                tree.problem(Problem(spot.places[0], what, "Only the first is read: move or remove this one."))


def locate(tree: Tree, ref: JobRef) -> Spot | None:
    """The folders of a known job now, each component a real folder; None when it is gone."""
    if not all(is_component(part) for part in (ref.owner, ref.submitter, *ref.key.split("/"))):
        return None
    for home in homes(ref.owner):
        if not (tree.is_dir(home) and tree.is_dir(f"{home}/app_data") and tree.is_dir(queue_path(home))):
            continue
        if is_segmented(ref) and is_job_file(tree, f"{queue_path(home)}/inbox/{ref.submitter}/{SEGMENT}/{CONFIG_FILE}"):
            continue
        arrived, answered = (_is_reachable(tree, f"{queue_path(home)}/{side}", ref) for side in ("inbox", "review"))
        places = _places(tree, home, ref, arrived, answered)
        if places:
            return Spot(ref, places)
    return None


def _find_home(tree: Tree, home: str, owner: str) -> Iterator[Spot]:
    queue = queue_path(home)
    if not _is_structure(tree, queue) or not _is_structure(tree, f"{home}/app_data"):
        return
    sides = [f"{queue}/{side}" for side in ("inbox", "review") if _is_structure(tree, f"{queue}/{side}")]
    for submitter in sorted({name for side in sides for name in tree.children(side)}):
        if home == owner or _is_submitter(tree, queue, submitter):
            yield from _find_submitter(tree, home, owner, submitter, sides)


def _is_structure(tree: Tree, path: str) -> bool:
    """True for a real folder; anything else in its place is reported, because the jobs below it stay unseen."""
    if tree.is_dir(path):
        return True
    if exists(tree, path):
        if tree.is_dir(path):
            return True  # it was made between the two looks
        tree.problem(Problem(path, "is not a folder; links are not followed", "Put the real folder there to see its jobs."))
    return False


def _is_submitter(tree: Tree, queue: str, name: str) -> bool:
    """Below `datasites` an older generation keeps its jobs directly in `inbox/`: those are not submitters."""
    return "@" in name and not is_job_file(tree, f"{queue}/inbox/{name}/{CONFIG_FILE}")


def _find_submitter(tree: Tree, home: str, owner: str, submitter: str, sides: list[str]) -> Iterator[Spot]:
    """Flat jobs, then those of the segment. The segment's own folders tell what is new below them, so they are always asked."""
    names = _Names(tree, queue_path(home), sides, submitter)
    for name in names.union():
        if is_versioned(name) and not _is_flat_job(tree, names, name):
            _report_unknown_segment(tree, names, name)
            continue
        yield from _spot(tree, home, JobRef(FAMILY, owner, submitter, name), names)
    below = _Names(tree, queue_path(home), sides, f"{submitter}/{SEGMENT}")
    if not below.union():
        return
    if is_job_file(tree, f"{below.inbox}/{CONFIG_FILE}"):
        if SEGMENT not in names.union():
            yield from _spot(tree, home, JobRef(FAMILY, owner, submitter, SEGMENT), names)
        return
    for name in below.union():
        # the results of an old flat job called v1 are no job
        if name in below.arrived or name != OUTPUTS:
            yield from _spot(tree, home, JobRef(FAMILY, owner, submitter, f"{SEGMENT}/{name}"), below)


class _Names:
    """Names of the job folders of one submitter (or of his segment) that are new on each side."""

    def __init__(self, tree: Tree, queue: str, sides: list[str], below: str) -> None:
        self.inbox, self.review = f"{queue}/inbox/{below}", f"{queue}/review/{below}"
        self.arrived = set(tree.fresh_children(self.inbox)) if f"{queue}/inbox" in sides else set()
        self.answered = set(tree.fresh_children(self.review)) if f"{queue}/review" in sides else set()

    def union(self) -> list[str]:
        return sorted(self.arrived | self.answered)


def _is_flat_job(tree: Tree, names: _Names, name: str) -> bool:
    """True for a folder that could be a protocol segment by its name but holds the files of a job itself."""
    files = (f"{names.inbox}/{name}/{CONFIG_FILE}", f"{names.review}/{name}/{STATE_FILE}")
    return any(is_job_file(tree, path) for path in files)


def _report_unknown_segment(tree: Tree, names: _Names, name: str) -> None:
    if name == SEGMENT:
        return
    folder = names.inbox if name in names.arrived else names.review
    newer = int(name[1:6]) > 1 or len(name) > 6
    what = f"protocol {name} is newer than this scq" if newer else f"protocol {name} is not known to this scq"
    tree.problem(Problem(f"{folder}/{name}", what, "Update scq, or ask the submitter to use protocol v1. Its jobs are not read."))


def _spot(tree: Tree, home: str, ref: JobRef, names: _Names) -> Iterator[Spot]:
    if tree.full:
        name = job_name(ref)
        places = _places(tree, home, ref, name in names.arrived, name in names.answered)
    else:
        places = (job_path(home, "inbox", ref), job_path(home, "review", ref))
    if places:
        yield Spot(ref, places)


def _places(tree: Tree, home: str, ref: JobRef, arrived: bool, answered: bool) -> tuple[str, ...]:
    """The folders of a job, given whether the folder of that name is there on each side; empty when that is no job."""
    inbox, review = job_path(home, "inbox", ref), job_path(home, "review", ref)
    if is_versioned(ref.key):
        arrived = arrived and is_job_file(tree, f"{inbox}/{CONFIG_FILE}")
        answered = answered and is_job_file(tree, f"{review}/{STATE_FILE}")
    elif not arrived:
        answered = answered and exists(tree, f"{review}/{STATE_FILE}")
    return tuple(path for path, there in ((inbox, arrived), (review, answered)) if there)


def _is_reachable(tree: Tree, side: str, ref: JobRef) -> bool:
    """True when every component from the side down to the job is a real folder."""
    path = side
    if not tree.is_dir(path):
        return False
    for part in (ref.submitter, *ref.key.split("/")):
        path = f"{path}/{part}"
        if not tree.is_dir(path):
            return False
    return True
