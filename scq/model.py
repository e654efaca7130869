"""The words of scq as frozen data. Imports nothing that touches the world.

Times are aware UTC. Paths are POSIX strings: of a job relative to the SyftBox root, of a file relative to its job.
"""

# Annotations are not postponed here: msgspec would have to evaluate their text in every call.
from datetime import datetime
from typing import Literal, get_args

from msgspec import Struct

Status = Literal["pending", "approved", "running", "completed", "failed", "rejected"]
"""The public status words; every layout maps its own words to these."""
STATUSES: tuple[Status, ...] = get_args(Status)

Observed = Literal["received", "pending", "approved", "running", "completed", "failed", "rejected", "incomplete", "damaged"]
"""What a folder shows: `received` has arrived and nobody looked, `incomplete` is still arriving, `damaged` cannot be read."""

FINISHED: frozenset[str] = frozenset({"completed", "failed", "rejected"})

Verdict = Literal["approve", "reject"]
Method = Literal["manual", "digest", "adopted", "cancel"]
Cause = Literal[
    "exit",
    "timeout",
    "cpu",
    "memory",
    "processes",
    "disk",
    "output",
    "killed",
    "interrupted",
    "integrity",
    "start",
    "dependencies",
    "node",
    "preempted",
    "cancelled",
]
"""How a run ended. `exit` by itself; `start` it never began; `dependencies` what it needs could not be had; on a cluster `node`
its machine failed, `preempted` it had to make room, `cancelled` somebody ended it there or with `scq cancel`; the rest is a limit
that was reached, a signal, a runner that died, or content that was not what was approved."""
INTERRUPTIONS: frozenset[Cause] = frozenset({"interrupted", "node", "preempted"})
"""Ends that are no fault of the job and nobody's wish: it may be run again by itself where that is configured."""
Where = Literal["local", "drive"]
"""Where a job lies: in the SyftBox folder, or only in a message on Google Drive."""
PeerState = Literal["pending", "accepted", "rejected", "requested", "connected", "withdrawn"]
"""`pending` asks the owner, `requested` was asked by the owner, `connected` is one that was asked and has answered, `withdrawn`
asked and took it back before there was an answer."""
Network = Literal["none", "prepare", "full"]
"""`prepare`: only while dependencies are fetched, with no data in the box. `full`: the job itself has it."""
Holding = Literal["hold", "release"]
Phase = Literal["claimed", "started", "ended", "settled"]
Sharing = Literal["none", "withheld", "released"]
Role = Literal["do", "ds"]
Level = Literal["info", "warning", "error", "critical"]
OutboxState = Literal["queued", "sending", "ambiguous", "deferred", "sent", "bundled", "dead", "dropped"]
"""`queued` never tried, `sending` handed over just now, `ambiguous` nobody knows whether it arrived, `deferred` tried and to be
tried again, `sent` a service took it, `bundled` told in a digest, `dead` given up, `dropped` by hand."""


class Problem(Struct, frozen=True):
    """Something wrong that did not stop the rest: where, what, and what to do about it."""

    where: str
    what: str
    advice: str = ""


class JobRef(Struct, frozen=True, order=True):
    """Identity of a job, taken from the path and never from a file a submitter can write.

    `submitter` is empty where the path does not carry it (the status-folder generation).
    """

    layout: str
    owner: str
    submitter: str
    key: str

    def __str__(self) -> str:
        return f"{self.layout}/{self.owner}/{self.submitter}/{self.key}"


class Spot(Struct, frozen=True):
    """Where one job lies: its identity and every folder (relative to the root) that belongs to it, best one first."""

    ref: JobRef
    places: tuple[str, ...]


class Content(Struct, frozen=True):
    """What of a submission can influence its execution.

    `base` is a folder relative to the root. `include` lists top-level entries (files or folders, walked whole) below it;
    empty means every entry. `exclude` lists top-level names left out, `ignore` names left out at any depth. What is
    left out is neither hashed nor copied, so a job can never see it. `fields` are metadata values that matter (limits,
    names) of generations whose metadata file also holds the status. `run_sh` is the script that is executed.
    """

    base: str
    run_sh: str = "run.sh"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ("syft.pub.yaml",)
    fields: tuple[tuple[str, str], ...] = ()


class FileEntry(Struct, frozen=True, order=True):
    """One file of a submission: relative path, executable bit, size in bytes, sha256 in hex."""

    path: str
    executable: bool
    size: int
    sha256: str


class Manifest(Struct, frozen=True):
    """Every file that can influence execution, their digest (`sha256:…`), and why the submission cannot be run, if so."""

    digest: str
    files: tuple[FileEntry, ...]
    invalid: tuple[str, ...] = ()


class Sighting(Struct, frozen=True, omit_defaults=True):
    """One job as its folders show it. Observed, never trusted for authority."""

    ref: JobRef
    layout: str
    """Generation word: a0 a1 a3 b0 b1 b2 c0 c1."""
    name: str
    owner: str
    submitter: str
    path: str
    """Folder of the submission, relative to the root."""
    observed: Observed
    peer_status: str | None = None
    """The word on disk, as the peer wrote it."""
    uid: str | None = None
    review_path: str | None = None
    """Folder that keeps status and results where it is not `path`."""
    owner_only: bool = False
    """True where only the owner can write the status, so that an approval found there may be adopted."""
    submitted_at: datetime | None = None
    updated_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    kind: str | None = None
    """`python`, `bash`, or None where the layout does not say."""
    entrypoint: str | None = None
    dependencies: tuple[str, ...] = ()
    description: str = ""
    tags: tuple[str, ...] = ()
    timeout_s: int | None = None
    """Life span or run time the submission asks for, seconds, where the layout has one."""
    reason: str | None = None
    error: str | None = None
    """Failure or rejection text of layouts that keep one."""
    decided_by: str | None = None
    decided_at: datetime | None = None
    approval_method: str | None = None
    exit_code: int | None = None
    markers: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    """Facts a careful reader surfaces: damaged inconsistent orphaned untrusted_approval running name_differs half_arrived …"""
    problems: tuple[Problem, ...] = ()
    ghosts: tuple[str, ...] = ()
    """Further folders with the same identity that are not jobs of their own."""
    where: Where = "local"
    messages: tuple[str, ...] = ()
    """Drive ids of the messages that carry it, newest first, where it is on Drive only."""


class ResultFiles(Struct, frozen=True):
    """Result files of a job as they lie on disk, relative to the root. `stray` were written but never collected by a peer."""

    outputs_dir: str
    outputs: tuple[str, ...]
    """Relative to `outputs_dir`."""
    logs: tuple[str, ...]
    stray: tuple[str, ...] = ()


class DataFolder(Struct, frozen=True):
    """Private data that jobs may read. `path` on this machine, `at` in the box; both absolute, links in `path` not resolved.

    Empty `submitters` and `tags` mean every job; else one of the submitters and one of the tags has to fit.
    """

    path: str
    at: str
    submitters: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class Placement(Struct, frozen=True):
    """Where on a cluster jobs go. Empty `submitters`, `tags` and `queues` mean every job; else one of each that is named has to
    fit. Empty words and None leave what is said elsewhere."""

    submitters: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    """Families of layouts, such as `code-queue`."""
    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    gres: str = ""
    cpus: int | None = None
    tmp: int | None = None
    """Bytes of local disk that the node has to have."""
    devices: tuple[str, ...] = ()
    """Device files that the box shows, with `*`, such as `/dev/nvidia*`."""


class Whereabouts(Struct, frozen=True, omit_defaults=True):
    """Where a run that was handed over is now, as far as its executor says."""

    state: Literal["waiting", "running", "ending", "unknown"]
    """`ending`: over there, and not taken over yet; `unknown`: nobody can tell now, `why` says why."""
    id: str = ""
    """Number by which the cluster calls it."""
    partition: str = ""
    node: str = ""
    why: str = ""
    """Why it waits, a word of the cluster's such as `Resources`."""
    position: int | None = None
    """Place among the waiting jobs of its partition, from 1."""
    starts_at: datetime | None = None
    """Estimate, while it waits."""
    since: datetime | None = None
    """When it began, while it runs."""


class Limits(Struct, frozen=True, omit_defaults=True):
    """What one run may use: seconds, bytes, counts. None means that nothing is said."""

    wall_s: float | None = None
    cpu_s: float | None = None
    """Of all its processes together."""
    memory: int | None = None
    """Resident bytes of all its processes together."""
    processes: int | None = None
    """Processes and threads."""
    open_files: int | None = None
    """Of each process."""
    file_size: int | None = None
    """Bytes of each file."""
    disk: int | None = None
    """Bytes below its work folder."""
    output_files: int | None = None
    output_bytes: int | None = None
    log_bytes: int | None = None
    """Kept of each log, head and tail."""


NO_LIMITS = Limits()


class Bounds(Struct, frozen=True, omit_defaults=True):
    """How far an approval reaches. None means as far as the configuration allows."""

    expires_at: datetime | None = None
    max_runs: int | None = None
    timeout_s: float | None = None
    memory: int | None = None


class Finding(Struct, frozen=True, order=True):
    """Something a reviewer should look at, in code (`line` counts from 1) or in a result file (0). A hint, never a verdict.

    `rule` is a stable word such as `network`; `what` one sentence without control characters.
    """

    path: str
    line: int
    rule: str
    what: str


class Decision(Struct, frozen=True, omit_defaults=True):
    """A ledger row: what was decided about exactly which content."""

    verdict: Verdict
    digest: str
    by: str
    at: datetime
    method: Method = "manual"
    reason: str = ""
    bounds: Bounds = Bounds()
    accepted: tuple[str, ...] = ()
    """Rules of findings that were accepted although the configuration denies them."""


class ReleasedFile(Struct, frozen=True, order=True):
    """A result file that left: path relative to the outputs (logs: `stdout.txt`, `stderr.txt`), bytes, sha256 in hex."""

    path: str
    size: int
    sha256: str


class Answer(Struct, frozen=True, omit_defaults=True):
    """What the owner decided about the results of one run. An empty `files` with `withheld` means an answer without results."""

    verdict: Literal["released", "withheld"]
    by: str
    at: datetime
    reason: str = ""
    files: tuple[ReleasedFile, ...] = ()
    automatic: bool = False
    audit_row: int = 0
    audit_head: str = ""
    """Number and sha256 of the last audit line of this answer: a log that no longer holds it was cut or changed."""


class Usage(Struct, frozen=True, omit_defaults=True):
    """What a job used, its wrapper not counted: CPU seconds, peak resident bytes of all processes together as far as seen."""

    cpu_s: float | None = None
    memory: int | None = None


class Run(Struct, frozen=True, omit_defaults=True):
    """One attempt to run a job. `directory` is the run's folder below `$SCQ_HOME/runs`."""

    attempt: int
    digest: str
    directory: str
    phase: Phase
    claimed_at: datetime
    executor: str = "local"
    sandbox: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    cause: Cause | None = None
    share_outputs: bool = False
    share_logs: bool = False
    network: Network = "none"
    usage: Usage = Usage()
    detail: str = ""
    """One sentence on the cause where there is more to say: the limit that was reached, the package that is missing."""
    node: str = ""
    """Machine of a cluster it ran on; empty: this one."""

    @property
    def elsewhere(self) -> bool:
        """Whether it was given to a cluster."""
        return self.executor != "local"

    @property
    def is_out(self) -> bool:
        """Whether it was given to a cluster and is not over, as far as is known here."""
        return self.elsewhere and self.phase in ("claimed", "started")

    @property
    def duration_s(self) -> float | None:
        """Seconds between start and end; never negative, whatever the clock did."""
        if self.started_at is None or self.finished_at is None:
            return None
        return max(0.0, round((self.finished_at - self.started_at).total_seconds(), 3))


class Job(Struct, frozen=True):
    """One job as scq shows it: what the folders say, judged by what the ledger allows."""

    id: str
    sighting: Sighting
    status: Status
    digest: str | None = None
    invalid: tuple[str, ...] = ()
    """Why the submission can be neither approved nor run."""
    decision: Decision | None = None
    run: Run | None = None
    outputs: Sharing = "none"
    logs: Sharing = "none"
    first_seen_at: datetime | None = None
    changed: bool = False
    """True when an approval exists but the content is no longer what was approved."""
    problems: tuple[Problem, ...] = ()
    reviewed: str | None = None
    """Digest of the content that the owner last read with `scq review`."""
    answer: Answer | None = None
    """What was decided about the results of its run."""
    place: Whereabouts | None = None
    """Where its run is now, for one that was handed to a cluster and is not over."""

    @property
    def short_id(self) -> str:
        return self.id[:8]

    @property
    def ref(self) -> JobRef:
        return self.sighting.ref

    @property
    def name(self) -> str:
        return self.sighting.name


class Seen(Struct, frozen=True):
    """What one look found out about one job. The stamps are empty when they are too young to be trusted."""

    sighting: Sighting
    stamp: str = ""
    content_stamp: str = ""
    digest: str | None = None
    invalid: tuple[str, ...] = ()


class Peer(Struct, frozen=True, omit_defaults=True):
    """Somebody who asked to send jobs, or was asked. `address` is lower case."""

    address: str
    state: PeerState
    since: datetime
    """When this state was first seen."""
    requested_at: datetime | None = None
    """When the oldest of the peer's folders was made, as Google tells."""
    versions: tuple[str, ...] = ()
    """Client versions in the names of the peer's folders, sorted; empty text for folders of clients before 0.1.113."""


class AuditRow(Struct, frozen=True, omit_defaults=True):
    """One line of the audit log: who did what to which job, and on which content."""

    n: int
    at: datetime
    what: str
    by: str
    ref: str = ""
    job: str = ""
    digest: str = ""
    detail: str = ""
    user: str = ""
    """Account of the operating system and machine (`name@host`)."""
    verb: str = ""
    run: str = ""
    """Id of the call that wrote it, as in the log and in mails."""


class SourceReport(Struct, frozen=True):
    """How a look at one source went: `ok` it could be read, `complete` nothing of it had to be left out."""

    name: str
    ok: bool
    complete: bool


class Event(Struct, frozen=True):
    """A change of state, found by comparing what is seen with what was remembered. `id` is `<store revision>-<n>`."""

    id: str
    kind: str
    ref: str
    job_id: str
    at: datetime
    before: str | None = None
    after: str | None = None
    detail: str = ""


class Notification(Struct, frozen=True):
    """An outbox row: one message for one recipient over one channel, with everything needed to render it again."""

    key: str
    event: str
    kind: str
    job_id: str
    channel: str
    recipient: str
    role: Role
    created_at: datetime
    context: dict[str, str] = {}
    level: Level = "info"
    state: OutboxState = "queued"
    attempts: int = 0
    not_before: datetime | None = None
    outcome: str = ""
    in_digest: bool = False
    """Not told by itself but in the next digest of its recipient."""
    repeat: bool = False
    """True once nobody knows whether an earlier attempt arrived: the message then says that it may be a repeat."""
    ended_at: datetime | None = None
    """When it was sent or given up."""


class Thread(Struct, frozen=True, omit_defaults=True):
    """The conversation about one job in one mailbox: RFC 5322 Message-ID of its first mail (with brackets), its subject, and
    the id the provider gave the thread, if it has such ids."""

    message_id: str
    at: datetime
    subject: str = ""
    thread_id: str = ""


class Trouble(Struct, frozen=True, omit_defaults=True):
    """Something of scq's own that does not work (a sign-in, a channel, a source), for as long as it does not."""

    what: str
    since: datetime
    advice: str = ""
    told_at: datetime | None = None
    """When somebody was told; None while nobody was."""
