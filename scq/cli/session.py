"""One call of the command line: building the context, printing the report, turning failures into exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection
from typing import IO, TYPE_CHECKING, Any

from typer import Abort, Exit
from typer._click.core import Command
from typer._click.exceptions import ClickException, NoArgsIsHelpError

from scq.clean import line
from scq.errors import BUG, BUSY, OK, USAGE, ScqError
from scq.report import Report, as_json

if TYPE_CHECKING:
    from scq.context import Context


class Session:
    """The global options of one call, and how its report is shown."""

    def __init__(self, home: str, root: str, email: str, config_path: str, lock_timeout: float) -> None:
        self.home = os.path.abspath(os.path.expanduser(home))
        self.root = root
        self.email = email
        self.config_path = (
            os.path.abspath(os.path.expanduser(config_path)) if config_path else os.path.join(self.home, "config.yaml")
        )
        self.lock_timeout = lock_timeout
        self.as_json = False
        self.quiet = False
        self.verbose = False

    def context(self, *, tolerant: bool = False) -> Context:
        """The parts of this call. Raises ConfigError when the configuration cannot be used, unless `tolerant`."""
        from scq import config
        from scq.context import Context

        overrides = {"email": self.email or None, "root": self.root or None}
        loaded = config.load(self.config_path, os.environ, overrides, home=self.home, strict=not tolerant)
        settings = loaded.config
        if self.lock_timeout >= 0:
            from msgspec.structs import replace

            settings = replace(settings, lock_timeout=self.lock_timeout)
        return Context(settings, self.home, config_path=self.config_path, problems=loaded.problems, say=self.say)

    def say(self, text: str) -> None:
        """Show a line of progress at once, on stderr."""
        if not self.quiet:
            sys.stderr.write(text + "\n")

    def show(self, report: Report, *, pager: bool = False) -> None:
        """Print a report and end the call with its exit code."""
        if self.as_json:
            sys.stdout.write(as_json(report) + "\n")
        else:
            if report.lines and not self.quiet:
                text = "\n".join(report.lines) + "\n"
                if pager and sys.stdout.isatty():
                    _page(text)
                else:
                    sys.stdout.write(text)
            _print_problems(report)
        raise Exit(report.exit_code)


def _page(text: str) -> None:
    """Page long text with $PAGER; less is told to let colours through and to leave short text on the screen."""
    import pydoc

    os.environ.setdefault("LESS", "-FRX")
    pydoc.pager(text)


def confirm(question: str) -> bool:
    """Ask on the terminal; no answer means no."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def asking() -> Callable[[str], bool] | None:
    """How to ask the person at the terminal; None when nobody is there (cron, a pipe)."""
    return confirm if sys.stdin.isatty() and sys.stderr.isatty() else None


def guarded(command: Command, arguments: list[str], verbs: Collection[str], out: IO[str], err: IO[str]) -> int:
    """Run a command and return its exit code; every failure has one line on stderr, or a JSON document when asked for."""
    wants_json = "--json" in arguments
    name = next((word for word in arguments if word in verbs), "scq")
    try:
        with command.make_context("scq", arguments) as ctx:
            command.invoke(ctx)
        return OK
    except Exit as end:
        return end.exit_code
    except NoArgsIsHelpError as error:
        err.write(error.format_message() + "\n")
        return USAGE
    except ClickException as error:
        _fail(out, err, wants_json, name, error.format_message().rstrip("."), "scq --help shows how it is called.", USAGE)
        return USAGE
    except ScqError as error:
        _fail(
            out,
            err,
            wants_json,
            name,
            str(error),
            error.advice,
            error.exit_code,
            quiet=error.exit_code == BUSY and not err.isatty(),
        )
        return error.exit_code
    except BrokenPipeError:
        # The reader went away (`scq list | head`): nothing is left to be said, not even at the end of the interpreter.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except (KeyboardInterrupt, Abort):
        err.write("interrupted\n")
        return 130
    except Exception as error:  # noqa: BLE001 - the one place where a bug becomes a report file and an exit code
        return _bug(err, error, arguments)


def _fail(
    out: IO[str], err: IO[str], wants_json: bool, name: str, message: str, advice: str, code: int, *, quiet: bool = False
) -> None:
    if wants_json:
        document = Report(name, {}, (), (), code, (f"{message}. {advice}" if advice else message,))
        out.write(as_json(document) + "\n")
    elif not quiet:
        err.write(f"scq: {_lines(message)}\n")
        if advice:
            err.write(f"     {_lines(advice)}\n")


def _lines(text: str) -> str:
    return "\n     ".join(line(part, 1_000) for part in text.splitlines())


def _print_problems(report: Report) -> None:
    for problem in report.problems:
        sys.stderr.write(f"! {line(problem.where, 300)}: {line(problem.what, 500)}\n")
        if problem.advice:
            sys.stderr.write(f"  {line(problem.advice, 500)}\n")
    for error in report.errors:
        sys.stderr.write(f"scq: {line(error, 1_000)}\n")


def _bug(err: IO[str], error: BaseException, arguments: list[str]) -> int:
    import tempfile
    import traceback

    from scq import __version__

    text = f"scq {__version__}\npython {sys.version}\narguments {arguments!r}\n\n{''.join(traceback.format_exception(error))}"
    with tempfile.NamedTemporaryFile("w", prefix="scq-bug-", suffix=".txt", delete=False, encoding="utf-8") as file:
        file.write(text)
    err.write(f"scq: this is a bug ({type(error).__name__}: {line(str(error), 300)})\n     Please report it with {file.name}\n")
    return BUG


def session(ctx: Any) -> Session:
    """The session of a typer context."""
    found: Session = ctx.find_root().obj
    return found
