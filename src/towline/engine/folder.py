"""One folder of a workspace: what is kept in step with what, and how. A value; it does nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from towline.core.checkpoint import Checkpoints
from towline.core.direction import Direction
from towline.core.ignore import NO_CHECKPOINTS


@dataclass(frozen=True, slots=True)
class Folder:
    """What is kept in step with what."""

    mirror: int  # Its number in the workspace.
    machine_path: str
    host: str  # The laptop's name, for conflict copies.
    local_life: str  # The incarnation of the project folder.
    direction_of: Callable[[str], Direction]
    compress: Callable[[], bool]
    name: str = ""  # Of the workspace, for people on the machine.
    bandwidth: int | None = None  # Bytes per second, for content.
    checkpoints: Checkpoints = NO_CHECKPOINTS
    direction: Direction | None = None  # That of all paths, where there is only one.
    lives_s: int = 0  # How long the machine lives, as the person says; 0: unsaid.
