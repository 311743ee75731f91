"""What a person asks of `towline run`, as one value that can be kept and asked for again."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


def new_key() -> str:
    return os.urandom(8).hex()


@dataclass(frozen=True, slots=True)
class Asked:
    argv: tuple[str, ...]
    shell: bool = False  # The one word is for a shell there to read.
    name: str = ""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    tty: tuple[int, int] | None = None  # Rows and columns.
    hold: bool = False
    on_deadline: str = ""  # A signal's name, "none", or "" for SIGUSR1 to whoever catches it.
    resumes: bool = False  # To be begun again on a new machine.
    key: str = field(default_factory=new_key)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Asked:
        """Raises KeyError and TypeError for what `to_json` did not return."""
        tty = plain["tty"]
        fields: dict[str, Any] = {
            **plain,
            "argv": tuple(plain["argv"]),
            "tty": None if tty is None else (tty[0], tty[1]),
        }
        return cls(**fields)
