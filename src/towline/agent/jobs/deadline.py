"""When the machine ends, as far as is known: a file that jobs can read, and the word to each.

`{"at": Unix time, "reason": text}` in the file that jobs know as `TOWLINE_DEADLINE_FILE`; it is not
there while nothing is known. Who knows of a deadline is somebody else: the agent, at its warnings.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from typing import Any, cast

from towline.agent.jobs import orders
from towline.agent.jobs.record import ORDERS
from towline.agent.jobs.shelf import Shelf, state_directory

SAVE_S = 300.0  # From here on jobs are told to save; before that the file alone says it.


def tell(workspace: str, left_s: float, why: str) -> None:
    """Let the workspace's jobs know that the machine ends in `left_s`. Raises OSError."""
    set_deadline(time.time() + left_s, why)
    if left_s <= SAVE_S:
        warn(Shelf(workspace))


def deadline_file() -> str:
    """Raises OSError."""
    return f"{state_directory()}/deadline.json"


def set_deadline(at: float | None, reason: str) -> None:
    """Write the file, or remove it for None. Raises OSError."""
    path = deadline_file()
    if at is None:
        with suppress(FileNotFoundError):
            os.unlink(path)
        return
    beside = f"{path}.{os.getpid()}"
    with open(beside, "w", encoding="utf-8") as file:
        json.dump({"at": at, "reason": reason}, file)
    os.replace(beside, path)


def known_deadline() -> dict[str, Any] | None:
    try:
        with open(deadline_file(), encoding="utf-8") as file:
            plain: object = json.loads(file.read(4096))
    except (OSError, ValueError):
        return None
    return cast("dict[str, Any]", plain) if isinstance(plain, dict) else None


def warn(shelf: Shelf) -> list[int]:
    """Tell every running job that the end is near; return the numbers of those who heard."""
    told: list[int] = []
    for job in shelf.jobs():
        if job.is_supervised():
            with suppress(orders.NobodyError, OSError):
                orders.tell(job.file(ORDERS), orders.order(orders.DEADLINE))
                told.append(job.number)
    return told
