"""Signing the audit log with Ed25519: a key of this home, and documents that others can check with its public half.

Needs `cryptography` (the extra `sign`). Keys are PEM files, PKCS #8 and SubjectPublicKeyInfo (RFC 8410), so that other
tools can use them too; signatures are base64.
"""

from __future__ import annotations

import base64
import binascii
import os
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, cast

from scq.errors import ConfigError, InvalidFileError
from scq.files import read_bytes, write_atomic

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY = "audit.key"
PUBLIC = "audit.pub"
KEY_LIMIT = 16 << 10


def is_available() -> bool:
    """True when keys and signatures can be made and checked on this machine."""
    return find_spec("cryptography") is not None


def make_key(folder: str) -> bool:
    """Make the key pair of a home unless it is there; the private half is readable by its owner only. True when made.

    Raises ConfigError without `cryptography`, or when only one half is there and cannot be the private one.
    """
    serialization, ed25519 = _parts()
    path = os.path.join(folder, KEY)
    if os.path.lexists(path):
        _write_public(folder, _private(path))
        return False
    if os.path.lexists(os.path.join(folder, PUBLIC)):
        advice = f"Restore {path} from a backup, or move {PUBLIC} away to begin with a new key."
        raise ConfigError(f"{os.path.join(folder, PUBLIC)} has lost its private half", advice)
    key = ed25519.Ed25519PrivateKey.generate()
    form = serialization.PrivateFormat.PKCS8
    content = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    write_atomic(path, content)
    _write_public(folder, key)
    return True


def has_key(folder: str) -> bool:
    """True when a home has a key to sign with."""
    return os.path.lexists(os.path.join(folder, KEY))


def public_key(folder: str) -> str:
    """The public half of the key of a home, PEM; empty when there is none. Raises ConfigError when it cannot be read."""
    path = os.path.join(folder, PUBLIC)
    return _content(path).decode("ascii", "replace") if os.path.lexists(path) else ""


def sign(folder: str, message: bytes) -> tuple[str, str]:
    """(public key as PEM, signature as base64) of a message. Raises ConfigError when there is no usable key."""
    path = os.path.join(folder, KEY)
    _parts()
    if not os.path.lexists(path):
        raise ConfigError(f"{path}: there is no key to sign with", "scq init makes one.")
    key = _private(path)
    return _pem(key.public_key()), base64.b64encode(key.sign(message)).decode("ascii")


def is_signed(message: bytes, signature: str, public: str) -> bool:
    """True when a signature (base64) of a message was made with the private half of `public` (PEM).

    Raises ConfigError when the public key cannot be used.
    """
    key = _public(public)
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(base64.b64decode(signature, validate=True), message)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def _parts() -> tuple[ModuleType, ModuleType]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise ConfigError("signatures need the package cryptography", "pip install 'scq[sign]'") from error
    return serialization, ed25519


def _private(path: str) -> Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm

    serialization, ed25519 = _parts()
    try:
        key: object = serialization.load_pem_private_key(_content(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path}: is not a private key", "Restore it from a backup.") from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise ConfigError(f"{path}: is not an Ed25519 key", "Move it away; scq init makes one.")
    return cast("Ed25519PrivateKey", key)


def _public(text: str) -> Ed25519PublicKey:
    serialization, ed25519 = _parts()
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        key: object = serialization.load_pem_public_key(text.encode("utf-8", "replace"))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError("the public key cannot be read", "It is the text of an audit.pub.") from error
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise ConfigError("the public key is not an Ed25519 key", "It is the text of an audit.pub.")
    return cast("Ed25519PublicKey", key)


def _pem(key: Ed25519PublicKey) -> str:
    serialization, _ = _parts()
    content: bytes = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return content.decode("ascii")


def _write_public(folder: str, key: Ed25519PrivateKey) -> None:
    path = os.path.join(folder, PUBLIC)
    if not os.path.lexists(path):
        write_atomic(path, _pem(key.public_key()).encode("ascii"), mode=0o644)


def _content(path: str) -> bytes:
    try:
        return read_bytes(path, KEY_LIMIT)
    except InvalidFileError as error:
        raise ConfigError(str(error), error.advice) from error
