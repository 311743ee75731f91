"""Users: they create, save, rename and remove, at any time, on either side, without a care."""

from __future__ import annotations

import os
from contextlib import suppress
from random import Random

import anyio

from tests.simulation.side import Handle, Side

FILES = (
    "a.py",
    "A.py",
    "b.txt",
    "caf\u00e9.txt",
    "cafe\u0301.txt",
    os.fsdecode(b"\xff\xfe.bin"),
    "d/x",
    "d/y.log",
    "d/e/z",
    "out/1",
    "out/deep/2",
    "src/m.py",
    "src/n.py",
    "big.bin",
    "note.log",
)
DIRECTORIES = ("d", "d/e", "D", "out", "out/deep", "src", "new", "new/er")
IGNORES = ("*.log", "d/", "out/", "/big.bin", "e/", "!note.log")
SIZES = (0, 20, 20, 200, 200, 3000, 9000, 40000)
TARGETS = ("a.py", "../b.txt", "d", "nowhere", "../../etc/passwd", "/etc/passwd")


class Users:
    """All users of one side, and the jobs that run there."""

    def __init__(self, side: Side, random: Random, eagerness: float) -> None:
        self._side = side
        self._random = random
        self._eagerness = eagerness
        side.intrude = self.intrude

    async def work(self) -> None:
        """Act now and then, for ever."""
        while self._eagerness:
            await anyio.sleep(self._random.expovariate(self._eagerness))
            for _ in range(self._random.choice([1, 1, 1, 2, 5])):
                await self.act()

    async def act(self) -> None:
        """Do one thing; what the system refuses is not done."""
        acts = (
            (self._save, 6),
            (self._save_atomically, 5),
            (self._save_slowly, 3),
            (self._append, 2),
            (self._append_slowly, 1),
            (self._insert, 2),
            (self._remove, 3),
            (self._move_file, 3),
            (self._move_directory, 2),
            (self._make_directory, 1),
            (self._remove_directory, 2),
            (self._link, 1),
            (self._change_mode, 2),
            (self._swap_kinds, 2),
            (self._check_out, 1),
            (self._ignore, 1),
        )
        chosen = self._random.choices([act for act, _ in acts], [weight for _, weight in acts])[0]
        with suppress(OSError):
            await chosen()

    def intrude(self, path: str) -> None:
        """Do something at `path`, or near it, in between two system calls of somebody else."""
        side, random = self._side, self._random
        draw = random.randrange(8)
        side.trace(f"{side.name}: somebody writes exactly now at {path!r} ({draw})")
        if draw < 3:
            side.write_file(path, self._fresh())
        elif draw == 3:
            side.replace_file(path, self._fresh())
        elif draw == 4:
            self._append_to(path)
        elif draw == 5:
            side.unlink(path)
        elif draw == 6:
            side.rename(path, self._file())
        else:
            side.handles.append(side.handles.pop()) if side.handles else None
            if side.handles:
                side.write(random.choice(side.handles), self._fresh())

    # What they do.

    async def _save(self) -> None:
        path = self._file()
        self._tell("saves", path)
        self._side.make_parents(path)
        self._side.write_file(path, self._fresh())

    async def _save_atomically(self) -> None:
        path = self._file()
        self._tell("saves by rename", path)
        self._side.make_parents(path)
        self._side.replace_file(path, self._fresh())

    async def _save_slowly(self) -> None:
        path = self._file()
        self._tell("begins to write", path)
        self._side.make_parents(path)
        await self._go_on_writing(self._side.open_file(path))

    async def _append(self) -> None:
        path = self._existing_file()
        self._tell("appends to", path)
        self._append_to(path)

    async def _append_slowly(self) -> None:
        path = self._existing_file()
        self._tell("begins to append to", path)
        await self._go_on_writing(self._side.open_to_append(path))

    async def _insert(self) -> None:
        """Write a file anew with something put in or taken out, as a program does that rewrites."""
        path = self._existing_file()
        self._tell("puts something into", path)
        old = (self._side.root / path).read_bytes()
        at = self._random.randint(0, len(old))
        after = at + self._random.choice([0, 0, 1, 256, 1000])
        self._side.replace_file(path, old[:at] + self._fresh() + old[after:])

    async def _go_on_writing(self, handle: Handle) -> None:
        for _ in range(self._random.randint(1, 4)):
            if handle not in self._side.handles:
                return
            self._side.write(handle, self._fresh())
            await anyio.sleep(self._random.choice([0.0, 0.01, 0.2, 1.5]))
        if handle in self._side.handles:
            self._tell("closes", handle.path)
            self._side.close(handle)

    async def _remove(self) -> None:
        path = self._existing_file()
        self._tell("removes", path)
        self._side.unlink(path)

    async def _move_file(self) -> None:
        old, new = self._existing_file(), self._file()
        self._tell("renames", old, new)
        self._side.make_parents(new)
        self._side.rename(old, new)

    async def _move_directory(self) -> None:
        old, new = self._random.choice(DIRECTORIES), self._random.choice(DIRECTORIES)
        self._tell("renames", old, new)
        self._side.rename(old, new)

    async def _make_directory(self) -> None:
        path = self._random.choice(DIRECTORIES)
        self._tell("makes the directory", path)
        self._side.make_parents(path)
        self._side.mkdir(path)

    async def _remove_directory(self) -> None:
        path = self._random.choice(DIRECTORIES)
        self._tell("removes all of", path)
        self._side.remove_tree(path)

    async def _link(self) -> None:
        path, target = self._file(), self._random.choice(TARGETS)
        self._tell("links", path, target)
        self._side.make_parents(path)
        self._side.symlink(target, path)

    async def _change_mode(self) -> None:
        path = self._existing_file()
        executable = self._random.random() < 0.6
        self._tell(f"makes executable={executable}", path)
        self._side.chmod(path, executable=executable)

    async def _swap_kinds(self) -> None:
        """A directory becomes a file, or a file a directory with something in it."""
        path = self._random.choice((*DIRECTORIES, *FILES))
        self._tell("makes something else of", path)
        if os.path.isdir(self._side.place_of(path)):  # noqa: ASYNC240 - It takes no time here.
            self._side.remove_tree(path)
            self._side.write_file(path, self._fresh())
        else:
            self._side.unlink(path)
            self._side.mkdir(path)
            self._side.write_file(f"{path}/inner", self._fresh())

    async def _check_out(self) -> None:
        """Change many files under git's lock."""
        self._tell("checks out another branch", "")
        with_lock = self._random.random() < 0.8
        if with_lock:
            self._side.git_lock(held=True)
        for _ in range(self._random.randint(3, 12)):
            path = self._file()
            with suppress(OSError):
                self._side.make_parents(path)
                if self._random.random() < 0.3:
                    self._side.unlink(path)
                else:
                    self._side.write_file(path, self._fresh())
            await anyio.sleep(self._random.choice([0.0, 0.0, 0.002, 0.03]))
        if with_lock:
            self._side.git_lock(held=False)

    async def _ignore(self) -> None:
        lines = self._random.sample(IGNORES, self._random.randint(0, 2))
        path = self._random.choice([".gitignore", ".gitignore", "d/.gitignore", ".towlineignore"])
        self._tell(f"ignores {lines} in", path)
        content = (
            "".join(f"{line}\n" for line in lines).encode() + b"# " + self._side.ledger.fresh(8)
        )
        self._side.make_parents(path)
        self._side.write_file(path, content)

    # With what.

    def _tell(self, what: str, *paths: str) -> None:
        self._side.trace(f"{self._side.name}: a user {what} {' -> '.join(map(ascii, paths))}")

    def _fresh(self) -> bytes:
        return self._side.ledger.fresh(self._random.choice(SIZES))

    def _file(self) -> str:
        return self._random.choice(FILES)

    def _existing_file(self) -> str:
        paths = self._side.paths()
        return self._random.choice(paths) if paths and self._random.random() < 0.8 else self._file()

    def _append_to(self, path: str) -> None:
        handle = self._side.open_to_append(path)
        self._side.write(handle, self._fresh())
        self._side.close(handle)
