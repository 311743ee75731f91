"""`portmap`: portmap.io leads one port of its own to us; key and rule come from its web pages.

The rule is `tcp://USER-PORT.portmap.host:PORT`, alone or anywhere in a file. The name to log in
with is that of the key file. Both are found in the folder TOWLINE_HOME, too: one `*.pem` and one
`mapping*.json`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from towline.core.address import BadAddressError, Tcp, check_user
from towline.routes.base import About, Route, Setting, Surroundings, Tunnel, opening
from towline.routes.errors import Saying
from towline.routes.reverse import (
    NO_SSH,
    Server,
    check_pin,
    forward_stands,
    open_reverse,
    parse_server,
    why_no_key,
    why_no_server,
)

KEY = Setting("portmap.key", "TOWLINE_PORTMAP_KEY", "the key file, USER.CONFIGURATION.pem")
MAPPING = Setting(
    "portmap.mapping",
    "TOWLINE_PORTMAP_MAPPING",
    "the rule, tcp://USER-PORT.portmap.host:PORT, or a file that holds it",
)
SERVER = Setting("portmap.server", "TOWLINE_PORTMAP_SERVER", "its server, if it is not the rule's")
HOST_KEY = Setting(
    "portmap.host_key",
    "TOWLINE_PORTMAP_HOST_KEY",
    "its host key's fingerprint, SHA256:…; else the first",
)

RULE = re.compile(r"([A-Za-z0-9-]+-(\d{1,5})\.portmap\.(?:host|io))(?::(\d{1,5}))?")
MAPPING_MAX = 64 << 10  # Bytes read of a mapping file.

SAYINGS = (
    Saying(
        r"remote port forwarding failed for listen port",
        "portmap.io does not give that port",
        "is the rule of this configuration, and is no other machine using it? It frees the port"
        " a minute after the last one left",
        passing=True,
    ),
    Saying(
        r"Permission denied \(",
        "portmap.io does not accept the key",
        "the file must keep the name it was downloaded with: it is the name to log in with",
    ),
)


class Portmap(Route):
    about = About(
        name="portmap",
        needs="an account at portmap.io: a key file and a mapping rule",
        limits="one rule on the free plan; the address stays",
        cost="free for one rule",
        settings=(KEY, MAPPING, SERVER, HOST_KEY),
    )

    def is_configured(self, around: Surroundings) -> bool:
        return bool(_key(around))

    def why_not(self, around: Surroundings) -> str:
        if not around.find("ssh"):
            return NO_SSH
        for setting, value in ((KEY, _key(around)), (MAPPING, _mapping(around))):
            if not value:
                return f"set {setting.variable} to {setting.help}"
        if why := why_no_key(_key(around), KEY.variable):
            return why
        try:
            check_user(Path(_key(around)).stem)
            _rule(around)
        except BadAddressError as error:
            return f"portmap: {error}"
        return around.is_set(SERVER) * why_no_server(around.value(SERVER), SERVER.variable)

    def open(self, port: int, around: Surroundings) -> AbstractAsyncContextManager[Tunnel]:
        return _open(port, around)


def _key(around: Surroundings) -> str:
    return around.value(KEY) or around.kept("*.pem")


def _mapping(around: Surroundings) -> str:
    return around.value(MAPPING) or around.kept("mapping*.json")


def _rule(around: Surroundings) -> Tcp:
    """Find the rule in the setting, or in the file it names. Raises `BadAddressError`."""
    text = _mapping(around)
    try:
        if (path := Path(text).expanduser()).is_file():
            with path.open(encoding="utf-8", errors="replace") as file:
                text = file.read(MAPPING_MAX)
    except OSError as error:
        raise BadAddressError(f"{text} cannot be read: {error.strerror}") from None
    match = RULE.search(text)
    if match is None:
        raise BadAddressError(f"{MAPPING.variable} holds no rule such as ana-20022.portmap.host")
    return Tcp(match[1], int(match[3] or match[2]))


@asynccontextmanager
async def _open(port: int, around: Surroundings) -> AsyncGenerator[Tunnel]:
    address = _rule(around)
    path = Path(_key(around))
    key = around.private_copy("portmap.key", path)
    place = parse_server(around.value(SERVER) or address.host)
    server = Server(place.host, place.port, path.stem, around.value(HOST_KEY), key)
    forward = f"{address.port}:127.0.0.1:{port}"
    async with open_reverse("portmap", around, server, forward, sayings=SAYINGS) as program:
        async with opening("portmap"):
            await program.wait_for(forward_stands)
        check_pin(around, "portmap", server)
        yield Tunnel(address, program.wait_ended)


ROUTE = Portmap()
