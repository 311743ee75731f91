"""Which machine a command means, and how OpenSSH's own programs get there.

A machine that came by a ticket is reached by its configuration file, any other as its workspace
reaches it, by what `link` was given and what its project configures. Nothing here connects.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from towline.config import Options, load
from towline.control import is_running
from towline.errors import ExitCode, UserError
from towline.line.options import SshOptions
from towline.machines import all_machines, machine_named
from towline.places import Binding, Workspaces


@dataclass(frozen=True, slots=True)
class There:
    """`options` stand before `host` on the command line of ssh, scp and sftp."""

    host: str
    options: SshOptions
    folder: str = ""  # Of the project, if there is one.
    keeps_environment: bool = False  # Its server gives it to every shell; a login might undo that.

    def in_folder(self, command: str) -> str:
        """Return what the login shell there is to run: the command, in the project's folder.

        What comes before the command fish and tcsh read as sh does.
        """
        folder = quoted(self.folder)
        return f"test -d {folder} && cd {folder}; {command}" if self.folder else command

    def shell(self) -> str:
        login = "" if self.keeps_environment else " -l"
        return self.in_folder(f"""exec /bin/sh -c 'exec "${{SHELL:-/bin/sh}}"{login}'""")


def there_of(name: str | None, binding: Binding | None = None) -> There:
    """Return the machine of this name, of the workspace of this name, or of `binding`.

    Raises UserError.
    """
    if name is None and binding is not None:
        return _of_binding(binding)
    if name is None:
        raise UserError("which machine?", _known(), ExitCode.USAGE)
    here = binding if binding is not None and binding.destination == name else None
    if machine := machine_named(name):
        folder = _folder_of(here, _options_of(here)) if here else machine.folder
        return There(name, SshOptions(config_file=str(machine.host_config)), folder, True)
    for known in Workspaces():
        if known.name == name:
            return _of_binding(known)
    Workspaces().check()
    raise UserError(f"no machine and no workspace is called {name!r}", _known(), ExitCode.USAGE)


def _of_binding(binding: Binding) -> There:
    options = _options_of(binding)
    folder = _folder_of(binding, options)
    if machine := machine_named(binding.destination):
        config = SshOptions(config_file=str(machine.host_config))
        return There(machine.name, config, folder, True)
    return There(binding.destination, options.ssh.below(binding.ssh), folder)


def _options_of(binding: Binding) -> Options:
    return load(binding.project, os.environ)


def _folder_of(binding: Binding, options: Options) -> str:
    return options.folder_there(binding.project, binding.machine_path)


def _known() -> str:
    names = ", ".join(machine.name for machine in all_machines())
    return f"there are: {names}" if names else "`towline link TICKET` makes one known"


def quoted(path: str) -> str:
    """Quote a path for the shell there; a leading ~ is still its home."""
    if path == "~" or path.startswith("~/"):
        return "~" + (f"/{shlex.quote(path[2:])}" if len(path) > 2 else "")
    return shlex.quote(path)


def linked_here() -> Binding | None:
    """Return the workspace that is meant of those of the project around the current directory."""
    return meant_of(Workspaces().of_project(Path.cwd()))


def meant_of(known: list[Binding]) -> Binding | None:
    """Of several for one project the one that runs is meant, else the last one linked."""
    if len(known) < 2:
        return known[0] if known else None
    return next((binding for binding in known if is_running(binding)), known[0])
