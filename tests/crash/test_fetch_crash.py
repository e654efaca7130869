"""Killed before each of its effects, on disk and on Drive: nothing is half there, lost, or done twice after the next call."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scq.commands import release
from scq.returning import send_back
from scq.store import Store
from tests.drive_world import change, folder, job
from tests.integration.test_drive_fetch import ARCHIVE, STUDY, Hospital
from tests.servers.drive import DriveServer

EFFECTS = ("replace", "rename", "unlink", "rmdir", "mkdir", "link", "fchmod")
"""A kill before an fsync leaves what a kill before the next effect leaves."""
ENOUGH = 300
FIRST, LAST = "print(1)\n", "print(2)\n"


@pytest.fixture
def server() -> Iterator[DriveServer]:
    with DriveServer() as drive:
        yield drive


class Saved:
    """The folders of an owner, which can be put back."""

    def __init__(self, hospital: Hospital, place: Path) -> None:
        self.now, self.copy = hospital.home.parent, place / "saved"
        shutil.copytree(self.now, self.copy, symlinks=True)

    def restore(self) -> None:
        shutil.rmtree(self.now)
        shutil.copytree(self.copy, self.now, symlinks=True)


def killed_at(number: int, call: Callable[[], object], marker: Path) -> bool:
    """Make a call in a fork that is killed at the effect of that number; False when it has no so many.

    An answer of Drive counts too: the kill comes when the request was carried out and nothing was made of it.
    """
    marker.unlink(missing_ok=True)
    sys.stdout.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the threads of the server stay behind, as they shall
        pid = os.fork()
    if pid == 0:
        try:
            arm(number, marker)
            call()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    return marker.exists()


def arm(number: int, marker: Path) -> None:
    """Count the effects of this process and kill it at that one."""
    count = 0

    def step(name: str) -> None:
        nonlocal count
        count += 1
        if count == number:
            descriptor = os.open(marker, os.O_WRONLY | os.O_CREAT, 0o600)
            os.write(descriptor, name.encode("utf-8", "replace"))
            os.kill(os.getpid(), signal.SIGKILL)

    def before(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def effect(*arguments: Any, **options: Any) -> Any:
            step(f"{name}{arguments}")
            return function(*arguments, **options)

        return effect

    def after(function: Callable[..., Any]) -> Callable[..., Any]:
        def effect(*arguments: Any, **options: Any) -> Any:
            answer = function(*arguments, **options)
            step("an answer of Drive")
            return answer

        return effect

    for name in EFFECTS:
        setattr(os, name, before(name, getattr(os, name)))
    connection: Any = http.client.HTTPConnection
    connection.getresponse = after(connection.getresponse)


def files(base: Path) -> dict[str, bytes]:
    """Content of the files below a folder, temporary ones left out."""
    found = (path for path in sorted(base.rglob("*")) if path.is_file() and not path.name.endswith(".tmp"))
    return {
        str(path.relative_to(base)): path.read_bytes()
        for path in found
        if not any(part.endswith(".tmp") for part in path.relative_to(base).parts)
    }


def test_fetching_killed_anywhere_is_finished_by_the_next_call(tmp_path: Path, server: DriveServer) -> None:
    hospital = Hospital(tmp_path / "now", server)
    known = hashlib.sha256(FIRST.encode()).hexdigest()
    sent = [
        hospital.send([*job(), change(f"{folder('second')}/config.yaml", "name: second\n")]),
        hospital.send(
            [change(f"{STUDY}/code/main.py", LAST, old_hash=known), change(f"{STUDY}/run.sh", None, old_hash=script())]
        ),
    ]
    saved = Saved(hospital, tmp_path)
    assert hospital.fetch()[1] == ()
    wanted = files(hospital.datasite)
    assert wanted[f"{STUDY}/code/main.py"] == LAST.encode()
    for number in range(1, ENOUGH, 2):  # every second one: a round takes half a second
        put_back(hospital, saved, sent)
        if not killed_at(number, hospital.fetch, tmp_path / "reached"):
            break
        try:
            nothing_half_there(hospital, sent, wanted)
            assert hospital.fetch()[1] == ()
            assert files(hospital.datasite) == wanted
            assert list((hospital.datasite / "app_data/job").glob(".*")) == [], "nothing is left lying about"
            assert [hospital.places(one) for one in sent] == [[ARCHIVE], [ARCHIVE]]
            assert len(set(hospital.audited())) == 2
            assert Store(str(hospital.home)).load().drive.messages == {}
            if number % 5 == 0:
                server.forget_calls()
                assert hospital.fetch()[1] == ()
                assert server.count("files.get_media") == 0
        except AssertionError as error:
            error.add_note(f"killed at effect {number}: {(tmp_path / 'reached').read_text()}")
            raise
    assert 20 < number < ENOUGH


def script() -> str:
    return next(str(one["new_hash"]) for one in job() if one["path_in_datasite"].endswith("run.sh"))


def put_back(hospital: Hospital, saved: Saved, sent: list[str]) -> None:
    saved.restore()
    for message in sent:
        hospital.server.move(message, hospital.inbox)
    for archive in hospital.server.find(ARCHIVE):
        hospital.server.remove(archive.id)


def nothing_half_there(hospital: Hospital, sent: list[str], wanted: dict[str, bytes]) -> None:
    """A job is there whole or not at all; what is in the archive is on disk."""
    if hospital.study.exists():
        assert {"config.yaml", "code/main.py"} <= set(files(hospital.study))
    assert not {"config.yaml"} & {path.name for path in hospital.datasite.glob("app_data/job/*")}
    places = [hospital.places(one) for one in sent]
    if places[0] == [ARCHIVE]:
        assert hospital.study.exists()
    if places[1] == [ARCHIVE]:
        assert files(hospital.datasite) == wanted


def test_sending_back_killed_anywhere_sends_each_thing_once(tmp_path: Path, server: DriveServer) -> None:
    hospital = Hospital(tmp_path / "now", server)
    uid = hospital.ended()
    release.run(hospital.offline(), uid, reason="sound")
    saved = Saved(hospital, tmp_path)
    wanted = hospital.sent_back()
    assert set(wanted) == {"state.yaml", "outputs/answer.txt", "outputs/deep/raw.bin"}
    for number in range(1, ENOUGH):
        saved.restore()
        for item in server.inside(hospital.outbox):
            server.remove(item.id)
        if not killed_at(number, lambda: send_back(hospital.context()), tmp_path / "reached"):
            break
        try:
            assert hospital.sent_back() == wanted
            assert len(server.inside(hospital.outbox)) == 1
            server.forget_calls()
            assert hospital.sent_back() == wanted
            assert server.calls == [], "nothing is left to be sent"
        except AssertionError as error:
            error.add_note(f"killed at effect {number}: {(tmp_path / 'reached').read_text()}")
            raise
    assert 5 < number < ENOUGH
