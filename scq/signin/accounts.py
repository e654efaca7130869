"""Whose Google Drive is used, and with which sign-in: that of a person, the key of a service account, or that of a notebook.

The file at `drive_token_path` decides. Where there is none, the sign-in of a Colab notebook is used.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from scq.errors import ConfigError, SignInError
from scq.signin import service_account, tokens
from scq.signin.purposes import DRIVE, DRIVE_CHANGES, Purpose, is_allowed, short
from scq.signin.renewing import Saved, refresh

if TYPE_CHECKING:
    from scq.signin.wire import Access

COLAB = "google.colab"
COLAB_ADVICE = "In the notebook, run: from google.colab import auth; auth.authenticate_user()"


class Held:
    """Credentials of google-auth in use: nothing of them is saved, each process asks for its own access token.

    `where` names them in errors and `advice` says what to do when Google refuses them.
    """

    def __init__(self, holder: Any, where: str, purpose: Purpose, advice: str) -> None:
        self._holder = holder
        self._where = where
        self._purpose = purpose
        self._advice = advice

    @property
    def expiry(self) -> datetime | None:
        """When the access token ends, aware UTC; None while there is none."""
        return None if self._holder.expiry is None else self._holder.expiry.replace(tzinfo=UTC)

    def bearer(self) -> str:
        """An access token for now. Raises SignInError, ConfigError, BusyError."""
        is_fresh = self.expiry is None or self.expiry - datetime.now(UTC) > tokens.MARGIN
        return str(self._holder.token) if self._holder.token and is_fresh else self.renew()

    def renew(self) -> str:
        """Another access token. Raises SignInError, ConfigError, BusyError."""
        try:
            refresh(self._holder, self._where, self._purpose)
        except SignInError as error:
            raise SignInError(str(error), self._advice) from None
        except ConfigError as error:
            raise ConfigError(str(error), self._advice) from None
        return str(self._holder.token)


def is_colab(env: Mapping[str, str]) -> bool:
    """Whether this is a Colab notebook. Loads nothing of it."""
    if env.get("COLAB_RELEASE_TAG"):
        return True
    from importlib.util import find_spec

    try:
        return find_spec(COLAB) is not None
    except (ImportError, ValueError):  # Something else is called `google`, or it was put there without a file.
        return False


def drive_access(path: str, home: str, email: str, env: Mapping[str, str], *, changes: bool) -> Access:
    """The sign-in for Google Drive, for reading or for `changes`. Google is asked for nothing yet, but in a Colab notebook.

    `email` is the person whose Drive it is: a service account acts for it. A sign-in of another program (outside `home`) is
    used as it is and never written to. Raises SignInError when there is none or it does not allow that, ConfigError.
    """
    purpose = DRIVE_CHANGES if changes else DRIVE
    if not os.path.lexists(path) and is_colab(env):
        return _of_notebook(purpose)
    key = service_account.read(path)
    if key is not None:
        return held(key, path, email, purpose)
    saved = Saved(path, purpose, rewrite=tokens.is_own(path, home))
    if not is_allowed(saved.token.scopes, purpose.allowed):
        raise SignInError(f"{path}: the sign-in lacks the scope {short(purpose.asks)}", purpose.advice)
    return saved


def identity(path: str, email: str) -> str:
    """What tells this sign-in from another one, as a digest that gives nothing away: it stays the same when it is renewed.

    The sign-in of a notebook has none. Raises SignInError, ConfigError.
    """
    if not os.path.lexists(path):
        return "notebook"
    key = service_account.read(path)
    if key is not None:
        words = f"key {key.email.lower()} {email}"
    else:
        token = tokens.read(path, DRIVE)
        words = f"token {token.client_id} {token.refresh or token.access}"
    return hashlib.sha256(words.encode()).hexdigest()[:32]


def held(key: service_account.Key, path: str, email: str, purpose: Purpose) -> Held:
    """The key of a service account in use, for `email` unless that is its own address or nobody's. Raises ConfigError."""
    subject = "" if email.lower() == key.email.lower() else email
    holder = service_account.credentials(key, path, subject, purpose)
    return Held(holder, path, purpose, service_account.advice(key, subject, purpose))


def _of_notebook(purpose: Purpose) -> Held:
    """The person of the notebook, who is asked there when needed."""
    import google.auth
    from google.auth.exceptions import GoogleAuthError

    try:
        from google.colab import auth
    except ImportError as error:
        raise SignInError("this looks like a Colab notebook, but google.colab is not there", purpose.advice) from error
    try:
        with suppress(AttributeError):  # Only the notebook itself can ask. What it starts uses what was agreed to there.
            auth.authenticate_user()
        holder, _ = google.auth.default(scopes=[purpose.asks])
    except (GoogleAuthError, RuntimeError, ValueError, OSError) as error:
        raise SignInError(f"the sign-in of the notebook cannot be used ({type(error).__name__})", COLAB_ADVICE) from error
    return Held(holder, "the sign-in of the notebook", purpose, COLAB_ADVICE)
