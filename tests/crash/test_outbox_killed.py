"""Killed at every step of delivering: no message is lost, and one that comes twice says that it may be a repeat.

Calls are made in forks that end as a SIGKILL ends a process, at an effect that a seed chooses; the channel appends each message
to a file, so that nothing recognises a repeat but its mark. A few real processes are really killed as well.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from scq.commands import notify
from scq.config_channels import ChannelSetting
from scq.config_values import Config, Notify
from scq.context import Context
from scq.errors import BUSY
from scq.ports import Message, Receipt
from scq.store import Store
from tests.people import OWNER, SCIENTIST, SECOND, World

SEEDS = range(100)
EFFECTS = ("replace", "rename", "link", "unlink", "fsync", "write")
MOST = 130
"""About the number of effects one call has; a number beyond them kills nothing."""


class Delivered(NamedTuple):
    key: str
    recipient: str
    job: str
    marked: bool


class Ledger:
    """A channel whose messages stay, whatever happens to the one who sends them. Takes each one, also twice."""

    name = "post"

    def __init__(self, path: Path, step: Callable[[], None] = lambda: None) -> None:
        self.path = path
        self.step = step

    def usable(self) -> str:
        return ""

    def send(self, message: Message) -> Receipt:
        self.step()
        marked = "repeat" in message.text.lower()
        line = json.dumps([message.key, message.recipient, message.job_id, marked]) + "\n"
        with self.path.open("a") as file:
            file.write(line)
        self.step()
        return Receipt("taken")

    def delivered(self) -> list[Delivered]:
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return [Delivered(*json.loads(line)) for line in lines]


class Office:
    """An owner's home, on a SyftBox with two new jobs of the same name."""

    def __init__(self, folder: Path, root: Path, fresh: Path) -> None:
        self.home, self.ledger = folder / "home", folder / "ledger"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(fresh, self.home)
        self.config = Config(
            email=OWNER, root=str(root), channels=(ChannelSetting("post", "file"),), notify=Notify(remind_after=0.0)
        )

    def call(self, step: Callable[[], None] = lambda: None) -> None:
        ctx = Context(self.config, str(self.home), env={})
        ctx.channels["post"] = Ledger(self.ledger, step)
        notify.run(ctx)

    def killed_call(self, number: int) -> None:
        """A call that ends at the effect of that number without another word."""
        pid = os.fork()
        if pid == 0:
            code = 3
            try:
                self.call(armed(number))
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        assert status in (0, signal.SIGKILL), status


def armed(number: int) -> Callable[[], None]:
    """Count effects of this process and kill it at the one of that number."""
    count = 0

    def step() -> None:
        nonlocal count
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def effect(*arguments: Any, **options: Any) -> Any:
            step()
            return function(*arguments, **options)

        return effect

    for name in EFFECTS:
        setattr(os, name, counted(getattr(os, name) if name != "fsync" else lambda descriptor: None))
    return step


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(SyftBox with two new jobs of the same name from two people, home of an owner who has not seen them)."""
    folder = tmp_path_factory.mktemp("start")
    world = World(folder)
    world.owner.scq("check")
    home = folder / "fresh"
    shutil.copytree(world.owner.home, home)
    world.submit("survey", layout="a3")
    world.submit("survey", layout="a3", by=world.second)
    return world.root, home


@pytest.mark.parametrize("first", range(0, len(SEEDS), 20))
def test_whenever_a_call_is_killed_nothing_is_lost_and_every_repeat_is_marked(
    tmp_path: Path, start: tuple[Path, Path], first: int
) -> None:
    root, fresh = start
    for seed in SEEDS[first : first + 20]:
        chance = random.Random(seed)
        office = Office(tmp_path / "office", root, fresh)
        kills = [chance.randint(1, MOST) for _ in range(chance.randint(1, 3))]
        for number in kills:
            office.killed_call(number)
        office.call()
        told = Ledger(office.ledger).delivered()
        by_key: dict[str, list[Delivered]] = {}
        for message in told:
            by_key.setdefault(message.key, []).append(message)
        assert sorted(messages[0].recipient for messages in by_key.values()) == sorted([OWNER, OWNER, SCIENTIST, SECOND]), kills
        assert len({(message.recipient, message.job) for message in told}) == len(by_key), kills
        assert all(again.marked for messages in by_key.values() for again in messages[1:]), (seed, kills)
        states = {row.state for row in Store(str(office.home)).load().outbox.values()}
        assert states == {"sent"}, (seed, kills)
        office.call()
        assert Ledger(office.ledger).delivered() == told, "and then it is over"


def test_the_kills_above_reach_every_kind_of_step(tmp_path: Path, start: tuple[Path, Path]) -> None:
    root, fresh = start
    seen: set[tuple[str, ...]] = set()
    for number in range(1, MOST, 3):
        office = Office(tmp_path / "office", root, fresh)
        office.killed_call(number)
        rows = Store(str(office.home)).load().outbox.values()
        told = len(Ledger(office.ledger).delivered())
        seen.add((*sorted(row.state for row in rows), f"{told} delivered"))
    assert {
        ("queued", "queued", "queued", "sending", "0 delivered"),
        ("queued", "queued", "queued", "sending", "1 delivered"),
    } <= seen
    assert ("sent", "sent", "sent", "sent", "4 delivered") in seen
    assert ("0 delivered",) in seen


def test_two_submitters_with_the_same_job_name_are_both_told(tmp_path: Path, start: tuple[Path, Path]) -> None:
    office = Office(tmp_path / "office", *start)
    office.call()
    told = Ledger(office.ledger).delivered()
    assert len({message.job for message in told}) == 2
    assert sorted(message.recipient for message in told) == sorted([OWNER, OWNER, SCIENTIST, SECOND])


def test_a_truncated_state_is_replaced_by_its_backup_and_nothing_is_sent_again(tmp_path: Path, start: tuple[Path, Path]) -> None:
    office = Office(tmp_path / "office", *start)
    office.call()
    told = Ledger(office.ledger).delivered()
    state = office.home / "state.json"
    state.write_bytes(state.read_bytes()[: state.stat().st_size // 2])
    office.call()
    assert Ledger(office.ledger).delivered() == told
    assert list(office.home.glob("state.json.corrupt-*")), "the damaged one is kept"


# real processes

PROGRAM = 'while [ ! -e "$1/go" ]; do sleep 0.01; done; cat >> "$1/log"; echo >> "$1/log"'


class Machine:
    """An owner whose messages go to a program that waits until the test lets it go on."""

    def __init__(self, folder: Path, jobs: int) -> None:
        self.folder = folder
        self.world = World(folder)
        self.world.owner.configure(
            "sandbox: none\nnotify: {remind_after: 0}\nchannels:\n"
            f"  program: {{type: exec, command: [/bin/sh, -c, '{PROGRAM}', program, {folder}]}}\n"
        )
        self.world.owner.scq("check")
        for number in range(jobs):
            self.world.submit(f"job-{number}", layout="a3")
        self.world.owner.scq("check")

    def start(self) -> subprocess.Popen[bytes]:
        owner = self.world.owner
        place = ["--home", str(owner.home), "--root", str(owner.root), "--email", owner.email]
        command = [sys.executable, "-m", "scq", *place, "notify"]
        checkout = Path(notify.__file__).parents[2]
        return subprocess.Popen(command, cwd=checkout, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)

    def states(self) -> list[str]:
        return sorted(row.state for row in Store(str(self.world.owner.home)).load().outbox.values())

    def delivered(self) -> list[dict[str, Any]]:
        log = self.folder / "log"
        return [json.loads(line) for line in log.read_text().splitlines() if line] if log.exists() else []

    def go(self) -> None:
        (self.folder / "go").touch()


def until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def test_of_two_calls_at_once_one_sends_and_the_other_exits_75_and_each_message_comes_once(tmp_path: Path) -> None:
    machine = Machine(tmp_path, 3)
    first = machine.start()
    until(lambda: "sending" in machine.states())
    second = machine.start()
    assert second.communicate(timeout=60) == (b"", b"")
    assert second.returncode == BUSY
    machine.go()
    first.communicate(timeout=60)
    assert first.returncode == 0
    keys = [message["key"] for message in machine.delivered()]
    assert len(keys) == len(set(keys)) == 3


@pytest.mark.parametrize("sent", [0, 1])
def test_a_process_that_is_really_killed_while_it_sends_loses_nothing(tmp_path: Path, sent: int) -> None:
    machine = Machine(tmp_path, 2)
    victim = machine.start()
    until(lambda: "sending" in machine.states())
    if sent:
        machine.go()
        until(lambda: len(machine.delivered()) >= 1)
    os.killpg(victim.pid, signal.SIGKILL)
    victim.communicate(timeout=60)
    machine.go()
    ended = machine.start()
    ended.communicate(timeout=60)
    assert ended.returncode == 0
    assert machine.states() == ["sent", "sent"]
    told = machine.delivered()
    keys = [message["key"] for message in told]
    assert len(set(keys)) == 2
    again = [message for number, message in enumerate(told) if message["key"] in keys[:number]]
    assert all("repeat" in message["text"].lower() for message in again)
