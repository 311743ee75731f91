"""The live display of `towline link` in a terminal: three lines that change in place.

A save changes one of them and nothing scrolls; only what a person should not miss (a conflict, a
problem, a plan that is held) stays above as a line of its own. Drawn at most ten times a second,
and not at all while nothing changes; nor before the machine is reached, since ssh may have to ask
for a password on the same terminal.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live as RichLive
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from towline.engine.events import (
    ConflictKept,
    DeadlineNear,
    Equipped,
    Event,
    ForwardFailed,
    Held,
    Note,
    ProblemFound,
    Progress,
    Ready,
    Received,
    Restored,
    Restoring,
    Revision,
    State,
    Status,
    Stopped,
)
from towline.engine.rate import Rate
from towline.ui.words import (
    behind_text,
    count_text,
    ends_text,
    event_text,
    left_out_texts,
    notebook_texts,
    paths_text,
    place_text,
    safe_text,
    shown,
    size_text,
    time_text,
)

REDRAW_INTERVAL_S = 0.1
COUNTING_INTERVAL_S = 1.0  # While a state shows for how long it lasts.
PROBLEMS_PRINTED = 20  # The rest is counted; `towline problems` lists all.
NARROW = 60  # Columns. Below this the bar's line has room for the rate, not for the totals.

STYLES = {
    State.LIVE: "green",
    State.DISCONNECTED: "yellow",
    State.HELD: "bold red",
    State.STOPPED: "dim",
}


class Live:
    """Draws what it is told. It may be told from one thread while its own draws."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.time) -> None:
        self._console = console
        self._clock = clock
        self._status: Status | None = None
        self._last = ""  # The last exchange, as a line.
        self._rate = Rate()
        self._problems = 0
        self._end: Stopped | None = None
        self._live = RichLive(console=console, auto_refresh=False, get_renderable=self.frame)
        self._changed = threading.Event()
        self._leaving = threading.Event()
        self._drawing = threading.Thread(target=self._draw, name="display", daemon=True)

    def __enter__(self) -> Live:
        self._drawing.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._leaving.set()
        self._changed.set()
        self._drawing.join()
        self._live.stop()
        if self._end is not None and exc[0] is None:  # An error says the same, and more.
            self._print(event_text(self._end), "dim")

    def __call__(self, item: Event | Status) -> None:
        if isinstance(item, Status):
            if self._status is None and item.state is State.CONNECTING:
                self._print(f"connecting to {shown(item.destination)} …", "dim")
            self._status = item
            if item.progress is not None:
                self._rate.add(self._clock(), item.progress.size)
        else:
            self._tell(item)
        self._changed.set()

    def frame(self) -> RenderableType:
        """What stands there now."""
        status = self._status
        if status is None:
            return Text()
        lines: list[RenderableType] = [self._headline(status)]
        if status.progress is not None and status.state is State.FIRST_SYNC:
            lines.append(_progress_row(status.progress, self._rate, self._console.width))
        elif status.reason and status.state is not State.LIVE:
            lines.append(_line(f"  {status.reason}"))
        elif self._last:
            lines.append(_line(f"  {self._last}"))
        lines.append(_counts(status, self._clock()))
        return Group(*lines)

    def _headline(self, status: Status) -> Text:
        """The place comes last: it is long, and known to whoever started this."""
        state = status.state.value
        if status.state is State.DISCONNECTED:
            state += f" for {time_text(max(0.0, self._clock() - status.since))}"
        line = Text(f"● {state}", style=STYLES.get(status.state, "cyan"))
        line.append(f"  revision {status.revision}", style="default")
        if status.rtt_ms is not None:
            line.append(f"  {status.rtt_ms:.0f} ms", style="default")
        line.append(f"  {shown(status.workspace)} → {place_text(status)}", style="dim")
        return _one_line(line)

    def _tell(self, event: Event) -> None:
        match event:
            case Revision():
                paths = paths_text(event.paths, event.changes)
                self._last = f"→ {paths}  {time_text(event.ms / 1000)}"
            case Received():
                self._last = f"← {paths_text(event.paths, event.changes)}"
            case Ready():
                self._print(event_text(event), "green")
                for line in (*notebook_texts(event), *left_out_texts(event.left_out)):
                    self._print(line, "dim")
            case ProblemFound():
                self._problems += 1
                if self._problems <= PROBLEMS_PRINTED:
                    self._print(event_text(event), "yellow")
                if self._problems == PROBLEMS_PRINTED:
                    self._print("further problems are only counted: see `towline problems`", "dim")
            case ConflictKept() | Held() | DeadlineNear():
                self._print(event_text(event), "bold yellow")
            case Note() | ForwardFailed() | Restoring() | Restored() | Equipped():
                self._print(event_text(event), "dim")
            case Stopped():
                self._end = event
            case _:
                pass  # The state line says it.

    def _print(self, line: str, style: str) -> None:
        self._console.print(Text(line, style=style), soft_wrap=False)

    def _draw(self) -> None:
        while not self._leaving.is_set():
            status = self._status
            counting = status is not None and (
                status.state is State.DISCONNECTED or status.deadline is not None
            )
            self._changed.wait(COUNTING_INTERVAL_S if counting else None)
            self._changed.clear()
            if self._is_reached():
                self._live.start()  # Does nothing the second time.
                self._live.refresh()
            self._leaving.wait(REDRAW_INTERVAL_S)

    def _is_reached(self) -> bool:
        return self._live.is_started or (
            self._status is not None and self._status.state is not State.CONNECTING
        )


def _counts(status: Status, now: float) -> Text:
    parts = [part for part in (behind_text(status), safe_text(status)) if part]
    if status.conflicts:
        parts.append(count_text(status.conflicts, "conflict"))
    if status.problems:
        parts.append(count_text(status.problems, "problem"))
    if ends := ends_text(status, now):
        parts.append(f"ends {ends}")
    if status.watching:
        parts.append(status.watching)
    return _line("  " + " · ".join(parts), "dim")


def _progress_row(progress: Progress, rate: Rate, width: int) -> Table:
    """A bar, and beside it as many of the numbers as there is room for."""
    row = Table.grid(padding=(0, 1, 0, 1))
    total, done = max(progress.size_total, 1), min(progress.size, progress.size_total)
    cells: list[Any] = [ProgressBar(total=total, completed=done, width=max(8, width // 4))]
    cells.append(f"{100 * done // total}%")
    if width >= NARROW:
        cells.append(f"{progress.files:,}/{progress.files_total:,} files")
        cells.append(f"{size_text(progress.size)}/{size_text(progress.size_total)}")
    if rate.per_second:
        cells.append(f"{size_text(rate.per_second)}/s")
        cells.append(f"{time_text((total - done) / rate.per_second)} left")
    for _ in cells:
        row.add_column(no_wrap=True)
    row.add_row(*cells)
    return row


def _line(text: str, style: str = "") -> Text:
    return _one_line(Text(shown(text), style=style))


def _one_line(text: Text) -> Text:
    text.no_wrap = True
    text.overflow = "ellipsis"
    return text
