"""Move bytes between two ends, both ways, until either has ended. It looks at none of them."""

from __future__ import annotations

import os
import selectors
import socket
from dataclasses import dataclass, field

BUFFER_MAX = 64 << 10  # Bytes per direction: what lies here cannot be overtaken any more.


@dataclass
class _Flow:
    """One direction: what was read and is yet to be written."""

    source: int
    target: int
    held: bytearray = field(default_factory=bytearray)
    ended: bool = False

    def read(self) -> None:
        try:
            data = os.read(self.source, BUFFER_MAX)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.held += data
        self.ended = not data
        self.write()

    def write(self) -> None:
        """Write what is held. Raises OSError when the target is gone."""
        try:
            while self.held:
                del self.held[: os.write(self.target, self.held)]
        except BlockingIOError:
            return


def bridge(source: int, target: int, sock: socket.socket) -> None:
    """Join `source` and `target` to `sock`.

    The end of `source` is passed on as a half-close, so that the last bytes of the other way
    still arrive; the end of `sock` ends everything.
    """
    for descriptor in (source, target, sock.fileno()):
        os.set_blocking(descriptor, False)
    there, back = _Flow(source, sock.fileno()), _Flow(sock.fileno(), target)
    half_closed = False
    try:
        while not (back.ended and not back.held):
            for flow, event in _wait(there, back):
                flow.write() if event == selectors.EVENT_WRITE else flow.read()
            if there.ended and not there.held and not half_closed:
                sock.shutdown(socket.SHUT_WR)
                half_closed = True
    except OSError:
        return  # An end is gone: so is the bridge.


def _wait(*flows: _Flow) -> list[tuple[_Flow, int]]:
    """Wait until a flow can read (if it holds nothing) or write (if it does)."""
    wanted: dict[int, list[tuple[_Flow, int]]] = {}
    for flow in flows:
        if flow.held:
            wanted.setdefault(flow.target, []).append((flow, selectors.EVENT_WRITE))
        elif not flow.ended:
            wanted.setdefault(flow.source, []).append((flow, selectors.EVENT_READ))
    with selectors.PollSelector() as selector:
        for descriptor, uses in wanted.items():
            selector.register(descriptor, sum(event for _, event in uses), uses)
        return [
            (flow, event)
            for key, events in selector.select()
            for flow, event in key.data
            if event & events
        ]
