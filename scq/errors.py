"""Expected problems. Each one carries the user's line, what to do about it and the exit code of the call."""

from __future__ import annotations

OK, FAILED, USAGE, ACTION_NEEDED, JOB_FAILED, INTEGRITY = 0, 1, 2, 3, 4, 5
BUG, BUSY, SIGN_IN, CONFIG = 70, 75, 77, 78


class ScqError(Exception):
    """Something a user can understand and mend.

    `str(error)` names the thing and what is wrong with it; `advice` says what to do next; `exit_code` is the code
    of the command line contract (docs/json.md).
    """

    exit_code = FAILED

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


class UsageError(ScqError):
    """The call itself is wrong: unknown job, ambiguous id, words that do not fit together."""

    exit_code = USAGE


class JobFailedError(ScqError):
    """A job that was waited for or run has failed."""

    exit_code = JOB_FAILED


class IntegrityError(ScqError):
    """Content is not what was reviewed or approved."""

    exit_code = INTEGRITY


class BusyError(ScqError):
    """Another call holds the lock, or a source cannot be reached now: try again later."""

    exit_code = BUSY


class ConfigError(ScqError):
    """The configuration or the stored state cannot be used as it is."""

    exit_code = CONFIG


class InvalidFileError(ScqError):
    """A file from outside is not usable: missing, wrong type, too large, not text, damaged."""


class DependencyError(ScqError):
    """A package or an interpreter that a job asks for cannot be had."""

    exit_code = JOB_FAILED


class ChannelError(ScqError):
    """A message could not be handed over. `permanent` says that trying again will not help."""

    def __init__(self, message: str, advice: str = "", *, permanent: bool = False) -> None:
        super().__init__(message, advice)
        self.permanent = permanent
