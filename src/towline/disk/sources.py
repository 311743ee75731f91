"""Find the rules of a project: every file on a disk that says what is ignored.

The `.gitignore` files above the root count where the project lies inside a larger repository, up to
that repository's top. `GIT_DIR` and its like are not looked at, and neither is what a repository
nested in the project has in its own `.git`.
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from towline.core.ignore import (
    DEFAULT_SOURCE,
    GIT_IGNORE,
    IGNORE_FILES,
    DirectoryRules,
    Rules,
    Source,
    SourceKind,
    lines_of,
)
from towline.core.path import BadPathError, join, name_of, parents_of
from towline.core.problem import Problem, ProblemKind

FILE_SIZE_MAX = 1 << 20  # Bytes of one ignore file. Longer ones are lists of data, not rules.
POINTER_SIZE_MAX = 4 << 10  # Bytes of a `.git` file: one path.
GIT_TIMEOUT_S = 5.0  # Asking git for one setting takes some milliseconds.

Report = Callable[[Problem], object]


def is_rule_file(path: str) -> bool:
    """Whether a change to `path` changes what is ignored, so that sources are to be read anew."""
    return name_of(path) in IGNORE_FILES


def read_sources(
    root: Path, extra: Sequence[str] = (), *, report: Report | None = None
) -> list[Source]:
    """Return the rules of the project in `root`, `extra` being its configuration's patterns.

    Walks every directory that is not ignored. An ignore file that cannot be used is handed to
    `report`, by the path a person knows it by, and its rules are missing; nothing is raised.
    """
    reader = _Reader(root, report or (lambda _: None))
    sources = [DEFAULT_SOURCE, *reader.outside()]
    if extra:
        sources.append(
            Source(SourceKind.CONFIGURATION, "", "towline's configuration", tuple(extra))
        )
    sources += reader.inside(Rules(sources).at(""))
    return sources


class _Reader:
    def __init__(self, root: Path, report: Report) -> None:
        self._root = root.absolute()
        self._report = report

    def outside(self) -> list[Source]:
        """Return what git has for this folder outside of it.

        A repository that ignores the whole folder (one of dotfiles in the home directory, say)
        has no say in what is in it.
        """
        top = _top_of(self._root)
        excludes = list(self._excludes(top or self._root))
        if top is None:
            return excludes
        inside = self._root.relative_to(top).as_posix() if top != self._root else ""
        sources = [*excludes, *self._exclude(top), *self._above(top, inside)]
        if inside and Rules(sources).ignores(inside, True):
            return excludes
        return [_seen_from(inside, source) for source in sources]

    def _excludes(self, top: Path) -> Iterator[Source]:
        file = _excludes_file(top)
        if file and (content := self._content(file, "core.excludesFile", follow=True)):
            lines = lines_of(content)
            yield Source(SourceKind.EXCLUDES_FILE, "", "core.excludesFile", lines)

    def _exclude(self, top: Path) -> Iterator[Source]:
        common = _common_directory(top / ".git")
        file = common and common / "info" / "exclude"
        if file and (content := self._content(file, ".git/info/exclude", follow=True)):
            yield Source(SourceKind.INFO_EXCLUDE, "", ".git/info/exclude", lines_of(content))

    def _above(self, top: Path, inside: str) -> Iterator[Source]:
        """Yield the `.gitignore` files from the top of the repository down to above the root."""
        for directory in [*reversed(list(parents_of(inside))), ""] if inside else []:
            file = top / directory / GIT_IGNORE
            origin = Path(os.path.relpath(file, self._root)).as_posix()
            if content := self._content(file, origin, follow=False):
                yield Source(SourceKind.GIT_IGNORE, directory, origin, lines_of(content))

    def inside(self, rules: DirectoryRules) -> Iterator[Source]:
        """Yield what the ignore files in the folder hold, walking it by their own rules."""
        waiting = [rules]
        while waiting:
            rules = waiting.pop()
            try:
                files, directories = self._listed(rules.path)
            except OSError:  # Nothing in it is synced either, and whoever scans it says so.
                continue
            sources = [source for file in files if (source := self._source(rules.path, file))]
            yield from sources
            rules = rules.adding(sources)
            waiting += [rules.below(name) for name in directories if not rules.ignores(name, True)]

    def _listed(self, directory: str) -> tuple[list[os.DirEntry[str]], list[str]]:
        """Return what may be ignore files in a directory, and the directories in it; in order."""
        with os.scandir(os.path.join(self._root, directory)) as entries:
            found = list(entries)
        files = sorted((one for one in found if one.name in IGNORE_FILES), key=lambda one: one.name)
        return files, sorted(one.name for one in found if _is_directory(one))

    def _source(self, directory: str, entry: os.DirEntry[str]) -> Source | None:
        if _is_directory(entry) or entry.is_symlink():
            return None  # As in git, which follows no link to an ignore file in a working tree.
        origin = join(directory, entry.name)
        content = self._content(Path(entry.path), origin, follow=False)
        if not content:
            return None
        try:
            return Source(IGNORE_FILES[entry.name], directory, origin, lines_of(content))
        except BadPathError as error:  # Nothing beside it is synced.
            self._report(Problem(origin, ProblemKind.NAME, str(error)))
            return None

    def _content(self, file: Path, origin: str, follow: bool) -> bytes | None:
        """Return the whole of a small regular file; None if it is absent or cannot be used."""
        try:
            content = _read_regular(file, FILE_SIZE_MAX, follow)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:  # A link, which git does not follow either.
                return None
            reason = error.strerror or type(error).__name__
            self._report(Problem(origin, ProblemKind.UNREADABLE, reason))
            return None
        if content is None:
            limit = f"an ignore file of more than {FILE_SIZE_MAX >> 20} MiB is not read"
            self._report(Problem(origin, ProblemKind.TOO_LARGE, limit))
        return content


def _seen_from(inside: str, source: Source) -> Source:
    """Return a source of the repository as the folder `inside` it sees it."""
    prefix = inside[len(source.directory) :].removeprefix("/")
    return replace(source, directory="", prefix=prefix)


def _read_regular(file: Path, size_max: int, follow: bool) -> bytes | None:
    """Return the content, or None if it is longer than `size_max`. Never waits for a FIFO."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if not follow:
        flags |= getattr(os, "O_NOFOLLOW", 0)
    with open(os.open(file, flags), "rb") as opened:
        content = opened.read(size_max + 1) or b""
    return content if len(content) <= size_max else None


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False  # Gone meanwhile.


def _top_of(root: Path) -> Path | None:
    """Return the nearest directory, from `root` upwards, that is a repository's working tree."""
    for at in (root, *root.parents):
        git = at / ".git"
        if os.path.isfile(git) or os.path.exists(git / "HEAD"):
            return at
    return None


def _common_directory(git: Path) -> Path | None:
    """Return where a repository keeps what its worktrees share, given a `.git`.

    In a worktree or a submodule `.git` is a file that names the real directory, and a worktree's
    directory names the shared one.
    """
    try:
        if git.is_file():
            pointer = (_read_regular(git, POINTER_SIZE_MAX, follow=True) or b"").decode(
                "utf-8", "surrogateescape"
            )
            if not pointer.startswith("gitdir:"):
                return None
            git = git.parent / pointer.removeprefix("gitdir:").strip()
        shared = git / "commondir"
        if shared.is_file():
            content = _read_regular(shared, POINTER_SIZE_MAX, follow=True) or b""
            git /= content.decode("utf-8", "surrogateescape").strip()
    except OSError:
        return None
    return git


def _excludes_file(top: Path) -> Path | None:
    """Return the person's own ignore file: `core.excludesFile`, or where git looks if unset.

    What is set to nothing means none. A relative name is below the top of the repository.
    """
    try:
        asked = subprocess.run(
            ["git", "config", "--type=path", "core.excludesFile"],
            cwd=top,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
        if asked.returncode == 0:
            named = os.fsdecode(asked.stdout.removesuffix(b"\n"))
            return top / named if named else None
    except (OSError, subprocess.SubprocessError):
        pass  # No git here; then this laptop has git's default place at most.
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(base, "git", "ignore")
