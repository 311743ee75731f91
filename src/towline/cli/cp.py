"""`towline cp`: copy files to and from the machine, with OpenSSH's scp."""

from __future__ import annotations

import os
import re
from contextlib import suppress

import click

from towline.cli.options import Command
from towline.cli.ssh import run_in_place
from towline.control import ask
from towline.errors import ExitCode, UserError
from towline.places import Binding
from towline.there import linked_here, there_of


@click.command(cls=Command, short_help="Copy files to or from the machine.")
@click.option("-r", "recursive", is_flag=True, help="Directories with all that is in them.")
@click.option("-p", "preserve", is_flag=True, help="Keep times and modes.")
@click.argument("paths", metavar="SOURCE... TARGET", nargs=-1, required=True)
def cp(recursive: bool, preserve: bool, paths: tuple[str, ...]) -> None:
    """Copy files to or from the machine, past the sync: data, models, what no rule lets through.

    \b
      towline cp data.tar colab:/content/     NAME:PATH is on a machine
      towline cp :runs/last.ckpt .            :PATH is in the project's folder there
      towline cp -r colab:/content/out out
    """
    if len(paths) < 2:
        raise UserError("a source and a target are needed", exit_code=ExitCode.USAGE)
    names = {name for path in paths if (name := _name_in(path)) is not None}
    if len(names) != 1:
        raise UserError(
            "one side must be a machine, and only one: NAME:PATH, or :PATH in this project",
            exit_code=ExitCode.USAGE,
        )
    named, here = names.pop(), linked_here()
    there = there_of(named or None, here)
    folder = there.folder if named or here is None else _folder(here) or there.folder
    flags = [flag for flag, is_set in (("-r", recursive), ("-p", preserve)) if is_set]
    words = [_as_scp(path, there.host, folder) for path in paths]
    options = there.options
    number = options.port if options.port is not None else _port_in(there.host)
    port = [] if number is None else ["-P", str(number)]
    given = _without_port(options.arguments())
    program = os.environ.get("TOWLINE_SSH")
    through = ["-S", program] if program else []
    raise click.exceptions.Exit(
        run_in_place(["scp", *flags, *through, *port, *given, "--", *words])
    )


def _without_port(arguments: list[str]) -> list[str]:
    """Ssh's -p is scp's -P."""
    if "-p" not in arguments:
        return arguments
    at = arguments.index("-p")
    return arguments[:at] + arguments[at + 2 :]


def _name_in(path: str) -> str | None:
    """Return the NAME of NAME:PATH, None if it is a path of this computer."""
    name, colon, _ = path.partition(":")
    return name if colon and "/" not in name else None


def _folder(binding: Binding) -> str:
    """Return the folder there by its whole path, where an engine runs that knows it.

    The home of a shell there is not always the one in which sftp begins.
    """
    with suppress(UserError):
        return str(ask(binding, "status")["machine_path"])
    return ""


def _as_scp(path: str, host: str, folder: str) -> str:
    name = _name_in(path)
    if name is None:
        return path if path.startswith("/") else f"./{path}"
    rest = path.partition(":")[2]
    if not name and folder and not rest.startswith(("/", "~")):
        rest = f"{folder.removeprefix('~/')}/{rest}"
    return f"{_host_for_scp(host)}:{rest}"


_URL = re.compile(r"ssh://((?:[^@]*@)?)(\[[^\]]+\]|[^:]+)(?::(\d+))?")


def _host_for_scp(host: str) -> str:
    """To scp the first colon ends the host, also of a URL that ssh takes and of an IPv6 address."""
    if match := _URL.fullmatch(host):
        return match[1] + match[2]
    user, at, address = host.rpartition("@")
    return f"{user}{at}[{address}]" if ":" in address else host


def _port_in(host: str) -> str | None:
    match = _URL.fullmatch(host)
    return match[3] if match else None
