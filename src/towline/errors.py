"""What goes wrong by the person's doing or in their world, and how a command then ends.

A fault of the peer is a protocol error, trouble with one path a `Problem`; anything else that is
raised is a fault of towline's own and shows its traceback.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ends. From 65 on the numbers are those of sysexits.h, for scripts to rely on.

    | code | name | meaning |
    | --- | --- | --- |
    | 0 | DONE | all that was asked for is done |
    | 1 | OTHER | something else went wrong; the message says what |
    | 2 | USAGE | the command line makes no sense |
    | 3 | HELD | nothing was done, since conflicts or a question stand open |
    | 65 | BAD_DATA | the other side, or a file, does not speak the format |
    | 69 | UNAVAILABLE | the machine cannot be reached |
    | 73 | CANNOT_CREATE | a file or directory that is needed cannot be made |
    | 75 | TRY_AGAIN | not now: busy, or not within the time limit |
    | 77 | NOT_PERMITTED | a permission or a login was refused |
    | 78 | CONFIGURATION | the configuration is wrong |
    | 130 | INTERRUPTED | ended by Ctrl-C |
    """

    DONE = 0
    OTHER = 1
    USAGE = 2
    HELD = 3
    BAD_DATA = 65
    UNAVAILABLE = 69
    CANNOT_CREATE = 73
    TRY_AGAIN = 75
    NOT_PERMITTED = 77
    CONFIGURATION = 78
    INTERRUPTED = 130


class UserError(Exception):
    """An error to be shown as a sentence: `message` says what is wrong, `hint` what to do."""

    def __init__(
        self, message: str, *, hint: str = "", exit_code: ExitCode = ExitCode.OTHER
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code
