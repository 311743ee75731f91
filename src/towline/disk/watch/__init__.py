"""Watching a root: which paths need another look, from the system or, failing that, by polling."""

from __future__ import annotations

import select
import sys
import time
from pathlib import Path

from towline.disk.watch.base import (
    Clock,
    Mode,
    ModeKind,
    Seen,
    Skip,
    Statistics,
    Watch,
)
from towline.disk.watch.cookie import Cookies
from towline.disk.watch.inotify import CREATE, Inotify, is_out_of, limit_of
from towline.disk.watch.mode import SILENT, no_instance, no_watch
from towline.disk.watch.notified import InotifyWatch
from towline.disk.watch.poll import PollWatch

__all__ = ["Mode", "ModeKind", "Seen", "Skip", "Statistics", "Watch", "open_watch"]

SELF_TEST_S = 0.2  # A notice takes microseconds; where none has come by now, none ever will.


def open_watch(
    root: Path, skip: Skip, *, now: Clock = time.monotonic, limit: int | None = None
) -> Watch:
    """Return the best watch this system has for `root`; `start` it, and `close` it at the end.

    `limit` bounds the number of inotify watches as the system's own limit would. Raises `OSError`
    if the root is gone or towline's own directory cannot be made in it.
    """
    if sys.platform != "linux":
        from towline.disk.watch.observer import ObserverWatch

        return ObserverWatch(root, skip, now=now)
    try:
        inotify = Inotify(limit)
    except OSError as error:
        if not is_out_of(error):
            raise
        reason = no_instance(limit_of("max_user_instances"))
        return PollWatch(root, skip, now=now, sentence=reason)
    try:
        why_not = _why_not(inotify, Cookies(root))
    except BaseException:
        inotify.close()
        raise
    if why_not is None:
        return InotifyWatch(root, skip, inotify, now=now)
    inotify.close()
    return PollWatch(root, skip, now=now, sentence=why_not)


def _why_not(inotify: Inotify, cookies: Cookies) -> str | None:
    """Return the sentence that says why inotify is of no use for this root, or None if it is."""
    directory = cookies.ensure_directory()
    try:
        inotify.add(directory, CREATE)
    except OSError as error:
        return no_watch(inotify.limit) if is_out_of(error) else SILENT
    return None if _notices(inotify, cookies) else SILENT


def _notices(inotify: Inotify, cookies: Cookies) -> bool:
    """Whether a file that is made causes an event: not on FUSE, NFS, 9p and in gVisor."""
    name = cookies.new_name()
    cookies.place(name)
    heard, _, _ = select.select([inotify], [], [], SELF_TEST_S)
    cookies.remove(name)
    return bool(heard)
