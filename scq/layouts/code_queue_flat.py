"""Flat queue: a job is `jobs/<uid>.json` beside `jobs/<uid>/`, and its status is a field of that file.

Format: syft-code-queue 0.1.0 (docs/layouts.md). Jobs lie in the datasite of the person who made them; they can be read,
decided and run, but new ones are written in the later forms.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from scq.errors import IntegrityError, InvalidFileError, UsageError
from scq.files import remove_tree
from scq.formats import is_component, same_address
from scq.layouts import code_queue_changes as changed
from scq.layouts import code_queue_metadata as metadata
from scq.layouts import code_queue_results as published
from scq.layouts.code_queue_folders import STAGES
from scq.layouts.writing import safe_folder
from scq.model import Content, Decision, JobRef, Observed, Problem, ResultFiles, Run, Sighting, Spot
from scq.ports import ResultSet, Submission, Tree

FAMILY = "code-queue-flat"
_VERDICTS = ("Approved by ", "Rejected by ")


class CodeQueueFlat:
    """The flat jobs of one queue name in every datasite."""

    family: str = FAMILY
    generations: tuple[str, ...] = ("a0",)

    def __init__(self, queue_name: str = "code-queue") -> None:
        self.queue_name = metadata.checked_queue_name(queue_name)

    # looking

    def find(self, tree: Tree) -> Iterator[Spot]:
        """Every job by names: a metadata file, or a folder called like a uid whose metadata file is still missing."""
        for jobs, person in metadata.queue_folders(tree, self.queue_name):
            if not tree.fresh_children(jobs) and not tree.full:
                continue
            for uid in sorted({_uid_of(name) for name in tree.names(jobs)} - {""}):
                yield Spot(JobRef(FAMILY, person, "", uid), (f"{jobs}/{uid}",))

    def locate(self, tree: Tree, ref: JobRef) -> Spot | None:
        jobs = self._jobs(ref.owner)
        if not (is_component(ref.owner) and is_component(ref.key) and tree.is_dir(jobs)):
            return None
        place = f"{jobs}/{ref.key}"
        return Spot(ref, (place,)) if tree.stamp(f"{place}.json") != "-" or tree.is_dir(place) else None

    def stamp(self, tree: Tree, spot: Spot) -> str:
        path = spot.places[0]
        files = (tree.stamp(file) for file in _result_paths(path))
        return "|".join(["code" if _has_code(tree, path) else "-", *files])

    def read(self, tree: Tree, spot: Spot) -> Sighting:
        path, ref = spot.places[0], spot.ref
        where = f"{path}.json"
        damage: list[Problem] = []
        try:
            facts = metadata.load(tree, where)
        except InvalidFileError as error:
            if tree.stamp(where) == "-":
                return metadata.incomplete(ref, "a0", path, f"{ref.key}.json")
            facts = metadata.NOTHING
            damage.append(metadata.unreadable(where, error))
        return _sighting(tree, ref, path, facts, damage)

    def content(self, sighting: Sighting) -> Content:
        return metadata.content(sighting)

    def results(self, tree: Tree, sighting: Sighting) -> ResultFiles:
        return published.find_results(tree, sighting.path, sighting.ref.key)

    def _jobs(self, person: str) -> str:
        return f"datasites/{person}/app_data/{self.queue_name}/jobs"

    # changing

    def target(self, root: str, owner: str) -> str | None:
        """Never: a job for somebody else is not seen by that person in this form."""
        return None

    def submit(self, root: str, generation: str, submission: Submission) -> JobRef:
        raise UsageError(f"{generation}: jobs of this form can be read and run, not submitted", "Use --layout a3.")

    def decide(self, root: str, sighting: Sighting, decision: Decision) -> None:
        """The peer keeps who decided, and why, in the error text, for approvals too."""
        changes = changed.decide(decision)
        if decision.method != "cancel":
            said = f"{_VERDICTS[decision.verdict == 'reject']}{decision.by}"
            changes["error_message"] = f"{said}: {decision.reason}" if decision.reason else said
        self._rewrite(root, sighting, changes)

    def begin(self, root: str, sighting: Sighting, run: Run) -> None:
        self._rewrite(root, sighting, changed.begin(run))

    def finish(self, root: str, sighting: Sighting, results: ResultSet) -> None:
        folder = self._folder(root, sighting)
        published.publish(folder, folder, sighting, results)
        self._rewrite(root, sighting, changed.finish(results.run, f"{folder}/{metadata.OUTPUT}"))

    def reopen(self, root: str, sighting: Sighting) -> None:
        published.withdraw(self._folder(root, sighting), sighting)
        self._rewrite(root, sighting, changed.reopen())

    def share(self, root: str, sighting: Sighting, results: ResultSet | None, *, outputs: bool, logs: bool) -> None:
        """This form has no log field; who may read the job's folder reads the log file."""
        folder = self._folder(root, sighting)
        if outputs:
            published.share_outputs(folder, sighting, results)
        if logs:
            published.share_log_file(folder, sighting, results)

    def remove(self, root: str, sighting: Sighting) -> None:
        folder = safe_folder(root, sighting.path, create=False)
        published.remove_path(f"{folder}.json")
        remove_tree(folder)

    def _folder(self, root: str, sighting: Sighting) -> str:
        """The absolute job folder. Raises IntegrityError when nothing is left of the job."""
        folder = safe_folder(root, sighting.path, create=False)
        if not os.path.isdir(folder) and not os.path.lexists(f"{folder}.json"):
            raise IntegrityError(f"{sighting.path}: the job is no longer there", "Look again with `scq check`.")
        return safe_folder(root, sighting.path)

    def _rewrite(self, root: str, sighting: Sighting, changes: dict[str, Any]) -> None:
        changed.rewrite(f"{self._folder(root, sighting)}.json", sighting, changes)


def _uid_of(name: str) -> str:
    """The uid that an entry of `jobs/` belongs to; empty for status folders, drafts and anything else."""
    uid = name.removesuffix(".json")
    if uid in STAGES or uid.startswith(".") or not is_component(uid):
        return ""
    return uid if uid != name or _looks_like_uid(name) else ""


def _looks_like_uid(name: str) -> bool:
    return len(name) == 36 and [len(part) for part in name.split("-")] == [8, 4, 4, 4, 12]


def _result_paths(path: str) -> tuple[str, ...]:
    return f"{path}.json", f"{path}/{metadata.LOG_NAME}", f"{path}/{metadata.OUTPUT}"


def _has_code(tree: Tree, path: str) -> bool:
    """True when the job and its code are real folders: through a link anything could be shown."""
    return tree.is_dir(path) and tree.is_dir(f"{path}/code")


def _sighting(tree: Tree, ref: JobRef, path: str, facts: metadata.Facts, damage: list[Problem]) -> Sighting:
    where = f"{path}.json"
    observed: Observed = "pending" if facts.status is None else STAGES.get(facts.status, "damaged")
    flags: list[str] = []
    found = [*damage, *metadata.problems(facts, where)]
    if damage or "status" in facts.wrong:
        observed = "damaged"
    elif observed == "damaged":
        found.append(Problem(where, f"has the unknown status {facts.status!r}", "Ask the submitter to send the job again."))
    if not _has_code(tree, path):
        flags.append("damaged")
        found.append(Problem(path, "has no code folder", metadata.ARRIVING))
    if observed == "damaged" or facts.damaged:
        flags.append("damaged")
    if facts.uid is not None and facts.uid != ref.key:
        flags.append("name_differs")
        found.append(Problem(where, "names another uid than its file", "The file name counts; look at the job before approving."))
    if observed == "approved" and not same_address(facts.target or ref.owner, ref.owner):
        flags.append("untrusted_approval")
    if observed == "running":
        flags.append("running")
    log = f"{path}/{metadata.LOG_NAME}"
    code, code_problems = metadata.exit_code(tree, facts, log, observed) if tree.is_dir(path) else (None, ())
    by, reason = _verdict(facts)
    return metadata.sighting(
        facts,
        ref,
        layout="a0",
        path=path,
        observed=observed,
        owner_only=False,
        updated_at=(metadata.newest(tree, _result_paths(path)) if observed == "running" else None) or facts.updated,
        exit_code=code,
        flags=tuple(dict.fromkeys(flags)),
        problems=(*found, *code_problems),
        reason=reason,
        decided_by=by,
    )


def _verdict(facts: metadata.Facts) -> tuple[str | None, str | None]:
    """Who decided and why, from `Approved by <address>: <reason>`."""
    for beginning in _VERDICTS:
        if facts.error is not None and facts.error.startswith(beginning):
            by, _, reason = facts.error.removeprefix(beginning).partition(": ")
            return by, reason or None
    return None, None
