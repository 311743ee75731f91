"""How a workspace stands: its folders, its link and its snapshots together, at one moment.

It asks them, and changes nothing but since when its own state has been what it is.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import anyio

from towline.engine import events
from towline.engine.live import Live
from towline.engine.rate import Rate
from towline.engine.safe import together
from towline.keeping import Keeping
from towline.request import LinkRequest
from towline.workspace.ending import Ending
from towline.workspace.happenings import Happenings
from towline.workspace.link import Link

_BEGINNING = (events.State.CONNECTING, events.State.SCANNING, events.State.FIRST_SYNC)


class Standing:
    def __init__(
        self,
        request: LinkRequest,
        lives: Sequence[Live],
        link: Link,
        ending: Ending,
        happenings: Happenings,
        keeping: Keeping | None,
    ) -> None:
        self._request = request
        self._lives = lives
        self._link = link
        self._ending = ending
        self._happenings = happenings
        self._keeping = keeping
        self._state = events.State.CONNECTING
        self._since = time.time()
        self._why_stopped = ""
        self._rate = Rate()

    def stop(self, reason: str) -> None:
        """From now on it is stopped, and for this reason."""
        self._set_state(events.State.STOPPED)
        self._why_stopped = reason

    def is_beginning(self) -> bool:
        """Whether not all is there yet."""
        return self._present_state() in _BEGINNING

    def is_live(self) -> bool:
        return all(live.state is events.State.LIVE for live in self._lives)

    def now(self) -> events.Status:
        if self._state is not events.State.STOPPED:
            self._set_state(self._present_state())
        rtt_s = self._link.rtt_s
        behind = [live.behind for live in self._lives]
        safety = together([live.safe.now() for live in self._lives])
        deadline = self._ending.deadline
        machine = self._lives[0].machine
        return events.Status(
            workspace=self._request.name,
            project=str(self._request.project),
            destination=self._request.destination,
            machine_path=machine.root if machine else "",
            state=self._state,
            since=self._since,
            reason=self._reason(),
            revision=max(live.revision for live in self._lives),
            rtt_ms=round(rtt_s * 1000, 3) if rtt_s is not None else None,
            behind_files=sum(files for files, _ in behind),
            behind_size=sum(size for _, size in behind),
            conflicts=len(self._lives[0].conflicts()),
            problems=sum(len(live.problems) for live in self._lives),
            watching=" ".join(filter(None, (live.watching for live in self._lives))),
            progress=self._progress(),
            last_paths=self._happenings.last_paths,
            notebook=machine.notebook if machine else "",
            safe_at=safety.at,
            safe_behind=safety.behind,
            safe_in_s=self._safe_in_s(safety.behind),
            being_written=safety.being_written,
            deadline=deadline.at if deadline else None,
            deadline_why=deadline.why if deadline else "",
            kept_at=self._keeping.at if self._keeping else None,
            keeping=self._keeping.says if self._keeping else "",
        )

    def _set_state(self, state: events.State) -> None:
        if state is not self._state:
            self._state, self._since = state, time.time()

    def _present_state(self) -> events.State:
        """The least advanced state of any folder; being away goes before all."""
        if self._link.away_since is not None:
            return events.State.DISCONNECTED
        order = list(events.State)
        held = [live.state for live in self._lives if live.state is events.State.HELD]
        return held[0] if held else min((live.state for live in self._lives), key=order.index)

    def _reason(self) -> str:
        if self._state is events.State.DISCONNECTED:
            return self._link.reason
        if self._state is events.State.STOPPED:
            return self._why_stopped
        return next((live.held for live in self._lives if live.held), "")

    def _safe_in_s(self, behind: int) -> float | None:
        """How long it takes for the rest to come, at the rate of the last few seconds."""
        self._rate.add(anyio.current_time(), sum(live.safe.received for live in self._lives))
        rate = self._rate.per_second
        return round(behind / rate, 1) if behind and rate else None

    def _progress(self) -> events.Progress | None:
        if self._state is not events.State.FIRST_SYNC:
            return None
        parts = [live.progress for live in self._lives]
        return events.Progress(
            files=sum(part.files for part in parts),
            files_total=sum(part.files_total for part in parts),
            size=sum(part.size for part in parts),
            size_total=sum(part.size_total for part in parts),
        )
