"""What a Line tells the shell around it: values, in the order in which they happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from towline.core.wire.frames import Priority


@dataclass(frozen=True, slots=True)
class Connected:
    """Both HELLOs are exchanged on the transport attached last; what was queued flows.

    `resumed` is whether the line was connected before. `rtt_s` is the time from our HELLO to the
    peer's, with whatever the transport needed to come up: an upper bound. None on the acceptor,
    which only answers.
    """

    resumed: bool
    rtt_s: float | None


@dataclass(frozen=True, slots=True)
class Lost:
    """One of the ends was started anew and knows nothing of this line, which has ended with that.

    All its channels are gone. An agent that is asked for a line it does not have makes a new `Line`
    for the id and lets it say so.
    """


@dataclass(frozen=True, slots=True)
class Silent:
    """Nothing came for too long. Drop the transport, `detach`, connect anew: the line lives."""

    silent_s: float


@dataclass(frozen=True, slots=True)
class Late:
    """The HELLO of a transport came that was begun before the last one we have met: the peer has
    given it up. Drop it, and `detach`: the line lives.
    """


@dataclass(frozen=True, slots=True)
class Opened:
    """The peer opened a channel. Refuse it with `close_channel`."""

    channel: int
    greeting: bytes
    priority: Priority


class Message(NamedTuple):
    """A whole message. Say `consumed(channel, len(data))` when done with it."""

    channel: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """The peer closed the channel: nothing more comes or goes. Own closing has no event."""

    channel: int
    reason: str


@dataclass(frozen=True, slots=True)
class Sendable:
    """`send` on this channel would have been refused for want of credit; now it is not."""

    channel: int


Event = Connected | Lost | Silent | Late | Opened | Message | Closed | Sendable
