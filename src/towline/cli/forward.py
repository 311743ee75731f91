"""`towline forward`: ports and sockets of the machine, here."""

from __future__ import annotations

from pathlib import Path

import click

from towline.cli.choose import chosen
from towline.cli.options import Command, json_option, which_workspace
from towline.cli.output import columns, data, json_line, say
from towline.control import Json, ask, follow
from towline.errors import ExitCode, UserError
from towline.forwards.place import parse, parse_listener, parse_reverse
from towline.places import Binding


@click.command(cls=Command, short_help="Ports and sockets of the machine, here.")
@click.argument("places", metavar="[[LOCAL:]PORT|HOST:PORT|SOCKET]...", nargs=-1)
@click.option("--socks", is_flag=True, help="Be a SOCKS server at LOCAL. [default: 1080]")
@click.option(
    "--reverse",
    "reversed_ones",
    metavar="PORT[:TARGET]",
    multiple=True,
    help="Listen on the machine; what connects there is led to TARGET here. [default: same port]",
)
@click.option("--list", "list_them", is_flag=True, help="List the forwards there are.")
@click.option("--stop", is_flag=True, help="Close those named, by either end; without names, all.")
@which_workspace
@json_option
def forward(
    places: tuple[str, ...],
    socks: bool,
    reversed_ones: tuple[str, ...],
    list_them: bool,
    stop: bool,
    project: Path | None,
    name: str | None,
    as_json: bool,
) -> None:
    """Reach a port or a unix socket of the machine on this computer's loopback.

    \b
      towline forward 6006              TensorBoard there, at the same port here
      towline forward 8080:6006         at port 8080 here; 0 is any free one
      towline forward db.internal:5432  a host as the machine sees it
      towline forward ~/app.sock        a socket there, at a free port here
      towline forward --socks           a SOCKS server: connections go out from there
      towline forward --reverse 8000    port 8000 there leads to port 8000 here
      towline forward --list
      towline forward --stop 6006

    The engine keeps them open: this command returns, and they stay until `--stop`, or until the
    engine ends. Connections go on after a cut. Without LOCAL, another port is taken where the
    target's own is not free here.
    """
    if list_them and (stop or places or socks or reversed_ones):
        raise UserError("--list goes with nothing else", exit_code=ExitCode.USAGE)
    if socks and (stop or reversed_ones or len(places) > 1):
        raise UserError("--socks goes with one port or socket here", exit_code=ExitCode.USAGE)
    if stop and reversed_ones:
        raise UserError("--stop goes with names only", exit_code=ExitCode.USAGE)
    binding = chosen(project, name)
    if stop:
        for which in places or (None,):
            for closed in follow(binding, "unforward", which=which):
                _print(closed, as_json, "closed ")
    elif socks:
        _open_socks(binding, places[0] if places else None, as_json)
    elif places or reversed_ones:
        for place in places:
            _open(binding, place, as_json)
        for place in reversed_ones:
            _open_reverse(binding, place, as_json)
    else:
        _list(binding, as_json)


def _open(binding: Binding, place: str, as_json: bool) -> None:
    listen, target = parse(place)
    wished = None if listen is None else listen.as_json()
    _tell(ask(binding, "forward", target=target.as_json(), listen=wished), as_json)


def _open_socks(binding: Binding, local: str | None, as_json: bool) -> None:
    wished = None if local is None else parse_listener(local).as_json()
    _tell(ask(binding, "socks", listen=wished), as_json)


def _open_reverse(binding: Binding, place: str, as_json: bool) -> None:
    listen, target = parse_reverse(place)
    _tell(ask(binding, "reverse", target=target.as_json(), listen=listen.as_json()), as_json)


def _tell(opened: Json, as_json: bool) -> None:
    if taken := opened["taken"]:
        say(f"{taken}; another one is used")
    _print(opened, as_json)


def _print(forward: Json, as_json: bool, what: str = "") -> None:
    if as_json:
        json_line(forward)
    else:
        listen, _, target = _ends(forward)
        data(f"{what}{listen} → {target}")


def _list(binding: Binding, as_json: bool) -> None:
    known = list(follow(binding, "forwards"))
    if as_json:
        for forward in known:
            json_line(forward)
    elif known:
        columns([_row(forward) for forward in known])
    else:
        say("nothing is forwarded")


def _row(forward: Json) -> list[str]:
    state = forward["failure"] or f"{forward['open']} open"
    return [*_ends(forward), state]


def _ends(forward: Json) -> list[str]:
    listen, target = forward["listen"], forward["target"]
    if forward["direction"] == "reverse":
        return [f"{listen} there", "→", f"{target} here"]
    return [listen, "→", target]
