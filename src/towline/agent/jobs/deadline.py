"""The word to each running job that the machine ends soon.

When it ends, and why, stands in the agent's own file (`agent/ending.py`), which jobs know as
`TOWLINE_DEADLINE_FILE`. Who knows of a deadline is somebody else: the agent, at its warnings.
"""

from __future__ import annotations

from contextlib import suppress

from towline.agent.jobs import orders
from towline.agent.jobs.record import ORDERS
from towline.agent.jobs.shelf import Shelf

SAVE_S = 300.0  # From here on jobs are told to save; before that the file alone says it.


def warn(workspace: str, left_s: float) -> None:
    """Tell every running job of the workspace, if the end is near. Raises OSError."""
    if left_s > SAVE_S:
        return
    for job in Shelf(workspace).jobs():
        if job.is_supervised():
            with suppress(orders.NobodyError, OSError):
                orders.tell(job.file(ORDERS), orders.order(orders.DEADLINE))
