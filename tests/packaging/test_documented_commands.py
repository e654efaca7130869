"""Every command line of the documents is one that scq takes, and those that can run in a test do what they are said to."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer.main
from typer._click.core import Command, Context
from typer._click.exceptions import ClickException
from typer.core import TyperGroup

from scq.cli.app import app
from scq.errors import FAILED
from tests.people import World

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ROOT / "docs" / "cli.md"
DOCUMENTS = [
    path
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "examples" / "README.md")
    if path != GENERATED
]
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.S | re.M)
CALL = re.compile(r"(?:\$ |sudo )?scq (.*)")
PROSE = re.compile(r"  +[^-\s\[\"'].*")
"""What stands behind a command, two blanks or more away."""

NOT_RUN = {
    "auth google": "opens a browser and asks Google",
    "auth revoke": "needs a sign-in",
    "auth status --online": "asks Google",
    "call": "needs an account of a telephone service",
    "channels --test work-mail": "needs that mail server",
    "channels --test gmail": "needs Google",
    "check --fetch": "needs Google Drive",
    "config set executor slurm": "needs a cluster",
    "exec": "runs programs of the reader",
    "init --import": "needs a folder of the other software",
    "logs notify -f": "goes on until it is interrupted",
    "outbox retry 3f9a2c": "its key is an example",
    "outbox drop 3f9a2c": "its key is an example",
    "outbox show 3f9a2c": "its key is an example",
    "metrics --textfile": "needs node_exporter",
    "peers": "need peers on Google Drive: test_docs.py runs them",
    "restart": "starts a process that stays",
    "schedule install": "changes the machine",
    "schedule remove --user": "changes the machine",
    "send": "goes over channels of the reader",
    "withhold": "is the other answer",
    "sms": "needs an account of a telephone service",
    "start": "starts a process that stays",
    "automate": "needs the program that was installed before",
    "config set approve.command": "needs the program that was installed before",
}
"""Beginnings of commands that are only read here, and why."""
TOUR = "".join(re.findall(r"<!-- as: \w+ -->\n```sh\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S))
"""What two people do one after the other: test_docs.py runs it word for word."""
ENDS: dict[str, int | None] = {"doctor": None, "schedule verify": FAILED, "logs --run": None}
"""Exit codes other than 0. Of the machine that this runs on `doctor` may say anything."""


def documented() -> list[tuple[str, str]]:
    """(document, what follows `scq`) of every command line in a fenced block, once each."""
    found = [
        (document.relative_to(ROOT).as_posix(), call[1])
        for document in DOCUMENTS
        for block in FENCED.findall(document.read_text("utf-8"))
        for line in block.splitlines()
        if (call := CALL.fullmatch(line))
    ]
    return list(dict.fromkeys(found))


def words(line: str) -> list[str]:
    """The arguments of a command as a shell would hand them over, without what is said about it; options in [ ] are left out."""
    bare = PROSE.sub("", line.partition(" && ")[0])
    return shlex.split(re.sub(r"\[[A-Z-][^]]*\]", "", bare.replace("$HOME", os.environ["HOME"])), comments=True)


def leaf(arguments: list[str]) -> tuple[Command, Context]:
    """The verb that these arguments call, after it has read all of them. Raises what click raises for a wrong call."""
    command: Command = typer.main.get_command(app)
    context = command.make_context("scq", list(arguments), obj=SimpleNamespace())
    while isinstance(command, TyperGroup):
        name, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None
        command, context = found, found.make_context(name, rest, parent=context)
    return command, context


def is_run(line: str) -> bool:
    said = shlex.join(words(line))
    return f"scq {line}\n" not in TOUR and not any(said == start or said.startswith(start + " ") for start in NOT_RUN)


COMMANDS = documented()


def as_here(arguments: list[str], world: World) -> list[str]:
    """The arguments with what stands for something of the reader put in."""
    job = world.owner.json("list")["jobs"][0]["id"] if "ID" in arguments else ""
    return [os.path.expanduser({"ID": job, "FOLDER": str(world.root)}.get(word, word)) for word in arguments]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A queue in which one job was answered, so that every verb has something to show."""
    folder = tmp_path_factory.mktemp("documented")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))
        world = World(folder)
        world.ended("count rows", "mkdir -p outputs\necho 42 > outputs/rows.csv\n")
        world.owner.scq("audit", "export", "--to", str(folder / "EXPORT"))
        yield world


def test_there_are_commands_in_the_documents_and_each_reason_still_has_one() -> None:
    assert len(COMMANDS) > 80
    said = [shlex.join(words(line)) for _, line in COMMANDS]
    assert [start for start in NOT_RUN if not any(f"{line} ".startswith(start + " ") for line in said)] == []


@pytest.mark.parametrize(("document", "line"), COMMANDS, ids=[f"{document}: {line[:40]}" for document, line in COMMANDS])
def test_scq_takes_the_command_as_it_is_written(document: str, line: str) -> None:
    leaf(words(line))


@pytest.mark.parametrize("document", sorted({document for document, line in COMMANDS if is_run(line)}))
def test_what_can_run_here_ends_as_it_should(document: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world.folder)
    for line in [line for where, line in COMMANDS if where == document and is_run(line)]:
        said = shlex.join(words(line))
        code = next((code for start, code in ENDS.items() if said.startswith(start)), 0)
        world.owner.scq(*as_here(words(line), world), code=code)


def test_a_wrong_word_in_a_document_is_noticed() -> None:
    for wrong in ("why --nope ID", "schedule instal", "start notify approve"):
        with pytest.raises(ClickException):
            leaf(words(wrong))


def test_commands_that_a_sentence_names_exist_with_their_options() -> None:
    wrong = []
    for document in [*DOCUMENTS, GENERATED]:
        for said in re.findall(r"`scq ([a-z][^`\n]*)`", FENCED.sub("", document.read_text("utf-8"))):
            verb, *rest = words(said.partition(" -- ")[0])
            command = typer.main.get_command(app)
            context = Context(command, info_name="scq")
            command = command.get_command(context, verb) if isinstance(command, TyperGroup) else None
            if isinstance(command, TyperGroup) and rest and not rest[0].startswith("-"):
                command = command.get_command(context, rest.pop(0))
            known = {"--help"} | {name for option in command.params for name in option.opts} if command else set()
            unknown = [word for word in rest if word.startswith("-") and word.partition("=")[0] not in known]
            if command is None or (unknown and not isinstance(command, TyperGroup)):
                wrong.append((document.name, said))
    assert wrong == []
