"""Who may enter this machine: the file of keys that its SSH server reads, changed as a whole.

A line is a laptop's key, the one-time key of an invitation, or the key of a test that lasts a
moment. All changes are made under a lock, so that an invitation is used once and not twice.
Standard library only: the command that an invitation runs starts with nothing else.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from towline.machine.lock import locked
from towline.machine.place import Place, write_private

INVITATION = "towline-invitation"
_EXPIRY = re.compile(r'expiry-time="(\d{14})"')

# asyncssh's server does not know `restrict`, so what it stands for is written out beside it.
_NOTHING_ELSE = "restrict,no-pty,no-port-forwarding,no-agent-forwarding,no-X11-forwarding"


def lines_of(place: Place) -> list[str]:
    try:
        return place.authorized_keys.read_text().splitlines()
    except FileNotFoundError:
        return []


def add_key(place: Place, line: str) -> None:
    """Let a key in. A second time is harmless."""
    with _changing(place):
        known = lines_of(place)
        if line.split()[:2] not in [one.split()[:2] for one in known]:
            _write(place, [*known, line])


def remove_marked(place: Place, mark: str) -> bool:
    """Let the keys with this comment in no longer; return whether there was any."""
    with _changing(place):
        known = lines_of(place)
        rest = [line for line in known if not line.endswith(f" {mark}")]
        if len(rest) < len(known):
            _write(place, rest)
        return len(rest) < len(known)


def invite(place: Place, public_line: str, expires: float, command: Iterable[str]) -> None:
    """Let a one-time key run one command until then. An earlier invitation is void."""
    with _changing(place):
        known = [line for line in lines_of(place) if not line.endswith(f" {INVITATION}")]
        runs = shlex.join(command).replace("\\", "\\\\").replace('"', '\\"')
        # sshd reads it in local time; the suffix that says UTC is too new for half of them.
        until = time.strftime("%Y%m%d%H%M%S", time.localtime(expires))
        options = f'{_NOTHING_ELSE},expiry-time="{until}",command="{runs}"'
        kind, blob, *_ = public_line.split()
        _write(place, [*known, f"{options} {kind} {blob} {INVITATION}"])


def accept_invitation(place: Place, public_line: str, now: float) -> bool:
    """Put a laptop's key in the place of the invitation; False if there is none any more."""
    with _changing(place):
        known = lines_of(place)
        rest = [line for line in known if not line.endswith(f" {INVITATION}")]
        if not any(is_current(line, now) for line in known if line not in rest):
            return False
        _write(place, [*rest, public_line])
    return True


def is_open(place: Place, now: float) -> bool:
    """Whether an invitation waits to be used."""
    return any(
        line.endswith(f" {INVITATION}") and is_current(line, now) for line in lines_of(place)
    )


def is_current(line: str, now: float) -> bool:
    """Whether a line's time, if it has one, has not passed."""
    match = _EXPIRY.search(line)
    return match is None or time.strftime("%Y%m%d%H%M%S", time.localtime(now)) < match[1]


def laptops(place: Place) -> list[str]:
    """Return the keys that may enter for good."""
    return [line for line in lines_of(place) if line.startswith(("ssh-", "ecdsa-", "sk-"))]


def _changing(place: Place) -> AbstractContextManager[None]:
    return locked(place.authorized_keys.with_name("authorized_keys.lock"))


def _write(place: Place, lines: Iterable[str]) -> None:
    write_private(place.authorized_keys, "".join(f"{line}\n" for line in lines))


def command_of_enrolment(python: str, directory: Path) -> list[str]:
    """Return what an invitation lets run, and nothing else. -P: no import from where it starts."""
    return [python, "-P", "-m", "towline.machine.enrol", str(directory)]
