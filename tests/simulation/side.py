"""One side's folder as its users see it: their system calls, each known to ledger and watch.

Everything a user does goes through here, so that the watch can be told of it and the ledger knows
which contents somebody wrote and which somebody did away with.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.simulation.clock import VirtualClock
from tests.simulation.files import Files, read
from tests.simulation.folder import SimulatedFolder
from tests.simulation.ledger import Ledger
from tests.simulation.power import Power, Unwritten, spoil
from tests.simulation.watch import SimulatedWatch
from tests.simulation.weather import Crash, Weather
from towline.core.path import OWN_DIRECTORY, is_below
from towline.disk.folder import is_own_path

BEGINNING_NS = 1_800_000_000 * 1_000_000_000
TICK_NS = 4_000_000  # The kernel's clock for file times.


@dataclass(eq=False)
class Handle:
    """A file a user holds open for writing. `doomed`: a user removed it under the writer."""

    descriptor: int
    path: str
    ino: int
    doomed: bool = False


class Side:
    """`intrude` is called with a path when somebody else is to write exactly now."""

    def __init__(
        self,
        name: str,
        root: Path,
        clock: VirtualClock,
        random: Random,
        weather: Weather,
        ledger: Ledger,
        trace: Callable[[str], None],
        violated: Callable[[str], None],
    ) -> None:
        self.name = name
        self.root = root
        self.clock = clock
        self.files = Files(root)
        self.power = Power()
        self.unwritten = Unwritten(root, lambda: clock.now)
        self.random = random
        self.weather = weather
        self.ledger = ledger
        self.trace = trace
        self.violated = violated
        self.intrude: Callable[[str], None] = lambda _path: None
        self.clock_offset_ns = 0
        self.folders: list[SimulatedFolder] = []
        self.watches: list[SimulatedWatch] = []
        self.handles: list[Handle] = []
        self.touched: dict[str, int] = {}  # Path → the number of the last time a user acted there.
        self.acts = 0
        self._times: dict[int, tuple[int, int]] = {}
        self._is_intruding = False
        self._failed: set[str] = set()

    # Time.

    def now_ns(self) -> int:
        return BEGINNING_NS + int(self.clock.current_time() * 1e9) + self.clock_offset_ns

    def times_of(self, ino: int) -> tuple[int, int]:
        return self._times.get(ino) or self.stamp(ino, content=True)

    def stamp(self, ino: int, *, content: bool = False) -> tuple[int, int]:
        if content:
            self.files.content_changed(ino)
        now_ns = self.now_ns() // TICK_NS * TICK_NS
        mtime_ns = now_ns if content or ino not in self._times else self._times[ino][0]
        self._times[ino] = (mtime_ns, now_ns)
        return self._times[ino]

    def set_mtime(self, ino: int, mtime_ns: int) -> None:
        self._times[ino] = (mtime_ns, self._times[ino][1])

    # What the process on this side does.

    def about_to(self, folder: SimulatedFolder, call: str, path: str) -> None:
        """A system call begins. Raises what it fails with."""
        if path and not is_own_path(path) and self.weather.intrudes() and not self._is_intruding:
            self._is_intruding = True
            try:
                with suppress(OSError):
                    self.intrude(path)
            finally:
                self._is_intruding = False
        if self.power.fails():
            self.trace(f"{self.name}: the power fails at {call} {path!r}")
            raise Crash
        code = self.weather.fault(call)
        if code:
            self.trace(f"{self.name}: {call} {path!r} fails with {errno.errorcode[code]}")
            self._failed.add(path)
            raise OSError(code, os.strerror(code), path)

    def mend(self) -> None:
        """What could not be read or written can be: permissions come back, which shows."""
        failed = self.paths() if "" in self._failed else sorted(self._failed)
        for path in failed:
            if not is_own_path(path):
                self.notify(path, "path")

    def short_write(self, size: int) -> int:
        return self.random.randint(1, size) if self.random.random() < 0.05 and size > 1 else size

    def placed(self, path: str) -> None:
        """The process changed what stands at a final name: it is to be whole."""
        self.notify(path, "path")
        place = self.place_of(path)
        try:
            is_file = stat.S_ISREG(os.lstat(place).st_mode)
        except OSError:
            return
        if is_file and read(place) not in self.ledger.known:
            self.violated(f"{self.name}: {path!r} shows a content that nobody wrote")

    def mode_changed(self, ino: int) -> None:
        path = self.path_of(ino)
        if path is not None:
            self.notify(path, "path")

    def open_watch(self, skip: Callable[[str], bool]) -> SimulatedWatch:
        watch = SimulatedWatch(
            self.clock,
            self.random,
            self.weather,
            skip,
            lambda: os.path.lexists(self.place_of(".git/index.lock")),
            self.root.is_dir,
        )
        self.watches.append(watch)
        return watch

    def kill(self) -> None:
        """The process on this side is gone."""
        for folder in self.folders:
            folder.kill()
        for watch in self.watches:
            watch.close()
        self.folders.clear()
        self.watches.clear()

    # What users see.

    def place_of(self, path: str) -> str:
        return os.path.join(self.root, path)

    def contents(self) -> dict[str, bytes]:
        return self.files.contents()

    def everything(self) -> set[bytes]:
        """Return all contents below the root, also what is in towline's own directory."""
        return {*self.files.contents().values(), *self.files.own_contents().values()}

    def arrived(self) -> set[bytes]:
        """Return what is in the folder, or was taken out of it and is not decided about."""
        own = self.files.own_contents()
        taken_out = {content for path, content in own.items() if "/out-" in path}
        return taken_out.union(self.files.contents().values())

    def paths(self) -> list[str]:
        return sorted(self.files.found())

    def path_of(self, ino: int) -> str | None:
        found = self.files.found().items()
        return next((path for path, status in found if status.st_ino == ino), None)

    def _where(self, handle: Handle) -> str | None:
        """Return where the file of a handle is now: most often where it was opened."""
        status = self.files.found().get(handle.path)
        is_there = status is not None and status.st_ino == handle.ino
        return handle.path if is_there else self.path_of(handle.ino)

    def notify(self, path: str, kind: str) -> None:
        for watch in self.watches:
            if not watch.closed:
                watch.note(path, kind)

    def _act(self, path: str) -> None:
        self.unwritten.somebody_acts(path)
        self.acts += 1
        self.touched[path] = self.acts

    def touched_since(self, path: str, act: int) -> bool:
        """Whether a user did something at, above or below `path` after that act."""
        return any(
            number > act and (at == path or is_below(path, at) or is_below(at, path))
            for at, number in self.touched.items()
        )

    # What users do. All raise OSError as the system does.

    def open_file(self, path: str) -> Handle:
        """Open for writing, truncated or new."""
        self._act(path)
        place = self.place_of(path)
        if os.path.islink(place):
            raise OSError(errno.ELOOP, "users here do not write through links")
        if os.path.lexists(place) and not os.path.isdir(place):
            self.ledger.gave_up([read(place)])
        is_new = not os.path.lexists(place)
        if is_new:
            self.files.names_changed(path)
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
        handle = Handle(descriptor, path, os.fstat(descriptor).st_ino)
        self.handles.append(handle)
        self.stamp(handle.ino, content=True)
        self.notify(path, "path" if is_new and self.random.random() < 0.2 else "writing")
        return handle

    def open_to_append(self, path: str) -> Handle:
        self._act(path)
        place = self.place_of(path)
        descriptor = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
        handle = Handle(descriptor, path, os.fstat(descriptor).st_ino)
        self.handles.append(handle)
        return handle

    def write(self, handle: Handle, data: bytes) -> None:
        """Write through a handle, wherever its file is by now."""
        self.ledger.gave_up([self._content_of(handle)])  # It no longer is, whoever wants it.
        os.write(handle.descriptor, data)
        self.unwritten.content_is_safe(handle.ino)
        self.files.content_changed(handle.ino)
        after = self._content_of(handle)
        self.ledger.known.add(after)
        if not handle.doomed:
            self.ledger.wrote(after, f"{self.name} {handle.path!r}")
        self.stamp(handle.ino, content=True)
        at = self._where(handle)
        if at is not None:
            self._act(at)
            self.notify(at, "writing")
        self._act(handle.path)

    def close(self, handle: Handle) -> None:
        if handle not in self.handles:
            return
        self.handles.remove(handle)
        os.close(handle.descriptor)
        at = self._where(handle)
        if at is not None:
            self._act(at)
            self.notify(at, "path")

    def _content_of(self, handle: Handle) -> bytes:
        return self.files.content_of(handle.ino, f"/proc/self/fd/{handle.descriptor}")

    def write_file(self, path: str, content: bytes) -> None:
        """Overwrite in place, in one go."""
        handle = self.open_file(path)
        self.write(handle, content)
        self.close(handle)

    def replace_file(self, path: str, content: bytes) -> None:
        """Save as editors do: write beside, then rename over."""
        beside = path + ".tmp~"
        self.write_file(beside, content)
        self.rename(beside, path)

    def unlink(self, path: str) -> None:
        self._act(path)
        place = self.place_of(path)
        self._give_up(path)
        os.unlink(place)
        self.files.names_changed(path)
        self.notify(path, "path")

    def rename(self, old: str, new: str) -> None:
        self._act(old)
        self._act(new)
        replaced = self._seen_at(new)
        if self._ino_of(old) == self._ino_of(new):
            return
        inos = self._inos_at(new)
        os.rename(self.place_of(old), self.place_of(new))
        self.files.names_changed(old, new)
        self.ledger.gave_up(replaced)
        self._doom(inos)
        moved = self._ino_of(new)
        if moved is not None:
            self.stamp(moved)
        self.notify(old, "path")
        self.notify(new, "path")

    def mkdir(self, path: str) -> None:
        self._act(path)
        os.mkdir(self.place_of(path))
        self.files.names_changed(path)
        self.notify(path, "path")

    def make_parents(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        if parent and not os.path.isdir(self.place_of(parent)):
            self.make_parents(parent)
            self.mkdir(parent)

    def remove_tree(self, path: str) -> None:
        self._act(path)
        self._give_up(path)
        for below in sorted((p for p in self.paths() if is_below(p, path)), reverse=True):
            self._act(below)
            self.files.names_changed(below)
            place = self.place_of(below)
            os.rmdir(place) if os.path.isdir(place) and not os.path.islink(place) else os.unlink(
                place
            )
            self.notify(below, "path")
        os.rmdir(self.place_of(path))
        self.files.names_changed(path)
        self.notify(path, "path")

    def symlink(self, target: str, path: str) -> None:
        self._act(path)
        os.symlink(target, self.place_of(path))
        self.files.names_changed(path)
        ino = self._ino_of(path)
        if ino is not None:
            self.stamp(ino, content=True)
        self.notify(path, "path")

    def chmod(self, path: str, *, executable: bool) -> None:
        self._act(path)
        if os.path.islink(self.place_of(path)):
            return
        os.chmod(self.place_of(path), 0o755 if executable else 0o644)
        ino = self._ino_of(path)
        if ino is not None:
            self.stamp(ino)
        self.notify(path, "path")

    def git_lock(self, *, held: bool) -> None:
        place = self.place_of(".git/index.lock")
        os.makedirs(os.path.dirname(place), exist_ok=True)
        self.files.names_changed(".git", ".git/index.lock")
        if held:
            with open(place, "wb") as file:
                self.files.content_changed(os.fstat(file.fileno()).st_ino)
        else:
            with suppress(FileNotFoundError):
                os.unlink(place)
        self.notify(".git/index.lock", "git")

    # Disasters.

    def empty(self) -> None:
        """Somebody removes everything in the root, but not the root."""
        self.ledger.gave_up(self.contents().values())
        self._doom(set(self._times))
        self.files.forget()
        for name in os.listdir(self.root):
            if name == OWN_DIRECTORY:
                continue
            place = self.place_of(name)
            if os.path.isdir(place) and not os.path.islink(place):
                shutil.rmtree(place)
            else:
                os.unlink(place)
            self._act(name)
            self.notify(name, "path")

    def lose_power(self) -> None:
        """What the process did here and did not make durable is undone, or half there."""
        self.power.is_out = False
        lost = self.unwritten.lose(self.power.random)
        self.files.forget()
        for path, status in self.files.found().items():
            if status.st_ino in lost:
                self.violated(f"{self.name}: {path!r} was shown and was not on the disk")
        for place in sorted((self.root / OWN_DIRECTORY).rglob("*")):
            if place.lstat().st_ino in lost:
                spoil(place, self.power.random)
                with suppress(PermissionError):  # Then everybody knows it for half written.
                    self.ledger.known.add(read(str(place)))  # Else it may be taken for an edit.

    def lose_power_there(self, elsewhere: set[bytes]) -> None:
        """As `lose_power`, where nothing is made durable: what is not `elsewhere` is lost."""
        self.power.is_out = False
        self.abandon_handles_softly()
        young = self.unwritten.young_names()
        lost = self.unwritten.lose(self.power.random)
        self.files.forget()
        for path, status in self.files.found().items():
            if status.st_ino in lost:
                self._spoil(path, elsewhere)
                young.append(path)
        for place in sorted((self.root / OWN_DIRECTORY).rglob("*")):
            if place.lstat().st_ino in lost:
                spoil(place, self.power.random)
                with suppress(PermissionError):
                    self.ledger.known.add(read(str(place)))
        self.files.forget()
        for path in young:
            self.acts += 1
            self.touched[path] = self.acts

    def _spoil(self, path: str, elsewhere: set[bytes]) -> None:
        place = self.root / path
        self.ledger.gave_up({read(str(place))} - elsewhere)
        spoil(place, self.power.random)
        self.trace(f"{self.name}: {path!r} has lost its content")
        self.stamp(place.lstat().st_ino, content=True)
        self.ledger.known.add(read(str(place)))

    def vanish(self, elsewhere: set[bytes]) -> None:
        """The whole machine is gone; only what is `elsewhere` is owed from now on."""
        self.ledger.gave_up(self.everything() - elsewhere)
        for handle in self.handles:
            self.ledger.gave_up(
                [self._content_of(handle)] if self._content_of(handle) not in elsewhere else []
            )
        self.abandon_handles()
        shutil.rmtree(self.root)
        self.files.forget()
        self.unwritten.forget()
        for watch in self.watches:
            watch.note_root_gone()

    def abandon_handles_softly(self) -> None:
        """Everybody closes what they had open, as at the end of a day."""
        for handle in list(self.handles):
            self.close(handle)

    def abandon_handles(self) -> None:
        for handle in list(self.handles):
            self.handles.remove(handle)
            os.close(handle.descriptor)

    # Bookkeeping.

    def _give_up(self, path: str) -> None:
        self.ledger.gave_up(self._seen_at(path))
        self._doom(self._inos_at(path))

    def _seen_at(self, path: str) -> list[bytes]:
        return [
            content for at, content in self.contents().items() if at == path or is_below(at, path)
        ]

    def _inos_at(self, path: str) -> set[int]:
        return {
            status.st_ino
            for at, status in self.files.found().items()
            if at == path or is_below(at, path)
        }

    def _ino_of(self, path: str) -> int | None:
        try:
            return os.lstat(self.place_of(path)).st_ino
        except OSError:
            return None

    def _doom(self, inos: set[int]) -> None:
        for handle in self.handles:
            handle.doomed = handle.doomed or handle.ino in inos
