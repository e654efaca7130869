"""Work with an end in time."""

from __future__ import annotations

import subprocess
import sys
import threading
from textwrap import dedent

import pytest

from scq.deadlines import within


def test_what_the_work_gives_or_raises_comes_back() -> None:
    assert within(30, lambda: None) is None
    with pytest.raises(KeyError, match="gone"):
        within(30, lambda: {}["gone"])


def test_work_that_takes_too_long_is_left() -> None:
    done = threading.Event()
    with pytest.raises(TimeoutError, match=r"0\.05 s"):
        within(0.05, lambda: done.wait(30))
    done.set()


def test_work_that_was_left_keeps_no_process_from_ending() -> None:
    script = """
        import threading
        from scq.deadlines import within
        try:
            within(0.05, threading.Event().wait)
        except TimeoutError:
            print("left")
    """
    ended = subprocess.run([sys.executable, "-c", dedent(script)], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "left\n"
