"""`towline git setup`: the machine's repository made like the laptop's, HEAD and index.

Work made there is never dropped: where the machine has a commit or something staged that is not
from here, nothing is changed. Run again it brings the machine up to where the laptop is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from towline.control import flush
from towline.errors import ExitCode, UserError
from towline.git.here import Here, Point, Repository, look
from towline.git.shallow import depth_of, last_commits
from towline.git.there import GIVEN_HEAD, GIVEN_INDEX, Far, There
from towline.places import Binding

MARK = "towline.git"
"""In the laptop's repository: it was set up on a machine once, so the next one gets it, too."""

FLUSH_S = 30.0


@dataclass(frozen=True, slots=True)
class Result:
    """What the machine has now. `differences`: path → `git status` here, there."""

    point: Point
    folder: str
    was_new: bool
    depth: int | None  # How many commits went over, where it was not all.
    not_synced: tuple[str, ...]
    differences: dict[str, tuple[str, str]]
    identity: bool


def set_up(binding: Binding, asked_depth: int | None = None) -> Result:
    """Make the machine's repository like the laptop's, with so many commits; 0 for all.

    Raises UserError.
    """
    repository = Repository(binding.project)
    here = look(repository)
    far = Far(binding)
    there = far.look()
    if there is not None:
        ensure_nothing_is_lost(repository, here.point, there)
    _flush(binding)
    if there is None:
        far.make()
    far.configure(here.settings, here.excludes)
    depth = depth_of(repository, asked_depth)
    _push(repository, far, here, depth)
    far.script(_steps(here))
    _set_flags(far, here)
    not_synced, differences = _compare(repository, far)
    repository.run("config", "--local", MARK, "true")
    return Result(
        here.point,
        far.folder,
        there is None,
        depth,
        not_synced,
        differences,
        {"user.name", "user.email"} <= here.settings.keys(),
    )


def was_set_up(repository: Repository) -> bool:
    """Whether this project had a repository on a machine before."""
    return repository.ask("config", "--local", "--get", MARK) is not None


def ensure_nothing_is_lost(repository: Repository, here: Point, there: There) -> None:
    """Raises UserError if the machine has something that it did not get from here."""
    head = there.point.head
    known = head in (None, there.given_head, here.head)
    if head and not known:
        known = bool(here.head and repository.has(head) and repository.is_ancestor(head, here.head))
    if not known:
        raise UserError(
            "the machine has commits that are not in your branch here",
            "`towline git fetch` brings them, then merge; `towline git status` says how it stands",
            ExitCode.HELD,
        )
    if there.has_staged:
        raise UserError(
            "something is staged on the machine", "commit it there, or `git reset`", ExitCode.HELD
        )


def _flush(binding: Binding) -> None:
    """What is staged must lie there, too, or it shows as changed. Raises UserError."""
    answer = flush(binding, FLUSH_S)
    if "error" in answer:
        raise UserError(answer["error"], exit_code=ExitCode.TRY_AGAIN)


def _push(repository: Repository, far: Far, here: Here, depth: int | None) -> None:
    """Push HEAD, the index and what the branch follows; of a shallow history ref by ref.

    (git 2.39 was seen to fail at the second of two refs that end in the same shallow commit.)
    """
    refs = {GIVEN_HEAD: here.point.head} if here.point.head else {}
    refs[GIVEN_INDEX] = here.index
    if here.upstream:
        refs[here.upstream[0]] = here.upstream[1]
    with last_commits(repository, list(refs.values()), depth) as source:
        words = [f"+{commit}:{ref}" for ref, commit in refs.items()]
        shallow = source.run("rev-parse", "--is-shallow-repository") == "true"
        for together in [[word] for word in words] if shallow else [words]:
            far.push(source, together)


def _steps(here: Here) -> list[Sequence[str]]:
    """HEAD first: an index that is ahead of it shows as staged, never as lost."""
    head, branch = here.point.head, here.point.branch
    steps: list[Sequence[str]] = []
    if branch and head:
        steps.append(["git", "update-ref", f"refs/heads/{branch}", head])
    if branch:
        steps.append(["git", "symbolic-ref", "HEAD", f"refs/heads/{branch}"])
    elif head:
        steps.append(["git", "update-ref", "--no-deref", "HEAD", head])
    return [*steps, ["git", "read-tree", GIVEN_INDEX]]


def _set_flags(far: Far, here: Here) -> None:
    if here.to_be_added:
        given = "\0".join(here.to_be_added).encode(errors="surrogateescape")
        add = ("add", "-N", "--pathspec-from-file=-", "--pathspec-file-nul")
        far.git("--literal-pathspecs", *add, given=given)
    for flag, paths in here.flags.items():
        if paths:
            _flag(far, flag, paths)


def _flag(far: Far, flag: str, paths: Sequence[str]) -> None:
    given = "\0".join(paths).encode(errors="surrogateescape")
    far.git("update-index", flag, "-z", "--stdin", given=given)


def _compare(
    repository: Repository, far: Far
) -> tuple[tuple[str, ...], dict[str, tuple[str, str]]]:
    """Return the tracked files that are not there because they are not synced, and what differs.

    The former are marked as not to be looked for: else `git commit -a` would remove them.
    """
    here, there = repository.status(), far.status()
    missing = tuple(path for path, state in there.items() if state[1] == "D")
    not_synced = tuple(path for path in missing if here.get(path, "  ")[1] != "D")
    if not_synced:
        _flag(far, "--skip-worktree", not_synced)
        there = far.status()
    return not_synced, {
        path: (here.get(path, "  "), there.get(path, "  "))
        for path in sorted(here.keys() | there.keys())
        if here.get(path) != there.get(path)
    }
