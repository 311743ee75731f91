"""Find the workspaces that are linked to this machine: their agents' sockets, and what they keep.

Only sockets in directories that belong to this user alone are asked. Nothing is started.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from towline.agent.ask import NoAgentError, ask_on, connect_to
from towline.agent.place import socket_paths

ASK_S = 2.0


@dataclass(frozen=True)
class Found:
    socket: str
    name: str
    laptop: str
    roots: tuple[str, ...]


class NotFoundError(Exception):
    """No workspace is meant, or which one is not clear. The text is for a person."""


def find() -> list[Found]:
    """Return the workspaces of this machine that keep a folder, by name."""
    found = [one for path in socket_paths() if (one := _ask(path)) is not None]
    return sorted(found, key=lambda one: one.name)


def choose(found: Iterable[Found], name: str = "", directory: str = "") -> Found:
    """Return the workspace of this name, else the one `directory` lies in, else the only one.

    Raises `NotFoundError`, which says what there is.
    """
    known = list(found)
    if not known:
        raise NotFoundError("no workspace is linked to this machine; `towline link` on the laptop")
    names = ", ".join(one.name for one in known)
    if name:
        meant = [one for one in known if name in (one.name, *one.roots)]
    else:
        meant = [one for one in known if any(_is_in(directory, root) for root in one.roots)]
        meant = meant or known
    if len(meant) == 1:
        return meant[0]
    if name:
        raise NotFoundError(f"no workspace is called {name!r}; there are: {names}")
    raise NotFoundError(f"several workspaces are linked: {names}; say `%towline use NAME`")


def _ask(path: str) -> Found | None:
    try:
        with connect_to(path, ASK_S) as sock:
            status = ask_on(sock, {"verb": "status"}, ASK_S)
    except NoAgentError:
        return None
    folders: object = status.get("folders")
    if not isinstance(folders, list) or not folders:
        return None
    known = [
        cast("dict[str, Any]", one)
        for one in cast("list[object]", folders)
        if isinstance(one, dict)
    ]
    named = [str(one.get("path", "")) for one in known]
    roots = tuple(root for root in named if os.path.isabs(root))
    if not roots:
        return None
    name = str(known[0].get("name") or os.path.basename(roots[0]))
    return Found(path, name, str(known[0].get("laptop") or "the laptop"), roots)


def _is_in(directory: str, root: str) -> bool:
    return directory == root or directory.startswith(f"{root}/")
