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


@dataclass(frozen=True, slots=True)
class SshOptions:
    """What is passed on to `ssh` as it was given."""

    config_file: str | None = None  # -F
    port: int | None = None  # -p
    identity: str | None = None  # -i
    jump: str | None = None  # -J
    options: tuple[str, ...] = ()  # -o, each

    def arguments(self) -> list[str]:
        """Return them as `ssh` takes them, to stand before the destination."""
        pairs = [
            ("-F", self.config_file),
            ("-p", None if self.port is None else str(self.port)),
            ("-i", self.identity),
            ("-J", self.jump),
            *(("-o", option) for option in self.options),
        ]
        return [part for flag, value in pairs if value is not None for part in (flag, value)]


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
    """Split `DEST[:PATH]` as scp does; `[::1]:path` and `ssh://host:port/path` are understood.

    Raises UserError if there is no destination in it, or if ssh would take it for an option.
    """
    destination, path = _split_uri(text) if text.startswith("ssh://") else _split_scp(text)
    if not destination or destination.startswith(("-", "@")) or destination.endswith("@"):
        raise UserError(
            f"{text!r} is not a destination",
            hint="give anything that ssh accepts: user@host, or a Host of your ssh config",
            exit_code=ExitCode.USAGE,
        )
    return destination, path or None


def _split_scp(text: str) -> tuple[str, str | None]:
    user, at, rest = _split_user(text)
    if rest.startswith("[") and "]" in rest:
        host, _, tail = rest[1:].partition("]")
        return user + at + host, tail.removeprefix(":")
    if _is_ipv6(rest):
        return text, None
    host, _, path = rest.partition(":")
    return user + at + host, path


def _split_user(text: str) -> tuple[str, str, str]:
    """Return user, `@` and the rest; an `@` after a colon or a slash belongs to the path."""
    user, at, rest = text.partition("@")
    return ("", "", text) if not at or ":" in user or "/" in user else (user, at, rest)


def _split_uri(text: str) -> tuple[str, str | None]:
    authority, _, path = text.removeprefix("ssh://").partition("/")
    return (f"ssh://{authority}" if authority else ""), path


def _is_ipv6(text: str) -> bool:
    return text.count(":") > 1 and not text.partition("%")[0].strip("0123456789abcdefABCDEF:.")
