"""The words of shell scripts and requirements files: commands, their options, logical lines. Pure: nothing is expanded or run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

from scq.clean import line as shown
from scq.errors import DependencyError

_FLAGS = """
-q --quiet -v -vv --verbose -U --upgrade --user --no-cache-dir --no-cache -n --disable-pip-version-check --no-input --system
--no-warn-script-location --break-system-packages --prefer-binary --no-deps --force-reinstall --reinstall --require-hashes
--compile --compile-bytecode --no-color --exact --strict --native-tls --no-progress --no-config --offline --no-build --seed
--clear --allow-existing --no-managed-python --frozen --locked --isolated --no-sync --no-project --active --inexact --no-dev
--relocatable --system-site-packages --force --dry-run --no-active --all-packages --verify-hashes --no-build-isolation
--dev --all-extras --all-groups --no-default-groups --no-install-project --no-editable --no-python-downloads --pre --no-index
"""
_VALUED = """
-r --requirement --requirements -c --constraint --constraints -e --editable -p --python --with -t --target --prefix --root
--timeout --retries --progress-bar --only-binary --link-mode --resolution --prerelease --root-user-action --upgrade-strategy
--color --prompt --extra --group --no-group --only-group --no-extra --cache-dir -m --module -P --upgrade-package
--python-preference --script
"""
_ELSEWHERE = """
-i --index-url --extra-index-url --index --default-index -f --find-links --trusted-host --allow-insecure-host --proxy
"""
FLAGS, VALUED, ELSEWHERE = (frozenset(words.split()) for words in (_FLAGS, _VALUED, _ELSEWHERE))
"""Options of pip and uv: without a value, with one, and those that take packages from elsewhere than the index."""

JOINED_LINES = 30
"""Most lines that one command with an open quote or a trailing backslash may take; what is longer is passed over."""
JOINED_LENGTH = 1 << 13
"""Most characters of one command."""
LOGICAL_LIMIT = 1 << 15
"""Most characters of one line of a requirements file with its continuations: room for the hashes of some 380 files."""
_INTERESTING = re.compile(
    r"\b(?:pip|uv|cd|bash|sh|source|python|conda|mamba|poetry|hatch|pixi|pdm)|(?:^|[\s;&(])\.{1,2}[/\s]|\.sh\b|<<|[()]"
)
"""What a line must hold to be looked at more closely."""
_HERE_DOCUMENT = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
_SEPARATORS = frozenset("();|&")


def commands(script: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, words) of every simple command that may matter here; `(` and `)` come as commands of their own.

    Quotes are taken off, redirections and comments left out, and here-documents passed over.
    """
    lines = script.splitlines()
    last = {line.strip(): number for number, line in enumerate(lines)}
    at = 0
    while at < len(lines):
        start, text = at, lines[at]
        at += 1
        if text.lstrip().startswith("#") or not (_INTERESTING.search(text) or text.endswith("\\")):
            continue
        words = None
        while len(text) <= JOINED_LENGTH:
            words = None if text.endswith("\\") else _words(text)
            if words is not None or at >= len(lines) or at - start >= JOINED_LINES:
                break
            text, at = (f"{text[:-1]} {lines[at]}" if text.endswith("\\") else f"{text}\n{lines[at]}"), at + 1
        ending = _HERE_DOCUMENT.search(text)
        if ending is not None and "<<<" not in text and last.get(ending[2], -1) >= at:
            at = next(number + 1 for number in range(at, len(lines)) if lines[number].strip() == ending[2])
        yield from ((start + 1, command) for command in _split(words or []))


def _words(text: str) -> list[str] | None:
    """The words of a piece of script with its operators as words, None when a quote is open."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    try:
        for word in lexer:
            if word.startswith("#"):
                break
            words.append(word)
    except ValueError:
        return None
    return words


def _split(words: list[str]) -> Iterator[list[str]]:
    """Simple commands, without their redirections."""
    command: list[str] = []
    passing = False
    for word in words:
        if word and set(word) <= {*"<>&"} and set(word) & {*"<>"}:
            if command and command[-1].isdigit():
                command.pop()
            passing = True
        elif word and set(word) <= _SEPARATORS:
            if command:
                yield command
            command, passing = [], False
            yield from ([sign] for sign in word if sign in "()")
        elif passing:
            passing = False
        else:
            command.append(word)
    if command:
        yield command


def logical_lines(text: str, path: str) -> Iterator[tuple[int, str]]:
    """(line number, content) of a requirements file: continued lines joined, comments and blank lines left out.

    Raises DependencyError for one that is longer than any honest line.
    """
    parts: list[str] = []
    first = length = 0
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        first, length = first or number, length + len(line)
        if length > LOGICAL_LIMIT:
            what = f"{path} line {first}: is longer than {LOGICAL_LIMIT} characters"
            raise DependencyError(what, "Ask for one requirement a line.")
        goes_on = line.endswith("\\") and not line.lstrip().startswith("#")
        parts.append(f"{line[:-1]} " if goes_on else line)
        if not goes_on:
            entry = re.sub(r"(^|\s)#.*$", "", "".join(parts)).strip()
            if entry:
                yield first, entry
            parts, first, length = [], 0, 0
    entry = "".join(parts).strip()
    if entry:
        yield first, entry


def split_options(words: Sequence[str], where: str, *, until_first: bool = False) -> tuple[list[str], list[tuple[str, str]]]:
    """(names, options with their values) of an installing command, with `until_first` only up to the first name.

    Raises DependencyError for an option that takes packages from elsewhere, or that nobody here knows.
    """
    names: list[str] = []
    options: list[tuple[str, str]] = []
    rest = iter(words)
    for word in rest:
        if word == "--":
            names += rest
            break
        if not word.startswith("-") or word == "-":
            names.append(word)
            if until_first:
                break
            continue
        option, value = _parts(word)
        if option in ELSEWHERE:
            what = f"{where}: {option} takes packages from elsewhere than the index of this machine"
            raise DependencyError(what, "Ask for a submission without it; the owner chooses the index with prepare.index.")
        if option in VALUED:
            value = next(rest, None) if value is None else value
            if value is None:
                raise DependencyError(f"{where}: {option} lacks its value", "Ask for a corrected script.")
            options.append((option, value))
        elif option in FLAGS:
            options.append((option, ""))
        else:
            raise DependencyError(
                f"{where}: the option {shown(option, 40)!r} is not known here", "Ask for a submission without it."
            )
    return names, options


def _parts(word: str) -> tuple[str, str | None]:
    """Option and attached value: `--python=3.12`, `-rfile`; None when no value is attached."""
    if word.startswith("--"):
        option, equals, value = word.partition("=")
        return option, value if equals else None
    if word in FLAGS or word[:2] not in VALUED | ELSEWHERE:
        return word, None
    return word[:2], word[2:].removeprefix("=") or None
