"""docs/protocol.md says what the code does: its example byte by byte, its limits by value."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from towline.core.wire import frames
from towline.core.wire.frames import Kind, Priority
from towline.core.wire.limits import DEFAULT_LIMITS
from towline.core.wire.line import Line

DOCUMENT = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()
LINE_ID = bytes(range(16))


def example() -> list[bytes]:
    """Return what each block of the example says in hex: the first 16 columns, then two spaces."""
    blocks = re.findall(r"```hex\n(.*?)```", DOCUMENT, re.DOTALL)
    return [
        b"".join(bytes.fromhex(row.split("   ")[0][:48]) for row in block.splitlines())
        for block in blocks
    ]


def test_the_example_is_what_two_lines_say():
    speaker = Line(LINE_ID, initiator=True, software="towline 0.1.0", now=0)
    hearer = Line(LINE_ID, initiator=False, software="towline 0.1.0", now=0)
    speaker.attach(0)
    hearer.attach(0)
    first, *blocks = example()
    assert len(blocks) == 4
    assert speaker.bytes_to_send(0) == first
    channel = speaker.open_channel(b"sync", Priority.SYNC)
    speaker.send(channel, b"hi")
    speaker.close_channel(channel)
    hearer.receive_bytes(first, 0)
    hearer.next_event()
    speaker, hearer = hearer, speaker
    for block in blocks:
        assert speaker.bytes_to_send(0) == block
        hearer.receive_bytes(block, 0)
        while hearer.next_event() is not None:
            pass
        speaker, hearer = hearer, speaker
    assert speaker.bytes_to_send(0) == b""


KIB, MIB = 1 << 10, 1 << 20
SIZES = {
    "payload of a frame": f"{frames.PAYLOAD_MAX // KIB} KiB",
    "message": f"{DEFAULT_LIMITS.message_max // MIB} MiB",
    "greeting of a channel": f"{frames.GREETING_MAX // KIB} KiB",
    "reason of a CLOSE": f"{frames.REASON_MAX // KIB} KiB",
    "JSON of a HELLO": f"{frames.HELLO_MAX // KIB} KiB",
    "channels open at a time, opened by one end": f"{DEFAULT_LIMITS.channels_max}",
    "window of a channel (control, sync, interactive)": f"{DEFAULT_LIMITS.window // MIB} MiB",
    "window of a channel (bulk)": f"{DEFAULT_LIMITS.bulk_window // MIB} MiB",
    "sent and not acknowledged; then nothing new is sent": (
        f"{DEFAULT_LIMITS.replay_max // MIB} MiB"
    ),
    "of which bulk": f"{DEFAULT_LIMITS.bulk_max // MIB} MiB",
    "received and not consumed, over all channels": f"{DEFAULT_LIMITS.held_max // MIB} MiB",
    "time to the peer's HELLO": f"{DEFAULT_LIMITS.hello_s:g} s",
    "silence": f"{DEFAULT_LIMITS.silence_s:g} s",
}


@pytest.mark.parametrize("name", SIZES)
def test_the_limits_are_those_of_the_code(name):
    assert f"| {name} | {SIZES[name]} |\n" in DOCUMENT


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_frame_is_described(kind):
    assert f"| {kind.value} | {kind.name} |" in DOCUMENT
