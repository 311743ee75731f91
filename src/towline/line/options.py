"""What a person passes on to ssh, as one value. It starts nothing and imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SshOptions:
    """ssh's own options of the same meaning, passed on as they were given."""

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
