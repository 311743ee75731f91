"""What the laptop compresses, the machine's library reads; anything else is an error."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable

import pytest
from backports import zstd as library

from towline.agent import libzstd, zstd
from towline.core.wire.packing import PLAIN_MAX, WINDOW_LOG, Decompressor
from towline.engine.zstd import Stream

CHANCE = random.Random(7)  # noqa: S311
NOISE = CHANCE.randbytes(100_000)


@pytest.fixture
def open_stream() -> Callable[[], Decompressor]:
    opened = zstd.find()
    if opened is None:
        pytest.skip("the system's libzstd is not there")
    return opened


def test_a_stream_is_read_part_by_part(open_stream: Callable[[], Decompressor]) -> None:
    here, there = Stream(), open_stream()
    parts = [NOISE, b"", b"x", bytes(PLAIN_MAX), NOISE, CHANCE.randbytes(300_000), NOISE]
    for part in parts:
        packed = here.compress(part, more=True)
        assert there.decompress(packed, len(part)) == part
        assert not there.has_ended
    last = here.compress(NOISE, more=False)
    assert len(last) < 100  # It was said before.
    assert there.decompress(last, len(NOISE)) == NOISE
    assert there.has_ended


@pytest.mark.parametrize("told", [len(NOISE) - 1, len(NOISE) + 1, 0])
def test_another_size_than_was_told_is_refused(
    open_stream: Callable[[], Decompressor], told: int
) -> None:
    packed = Stream().compress(NOISE, more=True)
    with pytest.raises(ValueError, match=f"not {told} bytes"):
        open_stream().decompress(packed, told)


def test_what_is_cut_short_or_goes_on_is_refused(open_stream: Callable[[], Decompressor]) -> None:
    packed = Stream().compress(NOISE, more=False)
    for wrong in (packed[:-1], packed + b"x", packed + packed, b""):
        with pytest.raises(ValueError, match=f"not {len(NOISE)} bytes"):
            open_stream().decompress(wrong, len(NOISE))


def test_anything_else_is_refused(open_stream: Callable[[], Decompressor]) -> None:
    packed = bytearray(Stream().compress(b"some text " * 1000, more=False))
    refused = 0
    for at in range(len(packed)):
        wrong = bytes(packed[:at]) + bytes([packed[at] ^ 0x55]) + bytes(packed[at + 1 :])
        try:
            assert len(open_stream().decompress(wrong, 10_000)) == 10_000
        except ValueError:
            refused += 1
    assert refused > len(packed) // 2
    with pytest.raises(ValueError, match=r"."):
        open_stream().decompress(b"not zstd at all", 100)


def test_a_window_that_is_too_large_is_refused(open_stream: Callable[[], Decompressor]) -> None:
    options = {library.CompressionParameter.window_log: WINDOW_LOG + 1}
    large = library.ZstdCompressor(options=options)
    packed = large.compress(NOISE, large.FLUSH_BLOCK)
    with pytest.raises(ValueError, match=r"."):
        open_stream().decompress(packed, len(NOISE))


def test_a_machine_without_one_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libzstd, "_NAMES", ("libnone.so.0",))
    assert zstd.find.__wrapped__() is None


def test_a_python_without_ctypes_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "towline.agent.libzstd", None)
    assert zstd.find.__wrapped__() is None
