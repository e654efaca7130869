"""Generation C: the submitter writes `inbox/`, the owner answers in `review/` (syft-job 0.1.28-0.1.40).

    <owner>/app_data/job/inbox/<submitter>/[v1/]<job>/    config.yaml run.sh code/
    <owner>/app_data/job/review/<submitter>/[v1/]<job>/   state.yaml stdout.txt stderr.txt returncode.txt outputs/

Identity is (owner, submitter, segment, job folder), all from the path. Word c0 is the flat form (protocol 0), c1 the one
below `v1`. Results are private: the job's own permission file names what the submitter may read. Source: docs/layouts.md.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime

from scq.errors import IntegrityError, UsageError
from scq.files import remove_file, remove_tree, write_atomic
from scq.formats import is_component
from scq.layouts import inbox_paths, inbox_sighting, review_state
from scq.layouts.bound import bound_fields
from scq.layouts.inbox_config import CONFIG_FILE, dump_config
from scq.layouts.inbox_paths import CODE, FAMILY, LOGS, OUTPUTS, RUN_SH, SEGMENT
from scq.layouts.review_state import STATE_FILE
from scq.layouts.writing import check_name, copy_results, publish_folder, remove_leftovers, safe_folder
from scq.model import Content, Decision, JobRef, ResultFiles, Run, Sighting, Spot
from scq.permissions import FILE_NAME, grant_read, rule, write_rules
from scq.ports import ResultSet, Submission, Tree

SCRIPT = "script.sh"
OUTPUTS_PATTERN = f"{OUTPUTS}/**"
OWN_ENTRIES = (CODE, RUN_SH, CONFIG_FILE, STATE_FILE, *LOGS, OUTPUTS, FILE_NAME)


class InboxReview:
    """The `ports.Layout` of generation C."""

    family = FAMILY
    generations = ("c0", "c1")

    def find(self, tree: Tree) -> Iterator[Spot]:
        return inbox_paths.find(tree)

    def locate(self, tree: Tree, ref: JobRef) -> Spot | None:
        return inbox_paths.locate(tree, ref)

    def stamp(self, tree: Tree, spot: Spot) -> str:
        return inbox_sighting.stamp(tree, spot)

    def read(self, tree: Tree, spot: Spot) -> Sighting:
        return inbox_sighting.read(tree, spot)

    def content(self, sighting: Sighting) -> Content:
        """The whole inbox folder: the script is started there and sees everything in it."""
        return Content(base=sighting.path, run_sh=RUN_SH, fields=bound_fields(sighting))

    def results(self, tree: Tree, sighting: Sighting) -> ResultFiles:
        spot = inbox_paths.locate(tree, sighting.ref)
        if spot is None:
            home = inbox_paths.home_of(sighting.path, sighting.owner)
            return ResultFiles(f"{inbox_paths.job_path(home, 'review', sighting.ref)}/{OUTPUTS}", (), ())
        return inbox_sighting.results(tree, spot)

    def target(self, root: str, owner: str) -> str | None:
        """c1 when any protocol segment exists, else c0 when the datasite has an inbox or a review folder."""
        return _target(root, owner)[1]

    def submit(self, root: str, generation: str, submission: Submission) -> JobRef:
        """Write a submission into the inbox, whole or not at all. Raises UsageError: name unusable or taken, no code."""
        if generation not in self.generations:
            raise UsageError(f"{generation}: is not a form of the {FAMILY} layout", "Use c0 or c1.")
        check_name(submission.name)
        for address in (submission.owner, submission.submitter):
            if not is_component(address) or address.startswith("."):
                raise UsageError(f"{address!r}: is not an address", "Give the e-mail address of the datasite.")
        segment = f"{SEGMENT}/" if generation == "c1" else ""
        ref = JobRef(FAMILY, submission.owner, submission.submitter, f"{segment}{submission.name}")
        _write_submission(root, _target(root, submission.owner)[0], ref, submission)
        return ref

    def decide(self, root: str, sighting: Sighting, decision: Decision) -> None:
        """Write the verdict into state.yaml, as it is there now.

        A job that runs or has run cannot be approved any more, one that has run cannot be rejected: nothing is changed then.
        Raises IntegrityError when a job with a damaged state is to be approved.
        """
        folder = _review_folder(root, sighting)
        if decision.verdict == "approve":
            state = review_state.load_sound_state(folder, decision.at)
            settled = state["status"] in ("running", "done", "failed")
            adopted = state["status"] == "approved" and decision.method == "adopted"
            after = state if settled or adopted else review_state.approved(state, decision)
        else:
            state = review_state.load_any_state(folder, decision.at)
            after = state if state["status"] in ("done", "failed") else review_state.rejected(state, decision)
        if after is not state:
            _save(folder, sighting.ref, after)

    def begin(self, root: str, sighting: Sighting, run: Run) -> None:
        """Write `running`. Raises IntegrityError when a peer has rejected, or run, the job in the meantime."""
        folder = _review_folder(root, sighting)
        state = review_state.load_sound_state(folder, run.claimed_at)
        if state["status"] in ("rejected", "done", "failed"):
            what = f"{sighting.path}: is {state['status']} by now and is not started"
            raise IntegrityError(what, "Somebody else decided or ran it: look at it with `scq show`.")
        _save(folder, sighting.ref, review_state.running(state))

    def finish(self, root: str, sighting: Sighting, results: ResultSet) -> None:
        """Publish logs, outputs, return code and then the final state; what may be read is settled before all of it."""
        run = results.run
        folder = _review_folder(root, sighting)
        write_rules(folder, _rules(sighting.submitter, outputs=run.share_outputs, logs=run.share_logs))
        code = _return_code(run)
        write_atomic(f"{folder}/{LOGS[0]}", results.stdout, mode=0o644, sync=False)
        write_atomic(f"{folder}/{LOGS[1]}", results.stderr, mode=0o644, sync=False)
        if results.outputs_dir is None:
            _empty_outputs(folder)
            os.mkdir(f"{folder}/{OUTPUTS}", 0o755)
        else:
            copy_results(results.outputs_dir, f"{folder}/{OUTPUTS}")
        write_atomic(f"{folder}/{LOGS[2]}", str(code).encode("ascii"), mode=0o644, sync=False)
        at = run.finished_at or run.started_at or run.claimed_at
        state = review_state.load_any_state(folder, run.claimed_at)
        review_state.save_state(folder, review_state.ended(state, at, code), segmented=inbox_paths.is_segmented(sighting.ref))

    def reopen(self, root: str, sighting: Sighting) -> None:
        """Take back sharing, logs and outputs, then write `approved`. Raises IntegrityError: state rejected or damaged."""
        folder = _review_folder(root, sighting)
        state = review_state.load_sound_state(folder, datetime.now(UTC))
        if state["status"] == "rejected":
            raise IntegrityError(f"{sighting.path}: is rejected and cannot run again", "Approve it first.")
        write_rules(folder, _rules(sighting.submitter, outputs=False, logs=False))
        for name in LOGS:
            remove_file(f"{folder}/{name}")
        _empty_outputs(folder)
        _save(folder, sighting.ref, review_state.reopened(state))

    def share(self, root: str, sighting: Sighting, results: ResultSet | None, *, outputs: bool, logs: bool) -> None:
        """Add read rules for the submitter; the results lie in place already."""
        folder = _review_folder(root, sighting)
        patterns = [STATE_FILE, *([OUTPUTS_PATTERN] if outputs else ()), *(LOGS if logs else ())]
        for pattern in patterns:
            grant_read(folder, pattern, sighting.submitter)
        inner = f"{folder}/{OUTPUTS}"
        if outputs and _is_folder(inner) and os.path.lexists(f"{inner}/{FILE_NAME}"):
            # a peer that found no prepared folders put a file here, and the nearest file decides alone
            grant_read(inner, "**", sighting.submitter)

    def remove(self, root: str, sighting: Sighting) -> None:
        """Delete the submission, then the answer: a call that dies in between leaves no job that looks newly received."""
        home = inbox_paths.home_of(sighting.path, sighting.owner)
        for side in ("inbox", "review"):
            folder = inbox_paths.job_path(home, side, sighting.ref)
            safe_folder(root, os.path.dirname(folder), create=False)
            if inbox_paths.is_versioned(sighting.ref.key):
                _remove_own_entries(f"{root}/{folder}")
            else:
                remove_tree(f"{root}/{folder}")


def _review_folder(root: str, sighting: Sighting) -> str:
    """Absolute path of the review folder of a job, made when missing. Raises IntegrityError for a link on the way."""
    home = inbox_paths.home_of(sighting.path, sighting.owner)
    return safe_folder(root, inbox_paths.job_path(home, "review", sighting.ref))


def _save(folder: str, ref: JobRef, state: review_state.StateFile) -> None:
    """Write a state that the submitter can read, also where nobody prepared the folder for him."""
    grant_read(folder, STATE_FILE, ref.submitter)
    review_state.save_state(folder, state, segmented=inbox_paths.is_segmented(ref))


def _rules(submitter: str, *, outputs: bool, logs: bool) -> list[dict[str, object]]:
    """The whole permission file of a review folder. What it does not name is the owner's alone."""
    patterns = [STATE_FILE, *([OUTPUTS_PATTERN] if outputs else ()), *(LOGS if logs else ())]
    return [rule(pattern, read=(submitter,)) for pattern in patterns]


def _return_code(run: Run) -> int:
    """The number the peers read: 0 only for a script that ended well, -1 for a run that has no code of its own."""
    if run.cause == "exit" and run.exit_code is not None:
        return run.exit_code
    return run.exit_code or -1


def _empty_outputs(folder: str) -> None:
    remove_leftovers(folder, OUTPUTS)
    remove_tree(f"{folder}/{OUTPUTS}")


def _remove_own_entries(folder: str) -> None:
    """Remove a flat job called like a protocol segment, and leave the jobs of that segment in its folder alone."""
    if not _is_folder(folder):
        return
    for name in OWN_ENTRIES:
        path = f"{folder}/{name}"
        if _is_folder(path):
            remove_tree(path)
        else:
            remove_file(path)
    if not os.listdir(folder):
        os.rmdir(folder)


def _write_submission(root: str, home: str, ref: JobRef, submission: Submission) -> None:
    files = dict(submission.files)
    if submission.kind == "bash" and (not files or not submission.is_folder):
        # what the reviewers' tools of the peers show of a bash job
        files.setdefault(SCRIPT, submission.run_sh.encode("utf-8"))
    if not files:
        raise UsageError(f"{submission.name!r}: has no code", "Give at least one file.")
    segmented = inbox_paths.is_segmented(ref)
    whole = {
        CONFIG_FILE: dump_config(submission, sorted(files), segmented=segmented),
        RUN_SH: submission.run_sh.encode("utf-8"),
        **{f"{CODE}/{path}": content for path, content in files.items()},
    }
    target, answer = (f"{root}/{inbox_paths.job_path(home, side, ref)}" for side in ("inbox", "review"))
    if os.path.lexists(answer):
        raise UsageError(f"{submission.name!r}: a job of this name exists already", "Choose another name.")
    queue = safe_folder(root, inbox_paths.queue_path(home))
    parent = safe_folder(root, os.path.dirname(inbox_paths.job_path(home, "inbox", ref)))
    if segmented and _is_job_file(f"{parent}/{CONFIG_FILE}"):
        raise UsageError(f"{parent}: is a job and cannot hold others", "Submit with `--layout c0`.")
    # beside inbox/ and review/: no release lists that folder, so nobody sees half a submission
    publish_folder(queue, submission.name, whole, {RUN_SH, *(f"{CODE}/{path}" for path in submission.executable)}, target)


def _target(root: str, owner: str) -> tuple[str, str | None]:
    """The folder of a datasite to write to, and the generation it shows already."""
    if not is_component(owner):
        return owner, None
    plain, nested = inbox_paths.homes(owner)
    for home in (plain, nested):
        word = _shown_generation(f"{root}/{inbox_paths.queue_path(home)}", nested=home == nested)
        if word is not None:
            return home, word
    below_datasites = _is_folder(f"{root}/datasites") and not _is_folder(f"{root}/{plain}")
    return nested if below_datasites else plain, None


def _shown_generation(queue: str, *, nested: bool) -> str | None:
    inbox, review = f"{queue}/inbox", f"{queue}/review"
    senders = [name for name in _folders(inbox) if not _is_job_file(f"{inbox}/{name}/{CONFIG_FILE}")]
    if nested and not _is_folder(review):
        # without a review folder this may be the inbox of an older generation, whose children are jobs
        senders = [name for name in senders if "@" in name]
        if not senders:
            return None
    elif not _is_folder(inbox) and not _is_folder(review):
        return None
    segments = [(f"{inbox}/{name}/{SEGMENT}", CONFIG_FILE) for name in senders]
    segments += [(f"{review}/{name}/{SEGMENT}", STATE_FILE) for name in _folders(review)]
    segmented = any(_is_folder(path) and not _is_job_file(f"{path}/{file}") for path, file in segments)
    return "c1" if segmented else "c0"


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _is_job_file(path: str) -> bool:
    """As `inbox_paths.is_job_file`."""
    return os.path.lexists(path) and not _is_folder(path)


def _folders(path: str) -> list[str]:
    if not _is_folder(path):
        return []
    with os.scandir(path) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
