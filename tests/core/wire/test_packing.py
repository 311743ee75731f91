"""What is compressed, and what is not worth it."""

from __future__ import annotations

import random

import pytest

from towline.core.wire.frames import ProtocolError
from towline.core.wire.packing import COMPRESS_MIN, PLAIN_MAX, compressed, decompressed

NOISE = random.Random(1).randbytes(256 << 10)  # noqa: S311
CODE = b"def visible(self) -> bool:\n    return self._seen\n" * 4000


@pytest.mark.parametrize("plain", [CODE, CODE[:COMPRESS_MIN], NOISE[:8192] + CODE + NOISE[:8192]])
def test_what_shrinks_comes_back_whole(plain: bytes) -> None:
    packed = compressed(plain)
    assert packed is not None
    assert len(packed) < len(plain)
    assert decompressed(memoryview(packed)) == plain


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
    assert compressed(plain) is None


def test_zlib_is_spared_what_a_sample_shows_to_be_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    from towline.core.wire import packing

    seen: list[int] = []

    def compress(plain: bytes, level: int) -> bytes:
        seen.append(len(plain))
        return plain

    monkeypatch.setattr(packing.zlib, "compress", compress)
    assert packing.compressed(NOISE) is None
    assert sum(seen) < len(NOISE) // 10


def test_more_than_a_message_holds_is_refused() -> None:
    packed = compressed(bytes(PLAIN_MAX + 1))
    assert packed is not None
    with pytest.raises(ProtocolError):
        decompressed(memoryview(packed))


def test_anything_but_the_whole_of_it_is_refused() -> None:
    packed = compressed(CODE)
    assert packed is not None
    for other in (b"", b"not zlib", packed[:-1], packed + b"x", CODE):
        with pytest.raises(ProtocolError, match=r"does not decompress|cut short"):
            decompressed(memoryview(other))


def test_as_much_as_a_message_holds_comes_back() -> None:
    packed = compressed(bytes(PLAIN_MAX))
    assert packed is not None
    assert decompressed(memoryview(packed)) == bytes(PLAIN_MAX)
