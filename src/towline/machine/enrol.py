"""What an invitation runs on the machine: take one public key from stdin, let it in, say so.

sshd runs it, whatever the client asked for. It starts with the standard library alone, and it can
be used once: the invitation is gone before the answer is given. A second line, if there is one, is
a command that the laptop would run next; it has what it needs to run any, and is spared a second
connection. Where the key was not let in, nothing is run.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import NoReturn

from towline.machine.authorized import accept_invitation
from towline.machine.place import Place
from towline.machine.public_key import LINE_MAX, BadKeyError, check_public_line, fingerprint

ACCEPTED = "TOWLINE ENROLLED"  # Then the fingerprint, if there is no command to speak for itself.
COMMAND_MAX = 64 << 10  # Bytes; a first command of the laptop's has some three thousand.


def main() -> int:
    place = Place(Path(sys.argv[1]))
    given = _read_line(LINE_MAX + 1)
    try:
        line = check_public_line(given.decode("ascii", "replace"))
    except BadKeyError as error:
        return _refuse(f"the laptop sent no key that may be let in: {error}")
    kind, blob, *comment = line.split()
    line = f"{kind} {blob} laptop:{'-'.join(comment)}"  # Never a mark of ours.
    if not accept_invitation(place, line, time.time()):
        return _refuse("this ticket was used already, or is too old")
    command = _read_line(COMMAND_MAX)
    if command.endswith(b"\n"):
        _become(command.rstrip(b"\n"))
    sys.stdout.write(f"{ACCEPTED} {fingerprint(line)}\n")
    return 0


def _read_line(limit: int) -> bytes:
    """Read a line, and not a byte more: what follows it is for the command."""
    line = bytearray()
    while len(line) < limit and (byte := os.read(0, 1)):
        line += byte
        if byte == b"\n":
            break
    return bytes(line)


def _become(command: bytes) -> NoReturn:
    """Go on as the login shell's command, as sshd would have started it.

    That it speaks is the answer: an own word before it would be one more small packet, which some
    relays hold back until the last one is acknowledged.
    """
    shell = os.environ.get("SHELL") or "/bin/sh"
    os.execv(shell, [os.path.basename(shell), "-c", os.fsdecode(command)])  # noqa: S606 - as sshd.


def _refuse(why: str) -> int:
    sys.stdout.write(f"{why}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
