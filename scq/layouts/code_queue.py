"""Status folders: a job is `jobs/<status>/<uid>/`, and changing its status means moving the folder.

Format: syft-code-queue 0.1.1-0.1.27 (docs/layouts.md). Releases up to 0.1.9 keep a job in the submitter's datasite (word a1),
later ones in the owner's (a3). The folder decides the status; the `status` field of the metadata file may lag behind it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from scq.errors import InvalidFileError, UsageError
from scq.formats import is_component, same_address
from scq.layouts import code_queue_changes as changed
from scq.layouts import code_queue_folders as folders
from scq.layouts import code_queue_metadata as metadata
from scq.layouts import code_queue_results as published
from scq.layouts.code_queue_folders import METADATA, STAGES
from scq.model import Content, Decision, JobRef, Problem, ResultFiles, Run, Sighting, Spot
from scq.permissions import FILE_NAME
from scq.ports import ResultSet, Submission, Tree

FAMILY = "code-queue"


class CodeQueue:
    """The status folders of one queue name in every datasite."""

    family: str = FAMILY
    generations: tuple[str, ...] = ("a1", "a3")

    def __init__(self, queue_name: str = "code-queue") -> None:
        self.queue_name = metadata.checked_queue_name(queue_name)

    # looking

    def find(self, tree: Tree) -> Iterator[Spot]:
        """Every job by folder names. The places are complete when the tree is full."""
        _report_neighbours(tree)
        for jobs, person in metadata.queue_folders(tree, self.queue_name):
            places: dict[str, list[str]] = {}
            for stage in STAGES:
                for uid in tree.fresh_children(f"{jobs}/{stage}"):
                    places.setdefault(uid, []).append(f"{jobs}/{stage}/{uid}")
            for uid, found in places.items():
                if is_component(uid) and not uid.startswith("."):
                    yield Spot(JobRef(FAMILY, person, "", uid), _best_first(tree, found))

    def locate(self, tree: Tree, ref: JobRef) -> Spot | None:
        jobs = self._jobs(ref.owner)
        if not (is_component(ref.owner) and is_component(ref.key) and tree.is_dir(jobs)):
            return None
        found = [
            place for stage in STAGES if tree.is_dir(place := f"{jobs}/{stage}/{ref.key}") and tree.is_dir(f"{jobs}/{stage}")
        ]
        return Spot(ref, _best_first(tree, found)) if found else None

    def stamp(self, tree: Tree, spot: Spot) -> str:
        path = spot.places[0]
        parts = [*spot.places, tree.stamp(f"{path}/{METADATA}"), "code" if tree.is_dir(f"{path}/code") else "-"]
        if parts[-1] == "-":
            parts.append(tree.stamp(f"{path}/{spot.ref.key}"))
        if _stage(path) == "running":
            parts += [tree.stamp(file) for file in _running_files(path)]
        return "|".join(parts)

    def read(self, tree: Tree, spot: Spot) -> Sighting:
        return self._read(tree, spot, retry=True)

    def content(self, sighting: Sighting) -> Content:
        return metadata.content(sighting)

    def results(self, tree: Tree, sighting: Sighting) -> ResultFiles:
        return published.find_results(tree, sighting.path, sighting.ref.key)

    def _jobs(self, person: str) -> str:
        return f"datasites/{person}/app_data/{self.queue_name}/jobs"

    def _read(self, tree: Tree, spot: Spot, *, retry: bool) -> Sighting:
        path = spot.places[0]
        where = f"{path}/{METADATA}"
        damage: list[Problem] = []
        try:
            facts = metadata.load(tree, where)
        except InvalidFileError as error:
            if tree.stamp(where) == "-":
                moved = self.locate(tree, spot.ref) if retry else None
                if moved is not None and moved.places[0] != path:
                    return self._read(tree, moved, retry=False)
                layout = _generation(tree, spot, metadata.NOTHING)
                return metadata.incomplete(spot.ref, layout, path, METADATA, spot.places[1:])
            facts = metadata.NOTHING
            damage.append(metadata.unreadable(where, error))
        return _sighting(tree, spot, facts, damage)

    # changing

    def target(self, root: str, owner: str) -> str | None:
        """`a3` where the datasite has status folders: every release that answers other people reads that form."""
        jobs = f"{root}/{self._jobs(folders.datasite(root, owner))}"
        return "a3" if any(os.path.isdir(f"{jobs}/{stage}") for stage in STAGES) else None

    def submit(self, root: str, generation: str, submission: Submission) -> JobRef:
        if generation != "a3":
            raise UsageError(f"{generation}: jobs of this form can be read and run, not submitted", "Use --layout a3.")
        person = folders.datasite(root, submission.owner)
        return JobRef(FAMILY, person, "", folders.submit(root, self._jobs(person), submission))

    def decide(self, root: str, sighting: Sighting, decision: Decision) -> None:
        self._change(root, sighting, changed.decide(decision))

    def begin(self, root: str, sighting: Sighting, run: Run) -> None:
        self._change(root, sighting, changed.begin(run))

    def _change(self, root: str, sighting: Sighting, changes: dict[str, Any]) -> None:
        """Close the job to everybody else, move it, then write its metadata."""
        stage = changes["status"]
        here = folders.either(root, sighting, stage)
        if published.at_home(sighting):
            published.protect(f"{root}/{here}", published.job_rules(sighting))
        job = folders.move(root, sighting, here, stage)
        changed.rewrite(f"{root}/{job}/{METADATA}", sighting, changes)

    def finish(self, root: str, sighting: Sighting, results: ResultSet) -> None:
        """Results first, then the move, then the metadata. A datasite that is not the owner's gets results only when shared."""
        run, stage = results.run, changed.final_status(results.run)
        here = folders.anywhere(root, sighting)
        final = f"{root}/{folders.place(here, stage)}"
        published.publish(f"{root}/{here}", final, sighting, results)
        folders.move(root, sighting, here, stage)
        changes = changed.finish(run, f"{final}/{metadata.OUTPUT}")
        changed.rewrite(f"{final}/{METADATA}", sighting, {**changes, "logs": published.metadata_log(results)})

    def reopen(self, root: str, sighting: Sighting) -> None:
        here = folders.anywhere(root, sighting)
        published.withdraw(f"{root}/{here}", sighting)
        job = folders.move(root, sighting, here, "approved")
        changed.rewrite(f"{root}/{job}/{METADATA}", sighting, {**changed.reopen(), "logs": None})

    def share(self, root: str, sighting: Sighting, results: ResultSet | None, *, outputs: bool, logs: bool) -> None:
        folder = f"{root}/{folders.anywhere(root, sighting)}"
        if outputs:
            published.share_outputs(folder, sighting, results)
        if logs:
            text = published.shared_log(folder, results)
            changed.rewrite(f"{folder}/{METADATA}", sighting, changed.share(text))

    def remove(self, root: str, sighting: Sighting) -> None:
        folders.remove(root, sighting)


def _report_neighbours(tree: Tree) -> None:
    for folder, _ in tree.datasites():
        path = f"{folder}/app_data/syft-queues"
        if folder.startswith("datasites/") and tree.is_dir(path):
            advice = "Its jobs are left alone; use the program they were made with."
            tree.problem(Problem(path, "belongs to syft-queue, which is not supported", advice))


def _stage(path: str) -> str:
    return path.rsplit("/", 2)[-2]


def _best_first(tree: Tree, places: list[str]) -> tuple[str, ...]:
    """Places of one uid, the real job first: it has metadata, it has code, and it got furthest. The rest are its ghosts."""
    if len(places) == 1:
        return tuple(places)
    order = {stage: number for number, stage in enumerate(STAGES)}

    def rank(place: str) -> tuple[bool, bool, int]:
        return tree.stamp(f"{place}/{METADATA}") != "-", tree.is_dir(f"{place}/code"), order[_stage(place)]

    return tuple(sorted(places, key=rank, reverse=True))


def _running_files(path: str) -> tuple[str, ...]:
    return f"{path}/{METADATA}", f"{path}/{metadata.LOG_NAME}", f"{path}/{metadata.OUTPUT}"


def _sighting(tree: Tree, spot: Spot, facts: metadata.Facts, damage: list[Problem]) -> Sighting:
    path, ref = spot.places[0], spot.ref
    observed = STAGES[_stage(path)]
    where = f"{path}/{METADATA}"
    code, code_problems = metadata.exit_code(tree, facts, f"{path}/{metadata.LOG_NAME}", observed)
    flags, odd = _oddities(spot, facts, damage)
    nested: tuple[str, ...] = ()
    if not tree.is_dir(f"{path}/code"):
        flags.append("damaged")
        odd.append(Problem(path, "has no code folder", metadata.ARRIVING))
        nested = (inner,) if tree.is_dir(inner := f"{path}/{ref.key}") else ()
    running = metadata.newest(tree, _running_files(path)) if observed == "running" else None
    return metadata.sighting(
        facts,
        ref,
        layout=_generation(tree, spot, facts),
        path=path,
        observed=observed,
        owner_only=same_address(ref.owner, tree.me) and observed != "pending",
        updated_at=running or facts.updated,
        exit_code=code,
        flags=tuple(dict.fromkeys(flags)),
        problems=(*damage, *metadata.problems(facts, where), *odd, *code_problems),
        ghosts=(*spot.places[1:], *nested),
    )


def _oddities(spot: Spot, facts: metadata.Facts, damage: list[Problem]) -> tuple[list[str], list[Problem]]:
    """Flags and problems that follow from comparing the metadata with where the folder lies."""
    where = f"{spot.places[0]}/{METADATA}"
    stage = _stage(spot.places[0])
    flags: list[str] = []
    found: list[Problem] = []
    if facts.damaged:
        flags.append("damaged")
    if not damage and (facts.status or "pending") != stage:
        flags.append("inconsistent")
        says = f"says {facts.status or 'nothing'} about a job that lies in {stage}/"
        found.append(Problem(where, says, "The folder counts. Reject the job, or ask its submitter to send it again."))
    if facts.uid is not None and facts.uid != spot.ref.key:
        flags.append("name_differs")
        found.append(Problem(where, "names another uid than its folder", "The folder counts; look at the job before approving."))
    if facts.target is not None and not same_address(facts.target, metadata.addressee(facts, spot.ref)):
        flags.append("inconsistent")
        says = "is addressed to somebody else than the owner of the datasite it lies in"
        found.append(Problem(where, says, "The folder counts. Reject the job, or ask the submitter to send it again."))
    if stage == "running":
        flags.append("running")
    if stage == "approved" and not same_address(facts.target or spot.ref.owner, spot.ref.owner):
        flags.append("untrusted_approval")
    return flags, found


def _generation(tree: Tree, spot: Spot, facts: metadata.Facts) -> str:
    """a1 in the submitter's datasite, a3 in the owner's. A job to oneself lies in both: later releases made more folders."""
    here = spot.ref.owner
    from_here = facts.requester is not None and same_address(facts.requester, here)
    for_here = facts.target is not None and same_address(facts.target, here)
    if from_here != for_here:
        return "a1" if from_here else "a3"
    jobs = spot.places[0].rsplit("/", 2)[0]
    return "a3" if tree.is_dir(f"{jobs}/timedout") or tree.is_file(f"{spot.places[0]}/{FILE_NAME}") else "a1"
