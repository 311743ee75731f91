"""Stands for frpc, zrok2 and colab on a laptop: takes what the real ones take, and really carries.

Run as one of them. `VISITED_PORT` is where it leads; the file `VISITED_LOG` gets what it was told.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import tomllib
from contextlib import suppress
from pathlib import Path


def main(program: str, words: list[str]) -> int:
    with open(os.environ["VISITED_LOG"], "a") as log:
        log.write(" ".join([program, *words]) + "\n")
    if "VISITED_ERROR" in os.environ:
        sys.stderr.write(os.environ["VISITED_ERROR"])
        return 1
    if program == "frpc":
        return serve(frp_port(Path(words[1])))
    assert words[:4] == ["access", "private", "--headless", "--bind"], words
    return serve(int(words[4].rpartition(":")[2]))


def frp_port(file: Path) -> int:
    """Return where a visitor is to listen; its file is private and holds what the server asks."""
    assert file.stat().st_mode & 0o077 == 0
    told = tomllib.loads(file.read_text())
    visitor = told["visitors"][0]
    assert (told["serverAddr"], told["serverPort"]) == ("frps.example", 7000)
    assert (told["auth"]["token"], visitor["secretKey"]) == ("t-1", "s-1")
    assert (visitor["type"], visitor["serverName"]) == ("stcp", "nb")
    port: int = visitor["bindPort"]
    return port


def serve(port: int) -> int:
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            outside, _ = listener.accept()
            inside = socket.create_connection(("127.0.0.1", int(os.environ["VISITED_PORT"])))
            for one, other in ((outside, inside), (inside, outside)):
                threading.Thread(target=carry, args=(one, other), daemon=True).start()


def carry(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
