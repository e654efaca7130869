"""Asking Google Drive: within a budget of seconds, again where that helps, and with a clear end where it does not.

google-api-python-client builds the requests from its packaged description of the API; `scq.signin.wire` carries them.
Advice on trying again: developers.google.com/workspace/drive/api/guides/handle-errors.
"""

from __future__ import annotations

import random
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cached_property
from typing import IO, Any, TypeVar

from msgspec.structs import replace

from scq.deadlines import within
from scq.drive.items import NotThereError, OutOfTimeError
from scq.errors import BusyError, ConfigError, ScqError, SignInError
from scq.signin import wire
from scq.signin.purposes import DRIVE, DRIVE_CHANGES, Purpose
from scq.signin.renewing import LaterError
from scq.signin.verdicts import judge
from scq.signin.wire import Access, BrokenError, Carrier, RefusedError

TRIES = 5
FIRST_WAIT = 1.0
LONGEST_WAIT = 16.0
"""Seconds; each wait is a random part of a bound that doubles."""
READING = DRIVE
CHANGING = replace(DRIVE_CHANGES, title=DRIVE.title)
"""The advice differs, the service is the same."""
MAYBE = "It may have been done: it is looked at again before it is repeated."
Result = TypeVar("Result")


class Api:
    """The collections of the API as google-api-python-client describes them. Each is made once: that takes milliseconds."""

    def __init__(self, service: Any) -> None:
        self._service = service

    @cached_property
    def about(self) -> Any:
        return self._service.about()

    @cached_property
    def changes(self) -> Any:
        return self._service.changes()

    @cached_property
    def files(self) -> Any:
        return self._service.files()

    @cached_property
    def permissions(self) -> Any:
        return self._service.permissions()


class Asking:
    """One Drive. `budget` is in seconds and counts the time spent here, not what a caller does in between.

    `clock`, `sleep` and `chance` (a number between two) stand in for those of the machine in tests.
    """

    def __init__(
        self,
        access: Access,
        endpoint: str,
        budget: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.calls = 0
        """Requests that went out."""
        self.endpoint = endpoint.rstrip("/") + "/"
        self._access = access
        self._budget = budget
        self._clock = clock
        self._sleep = sleep
        self._chance = chance
        self._spent = 0.0
        self._begun: float | None = None
        self._carrier: Carrier | None = None
        self._api: Api | None = None
        self._open = ExitStack()
        weakref.finalize(self, self._open.close)

    def ask(self, what: str, work: Callable[[Api], Result], *, purpose: Purpose = READING, harmless: bool = True) -> Result:
        """What `work` gets from the API.

        `what` names it in errors. With `harmless` it is repeated even where it may have been done already. Raises
        NotThereError, SignInError, ConfigError, OutOfTimeError, and BusyError when it did not work several times.
        """
        self._begun = self._clock()
        try:
            return self._repeated(what, work, purpose, harmless)
        finally:
            self._spent += self._clock() - self._begun
            self._begun = None

    def close(self) -> None:
        """End the connections. It happens by itself when nobody uses this any more; another call opens new ones."""
        self._open.close()
        self._carrier = None

    def request(
        self,
        uri: str,
        method: str = "GET",
        body: bytes | str | IO[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        **_: Any,
    ) -> tuple[Any, bytes]:
        """One request of the library (this is the `http` it uses), or of `work` itself. Raises as `Carrier.request`."""
        if not uri.startswith(self.endpoint):
            raise ValueError("an address of somebody else")  # An upload goes on where the answer says; the sign-in does not.
        content = body if body is None or isinstance(body, bytes | str) else body.read()  # Parts of uploads are streams.
        carrier, left = self._carrying(), self._left()
        self.calls += 1
        try:
            return within(max(left, 0.0), lambda: carrier.request(uri, method, content, headers))
        except TimeoutError:
            raise _OverError from None

    def _repeated(self, what: str, work: Callable[[Api], Result], purpose: Purpose, harmless: bool) -> Result:
        from googleapiclient.errors import Error

        bound = FIRST_WAIT
        for left in range(TRIES - 1, -1, -1):
            if self._left() <= 0:
                break
            try:
                return work(self._described())
            except _OverError:
                break
            except RefusedError as error:
                trouble = _refused(what, error.answer, purpose)
                unclear = error.answer.status >= 500
            except BrokenError as error:
                trouble, unclear = _Trouble(f"{what}: {error}"), error.sent
            except BusyError as error:  # The sign-in could not be renewed now, so nothing was asked.
                trouble, unclear = _Trouble(str(error), error.retry_after if isinstance(error, LaterError) else None), False
            except (ValueError, LookupError, RecursionError, Error) as error:
                trouble, unclear = _Trouble(f"{what}: Google Drive answered what nobody understands ({_said(error)})"), True
            if unclear and not harmless:
                raise BusyError(trouble.text, MAYBE)
            if left == 0:
                raise BusyError(f"{trouble.text}; tried {TRIES} times", wire.LATER)
            self._wait(trouble, bound)
            bound = min(2 * bound, LONGEST_WAIT)
        raise OutOfTimeError(f"{what}: Google Drive took too long ({self._budget:g} s are over)", wire.LATER)

    def _wait(self, trouble: _Trouble, bound: float) -> None:
        """Full jitter, so that many who were refused together do not come back together."""
        seconds = max(self._chance(0.0, bound), trouble.retry_after or 0.0)
        if seconds >= self._left():
            said = "" if trouble.retry_after is None else f"; it asks to wait {trouble.retry_after:.0f} s"
            raise OutOfTimeError(f"{trouble.text}{said}", wire.LATER)
        self._sleep(seconds)

    def _left(self) -> float:
        begun = self._clock() if self._begun is None else self._begun
        return self._budget - self._spent - (self._clock() - begun)

    def _carrying(self) -> Carrier:
        if self._carrier is None:
            self._carrier = Carrier(self._open.enter_context(wire.session()), self._access)
        return self._carrier

    def _described(self) -> Api:
        if self._api is None:
            self._api = Api(_service(self.endpoint, weakref.proxy(self)))
        return self._api


def _service(endpoint: str, http: Any) -> Any:
    """Uploads go to the root of the description and not to the `api_endpoint`, so both are set."""
    import msgspec
    from googleapiclient.discovery import build_from_document
    from googleapiclient.discovery_cache import get_static_doc

    document = msgspec.json.decode(get_static_doc("drive", "v3"))
    document["rootUrl"] = endpoint
    return build_from_document(document, http=http, client_options={"api_endpoint": f"{endpoint}{document['servicePath']}"})


class _Trouble:
    """Why it is tried again. `retry_after` is what the service asks for, in seconds."""

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        self.text = text
        self.retry_after = retry_after


class _OverError(Exception):
    """The budget ended in the middle of a request."""


def _refused(what: str, answer: wire.Answer, purpose: Purpose) -> _Trouble:
    """What may work later. Raises what will not."""
    found = judge(answer.status, answer.content, purpose, answer.retry_after(datetime.now(UTC)))
    text = f"{what}: {found}"
    kinds: dict[str, type[ScqError]] = {"auth": SignInError, "config": ConfigError, "permanent": NotThereError}
    if found.kind in kinds:
        raise kinds[found.kind](text, found.advice) from None
    return _Trouble(text, found.retry_after)


def _said(error: Exception) -> str:
    """Errors of libraries may repeat the whole answer; only our own words are shown."""
    return str(error) if type(error) is ValueError and len(str(error)) < 60 else type(error).__name__
