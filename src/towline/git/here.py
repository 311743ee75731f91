"""The laptop's repository: what the machine's is to be like, and whether it can be.

Nothing here writes to the repository but objects that belong to no branch, which git's own clean-up
removes. No file of the project is touched.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from towline.errors import ExitCode, UserError

COPIED = (
    "user.name",
    "user.email",
    "core.autocrlf",
    "core.eol",
    "core.quotepath",
    "status.showuntrackedfiles",
    "status.renames",
    "push.default",
    "pull.rebase",
    "pull.ff",
    "init.defaultbranch",
)
"""Settings that decide who commits and what `git status` says. Nothing that may hold a secret."""

_UNFINISHED = {
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
}
_NO_ONE = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "towline"), ("EMAIL", "towline"), ("DATE", "1000000000 +0000"))
}
"""Who made the commit that carries the index: the same index is the same commit, then."""

_LOGIN_IN_URL = re.compile(r"^(https?://)[^/@]*@")
_GITLINK = "160000"


class Repository:
    """The project's repository on the laptop. Raises UserError where git fails."""

    def __init__(self, project: Path) -> None:
        self.project = project
        if shutil.which("git") is None:
            raise UserError("git is not installed on this computer")
        if not project.is_dir():
            raise UserError(
                f"the project {project} is not there any more", exit_code=ExitCode.UNAVAILABLE
            )

    def run(
        self, *arguments: str, given: bytes = b"", more: Mapping[str, str] | None = None
    ) -> str:
        done = self._start(arguments, given, more)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise UserError(f"git {arguments[0]}: {said or f'exit code {done.returncode}'}")
        return done.stdout.decode(errors="surrogateescape").removesuffix("\n")

    def ask(self, *arguments: str) -> str | None:
        """Return what git answers; None where it has no answer."""
        done = self._start(arguments, b"", None)
        text = done.stdout.decode(errors="surrogateescape").removesuffix("\n")
        return None if done.returncode else text

    def _start(
        self, arguments: tuple[str, ...], given: bytes, more: Mapping[str, str] | None
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["git", *arguments],
            cwd=self.project,
            input=given,
            capture_output=True,
            env={**os.environ, **(more or {})},
        )

    def has(self, commit: str) -> bool:
        return self.ask("cat-file", "-e", f"{commit}^{{commit}}") is not None

    def is_ancestor(self, older: str, newer: str) -> bool:
        return self.ask("merge-base", "--is-ancestor", older, newer) is not None

    def count(self, range_: str) -> int:
        return int(self.run("rev-list", "--count", range_))

    def status(self) -> dict[str, str]:
        return status_of(self.run(*STATUS))


STATUS = ("--no-optional-locks", "status", "--porcelain", "-z", "-uall", "--no-renames")


def status_of(text: str) -> dict[str, str]:
    """Return path → the two letters of `git status --short`."""
    return {entry[3:]: entry[:2] for entry in text.split("\0") if entry}


@dataclass(frozen=True, slots=True)
class Point:
    """Where a repository stands: HEAD and its branch. No commit yet and no branch are None."""

    head: str | None
    branch: str | None

    def shown(self) -> str:
        at = self.head[:9] if self.head else "no commit yet"
        return f"{at} on {self.branch}" if self.branch else f"{at}, on no branch"


def point_of(repository: Repository) -> Point:
    branch = repository.ask("symbolic-ref", "-q", "--short", "HEAD")
    return Point(repository.ask("rev-parse", "-q", "--verify", "HEAD^{commit}"), branch)


@dataclass(frozen=True, slots=True)
class Here:
    """Everything that is carried to the machine."""

    point: Point
    index: str  # A commit that holds what is in the index.
    index_tree: str
    to_be_added: tuple[str, ...]  # `git add --intent-to-add`: in the index without content.
    flags: Mapping[str, tuple[str, ...]]  # `--skip-worktree`, `--assume-unchanged` → paths.
    settings: Mapping[str, str]
    excludes: str
    upstream: tuple[str, str] | None  # A remote's branch as last seen: ref, commit.


def look(repository: Repository) -> Here:
    """Return what the machine's repository is to be like. Raises UserError where it cannot be."""
    _refuse_what_cannot_be(repository)
    point = point_of(repository)
    tree = _index_tree(repository)
    parent = ["-p", point.head] if point.head else []
    return Here(
        point=point,
        index=repository.run("commit-tree", tree, *parent, "-m", "index", more=_NO_ONE),
        index_tree=tree,
        to_be_added=_split(repository.run("diff", "--name-only", "--diff-filter=A", "-z")),
        flags=_flags(repository),
        settings=_settings(repository, point),
        excludes=_excludes(repository),
        upstream=_upstream(repository, point),
    )


def ensure_repository(repository: Repository) -> None:
    """Raises UserError unless the project is the top of a repository's work tree."""
    top = repository.ask("rev-parse", "--show-toplevel")
    if top is None:
        raise UserError(f"{repository.project} is not a git repository", "`git init` makes it one")
    if Path(top).resolve() != repository.project.resolve():
        raise UserError(
            f"the repository is {top}, and the project only a folder in it",
            "link that folder instead: a repository is taken whole or not at all",
        )


def _refuse_what_cannot_be(repository: Repository) -> None:
    ensure_repository(repository)
    directory = Path(repository.run("rev-parse", "--absolute-git-dir"))
    for name, what in _UNFINISHED.items():
        if (directory / name).exists():
            raise UserError(
                f"{what} is under way here", "finish it, then run this again", ExitCode.TRY_AGAIN
            )
    staged = _split(repository.run("ls-files", "--stage", "-z"))
    if any(entry.partition("\t")[0].rpartition(" ")[2] != "0" for entry in staged):
        raise UserError("the index holds conflicts", "resolve them, then run this again")
    if links := [entry.partition("\t")[2] for entry in staged if entry.startswith(_GITLINK)]:
        raise UserError(
            f"submodules are not carried over: {', '.join(links[:3])}",
            "commit on this computer; files of submodules are synced as all others",
        )
    if filtered := _filtered(repository):
        raise UserError(
            f"files go through a filter ({filtered[1]}: {filtered[0]}), which is not carried over",
            "commit on this computer; the files themselves are synced",
        )


def _filtered(repository: Repository) -> tuple[str, str] | None:
    """Return the first tracked file that is stored as something else (Git LFS), and by what."""
    paths = repository.run("ls-files", "-z")
    said = repository.run(
        "check-attr", "--stdin", "-z", "filter", given=paths.encode(errors="surrogateescape")
    )
    words = said.split("\0")
    pairs = zip(words[::3], words[2::3], strict=False)
    unset = ("unspecified", "unset")
    return next(((path, name) for path, name in pairs if name not in unset), None)


def _index_tree(repository: Repository) -> str:
    """Write what is in the index as a tree, by a copy: the index stays as it is."""
    index = Path(repository.run("rev-parse", "--path-format=absolute", "--git-path", "index"))
    with tempfile.TemporaryDirectory(prefix="towline-") as directory:
        copy = Path(directory) / "index"
        if index.exists():
            shutil.copyfile(index, copy)
        return repository.run("write-tree", more={"GIT_INDEX_FILE": str(copy)})


def _flags(repository: Repository) -> dict[str, tuple[str, ...]]:
    entries = _split(repository.run("ls-files", "-v", "-z"))
    return {
        "--skip-worktree": tuple(entry[2:] for entry in entries if entry[0] in "Ss"),
        "--assume-unchanged": tuple(entry[2:] for entry in entries if entry[0].islower()),
    }


def _settings(repository: Repository, point: Point) -> dict[str, str]:
    settings = {key: repository.ask("config", "--get", key) for key in COPIED}
    for name in (repository.ask("remote") or "").splitlines():
        url = repository.ask("remote", "get-url", name) or ""
        settings[f"remote.{name}.url"] = _LOGIN_IN_URL.sub(r"\1", url)
        settings[f"remote.{name}.fetch"] = f"+refs/heads/*:refs/remotes/{name}/*"
    for what in ("remote", "merge"):
        if point.branch:
            key = f"branch.{point.branch}.{what}"
            settings[key] = repository.ask("config", "--get", key)
    return {key: value for key, value in settings.items() if value}


def _excludes(repository: Repository) -> str:
    """Return what is ignored beside the `.gitignore` files: the person's own, the repository's."""
    named = repository.ask("config", "--type=path", "--get", "core.excludesfile")
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    own = repository.run("rev-parse", "--path-format=absolute", "--git-path", "info/exclude")
    return "".join(_text(Path(file)) for file in (named or f"{base}/git/ignore", own))


def _text(file: Path) -> str:
    try:
        text = file.read_text("utf-8", "replace")
    except OSError:
        return ""
    return text if text.endswith("\n") else f"{text}\n"


def _upstream(repository: Repository, point: Point) -> tuple[str, str] | None:
    if point.branch is None:
        return None
    ref = repository.ask("rev-parse", "--symbolic-full-name", "@{upstream}")
    if not ref or not ref.startswith("refs/remotes/"):
        return None
    commit = repository.ask("rev-parse", "-q", "--verify", ref)
    return (ref, commit) if commit else None


def _split(text: str) -> tuple[str, ...]:
    return tuple(item for item in text.split("\0") if item)
