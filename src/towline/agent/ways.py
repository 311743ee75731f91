"""The ways in to this machine, told to the laptop at each change: the other route's new address.

`towline up` keeps a file of them, and a channel that asks for it gets what stands there, then every
change. Where there is no such file, nothing is ever told. What the laptop believes of it is its
own affair.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, cast

from towline.agent.watches import Watches
from towline.core.wire.line import Line

VARIABLE = "TOWLINE_STATUS_FILE"  # Set in every shell by the server of `towline up`.
USUAL = "towline/machine/status.json"  # Below the state directory.
FILE_MAX = 64 << 10  # Bytes.
LOOK_S = 2.0  # Between two looks: a way in that is lost takes longer to be opened again.


class Ways(Watches[bytes]):
    """All channels of one Line that ask; of each is known what it heard last.

    `path` is the file, empty where there can be none.
    """

    def __init__(self, line: Line, path: str) -> None:
        super().__init__(line)
        self._path = path
        self._seen: tuple[int, ...] = ()  # What tells that the file is another.
        self._news = b""
        self._looks_at = 0.0

    def wants(self, greeting: Mapping[str, Any]) -> bool:
        return "ways" in greeting

    def begin(self) -> bytes:
        self._seen, self._looks_at = (), 0.0
        return b""

    def put(self, channel: int, data: bytes) -> None:
        """The laptop has nothing to say here."""
        self._line.consumed(channel, len(data))

    def deadline(self) -> float | None:
        return self._looks_at if self._asked and self._path else None

    def look(self, now: float) -> None:
        if self._asked and self._path and now >= self._looks_at:
            self._looks_at = now + LOOK_S
            self._look()

    def step(self) -> None:
        """Tell whoever has not heard what is new."""
        for channel, told in self._asked.items():
            if self._news not in (b"", told) and self._line.sendable(channel) > 0:
                self._line.send(channel, self._news)
                self._asked[channel] = self._news

    def _look(self) -> None:
        """What cannot be read says nothing new: it may be on its way to be replaced."""
        try:
            status = os.stat(self._path)
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen == self._seen:
                return
            self._seen = seen
            with open(self._path, "rb") as file:
                plain = json.loads(file.read(FILE_MAX))
            self._news = _news_in(cast("dict[str, Any]", plain)) or self._news
        except (OSError, ValueError, KeyError, TypeError):
            return


def _news_in(status: dict[str, Any]) -> bytes:
    """Return the message; nothing where no way is open, for that helps nobody."""
    addresses = [str(route["address"]) for route in status["routes"]]
    told = {"machine": status["machine"], "port": status["port"], "addresses": addresses}
    return json.dumps(told).encode() if addresses else b""


def status_file(environment: dict[str, str]) -> str:
    """Return where `towline up` of this account writes, as far as its environment tells."""
    base = environment.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return environment.get(VARIABLE) or os.path.join(base, USUAL)
