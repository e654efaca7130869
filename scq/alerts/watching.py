"""Long tasks that tell how they ended: as a block (`session`) and as a function (`notify_on_exit`)."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar, overload

from msgspec import Struct

from scq.alerts.messages import Backend, level_of, tell, warn

Function = TypeVar("Function", bound=Callable[..., Any])


class Telling(Struct, frozen=True):
    """What is told about the end of a task, and where."""

    name: str
    channel: Backend = None
    title: str | None = None
    level_ok: str = "info"
    level_failed: str = "error"
    on_failure: bool = False


@contextmanager
def session(
    name: str = "session",
    channel: Backend = None,
    *,
    title: str | None = None,
    level_ok: str = "info",
    level_failed: str = "error",
    on_failure: bool = False,
) -> Iterator[None]:
    """Tell how the block ended: finished with its duration, or failed with its exception, which is then raised as ever.

    A message that cannot be sent is a warning and never hides how the block ended. `on_failure`: only failures are told.
    Raises ValueError for an unknown level, before the block begins.
    """
    with _watched(_telling(name, channel, title, level_ok, level_failed, on_failure)):
        yield


@overload
def notify_on_exit(function: Function, /) -> Function: ...
@overload
def notify_on_exit(
    *,
    name: str | None = None,
    channel: Backend = None,
    title: str | None = None,
    level_ok: str = "info",
    level_failed: str = "error",
    on_failure: bool = False,
) -> Callable[[Function], Function]: ...
def notify_on_exit(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    channel: Backend = None,
    title: str | None = None,
    level_ok: str = "info",
    level_failed: str = "error",
    on_failure: bool = False,
) -> Any:
    """Decorator, with or without arguments: tell how each call of a function ended. Also for `async` functions and generators.

    `name` is that of the function where it is not given; the rest is as in `session`. The result stays as it is. Raises
    TypeError for an asynchronous generator, and ValueError for an unknown level, when the function is decorated.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        import inspect

        named = name or str(getattr(function, "__qualname__", type(function).__name__))
        telling = _telling(named, channel, title, level_ok, level_failed, on_failure)
        if inspect.isasyncgenfunction(function):
            raise TypeError(f"{named}: an asynchronous generator cannot be watched; put `with session(...)` into it")
        if inspect.isgeneratorfunction(function):
            return _generating(function, telling)
        return _asynchronous(function, telling) if inspect.iscoroutinefunction(function) else _plain(function, telling)

    return decorate if function is None else decorate(function)


def _telling(name: str, channel: Backend, title: str | None, level_ok: str, level_failed: str, on_failure: bool) -> Telling:
    """Checked before the task begins: what is wrong with a level should not come out hours later."""
    return Telling(name, channel, title, level_of(level_ok), level_of(level_failed), on_failure)


@contextmanager
def _watched(telling: Telling) -> Iterator[None]:
    begun = time.monotonic()
    try:
        yield
    except BaseException as error:
        _ended(telling, time.monotonic() - begun, error)
        raise
    _ended(telling, time.monotonic() - begun, None)


def _plain(function: Callable[..., Any], telling: Telling) -> Callable[..., Any]:
    @wraps(function)
    def watched(*arguments: Any, **keywords: Any) -> Any:
        with _watched(telling):
            return function(*arguments, **keywords)

    return watched


def _generating(function: Callable[..., Any], telling: Telling) -> Callable[..., Any]:
    @wraps(function)
    def watched(*arguments: Any, **keywords: Any) -> Any:
        with _watched(telling):
            return (yield from function(*arguments, **keywords))

    return watched


def _asynchronous(function: Callable[..., Awaitable[Any]], telling: Telling) -> Callable[..., Awaitable[Any]]:
    """As `_watched`, but the message is sent in a thread, so that the event loop goes on."""

    @wraps(function)
    async def watched(*arguments: Any, **keywords: Any) -> Any:
        import asyncio

        begun = time.monotonic()
        try:
            result = await function(*arguments, **keywords)
        except BaseException as error:
            await asyncio.to_thread(_ended, telling, time.monotonic() - begun, error)
            raise
        await asyncio.to_thread(_ended, telling, time.monotonic() - begun, None)
        return result

    return watched


def _ended(telling: Telling, seconds: float, error: BaseException | None) -> None:
    """Tell how a task ended. Whatever keeps the message from being sent is only warned of."""
    from scq.errors import ScqError

    # Whoever reads from a generator may stop when there is enough.
    left = isinstance(error, GeneratorExit) or (isinstance(error, SystemExit) and error.code in (None, 0))
    failed = error is not None and not left
    if telling.on_failure and not failed:
        return
    title = telling.title or f"{telling.name} {'failed' if failed else 'finished'}"
    level = telling.level_failed if failed else telling.level_ok
    try:
        results = tell(_text(telling.name, seconds, error if failed else None), title, telling.channel, level)
        lost = [f"{result.backend}: {result.error}" for result in results if not result.success]
        if lost and len(lost) == len(results):
            warn(f"nobody was told that {title}: {'; '.join(lost)}")
    except (ScqError, OSError, ValueError, Warning) as trouble:
        _complain(f"nobody was told that {title}: {trouble}")


def _complain(text: str) -> None:
    """Warn, and where warnings are errors write instead: neither may take the place of what the task gave."""
    try:
        warn(text)
    except Warning:
        sys.stderr.write(f"scq: {text}\n")


def _text(name: str, seconds: float, error: BaseException | None) -> str:
    from scq.render.filters import duration_text
    from scq.telling import host

    took = f"{duration_text(seconds)} on {host()}"
    if error is None:
        return f"{name} finished after {took}."
    import traceback

    lines = [f"{name} failed after {took}.", "", _what(error)]
    frames = traceback.extract_tb(error.__traceback__)
    if frames:
        last = frames[-1]
        lines.append(f"in {last.name}, {last.filename}:{last.lineno}" + (f": {last.line}" if last.line else ""))
    return "\n".join(lines)


def _what(error: BaseException) -> str:
    """Class and text of an exception. One that cannot say its text takes the place of nothing."""
    kind = type(error).__name__
    try:
        said = str(error)
    except Exception:  # noqa: BLE001 - code of the program that is watched
        said = "(it cannot be shown)"
    return f"{kind}: {said}" if said else kind
