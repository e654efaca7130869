"""Saved sign-ins: what Google's libraries write is read and kept; what anybody else writes does no harm."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.oauth2.credentials import Credentials

from scq.errors import ConfigError, SignInError
from scq.signin import tokens
from scq.signin.purposes import GMAIL, GMAIL_SEND, LISTING, SENDING, is_allowed, short
from scq.signin.tokens import Token

WHOLE: dict[str, Any] = {
    "token": "access",
    "refresh_token": "lasting",
    "token_uri": "https://oauth2.googleapis.com/token",
    "client_id": "id",
    "client_secret": "hidden",
    "scopes": [GMAIL_SEND],
    "expiry": "2026-03-02T10:30:00.123456Z",
}
NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def written(tmp_path: Path, document: object) -> str:
    path = tmp_path / "gmail_token.json"
    path.write_text(json.dumps(document))
    return str(path)


def test_what_googles_library_writes_is_read(tmp_path: Path) -> None:
    made = Credentials(
        "access",
        refresh_token="lasting",
        token_uri="https://oauth2.googleapis.com/token",
        client_id="id",
        client_secret="hidden",
        scopes=[GMAIL_SEND],
        expiry=datetime(2026, 3, 2, 10, 30),
        account="o@x.org",
    )
    (tmp_path / "t.json").write_text(made.to_json())
    token = tokens.read(str(tmp_path / "t.json"), GMAIL)
    assert (token.access, token.refresh, token.client_id, token.client_secret) == ("access", "lasting", "id", "hidden")
    assert (token.scopes, token.account) == ((GMAIL_SEND,), "o@x.org")
    assert token.expiry == datetime(2026, 3, 2, 10, 30, tzinfo=UTC)


def test_what_is_written_googles_library_reads(tmp_path: Path) -> None:
    path = written(tmp_path, {**WHOLE, "universe_domain": "googleapis.com", "account": "o@x.org"})
    tokens.write(path, tokens.read(path, GMAIL))
    made = Credentials.from_authorized_user_file(path)
    assert (made.token, made.refresh_token, made.scopes, made.account) == ("access", "lasting", [GMAIL_SEND], "o@x.org")
    assert made.expiry == datetime(2026, 3, 2, 10, 30, 0)


def test_what_nobody_here_knows_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path, {**WHOLE, "rapt_token": "r", "of others": {"a": [1]}})
    tokens.write(path, tokens.read(path, GMAIL))
    assert json.loads(Path(path).read_text()) == {**WHOLE, "rapt_token": "r", "of others": {"a": [1]}}


def test_a_sign_in_is_private_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "t.json"
    tokens.write(str(path), tokens.parsed(WHOLE, "here", ""))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    before = path.stat().st_ino
    tokens.write(str(path), tokens.parsed(WHOLE, "here", ""))
    assert path.stat().st_ino != before
    assert os.listdir(path.parent) == ["t.json"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real = written(tmp_path, WHOLE)
    link = tmp_path / "link.json"
    link.symlink_to(real)
    tokens.write(str(link), tokens.read(str(link), GMAIL))
    assert link.is_symlink()


def test_a_missing_sign_in_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(SignInError) as caught:
        tokens.read(str(tmp_path / "t.json"), GMAIL)
    assert caught.value.exit_code == 77
    assert "scq auth google --send" in caught.value.advice


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"token": 5}, "token"),
        ({"token": "a\nX-Evil: 1"}, "token"),
        ({"token": "ä"}, "token"),
        ({"token": "a" * 20_000}, "token"),
        ({"refresh_token": ["x"]}, "refresh_token"),
        ({"client_id": {}}, "client_id"),
        ({"client_secret": True}, "client_secret"),
        ({"account": "\x1b[31m"}, "account"),
        ({"token_uri": "http://stranger.example/token"}, "token_uri"),
        ({"token_uri": "ftp://127.0.0.1/"}, "token_uri"),
        ({"token_uri": "http://127.0.0.1.stranger.example/"}, "token_uri"),
        ({"token_uri": "http://[bad"}, "token_uri"),
        ({"scopes": {"a": 1}}, "scopes"),
        ({"scopes": [5]}, "scopes"),
        ({"scopes": ["a"] * 101}, "scopes"),
        ({"expiry": 1_700_000_000}, "expiry"),
        ({"expiry": "tomorrow"}, "expiry"),
        ({"expiry": "0001-01-01T00:00:00+23:59"}, "expiry"),
        ({"token": None, "refresh_token": ""}, "neither a token nor"[8:]),
        ({"token": None, "client_id": None}, "refresh_token with client_id"),
        ({"type": "service_account"}, "service account"),
        ({"installed": {}}, "client file"),
    ],
)
def test_a_damaged_sign_in_is_named_without_its_secrets(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    path = written(tmp_path, {**WHOLE, **changes})
    with pytest.raises(ConfigError) as caught:
        tokens.read(path, GMAIL)
    assert path in str(caught.value)
    assert named in str(caught.value)
    assert "hidden" not in str(caught.value)
    assert "lasting" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'"x"', b" " * (tokens.LIMIT + 1)])
def test_what_is_no_document_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"t\.json"):
        tokens.read(str(tmp_path / "t.json"), GMAIL)


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.json")
    with pytest.raises(ConfigError, match="not a regular file"):
        tokens.read(str(tmp_path / "t.json"), GMAIL)


def test_scopes_may_be_one_text() -> None:
    assert tokens.parsed({**WHOLE, "scopes": "a b"}, "here", "").scopes == ("a", "b")
    assert tokens.parsed({**WHOLE, "scopes": None}, "here", "").scopes == ()


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-03-02T10:30:00", NOW + timedelta(minutes=30)),
        ("2026-03-02T11:30:00+01:00", NOW + timedelta(minutes=30)),
        (None, None),
    ],
)
def test_an_end_is_utc_with_or_without_saying_so(text: str | None, at: datetime | None) -> None:
    assert tokens.parsed({**WHOLE, "expiry": text}, "here", "").expiry == at


def test_a_sign_in_is_fresh_until_five_minutes_before_its_end() -> None:
    token = tokens.parsed(WHOLE, "here", "")
    assert token.is_fresh(NOW)
    assert not token.is_fresh(NOW + timedelta(minutes=26))
    assert not Token(refresh="r").is_fresh(NOW)
    assert Token(access="a").is_fresh(NOW)
    assert not Token(access="a", refresh="r", client_id="c", client_secret="s").is_fresh(NOW)


def test_a_sign_in_shows_no_secret() -> None:
    shown = repr(tokens.parsed(WHOLE, "here", ""))
    assert not any(secret in shown for secret in ("access", "lasting", "hidden"))


def test_a_loopback_token_service_may_be_plain() -> None:
    assert tokens.is_safe_address("http://127.0.0.1:5/token")
    assert tokens.is_safe_address("http://localhost/token")
    assert not tokens.is_safe_address("https:///nowhere")


def test_scopes_that_are_enough() -> None:
    assert is_allowed((GMAIL_SEND,), SENDING)
    assert not is_allowed((GMAIL_SEND,), LISTING)
    assert is_allowed((), SENDING)
    assert short(GMAIL_SEND) == "gmail.send"
    assert short("https://mail.google.com/") == "https://mail.google.com/"
