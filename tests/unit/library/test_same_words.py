"""What is wrong is said in the same words, with the same advice and exit code, by the library and the command line."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

import scq as q
from scq.errors import ScqError
from scq.library.client import QueueClient
from tests.people import OWNER, SCIENTIST, Person, World

ZEROS = "sha256:" + "0" * 64

MISTAKES: dict[str, tuple[str, Callable[[QueueClient], object]]] = {
    "unknown job": ("show nobody", lambda client: client.get_job("nobody")),
    "several jobs": ("show twice", lambda client: client.get_job("twice")),
    "unknown job to decide": ("approve nobody", lambda client: client.approve("nobody")),
    "other content": (f"approve waiting --digest {ZEROS}", lambda client: client.approve("waiting", digest=ZEROS)),
    "bound": ("approve waiting --expires soon", lambda client: client.approve("waiting", expires="soon")),
    "memory": ("approve waiting --memory lots", lambda client: client.approve("waiting", memory="lots")),
    "reviewer": ("approve waiting --by nobody", lambda client: client.approve("waiting", by="nobody")),
    "approve a job that is over": ("approve failed", lambda client: client.approve("failed")),
    "reject a job that is over": ("reject failed", lambda client: client.reject("failed")),
    "cancel a job that is over": ("cancel failed", lambda client: client.cancel("failed")),
    "no reason": ("release failed -r ' '", lambda client: client.release("failed", " ")),
    "nothing to release": ("release failed --no-outputs -r x", lambda client: client.release("failed", "x", outputs=False)),
    "release before it is over": ("release waiting -r x", lambda client: client.release("waiting", "x")),
    "withhold before it is over": ("withhold waiting -r x", lambda client: client.withhold("waiting", "x")),
    "rerun before it is over": ("rerun waiting", lambda client: client.rerun("waiting")),
    "no logs": ("logs waiting", lambda client: client.get_job_logs("waiting")),
    "no such file": ("review waiting --file x", lambda client: client.read_job_file("waiting", "x")),
    "compared with nobody": ("diff waiting nobody", lambda client: client.diff_job("waiting", "nobody")),
    "failed": ("wait failed", lambda client: client.wait_for_completion("failed")),
    "time is up": ("wait waiting --timeout 0", lambda client: client.wait_for_completion("waiting", timeout=0)),
    "no address": ("submit nobody code", lambda client: client.submit_job("nobody", "code")),
    "no folder": (f"submit {OWNER} /nowhere", lambda client: client.submit_job(OWNER, "/nowhere")),
}


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Person:
    world = World(tmp_path_factory.mktemp("world"))
    world.ended("failed", "exit 3\n")
    for name in ("waiting", "twice"):
        world.submit(name)
    world.submit("twice", by=world.second)
    world.owner.scq("check")
    return world.owner


def words(text: str) -> list[str]:
    """What a person reads, whatever the lines: without who says it, and without full stops."""
    return text.replace("scq: ", "").replace(".", " ").split()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_alike(owner: Person, mistake: str) -> None:
    line, call = MISTAKES[mistake]
    said = owner.scq(*shlex.split(line), code=None)
    with pytest.raises(ScqError) as caught:
        call(q.create_client(home=owner.home, root=owner.root, email=owner.email))
    error = caught.value
    assert said.code == error.exit_code != 0
    assert words(f"{error} {error.advice}") == words(said.err or said.out)


def test_broken_settings_are_named_alike(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.owner.configure("job_timeout: often\nsandbox: maybe\n")
    said = world.owner.scq("list", code=78)
    with pytest.raises(ScqError) as caught:
        q.create_client(home=world.owner.home, root=world.root, email=OWNER).my_jobs()
    assert words(f"{caught.value} {caught.value.advice}") == words(said.err)


def test_what_is_not_yours_is_named_alike(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.submit("survey")
    client = q.create_client(home=world.scientist.home, root=world.root, email=SCIENTIST)
    for verb in ("approve", "reject", "rerun"):
        said = world.scientist.scq(verb, "survey", code=2)
        with pytest.raises(ScqError) as caught:
            getattr(client, verb)("survey")
        assert words(f"{caught.value} {caught.value.advice}") == words(said.err)
