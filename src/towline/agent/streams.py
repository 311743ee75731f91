"""What a channel of the Line can be besides a lane of a mirror: the seam for streams of bytes.

A kind of stream is one class that takes all channels whose greeting it wants. The service asks
the kinds in turn and drives them; what the bytes mean is theirs to know.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

PART = 256 << 10  # Bytes in one message: small things of others come between its frames.


class Streams(Protocol):
    """All channels of one kind on one Line. Made anew with it: its channels are gone then.

    What one end does not read is not read from the other: the channel's credit is given back only
    for what was passed on.
    """

    def wants(self, greeting: Mapping[str, Any]) -> bool:
        """Whether a channel that is greeted so is of this kind."""
        ...

    def open(self, channel: int, greeting: Mapping[str, Any]) -> None:
        """Take the channel, or close it with the reason.

        Raises `ValueError` if the greeting asks for what cannot be.
        """

    def __contains__(self, channel: int) -> bool: ...

    def put(self, channel: int, data: bytes) -> None:
        """Take a message. The empty one says that the laptop has no more to send."""

    def stir(self, channel: int) -> None:
        """There may be credit again; the channel may be another kind's."""

    def closed(self, channel: int) -> None:
        """The laptop closed the channel, which may be another kind's: nothing more goes out."""

    def close(self) -> None:
        """Let go of all channels and of what is behind them."""

    def step(self) -> None:
        """Move what can be moved, on all of them."""

    def readable(self) -> Collection[int]:
        """The descriptors to wait for until they can be read: what they have would have a place."""
        ...

    def writable(self) -> Collection[int]:
        """The descriptors to wait for until they can be written."""
        ...
