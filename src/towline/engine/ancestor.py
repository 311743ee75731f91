"""The durable ancestor: what both sides last agreed on, in one life of the machine.

Only steps that were carried out on both sides are recorded, never planned ones. One SQLite file
per workspace; it also holds what else must outlive the engine: the last revision number and the
conflicts that were kept. Blocking, but each call is far below a millisecond.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from towline.core.entry import Entry, File
from towline.core.tree import Tree
from towline.core.wire import fields

SCHEMA_VERSION = 2
ROWS_AT_ONCE = 4096  # Read as one JSON text: far quicker than each, and no more than 2 MB.
REVISIONS = 64  # Numbers set aside at a time: a save need not wait for one to be written down.
CACHE_KIB = 512  # Of the file, in memory: paths come in order. SQLite would take 2 MB.
# What a machine may not have on its disk yet. Linux begins to write after 30 s, looks every 5 s
# (vm.dirty_expire_centisecs, dirty_writeback_centisecs), and commits the names after as long again
# (ext4's `commit`); and for silence_s a machine is believed to be there that is not. That makes
# some 50 s; the rest is for disks that are busy.
UNSYNCED_S = 120.0
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


class StoreError(Exception):
    """The workspace's state cannot be read or written. The text is for a person."""


class Store:
    """The state of one workspace. Use from one thread.

    Each row of an ancestor has the number of the *turn* in which it was agreed on. A turn lasts
    for UNSYNCED_S or more, and until something is agreed on; so what is older than the last one
    but one was agreed on that long before the last agreement. No clock outlives the engine: to
    the next one all of the turn is new.
    """

    def __init__(self, file: Path | str, clock: Callable[[], float] = time.monotonic) -> None:
        """Open or create the file. Raises `StoreError`, also for a file of a newer towline."""
        try:
            self._db = sqlite3.connect(file, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            # A commit lost in a power cut makes the ancestor older, which is safe (docs/sync.md).
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise StoreError(f"the state in {file} cannot be used: {error}") from None
        self._clock = clock
        self._began = clock()
        self._turns: dict[int, tuple[int, float]] = {}  # By mirror: the turn, and when it began.
        self._revision: int = int(self.fact("revision", "0"))
        self._set_aside: int = self._revision  # No later engine gives out one up to here.
        version = int(self.fact("schema", str(SCHEMA_VERSION)))
        if version > SCHEMA_VERSION:
            raise StoreError(f"the state in {file} was written by a newer towline")
        self._bring_up(version)

    def _bring_up(self, version: int) -> None:
        with self._db:
            self._db.execute("BEGIN")
            if version < 2:
                self._db.execute("ALTER TABLE ancestor ADD COLUMN turn INTEGER NOT NULL DEFAULT 0")
            self.set_fact("schema", str(SCHEMA_VERSION))
            self._db.execute("COMMIT")

    def close(self) -> None:
        if self._revision != self._set_aside:
            with suppress(sqlite3.Error):  # The numbers set aside are passed over.
                self.set_fact("revision", str(self._revision))
        self._db.close()

    def fact(self, name: str, default: str = "") -> str:
        row = self._db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return default if row is None else str(row[0])

    def set_fact(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))

    @property
    def revision(self) -> int:
        """The last number given out; after a crash, the last that may have been."""
        return self._revision

    def next_revision(self) -> int:
        """Return a number that was never given out before, not even before a crash."""
        if self._revision == self._set_aside:
            self.set_fact("revision", str(self._set_aside + REVISIONS))
            self._set_aside += REVISIONS
        self._revision += 1
        return self._revision

    def open_ancestor(self, mirror: int, life: str) -> Tree:
        """Return what was agreed in this life; an empty tree if it is not the one we knew.

        `life` names the incarnations of both roots: an ancestor is true of that pair only.
        """
        name = f"life {mirror}"
        if self.fact(name) != life:
            with self._db:
                self._db.execute("BEGIN")
                self._db.execute("DELETE FROM ancestor WHERE mirror = ?", (mirror,))
                self._forget_agreed(mirror)
                self.set_fact(name, life)
                self._db.execute("COMMIT")
        tree = Tree()
        query = "SELECT path, entry FROM ancestor WHERE mirror = ? ORDER BY path"
        found = self._db.execute(query, (mirror,))
        while rows := found.fetchmany(ROWS_AT_ONCE):
            entries = json.loads(f"[{','.join(packed for _, packed in rows)}]")
            for (raw, _), entry in zip(rows, entries, strict=True):
                tree.put_shallow(_decode(raw), fields.entry(entry))
        return tree

    def agree(self, mirror: int, agreed: Iterable[tuple[str, Entry | None]]) -> None:
        """Record that both sides hold these entries: shallow; None removes all below, too.

        What replaces a directory is to be preceded by its removal.
        """
        self._db.execute("BEGIN")
        try:
            self._forget_agreed(mirror)
            for is_gone, rows in groupby(agreed, lambda row: row[1] is None):
                (self._forget if is_gone else self._keep)(mirror, rows)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._db.execute("ROLLBACK")
            raise StoreError(f"the workspace's state cannot be written: {error}") from None

    def agreed(self, mirror: int) -> bytes | None:
        """Return the digest of the whole ancestor, if it was set since that changed last."""
        return bytes.fromhex(self.fact(f"agreed {mirror}")) or None

    def set_agreed(self, mirror: int, digest: bytes) -> None:
        with suppress(sqlite3.Error):  # A full disk, say: the next link takes longer.
            self.set_fact(f"agreed {mirror}", digest.hex())

    def lately(self, mirror: int) -> list[str]:
        """Return what was agreed on within UNSYNCED_S before the last agreement, or somewhat more.

        So the machine had it, and may not have had it on its disk when it was last heard of.
        """
        query = "SELECT path FROM ancestor WHERE mirror = ? AND turn >= ?"
        since = int(self.fact(f"turn {mirror}", "0")) - 1
        return [_decode(raw) for (raw,) in self._db.execute(query, (mirror, since))]

    def boot(self, mirror: int) -> str:
        """Return which start of the machine was seen last; empty if none was."""
        return self.fact(f"boot {mirror}")

    def set_boot(self, mirror: int, boot: str) -> None:
        self.set_fact(f"boot {mirror}", boot)

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
        self._db.execute("INSERT INTO conflict VALUES (?, ?, ?, ?)", row)

    def conflicts(self) -> list[KeptConflict]:
        rows: list[Any] = self._db.execute("SELECT * FROM conflict ORDER BY at").fetchall()
        return [KeptConflict(*row) for row in rows]

    def forget_conflict(self, copy: str) -> None:
        self._db.execute("DELETE FROM conflict WHERE copy = ?", (_printable(copy),))


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
