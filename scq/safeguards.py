"""Settings that matter for safety: a change of one is a line in the audit log."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec.structs import replace

from scq.clean import line
from scq.config import value_of
from scq.config_keys import BY_PATH
from scq.config_values import Config
from scq.context import audited
from scq.state import State

CHANGE_LENGTH = 500
GUARDING = ("sandbox", "limits", "results", "auto_release", "approvals")
SECURITY: tuple[str, ...] = (
    *(path for path in BY_PATH if path.partition(".")[0] in GUARDING),
    *(
        "network",
        "data",
        "deny",
        "prepare.index",
        "prepare.source_packages",
        "run.retry_interrupted",
        "drive.endpoint",
        "approve.command",
    ),
    "executor.name",
    *(f"executor.slurm.{name}" for name in ("shared_dir", "python", "bin", "conf", "devices", "rules")),
)
"""Settings whose change is an audit row."""
OPT_OUTS = {"sandbox.type": "none", "network": "full"}
"""Words that take protection away: a row at once, also when nothing was remembered yet."""


def noted(state: State, config: Config, now: datetime) -> State:
    """The state with an audit row for each setting that matters for safety and is not what it was when last used.

    The first time only what takes protection away is worth a row.
    """
    before, words = state.security, _security_words(config)
    if words == before:
        return state
    for key, word in words.items():
        if before.get(key, word) != word:
            detail = f"{key}: {before[key]} → {word}"
            state = audited(state, now, config.email, "config", detail=line(detail, CHANGE_LENGTH))
        if OPT_OUTS.get(key) == word != before.get(key):
            state = audited(state, now, config.email, "opt-out", detail=f"{key}: {word}")
    return replace(state, security=words)


def _security_words(config: Config) -> dict[str, str]:
    values = ((key, value_of(config, key)) for key in SECURITY)
    return {key: value if isinstance(value, str) else msgspec.json.encode(value).decode() for key, value in values}
