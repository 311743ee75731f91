"""What a workspace tells those who watch it: events as they happen, and its status at a moment.

These are values for people and programs alike; `as_json` is the documented schema of
`towline link --json` and `towline status --json`. Nothing here renders or prints.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


class State(enum.Enum):
    CONNECTING = "connecting"
    SCANNING = "scanning"
    FIRST_SYNC = "first sync"
    LIVE = "live"
    DISCONNECTED = "disconnected"
    HELD = "held"  # A plan that would empty a side waits for `towline accept` or `refuse`.
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Progress:
    """How much of the sync under way is done. Bytes are of content, before compression."""

    files: int = 0
    files_total: int = 0
    size: int = 0
    size_total: int = 0


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something on the laptop that is not synced, large enough to be worth a word."""

    path: str
    size: int  # Bytes; a lower bound where `at_least`.
    reason: str
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """Both sides hold the same: the first sync of this life of the machine is done."""

    revision: int
    files: int
    size: int
    seconds: float
    new_machine: bool
    machine_path: str
    left_out: tuple[LeftOut, ...] = ()
    notebook: str = ""  # What loads the extension in a notebook on the machine.


@dataclass(frozen=True, slots=True)
class Revision:
    """Changes made together on the laptop are all on the machine."""

    number: int
    changes: int
    ms: float  # From the first event to the machine's acknowledgement.
    paths: tuple[str, ...] = ()  # The first few.


@dataclass(frozen=True, slots=True)
class Received:
    """Changes from the machine are on the laptop."""

    changes: int
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConflictKept:
    """Both sides changed `path`; both versions live on, one under the name `copy`."""

    path: str
    copy: str
    side: str  # Whose version the copy holds: "laptop" or "machine".


@dataclass(frozen=True, slots=True)
class ProblemFound:
    path: str
    reason: str
    side: str


@dataclass(frozen=True, slots=True)
class Disconnected:
    reason: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """The Line is back. With `new_life` the agent had to be started again, else nothing was."""

    gap_s: float
    new_life: bool


@dataclass(frozen=True, slots=True)
class Held:
    """Nothing is carried out until `towline accept` or `towline refuse`."""

    reason: str


@dataclass(frozen=True, slots=True)
class DeadlineNear:
    """The machine ends soon, or has just ended: what is safe here by now, and what is not."""

    left_s: float  # 0: it has ended.
    why: str
    safe_at: float | None  # As in the status.
    safe_behind: int
    paths: tuple[str, ...] = ()  # The first few of what is not safe.


@dataclass(frozen=True, slots=True)
class Restoring:
    """A new machine is given something beside the files."""

    step: str
    what: str


@dataclass(frozen=True, slots=True)
class Restored:
    """A step of that is over."""

    step: str
    what: str  # Empty if nothing could be put back.
    seconds: float
    left: tuple[str, ...] = ()  # What was not put back: name and reason.


@dataclass(frozen=True, slots=True)
class Equipped:
    """All steps are over: the machine is as the last one was, but for what was left."""

    steps: tuple[str, ...]
    seconds: float  # From when the machine was reached.
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence worth showing: a fallback taken, a limit met, a clock that jumped."""

    text: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A snapshot was made."""

    snapshot: str
    files: int  # New or changed since the last.
    size: int  # Bytes that the repository grew by.
    seconds: float
    unreadable: tuple[str, ...] = ()  # The first few that it is without.


@dataclass(frozen=True, slots=True)
class ForwardFailed:
    """Somebody connected to a forward, and nothing came of it. Told once for a reason."""

    listen: str  # Where it listens; on the laptop, unless it is a reverse one.
    target: str  # Where it leads, on the other side.
    reason: str


@dataclass(frozen=True, slots=True)
class Stopped:
    reason: str


Event = (
    Ready
    | Revision
    | Received
    | ConflictKept
    | ProblemFound
    | Disconnected
    | Resumed
    | Held
    | DeadlineNear
    | Restoring
    | Restored
    | Equipped
    | Note
    | Kept
    | ForwardFailed
    | Stopped
)

EVENT_NAMES: dict[type[Event], str] = {
    Ready: "ready",
    Revision: "revision",
    Received: "received",
    ConflictKept: "conflict",
    ProblemFound: "problem",
    Disconnected: "disconnected",
    Resumed: "resumed",
    Held: "held",
    DeadlineNear: "deadline",
    Restoring: "restoring",
    Restored: "restored",
    Equipped: "equipped",
    Note: "note",
    Kept: "kept",
    ForwardFailed: "forward failed",
    Stopped: "stopped",
}


@dataclass(frozen=True, slots=True)
class Status:
    """One workspace at one moment."""

    workspace: str
    project: str
    destination: str
    machine_path: str
    state: State
    since: float  # Unix time at which `state` began.
    reason: str = ""  # Why, where the state has a reason (disconnected, held, stopped).
    revision: int = 0  # The last one known to be whole on the machine.
    rtt_ms: float | None = None
    behind_files: int = 0
    behind_size: int = 0
    conflicts: int = 0
    problems: int = 0
    watching: str = ""  # How changes are noticed, where it is not simply by notification.
    progress: Progress | None = None
    last_paths: tuple[str, ...] = field(default=())
    notebook: str = ""  # What loads the extension in a notebook on the machine.
    safe_at: float | None = None  # Up to when all of the machine's is on the laptop's disk.
    safe_behind: int = 0  # Bytes that have yet to come from the machine.
    safe_in_s: float | None = None  # How long that takes at the present rate, if that is known.
    being_written: int = 0  # Checkpoints on the machine that are not whole yet.
    deadline: float | None = None  # Unix time at which the machine ends, if that is known.
    deadline_why: str = ""
    kept_at: float | None = None  # Unix time up to which the last snapshot holds all.
    keeping: str = ""  # What is under way with the next one, or in its way.


LEFT_OUT_SHOWN = 5


def all_ready(folders: Sequence[Ready]) -> Ready:
    """Return what is to be told of several folders that are ready; the first names the place."""
    left_out = sorted((item for ready in folders for item in ready.left_out), key=_minus_size)
    return Ready(
        revision=max(ready.revision for ready in folders),
        files=sum(ready.files for ready in folders),
        size=sum(ready.size for ready in folders),
        seconds=max(ready.seconds for ready in folders),
        new_machine=any(ready.new_machine for ready in folders),
        machine_path=folders[0].machine_path,
        left_out=tuple(left_out[:LEFT_OUT_SHOWN]),
        notebook=folders[0].notebook,
    )


def _minus_size(item: LeftOut) -> int:
    return -item.size


def as_json(value: Event | Status) -> dict[str, Any]:
    """Return plain JSON-able values; an event carries its name under `event`."""
    plain: dict[str, Any] = {
        key: item.value if isinstance(item, enum.Enum) else item
        for key, item in dataclasses.asdict(value).items()
    }
    if isinstance(value, Status):
        return plain
    return {"event": EVENT_NAMES[type(value)], **plain}
