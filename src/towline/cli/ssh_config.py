"""`towline ssh-config`: let `ssh NAME`, editors and IDEs find the machines by their names."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from towline import ssh_config as config
from towline.cli.options import Command
from towline.cli.output import data, say
from towline.machines import all_machines


@click.command("ssh-config", cls=Command, short_help="Let ssh find machines by their names.")
@click.option("--dry-run", is_flag=True, help="Show what would be changed; change nothing.")
@click.option("--remove", is_flag=True, help="Take it out again.")
def ssh_config(dry_run: bool, remove: bool) -> None:
    """Let `ssh NAME`, scp, rsync, VS Code and PyCharm find the machines that came by a ticket.

    One Include line is put at the top of ~/.ssh/config; the rest of the file stays as it is. Behind
    it lies a file for each machine, which follows the machine to new addresses. Run it once.
    """
    edit = (config.edit_to_remove if remove else config.edit_to_add)(Path.home())
    if dry_run:
        return _show(edit)
    if edit.changes:
        config.carry_out(edit)
    done = ("taken out of" if remove else "at the top of") if edit.changes else "already so in"
    say(f"{config.include_line()}\n{done} {edit.path}")
    return None if remove else _name_machines()


def _show(edit: config.Edit) -> None:
    before, after = (text.decode(errors="replace") for text in (edit.before, edit.after))
    for line in difflib.unified_diff(
        before.splitlines(), after.splitlines(), str(edit.path), str(edit.path), lineterm="", n=1
    ):
        data(line)


def _name_machines() -> None:
    for machine in all_machines():
        data(f"ssh {machine.name}")
