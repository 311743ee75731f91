"""A byte stream to a host, with TLS or without, through the laptop's HTTP proxy where it has one.

The proxy is the one that HTTPS_PROXY names, unless NO_PROXY names the host. Proxies that themselves
speak TLS or SOCKS are not spoken to.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import SplitResult, unquote, urlsplit

import anyio
from anyio.abc import ByteStream
from anyio.streams.buffered import BufferedByteStream
from anyio.streams.tls import TLSStream

from towline.routes.errors import RouteError, quoted

ANSWER_MAX = 16 << 10  # Bytes of a proxy's answer.


async def dial(
    host: str,
    port: int,
    environment: Mapping[str, str],
    *,
    secure: bool,
    context: ssl.SSLContext | None = None,
) -> ByteStream:
    """Connect. Raises OSError, ssl.SSLError and, where the proxy refuses, `RouteError`."""
    proxy = proxy_for(host, environment) if secure else None
    stream: ByteStream = (
        await _through(proxy, host, port) if proxy else await anyio.connect_tcp(host, port)
    )
    if not secure:
        return stream
    try:
        return await TLSStream.wrap(
            stream, hostname=host, ssl_context=context, standard_compatible=False
        )
    except BaseException:
        await anyio.aclose_forcefully(stream)
        raise


def proxy_for(host: str, environment: Mapping[str, str]) -> SplitResult | None:
    """Return the proxy that leads to `host`, None where there is none."""
    named = environment.get("https_proxy") or environment.get("HTTPS_PROXY") or ""
    spared = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    for suffix in filter(None, (word.strip().lstrip("*.") for word in spared.split(","))):
        if host == suffix or host.endswith(f".{suffix}"):
            return None
    if not named or spared.strip() == "*":
        return None
    with suppress(ValueError):  # What is no URL at all, or has no number for a port.
        url = urlsplit(named if "://" in named else f"http://{named}")
        if url.scheme == "http" and url.hostname and (url.port or 80) > 0:
            return url
    without_password = named.rpartition("@")[2]
    raise RouteError(f"HTTPS_PROXY is not http://host:port: {quoted(without_password)}")


async def _through(proxy: SplitResult, host: str, port: int) -> ByteStream:
    stream = await anyio.connect_tcp(proxy.hostname or "", proxy.port or 80)
    try:
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
        if proxy.username:
            given = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
            lines.append(f"Proxy-Authorization: Basic {base64.b64encode(given.encode()).decode()}")
        await stream.send("\r\n".join([*lines, "", ""]).encode())
        answer = BufferedByteStream(stream)
        head = await answer.receive_until(b"\r\n\r\n", ANSWER_MAX)
        status = head.split(b"\r\n")[0].decode("latin-1")
        if status.split(" ")[1:2] != ["200"]:
            raise RouteError(
                f"the proxy {proxy.hostname} refuses: {quoted(status)}",
                "check HTTPS_PROXY and its name and password, or set NO_PROXY",
            )
    except (anyio.IncompleteRead, anyio.DelimiterNotFound, anyio.BrokenResourceError) as error:
        await anyio.aclose_forcefully(stream)
        raise RouteError(f"the proxy {proxy.hostname} hung up", "check HTTPS_PROXY") from error
    except BaseException:
        await anyio.aclose_forcefully(stream)
        raise
    return answer
