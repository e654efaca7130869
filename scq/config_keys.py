"""Every setting of config.yaml: where it stands in the file, what it may be, and what it means. Pure."""

from __future__ import annotations

from scq.config_channels import CHANNEL_KEYS
from scq.config_kinds import (
    ABSOLUTE,
    ADDRESS,
    ADDRESSES,
    AGE,
    BACKUPS,
    CHANNEL_ENTRY,
    CHANNEL_NAME,
    CHANNEL_ORDER,
    CLOCK,
    COMMAND_OR_NONE,
    DATA,
    DOMAIN,
    DURATION,
    DURATION_OR_ZERO,
    ENDINGS,
    ENDPOINT,
    EVENT_CHANNELS,
    EVENT_ROLES,
    FILES,
    FLAG,
    FOLDERS,
    INDEX,
    JOBS,
    LEVEL_CHANNELS,
    PATH,
    PLACE,
    PLACEMENTS,
    PLAIN_FOLDER,
    PROCESSES,
    QUEUE,
    REVIEWS,
    SEARCH_PATH,
    SIZE,
    SPAN,
    TEXT,
    URL,
    USER,
    VARIABLE,
    VERB_WORDS,
    VERSION,
    WORDS,
    ZONE,
    Key,
    word,
)

KEYS: tuple[Key, ...] = (
    Key("do_email", "email", ADDRESS, "Your own address: the owner of the jobs that wait for you. `email` is accepted too."),
    Key("syftbox_root", "root", PATH, "Your SyftBox folder. `root` is accepted too."),
    Key("queue_name", "queue_name", QUEUE, "Name of the queue folder below `app_data` of the status-folder generation."),
    Key("max_concurrent_jobs", "max_concurrent_jobs", JOBS, "How many jobs one call runs at once."),
    Key("job_timeout", "job_timeout", DURATION, "Wall-clock limit of one job, unless `--timeout` or the job asks for less."),
    Key(
        "cleanup_completed_after",
        "cleanup_completed_after",
        AGE,
        "Age at which `scq cycle` and `scq cleanup` remove a job that is over. `never`: not at all.",
    ),
    Key("lock_timeout", "lock_timeout", DURATION_OR_ZERO, "How long a call waits for another one that is saving."),
    Key("drive_token_path", "drive_token_path", PATH, "Saved sign-in for Google Drive."),
    Key(
        "drive.use",
        "use",
        word("auto", "always", "never"),
        "Whether Google Drive is looked at. `auto`: when there is a sign-in for it, or in Colab.",
    ),
    Key("drive.full_scan_every", "full_scan_every", DURATION_OR_ZERO, "How often everything on Drive is listed. 0: every time."),
    Key("drive.fetch", "fetch", FLAG, "Bring jobs of accepted peers from Drive and send results back, without a sync client."),
    Key("drive.timeout", "timeout", DURATION, "How long one look at Drive may take, waiting and trying again included."),
    Key("drive.message_bytes", "message_bytes", SIZE, "Largest message on Drive that is read."),
    Key("drive.unpacked_bytes", "unpacked_bytes", SIZE, "Most that a message may hold once it is unpacked."),
    Key("drive.endpoint", "endpoint", ENDPOINT, "Where the API of Google Drive is reached: https, or this machine."),
    Key("gmail_token_path", "gmail_token_path", PATH, "Saved sign-in for Gmail."),
    Key("state_file", "state_file", PATH, "What scq remembers. Unset: `state.json` in `$SCQ_HOME`."),
    Key("email_format", "email_format", word("html", "text", "both"), "Form of the messages."),
    Key("notify_on_new_job", "notify_on_new_job", FLAG, "Tell the owner about a new job."),
    Key("notify_on_approved", "notify_on_approved", FLAG, "Tell the submitter that a job was approved."),
    Key("notify_on_executed", "notify_on_executed", FLAG, "Tell about a job that has run."),
    Key("notify_on_new_peer", "notify_on_new_peer", FLAG, "Tell the owner about a new peer request."),
    Key("notify_on_peer_granted", "notify_on_peer_granted", FLAG, "Tell a peer that the request was granted."),
    Key("approvals.adopt", "adopt", FLAG, "Believe approvals made with another tool where only the owner can write them."),
    Key("check.sweep_every", "sweep_every", DURATION_OR_ZERO, "How often a look visits finished jobs too. 0: every time."),
    Key(
        "check.orphan_after",
        "orphan_after",
        DURATION,
        "When a job that nobody runs any more is reported. Unset: after two job_timeout.",
    ),
    Key("run.retry_interrupted", "retry_interrupted", FLAG, "Run a job again by itself when its runner died."),
    Key(
        "network",
        "network",
        word("none", "prepare", "full"),
        "`prepare`: dependencies are fetched before the run, in a box without data. `full`: the job itself has a network.",
    ),
    Key("data", "data", DATA, "Private data that jobs may read, each folder for all jobs or for some submitters or tags."),
    Key("limits.cpu", "limit_cpu", DURATION, "CPU time of one job. Unset: only `job_timeout` counts."),
    Key("limits.memory", "limit_memory", SIZE, "Memory of all processes of one job together."),
    Key("limits.processes", "limit_processes", PROCESSES, "Processes and threads of one job."),
    Key("limits.open_files", "limit_open_files", PROCESSES, "Open files of each process of a job."),
    Key("limits.file_size", "limit_file_size", SIZE, "Largest file a job may write."),
    Key("limits.disk", "limit_disk", SIZE, "What a job may write into its work folder, all files together."),
    Key("prepare.index", "prepare_index", INDEX, "Where packages are fetched. Unset: as pip and uv of this machine are told."),
    Key("prepare.timeout", "prepare_timeout", DURATION, "How long fetching the packages of one job may take."),
    Key("prepare.bytes", "prepare_bytes", SIZE, "How much may be fetched for one job."),
    Key(
        "prepare.source_packages",
        "prepare_source_packages",
        FLAG,
        "Accept packages that have to be built, which runs code of strangers in the box of the fetching.",
    ),
    Key("results.outputs", "hold_outputs", word("hold", "release"), "Whether outputs wait for `scq release`. Short: `results`."),
    Key("results.logs", "hold_logs", word("hold", "release"), "Whether logs wait for `scq release --logs`."),
    Key(
        "auto_release.types",
        "types",
        ENDINGS,
        "Endings of result files that may leave by themselves, if nothing was found in them.",
    ),
    Key("auto_release.bytes", "bytes", SIZE, "Most bytes that leave by themselves."),
    Key("auto_release.files", "files", FILES, "Most files that leave by themselves."),
    Key("auto_release.logs", "logs", FLAG, "Whether logs leave with them."),
    Key("deny", "deny", WORDS, "Rules of findings in code that block an approval unless `--accept-finding` names them."),
    Key("approvals.quorum", "quorum", REVIEWS, "How many different reviewers have to approve the same content."),
    Key("approvals.reviewers", "reviewers", ADDRESSES, "Who may approve with `--by`. Unset: anybody who can run scq here."),
    Key("run.log_limit", "log_limit", SIZE, "Bytes kept of each log of a job: its head and its tail."),
    Key("run.output_files", "output_files", FILES, "How many result files of one job are collected."),
    Key("run.output_bytes", "output_bytes", SIZE, "How many bytes of results of one job are collected."),
    Key("run.path", "job_path", SEARCH_PATH, "`PATH` given to jobs."),
    Key("submission.files", "submission_files", FILES, "A submission with more files is invalid."),
    Key("submission.bytes", "submission_bytes", SIZE, "A submission with more bytes is invalid."),
    Key(
        "sandbox.type",
        "sandbox",
        word("bwrap", "none"),
        "What a job may touch. `none` protects nothing. Short: `sandbox: none`.",
    ),
    Key("sandbox.user", "sandbox_user", USER, "The user a job runs as when scq is started by root."),
    Key("sandbox.scratch", "sandbox_scratch", ABSOLUTE, "Where that user's private copies are made."),
    Key(
        "executor.name",
        "executor",
        word("local", "slurm"),
        "Where jobs run: on this machine, or on a Slurm cluster (docs/cluster.md). Short: `executor: slurm`.",
    ),
    Key("executor.slurm.shared_dir", "shared_dir", PLAIN_FOLDER, "Folder that this machine and every node see under this name."),
    Key("executor.slurm.python", "python", ABSOLUTE, "The Python on the nodes that has scq. Unset: the one scq runs with here."),
    Key("executor.slurm.bin", "bin", ABSOLUTE, "Folder of `sbatch`, `squeue`, `scontrol` and `scancel`. Unset: `PATH`."),
    Key("executor.slurm.conf", "conf", ABSOLUTE, "The `slurm.conf` they use. Unset: as Slurm finds it."),
    Key("executor.slurm.partition", "partition", PLACE, "Partition of the jobs. Unset: that of the cluster."),
    Key("executor.slurm.account", "account", PLACE, "Account they are charged to."),
    Key("executor.slurm.qos", "qos", PLACE, "Quality of service."),
    Key("executor.slurm.constraint", "constraint", PLACE, "Features their node must have."),
    Key("executor.slurm.gres", "gres", PLACE, "Generic resources, such as `gpu:1`."),
    Key("executor.slurm.cpus", "cpus", JOBS, "Processors of one job."),
    Key("executor.slurm.tmp", "tmp", SIZE, "Local disk their node must have."),
    Key("executor.slurm.devices", "devices", FOLDERS, "Device files that the box shows, such as `/dev/nvidia*`."),
    Key(
        "executor.slurm.rules",
        "rules",
        PLACEMENTS,
        "Other places for jobs of some submitters, tags or queues. Where several fit, the later ones win.",
    ),
    Key("executor.slurm.max_queued", "max_queued", FILES, "How many jobs are on the cluster at once; the others wait here."),
    Key("executor.slurm.others", "others", FLAG, "Look at the jobs of others too, which tells the place in the queue."),
    Key("executor.slurm.command_timeout", "command_timeout", DURATION, "How long one command of Slurm may take."),
    Key("executor.slurm.file_delay", "file_delay", DURATION_OR_ZERO, "How long a file of a node may take to be seen here."),
    Key("sandbox.interpreters", "sandbox_interpreters", FOLDERS, "Further folders a job may read, such as a Python."),
    Key("notify.interval", "interval", DURATION, "Pause between two looks where scq is run in a loop."),
    Key("notify.monitor_jobs", "monitor_jobs", FLAG, "Send messages about jobs."),
    Key("notify.monitor_peers", "monitor_peers", FLAG, "Send messages about peers."),
    Key(
        "notify.events",
        "events",
        EVENT_ROLES,
        "Who is told about an event, where it is not the usual: off, do, ds, both, digest.",
    ),
    Key(
        "notify.remind_after",
        "remind_after",
        DURATION_OR_ZERO,
        "When you are reminded of a job that waits; then daily. 0: never.",
    ),
    Key("notify.digest", "digest", word("hourly", "daily"), "How often digests are sent to those whose events say `digest`."),
    Key("notify.digest_at", "digest_at", CLOCK, "When the daily digest is sent."),
    Key("notify.quiet_hours", "quiet_hours", SPAN, "When only critical messages are sent; the others wait until its end."),
    Key(
        "notify.timezone", "timezone", ZONE, "Time zone of times in messages and of the hours above. Unset: that of the machine."
    ),
    Key("notify.max_per_run", "max_per_run", FILES, "How many messages one call sends at most."),
    Key(
        "notify.max_per_hour_per_recipient",
        "max_per_hour",
        FILES,
        "How many messages a recipient gets in an hour; the rest comes in one digest.",
    ),
    Key(
        "notify.on_ambiguous",
        "on_ambiguous",
        word("resend", "verify", "drop"),
        "What becomes of a message that may have arrived: sent again and marked, looked for in Gmail first, or dropped.",
    ),
    Key("notify.heartbeat_enabled", "heartbeat_enabled", FLAG, "Send yourself a message at intervals that all is well."),
    Key("notify.heartbeat_interval", "heartbeat_interval", DURATION, "How often that is."),
    Key("routing.levels", "routing_levels", LEVEL_CHANNELS, "Channels of each level, for messages to you."),
    Key("routing.events", "routing_events", EVENT_CHANNELS, "Channels of single events; they win over the level."),
    Key("routing.order", "routing_order", CHANNEL_ORDER, "Which channel is tried first where one is enough."),
    Key("mail.message_id_domain", "message_id_domain", DOMAIN, "Right side of Message-IDs. Unset: the domain of the sender."),
    Key("credentials_path", "credentials_path", PATH, "Client file of Google (credentials.json) that sign-ins are made with."),
    Key("check.stale_after", "stale_after", DURATION, "How long a source may be out of reach before you are told."),
    Key("health.url", "url", URL, "Where a ping says that scq is alive (Healthchecks and others). Unset: nowhere."),
    Key("health.url_env", "url_env", VARIABLE, "Environment variable that holds this address."),
    Key("health.url_file", "url_file", PATH, "File that holds this address."),
    Key("health.url_keyring", "url_keyring", TEXT, "Entry of the keyring (service/name) that holds this address."),
    Key("log.level", "level", word("debug", "info", "warning", "error"), "How much is written into the log of scheduled calls."),
    Key("log.format", "format", word("text", "json"), "Form of its lines: for people, or one JSON object each."),
    Key("log.to", "to", word("file", "stderr", "both", "none"), "Where they go. In a systemd service also to the journal."),
    Key("log.max_bytes", "max_bytes", SIZE, "Size at which a log file is put aside and a new one begun."),
    Key("log.backups", "backups", BACKUPS, "How many older log files are kept."),
    Key(
        "approve.command",
        "command",
        COMMAND_OR_NONE,
        "Your own program that decides about jobs, and its arguments: `scq automate` runs it.",
    ),
    Key("approve.interval", "interval", DURATION, "Pause between two calls of it where scq is run in a loop."),
    Key("approve.timeout", "timeout", DURATION, "How long it may take before it is ended."),
    Key("version", "version", VERSION, "Form of this file. Written by scq; a newer one than it knows is refused."),
    Key("health.verbs", "verbs", VERB_WORDS, "The verbs that ping."),
)

CHANNELS = "channels"
ALIASES = {"email": "do_email", "root": "syftbox_root", "interval": "notify.interval", "notify.channels": CHANNELS}
"""Other spellings of a key."""
SHORTHANDS = {"executor": ("executor.name",), "sandbox": ("sandbox.type",), "results": ("results.outputs", "results.logs")}
"""Groups that may also be written as one word."""
GROUPS: frozenset[str] = frozenset(
    group for key in KEYS for group in (key.path.partition(".")[0], key.path.rpartition(".")[0]) if "." in key.path
)
BY_PATH: dict[str, Key] = {key.path: key for key in KEYS}


WHOLE_CHANNEL = Key("", "", CHANNEL_ENTRY, "One channel with all its settings.")


def find_key(path: str) -> Key | None:
    """The setting a path names, in any accepted spelling, also `channels.NAME` and its settings. None when there is none."""
    path = ALIASES.get(path, SHORTHANDS.get(path, (path,))[0]).replace("notify.channels.", CHANNELS + ".", 1)
    if path in BY_PATH:
        return BY_PATH[path]
    if not path.startswith(CHANNELS + "."):
        return None
    name, _, rest = path[len(CHANNELS) + 1 :].partition(".")
    found = CHANNEL_KEYS.get(rest) if rest else WHOLE_CHANNEL
    if found is None or CHANNEL_NAME.parse(name) is None:
        return None
    return Key(f"{CHANNELS}.{name}.{rest}".rstrip("."), found.attribute, found.kind, found.meaning)


def nearest(path: str) -> str:
    """The known key that looks most like `path`, empty when none does."""
    import difflib

    known = [*BY_PATH, *ALIASES, *GROUPS, CHANNELS]
    whole = difflib.get_close_matches(path, known, n=1, cutoff=0.7)
    if whole:
        return whole[0]
    last = {name.rpartition(".")[2]: name for name in reversed(known)}  # of several the one listed first
    by_last = difflib.get_close_matches(path.rpartition(".")[2], list(last), n=1, cutoff=0.75)
    return last[by_last[0]] if by_last else ""
