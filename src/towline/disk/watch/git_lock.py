"""Whether git is at work in a root: it holds `.git/index.lock` while it changes the tree."""

from __future__ import annotations

import os

from towline.core.path import join

GIT = ".git"
GIT_LOCK = "index.lock"


class GitLock:
    """What was last known of the lock, so that only changes are told."""

    def __init__(self, root: str) -> None:
        self._place = os.path.join(root, join(GIT, GIT_LOCK))
        self._is_there = False

    def look(self) -> bool | None:
        """Return whether the lock is there now, or None if that is known."""
        return self.learn(os.path.lexists(self._place))

    def learn(self, is_there: bool) -> bool | None:
        if is_there == self._is_there:
            return None
        self._is_there = is_there
        return is_there
