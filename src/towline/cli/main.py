"""`towline`: the group of commands, and the one place where an error meets the person.

Commands are loaded when they are used, so that `towline status` does not pay for `towline link`.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Sequence

import click

from towline import __version__
from towline.cli.output import ReaderGoneError, prepare, say
from towline.errors import ExitCode, UserError

COMMANDS = (
    "link",
    "links",
    "status",
    "flush",
    "stop",
    "conflicts",
    "problems",
    "accept",
    "refuse",
    "explain",
    "log",
    "show",
    "diff",
    "snapshots",
    "snapshot",
    "restore",
    "mirror",
    "seed",
    "doctor",
    "config",
    "service",
    "run",
    "jobs",
    "logs",
    "attach",
    "cancel",
    "wait",
    "top",
    "ssh",
    "cp",
    "git",
    "env",
    "forward",
    "ports",
    "jupyter",
    "code",
    "ssh-config",
    "proxy",
    "enrol",
    "up",
    "down",
    "routes",
    "demo",
    "version",
)
"""In the order of `towline --help`. Each is `towline.cli.NAME` and in it the command NAME; what is
a dash on the command line is an underscore there."""


GC_THRESHOLD = (50_000, 20, 20)
"""Imports make no cycles to be looked for, and trees of a hundred thousand entries hold none."""


class LazyGroup(click.Group):
    """Finds a command by importing the module of its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"towline.cli.{name}"), name)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def towline() -> None:
    """The live line between a project folder on this computer and a borrowed machine.

    In the project folder, `towline link DEST` keeps it live on any SSH host: save a file here, and
    it is there. DEST is anything that `ssh` accepts.

    \b
    Exit codes:
      0  done                        69  nothing is linked here, or the
      1  something else, or no           machine cannot be reached
      2  wrong usage                 73  a file cannot be made
      3  held: a question stands     75  not now, try again
         open, see `towline status`  77  not permitted
     65  the other side cannot be    78  wrong configuration
         understood                 130  interrupted
    `run`, `attach` and `wait` end as the job did.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and leave with its exit code. Standard output holds data only."""
    gc.set_threshold(*GC_THRESHOLD)
    prepare()
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = towline.main(
            None if arguments is None else list(arguments),
            prog_name="towline",
            standalone_mode=False,
        )
    except UserError as error:
        say(f"error: {error.message}")
        if error.hint:
            say(f"hint: {error.hint}")
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except ReaderGoneError:
        return _hushed()
    except FileNotFoundError:
        if _is_somewhere():
            raise
        say("error: the current directory is not there any more")
        return ExitCode.UNAVAILABLE
    return code if isinstance(code, int) else ExitCode.OK


def _is_somewhere() -> bool:
    """Whether the current directory is still there."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _hushed() -> int:
    """What is still buffered must not complain when the process ends."""
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - it lives to the end.
    return ExitCode.OK
