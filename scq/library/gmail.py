"""`GmailAuth` and `GmailSender` of the documented Python API, over the sign-in and the Gmail channel of the verbs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from scq.clean import line
from scq.errors import ScqError
from scq.library.verbs import advice_as_note, settle
from scq.model import Problem
from scq.ports import Message
from scq.report import Report

if TYPE_CHECKING:
    from google.oauth2.credentials import Credentials

    from scq.render import Renderer

GOOGLE_API_TIMEOUT = 120
"""Seconds that one request to Google may take."""
TOKEN_NAME = "gmail_token.json"  # noqa: S105 - a file name
LINKS = ("https://", "mailto:")
"""What a link in a mail may begin with."""


class GmailAuth:
    """Sign-in for sending mail over Gmail (scope `gmail.send`)."""

    def setup_auth(
        self,
        credentials_path: str | os.PathLike[str],
        *,
        token_path: str | os.PathLike[str] | None = None,
        no_browser: bool = False,
    ) -> Credentials:
        """Ask for a sign-in in a browser and save it: at `token_path`, or as gmail_token.json beside `credentials_path`.

        Where there is no browser, or with `no_browser`, the page is named and the address it ends at is asked for. Raises
        ConfigError (the client file is not one), SignInError (refused), UsageError (the address answers nothing), BusyError.
        """
        from scq.signin import asking, client, tokens
        from scq.signin.purposes import GMAIL
        from scq.signin.renewing import credentials

        where = _absolute(credentials_path)
        to = _absolute(token_path) if token_path is not None else os.path.join(os.path.dirname(where), TOKEN_NAME)
        browse = None if no_browser else asking.browser(os.environ, sys.platform)
        with advice_as_note():
            token = asking.asked(client.read(where), (GMAIL.asks,), asking.Desk(_tell, input, browse))
        tokens.write(to, token)
        return credentials(token)

    def load_credentials(self, token_path: str | os.PathLike[str]) -> Credentials:
        """The saved sign-in, renewed and saved again when it has ended or is about to.

        Raises SignInError when there is none or it is dead, ConfigError when the file is not one, BusyError when Google cannot
        be reached.
        """
        from scq.signin.purposes import GMAIL
        from scq.signin.renewing import Saved, credentials

        saved = Saved(_absolute(token_path), GMAIL, rewrite=True)
        with advice_as_note():
            saved.bearer()
        if saved.unsaved:
            _warn(Problem("GmailAuth", saved.unsaved, "It is renewed again next time."))
        return credentials(saved.token)


class GmailSender:
    """Sends mails from the account of `credentials`; without `use_html` as plain text only.

    Every method returns True when Gmail took the mail. A failure is False and a `ProblemWarning` that says why.
    """

    def __init__(self, credentials: Credentials, use_html: bool = True) -> None:
        self.credentials = credentials
        self.use_html = use_html
        self._renderer: Renderer | None = None

    def notify_new_job(
        self, do_email: str, job_name: str, submitter: str, timestamp: datetime | None = None, job_url: str | None = None
    ) -> bool:
        """Tell a data owner about a new job."""
        context = {"job_name": job_name, "submitter": submitter, "timestamp": timestamp or datetime.now(UTC), "job_url": job_url}
        text = f"{submitter} submitted the job {job_name}.\n"
        return self._notify(do_email, f"Job: {job_name}", "new_job", context, text)

    def notify_job_approved(self, ds_email: str, job_name: str, job_url: str | None = None) -> bool:
        """Tell a data scientist that their job was approved."""
        context = {"job_name": job_name, "job_url": job_url}
        return self._notify(
            ds_email, f"Job Approved: {job_name}", "job_approved", context, f"Your job {job_name} was approved.\n"
        )

    def notify_job_executed(
        self, ds_email: str, job_name: str, duration: int | None = None, results_url: str | None = None
    ) -> bool:
        """Tell a data scientist that their job completed; `duration` is in seconds."""
        context = {"job_name": job_name, "duration": duration, "results_url": results_url}
        text = f"Your job {job_name} completed.\n"
        return self._notify(ds_email, f"Job Completed: {job_name}", "job_executed", context, text)

    def notify_new_peer_request_to_do(self, do_email: str, ds_email: str, peer_url: str | None = None) -> bool:
        """Tell a data owner that somebody wants to be a peer."""
        context = {"ds_email": ds_email, "do_email": do_email, "peer_url": peer_url}
        text = f"{ds_email} asks to be your peer.\n"
        return self._notify(do_email, f"New Peer Request from {ds_email}", "new_peer_request", context, text)

    def notify_peer_request_sent(self, ds_email: str, do_email: str) -> bool:
        """Tell a data scientist that their request was sent."""
        context = {"ds_email": ds_email, "do_email": do_email}
        text = f"Your peer request was sent to {do_email}.\n"
        return self._notify(ds_email, f"Peer Request Sent to {do_email}", "peer_request_sent", context, text)

    def notify_peer_request_granted(self, ds_email: str, do_email: str) -> bool:
        """Tell a data scientist that their request was granted."""
        context = {"ds_email": ds_email, "do_email": do_email}
        text = f"{do_email} accepted your peer request.\n"
        return self._notify(ds_email, f"Peer Request Accepted: {do_email}", "peer_granted", context, text)

    def send_email(self, to_email: str, subject: str, body_text: str, body_html: str | None = None) -> bool:
        """Send any mail; `body_html` is shown instead of `body_text` where the reader can."""
        return self._send("email", to_email, subject, body_text, body_html)

    def _notify(self, to: str, subject: str, template: str, context: Mapping[str, Any], text: str) -> bool:
        from scq.render import Renderer

        self._renderer = self._renderer or Renderer()
        shown = {name: _cleaned(name, value) for name, value in context.items()}
        html, plain = self._renderer.render_with_fallback(f"emails/{template}.html", shown, text)
        while self._renderer.problems:
            _warn(self._renderer.problems.pop(0))
        return self._send(template, to, subject, plain, html or None)

    def _send(self, event: str, to: str, subject: str, text: str, html: str | None) -> bool:
        from scq.channels.gmail import deliver

        message = Message(
            key=os.urandom(32).hex(),
            event=event,
            sender=str(getattr(self.credentials, "account", "") or ""),
            recipient=str(to),
            subject=line(str(subject), 150),
            text=str(text),
            html=html if self.use_html else None,
            at_iso=datetime.now(UTC).isoformat(),
        )
        try:
            deliver(message, _Held(self.credentials))
        except ScqError as error:
            _warn(Problem(f"mail to {line(str(to), 254)}", str(error), error.advice))
            return False
        return True


class _Held:
    """The access of credentials that a program holds; nothing is saved."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def bearer(self) -> str:
        from scq.signin.tokens import MARGIN

        token, expiry = self._credentials.token, self._credentials.expiry
        is_fresh = token and (expiry is None or expiry.replace(tzinfo=UTC) - datetime.now(UTC) > MARGIN)
        return str(token) if is_fresh else self.renew()

    def renew(self) -> str:
        from scq.signin.purposes import GMAIL
        from scq.signin.renewing import refresh

        refresh(self._credentials, "the credentials", GMAIL)
        return str(self._credentials.token)


def _cleaned(name: str, value: Any) -> Any:
    """Texts as one clean line; an address that is no safe link is left out."""
    if not isinstance(value, str):
        return value
    if not name.endswith("_url"):
        return line(value)
    if value.startswith(LINKS):
        return line(value, 2_000)
    _warn(Problem(name, "is left out: it does not begin with https://", "Give a whole address."))
    return None


def _warn(problem: Problem) -> None:
    settle(Report("gmail", problems=(problem,)))


def _absolute(path: str | os.PathLike[str]) -> str:
    return os.path.abspath(os.path.expanduser(os.fspath(path)))


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
