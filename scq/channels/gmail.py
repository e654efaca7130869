"""Mail through the Gmail API: one POST per message, threads, and what each refusal means for the outbox.

API: developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages/send. google-api-python-client builds requests;
`scq.signin.wire` carries them, so that no layer below sends a message twice on its own.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NoReturn

from msgspec.structs import replace

from scq.channels.mail import KEY_HEADER, POLICY, compose, message_id
from scq.channels.place import Place
from scq.clean import is_address, line
from scq.config_channels import ChannelSetting
from scq.errors import BusyError, ChannelError, ConfigError, SignInError
from scq.ports import Message, Receipt
from scq.signin import tokens, wire
from scq.signin.purposes import GMAIL, LISTING, is_allowed
from scq.signin.renewing import LaterError, Saved
from scq.signin.verdicts import judge
from scq.signin.wire import Access, Answer, BrokenError, Carrier, RefusedError

ENDPOINT = "https://gmail.googleapis.com/"
PLAIN_LIMIT = 5 << 20
"""Bytes of a mail that goes inside a JSON document; larger ones are uploaded."""
UPLOAD_LIMIT = 36_700_160
"""Bytes of a mail that Gmail takes at all."""
LOOK_BACK = 100
"""Messages of the sent folder that are looked at for one that perhaps arrived."""
LEFT_OUT = "(Attachments and formatting were left out: the mail was too large with them.)\n\n"


class GmailChannel:
    """Sends from the account of the saved sign-in at `place.gmail_token`."""

    def __init__(self, setting: ChannelSetting, place: Place) -> None:
        self.name = setting.name
        self._sender = setting.sender
        self._saved = Saved(place.gmail_token, GMAIL, rewrite=tokens.is_own(place.gmail_token, place.home))

    def usable(self) -> str:
        """Empty when there is a sign-in that looks as if it may send. Google is not asked."""
        try:
            token = self._saved.token
        except (SignInError, ConfigError) as error:
            return f"{error}. {error.advice}"
        if not is_allowed(token.scopes, GMAIL.allowed):
            return f"{self._saved.path}: the sign-in does not allow to send mail (scope gmail.send). {GMAIL.advice}"
        return ""

    def send(self, message: Message) -> Receipt:
        """Hand over one mail; the receipt has Gmail's id and thread. Raises ChannelError."""
        with _as_channel_errors():
            if not is_allowed(self._saved.token.scopes, GMAIL.allowed):
                raise ChannelError(self.usable(), kind="auth")
            return deliver(message, self._saved, self._sender)

    def find(self, key: str) -> bool | None:
        """Whether a message with this key is among the newest sent ones; None when this sign-in cannot tell.

        Raises ChannelError.
        """
        with _as_channel_errors():
            if not self._saved.token.scopes or not is_allowed(self._saved.token.scopes, LISTING):
                return None
            return _is_sent(key, self._saved)


def deliver(message: Message, access: Access, sender: str = "") -> Receipt:
    """Send one mail. Without its thread when Gmail does not know that, and as text alone when it is too large.

    `sender` (an address, or `Name <address>`) stands in place of that of the message; where there is none, Gmail puts the
    address of the account there. Raises ChannelError, and what `access` raises.
    """
    try:
        return _deliver_in_thread(message, access, sender)
    except _TooLargeError:
        shorter = replace(message, attachments=(), html=None, text=LEFT_OUT + message.text)
    try:
        return _deliver_in_thread(shorter, access, sender)
    except _TooLargeError as error:
        raise ChannelError(str(error), error.advice, kind="permanent") from None


def _deliver_in_thread(message: Message, access: Access, sender: str) -> Receipt:
    mail = compose(message, sender)
    if not sender and not is_address(message.sender):
        del mail["From"]
    content = mail.as_bytes(policy=POLICY.clone(linesep="\r\n"))
    if len(content) > UPLOAD_LIMIT:
        raise _TooLargeError(f"the mail has {len(content)} bytes, Gmail takes {UPLOAD_LIMIT}")
    try:
        answer = _post(content, message.thread_id, access)
    except _UnknownThreadError:
        answer = _post(content, "", access)
    identity, thread = answer.get("id"), answer.get("threadId")
    if not isinstance(identity, str) or not identity:
        raise _unclear("Gmail took the mail but named no id")
    return Receipt(
        text=line(identity, 100), message_id=message_id(message), thread_id=line(thread, 100) if isinstance(thread, str) else ""
    )


def _post(content: bytes, thread_id: str, access: Access) -> dict[str, Any]:
    """The answer to one users.messages.send."""
    from googleapiclient.http import MediaInMemoryUpload

    body: dict[str, Any] = {"threadId": thread_id} if thread_id else {}
    with _messages(access) as messages:
        if len(content) > PLAIN_LIMIT:
            request = messages.send(
                userId="me", body=body, media_body=MediaInMemoryUpload(content, mimetype="message/rfc822", resumable=False)
            )
        else:
            request = messages.send(userId="me", body=body | {"raw": base64.urlsafe_b64encode(content).decode("ascii")})
        try:
            answer = request.execute(num_retries=0)
        except RefusedError as error:
            _refuse(error.answer, thread_id)
        except (ValueError, RecursionError) as error:
            raise _unclear("Gmail answered what nobody understands") from error
    if not isinstance(answer, dict):
        raise _unclear("Gmail answered what nobody understands")
    return answer


def _refuse(answer: Answer, thread_id: str) -> NoReturn:
    found = _verdict(answer)
    if answer.status == 413:
        raise _TooLargeError(str(found)) from None
    if thread_id and answer.status in (400, 404) and found.kind == "permanent":
        raise _UnknownThreadError from None
    raise found from None


def _verdict(answer: Answer) -> ChannelError:
    return judge(answer.status, answer.content, GMAIL, answer.retry_after(datetime.now(UTC)))


@contextmanager
def _messages(access: Access) -> Iterator[Any]:
    """The `users.messages` of the API; its description comes with the package, nothing is fetched."""
    from googleapiclient.discovery import build

    with wire.session() as session:
        service = build(
            "gmail",
            "v1",
            http=Carrier(session, access),
            static_discovery=True,
            cache_discovery=False,
            client_options={"api_endpoint": ENDPOINT},
        )
        yield service.users().messages()


def _is_sent(key: str, access: Access) -> bool | None:

    try:
        with _messages(access) as messages:
            found = messages.list(userId="me", labelIds=["SENT"], maxResults=LOOK_BACK).execute(num_retries=0)
            for row in found.get("messages", []):
                shown = messages.get(userId="me", id=row["id"], format="metadata", metadataHeaders=[KEY_HEADER])
                headers = shown.execute(num_retries=0).get("payload", {}).get("headers", [])
                if any(header.get("name", "").lower() == KEY_HEADER.lower() and header.get("value") == key for header in headers):
                    return True
            return None if found.get("nextPageToken") else False
    except RefusedError as error:
        raise _verdict(error.answer) from None
    except BrokenError as error:
        raise ChannelError(str(error), error.advice) from error
    except (ValueError, RecursionError, AttributeError, TypeError, LookupError) as error:
        raise ChannelError("Gmail answered what nobody understands", wire.LATER) from error


@contextmanager
def _as_channel_errors() -> Iterator[None]:
    """What the sign-in raises, as the outbox understands it."""
    try:
        yield
    except SignInError as error:
        raise ChannelError(str(error), error.advice, kind="auth") from error
    except ConfigError as error:
        raise ChannelError(str(error), error.advice, kind="config") from error
    except LaterError as error:
        raise ChannelError(str(error), error.advice, retry_after=error.retry_after) from error
    except BrokenError as error:
        raise ChannelError(str(error), error.advice, kind="ambiguous" if error.sent else "transient") from error
    except BusyError as error:
        raise ChannelError(str(error), error.advice) from error


def _unclear(what: str) -> ChannelError:
    return ChannelError(what, "It may have arrived.", kind="ambiguous")


class _TooLargeError(ChannelError):
    """The mail is larger than Gmail takes."""


class _UnknownThreadError(ChannelError):
    """Perhaps only the thread is what Gmail refuses."""

    def __init__(self) -> None:
        super().__init__("Gmail does not know the conversation")
