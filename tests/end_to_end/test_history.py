"""The history of a real package as a stream of edits: `git checkout`, back and forth."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import time
from pathlib import Path

from tests.end_to_end.laptop import Laptop, contents, difference

CHECKOUTS = 12
TRANSLATIONS = shutil.ignore_patterns("locale")  # Two files of three, and all of one kind.
REVISIONS_MAX = 4  # Of one checkout: it is one save as far as git lets us see.


def git(project: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "gc.auto=0"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=project, capture_output=True, text=True, check=True
    )
    return done.stdout


def commit_releases(project: Path, releases: dict[str, Path]) -> None:
    git(project, "init", "-q", "-b", "main")
    for version, folder in releases.items():
        for path in project.iterdir():
            if path.name != ".git":
                shutil.rmtree(path)
        shutil.copytree(folder / "django", project / "django", ignore=TRANSLATIONS)
        git(project, "add", "-A")
        git(project, "commit", "-q", "-m", version)
        git(project, "tag", f"v{version}")


def test_checkouts_of_releases_back_and_forth(laptop: Laptop, releases: dict[str, Path]) -> None:
    commit_releases(laptop.project, releases)
    with laptop.linked(timeout_s=60) as link:
        laptop.assert_equal()
        for number, version in zip(range(CHECKOUTS), itertools.cycle(releases)):
            mark = link.mark()
            git(laptop.project, "checkout", "-q", f"v{version}")
            began = time.monotonic()
            laptop.flush(60)
            took_s = time.monotonic() - began
            here, there = contents(laptop.project), contents(laptop.there)
            assert here == there, difference(here, there)
            files = {path for path, what in there.items() if what != "directory"}
            assert files == set(git(laptop.project, "ls-files").splitlines())
            told = [event for event in link.events[mark:] if event["event"] == "revision"]
            changes = sum(event["changes"] for event in told)
            print(
                f"checkout {number:2} v{version}: {changes:5} changes in {len(told)} revisions, "
                f"flush after {took_s:.2f} s"
            )
            assert len(told) <= REVISIONS_MAX
        assert link.named("conflict") == []
    laptop.assert_tidy()
