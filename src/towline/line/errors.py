"""Why there is no Line: one type, made for being shown to a person and for deciding to go on."""

from __future__ import annotations

import enum


class ConnectKind(enum.Enum):
    """What stands between us and the machine. The value is what a person reads."""

    NO_SSH = "there is no ssh program here"
    UNREACHABLE = "the machine cannot be reached"
    REFUSED = "the machine refuses the connection"
    AUTH = "the machine does not let us in"
    HOST_KEY = "the machine is not the one we know, or not known yet"
    NO_PYTHON = "there is no Python 3.10 or newer on the machine"
    AGENT = "the agent does not start on the machine"
    OTHER = "the connection failed"


_PASSING = frozenset({ConnectKind.UNREACHABLE, ConnectKind.REFUSED})


class ConnectError(Exception):
    """There is no way to the machine now.

    `retryable` says whether waiting may help; `hint` what the person can do, or is empty.
    """

    def __init__(self, kind: ConnectKind, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.hint = hint
        self.retryable = kind in _PASSING

    def alone(self) -> ConnectError:
        """Return it without how it came about, for keeping: that would hold what has ended."""
        self.__context__ = None
        return self.with_traceback(None)


class LineLostError(Exception):
    """The agent does not know this line any more: a new one is a new life of the machine."""


class ChannelClosedError(Exception):
    """The channel is closed; `reason` is what the end that closed it said."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason or "the channel is closed")
        self.reason = reason
