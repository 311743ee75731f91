"""Going down a tree, directory by directory, leaving out what is not watched."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from towline.core.path import OWN_DIRECTORY, join
from towline.disk.watch.base import Skip
from towline.disk.watch.git_lock import GIT

Listing = list[tuple[str, bool]]
"""Names, and whether each is a directory."""


@dataclass(slots=True)
class Walked:
    reached: dict[str, Listing] = field(default_factory=dict[str, Listing])
    """The directories that are looked after now, with what they hold."""

    @property
    def found(self) -> Iterator[str]:
        """Everything in them."""
        for directory, listing in self.reached.items():
            for name, _ in listing:
                yield join(directory, name)


def walk(top: str, skip: Skip, look_after: Callable[[str], Listing | None]) -> Walked:
    """Call `look_after` on `top` and the directories below it, the nearest first.

    It returns what the directory holds, or None if nothing below it is to be visited.
    """
    walked = Walked()
    pending = deque([top])
    while pending:
        directory = pending.popleft()
        if is_left_out(directory, skip) or (listing := look_after(directory)) is None:
            continue
        walked.reached[directory] = listing
        pending += [join(directory, name) for name, is_directory in listing if is_directory]
    return walked


def is_left_out(directory: str, skip: Skip) -> bool:
    """Whether the content of a directory is none of a watch's business."""
    return bool(directory) and (directory in (OWN_DIRECTORY, GIT) or skip(directory))


def list_directory(place: str) -> Listing:
    """Return what a directory holds: nothing if it is gone or cannot be read."""
    with suppress(OSError), os.scandir(place) as entries:
        return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    return []
