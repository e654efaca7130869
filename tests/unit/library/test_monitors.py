"""`Monitor`, `JobMonitor` and `PeerMonitor`: the documented calls, each pass one `scq notify`."""

from __future__ import annotations

import json
import mailbox
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import scq as q
from scq.errors import ChannelError, ConfigError, SignInError, UsageError
from scq.library.monitors import JobMonitor, Monitor, PeerMonitor
from scq.library.notifications import JsonStateManager
from scq.library.runner import create_runner
from scq.library.verbs import ProblemWarning
from scq.store import exclusive
from tests.people import OWNER, SCIENTIST, SECOND, World
from tests.servers.google import Google, google_on_loopback
from tests.unit.library.test_senders import Recording, Remembering

SOON = 20.0
"""Seconds a test waits for something that takes milliseconds."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def state_of(world: World) -> JsonStateManager:
    return JsonStateManager(world.owner.home / "state.json")


def watching(world: World, sender: Any, state: Any = None, **config: Any) -> JobMonitor:
    """A monitor on the owner's home that has seen what is there already."""
    monitor = JobMonitor(world.root, OWNER, sender, state or state_of(world), config)
    monitor.check()
    return monitor


def names(sender: Recording) -> list[tuple[str, str]]:
    """(method, recipient) of what was sent since the last call."""
    found = [(name, arguments[0]) for name, arguments, _ in sender.calls]
    sender.calls.clear()
    return found


def letters(folder: Path) -> set[tuple[str, str]]:
    """(recipient, subject) of what lies in a maildir."""
    return {(mail["To"], str(mail["Subject"])) for mail in mailbox.Maildir(folder, create=False)}


class Counting(Monitor):
    """A monitor of a program's own, as documented."""

    def __init__(self, sender: Any, state: Any, config: Any) -> None:
        super().__init__(sender, state, config)
        self.looks = 0
        self.looked = threading.Semaphore(0)
        self.fails = False

    def _check_all_entities(self) -> None:
        self.looks += 1
        self.looked.release()
        if self.fails:
            raise RuntimeError("no answer from https://me:pw@drive.example/x")


@pytest.fixture
def counting() -> Counting:
    return Counting("sender", "state", {"a": 1})


def test_a_monitor_of_a_programs_own_works_as_documented() -> None:
    class CustomMonitor(q.Monitor):
        def __init__(self, sender: Any, state: Any, config: Any) -> None:
            super().__init__(sender, state, config)

        def _check_all_entities(self) -> None:
            if not self.state.was_notified("job_123", "new"):
                self.sender.notify_new_job(OWNER, "job_123", SCIENTIST)
                self.state.mark_notified("job_123", "new")

    sender = Recording()
    monitor = CustomMonitor(sender, Remembering(), {"notify_on_new_job": True})
    monitor.check()
    monitor.run_once()
    assert names(sender) == [("notify_new_job", OWNER)]
    assert monitor.config == {"notify_on_new_job": True}


def test_a_monitor_that_does_not_say_what_to_look_at_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="_check_all_entities"):
        Monitor(None, None, {})  # type: ignore[abstract]


def test_without_an_interval_it_looks_once(counting: Counting) -> None:
    counting.check()
    counting.check(None, 5)
    assert counting.looks == 2


def test_with_a_duration_it_looks_until_then(counting: Counting) -> None:
    counting.check(interval=0.01, duration=0.05)
    assert counting.looks >= 1
    looks = counting.looks
    counting.check(interval=3600, duration=0.001)
    assert counting.looks == looks + 1


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), True, "soon", [], 1e300])
def test_an_interval_that_is_none_is_refused(counting: Counting, seconds: Any) -> None:
    for call in (
        lambda: counting.check(interval=seconds),
        lambda: counting.check(1, seconds),
        lambda: counting.start(seconds),
    ):
        with pytest.raises(UsageError, match="is not allowed"):
            call()
    assert counting.looks == 0


def test_what_a_look_raises_is_told_and_does_not_end_the_loop(counting: Counting) -> None:
    counting.fails = True
    with pytest.warns(ProblemWarning, match=r"Counting: RuntimeError: no answer from https://drive.example/…$"):
        counting.check()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        counting.start(0.001)
        assert all(counting.looked.acquire(timeout=SOON) for _ in range(4))
        counting.stop()
    assert len(told) == counting.looks - 1 >= 3


def test_it_looks_in_a_thread_until_it_is_stopped(counting: Counting) -> None:
    thread = counting.start(interval=0.001)
    assert thread.is_alive()
    assert thread.daemon
    assert all(counting.looked.acquire(timeout=SOON) for _ in range(3))
    assert counting.start(5) is thread
    counting.stop()
    assert not thread.is_alive()
    looks = counting.looks
    counting.stop()
    assert counting.looks == looks


def test_stop_ends_a_long_pause_at_once(counting: Counting) -> None:
    thread = counting.start(1e9)
    assert counting.looked.acquire(timeout=SOON)
    counting.stop()
    assert not thread.is_alive()


def test_it_can_be_started_again(counting: Counting) -> None:
    first = counting.start(3600)
    counting.stop()
    second = counting.start(3600)
    assert second is not first
    assert all(counting.looked.acquire(timeout=SOON) for _ in range(2))
    counting.stop()
    assert not second.is_alive()


def test_stop_ends_a_loop_in_the_foreground(counting: Counting) -> None:
    def stop() -> None:
        assert counting.looked.acquire(timeout=SOON)
        counting.stop()

    helper = threading.Thread(target=stop)
    helper.start()
    counting.check(interval=3600)
    helper.join()
    assert counting.looks == 1


def test_a_look_may_end_its_own_loop() -> None:
    class Once(Counting):
        def _check_all_entities(self) -> None:
            super()._check_all_entities()
            self.stop()

    monitor = Once(None, None, {})
    thread = monitor.start(3600)
    thread.join(SOON)
    assert not thread.is_alive()
    assert monitor.looks == 1


def test_a_job_is_told_from_its_arrival_to_its_end(world: World) -> None:
    sender = Recording()
    monitor = watching(world, sender)
    uid = world.submit("income")
    monitor.check()
    assert names(sender) == [("notify_new_job", OWNER), ("send_email", SCIENTIST)]
    world.owner.scq("approve", uid)
    monitor.check()
    assert names(sender) == [("notify_job_approved", SCIENTIST)]
    world.owner.scq("run-approved")
    monitor.check()
    assert sorted(names(sender)) == [("notify_job_executed", SCIENTIST), ("send_email", OWNER)]
    monitor.run_once()
    assert names(sender) == []
    state = state_of(world)
    for word in (uid, uid[:8], "income"):
        assert [state.was_notified(word, event) for event in ("new", "approved", "executed")] == [True, True, True]
        assert not state.was_notified(word, "rejected")


def test_what_is_there_at_the_first_look_is_told_in_one_message(world: World) -> None:
    world.submit("one")
    world.submit("two")
    sender = Recording()
    watching(world, sender)
    assert names(sender) == [("send_email", OWNER)]


def test_the_documented_switches_are_obeyed(world: World) -> None:
    sender = Recording()
    off = {"notify_on_new_job": False, "notify_on_approved": False, "notify_on_executed": False}
    monitor = watching(world, sender, **off)
    uid = world.submit("income")
    monitor.check()
    world.owner.scq("approve", uid)
    monitor.check()
    assert names(sender) == []


def test_a_switch_nobody_knows_is_told(world: World) -> None:
    monitor = JobMonitor(world.root, OWNER, Recording(), state_of(world), {"notify_on_new_jobs": True})
    with pytest.warns(ProblemWarning, match="notify_on_new_jobs"):
        monitor.check()


@pytest.mark.parametrize("config", [{"notify_on_new_job": "maybe"}, {"notify": {"interval": -1}}, {"notify": "x"}])
def test_settings_that_cannot_be_used_are_refused(world: World, config: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="is not allowed"):
        JobMonitor(world.root, OWNER, Recording(), state_of(world), config)


@pytest.mark.parametrize("email", ["", "owner", "a@b\nc", "a@b, c@d", None, 3])
def test_an_address_that_is_none_is_refused(world: World, email: Any) -> None:
    with pytest.raises(UsageError, match="do_email"):
        JobMonitor(world.root, email)
    with pytest.raises(UsageError, match="do_email"):
        PeerMonitor(email)


def test_a_folder_has_to_be_named(world: World) -> None:
    with pytest.raises(UsageError, match="syftbox_root"):
        JobMonitor("", OWNER)


def test_a_state_file_in_the_syftbox_is_refused(world: World) -> None:
    with pytest.raises(ConfigError, match="lies inside the SyftBox"):
        JobMonitor(world.root, OWNER, Recording(), JsonStateManager(world.root / "state.json"))


def test_a_message_the_sender_did_not_take_waits_and_is_told(world: World) -> None:
    sender = Recording(False)
    monitor = JobMonitor(world.root, OWNER, sender, state_of(world))
    world.submit("income")
    with pytest.warns(ProblemWarning, match="did not send"):
        monitor.check()
    rows = world.owner.state()["outbox"].values()
    assert [row["state"] for row in rows] == ["deferred"]
    assert not state_of(world).was_notified("income", "new")


def test_a_broken_sender_does_not_end_the_watch(world: World) -> None:
    monitor = JobMonitor(world.root, OWNER, Recording(ZeroDivisionError("x")), state_of(world))
    world.submit("income")
    with pytest.warns(ProblemWarning, match="ZeroDivisionError"):
        monitor.check()


def test_a_folder_that_is_not_there_is_told_and_looked_at_again(world: World) -> None:
    monitor = JobMonitor(world.folder / "nowhere", OWNER, Recording(), state_of(world))
    with pytest.warns(ProblemWarning, match="JobMonitor: "):
        monitor.check()


def test_another_notify_at_work_is_told_and_not_an_end(world: World) -> None:
    sender = Recording()
    monitor = watching(world, sender)
    world.submit("income")
    with exclusive(str(world.owner.home / "locks" / "notify.lock"), 1.0), pytest.warns(ProblemWarning, match="holds"):
        monitor.check()
    assert names(sender) == []
    monitor.check()
    assert len(names(sender)) == 2


def test_two_monitors_on_one_state_tell_everything_once(world: World) -> None:
    senders = [Recording(), Recording()]
    monitors = [watching(world, sender) for sender in senders]
    ids = [world.submit(f"job{number}") for number in range(3)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for monitor in monitors:
            monitor.start(0.01)
        state = state_of(world)
        waiting = threading.Event()
        for _ in range(2000):
            if all(state.was_notified(uid, "new") for uid in ids):
                break
            waiting.wait(0.01)
        for monitor in monitors:
            monitor.stop()
    monitors[0].check()
    told = [call for sender in senders for call in names(sender)]
    assert told.count(("notify_new_job", OWNER)) == 3
    assert told.count(("send_email", SCIENTIST)) == 3


@pytest.mark.parametrize("own", [True, False])
def test_two_jobs_of_the_same_name_are_both_told(world: World, monkeypatch: pytest.MonkeyPatch, own: bool) -> None:
    monkeypatch.setenv("SCQ_HOME", str(world.owner.home))
    sender = Recording()
    monitor = watching(world, sender, Remembering(("count", "new")) if own else state_of(world))
    world.submit("count")
    world.submit("count", by=world.second)
    monitor.check()
    told = [arguments[2] for name, arguments, _ in sender.calls if name == "notify_new_job"]
    assert sorted(told) == [SCIENTIST, SECOND]


def test_a_state_manager_of_a_programs_own_is_asked_and_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCQ_HOME", str(world.owner.home))
    sender, state = Recording(), Remembering(("old", "new"))
    monitor = watching(world, sender, state)
    uid = world.submit("fresh")
    world.submit("old")
    monitor.check()
    assert names(sender) == [("notify_new_job", OWNER), ("send_email", SCIENTIST)]
    assert {(uid, "new"), (uid, "new_ds")} <= state.marks
    assert monitor.state is state


def test_what_other_software_has_told_is_not_told_again(world: World) -> None:
    manager = state_of(world)
    Path(manager.state_file).write_text(json.dumps({"notified_jobs": {"old": ["new"]}}))
    sender = Recording()
    monitor = watching(world, sender, manager)
    world.submit("old")
    world.submit("fresh")
    monitor.check()
    assert [arguments[1] for name, arguments, _ in sender.calls if name == "notify_new_job"] == ["fresh"]


def test_without_notifications_it_looks_and_remembers_only(world: World) -> None:
    monitor = JobMonitor(world.root, OWNER, Recording(), state_of(world), notifications=False)
    monitor.check()
    uid = world.submit("income")
    monitor.check()
    state = world.owner.state()
    assert [record["id"] for record in state["jobs"].values()] == [uid]
    assert "outbox" not in state
    sender = Recording()
    watching(world, sender)
    assert names(sender) == []


def test_without_a_sender_the_mailbox_gets_real_mails(world: World) -> None:
    monitor = JobMonitor(world.root, OWNER, state=state_of(world))
    monitor.check()
    world.submit("income")
    monitor.check()
    assert {to for to, _ in letters(world.owner.home / "mailbox")} == {OWNER, SCIENTIST}


def test_channels_of_the_configuration_are_used(world: World) -> None:
    box = world.folder / "box"
    world.owner.configure(f"sandbox: none\nchannels: {{post: {{type: file, path: {box}}}}}\n")
    monitor = JobMonitor(world.root, OWNER, state=state_of(world))
    monitor.check()
    world.submit("income")
    monitor.check()
    assert {to for to, _ in letters(box)} == {OWNER, SCIENTIST}


def test_a_message_that_waits_for_another_channel_is_sent_as_well(world: World) -> None:
    world.owner.scq("check")
    world.submit("income")
    world.owner.scq("check")
    sender = Recording()
    watching(world, sender)
    assert names(sender) == []
    assert len(letters(world.owner.home / "mailbox")) == 2


@pytest.mark.parametrize("explicit", [True, False])
def test_a_sign_in_for_gmail_is_used_where_there_is_one(world: World, explicit: bool) -> None:
    token = world.folder / "token.json" if explicit else world.owner.home / "gmail_token.json"
    token.write_text("{}")
    monitor = JobMonitor(world.root, OWNER, state=state_of(world), gmail_token_path=token if explicit else None)
    config = monitor._desk.config
    assert (config.channels[0].name, config.channels[0].type, config.gmail_token_path) == ("gmail", "gmail", str(token))
    assert config.routing_levels["info"] == ("gmail",)
    assert {channel.name for channel in config.channels} == {"gmail", "mailbox"}


def test_settings_given_change_only_what_they_name(world: World) -> None:
    world.owner.configure("sandbox: none\nnotify: {interval: 7, monitor_jobs: true}\nemail: someone@else.org\n")
    config = JobMonitor(world.root, OWNER, state=state_of(world), config={"notify": {"max_per_run": 9}})._desk.config
    assert (config.notify.interval, config.notify.max_per_run, config.email) == (7.0, 9, OWNER)
    assert config.sandbox == "none"


def test_the_home_of_the_command_line_is_shared_by_its_configuration(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCQ_HOME", str(world.owner.home))
    (world.owner.home / "notification_state.json").write_text("{}")
    world.owner.configure(f"sandbox: none\ndo_email: {OWNER}\nsyftbox_root: {world.root}\n")
    assert JobMonitor.from_config(world.owner.home / "config.yaml").state.state_file == str(world.owner.home / "state.json")
    world.owner.configure(f"do_email: {OWNER}\nsyftbox_root: {world.root}\nstate_file: $SCQ_HOME/own.json\n")
    assert JobMonitor.from_config(world.owner.home / "config.yaml").state.state_file == str(world.owner.home / "own.json")


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    with google_on_loopback(tmp_path, monkeypatch) as server:
        yield server


def test_the_documented_gmail_sender_sends_the_whole_mail(world: World, google: Google) -> None:
    sender = q.GmailSender(q.GmailAuth().load_credentials(google.token_file(world.folder / "t.json")))
    monitor = watching(world, sender)
    uid = world.submit("income", "echo secret-step\n")
    monitor.check()
    mails = {google.mail(number)["To"]: google.mail(number) for number in range(len(google.posts()))}
    assert set(mails) == {OWNER, SCIENTIST}
    assert all(mail["X-SCQ-Key"] for mail in mails.values())
    assert f"scq approve {uid[:8]}" in mails[OWNER].get_body(("plain",)).get_content()
    assert mails[OWNER].get_body(("html",)) is not None
    assert world.owner.state()["threads"][f"sender/{OWNER}/{uid}"]["thread_id"]


def test_a_sign_in_of_the_gmail_sender_that_ended_is_told(world: World, google: Google) -> None:
    sender = q.GmailSender(q.GmailAuth().load_credentials(google.token_file(world.folder / "t.json")), use_html=False)
    monitor = watching(world, sender)
    world.submit("income")
    google.refresh = "another"
    sender.credentials.token = None
    with pytest.warns(ProblemWarning, match="needs a sign-in"):
        monitor.check()
    rows = world.owner.state()["outbox"].values()
    assert {row["state"] for row in rows if row["kind"] == "job.received"} == {"deferred"}


def test_a_sign_in_that_was_named_and_is_not_there_is_told(world: World) -> None:
    with pytest.warns(ProblemWarning, match=r"nothing.json: no such file; messages go to mailbox"):
        JobMonitor(world.root, OWNER, state=state_of(world), gmail_token_path=world.folder / "nothing.json")


def test_from_client_takes_anything_that_tells_who_and_where(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCQ_HOME", str(world.owner.home))
    client = SimpleNamespace(email=OWNER, syftbox_folder=world.root, is_do=True)
    with pytest.warns(ProblemWarning, match=r"token_do.json: no such file, so Google Drive is not looked at"):
        monitor = q.JobMonitor.from_client(client, drive_token_path="~/token_do.json")
    assert (monitor.client, monitor.do_email, monitor.syftbox_root) == (client, OWNER, world.root)
    assert monitor._desk.config.drive_token_path == os.path.expanduser("~/token_do.json")
    monitor.check()
    world.submit("income")
    monitor.check()
    assert len(letters(world.owner.home / "mailbox")) == 2
    assert q.PeerMonitor.from_client(client, notifications=False).do_email == OWNER


def test_from_client_takes_a_runner_and_its_home(world: World) -> None:
    monitor = JobMonitor.from_client(create_runner(world.root, OWNER, home=world.owner.home))
    monitor.check()
    assert world.owner.state()["baseline_at"]


def test_the_state_file_of_a_home_is_the_configured_one(world: World) -> None:
    world.owner.configure("sandbox: none\nstate_file: $SCQ_HOME/memory.json\n")
    monitor = JobMonitor.from_client(create_runner(world.root, OWNER, home=world.owner.home))
    monitor.check()
    assert (world.owner.home / "memory.json").is_file()
    assert not (world.owner.home / "memory.json.d").exists()


@pytest.mark.parametrize(
    ("client", "what"),
    [
        (object(), "no email"),
        (SimpleNamespace(email=None, syftbox_folder="/x"), "no email"),
        (SimpleNamespace(email="nobody", syftbox_folder="/x"), "email"),
        (SimpleNamespace(email=OWNER, syftbox_folder=""), "no email"),
        (SimpleNamespace(email=OWNER, syftbox_folder="/x", is_do=False), "data owner"),
        (SimpleNamespace(email=OWNER, syftbox_folder="/x", has_do_role=False), "data owner"),
    ],
)
@pytest.mark.parametrize("factory", [JobMonitor.from_client, PeerMonitor.from_client])
def test_a_client_that_is_none_or_not_an_owners_is_refused(factory: Callable[[Any], Any], client: Any, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        factory(client)


DOCUMENTED = """syftbox_root: {root}
do_email: {owner}
drive_token_path: ~/.syft-creds/token_do.json
gmail_token_path: ~/.syft-creds/gmail_token.json
state_file: {folder}/creds/state.json
notify_on_new_job: true
notify_on_approved: false
notify_on_executed: true
"""


def test_from_config_reads_the_documented_file(world: World, no_real_home: Path) -> None:
    token = no_real_home / ".syft-creds" / "gmail_token.json"
    token.parent.mkdir()
    token.write_text("{}")
    path = world.folder / "monitor.yaml"
    path.write_text(DOCUMENTED.format(root=world.root, owner=OWNER, folder=world.folder))
    monitor = q.JobMonitor.from_config(path)
    config = monitor._desk.config
    assert (config.gmail_token_path, config.state_file) == (str(token), f"{world.folder}/creds/state.json")
    assert (config.notify_on_new_job, config.notify_on_approved) == (True, False)
    assert q.PeerMonitor.from_config(path)._desk.config.root == str(world.root)


def test_from_config_reads_that_of_syft_bg(world: World) -> None:
    folder = world.folder / ".syft-bg"
    (folder / "notify").mkdir(parents=True)
    (folder / "notify" / "state.json").write_text(json.dumps({"notified_jobs": {"old": ["new"]}}))
    (folder / "config.yaml").write_text(
        f"do_email: {OWNER}\nsyftbox_root: {world.root}\ndrive_token_path: token.json\n"
        "notify: {interval: 5, monitor_jobs: true, notify_state_path: notify/state.json}\n"
        "approve: {auto_approvals: {objects: {a: {}, b: {}}}}\nsync: {interval: 10}\n"
    )
    with pytest.warns(ProblemWarning) as told:
        monitor = JobMonitor.from_config(folder / "config.yaml")
    assert ["2 rules for automatic approval" in str(told[0].message), str(told[1].message)[:5]] == [True, "sync:"]
    assert monitor.state.was_notified("old", "new")
    assert monitor._desk.config.drive_token_path == str(folder / "token.json")
    monitor.check()
    world.submit("old")
    world.submit("fresh")
    monitor.check()
    assert [subject for to, subject in letters(folder / "notify" / "mailbox") if to == OWNER and "fresh" in subject]
    assert not [subject for _, subject in letters(folder / "notify" / "mailbox") if "old" in subject]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (None, "no such file"),
        ("do_email: [\n", "is not YAML"),
        ("- 1\n", "expected settings"),
        ("syftbox_root: /x\n", "do_email is missing"),
        (f"do_email: {OWNER}\n", "syftbox_root is missing"),
        (f"do_email: {OWNER}\nsyftbox_root: 3\n", "syftbox_root is missing"),
        (f"do_email: {OWNER}\nsyftbox_root: /x\nnotify_on_new_job: 7\n", "notify_on_new_job"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused(tmp_path: Path, text: str | None, what: str) -> None:
    path = tmp_path / "config.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=what):
        JobMonitor.from_config(path)


def test_a_state_file_with_a_name_of_its_own_does_not_mix_with_the_home_beside_it(world: World) -> None:
    world.owner.scq("check")
    before = world.owner.state()
    sender = Recording()
    manager = JsonStateManager(world.owner.home / "notification_state.json")
    monitor = watching(world, sender, manager)
    world.submit("income")
    monitor.check()
    assert len(names(sender)) == 2
    assert world.owner.state() == before
    assert (world.owner.home / "notification_state.json.d").is_dir()


def peers(world: World, sender: Any = None, **options: Any) -> PeerMonitor:
    return PeerMonitor(OWNER, None, sender, state_of(world), **options)


def test_a_granted_peer_is_told_once(world: World) -> None:
    sender = Recording()
    monitor = peers(world, sender)
    for _ in range(3):
        monitor.notify_peer_granted(SCIENTIST)
    peers(world, sender).notify_peer_granted(SCIENTIST.upper())
    assert names(sender) == [("notify_peer_request_granted", SCIENTIST)]
    assert state_of(world).was_notified(f"peer_granted_{SCIENTIST}", "peer_granted")
    monitor.notify_peer_granted(SECOND)
    assert names(sender) == [("notify_peer_request_granted", SECOND)]


def test_a_granted_peer_is_told_over_the_mailbox(world: World) -> None:
    peers(world).notify_peer_granted(SCIENTIST)
    assert [to for to, _ in letters(world.owner.home / "mailbox")] == [SCIENTIST]


def test_a_grant_the_sender_did_not_take_waits(world: World) -> None:
    with pytest.warns(ProblemWarning, match="did not send"):
        peers(world, Recording(False)).notify_peer_granted(SCIENTIST)
    assert [row["state"] for row in world.owner.state()["outbox"].values()] == ["deferred"]


@pytest.mark.parametrize("options", [{"notifications": False}, {"config": {"notify_on_peer_granted": False}}])
def test_a_grant_is_not_told_where_nobody_wants_it(world: World, options: dict[str, Any]) -> None:
    sender = Recording()
    peers(world, sender, **options).notify_peer_granted(SCIENTIST)
    assert names(sender) == []
    peers(world, sender).notify_peer_granted(SCIENTIST)
    assert names(sender) == [("notify_peer_request_granted", SCIENTIST)]


@pytest.mark.parametrize("address", ["", "nobody", "a@b.org, c@d.org", "a@b.org\nBcc: c@d.org", "<a@b.org>", None, "a/b@c.org"])
def test_a_hostile_address_is_refused(world: World, address: Any) -> None:
    sender = Recording()
    with pytest.raises(UsageError, match="ds_email"):
        peers(world, sender).notify_peer_granted(address)
    assert names(sender) == []


def test_a_peer_monitor_swallows_nothing_a_job_monitor_has_to_tell(world: World) -> None:
    sender, other = Recording(), Recording()
    jobs, monitor = watching(world, sender), peers(world, other)
    world.submit("income")
    with pytest.warns(ProblemWarning, match="PeerMonitor: there is no sign-in for Google Drive"):
        monitor.check()
    assert names(other) == []
    jobs.check()
    assert names(sender) == [("notify_new_job", OWNER), ("send_email", SCIENTIST)]


def test_a_grant_that_can_never_be_sent_is_told(world: World) -> None:
    with pytest.warns(ProblemWarning, match=r"PeerMonitor: .*no such mailbox"):
        peers(world, Recording(ChannelError("no such mailbox", kind="permanent"))).notify_peer_granted(SCIENTIST)
    with pytest.warns(ProblemWarning, match=r"PeerMonitor: .*needs a sign-in"):
        peers(world, Recording(SignInError("revoked"))).notify_peer_granted(SECOND)


def test_a_program_ends_although_its_monitor_is_at_work(world: World) -> None:
    code = (
        "import sys, scq as q\n"
        "monitor = q.JobMonitor(sys.argv[1], sys.argv[2], state=q.JsonStateManager(sys.argv[3]))\n"
        "monitor.check()\n"
        "assert monitor.start(3600).is_alive()\n"
    )
    arguments = [str(world.root), OWNER, str(world.owner.home / "state.json")]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, timeout=60, cwd=Path(q.__file__).parents[1])


def test_importing_the_library_loads_nothing_of_the_monitors() -> None:
    heavy = {"jinja2", "yaml", "email", "smtplib", "ssl", "apprise", "googleapiclient", "google.auth"}
    code = f"import sys, scq as q; q.JobMonitor; bad = {heavy} & set(sys.modules); assert not bad, bad"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(q.__file__).parents[1])
