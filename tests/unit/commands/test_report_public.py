"""`scq report --public`: the page of one submitter depends on nothing but the jobs of this submitter."""

from __future__ import annotations

import os
import re
import shutil
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from scq.commands import report
from scq.config import load
from scq.context import Context
from scq.model import Peer, Trouble
from scq.state import State
from scq.store import Store
from tests.people import OWNER, SCIENTIST, SECOND, Person, World, code_folder

RESULTS = 'cd "${OUTPUT_DIR:-$(mkdir -p outputs && echo outputs)}"\necho 42 > totals.csv\necho 7 > private.csv\n'
FAILING = "echo secret-of-the-owner >&2\nexit 3\n"
LATER = datetime.now(UTC) + timedelta(days=3)


@pytest.fixture
def queue(world: World) -> World:
    """One submitter with a job in each state that can be had quickly."""
    for name in ("out", "kept", "held"):
        world.approved(name, RESULTS)
    world.approved("broken", FAILING)
    world.owner.scq("run-approved", code=None)
    world.owner.scq("release", "out", "--only", "totals.csv", "-r", "note to myself")
    world.owner.scq("withhold", "kept", "-r", "fewer than five people")
    world.submit("waiting")
    world.owner.scq("reject", world.submit("refused"), "-r", "reads too much")
    world.owner.scq("check", "--full")
    return world


def page(owner: Person, address: str = SCIENTIST, **settings: Any) -> str:
    """The page of one submitter as it is made on a certain day."""
    config = load("", {}, {"email": OWNER, "root": str(owner.root)}, home=str(owner.home), strict=False).config
    ctx = Context(replace(config, **settings), str(owner.home), env={}, now=lambda: LATER)
    place = owner.home / "page.html"
    report.run(ctx, html=str(place), public=True, submitter=address)
    return place.read_text()


def others(world: World) -> None:
    """Everything that other people can send: under the same names, damaged, from addresses that look alike, in any state."""
    for name in ("out", "broken", "waiting", "new"):
        world.owner.scq("approve", world.submit(name, RESULTS, by=world.second))
    world.owner.scq("run-approved", code=None)
    world.owner.scq("reject", world.submit("refused", by=world.second), "-r", "of the second")
    world.submit("flat", by=world.second, layout="a3")
    inbox = world.root / OWNER / "app_data" / "job" / "inbox"
    for address in (f"s{SCIENTIST}", "scientist+x@example.com", "scientist@example.com.evil.org", "scienti\u017ft@example.com"):
        shutil.copytree(inbox / SECOND / "new", inbox / address / "look-alike")
    os.mkfifo(inbox / SECOND / "out" / "fifo")
    (inbox / SECOND / "link").symlink_to("/etc")
    (inbox / SECOND / "file").write_text("no folder")
    (inbox / SECOND / "v00007").mkdir()
    elsewhere = code_folder(world.folder / "code" / "elsewhere")
    world.scientist.scq("submit", SECOND, str(elsewhere), "--name", "at-somebody-else")
    (inbox / "loop").symlink_to(inbox)


def private(world: World) -> Person:
    """The owner with everything private changed: another home and root, peers, troubles, and a log that does not hold."""
    root, home = world.folder / "Elsewhere", world.folder / "other-home"
    world.root.rename(root)
    shutil.copytree(world.owner.home, home)
    owner = Person(home, root, OWNER, "sandbox: none\nnotify:\n  monitor_jobs: false\n")

    def changed(state: State) -> State:
        peers = {"p@example.org": Peer("p@example.org", "pending", LATER)}
        return replace(state, peers=peers, troubles={"channel x": Trouble("refused", LATER, "see /etc")})

    Store(str(home)).update(changed)
    (home / "audit.jsonl").write_bytes(b"\xff no log\n")
    return owner


def test_a_page_is_the_same_whatever_others_sent_and_whatever_is_private_to_the_owner(
    queue: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = page(queue.owner)
    for name in ("out", "kept", "held", "broken", "waiting", "refused"):
        assert f"<bdi>{name}</bdi>" in before
    others(queue)
    assert page(queue.owner) == before
    queue.owner.scq("check", "--full", code=None)
    assert page(queue.owner) == before
    owner = private(queue)
    changed: dict[str, Any] = {
        "sandbox": "bwrap",
        "deny": ("network",),
        "network": "full",
        "retry_interrupted": True,
        "output_bytes": 7,
    }
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Kathmandu")
        time.tzset()
        elsewhere = page(owner, **changed)
    time.tzset()
    assert elsewhere == before
    assert SECOND not in before
    for word in ("private.csv", "note to myself", "secret-of-the-owner", str(queue.folder), os.uname().nodename):
        assert word not in before


def test_an_address_that_only_looks_like_it_is_another_one(world: World) -> None:
    world.submit("of-the-second", by=world.second)
    inbox = world.root / OWNER / "app_data" / "job" / "inbox"
    for name, address in enumerate(("MARK@example.com", "mar\u212a@example.com", "m\u0430rk@example.com", "mark+a@example.com")):
        shutil.copytree(inbox / SECOND / "of-the-second", inbox / address / f"job-{name}")
    shown = page(world.owner, "mark@example.com")
    assert set(re.findall("job-[0-9]", shown)) == {"job-0"}


def test_a_submitter_is_not_told_what_no_message_tells_him(queue: World) -> None:
    """The owner alone is told that content changed after it was approved, and how his reviewers voted."""
    place = queue.place("waiting") / "run.sh"
    queue.owner.scq("approve", "waiting", "-r", "reads totals only")
    place.write_text(place.read_text() + "echo more\n")
    queue.owner.scq("check", "--full", code=None)
    assert queue.owner.job("waiting")["changed"]
    shown = page(queue.owner)
    assert "has changed" not in shown
    assert "reads totals only" not in shown


def test_reasons_of_approvals_for_more_than_one_reviewer_stay_with_the_owner(world: World) -> None:
    world.submit("waiting")
    world.owner.configure("sandbox: none\napprovals:\n  quorum: 2\n  reviewers: [one@example.org, two@example.org]\n")
    world.owner.scq("approve", "waiting", "--by", "one@example.org", "-r", "first words")
    shown = page(world.owner)
    for word in ("one@example.org", "first words", "quorum", "approved 2"):
        assert word not in shown
