"""The account this process has."""

from __future__ import annotations

import os
import pwd


def own_name() -> str:
    """Name of the account, or its number where it has no name."""
    number = os.geteuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
