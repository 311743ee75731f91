"""Sentences for people on how changes come to be known, with the remedy where there is one."""

from __future__ import annotations

from towline.disk.watch.base import Mode, ModeKind
from towline.disk.watch.poller import POLL_LONGEST_S, POLL_SHORTEST_S

WATCHES_ADVISED = 524_288  # What editors advise too; costs memory only as far as it is used.
INSTANCES_ADVISED = 1_024

_EACH = f"polled each {POLL_SHORTEST_S:g}\u2013{POLL_LONGEST_S:g} s"
_MORE_WATCHES = f"raise it with: sudo sysctl fs.inotify.max_user_watches={WATCHES_ADVISED}"
SILENT = f"this file system gives no notice of changes; it is {_EACH}"


def mode_of(watched: int, polled: int, limit: int | None) -> Mode:
    """Return the mode of `watched` and `polled` directories under a limit of watches."""
    if not polled:
        return Mode(ModeKind.NOTIFIED, f"watching {_directories(watched)}")
    reason = "" if limit is None else f" (fs.inotify.max_user_watches = {limit})"
    total = _directories(watched + polled)
    sentence = f"watching {watched:,} of {total}{reason}; the rest is {_EACH}; {_MORE_WATCHES}"
    return Mode(ModeKind.MIXED, sentence)


def no_watch(limit: int | None) -> str:
    """Say why all of a root is polled although an inotify instance was to be had."""
    reason = "" if limit is None else f" (fs.inotify.max_user_watches = {limit})"
    return f"no inotify watch is left{reason}; all is {_EACH}; {_MORE_WATCHES}"


def no_instance(limit: int | None) -> str:
    """Say why all of a root is polled although the system could notify."""
    reason = "" if limit is None else f" (fs.inotify.max_user_instances = {limit})"
    remedy = f"raise it with: sudo sysctl fs.inotify.max_user_instances={INSTANCES_ADVISED}"
    return f"no inotify instance is left{reason}; all is {_EACH}; {remedy}"


def _directories(count: int) -> str:
    return f"{count:,} directory" if count == 1 else f"{count:,} directories"
