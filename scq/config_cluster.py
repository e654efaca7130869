"""What settings of a cluster have to have beside each other, found without asking the cluster. docs/cluster.md says why."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping

from scq.config_values import Config
from scq.model import Problem
from scq.syftbox import lies_inside

SHARED = "executor.slurm.shared_dir"
LOCAL = "To run jobs on this machine: scq config set executor local"


def cluster_errors(config: Config, home: str, file: str = "config.yaml") -> tuple[Problem, ...]:
    """What keeps jobs from running on a cluster with these settings. `home` is absolute, `file` stands before each key."""
    if config.executor != "slurm":
        return ()
    return (*_missing(config, file), *_shared_folder(config, home, file), *_devices(config, file))


def cluster_notes(values: Mapping[str, object], file: str = "config.yaml") -> tuple[Problem, ...]:
    """Settings found, by key path, that mean nothing on a cluster."""
    if values.get("executor.name") != "slurm" or "max_concurrent_jobs" not in values:
        return ()
    what = "means nothing with executor: slurm, where the cluster shares out its nodes"
    return (Problem(f"{file}: max_concurrent_jobs", what, "How many jobs are handed over at most: executor.slurm.max_queued"),)


def _missing(config: Config, file: str) -> Iterator[Problem]:
    if not config.slurm.shared_dir:
        advice = f"scq config set {SHARED} FOLDER, one that this machine and every node see under the same name. {LOCAL}"
        yield Problem(f"{file}: {SHARED}", "is missing: executor slurm needs it", advice)
    if config.sandbox == "none":
        what = "none is not allowed with executor: slurm: without a box on the node nothing runs there"
        yield Problem(f"{file}: sandbox", what, f"scq config set sandbox bwrap. {LOCAL}")


def _shared_folder(config: Config, home: str, file: str) -> Iterator[Problem]:
    """The nodes write there, and others may read the names in it: so nothing else that matters lies there."""
    shared = config.slurm.shared_dir
    if not shared:
        return
    another = f"Choose another folder: scq config set {SHARED} FOLDER"
    where = f"{file}: {SHARED}"
    if config.root and lies_inside(shared, config.root):
        yield Problem(where, f"{shared} lies inside the SyftBox folder {config.root}: it would be sent to others", another)
    if lies_inside(shared, home) or lies_inside(home, shared):
        yield Problem(where, f"{shared} and scq's own folder {home} must lie apart: what scq remembers stays here", another)
    elif config.state_file and lies_inside(config.state_file, shared):
        yield Problem(where, f"{shared} holds the state_file {config.state_file}: what scq remembers stays here", another)
    for folder in config.data:
        if lies_inside(shared, folder.path):
            yield Problem(where, f"{shared} lies inside {folder.path}, which jobs may read", another)


def _devices(config: Config, file: str) -> Iterator[Problem]:
    named = [("devices", path) for path in config.slurm.devices]
    named += [("rules", path) for rule in config.slurm.rules for path in rule.devices]
    for key, path in named:
        if posixpath.dirname(path) != "/dev" or posixpath.normpath(path) != path:
            yield Problem(
                f"{file}: executor.slurm.{key}", f"{path} is no device file", "Name files directly in /dev, such as /dev/nvidia*."
            )
