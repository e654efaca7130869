"""Expected problems. Each one carries the user's line, what to do about it and the exit code of the call."""

from __future__ import annotations

from typing import Literal

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


class SignInError(ScqError):
    """A saved sign-in is missing, was revoked, or does not allow what is asked of it: a person has to sign in."""

    exit_code = SIGN_IN


FailureKind = Literal["transient", "permanent", "auth", "config", "ambiguous"]
"""`transient` may work later; `permanent` never will for this message; `auth` needs a sign-in, `config` a correction, and then
works again; `ambiguous`: the connection broke after everything was handed over, so that nobody knows whether it arrived."""


class ChannelError(ScqError):
    """A message could not be handed over. `retry_after` is the number of seconds the service asked to wait, if it did."""

    def __init__(
        self, message: str, advice: str = "", *, kind: FailureKind = "transient", retry_after: float | None = None
    ) -> None:
        super().__init__(message, advice)
        self.kind = kind
        self.retry_after = retry_after
