"""`scq channels`: the ways of telling somebody, which are usable, and a test message over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scq.clean import line
from scq.config_channels import ChannelSetting
from scq.context import Context
from scq.errors import OK
from scq.report import Report
from scq.telling import as_dict, exit_code, failure, footer_lines, shown, tell
from scq.telling.directory import Directory

TEST = "This is a test message from scq. It reached you, so this channel works."


def run(ctx: Context, *, test: Sequence[str] = (), test_all: bool = False) -> Report:
    """Every channel with its type, whether it can be used or why not, what it is used for and where it comes from.

    A test message goes to those named in `test`, or to all of them; its exit codes are those of `scq send`.
    """
    directory = Directory(ctx)
    rows = [_row(ctx, directory, setting, origin) for setting, origin in directory.settings()]
    names = [str(row["name"]) for row in rows] if test_all else list(test)
    outcomes = tell(ctx, TEST, title="scq test message", channels=names, event="test", footer=footer_lines(ctx)) if names else []
    problems = tuple(ctx.problems) if names else (*ctx.problems, *directory.problems)
    code = exit_code(outcomes, one_is_enough=False) if names else OK
    return Report(
        "channels",
        {"channels": rows, "tests": [as_dict(outcome) for outcome in outcomes]},
        (*(() if names else _lines(rows)), *(shown(outcome) for outcome in outcomes if outcome.ok)),
        problems,
        code,
        tuple(failure(outcome) for outcome in outcomes if not outcome.ok),
    )


def _row(ctx: Context, directory: Directory, setting: ChannelSetting, origin: str) -> dict[str, Any]:
    config = ctx.config
    why = directory.unusable(setting)
    return {
        "name": setting.name,
        "type": setting.type,
        "usable": not why,
        "why": line(why, 500),
        "levels": [level for level, names in config.routing_levels.items() if setting.name in names],
        "events": [event for event, names in config.routing_events.items() if setting.name in names],
        "order": config.routing_order.index(setting.name) + 1 if setting.name in config.routing_order else None,
        "from": origin,
    }


def _lines(rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    width = max((len(row["name"]) for row in rows), default=0)
    kinds = max((len(row["type"]) for row in rows), default=0)
    return tuple(f"{row['name']:<{width}}  {row['type']:<{kinds}}  {_state(row)}{_uses(row)}" for row in rows)


def _state(row: dict[str, Any]) -> str:
    return ("usable" if row["usable"] else f"not usable: {row['why']}") + f"  ({row['from']})"


def _uses(row: dict[str, Any]) -> str:
    uses = [*row["levels"], *row["events"]]
    return f"  for {', '.join(uses)}" if uses else ""
