"""One folder of a workspace: what is kept in step with what, and how. A value; it does nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from towline.core.change import Change
from towline.core.checkpoint import Checkpoints
from towline.core.direction import Direction
from towline.core.ignore import NO_CHECKPOINTS


class Guard(Protocol):
    """Knows which changes from the machine are not carried out on the laptop, and why."""

    def concerns(self, path: str) -> bool: ...
    def refusals(
        self, changes: Sequence[Change], contents: Mapping[bytes, bytes]
    ) -> Mapping[str, str]: ...


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
    guard: Guard | None = None
