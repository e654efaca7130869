"""Asking Drive again: when, how often, how long, and what is said in the end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from scq.drive.asking import FIRST_WAIT, TRIES
from scq.drive.connection import Drive
from scq.drive.items import NotThereError, OutOfTimeError
from scq.errors import BusyError, ConfigError, ScqError, SignInError
from scq.signin.purposes import DRIVE_CHANGES
from scq.signin.renewing import Saved
from tests.servers.drive import DriveServer, Fault
from tests.servers.http import Answer, HttpServer, Request

OWNER = "owner@hospital.example"


class Clock:
    """A clock that only the waits move. `chances` are the bounds that were drawn from."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []
        self.bounds: list[tuple[float, float]] = []

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def chance(self, low: float, high: float) -> float:
        self.bounds.append((low, high))
        return high


@pytest.fixture
def server() -> Iterator[DriveServer]:
    with DriveServer() as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


def opened(server: DriveServer, tmp_path: Path, clock: Clock, budget: float = 100.0, **changes: Any) -> Drive:
    path = server.token_file(tmp_path / "token.json", OWNER, **changes)
    saved = Saved(str(path), DRIVE_CHANGES, rewrite=False)
    return Drive(saved, endpoint=server.endpoint, budget=budget, clock=clock.time, sleep=clock.sleep, chance=clock.chance)


def failure(drive: Drive) -> ScqError:
    with pytest.raises(ScqError) as caught, drive:
        drive.account()
    told = f"{caught.value} {caught.value.advice}"
    assert not any(secret in told for secret in ("access-", "refresh-", "client-secret-text", "Bearer"))
    assert told.replace("\n", " ").isprintable()
    return caught.value


@pytest.mark.parametrize(
    "fault",
    [
        *(Fault(status=status, reason="backendError") for status in (408, 429, 500, 502, 503, 504)),
        *(Fault(status=403, reason=reason) for reason in ("rateLimitExceeded", "userRateLimitExceeded")),
        Fault(status=302),
        Fault(cut=0),
        Fault(cut=5),
        Fault(body=b"<html>"),
    ],
)
def test_what_may_work_later_is_asked_again(server: DriveServer, tmp_path: Path, clock: Clock, fault: Fault) -> None:
    fault.times = 2
    server.faults.append(fault)
    with opened(server, tmp_path, clock) as drive:
        assert drive.account() == OWNER
    assert (drive.calls, len(clock.waits)) == (3, 2)


def test_waits_double_and_chance_decides_how_much_of_them_is_waited(server: DriveServer, tmp_path: Path, clock: Clock) -> None:
    server.faults.append(Fault(status=503, times=99))
    error = failure(opened(server, tmp_path, clock))
    assert type(error) is BusyError
    assert f"tried {TRIES} times" in str(error)
    assert "503" in str(error)
    assert clock.bounds == [(0.0, FIRST_WAIT * 2**number) for number in range(TRIES - 1)]
    assert server.count("about.get") == TRIES


@pytest.mark.parametrize("form", ["7", "date"])
def test_drive_is_not_asked_sooner_than_it_wants(server: DriveServer, tmp_path: Path, clock: Clock, form: str) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    server.faults.append(Fault(status=429, retry_after=later if form == "date" else form))
    with opened(server, tmp_path, clock) as drive:
        drive.account()
    assert 5 <= clock.waits[0] <= 60


@pytest.mark.parametrize(("reason", "wanted"), [("rateLimitExceeded", "300"), ("dailyLimitExceeded", "3600")])
def test_a_wait_longer_than_the_time_left_is_not_begun(
    server: DriveServer, tmp_path: Path, clock: Clock, reason: str, wanted: str
) -> None:
    server.faults.append(Fault(status=403, reason=reason, retry_after="300"))
    error = failure(opened(server, tmp_path, clock))
    assert isinstance(error, OutOfTimeError)
    assert f"{wanted} s" in str(error)
    assert reason in str(error)
    assert clock.waits == []


def test_the_budget_is_for_all_calls_together(server: DriveServer, tmp_path: Path, clock: Clock) -> None:
    server.faults.append(Fault(status=503, times=99))
    drive = opened(server, tmp_path, clock, budget=20.0)
    with pytest.raises(BusyError):
        drive.account()
    clock.now += 1000.0  # What a caller does in between is not counted.
    with pytest.raises(OutOfTimeError, match="503"):
        drive.account()
    assert clock.waits == [1.0, 2.0, 4.0, 8.0, 1.0, 2.0]
    server.faults.clear()
    assert drive.account() == OWNER
    drive.close()


def test_nothing_is_asked_once_the_time_is_over(server: DriveServer, tmp_path: Path, clock: Clock) -> None:
    error = failure(opened(server, tmp_path, clock, budget=0.0))
    assert isinstance(error, OutOfTimeError)
    assert "whose Drive" in str(error)
    assert server.calls == []


def test_an_answer_that_does_not_end_ends_with_the_budget(server: DriveServer, tmp_path: Path) -> None:
    server.faults.append(Fault(drip=30.0, times=99))
    saved = Saved(str(server.token_file(tmp_path / "token.json", OWNER)), DRIVE_CHANGES, rewrite=False)
    error = failure(Drive(saved, endpoint=server.endpoint, budget=0.3))
    assert isinstance(error, OutOfTimeError)


def test_a_service_that_is_not_there_is_busy(tmp_path: Path, clock: Clock, server: DriveServer) -> None:
    saved = Saved(str(server.token_file(tmp_path / "token.json", OWNER)), DRIVE_CHANGES, rewrite=False)
    drive = Drive(saved, endpoint="http://127.0.0.1:9/", budget=100.0, clock=clock.time, sleep=clock.sleep, chance=clock.chance)
    error = failure(drive)
    assert "cannot be reached" in str(error)
    assert error.exit_code == 75


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (Fault(status=401, times=2), SignInError, "--drive"),
        (Fault(status=403, reason="insufficientPermissions"), SignInError, "drive.readonly"),
        (Fault(status=403, reason="ACCESS_TOKEN_SCOPE_INSUFFICIENT"), SignInError, "drive.readonly"),
        (Fault(status=403, reason="accessNotConfigured"), ConfigError, "Enable the API"),
        (Fault(status=403, reason="domainPolicy"), ConfigError, "administrator"),
        (Fault(status=404, reason="notFound"), NotThereError, "404"),
        (Fault(status=403, reason="insufficientFilePermissions"), NotThereError, "insufficientFilePermissions"),
        (Fault(status=400, reason="invalid"), NotThereError, "400"),
        (Fault(status=404, reason="\x1b[2J\nx"), NotThereError, "404"),
    ],
)
def test_what_will_not_work_later_is_said_at_once(
    server: DriveServer, tmp_path: Path, clock: Clock, fault: Fault, kind: type[ScqError], said: str
) -> None:
    server.faults.append(fault)
    error = failure(opened(server, tmp_path, clock))
    assert type(error) is kind
    assert said in f"{error} {error.advice}"
    assert clock.waits == []


# The sign-in under way.


def test_a_refused_access_token_is_renewed_once_and_never_written_to_a_file_of_others(
    server: DriveServer, tmp_path: Path, clock: Clock
) -> None:
    drive = opened(server, tmp_path, clock)
    before = (tmp_path / "token.json").read_bytes()
    server.expire(OWNER)
    with drive:
        assert drive.account() == drive.account() == OWNER
    assert server.refreshes == 1
    assert (tmp_path / "token.json").read_bytes() == before


def test_a_sign_in_that_was_taken_back_needs_a_person(server: DriveServer, tmp_path: Path, clock: Clock) -> None:
    drive = opened(server, tmp_path, clock)
    server.revoke(OWNER)
    error = failure(drive)
    assert error.exit_code == 77
    assert "no longer accepts" in str(error)
    assert clock.waits == []


def test_a_token_service_that_is_busy_is_asked_again(server: DriveServer, tmp_path: Path, clock: Clock) -> None:
    drive = opened(server, tmp_path, clock, expiry="2020-01-01T00:00:00Z")
    server.token_faults += [Answer(503, b"", {"Retry-After": "9"}), Answer(200, b"nonsense")]
    with drive:
        assert drive.account() == OWNER
    assert clock.waits[0] == 9.0
    assert len(clock.waits) == 2
    assert server.count("about.get") == 1


def test_the_sign_in_never_goes_where_an_answer_points(clock: Clock) -> None:
    seen: list[Request] = []
    with HttpServer(lambda request: seen.append(request) or Answer(body={})) as other:  # type: ignore[func-returns-value]

        def answer(request: Request) -> Answer:
            if "generateIds" in request.path:
                return Answer(body={"ids": ["abc"]})
            return Answer(200, b"", {"Location": f"{other.url}/upload"})

        class Bearer:
            def bearer(self) -> str:
                return "secret"

            renew = bearer

        with (
            HttpServer(answer) as server,
            Drive(Bearer(), endpoint=server.url, budget=100.0, clock=clock.time, sleep=clock.sleep) as drive,
            pytest.raises(BusyError, match="somebody else"),
        ):
            drive.upload("x", "folder", b"x" * (6 << 20), "text/plain")
    assert seen == []
