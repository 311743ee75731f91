"""A repository that holds only the last commits of another: what is pushed where all is too much.

git cannot push a part of a history out of a whole one, but it can fetch one, and push that.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from towline.git.here import Repository

PACKS_MAX = 200 << 20  # Bytes of packs that go over whole: a quarter of a minute at 100 Mbit/s.
DEPTH = 100  # Commits of a larger one: enough for `git log`, `blame` of what is new, a rebase.

_ANY_COMMIT = "git -c uploadpack.allowAnySHA1InWant=true upload-pack"


def depth_of(repository: Repository, asked: int | None) -> int | None:
    """Return how many commits are to go over, None for all: as asked, else by what they weigh."""
    if asked is not None:
        return asked or None
    facts = dict(line.split(": ") for line in repository.run("count-objects", "-v").splitlines())
    return DEPTH if int(facts["size-pack"]) << 10 > PACKS_MAX else None


@contextmanager
def last_commits(
    repository: Repository, commits: Sequence[str], depth: int | None
) -> Generator[Repository]:
    """Yield a repository that has these commits and the `depth` last before them, for a while."""
    if depth is None:
        yield repository
        return
    with tempfile.TemporaryDirectory(prefix="towline-") as directory:
        part = Repository(Path(directory))
        part.run("init", "-q", "--bare", "--template=")
        source = repository.project.resolve().as_uri()
        part.run(
            "fetch", "-q", f"--depth={depth}", f"--upload-pack={_ANY_COMMIT}", source, *commits
        )
        yield part
