"""What restic says, as values: lines of JSON, exit codes, and the plain words of old releases.

Unknown fields, messages and codes are expected: later releases will have them. Starts nothing.
"""

from __future__ import annotations

import enum
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]
UNREADABLE_SHOWN = 20  # Paths kept of those that could not be read; the count is whole.


class Trouble(enum.Enum):
    """Why restic did not do what it was asked. Releases before 0.17 tell by words only."""

    NO_REPOSITORY = "there is no repository"
    LOCKED = "the repository is locked"
    NO_KEY = "the password is wrong"
    INTERRUPTED = "interrupted"
    OTHER = "restic failed"


_BY_CODE = {
    10: Trouble.NO_REPOSITORY,
    11: Trouble.LOCKED,
    12: Trouble.NO_KEY,
    130: Trouble.INTERRUPTED,
}
PARTLY_READ = 3
"""The exit code of a snapshot that was made without some files: usual on a living folder."""

_BY_WORDS = (
    (re.compile(r"wrong password or no key found"), Trouble.NO_KEY),
    (re.compile(r"repository is already locked|unable to create lock"), Trouble.LOCKED),
    (
        re.compile(r"config file.*(?:does not exist|no such file)|repository does not exist"),
        Trouble.NO_REPOSITORY,
    ),
)


def trouble_of(code: int, stderr: str) -> Trouble:
    """Say what a code other than 0 and 3 means."""
    if known := _BY_CODE.get(code):
        return known
    for words, trouble in _BY_WORDS:
        if words.search(stderr):
            return trouble
    return Trouble.OTHER


def last_words(stderr: str) -> str:
    """Return the sentence of stderr that says why, on one line.

    What ssh says is the reason of what restic says after it; a stack, which old releases print, is
    none.
    """
    lines = [_plain(line) for line in stderr.splitlines() if line.strip()]
    for mark in ("subprocess ssh: ", "Fatal: "):
        if told := [line for line in lines if line.startswith(mark)]:
            return told[-1].removeprefix(mark)[:300]
    return lines[0][:300] if lines else "it gave no reason"


def _plain(line: str) -> str:
    """Return a line of stderr as text; newer releases write some of them as JSON."""
    told = _json(line)
    if told is None:
        return line.strip()
    if told.get("message_type") == "exit_error":
        return "Fatal: " + str(told.get("message", "")).removeprefix("Fatal: ")
    error = told.get("error")
    message = error.get("message") if isinstance(error, dict) else error  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return f"{told.get('item', '')}: {message}".strip(": ")


@dataclass(frozen=True, slots=True)
class Version:
    """Of the program; compared as a tuple would be."""

    number: tuple[int, int, int]

    def is_at_least(self, *number: int) -> bool:
        return self.number >= number


def version_of(text: str) -> Version | None:
    """Return the version in what `restic version` prints."""
    found = re.match(r"restic (\d+)\.(\d+)(?:\.(\d+))?", text)
    return Version((int(found[1]), int(found[2]), int(found[3] or 0))) if found else None


@dataclass(frozen=True, slots=True)
class Progress:
    """Of a snapshot under way, or of a restore. `part` is from 0 to 1."""

    part: float
    files: int
    size: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What a snapshot was made of. `snapshot` is empty if none was needed."""

    snapshot: str
    files_new: int
    files_changed: int
    files: int
    size_added: int
    size: int
    seconds: float
    dirs_changed: int = 0
    unreadable: tuple[str, ...] = ()

    @property
    def found_nothing(self) -> bool:
        """Whether nothing seems to have changed; a name that is gone at the top shows in no
        count."""
        return not (self.files_new or self.files_changed or self.dirs_changed or self.size_added)


@dataclass(frozen=True, slots=True)
class Snapshot:
    id: str
    at: float  # Unix time.
    host: str
    tags: tuple[str, ...]
    tree: str
    folder: str = ""  # Of which it was made, on the computer that made it.

    @property
    def short(self) -> str:
        return self.id[:8]


@dataclass(frozen=True, slots=True)
class Node:
    """A path in a snapshot. `kind`: file, dir, symlink, or what else restic knows."""

    path: str
    kind: str
    size: int
    mode: int
    mtime: float


@dataclass(frozen=True, slots=True)
class Difference:
    """`change`: added, removed, changed or other."""

    path: str
    change: str


def message_of(line: str) -> Progress | Summary | None:
    """Return what a line of `backup --json` or `restore --json` says, if it is one of these."""
    told = _json(line)
    match told.get("message_type") if told else None:
        case "status":
            assert told is not None
            return Progress(
                float(told.get("percent_done", 0)),
                int(told.get("files_done") or told.get("files_restored") or 0),
                int(told.get("bytes_done") or told.get("bytes_restored") or 0),
            )
        case "summary":
            assert told is not None
            return _summary(told)
        case _:
            return None


def _summary(told: Json) -> Summary:
    return Summary(
        snapshot=str(told.get("snapshot_id", "")),
        files_new=int(told.get("files_new", 0)),
        files_changed=int(told.get("files_changed", 0)),
        files=int(told.get("total_files_processed", 0)),
        size_added=int(told.get("data_added", 0)),
        size=int(told.get("total_bytes_processed", 0)),
        seconds=float(told.get("total_duration", 0)),
        dirs_changed=int(told.get("dirs_changed", 0)) + int(told.get("dirs_new", 0)),
    )


def unreadable_of(stderr: str) -> tuple[str, ...]:
    """Return the paths that a snapshot is without."""
    told = (_json(line) for line in stderr.splitlines())
    paths = (str(each["item"]) for each in told if each and each.get("item"))
    return tuple(dict.fromkeys(paths))[:UNREADABLE_SHOWN]


_COMPLAINT = re.compile(r"ignoring error for /(.*)")
_COMPLAINTS = re.compile(r"There were (\d+) errors")


def complaint_of(line: str) -> tuple[tuple[str, str], ...]:
    """Return what a line of a restore's stderr says of a path: the path, and the reason.

    Old releases write a colon between the two, and a path may hold one itself: then there are
    several, one for each way to read it. None, if the line says nothing of a path.
    """
    told = _json(line)
    if told and told.get("message_type") == "error" and told.get("item"):
        path = str(told["item"]).removeprefix("/")
        return ((path, _plain(line).removeprefix(f"{told['item']}: ")),)
    found = _COMPLAINT.match(line)
    if found is None:
        return ()
    text = found[1]
    colons = [colon.start() for colon in re.finditer(": ", text)]
    return tuple((text[:colon], text[colon + 2 :]) for colon in colons)


def complaints_in(words: str) -> int:
    """Return of how many paths a restore that failed says that it is without them, no others."""
    found = _COMPLAINTS.search(words)
    return int(found[1]) if found else 0


def snapshots_of(text: str) -> list[Snapshot]:
    """Return what `snapshots --json` lists, the oldest first."""
    listed: list[Json] = json.loads(text) or []
    return sorted((_snapshot(each) for each in listed), key=lambda snapshot: snapshot.at)


def _snapshot(told: Json) -> Snapshot:
    return Snapshot(
        id=str(told["id"]),
        at=time_of(str(told["time"])),
        host=str(told.get("hostname", "")),
        tags=tuple(told.get("tags") or ()),
        tree=str(told.get("tree", "")),
        folder=str(next(iter(told.get("paths") or ()), "")),
    )


def node_of(line: str) -> Node | None:
    """Return the path that a line of `ls --json` is about; its first line is about none."""
    told = _json(line)
    if not told or told.get("struct_type", told.get("message_type")) != "node":
        return None
    return Node(
        path=str(told["path"]).lstrip("/"),
        kind=str(told["type"]),
        size=int(told.get("size", 0)),
        mode=int(told.get("mode", 0)) & 0o7777,
        mtime=time_of(str(told["mtime"])),
    )


_CHANGES = {"+": "added", "-": "removed", "M": "changed", "T": "changed", "U": "other"}
_PLAIN_CHANGE = re.compile(r"([+\-MTU?]+)\s+(/.*)")


def difference_of(line: str) -> Difference | None:
    """Return what a line of `diff` says of a path, in either of its forms."""
    if told := _json(line):
        if told.get("message_type") != "change":
            return None
        return Difference(str(told["path"]).lstrip("/"), _change(str(told.get("modifier", ""))))
    found = _PLAIN_CHANGE.fullmatch(line)
    return Difference(found[2].lstrip("/"), _change(found[1])) if found else None


def _change(modifier: str) -> str:
    return next((word for mark, word in _CHANGES.items() if mark in modifier), "other")


def time_of(text: str) -> float:
    """Return Unix time of what restic writes: RFC 3339 with nanoseconds."""
    short = re.sub(r"(\.\d{6})\d+", r"\1", text)
    when = datetime.fromisoformat(short)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _json(line: str) -> Json | None:
    if not line.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None  # pyright: ignore[reportUnknownVariableType]
