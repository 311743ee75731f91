"""`towline up`: make this machine reachable, and print the ticket for the laptop."""

from __future__ import annotations

import click

from towline.cli.options import Command, json_option
from towline.cli.output import data, json_line, say
from towline.errors import ExitCode, UserError


@click.command(cls=Command, short_help="On a machine: make it reachable, print its ticket.")
@click.option(
    "--route",
    "routes",
    metavar="NAME",
    multiple=True,
    help="A way in to keep open. Repeatable. [default: auto, the first that works]",
)
@click.option("--name", metavar="NAME", help="What laptops call it. [default: after the platform]")
@click.option(
    "--key",
    "keys",
    metavar="KEY",
    multiple=True,
    help="A laptop's public key, a file of them, github:USER or a secret's name; the ticket then"
    " holds no secret. Repeatable.",
)
@click.option("--invite", is_flag=True, help="Let another laptop in, once.")
@click.option(
    "--set",
    "settings",
    metavar="KEY=VALUE",
    multiple=True,
    help="A setting of a route, such as direct.address=HOST:PORT. Repeatable.",
)
@click.option("--embedded", is_flag=True, help="Use towline's own SSH server, not the real sshd.")
@click.option(
    "--i-have-compute-units",
    is_flag=True,
    help="On Colab: say that its terms allow SSH on this machine.",
)
@click.option("--supervise", is_flag=True, hidden=True)
@json_option
def up(
    routes: tuple[str, ...],
    name: str | None,
    keys: tuple[str, ...],
    invite: bool,
    settings: tuple[str, ...],
    embedded: bool,
    i_have_compute_units: bool,
    supervise: bool,
    as_json: bool,
) -> None:
    """Make this machine reachable, and print the ticket for the laptop.

    An SSH server of its own is started on the machine's loopback, with its own key and port, and a
    way to it is opened. `towline link TICKET` on the laptop does the rest. A second run prints the
    same ticket; `towline down` ends it all. It goes on when this terminal is closed.

    With several routes a linked laptop follows: when one ends, it goes on by another, and learns
    the new address of the first. What is not said here may stand in the environment, in
    [tool.towline] or in a folder named by TOWLINE_HOME.
    """
    from towline import expose
    from towline.machine.card import as_text

    if supervise:
        raise click.exceptions.Exit(expose.supervise_here())
    exposure = expose.up(
        routes=routes,
        name=name,
        keys=keys,
        invites=True if invite else None,
        settings=parse_settings(settings),
        embedded=embedded,
        compute_units=i_have_compute_units,
        tell=say,
    )
    if as_json:
        return json_line(exposure.as_json())
    for line in as_text(exposure.ticket, exposure.status):
        say(line)
    return data(f"towline link {exposure.text}")


def parse_settings(pairs: tuple[str, ...]) -> dict[str, str]:
    """Read KEY=VALUE, each. Raises `UserError`."""
    for pair in pairs:
        if "=" not in pair:
            raise UserError(f"not KEY=VALUE: {pair!r}", exit_code=ExitCode.USAGE)
    return dict(pair.split("=", 1) for pair in pairs)
