"""What scq remembers: replaced whole, kept through damage and full disks, never half written."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from pyfakefs.fake_filesystem import FakeFilesystem

from scq import store as store_module
from scq.audit import Tip, Verdict, read_lines, read_rows, tip, verify
from scq.context import audited
from scq.errors import BusyError, ConfigError, InvalidFileError
from scq.state import Record, State
from scq.store import Store, exclusive
from tests.making import ME, NOW, record


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def added(name: str, **fields: object) -> object:
    def change(state: State) -> State:
        return replace(state, jobs={**state.jobs, name: record(name=name, **fields)})

    return change


def put(store: Store, *names: str, **fields: object) -> State:
    for name in names:
        state = store.update(added(name, **fields))  # type: ignore[arg-type]
    return state


def over(found: Record) -> bool:
    return found.status == "completed"


def test_nothing_was_ever_stored(store: Store) -> None:
    assert store.load() == State()
    assert store.finished().jobs == {}
    assert os.listdir(store.home) == [], "reading writes nothing"


def test_what_is_saved_is_read_again_and_private(store: Store) -> None:
    state = put(store, "count")
    assert Store(store.home).load() == state
    assert state.revision == 1
    assert stat.S_IMODE(os.stat(store.path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.join(store.home, "locks")).st_mode) == 0o700


def test_a_change_of_nothing_writes_nothing(store: Store) -> None:
    put(store, "count")
    before = os.stat(store.path)
    assert store.update(lambda state: state).revision == 1
    assert os.stat(store.path).st_ino == before.st_ino


def test_the_version_before_is_kept(store: Store) -> None:
    first = put(store, "one")
    put(store, "two")
    assert json.loads(Path(store.path + ".bak").read_text())["jobs"].keys() == first.jobs.keys()


def test_a_state_file_elsewhere_takes_its_lock_along(tmp_path: Path) -> None:
    elsewhere = Store(str(tmp_path / "home"), str(tmp_path / "other/state.json"))
    put(elsewhere, "count")
    assert sorted(os.listdir(tmp_path / "other")) == ["locks", "state.json"]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"jobs": 5}', b"\xff\xfe", b'{"jobs":' + b"[" * 200_000])
def test_a_damaged_file_gives_the_version_before_and_is_kept_beside_it(store: Store, damage: bytes) -> None:
    first = put(store, "one")
    put(store, "two")
    Path(store.path).write_bytes(damage)
    assert store.load() == first
    (problem,) = store.problems
    assert "was damaged" in problem.what
    (kept,) = Path(store.home).glob("state.json.corrupt-*")
    assert kept.read_bytes() == damage
    again = Store(store.home)
    assert again.load() == first, "a second look within the second is fine"
    assert put(store, "three").jobs.keys() == {"one", "three"}


def test_a_state_file_that_is_a_link_is_never_read_through(store: Store, tmp_path: Path) -> None:
    put(store, "one")
    put(store, "two")
    os.rename(store.path, tmp_path / "real")
    os.symlink(tmp_path / "real", store.path)
    assert store.load().jobs.keys() == {"one"}


def test_a_missing_file_with_a_backup_gives_the_backup(store: Store) -> None:
    first = put(store, "one")
    put(store, "two")
    os.unlink(store.path)
    assert store.load() == first
    assert "is missing" in store.problems[0].what


def test_damage_of_both_files_is_never_a_new_start(store: Store) -> None:
    put(store, "one", "two")
    for path in (store.path, store.path + ".bak"):
        Path(path).write_text("{")
    with pytest.raises(ConfigError, match="cannot be used") as caught:
        store.load()
    assert store.path in caught.value.advice
    with pytest.raises(ConfigError):
        put(store, "three")
    assert Path(store.path).read_text() == "{"


def test_a_newer_schema_is_refused_and_left_alone(store: Store) -> None:
    Path(store.path).write_text('{"schema": 9, "revision": 5}')
    with pytest.raises(ConfigError, match="has schema 9"):
        store.load()
    assert Path(store.path).read_text() == '{"schema": 9, "revision": 5}'


def test_the_older_form_is_taken_over_and_kept(store: Store) -> None:
    older = '{"notified_jobs": {"a": ["new", 5], "b": "x"}, "cursor": [1, 2]}'
    Path(store.path).write_text(older)
    state = store.load()
    assert state.notified == {"a": ("new",)}
    assert {name: bytes(raw) for name, raw in state.values.items()} == {"cursor": b"[1, 2]"}
    put(store, "one")
    assert Path(store.path + ".legacy").read_text() == older
    assert Store(store.home).load().notified == {"a": ("new",)}


def test_an_older_form_that_makes_no_sense_is_refused(store: Store) -> None:
    Path(store.path).write_text('{"notified_jobs": [1]}')
    with pytest.raises(ConfigError, match="notified_jobs are not a mapping"):
        store.load()


def test_jobs_that_are_over_move_into_the_other_document(store: Store) -> None:
    put(store, "one", status="completed")
    put(store, "two")
    state = store.tidy(over, {}, None)
    assert state.jobs.keys() == {"two"}
    fresh = Store(store.home)
    assert fresh.finished().counts == {"completed": 1}
    found = fresh.finished_record("one")
    assert found is not None
    assert found.status == "completed"
    assert fresh.finished_record("two") is None


def test_tidying_nothing_writes_nothing(store: Store) -> None:
    put(store, "one")
    before = sorted(os.listdir(store.home))
    store.tidy(over, {}, {"one"})
    assert sorted(os.listdir(store.home)) == before


def test_remembered_jobs_are_refreshed_and_forgotten(store: Store) -> None:
    put(store, "one", "two", status="completed")
    store.tidy(over, {}, None)
    failed = record(name="one", status="failed")
    store.tidy(over, {"one": failed, "stranger": failed}, None)
    assert Store(store.home).finished().counts == {"failed": 1, "completed": 1}
    store.tidy(over, {}, {"one"})
    assert Store(store.home).finished().jobs.keys() == {"one"}


def test_a_job_that_is_alive_again_leaves_the_finished_document(store: Store) -> None:
    put(store, "one", status="completed")
    store.tidy(over, {}, None)
    put(store, "one", status="approved")
    store.tidy(over, {}, None)
    assert Store(store.home).finished().jobs == {}


def test_what_only_saves_work_can_be_lost_or_damaged(store: Store) -> None:
    put(store, "one", status="completed", stamp="1:2:3:4")
    store.tidy(over, {}, None)
    for damage in (None, b"{", b"\xff"):
        os.unlink(store.index_path) if damage is None else Path(store.index_path).write_bytes(damage)
        fresh = Store(store.home)
        assert (set(fresh.finished_keys()), fresh.finished_counts()) == ({"one"}, {"completed": 1})
        assert fresh.is_unchanged("one", "1:2:3:4")
        assert not fresh.is_unchanged("one", "1:2:3:5")
        assert not fresh.is_unchanged("two", "1:2:3:4")


def test_a_damaged_finished_document_gives_its_version_before(store: Store) -> None:
    put(store, "one", status="completed")
    store.tidy(over, {}, None)
    put(store, "two", status="completed")
    store.tidy(over, {}, None)
    Path(store.finished_path).write_text("{")
    assert Store(store.home).finished().jobs.keys() == {"one"}


def audit_rows(store: Store) -> list[int]:
    return [row.n for row, sealed in read_rows(store.audit_path) if sealed]


def test_audit_rows_reach_the_log_once(store: Store) -> None:
    for number in range(3):
        store.update(lambda state, number=number: audited(state, NOW, ME, "run", detail=str(number)))  # type: ignore[misc]
    assert audit_rows(store) == [1, 2, 3]


def test_rows_a_killed_call_did_not_append_are_appended_by_the_next_save(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store_module, "append_rows", killed)
        with pytest.raises(KeyboardInterrupt):
            store.update(lambda state: audited(state, NOW, ME, "run"))
    assert audit_rows(store) == []
    store.update(lambda state: state)
    assert audit_rows(store) == [1]
    put(store, "one")
    assert audit_rows(store) == [1]


def said(store: Store, *words: str) -> State:
    for word in words:
        state = store.update(lambda state, word=word: audited(state, NOW, ME, word))  # type: ignore[misc]
    return state


def whole(store: Store) -> Verdict:
    state = store.load()
    return verify(read_lines(store.audit_path), Tip(state.audited, state.audit_head), state.audit)


def test_the_state_remembers_how_the_log_ends(store: Store) -> None:
    state = said(store, "approve", "run", "end")
    assert tip(store.audit_path) == Tip(3, state.audit_head)
    assert whole(store).kind == ""


def test_a_kill_between_save_and_append_leaves_the_same_log(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    said(store, "approve")
    with monkeypatch.context() as patch:
        patch.setattr(store_module, "append_rows", killed)
        with pytest.raises(KeyboardInterrupt):
            said(store, "run")
    assert whole(store) == Verdict(Tip(2, store.load().audit_head)), "what waits in the state is not missing"
    said(Store(store.home), "end")
    unharmed = Store(str(tmp_path / "other"))
    said(unharmed, "approve", "run", "end")
    assert Path(store.audit_path).read_bytes() == Path(unharmed.audit_path).read_bytes()
    assert whole(store).kind == ""


def test_a_state_of_before_takes_the_end_of_the_log_over(store: Store) -> None:
    said(store, "approve", "run")
    store.update(lambda state: replace(state, audit_head=""))
    assert whole(store).kind == ""
    state = said(store, "end")
    assert tip(store.audit_path) == Tip(3, state.audit_head)
    assert whole(store).kind == ""


def test_a_log_that_was_cut_off_does_not_heal(store: Store) -> None:
    said(store, "approve", "run", "end")
    put(store, "one")
    lines = Path(store.audit_path).read_bytes().splitlines(keepends=True)
    Path(store.audit_path).write_bytes(b"".join(lines[:2]))
    assert whole(store).kind == "cut off"
    said(store, "approve")
    assert [row.n for row, _ in read_rows(store.audit_path)] == [1, 2, 4]
    assert (whole(store).kind, whole(store).line) == ("missing", 3)


def test_a_last_line_that_was_changed_is_not_sealed_by_the_next(store: Store) -> None:
    said(store, "approve", "run")
    put(store, "one")
    Path(store.audit_path).write_text(Path(store.audit_path).read_text().replace('"what":"run"', '"what":"ran"'))
    assert whole(store).kind == "changed"
    said(store, "end")
    assert (whole(store).kind, whole(store).line) == ("changed", 2)


def test_a_state_from_an_older_copy_goes_on_behind_the_log_and_says_so(store: Store) -> None:
    said(store, "approve")
    older = Path(store.path).read_bytes()
    said(store, "run", "end")
    Path(store.path).write_bytes(older)
    later = Store(store.home)
    said(later, "approve")
    assert [(row.n, row.what) for row, _ in read_rows(store.audit_path)][-2:] == [(3, "end"), (4, "approve")]
    assert whole(later).kind == ""
    assert "holds 3 rows, but the state knew 1" in later.problems[0].what


def test_nothing_is_decided_behind_a_damaged_log(store: Store) -> None:
    said(store, "approve")
    with open(store.audit_path, "ab") as file:
        file.write(b"damage\n")
    before = Path(store.path).read_bytes()
    with pytest.raises(InvalidFileError, match="the last line is damaged"):
        said(store, "run")
    assert Path(store.path).read_bytes() == before


def test_two_writers_share_one_log(store: Store) -> None:
    def write(word: str) -> None:
        mine = Store(store.home)
        for _ in range(10):
            said(mine, word)

    threads = [threading.Thread(target=write, args=(word,)) for word in ("approve", "reject")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row.n for row, sealed in read_rows(store.audit_path) if sealed] == list(range(1, 21))
    assert whole(store) == Verdict(Tip(20, store.load().audit_head))


def test_two_writers_lose_nothing(store: Store) -> None:
    def write(prefix: str) -> None:
        mine = Store(store.home)
        for number in range(10):
            put(mine, f"{prefix}{number}")

    threads = [threading.Thread(target=write, args=(prefix,)) for prefix in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.load().jobs) == 30
    assert store.load().revision == 30


@pytest.fixture
def held(store: Store) -> Iterator[None]:
    with exclusive(os.path.join(store.home, "locks", "store.lock"), 0):
        yield


@pytest.mark.usefixtures("held")
def test_a_lock_held_by_another_call_is_busy_and_reading_goes_on(store: Store) -> None:
    waiting = Store(store.home, lock_timeout=0.01)
    with pytest.raises(BusyError, match="another scq call holds"):
        put(waiting, "one")
    assert waiting.load() == State()


def test_a_full_disk_keeps_the_old_state(fs: FakeFilesystem) -> None:
    fs.create_dir("/home/me")
    store = Store("/home/me")
    first = put(store, "one")
    fs.set_disk_usage(fs.get_disk_usage().used + 100, "/")
    with pytest.raises(OSError, match=r"No space left on device: '.*state\.json"):
        put(store, "two")
    assert Store("/home/me").load() == first
    fs.set_disk_usage(1 << 30, "/")
    assert put(store, "two").jobs.keys() == {"one", "two"}


def test_times_survive_the_journey(store: Store) -> None:
    put(store, "one", missing_since=NOW + timedelta(microseconds=1))
    assert store.load().jobs["one"].missing_since == NOW + timedelta(microseconds=1)


def test_what_has_not_changed_is_not_decoded_again_and_what_others_wrote_is_seen(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, "a")
    first = store.load()
    assert store.load() is first
    other = Store(store.home)
    assert other.load() == first
    put(other, "b")
    assert store.load() == other.load() != first
    content = Path(store.path).read_bytes()
    Path(store.path).write_bytes(content.replace(b'"revision":2', b'"revision":9'))
    assert store.load().revision == 9
