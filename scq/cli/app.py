"""The command line: global options, and verbs that are loaded only when they are called."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Annotated, Any

import typer
from typer._click.core import Command, Context, Parameter  # typer carries its own click since 0.26
from typer._click.exceptions import ClickException, NoArgsIsHelpError
from typer._click.exceptions import UsageError as ClickUsageError
from typer._click.formatting import HelpFormatter
from typer.core import TyperGroup, TyperOption

from scq import __version__
from scq.cli.session import COMPLETING, HOME, Session, guarded
from scq.errors import OK, USAGE, UsageError

VERBS: dict[str, tuple[str, str]] = {
    "init": ("setup:init", "Write the configuration, or add to it."),
    "config": ("setup:config", "Show, read, change or check the configuration."),
    "doctor": ("setup:doctor", "Check everything a job needs and say what to do."),
    "demo": ("setup:demo", "Run the whole main job on a temporary SyftBox."),
    "submit": ("submit:submit", "Send code to a data owner."),
    "list": ("read:list_", "List jobs."),
    "pending": ("read:pending", "List the jobs that wait for your decision."),
    "show": ("read:show", "Show everything known about one job."),
    "review": ("read:review", "Read everything of a job that can execute, or every waiting job in turn."),
    "diff": ("read:diff", "Compare a job with the last approved one, or another."),
    "approve": ("decide:approve", "Allow exactly this content to run."),
    "reject": ("decide:reject", "Refuse a job, with a reason."),
    "cancel": ("decide:cancel", "Withdraw a job, or end one that is out on a cluster."),
    "check": ("work:check", "Look once and say what is new."),
    "run-approved": ("work:run_approved", "Run what is approved, and answer."),
    "notify": ("work:notify", "Look once and deliver the messages that are due."),
    "cycle": ("work:cycle", "One look, then everything: run, tell people, clean up."),
    "automate": ("work:automate", "Run your own approval program once, if jobs wait."),
    "peers": ("peers:peers", "Who may send you jobs: list, show, accept, reject, tell."),
    "outbox": ("outbox:outbox", "Messages: list, show, try again, drop."),
    "send": ("telling:send", "Tell somebody something now."),
    "call": ("telling:call", "Call a phone and read a text."),
    "sms": ("telling:sms", "Send a text message to a phone."),
    "exec": ("telling:exec_", "Run a command and tell how it ended."),
    "channels": ("telling:channels", "The ways of telling somebody, and which are usable."),
    "template": ("template:template", "Templates of messages: list, show, preview, eject."),
    "auth": ("auth:auth", "Sign in to Google, look at sign-ins, give them back."),
    "schedule": ("schedule:schedule", "Have calls made at intervals: install, remove, show, verify."),
    "start": ("schedule:start", "Let a service make its calls."),
    "stop": ("schedule:stop", "Let a service rest."),
    "restart": ("schedule:restart", "Stop a service and start it again."),
    "metrics": ("metrics:metrics", "Numbers for Prometheus."),
    "status": ("read:status", "How the queue is doing."),
    "why": ("read:why", "What a job waits for, and what happens next."),
    "report": ("report:report", "A page for the browser about the queue."),
    "logs": ("logs:logs", "What a job wrote while it ran, or what a service did."),
    "output": ("read:output", "Look into the result files of a job, or copy them."),
    "wait": ("read:wait", "Wait until a job is over."),
    "rerun": ("work:rerun", "Let a finished job run once more."),
    "release": ("results:release", "Let chosen results of a job leave."),
    "withhold": ("results:withhold", "Answer a job without its results."),
    "share": ("results:share", "Let the submitter read outputs or logs."),
    "cleanup": ("work:cleanup", "Remove jobs that ended long ago."),
    "reset": ("work:reset", "Delete every job. Cannot be undone."),
    "audit": ("audit:audit", "Who decided what, and what was run."),
}
"""Verb to (module:function below scq.cli, help line). Help lines stand here so that `scq --help` loads no verb."""


class LazyGroup(TyperGroup):
    """Loads a verb's module when the verb is called, and gives every verb the options all of them have."""

    def list_commands(self, ctx: Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        if cmd_name not in VERBS:
            return None
        place, help_line = VERBS[cmd_name]
        module, attribute = place.split(":")
        part: Any = getattr(import_module(f"scq.cli.{module}"), attribute)
        app = part if isinstance(part, typer.Typer) else _single(part)
        command = typer.main.get_command(app)
        command.name = cmd_name
        command.help = command.help or help_line
        for leaf in _leaves(command):
            leaf.params.extend(_common_options())
        return command

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        if args[0] not in VERBS and not ctx.resilient_parsing:
            near = get_close_matches(args[0], VERBS, n=2)
            ctx.fail(f"No such command {args[0]!r}." + (f" Did you mean {' or '.join(near)}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_line) for name, (_, help_line) in VERBS.items()])


def _single(function: Any) -> typer.Typer:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(function)
    return app


def _leaves(command: Command) -> list[Command]:
    if isinstance(command, TyperGroup):
        return [leaf for name in command.commands for leaf in _leaves(command.commands[name])]
    return [command]


def _common_options() -> list[Parameter]:
    def note(ctx: Context, param: Parameter, value: bool) -> None:
        if value and param.name:
            setattr(ctx.find_root().obj, param.name, True)

    flags = (
        (("--json",), "as_json", "Print one JSON document."),
        (("-q", "--quiet"), "quiet", "Print nothing but errors."),
        (("-v", "--verbose"), "verbose", "Say more on stderr."),
    )
    return [
        TyperOption(param_decls=[*names, variable], is_flag=True, expose_value=False, callback=note, default=False, help=text)
        for names, variable, text in flags
    ]


app = typer.Typer(
    cls=LazyGroup,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"scq {__version__}")
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    home: Annotated[str, typer.Option(help=f"Folder of configuration and state, usually {HOME}. [env var: SCQ_HOME]")] = "",
    root: Annotated[str, typer.Option(help="SyftBox folder. [env var: SCQ_ROOT]")] = "",
    email: Annotated[str, typer.Option(help="Your address. [env var: SCQ_EMAIL]")] = "",
    config: Annotated[str, typer.Option(help="Configuration file instead of HOME/config.yaml. [env var: SCQ_CONFIG]")] = "",
    lock_timeout: Annotated[float, typer.Option(help="Seconds to wait for another call's lock.", show_default=False)] = -1.0,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Code jobs beside private data: submit, review, approve, run, answer. Every call looks once and exits."""
    ctx.obj = Session(home=home, root=root, email=email, config_path=config, lock_timeout=lock_timeout)


def call(arguments: Sequence[str]) -> int:
    """Run one call of the command line and return its exit code."""
    if COMPLETING in os.environ:
        typer.main.get_command(app)._main_shell_completion({}, "scq", COMPLETING)  # writes the proposals and ends the process
    return guarded(lambda: _called(list(arguments)), list(arguments), VERBS, sys.stdout, sys.stderr)


def _called(arguments: list[str]) -> int:
    """Let typer read the call and run it. Raises UsageError for a call it cannot read, and whatever the verb raises."""
    command = typer.main.get_command(app)
    try:
        with command.make_context("scq", arguments) as ctx:
            command.invoke(ctx)
    except typer.Exit as end:
        return end.exit_code
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    except NoArgsIsHelpError as error:
        sys.stderr.write(error.format_message() + "\n")
        return USAGE
    except ClickException as error:
        called = error.ctx.command_path if isinstance(error, ClickUsageError) and error.ctx is not None else "scq"
        raise UsageError(error.format_message().rstrip("."), f"{called} --help shows how it is called.") from error
    return OK
