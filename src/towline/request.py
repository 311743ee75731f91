"""What a person asks of `towline link`, as one value: where to, how, and under which name.

It travels whole, as JSON in a private file, to an engine started in the background, so that no
flag is lost on the way and nothing of it stands in a process list. It starts nothing itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from towline.errors import ExitCode, UserError
from towline.line.destination import BadDestinationError, parse_destination
from towline.line.options import SshOptions

NO_SSH_OPTIONS = SshOptions()


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """One engine to run: the workspace `workspace_id`, bound to a destination."""

    workspace_id: str
    name: str
    project: Path
    destination: str
    machine_path: str | None = None  # None: as configured, else `~/NAME`.
    ssh: SshOptions = NO_SSH_OPTIONS
    once: bool = False  # Sync, then leave.
    overrides: Mapping[str, Any] = field(default_factory=dict[str, Any])  # Of the configuration.
    ticket: str = field(default="", repr=False)  # That has yet to let this laptop in.

    def to_json(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "project": str(self.project)}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> LinkRequest:
        """Raise KeyError, TypeError or ValueError if `plain` is not what `to_json` returns."""
        fields: dict[str, Any] = {
            **plain,
            "project": Path(plain["project"]),
            "ssh": ssh_from_json(plain["ssh"]),
        }
        return cls(**fields)


def ssh_from_json(plain: Mapping[str, Any]) -> SshOptions:
    fields: dict[str, Any] = {**plain, "options": tuple(plain["options"])}
    return SshOptions(**fields)


def split_destination(text: str) -> tuple[str, str | None]:
    """Split `DEST[:PATH]` into what ssh takes and the folder there, if one is named.

    Raises UserError if there is no destination in it, or if ssh would take it for an option.
    """
    try:
        destination = parse_destination(text)
    except BadDestinationError as error:
        raise UserError(
            str(error),
            "give anything that ssh accepts: user@host, or a Host of your ssh config",
            ExitCode.USAGE,
        ) from None
    return destination.host, destination.path or None
