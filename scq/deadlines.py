"""An end in time for work whose own limits hold for each step only: a slow name server, a byte now and then."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import TypeVar

Result = TypeVar("Result")


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """What `work` gives, done in a thread of its own. Raises what it raises, and TimeoutError after so many seconds.

    Work that takes longer is left to itself; it keeps no process from ending.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def attempt() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            errors.append(error)

    thread = Thread(target=attempt, name="within", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"no end within {seconds:g} s")
    return results[0]
