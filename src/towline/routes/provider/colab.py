"""`colab`: Google's own way to SSH on a paid Colab machine; through Google's sshd to ours.

Nothing is started here: the runtime has the bridge, and the laptop enters it as its account, then
hops to the port of loopback. One connection at a time is let in, which is all that a Line needs.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from towline.core.address import BadAddressError, Visit
from towline.routes.base import (
    About,
    Carries,
    Route,
    Setting,
    Surroundings,
    Tunnel,
    never,
)

NAME = Setting("colab.name", "TOWLINE_COLAB_NAME", "the name that `colab sessions` shows for it")


class Colab(Route):
    about = About(
        name="colab",
        needs="Colab with compute units, a runtime made with SSH, and its name",
        limits="one connection; keys of ed25519 or ecdsa only; the runtime's life",
        cost="Colab's compute units",
        carries=Carries.HTTP,
        laptop="the colab program, logged in",
        settings=(NAME,),
    )

    def why_not(self, around: Surroundings) -> str:
        if not around.environment.get("COLAB_RELEASE_TAG"):
            return "this is not a Colab machine"
        if not around.environment.get("COLAB_ENABLE_SSH"):
            return "this runtime has no SSH: make it with `colab new` or `colab ssh` on the laptop"
        if not around.is_set(NAME):
            return f"set {NAME.variable} to {NAME.help}"
        try:
            Visit("colab", around.value(NAME))
        except BadAddressError as error:
            return f"{NAME.variable}: {error}"
        return ""

    def open(self, port: int, around: Surroundings) -> AbstractAsyncContextManager[Tunnel]:
        return _open(port, around)


@asynccontextmanager
async def _open(port: int, around: Surroundings) -> AsyncGenerator[Tunnel]:
    yield Tunnel(Visit("colab", around.value(NAME), host="127.0.0.1", port=port), never)


ROUTE = Colab()
