"""The folder generation of syft-job: the status folder a job lies in tells its status.

B0 (0.1.1-0.1.8): `datasites/<owner>/app_data/job/{inbox,approved,done}/<job>/`. A later generation keeps `inbox/<submitter>/`
beside `review/` directly below the root; that is not read here. docs/layouts.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from scq.errors import InvalidFileError
from scq.files import SMALL
from scq.formats import parse_yaml, same_address
from scq.layouts import job_results, job_submission
from scq.layouts.job_files import (
    CONFIG,
    LOGS,
    LOGS_FOLDER,
    RETURN_CODE,
    RUN_SCRIPT,
    Stage,
    content_of,
    job_names,
    read_config,
    read_job,
    results_of,
)
from scq.model import Content, Decision, JobRef, Problem, ResultFiles, Run, Sighting, Spot
from scq.permissions import FILE_NAME as PERMISSIONS
from scq.ports import ResultSet, Submission, Tree

INBOX, APPROVED, DONE = "inbox", "approved", "done"
FURTHEST_FIRST = (DONE, APPROVED, INBOX)


class JobFolders:
    """Jobs whose status is told by the folder they lie in."""

    family = "job-folders"
    generations: tuple[str, ...] = ("b0",)

    def find(self, tree: Tree) -> Iterator[Spot]:
        for folder, owner in tree.datasites():
            if folder.startswith("datasites/"):
                yield from self._of_owner(tree, owner)

    def _of_owner(self, tree: Tree, owner: str) -> Iterator[Spot]:
        places: dict[str, list[str]] = {}
        for word in FURTHEST_FIRST:
            folder = f"{_job_folder(owner)}/{word}"
            for name in job_names(tree, folder):
                # inbox/<address>/<job> is the form of a later generation
                if word != INBOX or "@" not in name or tree.is_file(f"{folder}/{name}/{CONFIG}"):
                    places.setdefault(name, []).append(f"{folder}/{name}")
        for name, found in places.items():
            yield Spot(JobRef(self.family, owner, "", name), tuple(found))

    def locate(self, tree: Tree, ref: JobRef) -> Spot | None:
        folders = [f"{_job_folder(ref.owner)}/{word}" for word in FURTHEST_FIRST]
        places = tuple(f"{folder}/{ref.key}" for folder in folders if tree.is_dir(folder) and tree.is_dir(f"{folder}/{ref.key}"))
        return Spot(ref, places) if places else None

    def stamp(self, tree: Tree, spot: Spot) -> str:
        watched: list[str] = []
        for place in spot.places:
            word = _word(place)
            names = (CONFIG, RETURN_CODE, f"{LOGS_FOLDER}/{RETURN_CODE}") if word == DONE else (CONFIG, RUN_SCRIPT)
            watched += [f"{place}/{name}" for name in names]
            if word == APPROVED and same_address(spot.ref.owner, tree.me):
                watched += [f"{folder}/{PERMISSIONS}" for folder, _ in _above_approved(spot.ref.owner)]
        return "|".join((*spot.places, *map(tree.stamp, watched)))

    def read(self, tree: Tree, spot: Spot) -> Sighting:
        path, ghosts, problems = _current(tree, spot)
        word, logs = _word(path), _logs(tree, path)
        mine = same_address(spot.ref.owner, tree.me)
        shut = not mine or word != APPROVED or not _strangers_may_approve(tree, spot.ref.owner)
        stage = Stage(
            path=path,
            generation="b0",
            word=word,
            logs=logs,
            ended=f"{logs}/{RETURN_CODE}",
            dated=(f"{path}/{CONFIG}", *(f"{logs}/{name}" for name in LOGS if word == DONE)),
            owner_only=mine and shut,
            flags=() if shut else ("untrusted_approval",),
            problems=problems,
            ghosts=ghosts,
        )
        return read_job(tree, spot, stage)

    def content(self, sighting: Sighting) -> Content:
        return content_of(sighting)

    def results(self, tree: Tree, sighting: Sighting) -> ResultFiles:
        return results_of(tree, sighting, _logs(tree, sighting.path))

    def target(self, root: str, owner: str) -> str | None:
        job = f"{root}/{_job_folder(owner)}"
        names = job_submission.folders(job)
        ours = [name for name in FURTHEST_FIRST if name in names and not job_submission.is_job(f"{job}/{name}")]
        return "b0" if ours and "review" not in names else None

    def submit(self, root: str, generation: str, submission: Submission) -> JobRef:
        """Write a job into `inbox/`. A name that is taken in any status folder is refused: it would be the same job."""
        job_submission.check(submission, reserved=frozenset(FURTHEST_FIRST), with_address=False)
        job = _job_folder(submission.owner)
        for word in (APPROVED, DONE):
            job_submission.check_free(root, f"{job}/{word}", submission)
        job_submission.place(root, f"{job}/{INBOX}", submission, generation)
        return JobRef(self.family, submission.owner, "", submission.name)

    def decide(self, root: str, sighting: Sighting, decision: Decision) -> None:
        """Approving moves the job on. Rejecting cannot be told to peers, but moves a job back that is shown as approved."""
        job = _job_folder(sighting.owner)
        source, target = (INBOX, APPROVED) if decision.verdict == "approve" else (APPROVED, INBOX)
        if sighting.path == f"{job}/{source}/{sighting.ref.key}" and os.path.isdir(job_results.safe_path(root, sighting.path)):
            job_results.move(root, sighting.path, f"{job}/{target}/{sighting.ref.key}")

    def begin(self, root: str, sighting: Sighting, run: Run) -> None:
        """Nothing: this generation has no word for a running job."""

    def finish(self, root: str, sighting: Sighting, results: ResultSet) -> None:
        """Publish results for the owner alone in the folder of the approved job, then move it to `done/` as the last step."""
        path = _whereabouts(root, sighting)
        job_results.publish(job_results.job_folder(root, path), LOGS_FOLDER, sighting.submitter, results)
        _move_to(root, sighting, path, DONE)

    def reopen(self, root: str, sighting: Sighting) -> None:
        path = _move_to(root, sighting, _whereabouts(root, sighting), APPROVED)
        job_results.discard(job_results.job_folder(root, path))

    def share(self, root: str, sighting: Sighting, results: ResultSet | None, *, outputs: bool, logs: bool) -> None:
        """Add read rules to the permission file of the job folder. Raises UsageError when the submitter is not known."""
        folder = job_results.job_folder(root, _whereabouts(root, sighting))
        logs_folder = LOGS_FOLDER if os.path.isdir(os.path.join(folder, LOGS_FOLDER)) else ""
        job_results.share(folder, logs_folder, sighting.submitter, outputs=outputs, logs_too=logs)

    def remove(self, root: str, sighting: Sighting) -> None:
        for path in (sighting.path, *sighting.ghosts):
            job_results.remove(root, path)


def _job_folder(owner: str) -> str:
    return f"datasites/{owner}/app_data/job"


def _word(path: str) -> str:
    """Name of the status folder a job folder lies in."""
    return path.split("/")[-2]


def _logs(tree: Tree, path: str) -> str:
    """Folder of the log files: `logs/` up to 0.1.5, the job folder itself in 0.1.6-0.1.8."""
    inner = f"{path}/{LOGS_FOLDER}"
    return inner if tree.is_dir(inner) else path


def _current(tree: Tree, spot: Spot) -> tuple[str, tuple[str, ...], tuple[Problem, ...]]:
    """Which of several folders of one name is the job: the furthest one, unless an earlier stage holds a later submission.

    Peers allow to submit a name again once the older job has left the inbox, and replace that one when the new one is done.
    """
    if len(spot.places) == 1:
        return spot.places[0], (), ()
    times = {place: read_config(tree, place).submitted_at for place in spot.places}
    best = spot.places[0]
    for place in spot.places[1:]:
        now, before = times[place], times[best]
        if now is not None and (before is None or now > before):
            best = place
    ghosts = tuple(place for place in spot.places if place != best)
    advice = "It is replaced once the job is approved and done."
    older = tuple(Problem(place, "is an older job of the same name", advice) for place in ghosts if times[place] != times[best])
    return best, ghosts, older


def _above_approved(owner: str) -> list[tuple[str, tuple[str, ...]]]:
    """Folders whose permission file may speak about the approved jobs, each with the way from there to `approved/`."""
    parts = (*_job_folder(owner).split("/"), APPROVED)
    return [("/".join(parts[:depth]), parts[depth:]) for depth in range(2, len(parts) + 1)]


def _strangers_may_approve(tree: Tree, owner: str) -> bool:
    """True when a permission file lets anybody but the owner write into `approved/`, or cannot be read.

    Not the exact rule, which file and pattern decide: whatever might grant it is enough not to trust an approval.
    """
    for folder, way in _above_approved(owner):
        path = f"{folder}/{PERMISSIONS}"
        if tree.stamp(path) == "-":
            continue
        try:
            rules = parse_yaml(tree.read_text(path, SMALL), path).get("rules") or []
        except InvalidFileError:
            return True
        if not isinstance(rules, list) or any(_grants_write(item, way, owner) for item in rules):
            return True
    return False


def _grants_write(item: object, way: tuple[str, ...], owner: str) -> bool:
    if not isinstance(item, dict) or not isinstance(item.get("pattern"), str) or not isinstance(item.get("access"), dict):
        return True
    if not _may_match(item["pattern"], way):
        return False
    granted = [item["access"].get(level) or [] for level in ("write", "admin")]
    return any(not isinstance(names, list) or any(not same_address(str(name), owner) for name in names) for names in granted)


def _may_match(pattern: str, way: tuple[str, ...]) -> bool:
    """False only when a pattern starts with plain names that lead elsewhere."""
    for wanted, found in zip(pattern.split("/"), way, strict=False):
        if set(wanted) & set("*?[{"):
            return True
        if wanted != found:
            return False
    return True


def _whereabouts(root: str, sighting: Sighting) -> str:
    """Where the folder of a job is that was approved: as seen, or moved on by a call that was stopped. Relative to the root."""
    places = [f"{_job_folder(sighting.owner)}/{word}/{sighting.ref.key}" for word in (APPROVED, DONE)]
    for path in (sighting.path, *places):
        if os.path.isdir(job_results.safe_path(root, path)):
            return path
    return sighting.path


def _move_to(root: str, sighting: Sighting, path: str, word: str) -> str:
    target = f"{_job_folder(sighting.owner)}/{word}/{sighting.ref.key}"
    if path != target:
        job_results.move(root, path, target)
    return target
