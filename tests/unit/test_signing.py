"""The key of a home, and what is signed with it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from scq import signing
from scq.errors import ConfigError

MESSAGE = b"the head of a log\n"


@pytest.fixture
def home(tmp_path: Path) -> str:
    signing.make_key(str(tmp_path))
    return str(tmp_path)


def test_a_key_is_made_once_private_and_never_replaced(tmp_path: Path) -> None:
    assert not signing.has_key(str(tmp_path))
    assert signing.make_key(str(tmp_path))
    before = (tmp_path / signing.KEY).read_bytes()
    assert not signing.make_key(str(tmp_path))
    assert (tmp_path / signing.KEY).read_bytes() == before
    assert stat.S_IMODE((tmp_path / signing.KEY).stat().st_mode) == 0o600
    assert before.startswith(b"-----BEGIN PRIVATE KEY-----")


def test_a_lost_public_half_is_written_again(home: str) -> None:
    before = signing.public_key(home)
    os.unlink(os.path.join(home, signing.PUBLIC))
    assert signing.public_key(home) == ""
    assert not signing.make_key(home)
    assert signing.public_key(home) == before


def test_a_lost_private_half_is_not_replaced_in_silence(home: str) -> None:
    os.unlink(os.path.join(home, signing.KEY))
    with pytest.raises(ConfigError, match="has lost its private half"):
        signing.make_key(home)


def test_a_signature_holds_for_this_message_and_this_key_only(home: str, tmp_path: Path) -> None:
    public, signature = signing.sign(home, MESSAGE)
    assert public == signing.public_key(home)
    assert signing.is_signed(MESSAGE, signature, public)
    assert not signing.is_signed(MESSAGE + b"x", signature, public)
    other = tmp_path / "other"
    other.mkdir()
    signing.make_key(str(other))
    assert not signing.is_signed(MESSAGE, signature, signing.public_key(str(other)))


@pytest.mark.parametrize("signature", ["", "no base64!", "AAAA", "ü"])
def test_what_is_no_signature_does_not_hold(home: str, signature: str) -> None:
    assert not signing.is_signed(MESSAGE, signature, signing.public_key(home))


@pytest.mark.parametrize("text", ["", "no key", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_a_public_key_that_is_none_is_a_clear_error(text: str) -> None:
    with pytest.raises(ConfigError, match="public key"):
        signing.is_signed(MESSAGE, "AAAA", text)


def test_a_key_of_another_kind_is_refused(home: str, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / signing.KEY).write_bytes(private)
    with pytest.raises(ConfigError, match="not an Ed25519 key"):
        signing.sign(home, MESSAGE)
    with pytest.raises(ConfigError, match="not an Ed25519 key"):
        signing.is_signed(MESSAGE, "AAAA", public.decode())


def damaged(path: Path, damage: str) -> None:
    path.unlink()
    if damage == "fifo":
        os.mkfifo(path)
    elif damage == "link":
        path.symlink_to("/etc/passwd")
    elif damage == "huge":
        path.write_bytes(b"x" * (signing.KEY_LIMIT + 1))
    elif damage == "text":
        path.write_bytes(b"\xff not a key")


@pytest.mark.parametrize("damage", ["fifo", "link", "huge", "text"])
def test_a_damaged_key_is_named(home: str, tmp_path: Path, damage: str) -> None:
    damaged(tmp_path / signing.KEY, damage)
    with pytest.raises(ConfigError, match=signing.KEY):
        signing.sign(home, MESSAGE)


def test_without_a_key_it_is_said_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no key to sign with") as caught:
        signing.sign(str(tmp_path), MESSAGE)
    assert caught.value.advice == "scq init makes one."


def test_without_the_package_only_signing_says_what_is_missing(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    for attempt in (lambda: signing.sign(home, MESSAGE), lambda: signing.is_signed(MESSAGE, "AAAA", "key")):
        with pytest.raises(ConfigError) as caught:
            attempt()
        assert caught.value.advice == "pip install 'scq[sign]'"


def test_looking_for_the_package_does_not_load_it() -> None:
    script = "import sys; from scq import signing; signing.is_available(); print('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"
