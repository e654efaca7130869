"""Calls of schedulers are read without typer: the same words mean the same, and every other word is left to typer."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module

import pytest

from scq.cli import app, shortcut
from scq.cli.session import COMPLETING
from scq.cli.shortcut import MANNERS, PLACES, VERBS, understand
from tests.people import World


def said(call: Callable[[Sequence[str]], int], arguments: list[str]) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = call(arguments)
    return code, out.getvalue(), err.getvalue()


def options_of(verb: str) -> dict[str, str]:
    """Every word that sets a parameter of a verb to true, as typer knows it."""
    main = app.typer.main.get_command(app.app)
    command = main.get_command(main.make_context("scq", [], resilient_parsing=True), verb)  # type: ignore[attr-defined]
    return {word: param.name for param in command.params for word in param.opts if getattr(param, "is_flag", False)}


@pytest.mark.parametrize("verb", VERBS)
def test_every_flag_is_one_that_typer_knows_and_the_verb_takes(verb: str) -> None:
    known = options_of(verb)
    assert {word: known.get(word) for word in (*VERBS[verb], *MANNERS)} == VERBS[verb] | MANNERS
    taken = inspect.signature(import_module(f"scq.commands.{verb.replace('-', '_')}").run).parameters
    assert set(VERBS[verb].values()) <= set(taken)


def test_every_place_is_an_option_before_the_verb() -> None:
    main = app.typer.main.get_command(app.app)
    assert set(PLACES) <= {word for param in main.params for word in param.opts}


@pytest.mark.parametrize(
    "words",
    [
        "status",
        "status --json",
        "status --exit-code",
        "pending --exit-code --json",
        "list --for-me",
        "list --mine -q",
        "check --dry-run",
        "check --full --json --dry-run",
        "run-approved --dry-run",
        "notify --dry-run -v",
    ],
)
def test_both_ways_of_reading_a_call_lead_to_the_same(world: World, words: str) -> None:
    world.submit()
    arguments = ["--home", str(world.owner.home), "--root", str(world.root), "--email", world.owner.email, *words.split()]
    assert understand(arguments) is not None
    assert _steady(said(shortcut.call, arguments)) == _steady(said(app.call, arguments))


def _steady(answer: tuple[int, str, str]) -> tuple[int, str, str]:
    """Without what the clock changes between two calls."""
    code, out, err = answer
    return code, "".join(letter for letter in out if not letter.isdigit()), err


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize(
    "words",
    [
        "",
        "--help",
        "--version",
        "check --help",
        "check extra",
        "check --ful",
        "check -f",
        "check --full=yes",
        "--home=/x check",
        "--home",
        "--home check",
        "--home --root check",
        "--lock-timeout 1 check",
        "--json check",
        "review 1234",
        "run-approved --job 1234",
        "run-approved --timeout 5",
        "list --limit 3",
        "chekc",
    ],
)
def test_anything_else_is_left_to_typer(words: str) -> None:
    assert understand(words.split()) is None


def test_a_call_that_was_left_to_typer_is_answered(world: World) -> None:
    code, _, err = said(shortcut.call, ["chekc"])
    assert (code, "Did you mean check?" in err) == (2, True)
    code, out, _ = said(shortcut.call, ["--help"])
    assert (code, "run-approved" in out) == (0, True)


def test_completion_is_left_to_typer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Sequence[str]] = []
    monkeypatch.setenv(COMPLETING, "complete_bash")
    monkeypatch.setattr(app, "call", lambda arguments: asked.append(arguments) or 0)
    assert shortcut.call(["status"]) == 0
    assert asked == [["status"]]


def test_failures_have_the_same_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("broken")
    (folder / "config.yaml").write_text("do_email: 7\n")
    arguments = ["--home", str(folder), "status", "--json"]
    answer = said(shortcut.call, arguments)
    assert answer == said(app.call, arguments)
    assert answer[0] == 78
