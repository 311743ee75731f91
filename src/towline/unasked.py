"""What is not taken from a machine unasked, though it is synced: what this laptop goes by.

towline's settings, which name what runs here and what is sent; and ignore files, where another one
would have the laptop send what it leaves out. Who wants them saves them here, as any edit. Only a
change from the machine is judged, and nobody is asked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from towline.config import PYPROJECT, TOWLINE_TOML, settings_in
from towline.core.change import Change
from towline.core.entry import File, Symlink
from towline.core.ignore import (
    IGNORE_FILES,
    DirectoryRules,
    Rules,
    Source,
    SourceKind,
    lines_of,
    opens,
)
from towline.core.path import join, name_of, parent_of
from towline.errors import UserError

KEYS_SHOWN = 3
UNKNOWN = "its content is not known here, or too large to be judged"


class Unasked:
    """Judges changes in the folder `root` of a project.

    `read_rules` reads what is synced, and may raise UserError; `sends` says whether the laptop's
    version of a path goes to the machine.
    """

    def __init__(
        self,
        project: Path,
        root: Path,
        read_rules: Callable[[], Rules],
        sends: Callable[[str], bool],
    ) -> None:
        self._root = root
        self._read_rules = read_rules
        self._sends = sends
        self._settings = dict(_settings_files(project, root))

    def concerns(self, path: str) -> bool:
        """Whether a change of `path` has to be judged."""
        return self._settings_at(path) is not None or _kind_of(path) is not None

    def refusals(
        self, changes: Sequence[Change], contents: Mapping[bytes, bytes]
    ) -> dict[str, str]:
        """Return the paths of what is not taken, and why. The changes are of what `concerns` us."""
        refused: dict[str, str] = {}
        rules: list[Change] = []
        for change in changes:
            if isinstance(change.new, File) and _content(change, contents) is None:
                refused[change.path] = UNKNOWN
            elif _kind_of(change.path) is not None:
                rules.append(change)
            elif why := self._other_settings(change, _content(change, contents) or b""):
                refused[change.path] = why
        return {**refused, **(self._exposing(rules, contents) if rules else {})}

    # -- Settings -----------------------------------------------------------------------------

    def _settings_at(self, path: str) -> Path | None:
        """Return the file of settings that is opened where this path is written."""
        for at, file in self._settings.items():
            name = name_of(at).casefold()
            if path == at or (parent_of(path) == parent_of(at) and opens(name_of(path), name)):
                return file
        return None

    def _other_settings(self, change: Change, content: bytes) -> str:
        file = self._settings_at(change.path)
        assert file is not None, change.path
        if isinstance(change.new, Symlink):
            return "a link in the place of settings"
        before: dict[str, object] = {}
        with suppress(OSError):
            before = settings_in(file.name, file.read_bytes())
        after = settings_in(file.name, content)
        differ = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
        return f"towline's settings differ: {', '.join(differ[:KEYS_SHOWN])}" if differ else ""

    # -- Ignore files -------------------------------------------------------------------------

    def _exposing(
        self, changes: Sequence[Change], contents: Mapping[bytes, bytes]
    ) -> dict[str, str]:
        """Judge each together with those before it: two may open what neither does alone."""
        refused: dict[str, str] = {}
        try:
            before = after = self._read_rules()
        except UserError as error:
            return {change.path: error.message for change in changes}
        for change in changes:
            try:
                changed = _with(after, change.path, _content(change, contents))
            except ValueError as error:
                refused[change.path] = str(error)
                continue
            if (path := next(self._newly_sent(change.path, before, changed), None)) is not None:
                refused[change.path] = f"{path} would be sent, which is left out here"
            else:
                after = changed
        return refused

    def _newly_sent(self, path: str, before: Rules, after: Rules) -> Iterator[str]:
        """Yield files here that `before` leaves out and `after` does not, near the ignore file."""
        top = parent_of(path)
        waiting: list[tuple[DirectoryRules | None, DirectoryRules]] = []
        if not before.ignores(top, True):
            waiting.append((before.at(top), after.at(top)))
        while waiting:
            was, now = waiting.pop()
            for name, is_directory in _listed(self._root / now.path):
                if now.ignores(name, is_directory):
                    continue
                is_new = was is None or was.ignores(name, is_directory)
                if is_directory:
                    below = None if was is None or is_new else was.below(name)
                    waiting.append((below, now.below(name)))
                elif is_new and self._sends(at := join(now.path, name)):
                    yield at


def _settings_files(project: Path, root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the paths in the folder where settings are, or are read from by way of a link."""
    for name in (PYPROJECT, TOWLINE_TOML):
        for place in (project.resolve() / name, (project / name).resolve()):
            with suppress(ValueError):
                yield place.relative_to(root).as_posix(), project / name


def _kind_of(path: str) -> SourceKind | None:
    """Return which ignore file is opened where this path is written, if one is."""
    name = name_of(path)
    return next((kind for known, kind in IGNORE_FILES.items() if opens(name, known)), None)


def _content(change: Change, contents: Mapping[bytes, bytes]) -> bytes | None:
    """Return the content of a file to be; None if it is not at hand, or no file."""
    if not isinstance(change.new, File):
        return None
    return contents.get(change.new.digest, None if change.new.size else b"")


def _with(rules: Rules, path: str, content: bytes | None) -> Rules:
    """Return the rules with an ignore file that holds this. Raises ValueError if they are unfit."""
    kind, directory = _kind_of(path), parent_of(path)
    assert kind is not None, path
    sources = [
        source
        for source in rules.sources
        if (source.kind, source.directory, source.prefix) != (kind, directory, "")
    ]
    if content is not None:
        sources.append(Source(kind, directory, path, lines_of(content)))
    return Rules(sources, rules.size_max, rules.checkpoints)


def _listed(directory: Path) -> list[tuple[str, bool]]:
    """Return the names in a directory, and which are directories; none if it cannot be read."""
    try:
        with os.scandir(directory) as entries:
            return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    except OSError:
        return []
