"""The widget of jobs in a notebook. Importing this needs anywidget (`pip install 'scq[notebook]'`)."""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from collections.abc import Hashable
from functools import cache
from typing import Any

import anywidget
import traitlets

from scq import resources
from scq.errors import BUSY
from scq.files import read_text
from scq.library.notebook.desk import Desk, bug, number_of, refusal

PAGE_SIZE = 50
MOST_ACTING = 64
"""Widgets of one kernel that can act at once. Older ones let go of their jobs, and say that their cell has to be run again."""
MOST_OPEN = 1_000
"""Widgets of one kernel at once. What is displayed again and again would add up; of a closed one the output disappears."""
SCRIPT_LIMIT = 1 << 20
_OPEN: OrderedDict[Hashable, JobsWidget] = OrderedDict()
"""By what they show, the one displayed last at the end."""


class JobsWidget(anywidget.AnyWidget):  # type: ignore[misc, unused-ignore]
    """One job as a card, or many as a table. The page asks, a `Desk` answers.

    What is synced names the view and nothing in it, so that a saved notebook holds no job, no code and no log in the state of
    its widgets.
    """

    kind = traitlets.Unicode("jobs").tag(sync=True)
    word = traitlets.Unicode("").tag(sync=True)
    title = traitlets.Unicode("").tag(sync=True)
    page_size = traitlets.Int(PAGE_SIZE).tag(sync=True)

    def __init__(self, desk: Desk, **shown: Any) -> None:
        self._esm, self._css = browser_side()
        super().__init__(**shown)
        self.desk: Desk | None = desk
        """Who answers; None when this widget is too old to act."""
        self.on_msg(self._answer)

    def _answer(self, _: object, request: object, buffers: object) -> None:
        reply, desk = None, self.desk
        try:
            reply = desk.answer(request) if desk is not None else _too_old(request)
        finally:
            # Nothing is caught: a bug goes on to ipywidgets, which shows its traceback and keeps the kernel alive. The page,
            # which waits for a reply, hears its name before.
            error = sys.exception()
            self.send(bug(request, error) if reply is None and error is not None else reply)

    def close(self) -> None:
        """Let go of the page, with the layout that ipywidgets gave this widget: nobody else would ever close that."""
        layout = self.layout
        super().close()
        layout.close()


@cache
def browser_side() -> tuple[str, str]:
    """(the module that a browser runs, its style): files that share one scope, in the order of their names.

    Raises ConfigError when the installation lacks them.
    """
    folder = resources.folder(os.path.join("templates", "notebook"))
    scripts = sorted(name for name in os.listdir(folder) if name.endswith(".js"))
    parts = [read_text(os.path.join(folder, name), SCRIPT_LIMIT) for name in scripts]
    return "\n".join(parts), read_text(os.path.join(folder, "widget.css"), SCRIPT_LIMIT)


def opened(key: Hashable, desk: Desk, **shown: str) -> JobsWidget:
    """The widget of what `key` stands for, made when that is first displayed; `desk` answers for it."""
    found = _OPEN.pop(key, None)
    if found is None or found.comm is None:
        found = JobsWidget(desk, **shown)
        found.comm.on_close(lambda message: _let_go(key, found))
    elif found.desk is None:
        found.desk = desk
    _OPEN[key] = found
    for old in list(_OPEN.values())[:-MOST_ACTING]:
        old.desk = None
    while len(_OPEN) > MOST_OPEN:
        _OPEN.popitem(last=False)[1].close()
    return found


def _let_go(key: Hashable, widget: JobsWidget) -> None:
    """The page closed a widget: it never hears of it again. Another one may show the same by now."""
    if _OPEN.get(key) is widget:
        del _OPEN[key]
    widget.close()


def _too_old(request: object) -> dict[str, Any]:
    what = f"This is older than the last {MOST_ACTING} that were displayed, so it cannot act any more."
    return refusal(number_of(request), BUSY, what, "Run its cell again.")
