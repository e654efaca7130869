"""The documented state manager and template renderer."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import scq
from scq.errors import ConfigError, ScqError, UsageError
from scq.library.notifications import JsonStateManager, TemplateRenderer
from scq.state import State
from scq.store import Store

LEGACY = {"notified_jobs": {"job_1": ["new", "approved"], "odd": "x", "mixed": ["new", 3]}, "thread_ids": {"job_1": "t"}, "n": 7}


@pytest.fixture
def manager(tmp_path: Path) -> JsonStateManager:
    return JsonStateManager(tmp_path / "creds" / "state.json")


def test_nothing_was_notified_at_first_and_reading_writes_nothing(manager: JsonStateManager, tmp_path: Path) -> None:
    assert not manager.was_notified("job_123", "new")
    assert manager.get_data("key") is None
    assert manager.get_data("key", "default") == "default"
    assert os.listdir(tmp_path) == []


def test_what_was_marked_is_known_to_the_next_process(manager: JsonStateManager) -> None:
    manager.mark_notified("job_123", "new")
    again = JsonStateManager(manager.state_file)
    assert again.was_notified("job_123", "new")
    assert not again.was_notified("job_123", "approved")
    assert not again.was_notified("job_12", "new")


def test_marking_twice_changes_nothing(manager: JsonStateManager) -> None:
    manager.mark_notified("job_123", "new")
    manager.mark_notified("job_123", "approved")
    before = Path(manager.state_file).read_bytes()
    manager.mark_notified("job_123", "new")
    assert Path(manager.state_file).read_bytes() == before


@pytest.mark.parametrize("value", [None, True, 3, 2.5, "text ü", [1, [2]], {"a": {"b": None}}])
def test_a_free_value_comes_back_as_it_was(manager: JsonStateManager, value: Any) -> None:
    manager.set_data("key", value)
    assert JsonStateManager(manager.state_file).get_data("key", "default") == value


@pytest.mark.parametrize("value", [object(), {1, 2}, float("nan"), b"x", "\udcff", datetime(2024, 1, 1)])
def test_a_value_json_cannot_hold_is_refused_and_spoils_nothing(manager: JsonStateManager, value: Any) -> None:
    manager.set_data("key", "before")
    with pytest.raises(UsageError, match="'key' cannot be stored"):
        manager.set_data("key", value)
    assert manager.get_data("key") == "before"


@pytest.mark.parametrize(
    "act", [lambda m: m.mark_notified("\udcff", "new"), lambda m: m.set_data(3, 1), lambda m: m.mark_notified("a", None)]
)
def test_a_name_that_cannot_be_stored_is_refused(manager: JsonStateManager, act: Callable[[JsonStateManager], None]) -> None:
    with pytest.raises(UsageError, match="not a name"):
        act(manager)
    assert not os.path.exists(manager.state_file)


def test_the_file_and_its_folder_are_private(manager: JsonStateManager) -> None:
    manager.mark_notified("job", "new")
    path = Path(manager.state_file)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_home_sign_is_understood(no_real_home: Path) -> None:
    JsonStateManager("~/.syft-creds/state.json").mark_notified("job", "new")
    assert (no_real_home / ".syft-creds" / "state.json").is_file()


def test_it_shares_the_state_file_of_scq_without_disturbing_it(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.update(lambda state: State(revision=state.revision, folders={"inbox": "1"}))
    JsonStateManager(tmp_path / "state.json").mark_notified("job", "new")
    state = store.load()
    assert state.folders == {"inbox": "1"}
    assert state.notified == {"job": ("new",)}


def test_a_damaged_file_is_kept_and_its_backup_is_used(manager: JsonStateManager) -> None:
    manager.mark_notified("one", "new")
    manager.mark_notified("two", "new")
    Path(manager.state_file).write_bytes(b'{"revision": ')
    assert manager.was_notified("one", "new")
    manager.mark_notified("three", "new")
    assert manager.was_notified("one", "new")
    assert manager.was_notified("three", "new")
    kept = [name for name in os.listdir(os.path.dirname(manager.state_file)) if ".corrupt-" in name]
    assert len(kept) == 1


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"notified_jobs": '])
def test_a_damaged_file_without_a_backup_stops_instead_of_forgetting(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    manager = JsonStateManager(path)
    for act in (lambda: manager.was_notified("job", "new"), lambda: manager.mark_notified("job", "new")):
        with pytest.raises(ConfigError):
            act()
    assert path.read_bytes() == content


def test_a_fifo_in_its_place_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "state.json")
    with pytest.raises(ScqError):
        JsonStateManager(tmp_path / "state.json").was_notified("job", "new")


def test_a_file_of_the_older_form_is_read_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text(json.dumps(LEGACY))
    manager = JsonStateManager(path)
    assert manager.was_notified("job_1", "approved")
    assert manager.was_notified("mixed", "new")
    assert not manager.was_notified("odd", "x")
    assert manager.get_data("thread_ids") == {"job_1": "t"}
    assert json.loads(path.read_text()) == LEGACY
    assert os.listdir(tmp_path) == ["state.json"]


def test_a_file_of_the_older_form_is_taken_over_at_the_first_change(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text(json.dumps(LEGACY))
    JsonStateManager(path).mark_notified("job_2", "new")
    manager = JsonStateManager(path)
    assert [manager.was_notified(job, "new") for job in ("job_1", "job_2")] == [True, True]
    assert manager.get_data("n") == 7
    assert json.loads((tmp_path / "state.json.legacy").read_text()) == LEGACY
    assert Store(str(tmp_path)).load().notified["job_1"] == ("new", "approved")


def test_many_processes_at_once_lose_no_mark(tmp_path: Path) -> None:
    code = (
        "import sys; from scq.library.notifications import JsonStateManager as M\n"
        "for n in range(10): M(sys.argv[1]).mark_notified(sys.argv[2] + str(n), 'new')"
    )
    place = {"cwd": Path(scq.__file__).parents[1], "env": {**os.environ, "PYTHONPATH": str(Path(scq.__file__).parents[1])}}
    path = tmp_path / "state.json"
    running = [subprocess.Popen([sys.executable, "-c", code, str(path), name], **place) for name in "abc"]  # type: ignore[call-overload]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    manager = JsonStateManager(path)
    assert all(manager.was_notified(f"{name}{n}", "new") for name in "abc" for n in range(10))


def test_a_documented_template_is_rendered() -> None:
    html = TemplateRenderer().render(
        "emails/new_job.html",
        {"job_name": "<analysis>", "submitter": "ana@uni.example", "timestamp": datetime(2024, 1, 15, 15, 30)},
    )
    assert "&lt;analysis&gt;" in html
    assert "January 15, 2024 at 03:30 PM" in html


@pytest.mark.parametrize("name", ["new_job", "job_approved", "job_executed", "new_peer_request", "peer_granted"])
def test_every_documented_template_needs_only_its_documented_names(name: str) -> None:
    words = {"job_name": "j", "submitter": "s@x.org", "timestamp": "today", "ds_email": "d@x.org", "do_email": "o@x.org"}
    assert "</html>" in TemplateRenderer().render(f"emails/{name}.html", words)
    assert "Sent by scq" in TemplateRenderer().render(f"emails/{name}.txt", words)


def test_the_documented_durations_are_shown() -> None:
    assert "2 hours 15 minutes 30 seconds" in TemplateRenderer().render(
        "emails/job_executed.html", {"job_name": "j", "duration": 8130}
    )


def test_templates_of_the_user_stand_before_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "hello.html").write_text("{{ who }}, {{ took | duration }}")
    renderer = TemplateRenderer(tmp_path)
    assert renderer.render("hello.html", {"who": "a&b", "took": 61}) == "a&amp;b, 1 minute 1 second"
    assert "</html>" in renderer.render("emails/peer_granted.html", {})
    with pytest.raises(ConfigError, match="nothing"):
        renderer.render("nothing.html", {})
