"""The seam between `up` and every way in: what a route is, what it is given, what it yields.

A route knows how to make one loopback port of this machine reachable, and says so by an `Address`.
It does not know what listens there, tries nothing twice, and starts no other route in its place:
that is for those who open it (`choose`).
"""

from __future__ import annotations

import enum
import os
import shutil
import stat
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from towline.core.address import Address, check_host
from towline.routes.errors import RouteError

OPEN_S = 45.0  # For a route to open. Providers take a few seconds; a new name's DNS up to 20.


class Carries(enum.Enum):
    """What a provider lets through."""

    TCP = "tcp"
    HTTP = "http"  # So ssh goes in WebSocket messages, over our own bridge or the provider's.


@dataclass(frozen=True, slots=True)
class Setting:
    """A value that a route takes: by its key, or else from a variable of the environment."""

    key: str  # "ROUTE.NAME".
    variable: str
    help: str
    secret: bool = False  # Never in argv, never in a log.
    default: str = ""


@dataclass(frozen=True, slots=True)
class About:
    """What a person wants to know before choosing a route: a row of `towline routes`."""

    name: str
    needs: str  # Program, account, token; "nothing" where that is so.
    limits: str  # In a sentence.
    cost: str
    carries: Carries = Carries.TCP
    laptop: str = "nothing"  # What it takes on the laptop beyond towline and ssh.
    settings: tuple[Setting, ...] = ()
    rank: int | None = None  # `auto` tries it unasked, the lowest first; None: only if configured.


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a route runs: all that it may ask of the world but the network."""

    directory: Path  # Private (0700): keys, pinned host keys, programs that were downloaded.
    environment: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    settings: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    warn: Callable[[str], None] = lambda _sentence: None

    def value(self, setting: Setting) -> str:
        """Return what was set: by argument or file, else by environment, else the default."""
        given = self.settings.get(setting.key) or self.environment.get(setting.variable)
        return given or setting.default

    def is_set(self, setting: Setting) -> bool:
        return bool(self.settings.get(setting.key) or self.environment.get(setting.variable))

    def kept(self, pattern: str) -> str:
        """Return the one file of that name in the person's own folder, as on a mounted drive."""
        folder = self.environment.get("TOWLINE_HOME", "")
        found = sorted(Path(folder).expanduser().glob(pattern)) if folder else []
        return str(found[0]) if len(found) == 1 else ""

    def find(self, program: str) -> str | None:
        """Return the path of a program: ours first, then PATH."""
        own = shutil.which(program, path=str(self.directory / "bin"))
        return own or shutil.which(program, path=self.environment.get("PATH", ""))

    def private_file(self, name: str, content: str) -> Path:
        """Write a file that only we can read; return its path."""
        path = self.directory / name
        path.unlink(missing_ok=True)
        path.touch(0o600, exist_ok=False)
        path.write_text(content)
        return path

    def remember_port(self, place: str, port: int) -> None:
        """Note which port a server gave, so that it can be asked for the same one next time."""
        self.private_file(f"port.{place}", str(port))

    def remembered_port(self, place: str) -> int:
        """Return the port that was given there last; 0 where none is known."""
        try:
            text = (self.directory / f"port.{place}").read_text("utf-8")
        except (OSError, ValueError):
            return 0
        return int(text) if text.isdecimal() and int(text) < 1 << 16 else 0

    def private_copy(self, name: str, source: Path) -> Path:
        """Copy a key to where nobody else can read it: on a mounted drive everybody may.

        Raises `RouteError` if it cannot be read.
        """
        try:
            path = source.expanduser()
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & 0o077 and os.name == "posix":
                self.warn(
                    f"others on this machine may read the key {source} (mode {mode:o}); what is"
                    " used is a private copy, but the key itself is as safe as that place"
                )
            return self.private_file(name, path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise RouteError(
                f"the key {source} cannot be read: {error}", "check the path and the file"
            ) from error


class Tunnel:
    """A route that is open. It is closed by leaving the context it came from."""

    def __init__(self, address: Address, ended: Callable[[], Awaitable[str]]) -> None:
        self.address = address
        self._ended = ended

    async def wait_ended(self) -> str:
        """Wait until the tunnel is dead; return why, as a sentence. May be awaited again."""
        return await self._ended()


class Web:
    """A public address for pages that is open. It is closed by leaving the context it came from."""

    def __init__(self, host: str, ended: Callable[[], Awaitable[str]]) -> None:
        check_host(host)
        self.url = f"https://{host}"
        self._ended = ended

    async def wait_ended(self) -> str:
        """Wait until it is dead; return why, as a sentence."""
        return await self._ended()


class Route(ABC):
    """A way in. Stateless: everything it needs comes with the surroundings."""

    about: About

    @property
    def name(self) -> str:
        return self.about.name

    @abstractmethod
    def why_not(self, around: Surroundings) -> str:
        """Return what is missing here and what to do about it, or nothing if it can be tried.

        Asks no network: it says at once what is missing, and cannot know what a provider will say.
        """

    def is_configured(self, around: Surroundings) -> bool:
        """Whether the person has set it up: then `auto` takes it before all that is not."""
        return any(around.is_set(setting) for setting in self.about.settings)

    @abstractmethod
    def open(self, port: int, around: Surroundings) -> AbstractAsyncContextManager[Tunnel]:
        """Lead from outside to 127.0.0.1:`port` while the context lasts.

        Entering returns when the provider says that it is reachable; raises `RouteError`.
        """


class WebRoute(Route):
    """A route whose provider can also show a page of this computer to everybody."""

    @abstractmethod
    def open_web(self, port: int, around: Surroundings) -> AbstractAsyncContextManager[Web]:
        """Lead an https address to the page at 127.0.0.1:`port` while the context lasts.

        As it is, to whoever asks: the page must ask for a secret. Raises `RouteError`.
        """


@asynccontextmanager
async def background() -> AsyncGenerator[TaskGroup]:
    """Run tasks for as long as the context lasts; what the body raises comes out as it is."""
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        try:
            yield tasks
        except Exception as error:  # A task group would wrap it.
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def enter_same_port(
    stack: AsyncExitStack,
    around: Surroundings,
    place: str,
    configured: int,
    open_port: Callable[[int], AbstractAsyncContextManager[Tunnel]],
) -> Tunnel:
    """Open with the port that `place` gave last, so that the address stays; else with any.

    With any only where that one is taken: a server that is away for a moment will give it again,
    and laptops look for it there. A configured port is asked for, and no other. Raises
    `RouteError`.
    """
    last = 0 if configured else around.remembered_port(place)
    if last:
        try:
            return await stack.enter_async_context(open_port(last))
        except RouteError as error:
            if not error.is_taken:
                raise
    return await stack.enter_async_context(open_port(configured))


async def never() -> str:
    """The end of what cannot end by itself."""
    await anyio.sleep_forever()
    raise AssertionError("unreachable")


@asynccontextmanager
async def opening(name: str, seconds: float = OPEN_S) -> AsyncGenerator[None]:
    """Bound the time in which a route opens. Raises `RouteError`."""
    try:
        with anyio.fail_after(seconds):
            yield
    except TimeoutError:
        raise RouteError(
            f"{name}: it did not open within {seconds:.0f} s",
            "the provider or the network does not answer; try another route",
            passing=True,
        ) from None
