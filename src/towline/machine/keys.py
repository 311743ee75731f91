"""Keys of ed25519: a machine's, a laptop's, and the one that both make of a ticket's secret.

They are kept as OpenSSH keeps them. Who may use which is decided elsewhere.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from towline.machine.place import write_private
from towline.machine.public_key import KIND, public_line

_PURPOSE = b"towline enrolment 1\0"


class BadPrivateKeyError(Exception):
    """A file holds no key that can be used; the message says why."""


def ensure_key(path: Path, comment: str) -> str:
    """Return the public line of the key at `path`, made at the first time, as is `path`.pub.

    Raises `BadPrivateKeyError`.
    """
    if not path.exists():
        _make_key(path)
    line = public_line(raw_public(_read_key(path)), comment)
    write_private(path.with_name(f"{path.name}.pub"), f"{line}\n")
    return line


def _make_key(path: Path) -> None:
    """Of several who make it at once the first is right: another may have shown its key already."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    write_private(beside, private_text(Ed25519PrivateKey.generate()))
    try:
        os.link(beside, path)
    except FileExistsError:
        pass
    except OSError:  # A file system without hard links.
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _read_key(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_ssh_private_key(path.read_bytes(), None)
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise BadPrivateKeyError(_why(error)) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadPrivateKeyError(f"it is not of the kind {KIND}")
    return key


def _why(error: Exception) -> str:
    if isinstance(error, UnsupportedAlgorithm) or "password" in str(error):
        return "it has a passphrase, and nobody is there to type it"
    return f"it is damaged ({error})"


def one_time_key(secret: bytes) -> Ed25519PrivateKey:
    """Return the key that a ticket's secret stands for, the same on both sides."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(_PURPOSE + secret).digest())


def new_secret(size: int) -> bytes:
    return os.urandom(size)


def private_text(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


def raw_public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
