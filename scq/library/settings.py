"""`QueueConfig`: the queue settings of the documented Python API, checked as config.yaml is; `configure` puts them in force."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from scq.config_keys import BY_PATH, nearest
from scq.errors import ConfigError

if TYPE_CHECKING:
    from scq.config_values import Config

NAMES = ("queue_name", "max_concurrent_jobs", "job_timeout", "cleanup_completed_after")

_chosen: dict[str, Any] = {}
"""What `configure` put in force, by attribute of `Config`. Replaced whole, never changed: no thread can see half of it."""


class QueueConfig:
    """The four settings of a queue, with their documented defaults.

    `job_timeout` and `cleanup_completed_after` are seconds, or text with a unit such as `"10m"`. Raises ConfigError naming
    every unknown setting and every value that is not allowed.
    """

    def __init__(
        self,
        queue_name: str = "code-queue",
        max_concurrent_jobs: int = 3,
        job_timeout: float | str = 600,
        cleanup_completed_after: float | str = 86_400,
        **unknown: object,
    ) -> None:
        self.queue_name = queue_name
        self.max_concurrent_jobs = max_concurrent_jobs
        self.job_timeout = job_timeout
        self.cleanup_completed_after = cleanup_completed_after
        _refuse([*(_unknown(name) for name in unknown), *self._mistakes()])

    def settings(self) -> dict[str, Any]:
        """The settings as `Config` holds them, durations in seconds. Raises ConfigError: attributes may have changed."""
        _refuse(self._mistakes())
        return {BY_PATH[name].attribute: BY_PATH[name].kind.parse(getattr(self, name)) for name in NAMES}

    def _mistakes(self) -> list[str]:
        return [
            _not_allowed(name, getattr(self, name)) for name in NAMES if BY_PATH[name].kind.parse(getattr(self, name)) is None
        ]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, QueueConfig) and all(getattr(self, name) == getattr(other, name) for name in NAMES)

    __hash__ = None  # type: ignore[assignment] # its settings can be changed

    def __repr__(self) -> str:
        return f"QueueConfig({', '.join(f'{name}={getattr(self, name)!r}' for name in NAMES)})"


def configure(config: QueueConfig | None) -> None:
    """Put queue settings in force for every later call of this process; `None` goes back to config.yaml.

    They win over config.yaml and environment; those of a client (`create_client`) win over them. Changing the object afterwards
    changes nothing. Raises ConfigError.
    """
    global _chosen
    _chosen = chosen_by(config)


def chosen_by(config: QueueConfig | None) -> dict[str, Any]:
    """What a QueueConfig says now, by attribute of `Config`; nothing for None. Raises ConfigError."""
    if config is None:
        return {}
    if not isinstance(config, QueueConfig):
        raise ConfigError(f"{type(config).__name__} holds no queue settings", "Pass a QueueConfig, or None.")
    return config.settings()


def in_force(config: Config, chosen: Mapping[str, Any] | None = None) -> Config:
    """The settings of a call with what a client chose, else with what `configure` chose laid over them."""
    settings = chosen or _chosen
    return replace(config, **settings) if settings else config


def _not_allowed(name: str, value: object) -> str:
    return f"{name}: {ascii(value)[:80]} is not allowed: {BY_PATH[name].kind.allowed}"


def _unknown(name: str) -> str:
    close = nearest(name)
    hint = f"; did you mean {close}?" if close in NAMES else ""
    return f"{ascii(name)[1:-1][:80]}: is not a queue setting{hint}"


def _refuse(mistakes: list[str]) -> None:
    if mistakes:
        raise ConfigError("\n".join(mistakes), f"A QueueConfig takes {', '.join(NAMES)}.")
