"""`scq init` merges into what is there, never wipes it, and keeps the home closed."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scq.commands import init
from scq.config import load
from scq.context import Context
from scq.errors import BusyError, ConfigError, UsageError
from scq.store import exclusive
from tests.people import OWNER, World

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "scq-home"


@pytest.fixture
def box(tmp_path: Path) -> Path:
    folder = tmp_path / "SyftBox"
    folder.mkdir()
    return folder


def context(home: Path, **overrides: str) -> Context:
    env = {"HOME": str(home.parent / "nobody")}
    loaded = load(str(home / "config.yaml"), env, overrides, home=str(home), strict=False)
    return Context(loaded.config, str(home), env=env, now=lambda: NOW, problems=loaded.problems)


def files(home: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in home.iterdir() if path.is_file()}


def test_the_first_call_makes_a_closed_home_with_the_settings(home: Path, box: Path) -> None:
    report = init.run(context(home), "Owner@Example.org", str(box), True, False)
    assert report.ok
    assert report.problems == ()
    assert report.data["changed"] is True
    assert report.data["backup"] == ""
    config = context(home).config
    assert (config.email, config.root) == ("owner@example.org", str(box))
    assert (config.notify.monitor_jobs, config.notify.monitor_peers) == (True, False)
    assert home.stat().st_mode & 0o777 == 0o700
    assert (home / "config.yaml").stat().st_mode & 0o777 == 0o600


def test_the_same_call_again_changes_nothing(home: Path, box: Path) -> None:
    init.run(context(home), "owner@example.org", str(box), True)
    before = files(home)
    report = init.run(context(home), "owner@example.org", str(box), True)
    assert report.data["changed"] is False
    assert files(home) == before


def test_settings_comments_and_unknown_keys_stay(home: Path, box: Path) -> None:
    home.mkdir()
    text = "# mine\ndo_email: old@example.org  # me\njob_timeout: 20m\nfuture_key: [1, 2]\n"
    (home / "config.yaml").write_text(text)
    report = init.run(context(home), "new@example.org", str(box))
    assert {name: content for name, content in files(home).items() if name.startswith("config")} == {
        "config.yaml": text.replace("old@", "new@") + f"syftbox_root: {box}\n",
        "config.yaml.bak-20261121T080000Z": text,
    }
    assert report.data["backup"] == str(home / "config.yaml.bak-20261121T080000Z")
    assert any("future_key" in problem.what for problem in report.problems)


def test_choices_not_made_leave_the_file_alone(home: Path, box: Path) -> None:
    init.run(context(home), "owner@example.org", str(box), False, False)
    init.run(context(home), None, None)
    config = context(home).config
    assert (config.notify.monitor_jobs, config.notify.monitor_peers) == (False, False)
    assert config.root == str(box)


def test_a_file_that_cannot_be_edited_line_by_line_is_written_anew_and_says_so(home: Path, box: Path) -> None:
    home.mkdir()
    (home / "config.yaml").write_text("{do_email: old@example.org, job_timeout: 5}  # flow\n")
    report = init.run(context(home), "new@example.org", str(box))
    assert any("without its comments" in problem.what for problem in report.problems)
    config = context(home).config
    assert (config.email, config.root, config.job_timeout) == ("new@example.org", str(box), 5.0)


def test_a_dry_run_says_what_would_happen_and_writes_nothing(home: Path, box: Path) -> None:
    report = init.run(context(home), "owner@example.org", str(box), dry_run=True)
    assert report.data["changed"] is True
    assert report.data["dry_run"] is True
    assert "would be written" in report.lines[0]
    assert not home.exists()


@pytest.mark.parametrize("email", ["nobody", "a/b@example.org", "a@b@c", "a b@example.org", "a@example.org\nx: y"])
def test_what_is_no_address_is_refused(email: str, home: Path, box: Path) -> None:
    with pytest.raises(UsageError, match="is not an e-mail address"):
        init.run(context(home), email, str(box))
    assert not home.exists()


def test_an_address_nobody_knows_is_asked_for(home: Path, box: Path) -> None:
    with pytest.raises(UsageError) as caught:
        init.run(context(home), None, str(box))
    assert "scq init --email" in caught.value.advice


def test_an_address_found_elsewhere_is_written_down(home: Path, box: Path) -> None:
    (box / "me@example.org").mkdir()
    init.run(context(home, root=str(box)))
    written = (home / "config.yaml").read_text().splitlines()[1:]
    assert written == ["version: 1", "do_email: me@example.org", f"syftbox_root: {box}"]


def test_a_file_that_is_there_keeps_the_form_it_has(home: Path, box: Path) -> None:
    home.mkdir()
    (home / "config.yaml").write_text("sandbox: none\n")
    init.run(context(home), "me@example.org", str(box))
    assert "version" not in (home / "config.yaml").read_text()


def test_a_home_inside_the_syftbox_is_refused(box: Path) -> None:
    inside = box / "me@example.org" / "home"
    with pytest.raises(ConfigError, match="lies inside the SyftBox folder"):
        init.run(context(inside), "me@example.org", str(box))
    assert not inside.exists()


def test_a_home_that_reaches_into_the_syftbox_by_a_link_is_refused(home: Path, box: Path) -> None:
    home.symlink_to(box)
    with pytest.raises(ConfigError, match="lies inside the SyftBox folder"):
        init.run(context(home), "me@example.org", str(box))


def test_an_open_home_and_file_are_closed(home: Path, box: Path) -> None:
    init.run(context(home), "owner@example.org", str(box))
    home.chmod(0o755)
    (home / "config.yaml").chmod(0o644)
    init.run(context(home), "owner@example.org", str(box))
    assert home.stat().st_mode & 0o777 == 0o700
    assert (home / "config.yaml").stat().st_mode & 0o777 == 0o600


def test_a_missing_syftbox_is_a_problem_but_no_obstacle(home: Path, tmp_path: Path) -> None:
    report = init.run(context(home), "owner@example.org", str(tmp_path / "later"))
    assert [problem.where for problem in report.problems] == ["syftbox_root"]
    unknown = init.run(context(tmp_path / "other-home"), "owner@example.org")
    assert "no SyftBox folder" in unknown.problems[0].what


def test_a_damaged_file_is_refused_and_left_as_it_is(home: Path, box: Path) -> None:
    home.mkdir()
    (home / "config.yaml").write_text("do_email: [\n")
    with pytest.raises(ConfigError, match="is not YAML"):
        init.run(context(home), "owner@example.org", str(box))
    assert (home / "config.yaml").read_text() == "do_email: [\n"


def test_a_relative_root_is_written_whole(home: Path, box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(box.parent)
    init.run(context(home), "owner@example.org", "SyftBox")
    assert context(home).config.root == str(box)


def test_two_calls_do_not_write_at_once(home: Path, box: Path) -> None:
    home.mkdir()
    (home / "config.yaml").write_text("lock_timeout: 0\n")
    path = os.path.join(home, "locks", "config.lock")
    with exclusive(path, 1.0), pytest.raises(BusyError):
        init.run(context(home), "owner@example.org", str(box))
    assert (home / "config.yaml").read_text() == "lock_timeout: 0\n"


def test_a_key_for_the_audit_log_is_made_once_and_closed(home: Path, box: Path) -> None:
    report = init.run(context(home), "owner@example.org", str(box))
    key = (home / "audit.key").read_bytes()
    assert (home / "audit.key").stat().st_mode & 0o777 == 0o600
    assert any("audit.key" in text for text in report.lines)
    again = init.run(context(home), "owner@example.org", str(box))
    assert (home / "audit.key").read_bytes() == key
    assert not any("audit.key" in text for text in again.lines)


def test_without_cryptography_there_is_no_key_and_no_complaint(home: Path, box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scq.signing.find_spec", lambda name: None)
    report = init.run(context(home), "owner@example.org", str(box))
    assert report.ok
    assert not (home / "audit.key").exists()


def test_an_older_copy_is_looked_at_as_for_the_first_time(tmp_path: Path) -> None:
    world = World(tmp_path)
    home = world.owner.home
    report = init.run(context(home, root=str(world.root)), OWNER, restored=True)
    assert report.ok
    assert context(home).store.load().revision == 0, "without a state nothing was restored"
    assert [problem.where for problem in report.problems] == [str(home / "state.json")]
    assert not any("older copy" in text for text in report.lines)
    world.owner.scq("check")
    world.submit("news")
    world.owner.scq("check")
    report = init.run(context(home, root=str(world.root)), OWNER, restored=True)
    assert any("older copy was put back" in text for text in report.lines)
    state = context(home).store.load()
    assert (state.baseline_at, state.peers_at, state.swept_at) == (None, None, None)
    assert [row.repeat for row in state.outbox.values() if row.kind == "job.received"] == [True, True]
    assert len(state.jobs) == 1
