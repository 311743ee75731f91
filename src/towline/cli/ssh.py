"""`towline ssh`: a shell or a command on the machine."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import click

from towline.cli.options import Command
from towline.there import linked_here, there_of


@click.command(
    cls=Command,
    short_help="A shell on the machine, or a command.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option("-A", "forwards_agent", is_flag=True, help="Lend it your ssh agent meanwhile.")
@click.argument("name", required=False)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def ssh(forwards_agent: bool, name: str | None, command: tuple[str, ...]) -> None:
    """Open a shell on the machine, in the project's folder; or run a command there.

    \b
      towline ssh                       the machine that this project is linked to
      towline ssh colab                 a machine, or a workspace, by its name
      towline ssh colab -- nvidia-smi   a command, without a terminal
      towline ssh -- python train.py    the same on the machine of this project

    One word is read by the shell there, several are passed as they are.

    With -A, `git push` and ssh there use your keys, which stay here. Whoever is root there could
    use them, too, while the shell is open.
    """
    if name is not None and _came_after_dashes(name):
        command, name = (name, *command), None
    command = command[1:] if command[:1] == ("--",) else command
    there = there_of(name, linked_here())
    lent = ["-A"] if forwards_agent else []
    if command:
        line = command[0] if len(command) == 1 else shlex.join(command)
        argv = there.options.running(there.host, there.in_folder(line), flags=["-T", *lent])
    else:
        argv = there.options.running(there.host, there.shell(), flags=["-t", *lent])
    raise click.exceptions.Exit(run_in_place(argv))


def _came_after_dashes(name: str) -> bool:
    """Click drops the `--` between options and words, and with it what was meant."""
    words = sys.argv[2:]
    at = words.index("--") if "--" in words else len(words)
    return words[at + 1 : at + 2] == [name] and all(word.startswith("-") for word in words[:at])


def run_in_place(argv: list[str]) -> int:
    """Become the program where the system can; else run it and return its exit code."""
    if sys.platform == "win32":
        return subprocess.call(argv)
    os.execvp(argv[0], argv)  # noqa: S606 - a person's own ssh.
    raise AssertionError("unreachable")
