"""The marker generations of syft-job: empty files `approved` and `done` in the job folder tell the status.

B1 (0.1.9-0.1.21): `datasites/<owner>/app_data/job/<job>/`, later also `<owner>/app_data/job/<job>/`.
B2 (0.1.24-0.1.27): `<owner>/app_data/job/<submitter>/<job>/`.
A submitter may write where the markers are, so an approval found there proves nothing. docs/layouts.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from scq.layouts import job_results, job_submission
from scq.layouts.job_files import (
    CONFIG,
    LOGS,
    MARKERS,
    RETURN_CODE,
    RUN_SCRIPT,
    Stage,
    content_of,
    is_temporary,
    job_names,
    read_job,
    results_of,
)
from scq.model import Content, Decision, JobRef, Problem, ResultFiles, Run, Sighting, Spot
from scq.ports import ResultSet, Submission, Tree

STAGES = frozenset({"inbox", "approved", "done"})
"""Below `datasites/` these folders belong to the older folder generation."""

REVIEW = frozenset({"inbox", "review"})
"""Directly below the root these folders belong to the newer inbox/review generation."""

APPROVED, DONE = MARKERS


class JobMarkers:
    """Jobs whose status is told by marker files."""

    family = "job-markers"
    generations: tuple[str, ...] = ("b1", "b2")

    def find(self, tree: Tree) -> Iterator[Spot]:
        places: dict[JobRef, list[str]] = {}
        for folder, owner in sorted(tree.datasites(), key=lambda found: not found[0].startswith("datasites/")):
            job = f"{folder}/app_data/job"
            names = self._below_datasites(tree, job) if folder.startswith("datasites/") else self._below_root(tree, job)
            for name in names:
                submitter, _, key = name.rpartition("/")
                places.setdefault(JobRef(self.family, owner, submitter, key), []).append(f"{job}/{name}")
        for ref, found in places.items():
            yield Spot(ref, tuple(found))

    def _below_datasites(self, tree: Tree, job: str) -> Iterator[str]:
        for name in tree.fresh_children(job):
            if not is_temporary(name) and _is_job(tree, f"{job}/{name}", doubtful=name in STAGES):
                yield name

    def _below_root(self, tree: Tree, job: str) -> Iterator[str]:
        """`<job>` and `<submitter>/<job>`; what a newer release keeps in `inbox` and `review` is passed over."""
        names = [name for name in tree.children(job) if name not in REVIEW and not is_temporary(name)]
        submitters = [name for name in names if "@" in name]
        upgraded = any(tree.is_dir(f"{job}/{name}") for name in REVIEW)
        fresh = set(tree.fresh_children(job)) if len(names) > len(submitters) else set()
        for name in names:
            doubtful = "@" in name
            if (doubtful or name in fresh) and _is_job(tree, f"{job}/{name}", doubtful=doubtful or upgraded):
                yield name
        for submitter in submitters:
            yield from (f"{submitter}/{name}" for name in job_names(tree, f"{job}/{submitter}"))

    def locate(self, tree: Tree, ref: JobRef) -> Spot | None:
        newer = f"{ref.owner}/app_data/job"
        if ref.submitter:
            candidates = [(f"{newer}/{ref.submitter}", False)]
        else:
            candidates = [(f"datasites/{newer}", ref.key in STAGES)]
            if ref.key not in REVIEW:
                candidates.append((newer, "@" in ref.key))
        places = tuple(
            f"{base}/{ref.key}"
            for base, doubtful in candidates
            if tree.is_dir(base) and tree.is_dir(f"{base}/{ref.key}") and _is_job(tree, f"{base}/{ref.key}", doubtful=doubtful)
        )
        return Spot(ref, places) if places else None

    def stamp(self, tree: Tree, spot: Spot) -> str:
        path = spot.places[0]
        stamps = {name: tree.stamp(f"{path}/{name}") for name in (CONFIG, *MARKERS)}
        if stamps[DONE] != "-":
            more: tuple[str, ...] = (RETURN_CODE,)
        elif stamps[APPROVED] != "-":
            more = LOGS
        else:
            more = (RUN_SCRIPT,)
        return "|".join((*spot.places, *stamps.values(), *(tree.stamp(f"{path}/{name}") for name in more)))

    def read(self, tree: Tree, spot: Spot) -> Sighting:
        path, *others = spot.places
        there = [name for name in MARKERS if tree.stamp(f"{path}/{name}") != "-"]
        markers = tuple(name for name in there if tree.is_file(f"{path}/{name}"))
        false = [name for name in there if name not in markers]
        word = DONE if DONE in markers else APPROVED if APPROVED in markers else "inbox"
        problems = [_false_marker(f"{path}/{name}") for name in false] + [_twin(other) for other in others]
        flags = (["untrusted_approval"] if word == APPROVED else []) + (["damaged"] if false else [])
        stage = Stage(
            path=path,
            generation="b2" if spot.ref.submitter else "b1",
            word=word,
            logs=path,
            ended=f"{path}/{DONE}",
            dated=tuple(f"{path}/{name}" for name in (CONFIG, *MARKERS, *(LOGS if word != "inbox" else ()))),
            running=bool(spot.ref.submitter) and word == APPROVED and _logs_grow(tree, path),
            markers=markers,
            flags=tuple(flags),
            problems=tuple(problems),
            ghosts=tuple(others),
        )
        return read_job(tree, spot, stage)

    def content(self, sighting: Sighting) -> Content:
        return content_of(sighting)

    def results(self, tree: Tree, sighting: Sighting) -> ResultFiles:
        return results_of(tree, sighting, sighting.path)

    def target(self, root: str, owner: str) -> str | None:
        job = f"{root}/{owner}/app_data/job"
        names = job_submission.folders(job)
        if REVIEW.isdisjoint(names):
            if any("@" in name for name in names):
                return "b2"
            if any(job_submission.is_job(f"{job}/{name}") for name in names):
                return "b1"
        job = f"{root}/datasites/{owner}/app_data/job"
        return "b1" if any(job_submission.is_job(f"{job}/{name}") for name in job_submission.folders(job)) else None

    def submit(self, root: str, generation: str, submission: Submission) -> JobRef:
        """Write a job folder in one rename. A job of B1 goes below `datasites/` unless only the newer form is there."""
        job_submission.check(submission, reserved=STAGES | REVIEW, with_address=generation == "b2")
        owner, submitter = submission.owner, submission.submitter if generation == "b2" else ""
        base = owner if submitter else job_submission.datasite(root, owner)
        parent = f"{base}/app_data/job/{submitter}".rstrip("/")
        job_submission.place(root, parent, submission, generation)
        return JobRef(self.family, owner, submitter, submission.name)

    def decide(self, root: str, sighting: Sighting, decision: Decision) -> None:
        """Approving makes the marker. Rejecting cannot be told to peers, but takes a marker back that says the opposite."""
        folder = job_results.job_folder(root, sighting.path)
        if decision.verdict == "approve":
            job_results.mark(folder, APPROVED)
        else:
            job_results.unmark(folder, APPROVED, unless=DONE)

    def begin(self, root: str, sighting: Sighting, run: Run) -> None:
        """Nothing: these generations have no word for a running job."""

    def finish(self, root: str, sighting: Sighting, results: ResultSet) -> None:
        """Publish results for the owner alone, `done` last.

        The permission file put into the job folder ends the submitter's right to write in it: a finished job stays as it is.
        """
        folder = job_results.job_folder(root, sighting.path)
        job_results.publish(folder, "", sighting.submitter, results)
        job_results.mark(folder, APPROVED)
        job_results.mark(folder, DONE)

    def reopen(self, root: str, sighting: Sighting) -> None:
        folder = job_results.job_folder(root, sighting.path)
        job_results.mark(folder, APPROVED)
        job_results.unmark(folder, DONE)
        job_results.discard(folder)

    def share(self, root: str, sighting: Sighting, results: ResultSet | None, *, outputs: bool, logs: bool) -> None:
        """Add read rules to the permission file of the job folder. Raises UsageError when the submitter is not known."""
        folder = job_results.job_folder(root, sighting.path)
        job_results.share(folder, "", sighting.submitter, outputs=outputs, logs_too=logs)

    def remove(self, root: str, sighting: Sighting) -> None:
        job_results.remove(root, sighting.path)


def _is_job(tree: Tree, path: str, *, doubtful: bool) -> bool:
    """A folder of jobs holds jobs; where its name could mean something else, it needs a config.yaml to be one."""
    return not doubtful or tree.is_file(f"{path}/{CONFIG}")


def _logs_grow(tree: Tree, path: str) -> bool:
    """True when a log file is younger than the return code: B2 opens both logs as a run starts and writes the code last.

    A peer's rerun leaves the old files lying beside the job; those prove nothing.
    """
    *logs, code = (tree.mtime(f"{path}/{name}") for name in LOGS)
    return any(found is not None and (code is None or found > code) for found in logs)


def _false_marker(path: str) -> Problem:
    return Problem(path, "is not a plain file, so it does not count as a marker", "Find out who put it there, then remove it.")


def _twin(path: str) -> Problem:
    return Problem(path, "bears the name of a job below datasites/ and is not shown", "Rename one of the two folders.")
