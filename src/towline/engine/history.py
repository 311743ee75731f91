"""What the files were in past revisions, as far back as there is room.

The engine notes what both sides agreed on and the contents at hand; a thread writes them down
later, so that no save waits for it. What is lost with the engine in between is lost from the past
only. One SQLite file per workspace, which commands read while the engine runs.
"""

from __future__ import annotations

import sqlite3
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from towline.core.entry import Entry, File, Symlink, digest_of
from towline.core.path import parents_of

CONTENT_MAX = 256 << 10  # Bytes of one file that is kept: code and configuration, no data.
SIZE_MAX = 64 << 20  # Bytes kept in all, compressed: some hundred thousand saves of a module.
VERSIONS_MAX = 200_000
PENDING_MAX = 8 << 20  # Bytes of content that wait to be written; the rest is read again then.
BATCH_ROWS = 512  # Written at once: some 50 ms of a core, then others have their turn.
PLAIN_ROWS = 8  # That take as long as one whose content is kept, too.
BASE_FILES_MAX = 10_000  # Of a first sync, whose contents are kept: a second of a core.
CACHE_KIB = 512  # Of the file, in memory: what is written is seldom read. SQLite would take 2 MB.
EVICTED_PART = 8  # At a time goes the oldest eighth of the revisions.

_SCHEMA = """
CREATE TABLE IF NOT EXISTS content (digest BLOB PRIMARY KEY, packed BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS version (
    id INTEGER PRIMARY KEY, mirror INTEGER NOT NULL, path BLOB NOT NULL, revision INTEGER NOT NULL,
    kind TEXT NOT NULL, value BLOB, size INTEGER NOT NULL, at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS version_path ON version (mirror, path, revision, id);
CREATE INDEX IF NOT EXISTS version_revision ON version (revision);
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""

Row = tuple[str, Entry | None]


@dataclass(frozen=True, slots=True)
class Version:
    """What a path held from one revision on. `kind`: file, program, link, directory or gone."""

    mirror: int
    path: str
    revision: int
    kind: str
    value: bytes | None  # The digest of a file, the text of a link.
    size: int
    at: float  # Unix time.


@dataclass(slots=True)
class News:
    """What is noted and not written yet."""

    rows: deque[tuple[int, int, float, list[Row]]] = field(
        default_factory=deque[tuple[int, int, float, list[Row]]]
    )
    contents: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    size: int = 0


class History:
    """`read` gives the present content of a file, by mirror and path, or None."""

    def __init__(
        self, file: Path | str, read: Callable[[int, str], bytes | None], size_max: int = SIZE_MAX
    ) -> None:
        self._db = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")  # A power cut may cost some of the past.
        self._db.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        self._db.executescript(_SCHEMA)
        self._read = read
        self._size_max = size_max
        self._news = News()
        self._first: dict[int, int] = {}  # Mirror → the revision before which nothing is known.
        self._base_left = BASE_FILES_MAX

    def note(self, mirror: int, revision: int, rows: Iterable[Row]) -> None:
        """Both sides hold these entries from `revision` on."""
        self._news.rows.append((mirror, revision, time.time(), list(rows)))

    def keep(self, contents: Mapping[bytes, bytes]) -> None:
        """Remember contents by digest, where they are small, until they are written."""
        news = self._news
        for digest, content in contents.items():
            if len(content) <= CONTENT_MAX and digest not in news.contents:
                news.size += len(content)
                news.contents[digest] = content
        while news.size > PENDING_MAX:
            news.size -= len(news.contents.pop(next(iter(news.contents))))

    def take(self) -> News | None:
        """Return the first of what was noted, for `write`; None if nothing is left."""
        batch, news = News(), self._news
        room = BATCH_ROWS * PLAIN_ROWS
        while news.rows and room > 0:
            batch.rows.append(news.rows.popleft())
            mirror, revision, _, rows = batch.rows[-1]
            room -= len(rows) * (1 if self._is_plain(mirror, revision) else PLAIN_ROWS)
            for _, entry in rows:
                if isinstance(entry, File) and entry.digest in news.contents:
                    content = batch.contents[entry.digest] = news.contents.pop(entry.digest)
                    news.size -= len(content)
        return batch if batch.rows else None

    def write(self, news: News) -> None:
        """Write it down. Blocking; from one thread at a time."""
        try:
            self._db.execute("BEGIN")
            for digest, content in news.contents.items():
                self._put(digest, content)
            for mirror, revision, at, rows in news.rows:
                for path, entry in rows:
                    self._write_row(mirror, revision, at, path, entry)
            self._db.execute("COMMIT")
            self._evict()
        except sqlite3.Error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def close(self) -> None:
        if news := self.take():  # The last few saves; the rest of a first sync is not waited for.
            self.write(news)
        self._db.close()

    def _write_row(
        self, mirror: int, revision: int, at: float, path: str, entry: Entry | None
    ) -> None:
        kind, value, size = _packed(entry)
        is_base = revision == self._first_of(mirror, revision)
        if not is_base:
            known = self._last_of(mirror, path)
            if known == (kind, value) or (known is None and kind == "gone"):
                return
        self._db.execute(
            "INSERT INTO version (mirror, path, revision, kind, value, size, at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (mirror, _encode(path), revision, kind, value, size, at),
        )
        if isinstance(entry, File) and size <= CONTENT_MAX and not self._holds(entry.digest):
            self._base_left -= is_base
            if not is_base or self._base_left >= 0:
                self._put_present(mirror, path, entry)

    def _is_plain(self, mirror: int, revision: int) -> bool:
        """Whether the rest of a first sync is written without contents."""
        return self._base_left <= 0 and self._first.get(mirror) == revision

    def _first_of(self, mirror: int, revision: int) -> int:
        """Return the revision in which the past of a folder begins; -1 if that is long over."""
        if mirror not in self._first:
            query = "SELECT 1 FROM version WHERE mirror = ? LIMIT 1"
            is_known = self._db.execute(query, (mirror,)).fetchone() is not None
            self._first[mirror] = -1 if is_known else revision
        return self._first[mirror]

    def _last_of(self, mirror: int, path: str) -> tuple[str, bytes | None] | None:
        known: tuple[str, bytes | None] | None = self._db.execute(
            "SELECT kind, value FROM version WHERE mirror = ? AND path = ?"
            " ORDER BY revision DESC, id DESC LIMIT 1",
            (mirror, _encode(path)),
        ).fetchone()
        return known

    def _put_present(self, mirror: int, path: str, file: File) -> None:
        content = self._read(mirror, path)
        if content is not None and digest_of(content) == file.digest:
            self._put(file.digest, content)

    def _put(self, digest: bytes, content: bytes) -> None:
        packed = zlib.compress(content, 1)
        self._db.execute("INSERT OR IGNORE INTO content VALUES (?, ?)", (digest, packed))

    def _holds(self, digest: bytes) -> bool:
        query = "SELECT 1 FROM content WHERE digest = ?"
        return self._db.execute(query, (digest,)).fetchone() is not None

    # -- Forgetting ---------------------------------------------------------------------------

    def _evict(self) -> None:
        """Forget the oldest revisions while there is too much; what still stands stays."""
        while self._is_too_large():
            oldest, newest = self._span()
            if oldest >= newest:
                return
            self._forget_before(oldest + max(1, (newest - oldest) // EVICTED_PART))

    def _is_too_large(self) -> bool:
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        (page,) = self._db.execute("PRAGMA page_size").fetchone()
        (last,) = self._db.execute("SELECT count(*) FROM version").fetchone()
        return bool((pages - free) * page > self._size_max or last > VERSIONS_MAX)

    def _span(self) -> tuple[int, int]:
        row = self._db.execute("SELECT value FROM fact WHERE name = 'floor'").fetchone()
        low, high = self._db.execute("SELECT min(revision), max(revision) FROM version").fetchone()
        return max(low or 0, row[0] if row else 0), high or 0

    def _forget_before(self, floor: int) -> None:
        self._db.execute("BEGIN")
        self._db.execute(
            "DELETE FROM version WHERE revision < ? AND EXISTS (SELECT 1 FROM version AS later"
            " WHERE later.mirror = version.mirror AND later.path = version.path"
            " AND later.revision <= ?"
            " AND (later.revision, later.id) > (version.revision, version.id))",
            (floor, floor),
        )
        self._db.execute(
            "DELETE FROM content WHERE digest NOT IN (SELECT value FROM version"
            " WHERE kind IN ('file', 'program'))"
        )
        self._db.execute("INSERT OR REPLACE INTO fact VALUES ('floor', ?)", (floor,))
        self._db.execute("COMMIT")


class Record:
    """What one folder has to say to the history, if there is one. `newest`: the last revision."""

    def __init__(self, history: History | None, mirror: int, newest: Callable[[], int]) -> None:
        self._history = history
        self._mirror = mirror
        self._newest = newest

    def agreed(self, rows: Iterable[Row], revision: int | None) -> None:
        """Both sides hold these entries, by that revision or since the last one."""
        if self._history is not None:
            self._history.note(self._mirror, self._newest() if revision is None else revision, rows)

    def keep(self, contents: Mapping[bytes, bytes]) -> None:
        if self._history is not None:
            self._history.keep(contents)


class Past:
    """The same file, read by a command. Raises `sqlite3.Error`."""

    def __init__(self, file: Path) -> None:
        self._db = sqlite3.connect(f"file:{file}?mode=ro", uri=True)

    def close(self) -> None:
        self._db.close()

    def span(self) -> tuple[int, int]:
        """Return the oldest and the newest revision that can be shown."""
        row = self._db.execute("SELECT value FROM fact WHERE name = 'floor'").fetchone()
        low, high = self._db.execute("SELECT min(revision), max(revision) FROM version").fetchone()
        return (row[0] if row else low or 0), high or 0

    def changed_in(self, first: int, last: int) -> list[tuple[int, str]]:
        """Return mirror and path of what changed from revision `first` to `last`, both included."""
        found = self._db.execute(
            "SELECT DISTINCT mirror, path FROM version WHERE revision BETWEEN ? AND ?"
            " ORDER BY mirror, path",
            (first, last),
        )
        return [(mirror, _decode(path)) for mirror, path in found]

    def at(self, mirror: int, path: str, revision: int) -> Version | None:
        """Return what the path held in that revision; None if nothing."""
        found = self._last(mirror, path, revision)
        if found is None or found[1].kind == "gone":
            return None
        for parent in parents_of(path):
            above = self._last(mirror, parent, revision)
            if above is not None and above[0] > found[0] and above[1].kind != "directory":
                return None
        return found[1]

    def content(self, version: Version) -> bytes | None:
        """Return what a file held; None if it was not kept."""
        if version.kind == "link":
            return version.value
        query = "SELECT packed FROM content WHERE digest = ?"
        row = self._db.execute(query, (version.value,)).fetchone()
        return None if row is None else zlib.decompress(row[0])

    def files(self, revision: int) -> Iterator[Version]:
        """Yield all that was there in that revision, by path."""
        for mirror, path in self.changed_in(0, revision):
            version = self.at(mirror, path, revision)
            if version is not None and version.kind != "directory":
                yield version

    def _last(self, mirror: int, path: str, revision: int) -> tuple[int, Version] | None:
        row = self._db.execute(
            "SELECT id, mirror, path, revision, kind, value, size, at FROM version"
            " WHERE mirror = ? AND path = ? AND revision <= ? ORDER BY revision DESC, id DESC",
            (mirror, _encode(path), revision),
        ).fetchone()
        if row is None:
            return None
        number, mirror, raw, *rest = row
        return number, Version(mirror, _decode(raw), *rest)


def _packed(entry: Entry | None) -> tuple[str, bytes | None, int]:
    match entry:
        case File():
            return ("program" if entry.executable else "file"), entry.digest, entry.size
        case Symlink():
            return "link", _encode(entry.target), 0
        case None:
            return "gone", None, 0
        case _:
            return "directory", None, 0


def _encode(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
