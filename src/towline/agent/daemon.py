"""Start an agent as a daemon that owes nothing to the ssh connection it was started under.

The parent returns when the agent listens, or with the reason why it does not. It runs no service
itself: which one, and how it is built, is passed in.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from towline.agent.log import Log
from towline.agent.loop import Loop, Service
from towline.agent.place import Place
from towline.disk.memory import keep_blocks

START_S = 20.0  # To import, build the service and listen; a cold disk on a busy machine is slow.
BACKLOG = 16
REASON_MAX = 2000  # Bytes of the reason a failed start passes on.

_LISTENING = b"listening"


class StartError(Exception):
    """The agent could not be started; the message is one line, and why."""


def start_daemon(place: Place, build: Callable[[], Service], *, bundle: str) -> None:
    """Start an agent that listens at `place.socket`. Raises `StartError`.

    The caller holds the lock of `place`, so a socket that is there belongs to nobody.
    """
    readable, writable = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        _become_daemon(place, build, bundle, report=writable)
    os.close(writable)
    os.waitpid(child, 0)
    try:
        said = _read_report(readable)
    finally:
        os.close(readable)
    if said != _LISTENING:
        reason = said.decode("utf-8", "replace") or "it ended without a word"
        raise StartError(f"the agent did not start: {reason}")


def serve(
    place: Place, build: Callable[[], Service], *, bundle: str, ready: Callable[[], None]
) -> None:
    """Be the agent, until it ends. `ready` is called when clients can connect."""
    keep_blocks()
    service = build()
    listener = _listen(place)
    loop = Loop(listener, service, path=place.socket, bundle=bundle, log=Log(place.log))
    ready()
    loop.run()


def _become_daemon(
    place: Place, build: Callable[[], Service], bundle: str, report: int
) -> NoReturn:
    status = 1
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        _let_go(report)
        status = _serve_and_report(place, build, bundle, report)
    finally:
        os._exit(status)  # Nothing of the parent's may run on: no atexit, no buffers, no finally.


def _let_go(report: int) -> None:
    """Leave everything of the parent behind but the descriptor `report`."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    for descriptor in _open_descriptors():
        if descriptor > 2 and descriptor != report:
            with suppress(OSError):
                os.close(descriptor)


def _open_descriptors() -> list[int]:
    """Return the open descriptors as the system lists them: the limit may be a billion."""
    try:
        return [int(name) for name in os.listdir("/dev/fd")]
    except OSError:
        return list(range(1024))


def _serve_and_report(place: Place, build: Callable[[], Service], bundle: str, report: int) -> int:
    log = Log(place.log)
    reported = False

    def ready() -> None:
        nonlocal reported
        log.write(f"listening, bundle {bundle}")
        os.write(report, _LISTENING)
        os.close(report)
        reported = True

    try:
        serve(place, build, bundle=bundle, ready=ready)
    except Exception as error:
        log.write_traceback(error)
        if not reported:
            os.write(report, f"{type(error).__name__}: {error}".encode()[:REASON_MAX])
        return 1
    return 0


def _listen(place: Place) -> socket.socket:
    """Bind the socket under another name and move it: it is never there without a listener."""
    beside = f"{place.socket[:-5]}.new"
    for stale in (beside, place.socket):
        if os.path.lexists(stale):
            os.unlink(stale)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(beside)
    os.chmod(beside, 0o600)
    listener.listen(BACKLOG)
    os.rename(beside, place.socket)
    return listener


def _read_report(readable: int) -> bytes:
    said = b""
    ends_at = time.monotonic() + START_S
    with selectors.DefaultSelector() as selector:
        selector.register(readable, selectors.EVENT_READ)
        while selector.select(max(0.0, ends_at - time.monotonic())):
            part = os.read(readable, REASON_MAX)
            if not part:
                return said
            said += part
    return f"it was not ready within {START_S:g} s".encode()
