"""towline: the live line between a project folder and a borrowed machine.

This package is a façade: it holds no logic and imports nothing until it is asked. In a notebook
`%load_ext towline` keeps what is saved on the laptop and what is loaded here in step; `up` makes
the machine reachable that the notebook runs on.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import Any, TypeVar

    Function = TypeVar("Function", bound=Callable[[list[Path]], object])


def load_ipython_extension(shell: Any) -> None:
    _notebook("extension").load(shell)


def unload_ipython_extension(shell: Any) -> None:
    _notebook("extension").unload(shell)


def revision(workspace: str = "") -> int | None:
    """Return the revision that the present cell runs on: of the first workspace, or of one."""
    found: int | None = _notebook("api").revision(workspace)
    return found


def on_change(pattern: str) -> Callable[[Function], Function]:
    """Have a function called, before the next cell, with the files of a pattern that changed.

    @towline.on_change("conf/*.yaml")
    def read_again(paths): ...
    """
    decorate: Callable[[Function], Function] = _notebook("api").on_change(pattern)
    return decorate


def wait_for(path: str, timeout_s: float = 60.0) -> Path:
    """Return the file at `path`, relative to the project, once it is here. Or TimeoutError."""
    found: Path = _notebook("api").wait_for(path, timeout_s)
    return found


def up(
    route: str | Sequence[str] | None = None,
    key: str | Sequence[str] | None = None,
    name: str | None = None,
    *,
    routes: Sequence[str] = (),
    invite: bool = False,
    settings: Mapping[str, str] | None = None,
    i_have_compute_units: bool = False,
) -> Any:
    """Make this machine reachable, and show the line for the laptop: `towline link TICKET`.

    It goes on when the kernel is restarted, and a second call shows the same ticket. `routes`, as
    `["cloudflared", "bore"]`, are ways in to keep open; one is `route`, and without either the
    first is taken that works. `key` is a public key of the laptop's, a file of it, `github:USER`
    or the name of a secret: then the ticket holds no secret. `invite` lets one more laptop in.
    `settings` are those of routes, as `{"direct.address": "host:port"}`. What is not said here may
    stand in the environment, in [tool.towline], or in a folder named by TOWLINE_HOME. What is
    returned has the ticket once more, as `.ticket`.
    """
    return _module("cell").up(
        route,
        key,
        name,
        routes=routes,
        invite=invite,
        settings=settings,
        i_have_compute_units=i_have_compute_units,
    )


def down() -> bool:
    """End what `up` has started here; return whether there was anything."""
    was_up: bool = _module("cell").down()
    return was_up


def status() -> dict[str, Any] | None:
    """Return what keeps this machine reachable: its name, server and routes. None: nothing."""
    found: dict[str, Any] | None = _module("cell").status()
    return found


def _notebook(name: str) -> Any:
    return _module(f"notebook.{name}")


def _module(name: str) -> Any:
    import importlib  # By name, so that nothing of it is known to those who import towline.

    return importlib.import_module(f"towline.{name}")
