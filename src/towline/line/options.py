"""What ssh is told: a person's options, as one value, and a hop. Nothing heavy is imported."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from towline.core.address import Jump


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

    def running(
        self, host: str, command: str, *, flags: Sequence[str], settings: Sequence[str] = ()
    ) -> list[str]:
        """Return the command line that has `command` run on `host`, whatever is configured for it.

        `settings` (-o, each) come behind what the person gave, for ssh takes the first value it
        is given. The environment's TOWLINE_SSH names another program of the kind.
        """
        program = os.environ.get("TOWLINE_SSH") or "ssh"
        ours = [word for setting in (*settings, NO_OTHER) for word in ("-o", setting)]
        return [program, *flags, *self.arguments(), *ours, "--", host, command]


NO_OTHER = "RemoteCommand=none"  # ssh refuses to be told two commands.


def through(hop: Jump) -> list[str]:
    """Return what carries bytes to a hop's target: the person's own ssh, which knows their relay.

    Its keys and its host key are theirs to have configured.
    """
    port = ["-p", str(hop.port)]
    user = ["-l", hop.user] if hop.user else []
    target = f"{hop.target_host}:{hop.target_port}"
    program = os.environ.get("TOWLINE_SSH") or "ssh"
    return [program, "-T", *port, *user, "-W", target, "--", hop.host]
