"""The durable ancestor: what both sides last agreed on, in one life of the machine.

Only steps that were carried out on both sides are recorded, never planned ones. One SQLite file
per workspace; it also holds what else must outlive the engine: the last revision number and the
conflicts that were kept. Blocking, but each call is far below a millisecond.

Where the disk takes nothing more, all of it goes on in memory, and returns to the file once there
is room. Until then the file is older than what is known, as after a power cut.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from towline.core.entry import Entry, File
from towline.core.tree import Tree
from towline.core.wire import fields
from towline.errors import ExitCode, UserError

SCHEMA_VERSION = 2
ROWS_AT_ONCE = 4096  # Read as one JSON text: far quicker than each, and no more than 2 MB.
REVISIONS = 64  # Numbers set aside at a time: a save need not wait for one to be written down.
CACHE_KIB = 512  # Of the file, in memory: paths come in order. SQLite would take 2 MB.
# What a machine may not have on its disk yet. Linux begins to write after 30 s, looks every 5 s
# (vm.dirty_expire_centisecs, dirty_writeback_centisecs), and commits the names after as long again
# (ext4's `commit`); and for silence_s a machine is believed to be there that is not. That makes
# some 50 s; the rest is for disks that are busy.
UNSYNCED_S = 120.0
AGAIN_S = 5.0  # Between two looks at whether there is room: each writes all, as far as it gets.
_JSON = json.JSONEncoder(separators=(",", ":"))

_SCHEMA = """
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ancestor (
    mirror INTEGER NOT NULL, path BLOB NOT NULL, entry TEXT NOT NULL,
    turn INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (mirror, path)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS conflict (
    path TEXT NOT NULL, copy TEXT NOT NULL, side TEXT NOT NULL, at REAL NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class KeptConflict:
    path: str
    copy: str
    side: str
    at: float  # Unix time.


class StoreError(UserError):
    """The workspace's state cannot be read or written."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "", ExitCode.CANNOT_WRITE)


class Store:
    """The state of one workspace. Use from one thread.

    Each row of an ancestor has the number of the *turn* in which it was agreed on. A turn lasts
    for UNSYNCED_S or more, and until something is agreed on; so what is older than the last one
    but one was agreed on that long before the last agreement. No clock outlives the engine: to
    the next one all of the turn is new.
    """

    def __init__(
        self,
        file: Path | str,
        clock: Callable[[], float] = time.monotonic,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Open or create the file. Raises `StoreError`, also for a file of a newer towline.

        `tell` is given a sentence when the file cannot be written any more, and when it can again.
        """
        self._clock = clock
        self._tell = tell
        self._began = clock()
        self._turns: dict[int, tuple[int, float]] = {}  # By mirror: the turn, and when it began.
        self._file: sqlite3.Connection | None = None  # While what is current is in memory.
        self._again_at = 0.0
        with _told(f"the state in {file} cannot be used"):
            self._db = _opened(file)
            self._revision: int = int(self.fact("revision", "0"))
            self._set_aside: int = self._revision  # No later engine gives out one up to here.
            version = int(self.fact("schema", str(SCHEMA_VERSION)))
            if version > SCHEMA_VERSION:
                raise StoreError(f"the state in {file} was written by a newer towline")
            self._at_once(lambda: self._bring_up(version))

    def _bring_up(self, version: int) -> None:
        if version < 2:
            self._db.execute("ALTER TABLE ancestor ADD COLUMN turn INTEGER NOT NULL DEFAULT 0")
        self.set_fact("schema", str(SCHEMA_VERSION))

    def close(self) -> None:
        with suppress(StoreError):
            if self._revision != self._set_aside:  # The numbers set aside are passed over.
                self._write(lambda: self.set_fact("revision", str(self._revision)))
        if self._file is not None and not self._return_to_file():
            self._tell("the workspace's state was not written: the next link compares more")
            self._file.close()
        self._db.close()

    # -- Reading and writing ------------------------------------------------------------------

    def _ask(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Yield the rows. Raises StoreError."""
        with _told("the workspace's state cannot be read"):
            yield from self._db.execute(query, values)

    def _write(self, act: Callable[[], None]) -> None:
        """Carry out what writes: all of it, in the file or in memory. Raises StoreError."""
        if self._file is not None and self._clock() >= self._again_at:
            self._return_to_file()
        with _told("the workspace's state cannot be written"):
            try:
                self._at_once(act)
            except sqlite3.OperationalError as error:  # Full, read-only, an I/O error.
                if self._file is not None:
                    raise
                self._go_on_in_memory(str(error))
                self._at_once(act)

    def _at_once(self, act: Callable[[], None]) -> None:
        try:
            self._db.execute("BEGIN")
            act()
            self._db.execute("COMMIT")
        except sqlite3.Error:
            if self._db.in_transaction:  # Of some errors SQLite rolls back by itself.
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
            raise

    def _go_on_in_memory(self, reason: str) -> None:
        memory = sqlite3.connect(":memory:", isolation_level=None)
        self._db.backup(memory)
        self._db, self._file = memory, self._db
        self._again_at = self._clock() + AGAIN_S
        self._tell(
            f"the workspace's state cannot be written ({reason}): it is kept in memory until it can"
        )

    def _return_to_file(self) -> bool:
        """Write all of what is in memory to the file, if there is room now."""
        assert self._file is not None
        self._again_at = self._clock() + AGAIN_S
        try:
            self._db.backup(self._file)
        except sqlite3.Error:
            with suppress(sqlite3.Error):  # Others have a use for the room that was taken.
                self._file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return False
        self._db.close()
        self._db, self._file = self._file, None
        self._tell("the workspace's state is written again")
        return True

    # -- Facts, ancestors, conflicts ----------------------------------------------------------

    def fact(self, name: str, default: str = "") -> str:
        return next(
            (str(value) for (value,) in self._ask("SELECT value FROM fact WHERE name = ?", name)),
            default,
        )

    def set_fact(self, name: str, value: str) -> None:
        self._change("INSERT OR REPLACE INTO fact VALUES (?, ?)", name, value)

    @property
    def revision(self) -> int:
        """The last number given out; after a crash, the last that may have been."""
        return self._revision

    def next_revision(self) -> int:
        """Return a number that was never given out before, not even before a crash.

        (A crash while the file cannot be written takes back those since then.)
        """
        if self._revision == self._set_aside:
            ahead = self._set_aside + REVISIONS
            self._write(lambda: self.set_fact("revision", str(ahead)))
            self._set_aside = ahead
        self._revision += 1
        return self._revision

    def open_ancestor(self, mirror: int, life: str) -> Tree:
        """Return what was agreed in this life; an empty tree if it is not the one we knew.

        `life` names the incarnations of both roots: an ancestor is true of that pair only.
        """
        if self.fact(f"life {mirror}") != life:
            self._write(lambda: self._begin_life(mirror, life))
        tree = Tree()
        query = "SELECT path, entry FROM ancestor WHERE mirror = ? ORDER BY path"
        found = self._ask(query, mirror)
        while rows := list(islice(found, ROWS_AT_ONCE)):
            entries = json.loads(f"[{','.join(packed for _, packed in rows)}]")
            for (raw, _), entry in zip(rows, entries, strict=True):
                tree.put_shallow(_decode(raw), fields.entry(entry))
        return tree

    def _begin_life(self, mirror: int, life: str) -> None:
        self._db.execute("DELETE FROM ancestor WHERE mirror = ?", (mirror,))
        self._forget_agreed(mirror)
        self.set_fact(f"life {mirror}", life)

    def agree(self, mirror: int, agreed: Iterable[tuple[str, Entry | None]]) -> None:
        """Record that both sides hold these entries: shallow; None removes all below, too.

        What replaces a directory is to be preceded by its removal.
        """
        known = list(agreed)
        self._write(lambda: self._agree(mirror, known))

    def _agree(self, mirror: int, known: list[tuple[str, Entry | None]]) -> None:
        self._forget_agreed(mirror)
        for is_gone, rows in groupby(known, lambda row: row[1] is None):
            (self._forget if is_gone else self._keep)(mirror, rows)

    def agreed(self, mirror: int) -> bytes | None:
        """Return the digest of the whole ancestor, if it was set since that changed last."""
        return bytes.fromhex(self.fact(f"agreed {mirror}")) or None

    def set_agreed(self, mirror: int, digest: bytes) -> None:
        self._write(lambda: self.set_fact(f"agreed {mirror}", digest.hex()))

    def lately(self, mirror: int) -> list[str]:
        """Return what was agreed on within UNSYNCED_S before the last agreement, or somewhat more.

        So the machine had it, and may not have had it on its disk when it was last heard of.
        """
        query = "SELECT path FROM ancestor WHERE mirror = ? AND turn >= ?"
        since = int(self.fact(f"turn {mirror}", "0")) - 1
        return [_decode(raw) for (raw,) in self._ask(query, mirror, since)]

    def boot(self, mirror: int) -> str:
        """Return which start of the machine was seen last; empty if none was."""
        return self.fact(f"boot {mirror}")

    def set_boot(self, mirror: int, boot: str) -> None:
        self._write(lambda: self.set_fact(f"boot {mirror}", boot))

    def _forget_agreed(self, mirror: int) -> None:
        self._db.execute("DELETE FROM fact WHERE name = ?", (f"agreed {mirror}",))

    def _keep(self, mirror: int, rows: Iterable[tuple[str, Entry | None]]) -> None:
        turn = self._turn(mirror)
        packed = ((mirror, _encode(path), _packed(entry), turn) for path, entry in rows)
        self._db.executemany("INSERT OR REPLACE INTO ancestor VALUES (?, ?, ?, ?)", packed)

    def _turn(self, mirror: int) -> int:
        """Return the turn of what is agreed on now, and write it down if it is another one."""
        now, name = self._clock(), f"turn {mirror}"
        turn, began = self._turns.get(mirror) or (int(self.fact(name, "0")), self._began)
        if now - began >= UNSYNCED_S:
            turn, began = turn + 1, now
            self.set_fact(name, str(turn))
        self._turns[mirror] = turn, began
        return turn

    def _forget(self, mirror: int, rows: Iterable[tuple[str, Entry | None]]) -> None:
        gone = [(mirror, _encode(path)) for path, _ in rows]
        below = ((mirror, raw + b"/", raw + b"0") for _, raw in gone)  # "0" follows "/" in ASCII.
        self._db.executemany("DELETE FROM ancestor WHERE mirror = ? AND path = ?", gone)
        self._db.executemany(
            "DELETE FROM ancestor WHERE mirror = ? AND path >= ? AND path < ?", below
        )

    def keep_conflict(self, path: str, copy: str, side: str) -> None:
        row = (_printable(path), _printable(copy), side, time.time())
        self._write(lambda: self._change("INSERT INTO conflict VALUES (?, ?, ?, ?)", *row))

    def conflicts(self) -> list[KeptConflict]:
        return [KeptConflict(*row) for row in self._ask("SELECT * FROM conflict ORDER BY at")]

    def forget_conflict(self, copy: str) -> None:
        query = "DELETE FROM conflict WHERE copy = ?"
        self._write(lambda: self._change(query, _printable(copy)))

    def _change(self, query: str, *values: object) -> None:
        self._db.execute(query, values)


def _opened(file: Path | str) -> sqlite3.Connection:
    db = sqlite3.connect(file, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    # A commit lost in a power cut makes the ancestor older, which is safe (docs/sync.md).
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
    db.executescript(_SCHEMA)
    return db


@contextmanager
def _told(what: str) -> Generator[None]:
    """Raise what SQLite, or a row that makes no sense, has to say as a `StoreError`."""
    try:
        yield
    except (sqlite3.Error, ValueError) as error:
        raise StoreError(f"{what}: {error}") from None


def _packed(entry: Entry | None) -> str:
    """Return an entry as JSON. Of a file, as most are, it is put together by hand: far quicker."""
    if isinstance(entry, File):
        executable = "true" if entry.executable else "false"
        return f'["f","{entry.digest.hex()}",{executable},{entry.size}]'
    return _JSON.encode(fields.pack_entry(entry))


def _encode(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _printable(path: str) -> str:
    """Return the path as SQLite can hold it: bytes that are not UTF-8 become replacements."""
    return _encode(path).decode("utf-8", "replace")
