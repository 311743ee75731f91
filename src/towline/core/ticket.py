"""The ticket: all that a laptop needs to reach a machine, as one line to copy.

    towline_1.ALIAS.PAYLOAD.CHECK

PAYLOAD is base64url of records (a tag, a length, that many bytes), CHECK the start of a digest of
all that stands before it. Records of an unknown tag are skipped, so that a later towline may add
some. The line is URL-safe, and no host name, for it holds an underscore. Nothing here asks what
time it is, opens a connection or makes a key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from towline.core.address import Address, BadAddressError, parse_address

VERSION = 1
TICKET_MAX = 8192  # Characters: many times what a machine with every route there is would need.
RECORDS_MAX = 6000  # Bytes: as text, with all around them, they stay below that.
ADDRESSES_MAX = 16
HOST_KEY_SIZE = 32  # Of ed25519, the only kind that machines of ours have.
SECRET_SIZE = 16  # A guess of it succeeds once in 2**128.
MACHINE_SIZE = 8
FOLDER_MAX = 1024  # Characters.
EXPIRES_MAX = 1 << 40  # Unix time; the end of the year 36812.

CHECK_SIZE = 8  # Characters; six bytes of the digest.

_PREFIX = re.compile(r"towline_(\d{1,3})\.")
_ALIAS = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_RECORD = struct.Struct(">BH")

_MACHINE, _HOST_KEY, _ADDRESS, _USER_NAME, _FOLDER, _PORT, _SECRET, _EXPIRES = range(1, 9)


class TicketError(ValueError):
    """The text is no ticket that can be used; the message says why, for a person."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """Checked when it is made: what `encode` writes, `decode` reads."""

    alias: str
    machine: str  # 16 hexadecimal digits: one life of one machine.
    host_key: bytes
    addresses: tuple[Address, ...]  # The first is tried first.
    user: str
    folder: str = ""  # Where projects lie; empty: the home folder.
    port: int = 0  # Of the SSH server, on the machine's own loopback. 0: not known.
    secret: bytes | None = None  # Lets one laptop add its key, once. None: its key is known there.
    expires: int = 0  # Unix time, of the secret.

    def __post_init__(self) -> None:
        sound = (
            _ALIAS.fullmatch(self.alias)
            and re.fullmatch(rf"[0-9a-f]{{{2 * MACHINE_SIZE}}}", self.machine)
            and len(self.host_key) == HOST_KEY_SIZE
            and 0 < len(self.addresses) <= ADDRESSES_MAX
            and _USER.fullmatch(self.user)
            and is_folder(self.folder)
            and 0 <= self.port < 1 << 16
            and (self.secret is None or len(self.secret) == SECRET_SIZE)
            and 0 <= self.expires < (1 if self.secret is None else EXPIRES_MAX)
            and sum(map(len, _records(self))) <= RECORDS_MAX
        )
        if not sound:
            raise TicketError("the ticket holds what no ticket may hold")

    def has_expired(self, now: float) -> bool:
        """Whether its secret is of no more use; the rest of it may well be."""
        return self.secret is not None and now >= self.expires


def is_folder(text: str) -> bool:
    """Whether a text may be a folder of a machine: absolute or of the home, one line, no option."""
    return not text or (text[0] in "/~" and len(text) <= FOLDER_MAX and text.isprintable())


def looks_like_ticket(text: str) -> bool:
    """Whether a person who gives this means a ticket, sound or not."""
    return _PREFIX.match(_joined(text)) is not None


# Writing


def encode(ticket: Ticket) -> str:
    payload = base64.urlsafe_b64encode(b"".join(_records(ticket))).rstrip(b"=").decode()
    return seal(ticket.alias, payload)


def seal(alias: str, payload: str) -> str:
    """Put a payload between what comes before and after it. It is not looked at."""
    text = f"towline_{VERSION}.{alias}.{payload}."
    return text + _check_of(text)


def _records(ticket: Ticket) -> Iterator[bytes]:
    yield _record(_MACHINE, bytes.fromhex(ticket.machine))
    yield _record(_HOST_KEY, ticket.host_key)
    for address in ticket.addresses:
        yield _record(_ADDRESS, str(address).encode())
    yield _record(_USER_NAME, ticket.user.encode())
    if ticket.folder:
        yield _record(_FOLDER, ticket.folder.encode())
    if ticket.port:
        yield _record(_PORT, ticket.port.to_bytes(2, "big"))
    if ticket.secret is not None:
        yield _record(_SECRET, ticket.secret)
        yield _record(_EXPIRES, ticket.expires.to_bytes(5, "big"))


def _record(tag: int, value: bytes) -> bytes:
    return _RECORD.pack(tag, len(value)) + value


def _check_of(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest[: CHECK_SIZE * 3 // 4]).decode()


# Reading


def decode(text: str) -> Ticket:
    """Read a ticket as it was copied; line breaks within it do no harm. Raises `TicketError`."""
    text = _joined(text)
    if len(text) > TICKET_MAX:
        raise TicketError(f"a ticket has at most {TICKET_MAX} characters, this text {len(text)}")
    alias, payload = _checked_parts(text)
    try:
        # Two spellings of the last character mean the same bytes; the digest settled which it is.
        records = list(_read_records(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))
        return _from_records(alias, records)
    except TicketError:
        raise
    except (ValueError, KeyError, BadAddressError, struct.error, binascii.Error) as error:
        raise TicketError(f"no towline wrote this ticket: {error}") from None


def _joined(text: str) -> str:
    """Return it without what terminals and chats put in or around a long line."""
    return "".join(text.split()).strip("'\"`")


def _checked_parts(text: str) -> tuple[str, str]:
    prefix = _PREFIX.match(text)
    if prefix is None:
        raise TicketError(f"this is no ticket: one begins with towline_{VERSION}.")
    if int(prefix[1]) != VERSION:
        raise TicketError(
            f"the ticket is of version {prefix[1]}, and this towline reads version {VERSION}:"
            " bring both sides to the same version of towline"
        )
    parts = text.split(".")
    if len(parts) < 4 or (len(parts) == 4 and len(parts[3]) < CHECK_SIZE):
        raise TicketError("the ticket is cut off: its end is missing; copy the whole line")
    body, _, check = text.rpartition(".")
    if len(parts) > 4 or not text.isascii() or _check_of(f"{body}.") != check:
        raise TicketError("the ticket was changed on the way here (a character is wrong); copy it")
    return parts[1], parts[2]


def _read_records(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        tag, size = _RECORD.unpack_from(data)
        end = _RECORD.size + size
        if end > len(data):
            raise ValueError("a record is longer than what there is")
        yield tag, data[_RECORD.size : end]
        data = data[end:]


def _from_records(alias: str, records: list[tuple[int, bytes]]) -> Ticket:
    fields = dict(reversed(records))  # The first of a kind counts.
    addresses = tuple(parse_address(value.decode()) for tag, value in records if tag == _ADDRESS)
    return Ticket(
        alias=alias,
        machine=fields[_MACHINE].hex(),
        host_key=fields[_HOST_KEY],
        addresses=addresses,
        user=fields[_USER_NAME].decode(),
        folder=fields.get(_FOLDER, b"").decode(),
        port=int.from_bytes(fields.get(_PORT, b""), "big"),
        secret=fields.get(_SECRET),
        expires=int.from_bytes(fields.get(_EXPIRES, b""), "big"),
    )
