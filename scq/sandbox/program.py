"""The bubblewrap program on this machine."""

from __future__ import annotations

import os
import re
import subprocess

INSTALL = "Install it: apt-get install bubblewrap."
NEEDED_VERSION = (0, 8)
"""The first one that can forbid further user namespaces inside."""
TIMEOUT_S = 20


def find_bwrap() -> str | None:
    """Absolute path of bwrap, None when it is not installed."""
    import shutil

    found = shutil.which("bwrap")
    return None if found is None else os.path.abspath(found)


def installed_version(program: str) -> tuple[int, ...]:
    """Version of bwrap, such as (0, 8, 0); (0,) when it does not say."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env={})
    numbers = re.match(r"bubblewrap (\d+(?:\.\d+)+)", said.stdout)
    return tuple(map(int, numbers[1].split("."))) if numbers else (0,)
