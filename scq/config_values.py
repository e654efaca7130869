"""All settings with their defaults, as they are used. The meaning of each is in config_keys."""

from __future__ import annotations

from msgspec import Struct

from scq.config_channels import ChannelSetting
from scq.model import DataFolder, Holding, Network, Placement
from scq.secrets import Secret


class Notify(Struct, frozen=True):
    """The `notify` group. Durations in seconds, times of day as `HH:MM`."""

    interval: float = 30.0
    monitor_jobs: bool = True
    monitor_peers: bool = True
    events: dict[str, str] = {}
    remind_after: float = 172_800.0
    digest: str = "daily"
    digest_at: str = "08:00"
    quiet_hours: str = ""
    """`HH:MM-HH:MM`; empty: none."""
    timezone: str = ""
    """Empty: that of the machine."""
    max_per_run: int = 50
    max_per_hour: int = 30
    on_ambiguous: str = "resend"
    heartbeat_enabled: bool = False
    heartbeat_interval: float = 86_400.0


class Health(Struct, frozen=True):
    """Where to ping that scq is alive, and after which verbs."""

    url: str = ""
    url_env: str = ""
    url_file: str = ""
    url_keyring: str = ""
    verbs: tuple[str, ...] = ("notify", "cycle")

    def __repr__(self) -> str:
        return f"Health({self.verbs!r})"

    @property
    def secret(self) -> Secret:
        return Secret(self.url, self.url_env, self.url_file, self.url_keyring)


class Log(Struct, frozen=True):
    """The `log` group: what scheduled calls write down about themselves. Sizes in bytes."""

    level: str = "info"
    format: str = "text"
    """`text`: `YYYY-MM-DD HH:MM:SS - logger - level - message`; `json`: one object per line."""
    to: str = "file"
    """`file`, `stderr`, `both` or `none`."""
    max_bytes: int = 10 << 20
    backups: int = 7


class Automation(Struct, frozen=True):
    """The `approve` group: the owner's own program that decides about jobs, outside of scq. Durations in seconds."""

    command: tuple[str, ...] = ()
    interval: float = 30.0
    timeout: float = 300.0


class Drive(Struct, frozen=True):
    """The `drive` group. Durations in seconds, sizes in bytes."""

    use: str = "auto"
    """`auto`: when there is a sign-in for it, `always`, `never`."""
    full_scan_every: float = 21_600.0
    fetch: bool = False
    timeout: float = 60.0
    message_bytes: int = 32 << 20
    unpacked_bytes: int = 128 << 20
    endpoint: str = "https://www.googleapis.com/"


class Slurm(Struct, frozen=True):
    """The `executor.slurm` group. Durations in seconds, sizes in bytes."""

    shared_dir: str = ""
    """Absolute; the same folder on this machine and on every node."""
    python: str = ""
    """Python of the nodes that has scq; empty: the one of this call."""
    bin: str = ""
    """Folder of Slurm's commands; empty: `PATH`."""
    conf: str = ""
    """slurm.conf; empty: as Slurm finds it."""
    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    gres: str = ""
    cpus: int = 1
    tmp: int | None = None
    devices: tuple[str, ...] = ()
    rules: tuple[Placement, ...] = ()
    """The later ones win over the earlier ones."""
    max_queued: int = 200
    others: bool = True
    """Jobs of others are listed too, which tells the place in the queue."""
    command_timeout: float = 20.0
    file_delay: float = 60.0
    """How long a file of a node may take to be seen here."""


class AutoRelease(Struct, frozen=True):
    """What may leave without being asked for: nothing unless `types` (file endings such as `.csv`) are named."""

    types: tuple[str, ...] = ()
    bytes: int = 1 << 20
    files: int = 10
    logs: bool = False


class Config(Struct, frozen=True):
    """All settings with their defaults. Durations in seconds, sizes in bytes; the meaning of each is in config_keys.KEYS."""

    email: str = ""
    """Lower case; empty when unknown."""
    root: str = ""
    """Absolute; empty when unknown."""
    queue_name: str = "code-queue"
    max_concurrent_jobs: int = 3
    job_timeout: float = 600.0
    cleanup_completed_after: float = 86_400.0
    executor: str = "local"
    slurm: Slurm = Slurm()
    sandbox: str = "bwrap"
    sandbox_user: str = "nobody"
    sandbox_scratch: str = "/var/tmp/scq"  # noqa: S108 - made by scq, its owner and rights are checked
    sandbox_interpreters: tuple[str, ...] = ()
    job_path: str = "/usr/local/bin:/usr/bin:/bin"
    retry_interrupted: bool = False
    network: Network = "prepare"
    data: tuple[DataFolder, ...] = ()
    limit_cpu: float | None = None
    limit_memory: int = 4 << 30
    limit_processes: int = 512
    limit_open_files: int = 4096
    limit_file_size: int = 4 << 30
    limit_disk: int = 8 << 30
    prepare_index: str = ""
    """Empty: what pip and uv of this machine are told by their own variables, else the public index."""
    prepare_timeout: float = 600.0
    prepare_bytes: int = 2 << 30
    prepare_source_packages: bool = False
    hold_outputs: Holding = "hold"
    hold_logs: Holding = "hold"
    auto_release: AutoRelease = AutoRelease()
    deny: tuple[str, ...] = ()
    quorum: int = 1
    reviewers: tuple[str, ...] = ()
    log_limit: int = 1 << 20
    output_files: int = 10_000
    output_bytes: int = 1 << 30
    submission_files: int = 10_000
    submission_bytes: int = 512 << 20
    adopt: bool = False
    sweep_every: float = 3_600.0
    orphan_after: float | None = None
    lock_timeout: float = 10.0
    drive_token_path: str = "$SCQ_HOME/token_do.json"  # noqa: S105 - a path
    gmail_token_path: str = "$SCQ_HOME/gmail_token.json"  # noqa: S105
    state_file: str = ""
    """Empty: state.json in `$SCQ_HOME`."""
    email_format: str = "html"
    notify_on_new_job: bool = True
    notify_on_approved: bool = True
    notify_on_executed: bool = True
    notify_on_new_peer: bool = True
    notify_on_peer_granted: bool = True
    notify: Notify = Notify()
    channels: tuple[ChannelSetting, ...] = (ChannelSetting(),)
    routing_levels: dict[str, tuple[str, ...]] = {}
    routing_events: dict[str, tuple[str, ...]] = {}
    routing_order: tuple[str, ...] = ()
    message_id_domain: str = ""
    credentials_path: str = "$SCQ_HOME/credentials.json"
    stale_after: float = 86_400.0
    health: Health = Health()
    drive: Drive = Drive()
    log: Log = Log()
    automation: Automation = Automation()
    version: int = 1
    """Of the form of config.yaml."""
