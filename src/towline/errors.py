"""What is told to the person instead of a traceback, and the exit codes that go with it.

A `UserError` is a fault the person can do something about. Faults of a peer are
`RemoteProtocolError`, trouble with one file is a `Problem`; anything else is a bug.
"""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """How a command ends. The numbers above 60 are those of sysexits.h."""

    OK = 0
    FAILED = 1  # The command ran and the answer is no: a check failed, nothing was found.
    USAGE = 2  # The command line makes no sense. (click uses the same number.)
    UNAVAILABLE = 69  # Nothing is linked here, or the machine cannot be reached.
    CANNOT_WRITE = 73  # A file or directory that towline needs cannot be made.
    TRY_AGAIN = 75  # Not within the time given, or busy; the same command may work later.
    REFUSED = 77  # Not permitted: the machine does not accept the key, a file is not ours.
    CONFIG = 78  # Something is wrong in a configuration file.
    INTERRUPTED = 130  # Ctrl-C.


class UserError(Exception):
    """A message for the person, what to do about it, and the exit code. Without a traceback."""

    def __init__(self, message: str, hint: str = "", exit_code: int = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = int(exit_code)
