"""`direct`: the machine has an address of its own, or somebody leads a port to it.

With `direct.listen` it opens that port itself and relays to the loopback port; without, the place
that was named is believed to lead here, as where a container's port is published.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from towline.core.address import BadAddressError, Tcp, split_place
from towline.routes.base import About, Route, Setting, Surroundings, Tunnel, never
from towline.routes.errors import RouteError
from towline.routes.relay import open_relay

ADDRESS = Setting(
    "direct.address", "TOWLINE_DIRECT_ADDRESS", "the host:port where the laptop finds this machine"
)
LISTEN = Setting(
    "direct.listen", "TOWLINE_DIRECT_LISTEN", "the address:port to open here; nothing: none"
)


class Direct(Route):
    about = About(
        name="direct",
        needs="an address that the laptop can reach",
        limits="whoever can reach that port can knock at the sshd",
        cost="nothing",
        settings=(ADDRESS, LISTEN),
    )

    def why_not(self, around: Surroundings) -> str:
        if not around.is_set(ADDRESS):
            return f"set {ADDRESS.variable} to {ADDRESS.help}"
        for setting, split in ((ADDRESS, split_place), (LISTEN, _place)):
            try:
                if around.is_set(setting):
                    split(around.value(setting))
            except BadAddressError as error:
                return f"{setting.variable}: {error}"
        return ""

    def open(self, port: int, around: Surroundings) -> AbstractAsyncContextManager[Tunnel]:
        return _open(port, around)


def _place(text: str) -> tuple[str, int]:
    """Split `host:port`; to listen, every address of this machine is a place, too."""
    host, colon, port = text.rpartition(":")
    if colon and host in ("0.0.0.0", "[::]", ""):  # noqa: S104 - only as far as it was asked for.
        return host.strip("[]"), split_place(f"any:{port}")[1]
    return split_place(text)


@asynccontextmanager
async def _open(port: int, around: Surroundings) -> AsyncGenerator[Tunnel]:
    address = Tcp(*split_place(around.value(ADDRESS)))
    if not around.is_set(LISTEN):
        yield Tunnel(address, never)
        return
    host, outer = _place(around.value(LISTEN))
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(open_relay(host or None, outer, port))
        except OSError as error:
            raise RouteError(
                f"direct: cannot listen on {around.value(LISTEN)}: {error.strerror or error}",
                "choose another port, or stop what listens there",
            ) from error
        yield Tunnel(address, never)


ROUTE = Direct()
