"""Where the files that come with scq lie: below `scq/_data` once installed, beside the package in a checkout."""

from __future__ import annotations

import os

from scq.errors import ConfigError

SHIPPED = ("templates", "systemd", "cron")
_PACKAGE = os.path.dirname(os.path.abspath(__file__))


def folder(name: str, package: str = _PACKAGE) -> str:
    """Absolute path of a shipped folder, one of `SHIPPED`. Raises ConfigError when the installation lacks it."""
    places = (os.path.join(package, "_data", name), os.path.join(os.path.dirname(package), name))
    for place in places:
        if os.path.isdir(place):
            return place
    raise ConfigError(f"the folder `{name}` that belongs to scq is missing from {places[0]}", "Install scq again.")
