"""`scq init --import`: settings of older software are taken over, nothing is told twice, nothing is approved by it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from scq.commands import init
from scq.config import load
from scq.errors import ConfigError, UsageError
from tests.people import OWNER, SCIENTIST, World
from tests.unit.commands.test_init import NOW, context
from tests.unit.library.test_state_manager import ANA, older

GEN_2 = """do_email: {owner}
syftbox_root: {root}
credentials_path: credentials.json
gmail_token_path: token.json
drive_token_path: token.json
notify:
  interval: 5
  monitor_jobs: true
  monitor_peers: false
  heartbeat_enabled: true
  heartbeat_interval: 86400
  notify_state_path: notify/state.json
approve:
  auto_approvals:
    enabled: true
    objects:
      analysis: {{file_contents: [{{relative_path: main.py, hash: "sha256:00"}}], peers: []}}
sync: {{interval: 10}}
"""
GEN_1 = """syftbox_root: {root}
do_email: {owner}
drive_token_path: ~/.syft-creds/token_do.json
state_file: ~/.syft-notifications/state.json
email_format: text
notify_on_new_job: true
notify_on_executed: false
interval: 30
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "scq-home"


def syft_bg(folder: Path, root: Path, **state: Any) -> Path:
    """A folder as syft-bg 0.3 leaves it."""
    place = folder / ".syft-bg"
    (place / "notify").mkdir(parents=True)
    (place / "config.yaml").write_text(GEN_2.format(owner=OWNER, root=root))
    (place / "token.json").write_text('{"refresh_token": "s3cret"}')
    (place / "credentials.json").write_text("{}")
    (place / "notify" / "state.json").write_text(json.dumps(older(**state)))
    return place


@pytest.fixture
def place(tmp_path: Path) -> Path:
    root = tmp_path / "SyftBox"
    root.mkdir()
    return syft_bg(tmp_path, root)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_everything_scq_knows_is_taken_and_the_rest_is_named(home: Path, place: Path) -> None:
    before = snapshot(place)
    report = init.run(context(home), import_from=str(place))
    config = load(str(home / "config.yaml"), {"HOME": str(home)}, {}).config
    assert (config.email, config.root) == (OWNER, str(place.parent / "SyftBox"))
    assert config.gmail_token_path == config.drive_token_path == str(place / "token.json")
    assert config.credentials_path == str(place / "credentials.json")
    assert (config.notify.interval, config.notify.monitor_jobs, config.notify.monitor_peers) == (5.0, True, False)
    assert (config.notify.heartbeat_enabled, config.notify.heartbeat_interval) == (True, 86_400.0)
    assert config.adopt is False
    state = context(home).store.load()
    assert state.notified["income"] == ("new", "approved", "executed")
    assert set(state.values) == {"thread_ids"}
    assert (state.jobs, state.baseline_at) == ({}, None)
    left = [problem.where for problem in report.problems]
    assert left == ["approve", "sync", str(place / "notify" / "state.json")]
    assert "1 rule for automatic approval" in report.problems[0].what
    assert "3 approvals were not taken over" in report.problems[2].what
    told = report.data["imported"]
    assert told["taken"]["notify.interval"] == 5
    assert (told["told"], told["threads"], told["kept"]) == (4, 1, {})
    assert [entry["where"] for entry in told["left"]] == left
    assert report.ok
    assert "s3cret" not in json.dumps(report.data) + "".join(report.lines)
    assert snapshot(place) == before


def test_the_same_import_again_changes_nothing(home: Path, place: Path) -> None:
    init.run(context(home), import_from=str(place))
    before = snapshot(home)
    report = init.run(context(home), import_from=str(place))
    assert report.data["changed"] is False
    assert (report.data["imported"]["taken"], report.data["imported"]["kept"]) == ({}, {})
    assert snapshot(home) == before


def test_an_import_that_brings_nothing_says_so(home: Path, place: Path) -> None:
    shutil.rmtree(place / "notify")
    init.run(context(home), import_from=str(place / "config.yaml"))
    report = init.run(context(home), import_from=str(place / "config.yaml"))
    assert "  nothing that is not here already" in report.lines


def test_what_is_set_stays_unless_it_is_forced(home: Path, place: Path) -> None:
    home.mkdir()
    (home / "config.yaml").write_text("# mine\nemail: me@x.org\nnotify:\n  interval: 60\n")
    report = init.run(context(home), import_from=str(place))
    config = context(home).config
    assert (config.email, config.notify.interval, config.notify.monitor_peers) == ("me@x.org", 60.0, False)
    assert report.data["imported"]["kept"] == {"do_email": OWNER, "notify.interval": 5}
    assert any("kept as config.yaml has it" in text for text in report.lines)
    assert (home / "config.yaml").read_text().startswith("# mine\n")
    init.run(context(home), import_from=str(place), force=True)
    config = context(home).config
    assert (config.email, config.notify.interval) == (OWNER, 5.0)


def test_what_the_call_says_wins(home: Path, place: Path, tmp_path: Path) -> None:
    report = init.run(context(home), "me@x.org", str(tmp_path / "other"), None, True, import_from=str(place), force=True)
    config = context(home).config
    assert (config.email, config.root, config.notify.monitor_peers) == ("me@x.org", str(tmp_path / "other"), True)
    assert not {"do_email", "syftbox_root", "notify.monitor_peers"} & report.data["imported"]["taken"].keys()


def test_a_dry_run_writes_nothing_and_says_everything(home: Path, place: Path) -> None:
    report = init.run(context(home), import_from=str(place), dry_run=True)
    assert report.data["imported"]["taken"]["do_email"] == OWNER
    assert report.data["imported"]["told"] == 4
    assert not home.exists()


def test_flat_settings_and_the_state_they_name_are_taken(home: Path, tmp_path: Path) -> None:
    (tmp_path / "SyftBox").mkdir()
    place = tmp_path / ".syft-creds"
    place.mkdir()
    (place / "daemon.yaml").write_text(GEN_1.format(owner=OWNER, root=tmp_path / "SyftBox"))
    user = home.parent / "nobody"
    (user / ".syft-notifications").mkdir(parents=True)
    (user / ".syft-notifications" / "state.json").write_text(json.dumps({"notified_jobs": {"a": ["new"]}, "free": 1}))
    report = init.run(context(home), import_from="~/../.syft-creds")
    config = context(home).config
    assert (config.email_format, config.notify_on_executed, config.notify.interval) == ("text", False, 30.0)
    assert config.drive_token_path == str(user / ".syft-creds" / "token_do.json")
    assert [(problem.where, problem.what.partition(": ")[2]) for problem in report.problems] == [
        ("drive_token_path", "no such file")
    ]
    assert context(home).store.load().notified == {"a": ("new",)}
    assert config.state_file == ""


def test_marks_are_added_to_those_that_are_there(home: Path, place: Path) -> None:
    init.run(context(home), import_from=str(place))
    state = place / "notify" / "state.json"
    state.write_text(json.dumps({"notified_jobs": {"income": ["failed", "new"], "second": ["new"]}, "thread_ids": {"x": "y"}}))
    init.run(context(home), import_from=str(state))
    found = context(home).store.load()
    assert found.notified["income"] == ("new", "approved", "executed", "failed")
    assert found.notified["second"] == ("new",)
    assert json.loads(bytes(found.values["thread_ids"])) == {"income": "18c2f"}


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"notified_jobs": 3}', b'{"revision": 1}', b"[" * 100_000])
def test_a_damaged_state_is_named_and_the_rest_is_taken(home: Path, place: Path, content: bytes) -> None:
    (place / "notify" / "state.json").write_bytes(content)
    report = init.run(context(home), import_from=str(place))
    assert context(home).config.email == OWNER
    assert "may be told again" in report.problems[-1].advice
    assert report.problems[-1].where not in report.problems[-1].what
    assert report.data["imported"]["told"] == 0
    assert not (home / "state.json").exists()


def test_a_state_file_nobody_can_have_is_passed_over(home: Path, place: Path) -> None:
    with (place / "config.yaml").open("a") as file:
        file.write('state_file: "no\\0such"\n')
    report = init.run(context(home), import_from=str(place))
    assert (context(home).config.email, report.data["imported"]["told"]) == (OWNER, 4)


def test_our_own_files_are_not_taken_for_older_ones(tmp_path: Path) -> None:
    world = World(tmp_path)
    home = tmp_path / "user" / ".syft-creds"
    home.parent.mkdir()
    (home.parent / "nobody").symlink_to(".")  # the HOME of context()
    shutil.move(world.owner.home, home)
    world.owner.home = home
    world.owner.scq("check")
    with pytest.raises(UsageError, match="no older software was found"):
        init.run(context(home), import_from="auto")
    (home / "notification_state.json").write_text('{"notified_jobs": {"a": ["new"]}}')
    report = init.run(context(home), OWNER, import_from="auto")
    assert report.data["imported"]["told"] == 1
    assert "version" not in {problem.where for problem in report.problems}


def test_a_state_that_is_a_link_to_nothing_is_named(home: Path, place: Path) -> None:
    (place / "notify" / "state.json").unlink()
    (place / "notify" / "state.json").symlink_to("elsewhere.json")
    report = init.run(context(home), import_from=str(place))
    assert report.problems[-1].where == str(place / "notify" / "elsewhere.json")
    assert "may be told again" in report.problems[-1].advice


@pytest.mark.parametrize("text", ["do_email: [\n", "- 1\n", "a: &a [*a]\n", "x: " + "[" * 200, "do_email: a@b\ndo_email: c@d\n"])
def test_a_damaged_configuration_is_refused_and_nothing_is_written(home: Path, place: Path, text: str) -> None:
    (place / "config.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        init.run(context(home), "me@x.org", import_from=str(place))
    assert "bak" not in caught.value.advice, "that is advice for our own file"
    assert not home.exists()


def test_values_of_the_wrong_kind_are_left(home: Path, place: Path) -> None:
    (place / "config.yaml").write_text("do_email: 3\nsyftbox_root: [x]\nnotify: {interval: -1}\nnotify_on_new_job: maybe\n")
    report = init.run(context(home), "me@x.org", import_from=str(place))
    left = {problem.where for problem in report.problems}
    assert {"do_email", "syftbox_root", "notify.interval", "notify_on_new_job"} <= left
    assert context(home).config.email == "me@x.org"


def test_an_import_cannot_weaken_what_protects(home: Path, place: Path) -> None:
    (place / "config.yaml").write_text(f"do_email: {OWNER}\nsandbox: none\nresults: release\napprovals: {{adopt: true}}\n")
    report = init.run(context(home), import_from=str(place))
    config = context(home).config
    assert (config.sandbox, config.hold_outputs, config.adopt) == ("bwrap", "hold", False)
    assert {"sandbox", "results", "approvals"} <= {problem.where for problem in report.problems}


def test_a_folder_without_anything_is_refused(home: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no configuration and no state"):
        init.run(context(home), "me@x.org", import_from=str(tmp_path / "empty"))
    with pytest.raises(UsageError, match="no such file or folder"):
        init.run(context(home), "me@x.org", import_from=str(tmp_path / "nothing"))
    assert not home.exists()


def test_the_home_itself_can_be_imported(tmp_path: Path) -> None:
    """Older software used the folder that is the home of scq."""
    home, root = tmp_path / ".syft-creds", tmp_path / "SyftBox"
    home.mkdir()
    root.mkdir()
    (home / "config.yaml").write_text(f"do_email: {OWNER}\nsyftbox_root: {root}\ninterval: 20\n")
    (home / "state.json").write_text(json.dumps({"notified_jobs": {"a": ["new"]}}))
    report = init.run(context(home), import_from=str(home))
    assert (report.data["imported"]["taken"], report.data["imported"]["told"]) == ({}, 1)
    assert context(home).store.load().notified == {"a": ("new",)}
    assert context(home).config.notify.interval == 20.0
    assert json.loads((home / "state.json.legacy").read_text()) == {"notified_jobs": {"a": ["new"]}}


def test_peers_that_a_state_in_the_home_itself_knows_are_no_news(tmp_path: Path) -> None:
    home = tmp_path / ".syft-creds"
    home.mkdir()
    (home / "state.json").write_text(json.dumps(older(last="2026", jobs=[1])))
    report = init.run(context(home), OWNER, import_from=str(home))
    state = context(home).store.load()
    assert "new_peer_request" in state.notified[f"peer_new_{ANA}_to_do"]
    assert (state.jobs, state.last, json.loads(bytes(state.values["last"]))) == ({}, {"import": NOW}, "2026")
    assert [problem.where for problem in report.problems if "approvals" in problem.what] == [str(home / "state.json")]
    before = snapshot(home)
    assert init.run(context(home), OWNER, import_from=str(home)).data["imported"]["told"] == 0
    assert snapshot(home) == before


def test_what_was_told_before_the_import_is_not_told_after_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    place = syft_bg(tmp_path, world.root)
    shutil.rmtree(world.owner.home)
    world.owner.scq("init", "--import", str(place), "--dry-run")
    answer = world.owner.scq("init", "--import", str(place))
    assert "4 jobs and peers that were announced already" in answer.out
    assert "automatic approval" in answer.err
    with (world.owner.home / "config.yaml").open("a") as file:
        file.write(f"channels: {{post: {{type: file, path: {tmp_path / 'box'}}}}}\ndrive: {{use: never}}\n")
    world.submit("income")
    world.owner.scq("notify")
    uid = world.submit("fresh")
    sent = world.owner.json("notify")["messages"]
    assert {(row["job"], row["kind"], row["recipient"]) for row in sent} == {
        (uid, "job.received", OWNER),
        (uid, "job.received", SCIENTIST),
    }


def test_names_that_two_jobs_have_and_those_not_marked_as_new_are_told(tmp_path: Path) -> None:
    world = World(tmp_path)
    place = syft_bg(tmp_path, world.root, notified_jobs={"known": ["new"], "shared": ["new"], "odd": ["approved"], "none": []})
    shutil.rmtree(world.owner.home)
    known = world.submit("known")
    told = [world.submit("shared"), world.submit("shared", by=world.second), world.submit("odd"), world.submit("none")]
    world.owner.scq("init", "--import", str(place))
    with (world.owner.home / "config.yaml").open("a") as file:
        file.write(f"channels: {{post: {{type: file, path: {tmp_path / 'box'}}}}}\ndrive: {{use: never}}\n")
    sent = world.owner.json("notify")["messages"]
    assert {(row["kind"], row["recipient"]) for row in sent} == {("baseline", OWNER), ("heartbeat", OWNER)}
    letters = "".join(path.read_text() for path in (tmp_path / "box").rglob("*") if path.is_file())
    assert all(uid[:8] in letters for uid in told)
    assert known[:8] not in letters
