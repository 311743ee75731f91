"""What the training script had finished, and what of it is on the laptop after a kill."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """A checkpoint that was written to its end and closed."""

    name: str
    sha256: str
    size: int
    closed_at: float


@dataclass
class Finding:
    """How the laptop's folder was after one kill."""

    finished: int = 0  # Checkpoints that stood on the machine, whole.
    due: int = 0  # Of these, settled for long enough to be on the laptop.
    missing: list[str] = field(default_factory=list[str])  # Due, and not there.
    half: list[str] = field(default_factory=list[str])  # Under a final name, and not whole.
    early_marks: list[str] = field(default_factory=list[str])
    false_promises: list[str] = field(default_factory=list[str])  # Called safe, and not there.
    delays_s: list[float] = field(default_factory=list[float])  # From settled to safe.
    log_age_s: float = 0.0  # Of the last line of the log, at the kill.


class Ledger:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.left: dict[str, str] = {}  # What was half when the script was killed, by its digest.

    def note_left(self, there: Path) -> None:
        """The script was just killed: what it had not finished stays as it is."""
        finished = {row.name for row in self.rows()}
        for path in there.glob("epoch_*"):
            if path.name not in finished:
                self.left[path.name] = _digest_of(path)

    def rows(self) -> list[Row]:
        """Return what was finished; a line that the kill cut off was not."""
        whole = self.path.read_text().rpartition("\n")[0]
        return [Row(**json.loads(line)) for line in whole.splitlines()]


def look(
    here: Path,
    there: Path,
    rows: Sequence[Row],
    left: Mapping[str, str],
    began_at: float,
    died_at: float,
    due_at: float,
    safe_at: float,
) -> Finding:
    """Compare the laptop's folder with what the script had finished when the machine died.

    `left`: what the script itself had left half, and what that holds. `began_at`: when the machine
    was last started. What was under way when it died last is late.
    """
    finding = Finding()
    known = {row.name: row for row in rows}
    for row in rows:
        if not (there / row.name).exists():  # An older one, which the script removed.
            continue
        is_here = _is_whole(here / row.name, row)
        finding.finished += 1
        finding.due += row.closed_at < due_at
        if not is_here and row.closed_at < due_at:
            finding.missing.append(f"{row.name}: settled {died_at - row.closed_at:.2f} s before")
        if not is_here and row.closed_at < safe_at:
            finding.false_promises.append(f"{row.name}: {safe_at - row.closed_at:.2f} s")
        if is_here and row.closed_at > began_at:
            delay_s = (here / row.name).stat().st_ctime - row.closed_at
            finding.delays_s.append(round(delay_s, 3))
    finding.half = [
        path.name
        for path in sorted(here.glob("epoch_*"))
        if not _is_whole(path, known.get(path.name)) and _digest_of(path) != left.get(path.name)
    ]
    finding.early_marks = _early_marks(here, there)
    finding.half += _torn_log(here, there)
    finding.log_age_s = round(died_at - _last_line_at(here, died_at), 2)
    return finding


def _is_whole(path: Path, row: Row | None) -> bool:
    return row is not None and path.exists() and _digest_of(path) == row.sha256


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _early_marks(here: Path, there: Path) -> list[str]:
    """Name what the mark names, if that is on the machine only.

    If it is on neither side it had come, and was removed: the mark is late then, not early.
    """
    mark = here / "latest"
    named = mark.read_text() if mark.exists() else ""
    is_early = named and (there / named).exists() and not (here / named).exists()
    return [f"latest names {named}"] if is_early else []


def _torn_log(here: Path, there: Path) -> list[str]:
    """Name the log if it is not what the machine's once was: whole lines, in order."""
    log = here / "train.log"
    if not log.exists():
        return []
    is_torn = not (there / "train.log").read_bytes().startswith(log.read_bytes())
    return ["train.log"] if is_torn else []


def _last_line_at(here: Path, died_at: float) -> float:
    log = here / "train.log"
    lines = log.read_text().splitlines() if log.exists() else []
    return float(lines[-1].split()[0]) if lines else died_at
