"""The laptop follows its machine: the machine tells of its ways in, and its record is kept true.

What it tells comes over the living Line, so from who has the pinned key; and still it is only
believed about where to find that key. Where the person's own ssh or a provider's program would be
led, only to a server that a ticket has named.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Any

from towline.core.address import Address, BadAddressError, parse_address, server_of
from towline.core.ticket import ADDRESSES_MAX
from towline.core.wire.channels import TooManyChannelsError
from towline.core.wire.frames import Priority
from towline.errors import UserError
from towline.line.errors import ChannelClosedError, LineLostError
from towline.line.live import LiveLine
from towline.machines import Machine, keep, machine_named

GREETING = json.dumps({"ways": 1}).encode()

Tell = Callable[[str], None]


async def follow(line: LiveLine, destination: str, tell: Tell) -> None:
    """Keep the record of a machine true for as long as its Line lives."""
    if machine_named(destination) is None:  # A host of the person's own is theirs to follow.
        return
    try:
        channel = line.open_channel(GREETING, Priority.INTERACTIVE)
        while True:
            for sentence in learn(destination, await channel.receive()):
                tell(sentence)
    except (ChannelClosedError, LineLostError, TooManyChannelsError):
        return


def learn(name: str, told: bytes) -> list[str]:
    """Take in what a machine says of its ways in; return what its person should know."""
    try:
        machine = machine_named(name)
        news = _read(told)
        if machine is None or news["machine"] != machine.machine:
            return []  # A new machine has the name now; its own Line will tell.
        believed, named = _split(machine, [parse_address(text) for text in news["addresses"]])
        addresses = tuple(map(str, believed))
        if set(addresses) == set(machine.addresses):  # The order is ours, by who answered there.
            addresses = machine.addresses
        moved = dataclasses.replace(machine, addresses=addresses, port=int(news["port"]))
        if believed and moved != machine:
            keep(moved)
            return [f"{name} is reached by {_places(moved.ways)} from now on", *named]
    except (ValueError, KeyError, TypeError, BadAddressError):
        return [f"{name} told of ways in that cannot be"]
    except UserError as error:  # The record cannot be read or written; the Line goes on.
        return [error.message]
    return named


def put_last(name: str) -> bool:
    """Somebody else answered at the first address of a machine: the others go before it, if any.

    Until the machine tells of other addresses than these.
    """
    machine = machine_named(name)
    if machine is None or len(machine.addresses) < 2:
        return False
    first, *others = machine.addresses
    keep(dataclasses.replace(machine, addresses=(*others, first)))
    return True


def _read(told: bytes) -> dict[str, Any]:
    """Raises ValueError, KeyError or TypeError: it comes from the machine, and may be anything."""
    try:
        news: Any = json.loads(told)
    except RecursionError:
        raise ValueError from None
    addresses, port = news["addresses"], news["port"]
    if not 0 < len(addresses) <= ADDRESSES_MAX or not all(isinstance(a, str) for a in addresses):
        raise ValueError
    if type(port) is not int or not 0 <= port < 1 << 16:
        raise ValueError
    return dict(news)


def _split(machine: Machine, told: Sequence[Address]) -> tuple[list[Address], list[str]]:
    """Return what is believed, and a sentence for each server that no ticket has named."""
    known = {"", *machine.servers, *map(server_of, machine.ways)}
    believed = [address for address in told if server_of(address) in known]
    strange = {server_of(address) for address in told} - known
    return believed, [
        f"{machine.name} names a way in through {server}, which no ticket has named: take a new"
        " ticket if you want it (`towline up` there, `towline enrol` here)"
        for server in sorted(strange)
    ]


def _places(addresses: Sequence[Address]) -> str:
    """As they may be shown: without what a token would be."""
    return ", ".join(str(address).partition("#")[0] for address in addresses)
