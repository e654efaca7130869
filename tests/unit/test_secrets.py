"""Secrets: read from where they are kept, and never shown."""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring
from keyring.errors import KeyringLocked
from msgspec.structs import replace

from scq import secrets
from scq.errors import ConfigError
from scq.secrets import LIMIT, Secret, redacted, remember
from scq.signin.tokens import Token


class Box(KeyringBackend):
    """A keyring in memory."""

    priority = 1.0  # type: ignore[assignment]

    def __init__(self, locked: bool = False) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = locked

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked("it is locked")
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[(service, username)] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[(service, username)]


@pytest.fixture(autouse=True)
def nothing_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests of this process read is no secret here."""
    monkeypatch.setattr(secrets, "_READ", set())


@pytest.fixture
def box() -> Iterator[Box]:
    before = keyring.get_keyring()
    made = Box()
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


def test_a_secret_stands_in_the_settings_or_in_the_environment() -> None:
    assert Secret(literal="word").read({}) == "word"
    assert Secret(env="TOKEN").read({"TOKEN": " word \n"}) == "word"


def test_no_place_means_no_secret() -> None:
    assert not Secret()
    assert Secret().read({}) == ""
    assert all((Secret("a"), Secret(env="a"), Secret(file="a"), Secret(keyring="a")))


def test_a_file_is_read_without_the_blanks_around_it(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("  word\n\n")
    assert Secret(file=str(path)).read({}) == "word"
    (tmp_path / "link").symlink_to(path)
    assert Secret(file=str(tmp_path / "link")).read({}) == "word"


def test_a_keyring_is_asked_by_service_and_name(box: Box) -> None:
    keyring.set_password("scq", "mail/relay", "word")
    assert Secret(keyring="scq/mail/relay").read({}) == "word"


@pytest.mark.parametrize("env", [{}, {"TOKEN": ""}, {"TOKEN": "  "}])
def test_an_environment_without_it_is_named(env: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="environment variable TOKEN is not set") as caught:
        Secret(env="TOKEN").read(env)
    assert caught.value.advice


def test_a_file_that_is_none_is_named_and_never_hangs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(LIMIT + 1)
    for name in ("fifo", "folder", "binary", "empty", "gone", "dangling", "huge"):
        with pytest.raises(ConfigError) as caught:
            Secret(file=str(tmp_path / name)).read({})
        assert str(tmp_path) in str(caught.value)
        assert caught.value.advice


def test_a_keyring_without_the_entry_says_how_to_make_it(box: Box) -> None:
    with pytest.raises(ConfigError, match="the keyring has no entry scq/relay") as caught:
        Secret(keyring="scq/relay").read({})
    assert caught.value.advice == "Run: keyring set scq relay"


def test_a_keyring_that_is_locked_or_not_there_is_named(box: Box) -> None:
    box.locked = True
    with pytest.raises(ConfigError, match="the keyring cannot be read") as caught:
        Secret(keyring="scq/relay").read({})
    assert "cron" in caught.value.advice
    keyring.set_keyring(NoKeyring())
    with pytest.raises(ConfigError, match="the keyring cannot be read"):
        Secret(keyring="scq/relay").read({})


def test_a_machine_without_the_package_is_told_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ConfigError, match="keyring is not installed") as caught:
        Secret(keyring="scq/relay").read({})
    assert "scq[keyring]" in caught.value.advice


@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        (Secret("word"), "Secret(literal)"),
        (Secret(env="TOKEN"), "Secret(env TOKEN)"),
        (Secret(file="/etc/token"), "Secret(file /etc/token)"),
        (Secret(keyring="scq/relay"), "Secret(scq/relay)"),
    ],
)
def test_only_the_place_of_a_secret_is_shown(secret: Secret, shown: str) -> None:
    assert repr(secret) == str(secret) == shown


def test_what_was_read_is_hidden_wherever_it_turns_up(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from a/file+1\n")
    assert Secret(file=str(tmp_path / "token")).read({})
    assert Secret(env="W").read({"W": "s3same"})
    assert Secret("s3same, open").read({})
    said = "s3same, open; s3same; from a/file+1; from%20a%2Ffile%2B1; from%20a/file%2B1"
    assert redacted(said) == "; ".join(["(hidden)"] * 5)


@pytest.mark.parametrize(
    "shown",
    [
        "a%2Fb%3Ac+d%27e%5Cf%C3%A9",
        "a%2fb%3ac%20d%27e%5cf%c3%a9",
        "a/b%3Ac%20d%27e%5Cf%C3%A9",
        "a/b:c d'e\\\\f\u00e9",
        base64.b64encode("a/b:c d'e\\f\u00e9".encode()).decode(),
    ],
)
def test_a_secret_is_hidden_as_it_stands_in_addresses_quotes_and_base64(shown: str) -> None:
    remember("a/b:c d'e\\f\u00e9")
    assert redacted(f"failed: <{shown}>").rstrip("=>") == "failed: <(hidden)"


def test_the_beginning_of_a_secret_is_hidden_where_a_text_was_cut() -> None:
    remember("0123-long-and-secret-4567")
    assert redacted("failed with 0123-long-and-s…") == "failed with (hidden)…"
    assert redacted("failed with 0123-long-and-secret-456…") == "failed with (hidden)…"
    assert redacted("failed with 0123-long-and-s") == "failed with 0123-long-and-s", "a text that was not cut has no such end"
    assert redacted("failed with much…") == "failed with much…"


def test_a_secret_too_short_to_be_told_from_a_word_is_not_looked_for() -> None:
    remember("", "abc", "word")
    assert redacted("abc, words, password, and 'word'") == "abc, words, password, and '(hidden)'"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abc.def-1", "Authorization: Bearer (hidden)"),
        ("'authorization': 'Basic dXNlcjpwdw=='", "'authorization': 'Basic (hidden)'"),
        ("sent bearer 0a1b2c3d4e", "sent bearer (hidden)"),
        ("got ya29.a0AfB_by-x.Z and more", "got (hidden) and more"),
        ("refresh 1//0gAbCdEf-12_x", "refresh (hidden)"),
        ("client GOCSPX-abc_1-2", "client (hidden)"),
        ("https://ana:pw@relay.example.org:8025/x", "https://(hidden)@relay.example.org:8025/x"),
        ("smtp://ana@relay.example.org", "smtp://(hidden)@relay.example.org"),
        ("https://x.org/a?b=1&access_token=abc&c=2", "https://x.org/a?b=1&access_token=(hidden)&c=2"),
        ("https://x.org/a?key=abc#d", "https://x.org/a?key=(hidden)#d"),
        ("https://hooks.slack.com/services/T0/B0/xyz: 404", "https://hooks.slack.com/(hidden) 404"),
        ("(https://discord.com/api/webhooks/12/ab-c)", "(https://discord.com/api/webhooks/(hidden))"),
        ("https://discordapp.com/api/v10/webhooks/12/ab", "https://discordapp.com/api/v10/webhooks/(hidden)"),
        ("https://hc-ping.com/0a-1b/start", "https://hc-ping.com/(hidden)"),
        ("https://api.telegram.org/bot123456:ABCDEFGHIJKLMNOPQRSTuvw/x", "https://api.telegram.org/(hidden)/x"),
        ("token xoxb-123456-abc", "token (hidden)"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "(hidden)"),
        ("mysql --password=abc -u x", "mysql --password=(hidden) -u x"),
        ("API_KEY=abc", "API_KEY=(hidden)"),
        ("a -----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY----- b", "a (hidden) b"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc", "(hidden)"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, shown: str) -> None:
    assert redacted(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "done (exit code 0, 0.012 s)",
        "the bearer of bad news",
        "the token: file not found",
        "https://example.org/a/b?page=2",
        "ana@example.org sent https://example.org/x, for bo@example.org",
        "http://127.0.0.1:8080/file/1//2",
        "job robot1 = fine",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert redacted(text) == text


def test_a_hostile_text_costs_no_more_than_its_length() -> None:
    for part in ("?token", "bearer 1", "-----BEGIN PRIVATE KEY-----", "://a", "eyJaaaaaaaaa."):
        assert redacted(part * 5_000)
    assert redacted("bearer " + "a." * 50_000)


def test_a_sign_in_that_was_read_or_renewed_is_hidden() -> None:
    token = Token(access="access-aaa", refresh="refresh-bbb", client_secret="client-ccc")
    replace(token, access="access-ddd")
    assert redacted("access-aaa refresh-bbb client-ccc access-ddd") == "(hidden) (hidden) (hidden) (hidden)"


def test_a_known_secret_within_an_address_does_not_end_what_is_hidden_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_READ", set())
    secrets.remember("services", "first-half")
    assert secrets.redacted("https://hooks.slack.com/services/T0/B0/abcdefgh'") == "https://hooks.slack.com/(hidden)'"
    assert secrets.redacted("/x?token=first-half-and-second") == "/x?token=(hidden)"
