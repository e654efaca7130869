"""Mail through the Gmail API: each mail once, every refusal understood, nothing secret told."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from scq import channels
from scq.channels import gmail
from scq.channels.gmail import GmailChannel
from scq.channels.place import Place
from scq.config_channels import ChannelSetting
from scq.errors import ChannelError
from scq.ports import Attachment, Message
from scq.signin import wire
from tests.servers.google import DRIVE_READ, READ, SEND, Google, google_on_loopback, refusal
from tests.servers.http import Answer

KEY = "ab" * 32
MESSAGE = Message(
    KEY, "job.received", "o@x.org", "a@b.org", "Job: s [scq 1]", "text\n", "<p>text</p>", "2026-03-02T10:30:00+00:00", run_id="r1"
)
TAKEN = {"id": "id-1", "threadId": "thread-1", "labelIds": ["SENT"]}


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    with google_on_loopback(tmp_path, monkeypatch) as server:
        yield server


def channel(google: Google, tmp_path: Path, **changes: object) -> GmailChannel:
    home = tmp_path / "home"
    home.mkdir(mode=0o700, exist_ok=True)
    token = google.token_file(home / "gmail_token.json", **changes)
    made = channels.get(ChannelSetting(name="mine", type="gmail"), Place(env={}, gmail_token=str(token), home=str(home)))
    assert isinstance(made, GmailChannel)
    return made


def failure(made: GmailChannel, message: Message = MESSAGE) -> ChannelError:
    with pytest.raises(ChannelError) as caught:
        made.send(message)
    told = f"{caught.value} {caught.value.advice}"
    assert not any(secret in told for secret in ("access-", "refresh-0", "client-secret-text"))
    return caught.value


def test_a_mail_is_taken_once_and_whole(google: Google, tmp_path: Path) -> None:
    made = channel(google, tmp_path)
    assert made.usable() == ""
    receipt = made.send(MESSAGE)
    assert (receipt.text, receipt.thread_id, receipt.message_id) == ("id-1", "thread-1", f"<{KEY[:32]}@x.org>")
    mail = google.mail()
    assert (mail["To"], mail["From"], mail["Subject"]) == ("a@b.org", "o@x.org", "Job: s [scq 1]")
    assert (mail["X-SCQ-Key"], mail["X-SCQ-Run"], mail["Auto-Submitted"]) == (KEY, "r1", "auto-generated")
    assert [part.get_content_type() for part in mail.walk()][1:] == ["text/plain", "text/html"]
    assert len(google.posts()) == 1
    assert b"\r\n" in google.sent[0]["mail"]


def test_a_later_mail_of_a_conversation_names_all_three_links_to_it(google: Google, tmp_path: Path) -> None:
    made = channel(google, tmp_path)
    receipt = made.send(replace(MESSAGE, thread_id="thread-7", in_reply_to="<first@x.org>"))
    assert google.sent[0]["threadId"] == receipt.thread_id == "thread-7"
    assert google.mail()["In-Reply-To"] == google.mail()["References"] == "<first@x.org>"


@pytest.mark.parametrize(
    ("status", "reason", "word"),
    [(404, "notFound", "NOT_FOUND"), (400, "invalidArgument", "INVALID_ARGUMENT")],
)
def test_a_conversation_gmail_does_not_know_is_left(google: Google, tmp_path: Path, status: int, reason: str, word: str) -> None:
    google.next_sends = [refusal(status, reason, word)]
    receipt = channel(google, tmp_path).send(replace(MESSAGE, thread_id="gone"))
    assert receipt.thread_id == "thread-1"
    assert [sent["threadId"] for sent in google.sent] == [""]
    assert len(google.posts()) == 2


def test_without_a_sender_gmail_fills_in_the_account(google: Google, tmp_path: Path) -> None:
    channel(google, tmp_path).send(replace(MESSAGE, sender=""))
    assert google.mail()["From"] is None


def test_the_sender_of_the_channel_goes_first(google: Google, tmp_path: Path) -> None:
    token = google.token_file(tmp_path / "t.json")
    made = GmailChannel(ChannelSetting(type="gmail", sender="The Queue <queue@z.org>"), Place(env={}, gmail_token=str(token)))
    made.send(MESSAGE)
    assert google.mail()["From"] == "The Queue <queue@z.org>"


@pytest.mark.parametrize(
    ("answer", "kind", "wait", "named"),
    [
        (
            refusal(400, "invalidArgument", "INVALID_ARGUMENT", message="Recipient address required"),
            "permanent",
            None,
            "Recipient",
        ),
        (refusal(400, "failedPrecondition", "FAILED_PRECONDITION"), "config", None, "not enabled"),
        (refusal(403, "rateLimitExceeded"), "transient", None, "403"),
        (refusal(403, "userRateLimitExceeded"), "transient", None, "403"),
        (refusal(403, "quotaExceeded"), "transient", None, "403"),
        (refusal(403, "dailyLimitExceeded"), "transient", 3600.0, "day"),
        (refusal(403, "insufficientPermissions", "PERMISSION_DENIED"), "auth", None, "gmail.send"),
        (refusal(403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT"), "auth", None, "scq auth google --send"),
        (refusal(403, "accessNotConfigured"), "config", None, "Enable the API"),
        (refusal(403, "SERVICE_DISABLED"), "config", None, "Enable the API"),
        (refusal(403, "domainPolicy"), "config", None, "administrator"),
        (refusal(403, "forbidden"), "permanent", None, "403"),
        (refusal(404, "notFound"), "permanent", None, "404"),
        (refusal(408, ""), "transient", None, "408"),
        (refusal(418, "teapot"), "permanent", None, "teapot"),
        (refusal(429, "rateLimitExceeded", headers={"Retry-After": "17"}), "transient", 17.0, "429"),
        (refusal(429, "", headers={"Retry-After": "soon"}), "transient", None, "429"),
        (refusal(429, "", headers={"Retry-After": "Mon, 02 Mar 99999999999999999999 10:32:00 GMT"}), "transient", None, "429"),
        (refusal(429, "", headers={"Retry-After": "9" * 400}), "transient", wire.LONGEST_WAIT, "429"),
        (refusal(500, "backendError"), "transient", None, "backendError"),
        (refusal(502, ""), "transient", None, "502"),
        (refusal(503, "", headers={"Retry-After": "60"}), "transient", 60.0, "503"),
        (refusal(504, ""), "transient", None, "504"),
        (Answer(503, "<html>down</html>"), "transient", None, "503"),
        (Answer(500, "[" * 100_000), "transient", None, "500"),
        (
            Answer(400, {"error": {"errors": [5, {"reason": 7}], "details": "x", "message": ["\x1b[2J"]}}),
            "permanent",
            None,
            "400",
        ),
        (Answer(500, b"\xff\xfe"), "transient", None, "500"),
        (Answer(502, {"error": {"message": "whole"}}, cut=5), "transient", None, "502"),
        (Answer(302, "", {"Location": "http://elsewhere.invalid/"}), "transient", None, "302"),
    ],
)
def test_every_refusal_has_its_meaning_and_is_asked_once(
    google: Google, tmp_path: Path, answer: Answer, kind: str, wait: float | None, named: str
) -> None:
    google.next_sends = [answer]
    error = failure(channel(google, tmp_path))
    assert (error.kind, error.retry_after) == (kind, wait)
    assert named in f"{error} {error.advice}"
    assert "\x1b" not in str(error)
    assert len(google.posts()) == 1


def test_a_time_to_come_back_may_be_a_date(google: Google, tmp_path: Path) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)
    google.next_sends = [refusal(429, "", headers={"Retry-After": later})]
    wait = failure(channel(google, tmp_path)).retry_after
    assert wait is not None
    assert 7_000 < wait <= 7_200


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=TAKEN, cut=0),
        Answer(body=TAKEN, cut=1),
        Answer(body=TAKEN, cut=20),
        Answer(body="not JSON"),
        Answer(body=b"\xff"),
        Answer(body="[1]"),
        Answer(body="{}"),
        Answer(body={"id": 5}),
        Answer(body="[" * 100_000),
        Answer(204),
    ],
)
def test_an_answer_that_is_not_whole_leaves_it_open_and_nothing_is_sent_again(
    google: Google, tmp_path: Path, answer: Answer
) -> None:
    google.next_sends = [answer]
    if answer.status == 204:
        google._send = lambda request: answer  # type: ignore[method-assign]
    assert failure(channel(google, tmp_path)).kind == "ambiguous"
    assert len(google.posts()) == 1


def test_no_answer_in_time_leaves_it_open(google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = channel(google, tmp_path)
    monkeypatch.setattr(wire, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(gmail, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}/")
        error = failure(made)
    assert error.kind == "ambiguous"
    assert "in time" in str(error)


@pytest.mark.parametrize("endpoint", ["https://127.0.0.1:1/", "https://nowhere.invalid/"])
def test_what_never_left_is_tried_again(google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    made = channel(google, tmp_path)
    monkeypatch.setattr(gmail, "ENDPOINT", endpoint)
    error = failure(made)
    assert error.kind == "transient"
    assert "cannot be reached" in str(error)


def test_a_certificate_nobody_trusts_gets_nothing(google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = channel(google, tmp_path)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    error = failure(made)
    assert error.kind == "transient"
    assert "certificate" in str(error)
    assert google.http.requests == []


def test_a_proxy_that_is_not_there_is_named(google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = channel(google, tmp_path)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    error = failure(made)
    assert (error.kind, "proxy" in str(error)) == ("transient", True)


def test_a_refused_token_is_renewed_once_and_the_mail_goes_out(google: Google, tmp_path: Path) -> None:
    made = channel(google, tmp_path, token="no-longer-valid")
    made.send(MESSAGE)
    assert (google.refreshes, len(google.posts()), len(google.sent)) == (1, 2, 1)
    saved = tmp_path / "home" / "gmail_token.json"
    assert json.loads(saved.read_text())["token"] == "access-1"
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600


def test_a_token_refused_twice_needs_a_person(google: Google, tmp_path: Path) -> None:
    made = channel(google, tmp_path)
    google.next_sends = [refusal(401, "authError"), refusal(401, "authError")]
    error = failure(made)
    assert (error.kind, "scq auth google --send" in error.advice) == ("auth", True)
    assert len(google.posts()) == 2


def test_a_token_about_to_end_is_renewed_first(google: Google, tmp_path: Path) -> None:
    soon = (datetime.now(UTC) + timedelta(minutes=4)).replace(tzinfo=None).isoformat() + "Z"
    channel(google, tmp_path, expiry=soon).send(MESSAGE)
    assert (google.refreshes, len(google.posts())) == (1, 1)


def test_the_sign_in_of_another_program_is_never_rewritten(google: Google, tmp_path: Path) -> None:
    token = google.token_file(tmp_path / "theirs.json", expiry="2020-01-01T00:00:00Z")
    before = token.read_bytes()
    home = tmp_path / "home"
    home.mkdir()
    GmailChannel(ChannelSetting(type="gmail"), Place(env={}, gmail_token=str(token), home=str(home))).send(MESSAGE)
    assert google.refreshes == 1
    assert token.read_bytes() == before


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(400, {"error": "invalid_grant"}), "auth"),
        (Answer(401, {"error": "invalid_client"}), "config"),
        (Answer(400, {"error": "invalid_scope"}), "config"),
        (Answer(503, "down"), "transient"),
        (Answer(429, "slow", {"Retry-After": "30"}), "transient"),
        (Answer(200, "not JSON"), "transient"),
        (Answer(200, {"access_token": "x"}, cut=0), "transient"),
    ],
)
def test_a_token_service_that_refuses_sends_nothing(google: Google, tmp_path: Path, answer: Answer, kind: str) -> None:
    google.next_tokens = [answer]
    error = failure(channel(google, tmp_path, expiry="2020-01-01T00:00:00Z"))
    assert (error.kind, google.posts()) == (kind, [])
    assert error.retry_after == (30.0 if answer.status == 429 else None)


def test_a_large_mail_is_uploaded_into_its_conversation(google: Google, tmp_path: Path) -> None:
    large = replace(
        MESSAGE, thread_id="thread-3", attachments=(Attachment("a.bin", b"\0\1" * 2_700_000, "application/octet-stream"),)
    )
    channel(google, tmp_path).send(large)
    (request,) = google.posts()
    assert request.path.startswith("/upload/")
    assert google.sent[0]["threadId"] == "thread-3"
    (attachment,) = google.mail().iter_attachments()  # type: ignore[attr-defined]
    assert attachment.get_content() == b"\0\1" * 2_700_000


def test_a_large_mail_without_a_conversation_is_uploaded_too(google: Google, tmp_path: Path) -> None:
    channel(google, tmp_path).send(replace(MESSAGE, text="x" * (6 << 20), html=None))
    assert google.posts()[0].path.startswith("/upload/")
    assert len(google.mail().get_content()) >= 6 << 20  # type: ignore[attr-defined]


def test_a_mail_too_large_for_gmail_goes_out_as_text(google: Google, tmp_path: Path) -> None:
    google.next_sends = [refusal(413, "uploadTooLarge")]
    channel(google, tmp_path).send(replace(MESSAGE, attachments=(Attachment("a", b"a", "text/plain"),)))
    mail = google.mail()
    assert mail.get_content_type() == "text/plain"
    assert "left out" in mail.get_content()  # type: ignore[attr-defined]
    assert len(google.posts()) == 2


def test_a_mail_that_is_too_large_even_so_is_given_up(google: Google, tmp_path: Path) -> None:
    google.next_sends = [refusal(413, ""), refusal(413, "")]
    assert failure(channel(google, tmp_path)).kind == "permanent"
    assert len(google.posts()) == 2


def test_a_mail_beyond_the_limit_is_not_even_offered(google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gmail, "UPLOAD_LIMIT", 100)
    assert failure(channel(google, tmp_path)).kind == "permanent"
    assert google.posts() == []


def test_a_recipient_that_is_no_address_is_refused_here(google: Google, tmp_path: Path) -> None:
    assert failure(channel(google, tmp_path), replace(MESSAGE, recipient="a@b.org, c@d.org")).kind == "permanent"
    assert google.http.requests == []


@pytest.mark.parametrize(
    "name",
    [
        "a\r\nBcc: c@d.org",
        "\x1b[2J",
        "\u202egpj.exe",
        "<script>x</script>",
        "=?utf-8?q?a=0D=0ABcc:_c@d.org?=",
        "x" * 300,
        "\ud800",
        "",
    ],
)
def test_hostile_words_stay_in_their_header(google: Google, tmp_path: Path, name: str) -> None:
    channel(google, tmp_path).send(replace(MESSAGE, subject=name, in_reply_to=name, run_id=name, text=name, html=name))
    mail = google.mail()
    assert (mail["Bcc"], mail["To"], len(mail.get_all("Subject"))) == (None, "a@b.org", 1)
    assert not any(char in mail["Subject"] for char in "\r\n\x1b\u202e")


def test_a_sign_in_for_drive_alone_cannot_send(google: Google, tmp_path: Path) -> None:
    made = channel(google, tmp_path, scopes=[DRIVE_READ])
    assert "gmail.send" in made.usable()
    error = failure(made)
    assert (error.kind, "gmail.send" in str(error)) == ("auth", True)
    assert google.http.requests == []


def test_without_a_sign_in_it_is_not_usable_and_says_what_to_do(tmp_path: Path) -> None:
    made = GmailChannel(ChannelSetting(type="gmail"), Place(env={}, gmail_token=str(tmp_path / "no.json")))
    assert "scq auth google --send" in made.usable()
    assert failure(made).kind == "auth"


def test_a_damaged_sign_in_is_a_matter_of_configuration(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text("{")
    made = GmailChannel(ChannelSetting(type="gmail"), Place(env={}, gmail_token=str(tmp_path / "t.json")))
    assert "is not JSON" in made.usable()
    assert failure(made).kind == "config"


def test_a_sign_in_that_may_read_finds_what_arrived(google: Google, tmp_path: Path) -> None:
    made = channel(google, tmp_path, scopes=[SEND, READ])
    assert made.find(KEY) is False
    made.send(MESSAGE)
    assert made.find(KEY) is True
    assert made.find("cd" * 32) is False


def test_a_sent_folder_with_more_than_was_looked_at_proves_nothing(google: Google, tmp_path: Path) -> None:
    made = channel(google, tmp_path, scopes=[SEND, READ])
    google._look = lambda path: Answer(body={"messages": [], "nextPageToken": "more"})  # type: ignore[method-assign]
    assert made.find(KEY) is None


@pytest.mark.parametrize("scopes", [[SEND], []])
def test_a_sign_in_that_may_only_send_cannot_tell(google: Google, tmp_path: Path, scopes: list[str]) -> None:
    assert channel(google, tmp_path, scopes=scopes).find(KEY) is None
    assert google.http.requests == []


@pytest.mark.parametrize("answer", [refusal(503, ""), Answer(body="[]"), Answer(body={"messages": [5]}), Answer(body={}, cut=0)])
def test_a_search_that_fails_is_a_failure(google: Google, tmp_path: Path, answer: Answer) -> None:
    made = channel(google, tmp_path, scopes=[READ])
    google._look = lambda path: answer  # type: ignore[method-assign]
    with pytest.raises(ChannelError) as caught:
        made.find(KEY)
    assert caught.value.kind == "transient"


def test_looking_whether_it_is_usable_loads_nothing_of_google(google: Google, tmp_path: Path) -> None:
    token = google.token_file(tmp_path / "t.json")
    program = (
        "import sys\n"
        "from scq import channels\n"
        "from scq.channels.place import Place\n"
        "from scq.config_channels import ChannelSetting\n"
        f"made = channels.get(ChannelSetting(type='gmail'), Place(env={{}}, gmail_token={str(token)!r}))\n"
        "assert made.usable() == ''\n"
        "print(sorted({'google', 'googleapiclient', 'requests', 'httplib2', 'oauthlib'} & set(sys.modules)))\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
