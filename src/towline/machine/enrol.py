"""What an invitation runs on the machine: take one public key from stdin, let it in, say so.

sshd runs it, whatever the client asked for. It starts with the standard library alone, and it can
be used once: the invitation is gone before the answer is given.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from towline.machine.authorized import accept_invitation
from towline.machine.place import Place
from towline.machine.public_key import LINE_MAX, BadKeyError, check_public_line, fingerprint

ACCEPTED = "TOWLINE ENROLLED"  # Then the fingerprint; else a sentence that says why not.


def main() -> int:
    place = Place(Path(sys.argv[1]))
    given = sys.stdin.buffer.readline(LINE_MAX + 1)
    try:
        line = check_public_line(given.decode("ascii", "replace"))
    except BadKeyError as error:
        return _refuse(f"the laptop sent no key that may be let in: {error}")
    kind, blob, *comment = line.split()
    line = f"{kind} {blob} laptop:{'-'.join(comment)}"  # Never a mark of ours.
    if not accept_invitation(place, line, time.time()):
        return _refuse("this ticket was used already, or is too old")
    sys.stdout.write(f"{ACCEPTED} {fingerprint(line)}\n")
    return 0


def _refuse(why: str) -> int:
    sys.stdout.write(f"{why}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
