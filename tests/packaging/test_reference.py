"""The reference of the Python API holds every public name, and each says what it does and what it raises."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import scq
from scq import alerts, errors

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs" / "api").glob("*.md"))
SHOWN = [name for page in PAGES for name in re.findall(r"^::: (\S+)$", page.read_text("utf-8"), re.M)]
ERROR = re.compile(r"\b[A-Z]\w+Error\b")


def found(path: str) -> Any:
    """The object that a page shows."""
    module, _, name = path.rpartition(".")
    try:
        return import_module(path)
    except ModuleNotFoundError:
        return getattr(import_module(module), name)


def public_names() -> dict[str, Any]:
    """Everything that a program may use, by the name it has there."""
    return {
        **{f"q.{name}": getattr(scq, name) for name in scq.PUBLIC},
        **{f"alerts.{name}": getattr(alerts, name) for name in alerts.__all__},
        **{
            f"errors.{name}": value
            for name, value in vars(errors).items()
            if inspect.isclass(value) and value.__module__ == errors.__name__
        },
    }


NAMES = public_names()


def shown() -> list[Any]:
    """The objects of the reference: those it names, and what it shows below modules and clients."""
    listed = [found(path) for path in SHOWN]
    below = [
        value
        for item in listed
        if isinstance(item, ModuleType)
        for value in vars(item).values()
        if not isinstance(value, ModuleType)
    ]
    return [*listed, *below]


def is_shown(name: str, value: Any, there: list[Any]) -> bool:
    word = name.removeprefix("q.")
    client = found("scq.library.client.QueueClient")
    return any(item is value for item in there) or (scq.PUBLIC.get(word) == "queue" and hasattr(client, word))


def members(kind: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties of a class that scq itself wrote."""
    for owner in kind.__mro__:
        if owner.__module__.startswith("scq"):
            for name, value in vars(owner).items():
                if not name.startswith("_") and (callable(value) or isinstance(value, property | classmethod | staticmethod)):
                    yield name, value


def documented() -> dict[str, tuple[Any, str]]:
    """(object, docstrings that may speak of it) of every public callable and of the members of every public class."""
    everything: dict[str, tuple[Any, str]] = {}
    for name, value in NAMES.items():
        if not callable(value):
            continue
        own = inspect.getdoc(value) or ""
        everything[name] = (value, own)
        if inspect.isclass(value):
            for word, member in members(value):
                text = inspect.getdoc(member) or ""
                everything[f"{name}.{word}"] = (member, text and f"{text}\n{own}")
    return everything


DOCUMENTED = documented()


def function_of(value: Any) -> Callable[..., Any] | None:
    """The function behind a method, a property or a decorator; None for a class and for an object."""
    plain = value.fget if isinstance(value, property) else inspect.unwrap(getattr(value, "__func__", value))
    return plain if inspect.isfunction(plain) else None


def raised(function: Callable[..., Any]) -> set[str]:
    """Names of the errors that the body of a function raises itself."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    made = [node.exc.func for node in ast.walk(tree) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
    return {node.id for node in made if isinstance(node, ast.Name) and ERROR.fullmatch(node.id)}


def test_every_public_name_is_in_the_reference() -> None:
    there = shown()
    assert [name for name, value in NAMES.items() if not is_shown(name, value, there)] == []


def test_a_name_that_no_page_shows_is_noticed() -> None:
    assert not is_shown("q.nothing", object(), shown())


def test_every_page_of_the_reference_is_in_the_navigation_and_in_its_overview() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8")
    overview = (ROOT / "docs" / "api" / "index.md").read_text("utf-8")
    names = [page.name for page in PAGES]
    assert len(names) > 8
    assert [name for name in names if f"api/{name}" not in navigation] == []
    assert [name for name in names if name != "index.md" and f"]({name})" not in overview] == []


@pytest.mark.parametrize("name", DOCUMENTED)
def test_it_says_what_it_does(name: str) -> None:
    assert DOCUMENTED[name][1]


@pytest.mark.parametrize("name", DOCUMENTED)
def test_it_names_what_it_raises_and_nothing_that_is_not_there(name: str) -> None:
    value, text = DOCUMENTED[name]
    named = set(ERROR.findall(text))
    known = {*vars(errors), *scq.PUBLIC, *vars(builtins)}
    assert named <= known
    function = function_of(value)
    assert function is None or raised(function) <= named
