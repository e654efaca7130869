"""What scq remembers between calls, as it stands in the JSON store.

Two documents: `state.json` holds what is alive (and the outbox), `finished.json` the jobs that are over. A job found in
both is what `state.json` says. Both carry a schema number.
"""

# Annotations are not postponed here: msgspec would have to evaluate their text in every call.
from datetime import datetime
from typing import Literal

from msgspec import Raw, Struct

from scq.model import Answer, AuditRow, Decision, Notification, Peer, Problem, Run, Sharing, Sighting, Status, Thread, Trouble

SCHEMA = 3


Intent = Literal["decide", "reopen", "share", "remove"]


class Record(Struct, frozen=True, omit_defaults=True):
    """Everything remembered about one job: what was seen, what was decided, what was run."""

    id: str
    sighting: Sighting
    status: Status
    first_seen_at: datetime
    stamp: str = ""
    """Fingerprint of the metadata files when they were read; empty means read again."""
    content_stamp: str = ""
    """Fingerprint of the submitted files when they were hashed; empty means hash again."""
    digest: str | None = None
    invalid: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    """What authority has to say about this job, beside what the layout said."""
    changed: bool = False
    """True when an approval exists but the content is no longer what was approved."""
    intents: tuple[Intent, ...] = ()
    """What has been written down but may not stand in the folders yet; the next call that writes carries it out."""
    reviewed: str | None = None
    """Digest the owner last saw with `scq review`."""
    decision: Decision | None = None
    votes: tuple[Decision, ...] = ()
    """Approvals by different reviewers of the same digest, while more of them are needed."""
    run: Run | None = None
    attempts: int = 0
    runs: int = 0
    """Runs that began under the decision in force."""
    answer: Answer | None = None
    """What was decided about the results of `run`."""
    outputs: Sharing = "none"
    logs: Sharing = "none"
    told_outputs: Sharing = "none"
    """`outputs` as of the last look; they are shared by a verb, and the next look tells so."""
    missing_since: datetime | None = None
    """When its folders were first not found; the record is kept for a week in case they come back."""
    reminded_at: datetime | None = None
    """When the owner was last reminded that it waits."""


class RemoteFolder(Struct, frozen=True, omit_defaults=True):
    """A folder on Drive that a peer made for the owner's datasite: proposals arrive in `inbox`, answers leave by `outbox`."""

    name: str
    kind: Literal["inbox", "outbox"]
    peer: str
    """Address of its owner on Drive, lower case."""
    version: str = ""
    """Of the client that made it; empty before 0.1.113."""
    created_at: datetime | None = None


class RemoteMessage(Struct, frozen=True, omit_defaults=True):
    """A message in an inbox on Drive, and what was found in it."""

    folder: str
    """Id of the inbox."""
    name: str
    md5: str = ""
    verdict: Literal["jobs", "other", "sealed", "damaged", "unread"] = "unread"
    """`other` is readable and holds no job, `unread` could not be read yet and is tried again."""
    tries: int = 0
    fetched: bool = False
    """True once its files are safely in the SyftBox folder: it only has to be archived."""
    refused: bool = False
    """True once fetching it was refused; that is told once, and it stays where it is."""


class DriveMemory(Struct, frozen=True, omit_defaults=True):
    """What is remembered of one account's Drive. `token` is saved only together with everything it covers."""

    account: str = ""
    """Address it belongs to; with another one everything is looked at anew."""
    sign_in: str = ""
    """Digest of the sign-in that was proven to be this account's; another one has to be proven first."""
    token: str = ""
    """Where the next `changes.list` goes on; empty: only a full scan helps."""
    scanned_at: datetime | None = None
    folders: dict[str, RemoteFolder] = {}
    """By id."""
    messages: dict[str, RemoteMessage] = {}
    """By id."""
    peers_file: str = ""
    """Id of the owner's own SYFT_peers.json; empty when there is none."""
    peers_md5: str = ""
    states: dict[str, str] = {}
    """What SYFT_peers.json says, word by lower-case address."""
    missed: int = 0
    """Messages that a full scan found and the changes had not told of."""
    answers: dict[str, Literal["accepted", "rejected"]] = {}
    """Answers to peers that were given here and may not stand on Drive yet, by address; the next call carries them out."""
    outgoing: dict[str, str] = {}
    """Name of the newest message put into an outbox, or about to be: written down before it is sent. By id of the outbox."""
    sent: dict[str, dict[str, str]] = {}
    """What was sent back: sha256 by path in the datasite, by `str(ref)` of the job."""


class State(Struct, frozen=True, omit_defaults=True):
    """The live document. `revision` grows with every save; event ids are made of it. The store writes `schema` itself."""

    schema: int = SCHEMA
    revision: int = 0
    baseline_at: datetime | None = None
    """When the first look was remembered; None means that nothing was ever looked at."""
    swept_at: datetime | None = None
    jobs: dict[str, Record] = {}
    """By `str(ref)`."""
    folders: dict[str, str] = {}
    """Stamps of the folders that hold jobs, as of the last look."""
    outbox: dict[str, Notification] = {}
    drive: DriveMemory = DriveMemory()
    peers: dict[str, Peer] = {}
    """By address."""
    peers_at: datetime | None = None
    """When peers were first looked at; None means that nobody was ever told about them."""
    threads: dict[str, Thread] = {}
    """By `channel/recipient/job id`."""
    troubles: dict[str, Trouble] = {}
    """By what does not work, such as `channel owner-mail` or `source syftbox`."""
    values: dict[str, Raw] = {}
    """Free keys of the documented `JsonStateManager`."""
    notified: dict[str, tuple[str, ...]] = {}
    last: dict[str, datetime] = {}
    """When what is told at intervals (`heartbeat`) was last told."""
    audit: tuple[AuditRow, ...] = ()
    """Rows that may not stand in the audit log yet; they are appended right after each save."""
    audited: int = 0
    """Number of the newest audit row."""
    audit_head: str = ""
    """sha256 of the newest audit line: a log that was cut off does not end in it."""
    security: dict[str, str] = {}
    """The settings that matter for safety, as they were when last used; a change of them is an audit row."""


class Finished(Struct, frozen=True):
    """The jobs that are over. Values stay undecoded until somebody asks."""

    schema: int = SCHEMA
    counts: dict[str, int] = {}
    jobs: dict[str, Raw] = {}
