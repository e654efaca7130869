"""Writes docs/cli.md from the command line itself: `python -m scq.cli.reference > docs/cli.md`.

What stands here is only what the command line cannot say about itself.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence

import typer
from typer._click.core import Command, Context  # typer carries its own click since 0.26
from typer.core import TyperArgument, TyperGroup, TyperOption

from scq.cli.app import VERBS, app

HEAD = """\
<!-- Written by `python -m scq.cli.reference > docs/cli.md`; do not edit. -->
# Command line

```
scq [GLOBAL OPTIONS] VERB [OPTIONS] ARGUMENTS
```

Every call looks once, acts, writes down what it did, and exits. Results go to stdout, everything else to stderr. Every verb that
writes has `--dry-run`. What `--json` prints is described in [json.md](json.md), settings in [configuration.md](configuration.md).

`ID` is the id of a job, any beginning of it that no other job has (four characters or more), or a name that only one job has.

The way of a job, for its owner: `scq pending`, `scq review ID`, `scq approve ID`, `scq run-approved`, `scq output ID`,
`scq release ID`. Where one stands and why: `scq status`, `scq why ID`. To have the calls made for you: `scq schedule install`.
"""
CODES = {
    0: "done, or nothing to do",
    1: "something failed; the report names it",
    2: "wrong usage",
    3: "only with `--exit-code`: somebody has to act",
    4: "a job that was run or waited for failed, or was rejected",
    5: "integrity: the content, or a log, is not what it was",
    70: "a bug in scq; a report file was written and its path printed",
    75: "busy, or a source cannot be reached: try again later",
    77: "sign-in needed",
    78: "the configuration, the stored state or the sandbox cannot be used",
    130: "interrupted with Ctrl-C",
}
VARIABLES = {
    "SCQ_HOME": "as `--home`",
    "SCQ_ROOT": "as `--root`",
    "SCQ_EMAIL": "as `--email`",
    "SCQ_CONFIG": "as `--config`",
    "SYFTBOX_FOLDER, SYFTBOX_EMAIL, SYFTBOX_CLIENT_CONFIG_PATH": (
        "what the SyftBox client sets, see [configuration.md](configuration.md)"
    ),
    "SYFT_DEFAULT_JOB_TIMEOUT_SECONDS": "wall-clock limit of a job, unless config.yaml sets one",
    "NO_COLOR": "no colours on a terminal, whatever its value",
    "PAGER": "shows long texts on a terminal",
}
COMPLETION = """\
## Completion

```
scq --install-completion          # for the shell it is called from: bash, zsh or fish
scq --show-completion             # only prints the script
```

After that, and in a new terminal, the Tab key completes verbs, options, and what `scq` remembers: ids of jobs that fit the verb
(zsh and fish also show status and name), names, messages, peers, channels, services, keys of config.yaml. It looks nowhere else:
a job that no `scq check` has seen is not proposed. Names that a shell could misread are never proposed; their ids are.
"""
BAR = "\\|"
"""A bar inside a table, also inside code."""
COMMON = ("as_json", "quiet", "verbose", "help")
"""Options that all verbs have."""
EVERY_VERB = [
    ("`--json`", "Print one JSON document."),
    ("`-q`, `--quiet`", "Print nothing but errors."),
    ("`-v`, `--verbose`", "Say more on stderr."),
    ("`-h`, `--help`", "Show what can be said, and exit."),
]


def document() -> str:
    """All of docs/cli.md: the same on every machine and for every width of a terminal."""
    root = typer.main.get_group(app)
    context = Context(root, info_name="scq")
    return "\n".join([*_general(root, context), "", *_verbs(root, context)]).rstrip() + "\n"


def _general(root: Command, context: Context) -> Iterator[str]:
    yield HEAD
    yield from _table(("verb", ""), [(f"[`{name}`](#scq-{name})", _cell(text)) for name, (_, text) in VERBS.items()])
    yield "\n## Global options\n\nThey stand before the verb.\n"
    options = [param for param in root.params if isinstance(param, TyperOption)]
    yield from _table(("option", ""), [(_names(option, context), _meaning(option)) for option in options])
    yield "\n## Options of every verb\n"
    yield from _table(("option", ""), EVERY_VERB)
    yield "\n## Environment variables\n"
    yield from _table(("variable", ""), [(_code(*name.split(", ")), text) for name, text in VARIABLES.items()])
    yield "\n## Exit codes\n"
    yield from _table(("exit", "meaning"), [(str(code), meaning) for code, meaning in CODES.items()])
    yield "\n" + COMPLETION
    yield "## Verbs"


def _verbs(root: TyperGroup, context: Context) -> Iterator[str]:
    for name, (_, text) in VERBS.items():
        command = root.get_command(context, name)
        yield f"### scq {name}\n"
        if isinstance(command, TyperGroup):
            yield f"{_prose(command.help or text)}\n"
            for word, leaf in command.commands.items():
                yield f"#### scq {name} {word}\n"
                yield from _verb(leaf, f"scq {name} {word}")
        elif command is not None:
            yield from _verb(command, f"scq {name}")


def _verb(command: Command, called: str) -> Iterator[str]:
    context = Context(command, info_name=called)
    own = [param for param in command.params if param.name not in COMMON]
    arguments = [param for param in own if isinstance(param, TyperArgument)]
    options = [param for param in own if isinstance(param, TyperOption) and not param.hidden]
    words = " ".join(argument.make_metavar(context) for argument in arguments)
    yield f"{_prose(command.help or '')}\n"
    yield f"```\n{called} [OPTIONS] {words}".rstrip() + "\n```\n"
    rows = [(f"`{argument.make_metavar(context)}`", _cell(argument.help or ""), "") for argument in arguments]
    rows += [(_names(option, context), _meaning(option), _default(option)) for option in options]
    if rows:
        yield from _table(("", "", "default"), rows)
        yield ""


def _names(option: TyperOption, context: Context) -> str:
    """Every spelling of an option, with the word for its value."""
    shown = sorted(option.opts, key=len) + option.secondary_opts
    value = "" if _is_flag(option) else " " + _value(option, context)
    return _code(*shown[:-1], shown[-1] + value)


def _is_flag(option: TyperOption) -> bool:
    return option.is_flag or option.type.name == "boolean"


def _value(option: TyperOption, context: Context) -> str:
    kind = option.type.name
    usual = "TEXT" if kind in ("text", "str") else "NUMBER" if kind.startswith(("int", "float")) else ""
    return option.metavar or usual or option.make_metavar(context).strip("<>").upper()


def _meaning(option: TyperOption) -> str:
    bounds = [(word, getattr(option.type, side, None)) for word, side in (("at least", "min"), ("at most", "max"))]
    told = ", ".join(f"{word} {limit:g}" for word, limit in bounds if limit)
    return _cell(f"{option.help or ''} {told and told.capitalize() + '.'}".strip())


def _default(option: TyperOption) -> str:
    """What holds when the option is not given, where that says something."""
    value = option.default
    if not option.show_default or value is None or value == "" or callable(value):
        return ""
    if isinstance(value, bool):
        return _code(option.opts[0] if value else option.secondary_opts[0]) if option.secondary_opts else ""
    return _code(f"{value:g}" if isinstance(value, float) else str(value))


def _code(*words: str) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', BAR) for cell in row)} |"


def _cell(text: str) -> str:
    return _prose(" ".join(text.split()))


def _prose(text: str) -> str:
    """A text in which Markdown sees only what stands in backticks."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([*<])", r"\\\1", part) for part in parts)


if __name__ == "__main__":
    sys.stdout.write(document())
