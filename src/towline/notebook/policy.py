"""What becomes of a cell when it cannot be had in step: the rules, as a table.

Pure: a trouble and a policy in, a decision out. How it is said, and how a cell is kept from
running, is not known here.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Kind(enum.Enum):
    AWAY = "the laptop is not connected: nobody knows what was saved there"
    SLOW = "the laptop is connected, and what was saved is not all here in time"
    BROKEN = "what is here does not load: a file does not compile, or its body raises"


class Policy(enum.Enum):
    AUTO = "auto"
    STRICT = "strict"
    WARN = "warn"
    OFF = "off"


class Decision(enum.Enum):
    STOP = "the cell is not run, and the reason is said"
    SAY = "the cell runs, and what it runs on is said"
    RUN = "the cell runs"


@dataclass(frozen=True)
class Trouble:
    kind: Kind
    reason: str
    since: float | None = None  # Unix time.
    detail: tuple[str, ...] = ()  # Further lines, where it is new.


RULES = {
    Policy.AUTO: {Kind.AWAY: Decision.SAY, Kind.SLOW: Decision.STOP, Kind.BROKEN: Decision.SAY},
    Policy.STRICT: dict.fromkeys(Kind, Decision.STOP),
    Policy.WARN: dict.fromkeys(Kind, Decision.SAY),
    # Nothing is waited for; what does not load is said all the same.
    Policy.OFF: {Kind.AWAY: Decision.RUN, Kind.SLOW: Decision.RUN, Kind.BROKEN: Decision.SAY},
}


def decide(policy: Policy, trouble: Trouble) -> Decision:
    return RULES[policy][trouble.kind]
