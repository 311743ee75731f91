"""How long a route alone takes to open: what `towline up` cannot be quicker than.

python -m lab.provider ROUTE DIRECTORY '{"ssh.server": ...}'   # prints seconds
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import anyio

from towline.routes.base import Surroundings
from towline.routes.catalog import route_named
from towline.routes.relay import port_of


async def open_once(route: str, around: Surroundings) -> float:
    """Open a route to a port of ours; return the seconds until its address was known."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        began = time.monotonic()
        async with route_named(route).open(port_of(listener), around):
            return time.monotonic() - began


def main(route: str, directory: str, settings: str) -> None:
    around = Surroundings(Path(directory), dict(os.environ), json.loads(settings))
    print(anyio.run(open_once, route, around))


if __name__ == "__main__":
    main(*sys.argv[1:])
