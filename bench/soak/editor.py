"""Somebody who edits a folder at random, as people and programs do, and never destroys a content.

Only the file system's own indivisible steps are used (exchange, rename to a free name), so that it
is always known what an edit did away with, whatever else happens to the folder at that moment.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from random import Random

from bench.soak.ledger import Ledger
from towline.disk.rename import exchange, rename_to_free

AT_FDCWD = -100  # Names are absolute.
FILES_MAX = 500
NAMES = [f"{name}{suffix}" for name in "abcdefghijklmnopqrst" for suffix in (".py", ".txt", ".log")]
DIRECTORIES = ("", "src", "src/pkg", "src/pkg/sub", "data", "docs", "out/run")
LARGE_SHARE = 0.01
OWN = {".towline", "towline.toml"}

Later = Callable[[], None]


class Editor:
    """Edits `root`; `aside`, on the same file system, takes what is done away with."""

    def __init__(self, name: str, root: Path, aside: Path, ledger: Ledger, chance: Random) -> None:
        self.name = name
        self.done: Counter[str] = Counter()
        self._root = root
        self._aside = aside
        self._ledger = ledger
        self._chance = chance
        self._count = 0
        self._written: set[int] = set()  # The inodes of files that are open: one writer each.
        aside.mkdir()

    def fill(self, count: int) -> None:
        """Save so many times, to have something to begin with."""
        for _ in range(count):
            self._save_at(self._some_name())

    def act(self) -> Later | None:
        """Do one thing. What it returns is the rest of it, to be done a little later."""
        actions: dict[Callable[[], Later | None], int] = {
            self._save: 40,
            self._write_in_place: 15,
            self._append: 10,
            self._remove: 8,
            self._rename: 8,
            self._make_executable: 3,
            self._check_out: 2,
            self._rename_directory: 2,
            self._link: 2,
            self._make_directory: 1,
            self._remove_directory: 1,
        }
        (action,) = self._chance.choices(list(actions), list(actions.values()))
        if len(self._files()) > FILES_MAX:
            action = self._remove
        with suppress(OSError):  # It was there a moment ago: no edit then.
            later = action()
            self.done[action.__name__.strip("_").replace("_", " ")] += 1
            return later
        return None

    # -- What is done -------------------------------------------------------------------------

    def _save(self) -> None:
        self._save_at(self._some_file() if self._chance.random() < 0.7 else self._some_name())

    def _save_at(self, path: Path) -> None:
        """Save as most editors do: whole, beside, then in place of what is there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        content = self._ledger.fresh(self._size())
        beside = self._beside()
        beside.write_bytes(content)
        try:
            rename_to_free(AT_FDCWD, str(beside), AT_FDCWD, str(path))
        except FileExistsError:
            exchange(AT_FDCWD, str(beside), AT_FDCWD, str(path))
            self._ledger.laid_aside(beside)
        self._saved(content, path)

    def _write_in_place(self) -> Later:
        path, file = self._opened()
        number = os.fstat(file.fileno()).st_ino
        self._written.add(number)
        self._ledger.gave_up(file.read())
        content = self._ledger.fresh(self._size())
        file.seek(0)
        file.truncate()
        file.write(content[: len(content) // 2])

        def rest() -> None:
            file.write(content[len(content) // 2 :])
            file.close()
            self._written.discard(number)
            self._saved(content, path)

        return rest

    def _append(self) -> None:
        path, file = self._opened()
        with file:
            before, more = file.read(), self._ledger.fresh(100)
            file.write(more)
        self._ledger.gave_up(before)
        self._saved(before + more, path)

    def _opened(self) -> tuple[Path, FileIO]:
        """Return a file to be written to as it is. Raises OSError if somebody does that already."""
        path = self._some_file()
        file = path.open("r+b", buffering=0)
        if os.fstat(file.fileno()).st_ino in self._written:
            file.close()
            raise BlockingIOError(path)
        return path, file

    def _remove(self) -> None:
        self._lay_aside(self._some_file())

    def _rename(self) -> None:
        source, target = self._some_file(), self._some_name()
        target.parent.mkdir(parents=True, exist_ok=True)
        rename_to_free(AT_FDCWD, str(source), AT_FDCWD, str(target))

    def _make_executable(self) -> None:
        path = self._some_file()
        path.chmod(path.stat().st_mode ^ 0o111)

    def _check_out(self) -> None:
        """Change many files at once, as another branch does."""
        files = self._files()
        for path in self._chance.sample(files, min(len(files), 40)):
            with suppress(OSError):
                self._save_at(path)

    def _rename_directory(self) -> None:
        source = self._some_directory()
        target = source.with_name(f"{self._chance.choice('uvwxyz')}{self._chance.randrange(9)}")
        rename_to_free(AT_FDCWD, str(source), AT_FDCWD, str(target))

    def _link(self) -> None:
        target = self._chance.choice(("a.py", "src/b.txt", "nowhere"))
        path = self._some_name()
        os.symlink(target, path.with_name(f"link{self._chance.randrange(9)}"))

    def _make_directory(self) -> None:
        (self._some_name().parent / f"d{self._chance.randrange(9)}").mkdir(parents=True)

    def _remove_directory(self) -> None:
        self._lay_aside(self._some_directory())

    # -- Where and how much -------------------------------------------------------------------

    def _saved(self, content: bytes, path: Path) -> None:
        self._ledger.saved(content, f"{self.name}: {path.relative_to(self._root)}")

    def _lay_aside(self, path: Path) -> None:
        beside = self._beside()
        path.rename(beside)
        self._ledger.laid_aside(beside)

    def _beside(self) -> Path:
        self._count += 1
        return self._aside / str(self._count)

    def _size(self) -> int:
        if self._chance.random() < LARGE_SHARE:
            return self._chance.randint(1 << 20, 6 << 20)
        return int(self._chance.lognormvariate(7.5, 1.5))

    def _some_name(self) -> Path:
        return self._root / self._chance.choice(DIRECTORIES) / self._chance.choice(NAMES)

    def _some_file(self) -> Path:
        files = self._files()
        return self._chance.choice(files) if files else self._some_name()

    def _some_directory(self) -> Path:
        found = [Path(at, name) for at, names, _ in self._walk() for name in names]
        if not found:
            raise FileNotFoundError
        return self._chance.choice(sorted(found))

    def _files(self) -> list[Path]:
        paths = (Path(at, name) for at, _, names in self._walk() for name in names)
        return sorted(path for path in paths if not path.is_symlink() and path.name not in OWN)

    def _walk(self) -> Iterator[tuple[str, list[str], list[str]]]:
        for at, directories, names in os.walk(self._root):
            directories[:] = sorted(set(directories) - OWN)
            yield at, directories, names
