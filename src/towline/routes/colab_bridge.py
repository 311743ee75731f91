"""Google's bridge to the sshd of a Colab runtime, as the laptop enters it: a WebSocket.

Who may enter is decided by the runtime's proxy token and a public key, which Colab's own program
gets; where they come from is not for us. One connection at a time is let in.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import quote

from towline.core.address import WebSocket
from towline.routes.errors import RouteError
from towline.routes.websocket import STATUSES, WebSocketStream, open_websocket

PATH = "/colab/ssh"
PUBLIC_KEY = re.compile(r"(?:ssh-ed25519|ecdsa-sha2-nistp\d{3}) [A-Za-z0-9+/]+=*(?: [\x21-\x7e]*)?")

COLAB_STATUSES = {
    **STATUSES,
    400: ("Colab does not take that key", "use one of type ed25519 or ecdsa"),
    401: ("the runtime's token has expired", "get a new one: `colab sessions` on the laptop"),
    404: (
        "this runtime has no SSH",
        "it is older than Colab's SSH, or was made without: make a new one",
    ),
    429: (
        "another ssh is connected to this runtime, and Colab admits one",
        "end the other one; over a Line everything shares one connection",
    ),
    502: ("the runtime's sshd does not answer", "restart the runtime"),
}


@asynccontextmanager
async def open_colab(
    host: str, proxy_token: str, public_key: str, *, port: int = 443,
    context: ssl.SSLContext | None = None, secure: bool = True,
) -> AsyncGenerator[WebSocketStream]:  # fmt: skip
    """Reach the sshd of the runtime at `host`. Raises `RouteError`."""
    line = public_key.strip()
    if not PUBLIC_KEY.fullmatch(line):
        raise RouteError("colab: Colab takes keys of type ed25519 or ecdsa only", "make such a key")
    address = WebSocket(host, port, PATH, secure=secure)
    query = f"colab-runtime-proxy-token={quote(proxy_token, safe='')}"
    headers = {"X-Colab-Ssh-Pubkey": line}
    async with open_websocket(
        address, headers, query=query, context=context, statuses=COLAB_STATUSES
    ) as stream:
        yield stream
