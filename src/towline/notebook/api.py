"""What `import towline` offers in a notebook: the façade's functions, for the shell at hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from IPython.core.getipython import get_ipython

from towline.notebook.barrier import Barrier
from towline.notebook.extension import current
from towline.notebook.waiting import Waiting

Function = TypeVar("Function", bound=Callable[[list[Path]], object])


def revision(workspace: str) -> int | None:
    return _barrier().revision(workspace)


def on_change(pattern: str) -> Callable[[Function], Function]:
    barrier = _barrier()

    def decorate(function: Function) -> Function:
        barrier.on_change(pattern, function)
        return function

    return decorate


def wait_for(path: str, timeout_s: float) -> Path:
    waiting = Waiting(path)
    try:
        return _barrier().wait_for(path, timeout_s, waiting)
    finally:
        waiting.end()


def _barrier() -> Barrier:
    shell = get_ipython()  # type: ignore[no-untyped-call,unused-ignore]
    extension = None if shell is None else current(shell)
    if extension is None:
        raise RuntimeError("towline is not loaded here: `%load_ext towline` in a notebook")
    return extension.barrier
