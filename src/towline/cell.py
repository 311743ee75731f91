"""`towline.up()` as a cell calls it: progress while it works, then a card with the line to copy.

In a notebook what is shown is shown once, in the cell's output, and replaced as it goes on;
anywhere else it is text. What is done is `expose`'s.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from towline import expose
from towline.expose import Exposure
from towline.machine.card import as_html, as_text, progress_as_html
from towline.machine.place import Json


def up(
    route: str | Sequence[str] | None = None,
    key: str | Sequence[str] | None = None,
    name: str | None = None,
    *,
    routes: Sequence[str] = (),
    invite: bool = False,
    settings: Mapping[str, str] | None = None,
    i_have_compute_units: bool = False,
) -> Up:
    """See `towline.up`."""
    screen = _screen()
    exposure = expose.up(
        routes=(*_several(route), *routes),
        name=name,
        keys=_several(key),
        invites=True if invite else None,
        settings=settings,
        compute_units=i_have_compute_units,
        tell=screen.progress,
    )
    screen.card(exposure)
    return Up(exposure)


def _several(given: str | Sequence[str] | None) -> Sequence[str]:
    return (given,) if isinstance(given, str) else given or ()


def down() -> bool:
    return expose.down()


def status() -> Json | None:
    return expose.status()


class Up:
    """What `up` returns. It has been shown already: a notebook does not show it again."""

    def __init__(self, exposure: Exposure) -> None:
        self._exposure = exposure

    @property
    def ticket(self) -> str:
        return self._exposure.text

    @property
    def name(self) -> str:
        return self._exposure.ticket.alias

    def __repr__(self) -> str:
        return f"<{self.name} is up>"

    def _ipython_display_(self) -> None:
        pass


class _Text:
    def progress(self, sentence: str) -> None:
        sys.stderr.write(f"towline: {sentence}\n")

    def card(self, exposure: Exposure) -> None:
        lines = [*as_text(exposure.ticket, exposure.status), f"towline link {exposure.text}"]
        sys.stdout.write("".join(f"{line}\n" for line in lines))


class _Notebook:
    """One place in the output of the cell, written anew each time."""

    def __init__(self, display: Callable[..., Any], html: Callable[[str], object]) -> None:
        self._display = display
        self._html = html
        self._place: Any = None

    def progress(self, sentence: str) -> None:
        self._put(progress_as_html(sentence))

    def card(self, exposure: Exposure) -> None:
        self._put(as_html(exposure.ticket, exposure.status))

    def _put(self, text: str) -> None:
        if self._place is None:
            self._place = self._display(self._html(text), display_id=True)
        else:
            self._place.update(self._html(text))


def _screen() -> _Text | _Notebook:
    """A kernel has a front end that shows HTML; IPython in a terminal has none."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if getattr(shell, "kernel", None) is None:
        return _Text()
    words: Any = importlib.import_module("IPython.display")
    return _Notebook(words.display, words.HTML)
