"""Public keys as OpenSSH writes them: one line, checked before it may stand in a file of keys.

Standard library only, for the command that takes a laptop's key on the machine.
"""

from __future__ import annotations

import base64
import hashlib
import re
import struct

KIND = "ssh-ed25519"
RAW_SIZE = 32
LINE_MAX = 16384  # Characters of a public key of any kind: an RSA key of 16,384 bits has 3,000.

_PUBLIC = re.compile(
    r"(?P<kind>ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)"
    r"|sk-ssh-ed25519@openssh\.com|sk-ecdsa-sha2-nistp256@openssh\.com)"
    r" (?P<blob>[A-Za-z0-9+/]+={0,2})(?: (?P<comment>[^\x00-\x1f\x7f]*))?"
)


class BadKeyError(ValueError):
    """What was given is no public key."""


def public_line(raw: bytes, comment: str = "") -> str:
    """Return the line of an ed25519 key, from its 32 bytes."""
    blob = b"".join(struct.pack(">I", len(part)) + part for part in (KIND.encode(), raw))
    return f"{KIND} {base64.b64encode(blob).decode()} {comment}".rstrip()


def raw_of(line: str) -> bytes:
    """Return the 32 bytes of an ed25519 key's line."""
    return base64.b64decode(line.split()[1])[-RAW_SIZE:]


def check_public_line(text: str) -> str:
    """Return the public key in `text` as one line that may stand in a file of keys.

    No option, no second line, and a blob that is of the kind it says. Raises `BadKeyError`.
    """
    match = _PUBLIC.fullmatch(text.strip()) if len(text) <= LINE_MAX else None
    if match is None:
        raise BadKeyError("it is not one line with a public key of OpenSSH")
    kind, blob, comment = match["kind"], match["blob"], match["comment"]
    try:
        raw = base64.b64decode(blob, validate=True)
    except ValueError:
        raise BadKeyError("its base64 is broken") from None
    name = kind.encode()
    if not raw.startswith(struct.pack(">I", len(name)) + name):
        raise BadKeyError(f"it says that it is {kind}, and is not")
    return " ".join(filter(None, (kind, blob, comment)))


def fingerprint(line: str) -> str:
    """Return what OpenSSH shows of a public key."""
    digest = hashlib.sha256(base64.b64decode(line.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
