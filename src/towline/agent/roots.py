"""The folders an agent keeps in step, each opened once and kept warm from one Line to the next.

Opening checks that the folder may be used at all, locks it against other agents, and gives it an
incarnation. Nothing here speaks to the laptop.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from towline.agent.carried_out import CarriedOut
from towline.core.gather import Gather
from towline.core.ignore import Rules
from towline.core.steps import Steps
from towline.core.summary import agreed_steps, life_of
from towline.core.wire.messages import Begin
from towline.disk.folder import Folder
from towline.disk.follow import Follower
from towline.disk.incarnation import Incarnation, RootState, read_or_create, root_state
from towline.disk.lock import LockedError, lock_root
from towline.disk.own import ensure_own_directory
from towline.disk.replica import Replica
from towline.disk.watch import Watch, open_watch
from towline.disk.watch.base import ModeKind

CACHE_NAME = "cache"


class RootError(Exception):
    """The folder cannot be kept in step. The text is for a person."""


class Root:
    """One folder on the machine, with all that knows it."""

    def __init__(
        self, path: Path, incarnation: Incarnation, replica: Replica, follower: Follower, host: str
    ) -> None:
        self.path = path
        self.incarnation = incarnation
        self.replica = replica
        self.follower = follower
        self.host = host
        self._life = ""  # Of the laptop's folder; what was carried out was for that one.
        self.carried_out = CarriedOut()
        self._known = False  # Whether the replica's tree, plus what the watch tells, is true.

    @property
    def exists(self) -> bool:
        return root_state(self.replica.folder) is RootState.PRESENT

    @property
    def is_known(self) -> bool:
        """Whether the replica's tree is true but for what the watch is about to tell."""
        return self._known

    @property
    def watching(self) -> str:
        """How changes are noticed, where it is not simply by notification."""
        mode = self.follower.watch.mode
        return "" if mode.kind is ModeKind.NOTIFIED else mode.sentence

    def begin(self, life: str, rules: Rules) -> None:
        """Somebody wants the folder kept in step: the laptop's folder in its life `life`."""
        if life != self._life:
            self._life = life
            self.carried_out.clear()
        self.set_rules(rules)

    def holds_steps(self, agreed: bytes | None) -> Steps[bool]:
        """Return whether what is synced here is what both sides agreed on, by its digest."""
        root = self.replica.tree.root
        if root is None or agreed is None:
            return False
        return agreed == (yield from agreed_steps(life_of(self._life, self.incarnation.id), root))

    def set_rules(self, rules: Rules) -> None:
        if rules != self.replica.rules:
            self.replica.set_rules(rules)
            self._known = False

    def note_lost(self) -> None:
        """The watch cannot vouch for the tree any more: the next telling begins with a scan."""
        self._known = False

    def ensure_scanned(self) -> Iterator[None]:
        if not self._known and self.exists:
            yield from self.follower.scan_steps()
            self._known = True

    def close(self) -> None:
        self.replica.tidy()
        with contextlib.suppress(OSError):
            self.replica.save_cache()
        self.follower.watch.close()


class Roots:
    """The folders of one agent, by absolute path."""

    def __init__(self, watch_for: Callable[..., Watch] = open_watch) -> None:
        self._watch_for = watch_for
        self._roots: dict[Path, Root] = {}
        self._locks: dict[Path, int] = {}

    def open(self, begin: Begin) -> Root:
        """Return the folder that `begin` names, made if it is not there. Raises `RootError`."""
        try:
            rules = Rules.from_wire(begin.rules)
            path = resolve(begin.root)
            root = self._roots.get(path)
            if root is not None and root.exists:
                root.incarnation = Incarnation(root.incarnation.id, new=False)
            else:
                self._forget(path)
                root = self._roots[path] = self._open(path, rules)
            root.begin(begin.life, rules)
        except OSError as error:
            raise RootError(f"{begin.root}: {error.strerror}") from None
        except ValueError as error:
            raise RootError(str(error)) from None
        return root

    def close(self) -> None:
        for root in self._roots.values():
            root.close()
        for lock in self._locks.values():
            os.close(lock)

    def all(self) -> list[Root]:
        return list(self._roots.values())

    def _forget(self, path: Path) -> None:
        """Let go of a folder that is gone; another one may stand in its place."""
        if (root := self._roots.pop(path, None)) is not None:
            root.follower.watch.close()
            root.replica.folder.close()

    def _open(self, path: Path, rules: Rules) -> Root:
        path.mkdir(parents=True, exist_ok=True)
        ensure_own_directory(path)
        self._lock(path)
        folder = Folder(path)
        incarnation = read_or_create(folder)
        host = socket.gethostname()
        replica = Replica(
            folder,
            rules,
            host=host,
            durable=False,
            cache_file=folder.own_path(CACHE_NAME),
            settles=True,
        )

        def skip(at: str) -> bool:
            return replica.rules.ignores(at, True)

        watch = self._watch_for(path, skip)
        watch.start()
        return Root(path, incarnation, replica, Follower(replica, watch, Gather()), host)

    def _lock(self, path: Path) -> None:
        """Lock the folder against other agents; one that stands in its place is another folder."""
        if path in self._locks:
            os.close(self._locks.pop(path))
        try:
            self._locks[path] = lock_root(path)
        except LockedError as error:
            raise RootError(
                f"{path} is kept in step by another workspace already (process {error.owner})"
            ) from None


def resolve(named: str) -> Path:
    """Return the absolute folder of a machine path as a person wrote it.

    Raises `RootError` for folders that hold more than a project: the root, a home.
    """
    home = Path.home()
    path = Path(os.path.expanduser(named) if named else named)
    path = Path(os.path.realpath(home / path))
    if path == home or path in home.parents:
        raise RootError(f"{path} is too wide to keep in step; name a folder inside it")
    return path
