"""What to run next and how, from what was seen and what is allowed. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from scq.authority import runnable
from scq.model import Bounds, DataFolder, Job, Limits, Sighting
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


def limits(configured: Limits, asked: Limits, bounds: Bounds) -> Limits:
    """What a job may use. The owner's word for this job replaces the configured limit; what the job asks for only lowers it."""
    owner = replace(
        configured,
        wall_s=bounds.timeout_s or configured.wall_s,
        memory=bounds.memory or configured.memory,
    )
    names = Limits.__struct_fields__
    return Limits(**{name: _lower(getattr(owner, name), getattr(asked, name)) for name in names})


def _lower(allowed: Any, asked: Any) -> Any:
    given = [value for value in (allowed, asked) if value is not None]
    return min(given, default=None)


def exceeding(asked: Limits, granted: Limits) -> tuple[str, ...]:
    """Names of the limits of which a job asks for more than it gets."""
    pairs = ((name, getattr(asked, name), getattr(granted, name)) for name in Limits.__struct_fields__)
    return tuple(name for name, wanted, given in pairs if wanted is not None and given is not None and wanted > given)


def concerns(folder: DataFolder, sighting: Sighting) -> bool:
    """True when a job may read a data folder. Submitter and tags are part of what was approved."""
    fits_submitter = not folder.submitters or sighting.submitter.lower() in folder.submitters
    return fits_submitter and (not folder.tags or not set(folder.tags).isdisjoint(sighting.tags))


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
