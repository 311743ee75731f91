"""Keys of ed25519: a machine's, a laptop's, and the one that both make of a ticket's secret.

They are kept as OpenSSH keeps them. Who may use which is decided elsewhere.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

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


def ensure_key(path: Path, comment: str) -> str:
    """Return the public line of the key at `path`, made at the first time, as is `path`.pub."""
    if path.exists():
        key = load_ssh_private_key(path.read_bytes(), None)
        assert isinstance(key, Ed25519PrivateKey), f"{path} is no key of {KIND}"
        line = public_line(raw_public(key), comment)
    else:
        key = Ed25519PrivateKey.generate()
        line = public_line(raw_public(key), comment)
        write_private(path, private_text(key))
    write_private(path.with_name(f"{path.name}.pub"), f"{line}\n")
    return line


def one_time_key(secret: bytes) -> Ed25519PrivateKey:
    """Return the key that a ticket's secret stands for, the same on both sides."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(_PURPOSE + secret).digest())


def new_secret(size: int) -> bytes:
    return os.urandom(size)


def private_text(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


def raw_public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
