"""What a job may touch: one sandbox per module, loaded when it is asked for.

To add one: write the module and name it here.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from scq.errors import ConfigError
from scq.ports import Sandbox

SANDBOXES: dict[str, str] = {"bwrap": "scq.sandbox.bwrap:BwrapSandbox", "none": "scq.sandbox.none:NoSandbox"}
"""Name in the configuration → `module:attribute` of its class."""


def get(name: str, **settings: object) -> Sandbox:
    """The sandbox of that name with the settings its class takes. Raises ConfigError for an unknown name or setting."""
    try:
        module, _, attribute = SANDBOXES[name].partition(":")
    except KeyError:
        raise ConfigError(f"sandbox: no sandbox is called {name!r}", f"Use one of: {', '.join(sorted(SANDBOXES))}.") from None
    make: Callable[..., Sandbox] = getattr(import_module(module), attribute)
    try:
        return make(**settings)
    except TypeError as error:
        raise ConfigError(f"sandbox.{name}: {error}", "Remove the setting or correct its name.") from error
