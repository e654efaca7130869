"""One call of the command line: building the context, printing the report, turning failures into exit codes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Collection
from contextvars import ContextVar
from typing import IO, TYPE_CHECKING, Any, NoReturn

from scq.clean import line
from scq.cli.watch import Watch
from scq.errors import ACTION_NEEDED, BUG, BUSY, FAILED, OK, ConfigError, ScqError
from scq.lastcalls import SCHEDULED, mark_ended
from scq.machine import advice_on, words_of
from scq.report import Report, as_json
from scq.secrets import redacted

if TYPE_CHECKING:
    from scq.config_values import Config
    from scq.context import Context

HOME = "~/.syft-creds"
"""Configuration and state, where neither `--home` nor `SCQ_HOME` says otherwise."""
STDOUT, STDERR = 1, 2
COMPLETING = "_SCQ_COMPLETE"
"""Set by the shell's completion script (`scq --show-completion`) when it asks for proposals."""


class Ended(Exception):  # noqa: N818 - the regular end of a call
    """The call is over: its report was shown."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


_WATCH: ContextVar[Watch | None] = ContextVar("_WATCH", default=None)
"""The call at work: what ends it (`guarded`) and what begins it (`Session.context`) meet here."""


class Session:
    """The global options of one call, and how its report is shown. Options that were not given are empty."""

    def __init__(self, home: str, root: str, email: str, config_path: str, lock_timeout: float) -> None:
        self.home = os.path.abspath(os.path.expanduser(home or os.environ.get("SCQ_HOME") or HOME))
        config_path = config_path or os.environ.get("SCQ_CONFIG", "")
        self.names_config = bool(config_path)
        self.root = root
        self.email = email
        self.config_path = (
            os.path.abspath(os.path.expanduser(config_path)) if config_path else os.path.join(self.home, "config.yaml")
        )
        self.lock_timeout = lock_timeout
        self.as_json = False
        self.quiet = False
        self.verbose = False
        self.began = time.time()

    def context(self, *, tolerant: bool = False) -> Context:
        """The parts of this call. Raises ConfigError when the configuration cannot be used, unless `tolerant`."""
        from scq import config

        watch = _WATCH.get()
        if watch is not None:
            watch.begin(self.home)
        if self.names_config and not tolerant and not os.path.lexists(self.config_path):
            raise ConfigError(
                f"{self.config_path}: is not there", "Name another file with --config or SCQ_CONFIG, or write it: scq init"
            )
        overrides = {"email": self.email or None, "root": self.root or None}
        loaded = config.load(self.config_path, os.environ, overrides, home=self.home, strict=not tolerant)
        settings = loaded.config
        if self.lock_timeout >= 0:
            from msgspec.structs import replace

            settings = replace(settings, lock_timeout=self.lock_timeout)
        if self.verbose:
            self.say(f"home {self.home}\nconfiguration {self.config_path}\nroot {settings.root}\nemail {settings.email}")
        rest: dict[str, Any] = {
            "config_path": self.config_path,
            "problems": loaded.problems,
            "say": self.say,
            "as_json": self.as_json,
        }
        made = self._made(settings, watch, rest)
        if watch is not None:
            watch.meet(made.journal, loud=self.verbose)
        return made

    def _made(self, settings: Config, watch: Watch | None, rest: dict[str, Any]) -> Context:
        from scq.context import Context

        if watch is not None and watch.wants(settings):
            from scq.pinging import Pulse, WatchedContext

            watch.pulse = Pulse(settings, os.environ, watch.verb, self.detail)
            return WatchedContext(settings, self.home, pulse=watch.pulse, **rest)
        return Context(settings, self.home, **rest)

    def detail(self, text: str) -> None:
        """Show a line on stderr to those who asked for more."""
        if self.verbose:
            _tell(sys.stderr, text + "\n")

    def say(self, text: str) -> None:
        """Show a line of progress at once, on stderr."""
        if not self.quiet:
            _tell(sys.stderr, text + "\n")

    def show(self, report: Report, *, pager: bool = False) -> NoReturn:
        """Print a report and end the call with its exit code."""
        watch = _WATCH.get()
        if watch is not None:
            watch.said += _said(report)
            watch.report = report
        if self.as_json:
            _put(sys.stdout, as_json(report) + "\n")
        else:
            if report.lines and not self.quiet and not (watch is not None and watch.is_heard(STDOUT)):
                text = "\n".join(report.lines) + "\n"
                if pager and sys.stdout.isatty():
                    _page(text)
                else:
                    _put(sys.stdout, text)
            if watch is None or not watch.is_heard(STDERR):
                _print_problems(report)
        self._note_success(report)
        raise Ended(report.exit_code)

    def _note_success(self, report: Report) -> None:
        """Keep when a scheduled verb last went well, for `scq metrics` and `scq status`."""
        well = report.exit_code in (OK, ACTION_NEEDED) and not report.data.get("dry_run")
        if report.command in SCHEDULED and well:
            mark_ended(self.home, report.command, self.began, time.time())


def _said(report: Report) -> list[str]:
    """What a report says to people, line by line."""
    problems = [f"! {problem.where}: {problem.what}" for problem in report.problems]
    return [*report.lines, *problems, *(f"scq: {error}" for error in report.errors)]


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


def guarded(call: Callable[[], int], arguments: list[str], verbs: Collection[str], out: IO[str], err: IO[str]) -> int:
    """Run a call and return its exit code; every failure has one line on stderr, or a JSON document when asked for."""
    watch = Watch(next((word for word in arguments if word in verbs), "scq"), arguments)
    before = _WATCH.set(watch)
    try:
        code = _ended(call, arguments, watch, out, err)
    finally:
        _WATCH.reset(before)
    return watch.end(code, err)


def _ended(call: Callable[[], int], arguments: list[str], watch: Watch, out: IO[str], err: IO[str]) -> int:
    """The exit code of a call, whatever becomes of it."""
    wants_json = "--json" in arguments
    try:
        code = _code_of(call)
        _put(out, "")
        return code
    except ScqError as error:
        # A scheduler calls again soon; a script that asked for something has to hear why it did not get it.
        quiet = (error.exit_code == BUSY and watch.verb in SCHEDULED and not err.isatty()) or watch.is_heard(STDERR)
        watch.fail(str(error), error.advice)
        _fail(out, err, wants_json, watch.verb, str(error), error.advice, error.exit_code, quiet=quiet)
        return error.exit_code
    except BrokenPipeError as error:
        if watch.is_at_work():
            return _bug(err, error, arguments, watch)
        # The reader went away (`scq list | head`): nothing is left to be said, not even at the end of the interpreter.
        _drop_output()
        return OK
    except KeyboardInterrupt:
        _tell(err, "interrupted\n")
        return 130
    except OSError as error:
        advice = advice_on(error)
        if advice is None:
            return _bug(err, error, arguments, watch)
        message = words_of(error)
        watch.fail(message, advice)
        _fail(out, err, wants_json, watch.verb, message, advice, FAILED, quiet=watch.is_heard(STDERR))
        return FAILED
    except Exception as error:  # noqa: BLE001 - the one place where a bug becomes a report file and an exit code
        return _bug(err, error, arguments, watch)


def _code_of(call: Callable[[], int]) -> int:
    try:
        return call()
    except Ended as end:
        return end.exit_code


def _put(out: IO[str], text: str) -> None:
    """Write all of a text now, so that a full disk or a closed pipe is known before the call ends. Raises OSError."""
    try:
        out.write(text)
        out.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, "standard output") from error


def _tell(err: IO[str], text: str) -> None:
    """Write to stderr, without secrets: cron sends it on.

    Where that is closed or full, nobody can be told; the call goes on and keeps its exit code.
    """
    try:
        err.write(redacted(text))
        err.flush()
    except (OSError, ValueError):
        return


def _drop_output() -> None:
    """Let what cannot be written go nowhere, so that the interpreter does not try again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(
    out: IO[str], err: IO[str], wants_json: bool, name: str, message: str, advice: str, code: int, *, quiet: bool = False
) -> None:
    if wants_json:
        document = Report(name, {}, (), (), code, (f"{message}. {advice}" if advice else message,))
        try:
            _put(out, as_json(document) + "\n")
            return
        except OSError:
            _drop_output()
    if not quiet:
        _tell(err, f"scq: {_lines(message)}\n" + (f"     {_lines(advice)}\n" if advice else ""))


def _lines(text: str, indent: str = "     ") -> str:
    return f"\n{indent}".join(line(part, 1_000) for part in text.splitlines())


def _print_problems(report: Report) -> None:
    for problem in report.problems:
        advice = f"  {_lines(problem.advice, '  ')}\n" if problem.advice else ""
        _tell(sys.stderr, f"! {line(problem.where, 300)}: {line(problem.what, 500)}\n{advice}")
    for error in report.errors:
        _tell(sys.stderr, f"scq: {line(error, 1_000)}\n")


def _bug(err: IO[str], error: BaseException, arguments: list[str], watch: Watch) -> int:
    import tempfile
    import traceback

    from scq import __version__

    trace = "".join(traceback.format_exception(error))
    text = f"scq {__version__}\npython {sys.version}\narguments {_public(arguments)!r}\n\n{trace}"
    with tempfile.NamedTemporaryFile(
        "w", prefix="scq-bug-", suffix=".txt", delete=False, encoding="utf-8", errors="replace"
    ) as file:
        file.write(redacted(text))
    _tell(err, f"scq: this is a bug ({type(error).__name__}: {line(str(error), 300)})\n     Please report it with {file.name}\n")
    watch.fail(f"this is a bug ({type(error).__name__})", "")
    watch.failure += f". Please report it with {file.name}"
    return BUG


def _public(arguments: list[str]) -> list[str]:
    """The words of a call as a bug report may show them: what `config set` was to write, and a command that `exec` ran, may hold
    secrets."""
    last = "exec" if "exec" in arguments else "set" if "config" in arguments and "set" in arguments else ""
    return [*arguments[: arguments.index(last) + 1], "(hidden)"] if last else arguments


def session(ctx: Any) -> Session:
    """The session of a typer context."""
    found: Session = ctx.find_root().obj
    return found
