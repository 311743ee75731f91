"""This terminal, lent to a job: raw mode, keys and size passed on, and given back at the end.

`~.` at the beginning of a line leaves, `~~` is one `~`. Only the size is known on Windows.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from towline.agent.jobs.orders import CONTENT_MAX, INPUT, SIZE, WINDOW, order

if sys.platform != "win32":
    import termios
    import tty

ESCAPE, LEAVE = ord("~"), ord(".")


class Keys:
    """Finds `~.` among what is typed."""

    def __init__(self) -> None:
        self._begins_line = True
        self._escaped = False
        self.leaves = False

    def take(self, typed: bytes) -> bytes:
        """Return what is for the job."""
        passed = bytearray()
        for key in typed:
            if self._escaped:
                self._escaped = False
                if key == LEAVE:
                    self.leaves = True
                    break
                if key != ESCAPE:
                    passed.append(ESCAPE)
            elif self._begins_line and key == ESCAPE:
                self._escaped = True
                continue
            passed.append(key)
            self._begins_line = key in b"\r\n"
        return bytes(passed)


@contextmanager
def lent(send: Callable[[bytes], object]) -> Generator[None]:
    """Send orders for what is typed and for each new size. Who leaves raises KeyboardInterrupt."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor)

    def resize(number: int, frame: object) -> None:
        send(_size_order())

    resized = signal.signal(signal.SIGWINCH, resize)
    typing = threading.Thread(target=_type, args=(descriptor, send), daemon=True)
    typing.start()
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, resized)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _type(descriptor: int, send: Callable[[bytes], object]) -> None:
    send(_size_order())
    keys = Keys()
    while typed := os.read(descriptor, CONTENT_MAX):
        if passed := keys.take(typed):
            send(order(INPUT, passed))
        if keys.leaves:
            os.kill(os.getpid(), signal.SIGINT)
            return


def _size_order() -> bytes:
    return order(SIZE, WINDOW.pack(*size_here()))


def size_here() -> tuple[int, int]:
    """Return rows and columns of this terminal; what most are where there is none."""
    try:
        size = os.get_terminal_size(sys.stdin.fileno())
    except (OSError, ValueError):
        return 24, 80
    return size.lines or 24, size.columns or 80
