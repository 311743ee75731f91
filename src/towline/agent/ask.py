"""Ask the agent of a workspace something: one JSON line there, one back.

This is how commands on the machine, and kernels, speak to it. It starts no agent.
"""

from __future__ import annotations

import json
import socket
import time
from typing import Any, cast

from towline.agent.place import find_place

ANSWER_MAX = 1 << 20  # Bytes, as much as the agent lets a client leave unread.


class NoAgentError(Exception):
    """There is no agent for the workspace, or it does not answer."""


def connect(workspace: str, timeout_s: float) -> socket.socket:
    """Connect to the workspace's agent. Raises `NoAgentError`."""
    place = find_place(workspace)
    if place is None:
        raise NoAgentError(f"no agent runs for {workspace}")
    return connect_to(place.socket, timeout_s)


def connect_to(path: str, timeout_s: float) -> socket.socket:
    """Connect to an agent's socket. Raises `NoAgentError` if nobody listens there."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(timeout_s)
    try:
        sock.connect(path)
    except OSError as error:
        sock.close()
        raise NoAgentError(f"no agent listens at {path}: {error.strerror or error}") from None
    return sock


def ask(workspace: str, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    """Return the agent's answer. Raises `NoAgentError` if there is none within `timeout_s`."""
    with connect(workspace, timeout_s) as sock:
        return ask_on(sock, request, timeout_s)


def ask_on(sock: socket.socket, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    """As `ask`, on a connected socket, which stays open."""
    try:
        sock.settimeout(timeout_s)
        sock.sendall(json.dumps(request).encode() + b"\n")
        answer: object = json.loads(read_line(sock, timeout_s))
    except (OSError, ValueError) as error:
        raise NoAgentError(f"the agent did not answer: {error}") from None
    if not isinstance(answer, dict):
        raise NoAgentError("the agent's answer is no JSON object")
    return cast("dict[str, Any]", answer)


def read_line(sock: socket.socket, timeout_s: float) -> bytes:
    """Read one line and nothing beyond what was sent with it. Raises OSError."""
    line = bytearray()
    ends_at = time.monotonic() + timeout_s
    while not line.endswith(b"\n"):
        sock.settimeout(max(0.001, ends_at - time.monotonic()))
        part = sock.recv(4096)
        if not part:
            raise ConnectionError("it closed the connection")
        line += part
        if len(line) > ANSWER_MAX:
            raise ConnectionError(f"it sent a line of over {ANSWER_MAX} bytes")
    return bytes(line)
