"""A stand-in for providers' programs, run under the program's name: recorded words, real bytes.

It leads a port of loopback, which stands for the provider's public one, to what its arguments say,
and tells that port and its pid in the file STAND_IN_NOTE. With STAND_IN_SAYS it only says that, on
stderr, and fails: a refusal, verbatim.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

QUICK = """\
2026-11-25T10:00:00Z INF Requesting new quick Tunnel on trycloudflare.com...
2026-11-25T10:00:01Z ERR something about https://api.trycloudflare.com/tunnel
2026-11-25T10:00:01Z INF |  Your quick Tunnel has been created! Visit it at (it may take some t\
ime to be reachable):  |
2026-11-25T10:00:01Z INF |  https://alpha-beta-gamma-delta.trycloudflare.com          \
                                |
"""
REGISTERED = (
    "2026-11-25T10:00:02Z INF Registered tunnel connection connIndex=0"
    " connection=6d0e54a0-51a7-43b3-9d72-20f1f3a1f1d1 event=0 ip=198.41.200.1 location=ams01"
    " protocol=http2"
)


def say(text: str, file: object = sys.stderr) -> None:
    print(text, file=file, flush=True)


def check_private(path: str) -> str:
    """A file with a secret is for its owner only. Return what it holds."""
    assert Path(path).stat().st_mode & 0o077 == 0
    return Path(path).read_text()


def note(port: int) -> None:
    Path(os.environ["STAND_IN_NOTE"]).write_text(json.dumps({"port": port, "pid": os.getpid()}))


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while part := await reader.read(65536):
            writer.write(part)
            await writer.drain()
        writer.write_eof()


async def relay_to(port: int) -> int:
    """Lead a port of loopback to another; return it."""

    async def come_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, to_writer), pump(to_reader, writer))
        to_writer.close()
        writer.close()

    server = await asyncio.start_server(come_in, "127.0.0.1", 0)
    KEPT.append(server)
    return int(server.sockets[0].getsockname()[1])


KEPT: list[object] = []


async def cloudflare_to(port: int) -> int:
    """What cloudflared's end does with messages: 16 KiB of each, no pieces, no text."""
    from websockets.asyncio.server import ServerConnection, serve

    async def come_in(visitor: ServerConnection) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def down() -> None:
            while part := await reader.read(16384):
                await visitor.send(part)
            await visitor.close()

        task = asyncio.create_task(down())
        with suppress(Exception):
            async for message in visitor:
                if isinstance(message, bytes):
                    writer.write(message[:16384])
                    await writer.drain()
        task.cancel()
        writer.close()

    server = await serve(come_in, "127.0.0.1", 0, compression=None, ping_interval=None)
    KEPT.append(server)
    return int(next(iter(server.sockets)).getsockname()[1])


async def cloudflared(arguments: list[str]) -> None:
    assert "--no-autoupdate" in arguments
    if "--token-file" in arguments:
        check_private(arguments[arguments.index("--token-file") + 1])
        assert "TUNNEL_TOKEN" not in os.environ
        note(await cloudflare_to(int(os.environ["STAND_IN_ORIGIN"])))
    else:
        url = arguments[arguments.index("--url") + 1]
        note(await cloudflare_to(int(url.rpartition(":")[2])))
        say(QUICK)
    say(REGISTERED)


async def zrok2(arguments: list[str]) -> None:
    assert arguments[:3] == ["share", "private", "--headless"]
    note(await relay_to(int(arguments[-1].rpartition(":")[2])))
    say("access your tcpTunnel with: zrok2 access private 7csd9xb2p1sf", sys.stdout)


async def frpc(arguments: list[str]) -> None:
    text = check_private(arguments[arguments.index("-c") + 1])
    local = re.search(r"localPort = (\d+)", text)
    assert local
    note(await relay_to(int(local[1])))
    say("[I] [client/service.go:331] login to server success, get run id [a7f3]", sys.stdout)
    say("[I] [proxy/proxy_manager.go:173] [towline] start proxy success", sys.stdout)


async def ngrok(arguments: list[str]) -> None:
    assert os.environ["NGROK_AUTHTOKEN"]
    kind, port = arguments[0], int(arguments[1])
    outside = await relay_to(port)
    note(outside)
    url = f"tcp://0.tcp.eu.ngrok.io:{outside}" if kind == "tcp" else "https://ab12.ngrok-free.app"
    said = {"lvl": "info", "msg": "started tunnel", "obj": "tunnels", "url": url}
    say(json.dumps({"lvl": "info", "msg": "client session established"}), sys.stdout)
    say(json.dumps(said), sys.stdout)


async def tailscaled(arguments: list[str]) -> None:
    assert "--tun=userspace-networking" in arguments
    note(0)


async def tailscale(arguments: list[str]) -> None:
    if "up" in arguments:
        key = next(word for word in arguments if word.startswith("--auth-key="))
        check_private(key.partition("file:")[2])
    else:
        say("100.101.102.103", sys.stdout)
    sys.exit(0)


async def gcloud(arguments: list[str]) -> None:
    """Checks what it is asked, and is ssh to the machine of the test."""
    assert arguments[:2] == ["compute", "ssh"]
    assert arguments[2:8] == ["gpu-hop", "--zone", "europe-west4-a", "--project", "mine", "--quiet"]
    rest = arguments[arguments.index("--") + 1 :]
    note(0)
    os.execvp("ssh", ["ssh", "-F", os.environ["STAND_IN_SSH_CONFIG"], *rest, "machine"])  # noqa: S606


PROGRAMS = {
    program.__name__: program
    for program in (cloudflared, zrok2, frpc, ngrok, tailscaled, tailscale, gcloud)
}


async def main() -> None:
    name, *arguments = sys.argv[1:]
    if said := os.environ.get("STAND_IN_SAYS"):
        say(said)
        sys.exit(1)
    await PROGRAMS[name](arguments)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
