"""What to run next and how, from what was seen and what is allowed. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec import Struct

from scq.authority import runnable
from scq.model import Job, Sighting
from scq.state import Record
from scq.view import job_of, oldest_first

LOG_LABEL_LIMIT = 60


class Shape(Struct, frozen=True):
    """How a generation runs its script. Folders are relative to the work folder that holds the private copy."""

    code: str
    """Where the submitted files are put."""
    cwd: str
    direct: bool
    """The script itself is started, so that its first line chooses the interpreter; otherwise bash runs it."""
    outputs: tuple[str, ...]
    """Where results may be written; made before the start, collected after the end."""
    named: bool
    """The job gets OUTPUT_DIR, CODE_DIR, JOB_ID and JOB_NAME."""


STATUS_FOLDERS = Shape(code="code", cwd="code", direct=True, outputs=("output",), named=True)
MARKERS = Shape(code="", cwd="", direct=False, outputs=("outputs",), named=False)
INBOX_REVIEW = Shape(code="", cwd="", direct=False, outputs=("code/outputs", "outputs"), named=False)
SHAPES = {"a": STATUS_FOLDERS, "b": MARKERS, "c": INBOX_REVIEW}


def shape(sighting: Sighting) -> Shape:
    """The shape of the generation a job came in."""
    return SHAPES[sighting.layout[0]]


def job_environment(job: Job, root: str, me: str, work: str, path: str) -> dict[str, str]:
    """Every variable a job gets; nothing else of the owner's. `work` is the absolute work folder."""
    variables = {
        "HOME": work,
        "LANG": "C.UTF-8",
        "PATH": path,
        "PYTHONUNBUFFERED": "1",
        "SYFTBOX_EMAIL": me,
        "SYFTBOX_FOLDER": root,
        "SYFT_IS_IN_JOB": "true",
    }
    form = shape(job.sighting)
    if form.named:
        variables |= {
            "CODE_DIR": f"{work}/{form.code}",
            "JOB_ID": job.id,
            "JOB_NAME": job.name,
            "OUTPUT_DIR": f"{work}/{form.outputs[0]}",
        }
    return variables


def command(sighting: Sighting, first_bytes: bytes) -> tuple[str, ...]:
    """The argument vector, relative to the working folder. A script without a `#!` line is given to bash."""
    if shape(sighting).direct and first_bytes.startswith(b"#!"):
        return ("./run.sh",)
    return ("bash", "./run.sh")


def time_limit(job: Job, allowed_s: float) -> float:
    """Seconds a job may run: what the owner allows, or less when the submission asks for less."""
    asked = job.sighting.timeout_s
    return min(allowed_s, float(asked)) if asked is not None and asked > 0 else allowed_s


def label(job: Job) -> str:
    """What stands between brackets before streamed lines: submitter and name."""
    return f"{job.sighting.submitter}][{job.name[:LOG_LABEL_LIMIT]}"


def choose(
    records: Mapping[str, Record], me: str, *, only: Collection[str], skip: Collection[str], max_jobs: int | None
) -> list[str]:
    """Keys of the jobs to start now, oldest submission first.

    `only` and `skip` hold ids, unique beginnings of ids, names, or `submitter/name`; an empty `only` means every job.
    """
    keys = {record.id: key for key, record in records.items() if record.missing_since is None and runnable(record, me)}
    jobs = oldest_first(job_of(records[key]) for key in keys.values())
    chosen = [job for job in jobs if (not only or matches(job, only)) and not matches(job, skip)]
    return [keys[job.id] for job in chosen[:max_jobs]]


def matches(job: Job, words: Collection[str]) -> bool:
    """True when a job is meant by one of the words."""
    return any(
        word in (job.id, job.name, f"{job.sighting.submitter}/{job.name}") or (len(word) >= 4 and job.id.startswith(word))
        for word in words
    )
