"""Everything on a Line that could grow or last, and how far. Both ends use the same values.

The sizes are part of the protocol's version, for a sender relies on its peer's windows. The
defaults are the protocol; others are for tests.
"""

from __future__ import annotations

from dataclasses import dataclass

from towline.core.wire.frames import Priority

MESSAGE_OVERHEAD = 64  # Bytes of credit each message costs besides its own: tiny ones cost memory.


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    payload_max: int = 16 << 10  # Of the frames this end makes: 1.3 ms at 100 Mbit/s; faster, more.
    message_max: int = 4 << 20  # The largest value a reader must be ready to hold at once.
    channels_max: int = 1024  # Opened by one side at a time: as many files as a process may open.
    replay_max: int = 16 << 20  # Sent and unacknowledged: 100 ms at 1.3 Gbit/s.
    bulk_max: int = 12 << 20  # The part of it bulk may take, so that small saves find room.
    held_max: int = 512 << 20  # Received and not consumed, over all channels: 256 stalled streams.
    window: int = 2 << 20  # Credit of a channel: 100 ms at 160 Mbit/s for each stream.
    bulk_window: int = 4 << 20  # As one message: the next one is made while this one travels.
    ping_after_s: float = 2.0  # Of hearing nothing. Cheap enough for an idle line to be watched.
    silence_s: float = 6.0  # Of hearing nothing: a PING had four seconds to be answered.
    hello_s: float = 60.0  # From attach to the peer's HELLO: ssh may ask for a passphrase.

    def window_of(self, priority: Priority) -> int:
        return self.bulk_window if priority is Priority.BULK else self.window


DEFAULT_LIMITS = Limits()
