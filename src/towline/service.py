"""What starts a workspace at login, as values: a file, its content, the commands around it.

Nothing but `Service.write` touches the system; the commands are run, or only shown, by others.
"""

from __future__ import annotations

import os
import plistlib
import sys
from dataclasses import dataclass
from pathlib import Path

from towline.errors import ExitCode, UserError
from towline.places import Binding

RESTART_AFTER_S = 5  # Long enough not to burn a laptop's battery on a fault that stays.
FATAL = (ExitCode.USAGE, ExitCode.HELD, ExitCode.REFUSED, ExitCode.CONFIG)
"""Ends that another start would only repeat."""
PASSED_ON = ("XDG_STATE_HOME", "XDG_CONFIG_HOME")
"""A service does not have the shell's environment; without these it would look elsewhere."""

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Service:
    file: Path
    content: str
    install: tuple[Command, ...]  # To be run once the file is there.
    remove: tuple[Command, ...]  # Before it is removed.
    removed: tuple[Command, ...] = ()  # And after.

    def write(self) -> None:
        """Raises UserError."""
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.write_text(self.content, encoding="utf-8")
        except OSError as error:
            raise UserError(
                f"{self.file} cannot be written: {error.strerror}",
                hint="`towline service install --print` shows what belongs there",
                exit_code=ExitCode.CANNOT_WRITE,
            ) from error


def service_for(binding: Binding, platform: str = sys.platform) -> Service:
    """Return what fits the system. Raises UserError on Windows, with what to do there."""
    if platform == "darwin":
        return _launchd(binding)
    if platform == "win32":
        program = " ".join(f'"{part}"' for part in program_of(binding))
        raise UserError(
            "on Windows a service is set up by hand",
            hint=f"schtasks /create /sc onlogon /tn towline-{binding.name} /tr '{program}'",
        )
    return _systemd(binding)


def program_of(binding: Binding) -> list[str]:
    """Return the engine's command line, independent of PATH and of the current directory."""
    return [sys.executable, "-P", "-m", "towline", "link", "--json", "--name", binding.name]


def _systemd(binding: Binding) -> Service:
    name = f"towline-{binding.name}.service"
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    systemctl = ("systemctl", "--user")
    return Service(
        file=Path(base) / "systemd" / "user" / name,
        content=_unit(binding),
        install=((*systemctl, "daemon-reload"), (*systemctl, "enable", "--now", name)),
        remove=((*systemctl, "disable", "--now", name),),
        removed=((*systemctl, "daemon-reload"),),
    )


def _unit(binding: Binding) -> str:
    environment = [
        f"Environment={quoted(f'{variable}={os.environ[variable]}', variables=False)}"
        for variable in PASSED_ON
        if os.environ.get(variable)
    ]
    lines = [
        "[Unit]",
        f"Description=towline: {_plain(binding.name)}",
        "Documentation=man:ssh(1)",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        "Type=exec",
        f"ExecStart={' '.join(quoted(part) for part in program_of(binding))}",
        *environment,
        "StandardOutput=null",
        "Restart=on-failure",
        f"RestartSec={RESTART_AFTER_S}",
        f"RestartPreventExitStatus={' '.join(str(int(code)) for code in FATAL)}",
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return "\n".join(lines) + "\n"


def quoted(text: str, *, variables: bool = True) -> str:
    """Return `text` as one word of a unit file that stands for itself.

    `variables` says whether the line it is for expands `$`.
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    if variables:
        escaped = escaped.replace("$", "$$")
    return f'"{_plain(escaped)}"'


def _plain(text: str) -> str:
    return text.replace("\n", " ").replace("\r", " ")


def _launchd(binding: Binding) -> Service:
    label = f"dev.towline.{binding.name}"
    file = Path.home() / "Library" / "LaunchAgents" / f"{label}.plist"
    domain = f"gui/{os.getuid()}"
    return Service(
        file=file,
        content=_plist(binding, label),
        install=(("launchctl", "bootstrap", domain, str(file)),),
        remove=(("launchctl", "bootout", f"{domain}/{label}"),),
    )


def _plist(binding: Binding, label: str) -> str:
    environment = {name: os.environ[name] for name in PASSED_ON if os.environ.get(name)}
    return plistlib.dumps(
        {
            "Label": label,
            "ProgramArguments": program_of(binding),
            "EnvironmentVariables": environment,
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": RESTART_AFTER_S,
            "StandardOutPath": os.devnull,
            "StandardErrorPath": str(binding.places.log),
        }
    ).decode()
