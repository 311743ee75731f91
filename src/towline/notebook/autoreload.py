"""IPython's `%autoreload` beside us: it passes over the modules that are loaded here.

It would run each of them a second time, into other objects than those that names of the notebook
hold. What it does with modules of others is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

MAGICS = "AutoreloadMagics"


class Autoreload:
    """`shell` may load the other extension at any time."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._told: set[str] = set()

    def pass_over(self, names: Iterable[str]) -> None:
        """Have it leave out these modules, and no others on our account."""
        skipped = self._skipped()
        if skipped is None:
            return
        wanted = set(names)
        for name in self._told - wanted:
            skipped.pop(name, None)
        new = wanted - skipped.keys()  # What a person has left out stays so.
        skipped.update(dict.fromkeys(new, True))
        self._told = (self._told & wanted) | new

    def _skipped(self) -> dict[str, bool] | None:
        """Return the names that it leaves out; None where it is not loaded, or another one."""
        magics = self._shell.magics_manager.registry.get(MAGICS)
        skipped = getattr(getattr(magics, "_reloader", None), "skip_modules", None)
        return cast("dict[str, bool]", skipped) if isinstance(skipped, dict) else None
