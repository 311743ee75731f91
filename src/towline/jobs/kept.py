"""What is to be begun again on a new machine: requests kept on the laptop until they are over.

`towline run --resume-on-new-machine` keeps its request here before it begins. It is let go when
anybody on the laptop sees the job over, or cancels it. Whoever sets up the next machine asks
`to_resume` and calls `resume` for each; a job that ended unseen on a machine that is gone is among
them.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from towline.errors import UserError
from towline.jobs.asked import Asked
from towline.jobs.call import Job, all_jobs, start
from towline.places import Binding, state_dir, write_private

KEPT_MAX = 100  # Requests of one workspace. More are no jobs but a loop.
RESUME = "TOWLINE_RESUME"


@dataclass(frozen=True, slots=True)
class Kept:
    """A request, and how often it was begun."""

    asked: Asked
    begun: float  # Unix time of the first begin.
    attempts: int = 1

    @property
    def key_there(self) -> str:
        """The key of the latest attempt: each is a job of its own."""
        return self.asked.key if self.attempts == 1 else f"{self.asked.key}-{self.attempts}"


def keep(binding: Binding, asked: Asked) -> Kept:
    """Raises UserError if there are too many."""
    if len(all_kept(binding)) >= KEPT_MAX:
        raise UserError(
            f"{KEPT_MAX} jobs wait to be resumed already", "`towline jobs` sees which are over"
        )
    return _save(binding, Kept(asked, time.time()))


def all_kept(binding: Binding) -> list[Kept]:
    """Return what is kept, the oldest first. A file that cannot be read is none of ours."""
    found = (_read(path) for path in state_dir().glob(f"{binding.id}.job-*.json"))
    return sorted((kept for kept in found if kept), key=lambda kept: kept.begun)


def forget(binding: Binding, key: str) -> None:
    """Let go of the request whose latest attempt has this key."""
    for kept in all_kept(binding):
        if key in (kept.asked.key, kept.key_there):
            _file(binding, kept).unlink(missing_ok=True)


def refresh(binding: Binding, jobs: Iterable[Job]) -> None:
    """Let go of what these jobs, as the machine told of them, show to be over."""
    over = {job.key for job in jobs if job.state in ("done", "failed", "cancelled")}
    for kept in all_kept(binding):
        if kept.key_there in over:
            _file(binding, kept).unlink(missing_ok=True)


def to_resume(binding: Binding) -> list[Kept]:
    """Return what is to be begun on the machine of now: what does not run there, nor ended there.

    Raises UserError if the machine cannot be asked.
    """
    jobs = all_jobs(binding)
    refresh(binding, jobs)
    there = {job.key for job in jobs if job.state != "lost"}
    return [kept for kept in all_kept(binding) if kept.key_there not in there]


def resume(binding: Binding, kept: Kept, revision: int) -> Job:
    """Begin it again, told so by TOWLINE_RESUME=1; its last checkpoint is its own to find.

    What is asked for twice is begun once: a job that was begun and not noted here is found again.
    Raises UserError.
    """
    again = dataclasses.replace(kept, attempts=kept.attempts + 1)
    env = {**kept.asked.env, RESUME: "1"}
    job = start(binding, dataclasses.replace(kept.asked, env=env, key=again.key_there), revision)
    _save(binding, again)
    return job


def _save(binding: Binding, kept: Kept) -> Kept:
    plain = {"asked": kept.asked.to_json(), "begun": kept.begun, "attempts": kept.attempts}
    write_private(_file(binding, kept), json.dumps(plain) + "\n")
    return kept


def _file(binding: Binding, kept: Kept) -> Path:
    return state_dir() / f"{binding.id}.job-{kept.asked.key}.json"


def _read(path: Path) -> Kept | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        plain = json.loads(path.read_text("utf-8"))
        return Kept(Asked.from_json(plain["asked"]), plain["begun"], plain["attempts"])
    return None
