"""`GmailAuth` and `GmailSender` as documented: credentials that work, and True or False for every mail."""

from __future__ import annotations

import inspect
import json
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import scq as q
from scq.errors import BusyError, ConfigError, SignInError, UsageError
from tests.servers.google import SEND, Google, google_on_loopback, refusal
from tests.servers.http import Answer

ENDED = "2020-01-01T00:00:00Z"


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    with google_on_loopback(tmp_path, monkeypatch) as server:
        yield server


@pytest.fixture
def sender(google: Google, tmp_path: Path) -> q.GmailSender:
    return q.GmailSender(q.GmailAuth().load_credentials(google.token_file(tmp_path / "t.json")))


def html_of(google: Google) -> str:
    part = google.mail().get_body(("html",))  # type: ignore[attr-defined]
    return str(part.get_content())


def text_of(google: Google) -> str:
    part = google.mail().get_body(("plain",))  # type: ignore[attr-defined]
    return str(part.get_content())


def test_signing_in_saves_beside_the_client_file(google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROWSER", "here")
    monkeypatch.setattr("webbrowser.open", google.browser)
    credentials = q.GmailAuth().setup_auth(google.client_file())
    google._visit.join()
    assert (credentials.token, credentials.valid, credentials.scopes) == ("access-0", True, [SEND])
    saved = tmp_path / "gmail_token.json"
    assert json.loads(saved.read_text())["refresh_token"] == "refresh-0"
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600


def test_signing_in_without_a_browser(
    google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def paste() -> str:
        url = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("https://"))
        return google.agree(url)

    monkeypatch.setattr("builtins.input", paste)
    q.GmailAuth().setup_auth(google.client_file(), token_path=tmp_path / "own" / "t.json", no_browser=True)
    assert q.GmailAuth().load_credentials(str(tmp_path / "own" / "t.json")).token == "access-0"


def test_signing_in_tells_what_is_wrong(google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError) as caught:
        q.GmailAuth().setup_auth(tmp_path / "none.json")
    assert "Desktop app" in caught.value.__notes__[0]
    monkeypatch.setattr("builtins.input", lambda: "http://localhost:1/?state=x&code=y")
    with pytest.raises(UsageError, match="another sign-in"):
        q.GmailAuth().setup_auth(google.client_file(), no_browser=True)


def test_credentials_that_ended_are_renewed_and_saved(google: Google, tmp_path: Path) -> None:
    path = google.token_file(tmp_path / "t.json", expiry=ENDED)
    assert q.GmailAuth().load_credentials(path).token == "access-1"
    assert json.loads(path.read_text())["token"] == "access-1"


def test_credentials_that_cannot_be_saved_work_with_a_warning(
    google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "t.json")

    path = google.token_file(tmp_path / "t.json", expiry=ENDED)
    monkeypatch.setattr("scq.signin.tokens.write_atomic", full)
    with pytest.warns(q.ProblemWarning, match="No space left"):
        assert q.GmailAuth().load_credentials(path).token == "access-1"


def test_missing_and_dead_credentials_say_what_to_do(google: Google, tmp_path: Path) -> None:
    with pytest.raises(SignInError) as caught:
        q.GmailAuth().load_credentials(tmp_path / "none.json")
    assert "scq auth google --send" in caught.value.__notes__[0]
    with pytest.raises(SignInError, match="no longer accepts"):
        q.GmailAuth().load_credentials(google.token_file(tmp_path / "t.json", expiry=ENDED, refresh_token="dead"))


def test_an_unreachable_google_is_no_dead_sign_in(google: Google, tmp_path: Path) -> None:
    path = google.token_file(tmp_path / "t.json", expiry=ENDED, token_uri="https://127.0.0.1:1/token")
    with pytest.raises(BusyError):
        q.GmailAuth().load_credentials(path)


def test_every_documented_mail_goes_to_whom_it_should(google: Google, sender: q.GmailSender) -> None:
    do, ds = "owner@example.org", "ds@example.com"
    at = datetime(2024, 1, 15, 15, 30, tzinfo=UTC)
    done = [
        sender.notify_new_job(do, "income", ds, timestamp=at, job_url="https://box.example/j"),
        sender.notify_job_approved(ds, "income"),
        sender.notify_job_executed(ds, "income", duration=61, results_url="https://box.example/r"),
        sender.notify_new_peer_request_to_do(do, ds, peer_url="https://box.example/p"),
        sender.notify_peer_request_sent(ds, do),
        sender.notify_peer_request_granted(ds, do),
        sender.send_email(ds, "Custom Alert", "plain\n", "<h1>shown</h1>"),
    ]
    assert done == [True] * 7
    mails = [google.mail(number) for number in range(7)]
    assert [mail["To"] for mail in mails] == [do, ds, ds, do, ds, ds, ds]
    assert [mail["Subject"] for mail in mails] == [
        "Job: income",
        "Job Approved: income",
        "Job Completed: income",
        f"New Peer Request from {ds}",
        f"Peer Request Sent to {do}",
        f"Peer Request Accepted: {do}",
        "Custom Alert",
    ]
    assert {mail["From"] for mail in mails} == {"owner@example.org"}
    assert len(google.posts()) == 7


def test_the_words_of_a_mail_are_in_both_forms(google: Google, sender: q.GmailSender) -> None:
    sender.notify_job_executed("ds@example.com", "income", duration=61)
    assert "income" in html_of(google)
    assert "1 minute 1 second" in html_of(google)
    assert "income" in text_of(google)


def test_plain_text_only_where_html_is_not_wanted(google: Google, sender: q.GmailSender) -> None:
    plain = q.GmailSender(sender.credentials, use_html=False)
    assert plain.notify_job_approved("ds@example.com", "income")
    assert google.mail().get_content_type() == "text/plain"
    assert plain.send_email("ds@example.com", "s", "only text", "<p>never</p>")
    assert google.mail().get_content_type() == "text/plain"


def test_a_failure_is_false_and_a_warning(google: Google, sender: q.GmailSender) -> None:
    google.next_sends = [refusal(403, "rateLimitExceeded"), Answer(body={}, cut=0)]
    with pytest.warns(q.ProblemWarning, match="rateLimitExceeded"):
        assert sender.notify_job_approved("ds@example.com", "income") is False
    with pytest.warns(q.ProblemWarning, match="broke"):
        assert sender.send_email("ds@example.com", "s", "t") is False
    with pytest.warns(q.ProblemWarning, match="not one plain e-mail address"):
        assert sender.send_email("a@b.org\nBcc: c@d.org", "s", "t") is False
    with pytest.warns(q.ProblemWarning, match="not one plain e-mail address"):
        assert sender.send_email(None, "s", "t") is False  # type: ignore[arg-type]


def test_credentials_are_renewed_in_use(google: Google, tmp_path: Path) -> None:
    path = google.token_file(tmp_path / "t.json")
    credentials = q.GmailAuth().load_credentials(path)
    credentials.token = "refused"
    sender = q.GmailSender(credentials)
    assert sender.send_email("ds@example.com", "s", "t")
    assert credentials.token == "access-1"
    credentials.expiry = datetime(2020, 1, 1)
    assert sender.send_email("ds@example.com", "s", "t")
    assert credentials.token == "access-2"
    google.refresh = "another"
    credentials.token = None
    with pytest.warns(q.ProblemWarning, match="no longer accepts"):
        assert sender.send_email("ds@example.com", "s", "t") is False


def test_hostile_words_stay_words(google: Google, sender: q.GmailSender) -> None:
    assert sender.notify_new_job("owner@example.org", "<script>x</script>\r\nBcc: c@d.org\x1b[2J", "ds@example.com")
    assert "<script>" not in html_of(google)
    assert google.mail()["Bcc"] is None
    assert "\x1b" not in text_of(google) + html_of(google)


def test_an_address_that_is_no_safe_link_is_left_out(google: Google, sender: q.GmailSender) -> None:
    with pytest.warns(q.ProblemWarning, match="left out"):
        assert sender.notify_new_job("owner@example.org", "income", "ds@example.com", job_url="javascript:alert(1)")
    assert "javascript" not in html_of(google)


def test_the_signatures_are_the_documented_ones() -> None:
    wanted = {
        "notify_new_job": ["do_email", "job_name", "submitter", "timestamp", "job_url"],
        "notify_job_approved": ["ds_email", "job_name", "job_url"],
        "notify_job_executed": ["ds_email", "job_name", "duration", "results_url"],
        "notify_new_peer_request_to_do": ["do_email", "ds_email", "peer_url"],
        "notify_peer_request_sent": ["ds_email", "do_email"],
        "notify_peer_request_granted": ["ds_email", "do_email"],
        "send_email": ["to_email", "subject", "body_text", "body_html"],
    }
    for name, parameters in wanted.items():
        assert list(inspect.signature(getattr(q.GmailSender, name)).parameters)[1:] == parameters
    assert list(inspect.signature(q.GmailSender).parameters) == ["credentials", "use_html"]
    assert q.GOOGLE_API_TIMEOUT == 120
