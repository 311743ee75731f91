"""Events, sizes and times as a person reads them: plain text, no colour, no terminal."""

from __future__ import annotations

import time
from collections.abc import Sequence

from towline.engine.events import (
    ConflictKept,
    DeadlineNear,
    Disconnected,
    Equipped,
    Event,
    ForwardFailed,
    Held,
    Kept,
    LeftOut,
    Note,
    ProblemFound,
    Progress,
    Ready,
    Received,
    Restored,
    Restoring,
    Resumed,
    Revision,
    Status,
    Stopped,
)

PATHS_SHOWN = 3  # Enough to recognise one's own save; more would wrap a line.
LEFT_OUT_SHOWN = 5


def size_text(size: float) -> str:
    """Bytes in decimal units, as disks are sold and `ls --si` shows them."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 99.95 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def time_text(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days"


def count_text(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def shown(path: str) -> str:
    """A name may hold anything, also what a terminal would obey; that is shown, never sent."""
    if path.isprintable():
        return path
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in path)


def paths_text(paths: Sequence[str], count: int) -> str:
    """The first few of `count` paths."""
    first = ", ".join(shown(path) for path in paths[:PATHS_SHOWN])
    more = count - min(len(paths), PATHS_SHOWN)
    return f"{first} and {more:,} more" if first and more > 0 else first


def place_text(status: Status) -> str:
    """Where the folder is there, which is known once the machine is reached."""
    path = f":{shown(status.machine_path)}" if status.machine_path else ""
    return f"{shown(status.destination)}{path}"


def event_text(event: Event) -> str:
    """One line for one event."""
    return shown(_event_text(event))


def _event_text(event: Event) -> str:
    match event:
        case Ready():
            machine = ", a new machine" if event.new_machine else ""
            amount = f"{count_text(event.files, 'file')}, {size_text(event.size)}"
            return f"live at {event.machine_path}: {amount} in {time_text(event.seconds)}{machine}"
        case Revision():
            paths = paths_text(event.paths, event.changes)
            what = f"{count_text(event.changes, 'change')} in {time_text(event.ms / 1000)}"
            return f"revision {event.number}: {what}" + (f": {paths}" if paths else "")
        case Received():
            paths = paths_text(event.paths, event.changes)
            what = f"{count_text(event.changes, 'change')} from the machine"
            return f"received {what}" + (f": {paths}" if paths else "")
        case ConflictKept():
            path, copy = shown(event.path), shown(event.copy)
            return f"conflict: {path} changed on both sides; the {event.side}'s is kept as {copy}"
        case ProblemFound():
            return f"problem on the {event.side}: {shown(event.path)} {shown(event.reason)}"
        case Disconnected():
            return f"disconnected: {event.reason}; what you save waits here"
        case Resumed():
            anew = "; the machine's side was started anew" if event.new_life else ""
            return f"connected again after {time_text(event.gap_s)}{anew}"
        case Held():
            return f"held: {event.reason}; `towline accept` carries it out, `towline refuse` not"
        case DeadlineNear():
            return _deadline_text(event)
        case Restoring():
            return f"putting back the {event.step}: {shown(event.what)}"
        case Restored():
            what = shown(event.what) or "not"
            return f"{event.step} put back: {what} ({time_text(event.seconds)}){_left(event.left)}"
        case Equipped():
            steps = ", ".join(event.steps) or "nothing"
            return f"put back: {steps}, in {time_text(event.seconds)}{_left(event.left)}"
        case Note():
            return f"note: {event.text}"
        case Kept():
            return kept_text(event)
        case ForwardFailed():
            return f"forward {shown(event.listen)}: {shown(event.reason)}"
        case Stopped():
            return f"stopped: {event.reason}" if event.reason else "stopped"


def _deadline_text(event: DeadlineNear) -> str:
    when = f"ends in {time_text(event.left_s)}" if event.left_s else "has ended"
    safe = "nothing is known to be safe"
    if event.safe_at is not None:
        safe = f"last safe at {clock_text(event.safe_at)}"
    text = f"the machine {when} ({shown(event.why)}): {safe}"
    if event.paths or event.safe_behind:
        text += f"; {size_text(event.safe_behind)} not safe"
    return f"{text}: {paths_text(event.paths, len(event.paths))}" if event.paths else text


def ends_text(status: Status, now: float) -> str:
    """How long the machine still lives, if that is known."""
    if status.deadline is None:
        return ""
    left_s = status.deadline - now
    left = f"in {time_text(left_s)}" if left_s > 0 else "now"
    return f"{left} ({shown(status.deadline_why)})"


def _left(left: Sequence[str]) -> str:
    if not left:
        return ""
    more = len(left) - PATHS_SHOWN
    first = "; ".join(shown(item) for item in left[:PATHS_SHOWN])
    return f"; left: {first}" + (f" and {more:,} more" if more > 0 else "")


def kept_text(event: Kept) -> str:
    what = f"{count_text(event.files, 'file')}, {size_text(event.size)} added"
    paths = paths_text(event.unreadable, len(event.unreadable))
    without = f"; without {paths}, which could not be read" if event.unreadable else ""
    return f"snapshot {event.snapshot}: {what} in {time_text(event.seconds)}{without}"


def left_out_texts(left_out: Sequence[LeftOut]) -> list[str]:
    """What is not synced, the largest first, and how to have it after all."""
    largest = sorted(left_out, key=lambda item: item.size, reverse=True)[:LEFT_OUT_SHOWN]
    lines = [
        f"left out: {shown(item.path)}"
        f" ({'at least ' if item.at_least else ''}{size_text(item.size)}): {item.reason}"
        for item in largest
    ]
    if lines:
        lines.append(
            f"to include one, add a line such as `!/{shown(largest[0].path)}` to .towlineignore"
        )
    return lines


def notebook_texts(ready: Ready) -> list[str]:
    """How to have a notebook there in step; said once for each machine."""
    if not ready.notebook or not ready.new_machine:
        return []
    return [f"in a notebook there: {shown(ready.notebook)}"]


def behind_text(status: Status) -> str:
    if not status.behind_files and not status.behind_size:
        return "nothing behind"
    return f"{count_text(status.behind_files, 'file')}, {size_text(status.behind_size)} behind"


def safe_text(status: Status) -> str:
    """Up to when all of the machine's is on the laptop's disk, and what is missing."""
    if status.safe_at is None:
        return ""
    rest = f"{size_text(status.safe_behind)} behind"
    if status.safe_in_s is not None:
        rest += f", {time_text(status.safe_in_s)} to go"
    if status.being_written:
        rest += f" · {status.being_written:,} being written"
    return f"last safe at {clock_text(status.safe_at)} · {rest}"


def clock_text(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


def status_lines(status: Status, now: float | None = None) -> list[str]:
    """What `towline status` prints, a fact a line."""
    since = "" if now is None else f" for {time_text(max(0.0, now - status.since))}"
    reason = f": {status.reason}" if status.reason else ""
    rtt = "" if status.rtt_ms is None else f", {status.rtt_ms:.0f} ms away"
    facts = {
        "workspace": shown(status.workspace),
        "state": f"{status.state.value}{since}{reason}",
        "here": shown(status.project),
        "there": f"{place_text(status)}{rtt}",
        "revision": str(status.revision),
        "behind": behind_text(status).removesuffix(" behind"),
        "safe": safe_text(status).removeprefix("last safe "),
        "ends": "" if now is None else ends_text(status, now),
        "progress": "" if status.progress is None else progress_text(status.progress),
        "notebook": shown(status.notebook),
        "kept": _kept_fact(status, now),
        "watching": status.watching,
        "conflicts": _with_command(status.conflicts, "towline conflicts"),
        "problems": _with_command(status.problems, "towline problems"),
    }
    return [f"{name:<10} {shown(fact)}" for name, fact in facts.items() if fact]


def _kept_fact(status: Status, now: float | None) -> str:
    """Up to when all is in a snapshot, and how it is with the next."""
    at = status.kept_at
    ago = "" if at is None or now is None else f", {time_text(max(0.0, now - at))} ago"
    when = "" if at is None else f"at {time.strftime('%H:%M:%S', time.localtime(at))}{ago}"
    return "; ".join(filter(None, (when, shown(status.keeping))))


def progress_text(progress: Progress) -> str:
    files = f"{progress.files:,} of {progress.files_total:,} files"
    return f"{files}, {size_text(progress.size)} of {size_text(progress.size_total)}"


def _with_command(count: int, command: str) -> str:
    return f"{count:,} (see `{command}`)" if count else ""
