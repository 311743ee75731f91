"""What the tests of a folder share: tiny entries, rules, and folders where somebody interferes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from towline.core.entry import File, digest_of
from towline.core.ignore import NO_CHECKPOINTS
from towline.disk.displaced import Kept
from towline.disk.folder import Folder
from towline.disk.replica import Replica
from towline.disk.retired import GRACE_S, REVIEW_MAX_S

OLD, NEW, EDIT = b"old content\n", b"new content\n", b"somebody's edit\n"


class PlainRules:
    """Ignores by name alone."""

    def __init__(self, *ignored: str, size_max: int | None = None) -> None:
        self._ignored = frozenset(ignored)
        self.size_max = size_max
        self.checkpoints = NO_CHECKPOINTS

    def at(self, directory: str) -> PlainRules:
        return self

    def below(self, name: str) -> PlainRules:
        return self

    def spares(self, names: Sequence[str]) -> bool:
        return self._ignored.isdisjoint(names)

    def ignores(self, path: str, is_directory: bool) -> bool:
        return not self._ignored.isdisjoint(path.split("/"))


RULES = PlainRules("__pycache__", "ignored")


def file_of(content: bytes, *, executable: bool = False) -> File:
    return File(digest_of(content), executable, len(content))


def contents_of(*contents: bytes) -> dict[bytes, bytes]:
    return {digest_of(content): content for content in contents}


def replica_of(folder: Folder | Path, rules: PlainRules = RULES, **options: Any) -> Replica:
    """Return a replica that has scanned its folder."""
    folder = Folder(folder) if isinstance(folder, Path) else folder
    replica = Replica(folder, rules, host="box", **options)
    replica.scan()
    return replica


def let_time_pass(replica: Replica, now: float = 0.0) -> list[Kept]:
    """Have what was replaced looked at, first while it may be open, then when its grace is over."""
    return [
        *replica.review(now, at_once=True),
        *replica.review(now + GRACE_S),
        *replica.review(now + GRACE_S + REVIEW_MAX_S),  # If it was open the last time.
    ]


def contents_in(root: Path) -> list[bytes]:
    """Return what is in the synced files of a root (none is ignored)."""
    return [
        path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink() and ".towline" not in path.parts
    ]


def left_in_stage(root: Path) -> list[str]:
    stage = root / ".towline" / "stage"
    return sorted(os.listdir(stage)) if stage.exists() else []


class CrashError(BaseException):
    """The process is gone: nothing of ours runs after this."""


CALLS = tuple(
    name
    for name, value in vars(Folder).items()
    if callable(value)
    and not name.startswith("_")
    and name not in ("close", "own_path", "hold", "release")
)


class WatchedFolder(Folder):
    """Does something just before its n-th system call; counts from `arm` on."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.calls: list[str] = []
        self.before_each: Callable[[], None] | None = None
        self.fail_from: dict[str, int] = {}  # Call → how often it still goes well.
        self._at_call = -1
        self._before: Callable[[], None] = lambda: None
        for name in CALLS:
            setattr(self, name, self._watched(name, getattr(self, name)))

    def arm(self, at: int, before: Callable[[], None]) -> None:
        self.calls.clear()
        self._at_call, self._before = at, before

    def disarm(self) -> list[str]:
        """Return the calls made since `arm`."""
        self._at_call = -1
        return list(self.calls)

    def _watched(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            number = len(self.calls)
            self.calls.append(name)
            if name == "close_file":  # Whatever close says, the file is closed.
                call(*arguments)
            if number == self._at_call:
                self._before()
            if self.before_each is not None:
                self.before_each()
            if name in self.fail_from:
                self.fail_from[name] -= 1
                if self.fail_from[name] < 0:
                    full_disk()
            return None if name == "close_file" else call(*arguments)

        return counted


class OldKernelFolder(WatchedFolder):
    """Has neither exchange nor a rename that refuses to replace."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)

        def unsupported(*_: Any) -> None:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

        self.exchange = self._watched("exchange", unsupported)  # type: ignore[method-assign]


def full_disk() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def crash() -> None:
    raise CrashError
