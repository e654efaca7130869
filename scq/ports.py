"""What the decisions and verbs expect of the parts that touch the world. Implementations live in the adapter packages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

from msgspec import Struct

from scq.errors import ScqError
from scq.model import (
    NO_LIMITS,
    Content,
    Decision,
    JobRef,
    Level,
    Limits,
    Problem,
    ResultFiles,
    Run,
    Sighting,
    Spot,
    Usage,
    Whereabouts,
)


class Tree(Protocol):
    """Read-only view of one SyftBox root for a single look. Paths are POSIX strings relative to the root.

    Symlinks are never followed: a link is reported as neither file nor folder.
    """

    root: str
    me: str
    """Own address, lower case."""
    full: bool
    """True when every folder is listed; False when folders unchanged since the last look are passed over."""

    def datasites(self) -> Sequence[tuple[str, str]]:
        """Every person's folder as (folder relative to the root, address)."""

    def children(self, folder: str) -> list[str]:
        """Names of the sub-folders of a folder that holds few things (structure folders): always listed."""

    def fresh_children(self, folder: str) -> list[str]:
        """Names of the sub-folders of a folder that holds jobs; empty when it is known not to have changed."""

    def is_dir(self, path: str) -> bool: ...

    def is_file(self, path: str) -> bool: ...

    def stamp(self, path: str) -> str:
        """`inode:size:mtime_ns:mode` of a path, or `-` when it is not there. One lstat, nothing opened."""

    def mtime(self, path: str) -> float | None:
        """Seconds since the epoch, None when the path is not there."""

    def names(self, folder: str) -> list[str]:
        """All entry names of one folder, sorted; empty when it is not there or cannot be read."""

    def read_text(self, path: str, limit: int) -> str:
        """Content of a small regular file. Raises InvalidFileError: missing, not regular, too large, not UTF-8."""

    def files(self, folder: str) -> list[str]:
        """Regular files below a folder, relative to it, sorted, without links and special files; capped."""

    def problem(self, problem: Problem) -> None:
        """Report something wrong and go on."""


class Submission(Struct, frozen=True):
    """A job to be written: ready-made files with run.sh among them at the top."""

    owner: str
    submitter: str
    name: str
    files: Mapping[str, bytes]
    """Code files relative to the code folder (without run.sh of layouts that keep it beside the code)."""
    executable: frozenset[str]
    run_sh: str
    kind: str
    entrypoint: str | None
    dependencies: tuple[str, ...]
    description: str
    tags: tuple[str, ...]
    timeout_s: int | None
    is_folder: bool
    source_path: str | None
    submitted_at_iso: str
    """UTC, ISO form with `+00:00`."""


class ResultSet(Struct, frozen=True):
    """The end of a run, to be written where the layout keeps it. Folders are absolute paths outside the SyftBox."""

    run: Run
    outputs_dir: str | None
    stdout: bytes
    stderr: bytes
    environment_note: str = ""


class Layout(Protocol):
    """One on-disk generation of queue: finding, reading and writing its jobs. Reading never writes."""

    family: str
    generations: tuple[str, ...]

    def find(self, tree: Tree) -> Iterator[Spot]:
        """Every job below the root by names only; no job file is opened."""

    def locate(self, tree: Tree, ref: JobRef) -> Spot | None:
        """The places of one known job now, None when it is gone."""

    def stamp(self, tree: Tree, spot: Spot) -> str:
        """Changes whenever `read` could answer differently. A few lstats, nothing opened."""

    def read(self, tree: Tree, spot: Spot) -> Sighting:
        """What the folders of one job say. Never raises for what a stranger wrote: damage is part of the answer."""

    def content(self, sighting: Sighting) -> Content:
        """Which files can influence the execution of a job."""

    def results(self, tree: Tree, sighting: Sighting) -> ResultFiles:
        """Where outputs and logs of a job lie now."""

    def target(self, root: str, owner: str) -> str | None:
        """Generation word in which this datasite can be written to because it already is one, else None."""

    def submit(self, root: str, generation: str, submission: Submission) -> JobRef:
        """Write a new job so that peers of the generation understand it. Raises UsageError when the name is taken."""

    def decide(self, root: str, sighting: Sighting, decision: Decision) -> None:
        """Show a decision in the folders, as far as the generation can. Idempotent."""

    def begin(self, root: str, sighting: Sighting, run: Run) -> None:
        """Show that the job runs now. Idempotent."""

    def finish(self, root: str, sighting: Sighting, results: ResultSet) -> None:
        """Publish results, final state last. Idempotent: may be called again after a crash."""

    def reopen(self, root: str, sighting: Sighting) -> None:
        """Take the results of a finished job away and show it as approved again. Idempotent."""

    def share(self, root: str, sighting: Sighting, results: ResultSet | None, *, outputs: bool, logs: bool) -> None:
        """Let the submitter read outputs and/or logs through the permission files of the layout."""

    def remove(self, root: str, sighting: Sighting) -> None:
        """Delete a job with everything that belongs to it."""


class Invocation(Struct, frozen=True):
    """A process to start: complete argument vector and environment, nothing inherited."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    uid: int | None = None
    """Drop to this user and group before starting."""
    feeds: Mapping[str, bytes] = {}
    """Words of `argv` to be replaced by the number of an inherited descriptor from which these bytes can be read."""
    report: str = ""
    """Word of `argv` to be replaced by the number of an inherited descriptor on which the box says, one JSON object per line,
    how it went: `child-pid` once it stands, `exit-code` only if the command itself ran and ended. Empty: no such box."""


class Mount(Struct, frozen=True):
    """A file or folder of this machine (`source`, absolute) as the box shows it (`target`, absolute)."""

    source: str
    target: str
    writable: bool = False
    device: bool = False
    """A device file, which can be used as one in the box."""


class Plan(Struct, frozen=True):
    """Everything a run will be given, as data: shown by `run-approved --dry-run` and kept with the run."""

    sandbox: str
    user: str
    network: bool
    command: tuple[str, ...]
    cwd: str
    """As the job sees it."""
    environment: dict[str, str]
    """As the job sees it."""
    mounts: tuple[Mount, ...]
    limits: Limits
    notes: tuple[str, ...] = ()
    """What else holds, one sentence each."""


class Sandbox(Protocol):
    """What a run may touch. Turns a job's command into the command that runs it in the box."""

    name: str

    def check(self) -> Sequence[Problem]:
        """Prove that the box holds on this machine. Empty means it does."""

    def scratch(self, directory: str) -> str:
        """Absolute folder in which the private copy of a run is made, so that the box can reach it."""

    def plan(
        self,
        command: Sequence[str],
        *,
        work: str,
        cwd: str,
        env: Mapping[str, str],
        mounts: Sequence[Mount] = (),
        network: bool = False,
        limits: Limits = NO_LIMITS,
    ) -> Plan:
        """What `wrap` would make of the same arguments. Touches nothing."""

    def wrap(
        self,
        command: Sequence[str],
        *,
        work: str,
        cwd: str,
        env: Mapping[str, str],
        mounts: Sequence[Mount] = (),
        network: bool = False,
        limits: Limits = NO_LIMITS,
    ) -> Invocation:
        """`work` is the private copy (absolute), `cwd` a folder relative to it, `env` the documented variables.

        Values of `env` that begin with the path of `work` are rewritten to where the box shows it. `mounts` are shown in the box
        beside what it always shows. Of `limits` only what the box itself can hold matters here.
        """


class Ending(Struct, frozen=True):
    """How a process ended. Times are aware UTC ISO strings; `cause` as in the model."""

    exit_code: int | None
    cause: str
    started_at: str
    finished_at: str
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    detail: str = ""
    """One sentence on the cause where there is more to say."""
    usage: Usage = Usage()
    enforced: tuple[str, ...] = ()
    """Each limit that really was in force and by what, such as `memory 2147483648: cgroup`."""
    node: str = ""
    """Machine of a cluster it ran on; empty: this one."""


class Entrance(Struct, frozen=True):
    """A run whose box is made on another machine: the sandbox, what its `wrap` gets there, and how the content is proven."""

    sandbox: str
    settings: dict[str, Any]
    """Keyword arguments of the sandbox."""
    command: tuple[str, ...]
    work: str
    cwd: str
    env: dict[str, str]
    mounts: tuple[Mount, ...]
    network: bool
    code: str
    """Absolute folder that holds the private copy, which is proven there once more."""
    run_sh: str
    fields: tuple[tuple[str, str], ...]
    digest: str
    extra: tuple[str, ...] = ()
    """Top-level names in `code` that were put there for the run and are no part of the submission."""
    not_after: datetime | None = None
    """End of the approval: it does not start later."""
    devices: tuple[str, ...] = ()
    """Device files of that machine to be shown, with `*`."""


class Traits(Struct, frozen=True):
    """What an executor may place a run by."""

    queue: str = ""
    """Family of the layout."""
    submitter: str = ""
    tags: tuple[str, ...] = ()


class Task(Struct, frozen=True):
    """One run handed to an executor. `directory` is absolute and private to the run."""

    label: str
    """Shown before streamed lines."""
    directory: str
    invocation: Invocation
    """Empty argument vector where there is an `entrance`."""
    timeout_s: float
    log_limit: int
    """Bytes kept of each log (head and tail)."""
    stream: bool
    limits: Limits = NO_LIMITS
    """Beside `timeout_s` and `log_limit`, which are always kept."""
    work: str = ""
    """Absolute folder whose size counts against `limits.disk`; empty when it is not to be watched."""
    entrance: Entrance | None = None
    """For executors that are `remote`."""
    traits: Traits = Traits()


class Executor(Protocol):
    """Where jobs run. One that is not `remote` runs tasks in the foreground of the call and reports each end once.

    A `remote` one hands them over and does not wait: the call ends, and a later one asks for the outcome. `directory` is always
    that of a `Task`: absolute and private to the run.
    """

    name: str
    remote: bool
    trouble: str
    """Why the last `run` stopped before all tasks were taken, one sentence; empty when it did not."""

    def check(self) -> Sequence[Problem]:
        """What keeps every job from being taken, found without running one. Empty: nothing is known to."""

    def run(self, tasks: Iterator[Task], limit: int, ended: Callable[[Task, Ending | ScqError], None]) -> None:
        """Run all tasks, at most `limit` at once (a remote one: hand over at most `limit`).

        `ended` is called in this process as each one ends, or with an error when it was not taken: nothing of it will ever run.
        A task that is not reported at all was handed over, or may have been: `outcome` tells.
        """

    def outcome(self, directory: str) -> Ending | bool | None:
        """What became of a run of an earlier call: its ending, None while it is alive, False when its runner died.

        After False nothing of it will ever run. Raises BusyError when that cannot be told now.
        """

    def began(self, directory: str) -> bool:
        """Whether the job itself was ever about to be started."""

    def logs(self, directory: str) -> str:
        """Folder in which `stdout.txt` and `stderr.txt` of a run lie now, growing while it runs. It may not be there yet."""

    def whereabouts(self, directories: Sequence[str]) -> Mapping[str, Whereabouts]:
        """Where these runs are now, with one question however many they are; those that are nowhere are left out."""

    def stop(self, directory: str) -> None:
        """Have a run ended that was handed over; `outcome` tells when it is. Raises UsageError where that is not possible,
        BusyError when it cannot be done now."""


class Attachment(Struct, frozen=True):
    """A file that goes with a mail. `name` is one path component; `type` such as `text/plain`."""

    name: str
    content: bytes
    type: str


class Message(Struct, frozen=True):
    """A rendered message. `key` is stable for one outbox row, so that a second delivery can be recognised.

    All texts are clean (scq.clean). Channels that know no mail use `subject`, `text` and `level`.
    """

    key: str
    event: str
    sender: str
    recipient: str
    subject: str
    text: str
    html: str | None
    at_iso: str
    level: Level = "info"
    job_id: str = ""
    run_id: str = ""
    """Of the call that sends it; the run of the job it is about stands in `words`."""
    words: Mapping[str, str] = {}
    """What the message is made of, for channels that hand over a document instead of a text."""
    role: str = ""
    thread_id: str = ""
    """The provider's id of the conversation this mail continues; empty for the first one."""
    in_reply_to: str = ""
    """Message-ID of the first mail of the conversation, with brackets."""
    domain: str = ""
    """Right side of the Message-ID; empty: the domain of the sender."""
    cc: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()


class Receipt(Struct, frozen=True):
    """What a service answered when it took a message."""

    text: str
    """Short, for people: an id, a file."""
    message_id: str = ""
    thread_id: str = ""


class Channel(Protocol):
    """One way of telling somebody. Neither retries nor waits nor remembers: the outbox does."""

    name: str

    def usable(self) -> str:
        """Empty when a message could be sent from this process now, else one sentence why not. Nothing is sent."""

    def send(self, message: Message) -> Receipt:
        """Hand the message over. Returns when the service has accepted it. Raises ChannelError."""


class Entry(Struct, frozen=True):
    """A call that a scheduler makes every so many seconds. `argv` is complete: absolute path of scq, options, verb."""

    name: str
    """Of the task (see services): unique within a schedule."""
    argv: tuple[str, ...]
    every: float
    meaning: str
    runs_jobs: bool = False


class Schedule(Struct, frozen=True):
    """What is to be installed for one `SCQ_HOME`."""

    home: str
    """Absolute."""
    entries: tuple[Entry, ...]
    user: str = ""
    """Account whose calls these are, for a scheduler of the whole machine; empty: whoever installs."""
    credentials: tuple[tuple[str, str], ...] = ()
    """(name, absolute path) of secret files that the scheduler hands over, where it can."""
    writable: tuple[str, ...] = ()
    """Absolute folders these calls write into besides `home`, such as the SyftBox: a hardened scheduler opens only these."""


class PlacedFile(Struct, frozen=True):
    """A file as a scheduler wants it. `text` is all of it, or for a shared file (a crontab) only what is ours in it."""

    path: str
    text: str
    mode: int = 0o644


class Installed(Struct, frozen=True):
    """One entry as it is installed now."""

    name: str
    place: str
    """The file, or other place, it stands in."""
    state: Literal["active", "running", "stopped", "changed", "unknown"]
    """`changed`: somebody edited it since; `stopped`: installed, and not called."""
    every: float | None = None
    pid: int | None = None
    last_at: datetime | None = None
    next_at: datetime | None = None
    detail: str = ""


class Scheduler(Protocol):
    """Something that makes calls at intervals. What it would write is data; only `install`, `remove`, `start`, `stop` act."""

    name: str
    overlaps: bool
    """Whether it starts a call while the one before is still at work."""

    def unusable(self) -> str:
        """Why it cannot be used on this machine, in a few words; empty when it can."""

    def files(self, schedule: Schedule) -> tuple[PlacedFile, ...]:
        """What `install` would write. Touches nothing. Raises UsageError for what it cannot express."""

    def install(self, schedule: Schedule) -> tuple[str, ...]:
        """Write the files and make the calls begin; what was done, one line each. Doing it again changes nothing."""

    def remove(self, home: str) -> tuple[str, ...]:
        """End the calls and remove the files of this home; what was done. Nothing there: nothing is done."""

    def installed(self, home: str) -> tuple[Installed, ...]:
        """What is installed for this home now."""

    def verify(self, schedule: Schedule) -> Sequence[Problem]:
        """What is wrong with what is installed, or with what would be. Empty: it works."""

    def start(self, home: str, name: str) -> str:
        """Make the calls of an installed entry begin (again); what was done."""

    def stop(self, home: str, name: str) -> str:
        """Let the calls of an entry rest until `start`; one that is at work is ended. What was done."""
