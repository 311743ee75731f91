"""The first second on a machine: one command for its login shell, and what it says back.

The command finds a Python and the bundle. If the bundle is there it runs at once, after one round
trip; else it is sent over, its beginning before anybody asks where it is thought to be absent.
Whatever was printed before the line with our nonce is dropped.
Nothing here knows ssh: a `ByteStream` to a process that runs the command is all it needs.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
import secrets
import zlib
from collections.abc import Callable
from contextlib import suppress
from importlib import resources

import anyio
from anyio.abc import ByteStream

from towline.line.bundle import OWN_PYTHON, Bundle
from towline.line.errors import ConnectError, ConnectKind

NOISE_MAX = 64 << 10  # Bytes before the nonce line: a long message of the day, no endless stream.
ANSWER_MAX = 4 << 10  # Bytes of one line that begins with the nonce.

AHEAD = 100_000
"""Bytes of the bundle that go before the answer comes: what a new TCP connection lets go in its
first three round trips (RFC 6928). With less there could be a gap before the rest. Where the bundle
is there after all they are read past while the agent starts, and have opened TCP's window."""

PACKING = 6  # A level of zlib. Three takes 60 ms less, and 70 KB more: a whole flight of packets.

CANDIDATES = (
    "python3",
    *(f"python3.{minor}" for minor in (13, 12, 11, 10)),
    "/usr/bin/python3",
    "/opt/conda/bin/python3",
    '"$HOME"/.pyenv/versions/*/bin/python3',
    "/usr/local/bin/python3",
    "python",
)
"""Where a Python is looked for, as words of the shell; the first that is new enough runs."""

_WORKSPACE = re.compile(r"[A-Za-z0-9._~@:/+=-]{1,200}")
_VERSION = re.compile(r"[0-9]{3,4}")  # 306 is 3.6.
_PLAIN = re.compile(r"[^'\\!\n\r\0]{0,1000}")

# One line, and without ' \ ! so that it means the same within single quotes in sh, zsh, tcsh and
# fish. Its arguments: nonce, digest, workspace, loader, configured Python, and whether the bundle
# begins to come unasked (`yes`): who has it already drops what came. That it is absent is said
# before a Python is looked for, which may take as long as a round trip.
_SCRIPT = """\
n=$1 d=$2 w=$3 c=$5 g=$6 v= ; \
a="$HOME/.cache/towline/agent-$d" ; \
p=$c ; \
[ "$p" ] || {{ [ -r "$a.python" ] && read -r p <"$a.python" ; }} ; \
if {trusting} && [ -r "$a.pyz" ] && [ "$p" ] && command -v "$p" >/dev/null 2>&1 ; then \
echo "TOWLINE $n HAVE" ; \
exec "$p" -I -S "$a.pyz" attach "$w" --bundle "$d" --given "$g" --nonce "$n" ; \
fi ; \
echo "TOWLINE $n ABSENT" ; \
for p in "$c" {candidates} ; do \
[ "$p" ] && command -v "$p" >/dev/null 2>&1 || continue ; \
s=$("$p" -I -S -c "import sys;print(sys.version_info[0]*100+sys.version_info[1])" 2>/dev/null) ; \
v="$v $s" ; \
if [ "${{s:-0}}" -ge 310 ] 2>/dev/null ; then \
echo "TOWLINE $n NEED $s" ; \
exec "$p" -I -S -c "import sys,zlib,binascii as b;\
exec(zlib.decompress(b.a2b_base64(sys.argv[1])))" \
"$4" "$d" attach "$w" --bundle "$d" --nonce "$n" ; \
fi ; \
done ; \
echo "TOWLINE $n NOPYTHON$v\""""


class Bootstrap:
    """Brings one bundle to life on a machine, for one workspace, as often as needed.

    `workspace` is the workspace's name on the machine: letters, digits and `._~@:/+=-`, at most
    200. `python` is an interpreter to be tried before all others. Raises `ValueError` for either.
    """

    def __init__(
        self,
        bundle: Bundle,
        workspace: str,
        *,
        python: str = "",
        candidates: tuple[str, ...] = CANDIDATES,
    ) -> None:
        if not _WORKSPACE.fullmatch(workspace):
            raise ValueError(f"not a name for a workspace: {workspace!r}")
        if not _PLAIN.fullmatch(python):
            raise ValueError(f"not a path that any shell takes as it is: {python!r}")
        self._bundle = bundle
        self._workspace = workspace
        self._python = python
        self._candidates = candidates
        self._trusting = True
        self._found = False
        self._nonce = ""
        self._unasked = False

    @property
    def digest(self) -> str:
        """What names the bundle."""
        return self._bundle.digest

    def command(self, *, unasked: bool = False) -> str:
        """Return the command for the next connection; each has its own nonce.

        `unasked`: it is not there, as far as anybody knows, so it follows without being asked for.
        """
        self._nonce = secrets.token_hex(8)
        self._unasked = unasked
        script = _SCRIPT.format(
            candidates=" ".join(self._candidates), trusting="true" if self._trusting else "false"
        )
        arguments = (
            self._nonce,
            self._bundle.digest,
            self._workspace,
            _encoded_loader(),
            self._python,
            "yes" if unasked else "no",
        )
        quoted = " ".join(f"'{argument}'" for argument in arguments)
        return f"exec /bin/sh -c '{script}' towline {quoted}"

    async def begin(self, stream: ByteStream) -> ByteStream:
        """Speak to a process that runs the command; return the stream that the Line goes over.

        Does not wait for the agent, so that the Line's HELLO is under way at once: that the agent
        does not start is raised by the first `receive`. Raises `ConnectError`;
        `anyio.EndOfStream` if the process ended without a word of ours.
        """
        reader = _NonceReader(stream, self._nonce)
        ahead = _Ahead(stream, self._bundle) if self._unasked else None
        answer = await _answer_beside(reader, ahead)
        self._found = answer == "HAVE"
        if not self._found:
            answer, _, detail = (await reader.read_line()).partition(" ")
            if answer == "NOPYTHON":
                raise _no_python(detail)
            if ahead is None:
                await self._give(stream, detail)
        self._trusting = False  # Until it has started.
        return _AgentStream(stream, reader, self._trust)

    async def _give(self, stream: ByteStream, python: str) -> None:
        packed = await anyio.to_thread.run_sync(_packed, self._bundle, python)
        with suppress(anyio.BrokenResourceError):  # Why it reads no more, it says next.
            await stream.send(_size(0) + packed)

    @property
    def is_doubtful(self) -> bool:
        """Whether the bundle that was there did not start: it is sent anew the next time."""
        return self._found and not self._trusting

    def _trust(self) -> None:
        self._trusting = True


class _Ahead:
    """The bundle for a machine that is thought not to have it: it sets out before the answer.

    Whatever Python is there: one that is not ours takes the sources. How much goes ahead is said
    first; nothing at all, if the answer is there before the bundle has been packed.
    """

    def __init__(self, stream: ByteStream, bundle: Bundle) -> None:
        self._stream = stream
        self._bundle = bundle
        self._packing = anyio.CancelScope()
        self._answered = anyio.Event()
        self._is_there = False

    def take_answer(self, *, is_there: bool) -> None:
        self._is_there = is_there
        self._answered.set()
        if is_there:
            self._packing.cancel()

    async def send(self) -> None:
        packed = b""
        with self._packing:
            pack = functools.partial(_packed, self._bundle, OWN_PYTHON)
            packed = await anyio.to_thread.run_sync(pack, abandon_on_cancel=True)
        with suppress(anyio.BrokenResourceError):  # Why it reads no more, it says next.
            await self._stream.send(_size(len(packed[:AHEAD])) + packed[:AHEAD])
            await self._answered.wait()
            if not self._is_there:
                await self._stream.send(packed[AHEAD:])


async def _answer_beside(reader: _NonceReader, ahead: _Ahead | None) -> str:
    """Return the first answer, whether the bundle is there; send what goes ahead meanwhile."""
    if ahead is None:
        return await reader.read_line()
    failure: Exception | None = None
    answer = ""
    # An exception is carried around the task group, which would wrap it.
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ahead.send)
        try:
            answer = await reader.read_line()
            ahead.take_answer(is_there=answer == "HAVE")
        except Exception as error:
            failure = error
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return answer


class _NonceReader:
    """Finds our lines in what a process says."""

    def __init__(self, stream: ByteStream, nonce: str) -> None:
        self._stream = stream
        self._mark = f"TOWLINE {nonce} ".encode()
        self.rest = b""

    async def read_line(self) -> str:
        """Return what our next line says after its nonce; drop all that came before it."""
        try:
            while (line := self._take_line()) is None:
                self.rest += await self._stream.receive()
        except anyio.EndOfStream:
            raise anyio.EndOfStream(self.rest) from None
        return line

    def _take_line(self) -> str | None:
        start = self.rest.find(self._mark)
        if start < 0:
            if len(self.rest) > NOISE_MAX:
                raise _noise(self.rest)
            return None
        end = self.rest.find(b"\n", start)
        if end < 0:
            if len(self.rest) - start > ANSWER_MAX:
                raise _noise(self.rest[start:])
            return None
        line = self.rest[start + len(self._mark) : end]
        self.rest = self.rest[end + 1 :]
        return line.decode("utf-8", "replace")


class _AgentStream(ByteStream):
    """The stream to the agent. What it says about itself comes first, and is taken off."""

    def __init__(self, stream: ByteStream, reader: _NonceReader, trust: Callable[[], None]) -> None:
        self._stream = stream
        self._reader = reader
        self._trust = trust
        self._ready = False

    async def receive(self, max_bytes: int = 65536) -> bytes:
        if not self._ready:
            await self._wait_ready()
        if rest := self._reader.rest:
            self._reader.rest = rest[max_bytes:]
            return rest[:max_bytes]
        return await self._stream.receive(max_bytes)

    async def _wait_ready(self) -> None:
        answer, _, reason = (await self._reader.read_line()).partition(" ")
        if answer != "READY":
            raise ConnectError(ConnectKind.AGENT, reason or answer)
        self._ready = True
        self._trust()

    async def send(self, item: bytes) -> None:
        await self._stream.send(item)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


@functools.lru_cache(maxsize=4)
def _packed(bundle: Bundle, python: str) -> bytes:
    """Return the bundle as the loader takes it in: size and digest of what follows, compressed.

    Kept, for it takes a while; what it is made of is larger and is not kept.
    """
    packed = zlib.compress(bundle.for_python(python), PACKING)
    return _size(len(packed)) + hashlib.sha256(packed).digest() + packed


def _size(count: int) -> bytes:
    return count.to_bytes(8, "big")


@functools.cache
def _encoded_loader() -> str:
    source = (resources.files("towline.line") / "loader.py").read_bytes()
    return base64.b64encode(zlib.compress(source, 9)).decode()


def _no_python(seen: str) -> ConnectError:
    versions = [
        f"{int(number) // 100}.{int(number) % 100}"
        for number in seen.split()
        if _VERSION.fullmatch(number)
    ]
    found = f"only {', '.join(dict.fromkeys(versions))}" if versions else "none at all"
    return ConnectError(
        ConnectKind.NO_PYTHON,
        f"no Python 3.10 or newer was found on the machine ({found})",
        "install one there, or name its path as `python` in the configuration",
    )


def _noise(said: bytes) -> ConnectError:
    return ConnectError(
        ConnectKind.OTHER,
        f"the machine's shell says something else: {first_line(said)}",
        "look at what its login files print or start",
    )


def first_line(said: bytes) -> str:
    """Return the first line that says something, for a message."""
    lines = (line.strip() for line in said.decode("utf-8", "replace").splitlines())
    return next((line[:200] for line in lines if line), "nothing")
