"""Where this Python runs: in a notebook, or anywhere else."""

from __future__ import annotations

import sys


def is_notebook() -> bool:
    """Whether IPython runs here with a kernel, over which a page can ask. Loads nothing: IPython that is not loaded stays so."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None
