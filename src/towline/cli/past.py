"""What `towline show` and `towline diff` share: the past of a workspace, and words for it.

The past is read from the workspace's file; no engine has to run.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from towline.engine.history import CONTENT_MAX, Past, Version
from towline.errors import ExitCode, UserError
from towline.places import Binding
from towline.ui.words import size_text


@contextmanager
def past_of(binding: Binding) -> Generator[Past]:
    """Open the past of a workspace. Raises `UserError` if there is none."""
    file = binding.places.history
    if not file.exists():
        raise UserError(
            f"nothing is kept of {binding.name} yet",
            "`towline link` keeps what it syncs from then on",
            ExitCode.UNAVAILABLE,
        )
    try:
        past = Past(file)
        try:
            yield past
        finally:
            past.close()
    except sqlite3.Error as error:
        raise UserError(f"{file} cannot be read: {error}") from None


def check_revision(past: Past, revision: int) -> int:
    """Raises `UserError` for a revision that is not kept."""
    oldest, newest = past.span()
    if not oldest <= revision <= newest:
        raise UserError(
            f"revision {revision} is not kept",
            f"kept are {oldest} to {newest}",
            ExitCode.USAGE,
        )
    return revision


def relative_path(path: Path, project: Path) -> str:
    """Return a path as it is named in the past: from the project's folder."""
    for place in (Path.cwd(), project):
        candidate = Path(os.path.normpath(place / path))
        if candidate.is_relative_to(project):
            return candidate.relative_to(project).as_posix()
    raise UserError(f"{path} is not in {project}", exit_code=ExitCode.USAGE)


def content_of(past: Past, version: Version) -> bytes:
    """Return what a file held. Raises `UserError` if that was not kept."""
    content = past.content(version)
    if content is None:
        raise UserError(
            f"the content of {version.path} in revision {version.revision} was not kept",
            f"files of over {size_text(CONTENT_MAX)} are not, nor what an engine had no time for",
            ExitCode.UNAVAILABLE,
        )
    return content
