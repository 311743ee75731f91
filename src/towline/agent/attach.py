"""`attach`: what runs under ssh. Find or start the workspace's agent, and hand it stdin and stdout.

The first thing on stdout is one line with the nonce that the laptop chose: FAILED and why, or
READY, which the agent says itself. Everything after READY belongs to the Line, and is read and
written by the agent, too: one process less on the way of every byte. Nothing else can get onto
stdout.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import sys
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from towline.agent.ask import NoAgentError, ask_on, connect_to, read_line
from towline.agent.place import Place, ensure_place

if TYPE_CHECKING:
    from towline.agent.loop import Service

ANSWER_S = 10.0  # For a running agent to say who it is: it may be in one long write.
STOP_S = 20.0  # For an agent of another bundle to finish what it does.
LOCK_S = 30.0  # For another `attach` that starts the agent just now.
_LOCK_RETRY_S = 0.02
READ_SIZE = 256 << 10


def attach(
    workspace: str, bundle: str, nonce: str, build: Callable[[], Service], *, given: bool = False
) -> int:
    """Join stdin and stdout to the agent of `workspace`. Returns an exit status.

    `given`: the beginning of a bundle comes first, while the agent starts.
    """
    output = _take_stdout()
    try:
        agent = attach_to_agent(workspace, bundle, nonce, build)
    except Exception as error:  # Whatever it is, the laptop is waiting for a word.
        traceback.print_exc()
        reason = " ".join(str(error).split()) or type(error).__name__
        os.write(output, f"TOWLINE {nonce} FAILED {reason}\n".encode("utf-8", "replace"))
        return 1
    with agent:
        if given:
            drop_bundle()
        hand_over(agent, 0, output)
        _wait_for_end(agent)
    return 0


def drop_bundle() -> None:
    """Read past what came unasked of a bundle, for us and not for `line/loader.py`: we are it."""
    left = int.from_bytes(_read_exactly(8), "big")
    while left:
        left -= len(_read_exactly(min(left, READ_SIZE)))


def _read_exactly(size: int) -> bytes:
    content = bytearray()
    while len(content) < size:
        select.select([0], [], [])  # Stdin may be non-blocking.
        part = os.read(0, size - len(content))
        if not part:
            raise SystemExit("the laptop went away while it sent the agent")
        content += part
    return bytes(content)


def hand_over(agent: socket.socket, source: int, target: int) -> None:
    """Let the agent read `source` and write `target`, which are closed here."""
    with suppress(OSError):  # The agent has ended: so does the transport.
        socket.send_fds(agent, [b"\0"], [source, target])
    os.close(source)
    os.close(target)


def _wait_for_end(agent: socket.socket) -> None:
    """Wait until the agent has let go of what it was handed: our end is taken for the transport's.

    A shell waits in our place, where there is one: a Python would hold 17 MB as long as the link.
    """
    os.dup2(agent.fileno(), 0)
    os.set_blocking(0, True)
    with suppress(FileNotFoundError, PermissionError):
        os.execv("/bin/sh", ["sh", "-c", "read -r _; exit 0"])  # noqa: S606 - nothing to quote.
    with suppress(OSError):
        agent.settimeout(None)
        agent.recv(1)


def attach_to_agent(
    workspace: str, bundle: str, nonce: str, build: Callable[[], Service]
) -> socket.socket:
    """Return a socket on which the agent expects two descriptors.

    Raises `NoAgentError`, `StartError` with a line for a person, and OSError.
    """
    place = ensure_place(workspace)
    if agent := _try_agent(place, bundle, nonce):
        return agent
    with _locked(place):
        # Another attach may have started it while we waited for the lock.
        if agent := _try_agent(place, bundle, nonce):
            return agent
        from towline.agent.daemon import start_daemon  # Most attaches need none of it.

        start_daemon(place, build, bundle=bundle)
    if agent := _try_agent(place, bundle, nonce):
        return agent
    raise NoAgentError("the agent ended as soon as it had started; its log says why: " + place.log)


def _try_agent(place: Place, bundle: str, nonce: str) -> socket.socket | None:
    """Return a socket attached to the running agent, if there is one and it is of our bundle."""
    try:
        agent = connect_to(place.socket, ANSWER_S)
    except NoAgentError:
        return None
    try:
        agent.sendall(f"ATTACH {bundle} {nonce}\n".encode())
        answer = read_line(agent, ANSWER_S)
    except TimeoutError:
        agent.close()
        raise NoAgentError(f"the agent does not answer within {ANSWER_S:g} s") from None
    except OSError:  # It ended between our two steps.
        agent.close()
        return None
    if answer == b"OK\n":
        return agent
    agent.close()
    _stop(place)
    return None


def _stop(place: Place) -> None:
    """Ask an agent to end and wait until it has. Raises `NoAgentError` if it does not."""
    try:
        agent = connect_to(place.socket, ANSWER_S)
    except NoAgentError:
        return
    with agent:
        try:
            ask_on(agent, {"verb": "stop"}, ANSWER_S)
            agent.settimeout(STOP_S)
            while agent.recv(4096):
                pass
        except TimeoutError:
            raise NoAgentError(
                f"the agent of another version does not end in {STOP_S:g} s"
            ) from None
        except (OSError, NoAgentError):
            return


@contextmanager
def _locked(place: Place) -> Generator[None]:
    """Hold the lock under which agents are started. The daemon does not inherit it."""
    descriptor = os.open(place.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _wait_for_lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _wait_for_lock(descriptor: int) -> None:
    ends_at = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= ends_at:
                raise NoAgentError(
                    f"another start of the agent has not come to an end in {LOCK_S:g} s"
                ) from None
        time.sleep(_LOCK_RETRY_S)


def _take_stdout() -> int:
    """Return a descriptor of stdout, and let whatever prints write to stderr instead."""
    sys.stdout.flush()
    output = os.dup(1)
    os.dup2(2, 1)
    return output
