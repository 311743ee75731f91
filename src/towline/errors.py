"""What goes wrong by the person's doing or in their world, and how a command then ends.

A fault of the peer is a `ProtocolError`, trouble with one path a `Problem`; anything else that is
raised is a fault of towline's own and shows its traceback.
"""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """How a command ends. From 65 on the numbers are those of sysexits.h, for scripts."""

    OK = 0
    FAILED = 1  # The command ran and the answer is no: a check failed, nothing was found.
    USAGE = 2  # The command line makes no sense. (click uses the same number.)
    HELD = 3  # Nothing was done, since a question stands open, such as `accept` or `refuse`.
    BAD_DATA = 65  # The other side, or a file, does not speak the format.
    UNAVAILABLE = 69  # Nothing is linked here, or the machine cannot be reached.
    CANNOT_WRITE = 73  # A file or directory that towline needs cannot be made.
    TRY_AGAIN = 75  # Not within the time given, or busy; the same command may work later.
    REFUSED = 77  # Not permitted: the machine does not accept the key, a file is not ours.
    CONFIG = 78  # Something is wrong in a configuration file.
    INTERRUPTED = 130  # Ctrl-C.


class UserError(Exception):
    """A message for the person, what to do about it, and the exit code. Without a traceback."""

    def __init__(self, message: str, hint: str = "", exit_code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code
