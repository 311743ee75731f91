"""Why a route did not open or has ended, in words that say what to do.

Providers speak in log lines. A table of sayings turns what they said into one message and the
next step; what no row knows is passed on as it was said.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from towline.errors import ExitCode, UserError

QUOTED_MAX = 300  # Characters of a provider's own words in a message.


class RouteError(UserError):
    """A route cannot be opened. `passing` says that the same may work in a while; `is_taken` that
    it may work at once, with another port.
    """

    def __init__(
        self, message: str, hint: str = "", *, passing: bool = False, is_taken: bool = False
    ) -> None:
        code = ExitCode.TRY_AGAIN if passing else ExitCode.UNAVAILABLE
        super().__init__(message, hint, code)
        self.passing = passing
        self.is_taken = is_taken


@dataclass(frozen=True, slots=True)
class Saying:
    """What a provider says (a regular expression), what it means, what to do about it."""

    said: str
    means: str
    to_do: str
    passing: bool = False
    is_taken: bool = False  # The port; another one may be free.


def explain(name: str, lines: Sequence[str], sayings: Sequence[Saying]) -> RouteError:
    """Return the error for what a provider said last: the first row of the table that matches."""
    text = "\n".join(lines)
    for saying in sayings:
        if re.search(saying.said, text):
            return RouteError(
                f"{name}: {saying.means}",
                saying.to_do,
                passing=saying.passing,
                is_taken=saying.is_taken,
            )
    last = next((line for line in reversed(lines) if line.strip()), "")
    if not last:
        return RouteError(f"{name}: it ended without a word", passing=True)
    return RouteError(f"{name}: it ended, saying: {quoted(last)}", passing=True)


def quoted(text: str) -> str:
    """Return a stranger's words without what a terminal would obey, cut to a sane length."""
    clean = "".join(c if c.isprintable() else " " for c in text).strip()
    return clean if len(clean) <= QUOTED_MAX else clean[:QUOTED_MAX] + "…"
