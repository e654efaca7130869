"""Where jobs run: one executor per module, loaded when it is asked for.

To add one: write the module, name it here, and let its tests inherit tests/contract/test_executor_contract.py.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from scq.config_values import Slurm
from scq.errors import ConfigError
from scq.ports import Executor

EXECUTORS: dict[str, str] = {
    "local": "scq.executors.local:LocalExecutor",
    "slurm": "scq.executors.slurm:SlurmExecutor",
}
"""Name in the configuration → `module:attribute` of its class."""


def get(name: str, setting: Slurm | None = None) -> Executor:
    """The executor of that name, with the setting of those that have one. Raises ConfigError when there is none."""
    try:
        module, _, attribute = EXECUTORS[name].partition(":")
    except KeyError:
        raise ConfigError(f"executor: no executor is called {name!r}", f"Use one of: {', '.join(sorted(EXECUTORS))}.") from None
    make: Callable[..., Executor] = getattr(import_module(module), attribute)
    return make() if setting is None else make(setting)
