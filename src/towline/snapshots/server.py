"""A folder on a server of the person's own, as they write it: `me@server:folder`.

Pure. Who `server` is, their ssh configuration says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# An old rsync has a shell there read the folder: nothing in it may mean something to one.
_SERVER = re.compile(r"(?P<host>[^\s/:@-][^\s/:]*):(?P<folder>[\w.,/~+=-]+)")


@dataclass(frozen=True, slots=True)
class Server:
    """`host` as ssh takes it; `folder` from the home there unless it is absolute."""

    host: str
    folder: str

    def __str__(self) -> str:
        return f"{self.host}:{self.folder}"


def parse_server(text: str) -> Server:
    """Raises ValueError, with a sentence's end, for what is none."""
    found = _SERVER.fullmatch(text)
    if found is None or found["folder"].strip("/") in ("", "~", "."):
        raise ValueError("expected user@host:folder, a folder for this alone, with a plain name")
    return Server(found["host"], found["folder"].removeprefix("~/").rstrip("/"))
