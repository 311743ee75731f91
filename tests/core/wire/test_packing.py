"""What is compressed, and what is not worth it."""

from __future__ import annotations

import random
from unittest.mock import ANY

import pytest

from towline.core.wire.frames import ProtocolError
from towline.core.wire.packing import (
    COMPRESS_MIN,
    FRESH,
    PLAIN_MAX,
    STREAM,
    ZLIB,
    Packer,
    Unpacker,
    decompressed,
    unpacked,
)

NOISE = random.Random(1).randbytes(256 << 10)  # noqa: S311
CODE = b"def visible(self) -> bool:\n    return self._seen\n" * 4000


def _packed(plain: bytes) -> tuple[int, bytes]:
    packed = Packer().pack(plain)
    assert packed is not None
    return packed


@pytest.mark.parametrize("plain", [CODE, CODE[:COMPRESS_MIN], NOISE[:8192] + CODE + NOISE[:8192]])
def test_what_shrinks_comes_back_whole(plain: bytes) -> None:
    flags, packed = _packed(plain)
    assert len(packed) < len(plain)
    assert Unpacker().unpack(flags, memoryview(packed)) == plain


@pytest.mark.parametrize(
    "plain",
    [
        CODE[: COMPRESS_MIN - 1],  # Not worth its time.
        NOISE[:4096],  # Would not be less.
        NOISE,
        CODE[:256] + NOISE,  # A header before a picture.
    ],
)
def test_what_gains_nothing_stays_as_it_is(plain: bytes) -> None:
    assert Packer().pack(plain) is None


def test_zlib_is_spared_what_a_sample_shows_to_be_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    from towline.core.wire import packing

    seen: list[int] = []

    def compress(plain: bytes, level: int) -> bytes:
        seen.append(len(plain))
        return plain

    monkeypatch.setattr(packing.zlib, "compress", compress)
    assert Packer().pack(NOISE) is None
    assert sum(seen) < len(NOISE) // 10


def test_more_than_a_message_holds_is_refused() -> None:
    _, packed = _packed(bytes(PLAIN_MAX + 1))
    with pytest.raises(ProtocolError):
        decompressed(memoryview(packed))


def test_anything_but_the_whole_of_it_is_refused() -> None:
    _, packed = _packed(CODE)
    for other in (b"", b"not zlib", packed[:-1], packed + b"x", CODE):
        with pytest.raises(ProtocolError, match=r"does not decompress|cut short"):
            decompressed(memoryview(other))


def test_as_much_as_a_message_holds_comes_back() -> None:
    _, packed = _packed(bytes(PLAIN_MAX))
    assert decompressed(memoryview(packed)) == bytes(PLAIN_MAX)


class Letters:
    """Stands for zstd: a stream whose every part is the plain bytes, and whether it goes on."""

    def __init__(self) -> None:
        self.has_ended = False

    def compress(self, plain: bytes, *, more: bool) -> bytes:
        return plain + (b"+" if more else b".")

    def decompress(self, packed: bytes, size: int) -> bytes:
        if len(packed) != size + 1:
            raise ValueError("too long")
        self.has_ended = packed[-1:] == b"."
        return packed[:-1]


def test_a_stream_goes_on_until_nothing_follows() -> None:
    packer, unpacker = Packer(Letters), Unpacker(Letters)
    seen: list[int] = []
    for more in (True, True, False, True):
        packed = packer.pack(CODE, more=more)
        assert packed is not None
        flags, data = packed
        seen.append(flags)
        assert unpacker.unpack(flags, memoryview(data)) == CODE
    assert seen == [STREAM | FRESH, STREAM, STREAM, STREAM | FRESH]


def test_as_much_as_a_message_holds_comes_back_by_a_stream() -> None:
    packed = Packer(Letters).pack(bytes(PLAIN_MAX))
    assert packed is not None
    assert Unpacker(Letters).unpack(packed[0], memoryview(packed[1])) == bytes(PLAIN_MAX)


def test_a_message_by_itself_is_a_stream_by_itself() -> None:
    packer = Packer(Letters)
    assert [packer.pack(CODE), packer.pack(CODE)] == [(STREAM | FRESH, ANY)] * 2


def test_a_part_may_be_nothing_but_its_size() -> None:
    with pytest.raises(ProtocolError, match="does not decompress"):
        Unpacker(Letters).unpack(STREAM | FRESH, memoryview(bytes(4)))


def test_by_itself_a_message_comes_back_without_an_unpacker() -> None:
    flags, packed = _packed(CODE)
    assert unpacked(flags, memoryview(packed)) == CODE


def test_what_is_not_sent_is_not_referred_to() -> None:
    packer = Packer(Letters)
    packer.pack(CODE, more=True)
    packer.reset()
    packed = packer.pack(CODE, more=True)
    assert packed is not None
    assert packed[0] == STREAM | FRESH


def test_what_cannot_shrink_stands_between_the_parts_of_a_stream() -> None:
    packer = Packer(Letters)
    assert packer.pack(CODE, more=True) is not None
    assert packer.pack(NOISE, more=True) is None
    packed = packer.pack(CODE, more=True)
    assert packed is not None
    assert packed[0] == STREAM


@pytest.mark.parametrize(
    ("flags", "packed", "match"),
    [
        (STREAM, b"\0\0\0\1a.", "never began"),
        (STREAM | FRESH, b"\0\0\0", "shorter than its size"),
        (STREAM | FRESH, (PLAIN_MAX + 1).to_bytes(4, "big") + b"a.", "exceeds"),
        (STREAM | FRESH, b"\0\0\0\1ab.", "does not decompress: too long"),
        (FRESH, b"\0\0\0\1a.", "not agreed on"),
        (STREAM | ZLIB, b"\0\0\0\1a.", "not agreed on"),
    ],
)
def test_a_stream_that_no_packer_makes_is_refused(flags: int, packed: bytes, match: str) -> None:
    with pytest.raises(ProtocolError, match=match):
        Unpacker(Letters).unpack(flags, memoryview(packed))


def test_a_stream_is_refused_where_there_is_no_zstd() -> None:
    with pytest.raises(ProtocolError, match="not agreed on"):
        Unpacker().unpack(STREAM | FRESH, memoryview(b"\0\0\0\1a."))
