"""Secrets: read from where they are kept, and never shown."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring
from keyring.errors import KeyringLocked

from scq.errors import ConfigError
from scq.secrets import LIMIT, Secret


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
