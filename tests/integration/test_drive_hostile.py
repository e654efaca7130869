"""An accepted peer who means harm, a disk that fails and calls at the same time: fetching from a Drive on loopback."""

from __future__ import annotations

import hashlib
import os
import resource
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scq.commands import approve, check, release, rerun, run_approved, withhold
from scq.drive.connection import Drive
from scq.exchanging import answer
from scq.fetching import fetch
from scq.layouts.inbox_welcome import welcome
from scq.store import Store
from tests.drive_world import ALICE, OWNER, change, folder, job
from tests.integration.test_drive_fetch import ARCHIVE, SCRIPT, STUDY, Hospital
from tests.servers.drive import DriveServer, Fault

CODE = f"{STUDY}/code/main.py"
NASTY = "print('another thing')\n"


@pytest.fixture
def server() -> Iterator[DriveServer]:
    with DriveServer() as drive:
        yield drive


@pytest.fixture
def hospital(tmp_path: Path, server: DriveServer) -> Hospital:
    return Hospital(tmp_path, server)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def submission() -> list[dict[str, Any]]:
    """Alice's job with a script that can be run."""
    return [*job()[1:], change(f"{STUDY}/run.sh", SCRIPT)]


def one_job(hospital: Hospital) -> Any:
    (record,) = hospital.context().store.load().jobs.values()
    return record


# what is approved


def test_an_approved_job_that_a_message_changes_is_not_approved_any_more(hospital: Hospital) -> None:
    uid = hospital.arrived()
    approve.run(hospital.offline(), [uid])
    hospital.send([change(CODE, NASTY, old_hash=sha("print(1)\n"))])
    assert hospital.fetch()[1] == ()
    run_approved.run(hospital.offline())
    check.run(hospital.offline())
    assert (one_job(hospital).status, one_job(hospital).changed, one_job(hospital).run) == ("pending", True, None)


def test_an_approved_job_that_a_message_deletes_is_not_run(hospital: Hospital) -> None:
    uid = hospital.arrived()
    approve.run(hospital.offline(), [uid])
    gone = [change(one["path_in_datasite"], None, old_hash=one["new_hash"]) for one in submission()]
    hospital.send(gone)
    assert hospital.fetch()[1] == ()
    run_approved.run(hospital.offline())
    check.run(hospital.offline())
    assert one_job(hospital).run is None
    hospital.send(
        [change(CODE, NASTY), *(one for one in submission() if one["path_in_datasite"] != CODE)],
    )
    assert hospital.fetch()[1] == ()
    run_approved.run(hospital.offline())
    check.run(hospital.offline())
    assert (one_job(hospital).status, one_job(hospital).run) == ("pending", None)


def test_a_job_that_was_run_keeps_its_results_whatever_is_sent_afterwards(hospital: Hospital) -> None:
    uid = hospital.ended()
    release.run(hospital.offline(), uid, reason="sound")
    before = hospital.sent_back()
    hospital.send([change(CODE, NASTY, old_hash=sha("print(1)\n")), change(f"{STUDY}/run.sh", "echo 43\n", old_hash=sha(SCRIPT))])
    assert hospital.fetch()[1] == ()
    check.run(hospital.offline(), full=True)
    run_approved.run(hospital.offline())
    assert hospital.sent_back() == before


# what leaves


def test_what_a_second_run_wrote_does_not_leave_by_the_release_of_the_first(hospital: Hospital) -> None:
    uid = hospital.ended()
    release.run(hospital.offline(), uid, only=["answer.txt"], reason="sound")
    before = hospital.sent_back()
    assert set(before) == {"state.yaml", "outputs/answer.txt"}
    rerun.run(hospital.offline(), uid)
    hospital.sent_back()
    run_approved.run(hospital.offline())
    (hospital.review / "outputs").mkdir(exist_ok=True)
    (hospital.review / "outputs/answer.txt").write_text("of the second run")
    after = hospital.sent_back()
    assert set(after) == set(before)
    assert after["outputs/answer.txt"] == before["outputs/answer.txt"]


def test_what_is_withheld_again_before_it_was_sent_does_not_leave(hospital: Hospital) -> None:
    uid = hospital.ended()
    release.run(hospital.offline(), uid, logs=True, reason="sound")
    withhold.run(hospital.offline(), uid, reason="wait")
    assert set(hospital.sent_back()) == {"state.yaml"}


def test_what_is_withheld_while_the_answers_wait_for_their_turn_does_not_leave(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = hospital.ended()
    release.run(hospital.offline(), uid, reason="sound")
    account = Drive.account

    def slowly(drive: Drive) -> str:
        """The owner changes her mind while Drive is asked."""
        withhold.run(hospital.offline(), uid, reason="wait")
        return account(drive)

    monkeypatch.setattr(Drive, "account", slowly)
    assert set(hospital.sent_back()) == {"state.yaml"}


# what stands in the way


def inbox_of(hospital: Hospital) -> Path:
    welcome(str(hospital.root), OWNER, ALICE)
    return hospital.datasite / "app_data/job/inbox" / ALICE


def test_a_file_with_a_second_name_elsewhere_is_changed_here_alone(hospital: Hospital) -> None:
    hospital.arrived()
    elsewhere = hospital.root.parent / "elsewhere.py"
    os.link(hospital.study / "code/main.py", elsewhere)
    hospital.send([change(CODE, NASTY, old_hash=sha("print(1)\n"))])
    assert hospital.fetch()[1] == ()
    assert (hospital.study / "code/main.py").read_text() == NASTY
    assert elsewhere.read_text() == "print(1)\n"


@pytest.mark.parametrize("kind", ["fifo", "folder", "link", "link to nothing"])
def test_anything_but_a_file_where_a_file_belongs_refuses_the_message(hospital: Hospital, kind: str) -> None:
    place = inbox_of(hospital) / "notes.txt"
    outside = hospital.root.parent / "outside.txt"
    outside.write_text("kept")
    if kind == "fifo":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to(outside if kind == "link" else outside.with_name("nothing"))
    good = hospital.send(job())
    bad = hospital.send([change(f"app_data/job/inbox/{ALICE}/notes.txt", "x", old_hash=sha("kept"))])
    found, problems = hospital.fetch()
    assert len(problems) == 1
    assert (hospital.places(good), found.memory.messages[bad].refused) == ([ARCHIVE], True)
    assert outside.read_text() == "kept"
    assert not outside.with_name("nothing").exists()


@pytest.mark.parametrize("name", ["x" * 255, "漢" * 85, "é" * 127])
def test_the_longest_names_a_disk_takes_are_written(hospital: Hospital, name: str) -> None:
    hospital.send([*job(), change(f"{STUDY}/code/{name}", "1\n")])
    hospital.send([change(f"app_data/job/inbox/{ALICE}/{name}", "2\n")])
    assert hospital.fetch()[1] == ()
    assert (hospital.study / "code" / name).read_text() == "1\n"
    assert (inbox_of(hospital) / name).read_text() == "2\n"


def test_a_folder_of_the_queue_with_the_name_of_our_own_leftovers_is_not_the_senders_to_write(hospital: Hospital) -> None:
    hospital.send([change("app_data/job/.fetched.1.tmp/config.yaml", "name: x\n")])
    _, problems = hospital.fetch()
    assert ["may not be written" in problem.what for problem in problems] == [True]


@pytest.fixture
def full_disk() -> Iterator[Callable[[int], None]]:
    """Lets no file grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size if size else before[0], before[1]))

    yield fill
    fill(0)


@pytest.mark.parametrize("known", [False, True])
def test_a_disk_that_is_full_leaves_nothing_half_there(hospital: Hospital, full_disk: Callable[[int], None], known: bool) -> None:
    if known:
        hospital.arrived()
    sent = hospital.send([*([] if known else job()), change(f"{STUDY}/code/large.txt", "x" * 200_000)])
    ctx = hospital.context()
    seen = hospital.look(ctx)
    full_disk(100_000)
    found, problems = fetch(ctx, seen)
    full_disk(0)
    assert [problem.what.startswith("cannot be written") for problem in problems] == [True]
    assert list(found.memory.messages) == [sent]
    assert hospital.study.exists() == known
    assert list(hospital.datasite.rglob("*.tmp")) == []
    assert hospital.fetch()[1] == ()
    assert (hospital.study / "code/large.txt").stat().st_size == 200_000


def test_a_message_that_may_not_be_downloaded_any_more_is_told_and_not_lost(hospital: Hospital) -> None:
    sent = hospital.send(job())
    hospital.server.faults.append(Fault("files.get_media", 403, "cannotDownloadFile", skip=2))
    found, problems = hospital.fetch()
    assert [problem.what.startswith("cannot be fetched") for problem in problems] == [True]
    assert (list(found.memory.messages), found.gone) == ([sent], frozenset())
    assert hospital.fetch()[1] == ()
    assert hospital.places(sent) == [ARCHIVE]


# at the same time


def at_once(*calls: Callable[[], object]) -> list[int]:
    """Exit codes of calls that are made in processes of their own, at the same time."""
    sys.stdout.flush()
    pids = []
    for call in calls:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the threads of the server stay behind, as they shall
            pid = os.fork()
        if pid == 0:
            code = 1
            try:
                call()
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def test_calls_that_fetch_at_the_same_time_bring_and_archive_each_message_once(hospital: Hospital) -> None:
    sent = [hospital.send(job(name)) for name in ("one", "two", "three")]
    assert at_once(*[lambda: hospital.fetch()] * 4) == [0, 0, 0, 0]
    assert hospital.fetch()[1] == ()
    assert [hospital.places(one) for one in sent] == [[ARCHIVE]] * 3
    assert len(hospital.server.find(ARCHIVE)) == 1
    assert sorted(hospital.audited()) == sorted(f"{ALICE}: job {name}" for name in ("one", "two", "three"))
    assert {path.name for path in (hospital.datasite / folder("x")).parent.iterdir()} == {"one", "two", "three"}
    assert list(hospital.root.rglob("*.tmp")) == []


def test_checking_deciding_and_releasing_at_the_same_time_lose_nothing(hospital: Hospital) -> None:
    uid = hospital.ended()
    hospital.send(job("next"))

    def looking() -> object:
        ctx = hospital.context()
        return check.run(ctx, fetch=True), answer(ctx, ctx.store.load())

    def releasing() -> object:
        return release.run(hospital.context(), uid, reason="sound")

    codes = at_once(looking, releasing, looking, lambda: run_approved.run(hospital.context()))
    assert codes[1] == 0, "a call that only looks may have to wait for another"
    check.run(hospital.context(), fetch=True)
    got = hospital.sent_back()
    assert set(got) == {"state.yaml", "outputs/answer.txt", "outputs/deep/raw.bin"}
    assert (hospital.study.parent / "next/config.yaml").exists()
    ids = [event["id"] for event in hospital.events()]
    assert len(ids) == len(set(ids)), "nothing was sent twice"
    names = {record.sighting.name for record in Store(str(hospital.home)).load().jobs.values()}
    assert "next" in names
