"""git on the machine: a real repository there, by git's own transport over the Line."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.laptop import Laptop, next_machine, save, wait_content, wait_until
from towline.errors import ExitCode

Git = Callable[..., str]


def git_in(folder: Path, home: Path) -> Git:
    """Return what runs git in a folder as the person whose home it is."""

    def git(*arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env={"PATH": "/usr/bin:/bin", "HOME": str(home)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, f"git {arguments}: {done.stdout}{done.stderr}"
        return done.stdout.removesuffix("\n")

    return git


@pytest.fixture
def here(laptop: Laptop) -> Git:
    """Git on the laptop, in a repository with two commits, staged and unstaged changes."""
    home = laptop.directory / "home"
    (home / "ignored").write_text("*.mine\n")
    (home / ".gitconfig").write_text(
        "[user]\nname = Ana\nemail = ana@example.org\n[init]\ndefaultBranch = main\n"
        "[core]\nexcludesFile = ~/ignored\n[commit]\ngpgSign = false\n"
    )
    git = git_in(laptop.project, home)
    git("init", "-q")
    save(laptop.project / ".gitignore", "*.log\n")
    for name in ("kept", "staged", "edited", "both", "removed"):
        save(laptop.project / f"src/{name}.py", f"{name} = 1\n")
    git("add", ".")
    git("commit", "-qm", "one")
    save(laptop.project / "src/kept.py", "kept = 2\n")
    git("commit", "-qam", "two")
    return git


@pytest.fixture
def there(laptop: Laptop) -> Git:
    return git_in(laptop.there, laptop.machine.home)


def disturb(laptop: Laptop, here: Git) -> None:
    """Leave every kind of change that `git status` tells apart."""
    project = laptop.project
    save(project / "src/staged.py", "staged = 2\n")
    save(project / "src/both.py", "both = 2\n")
    save(project / "src/new with space.py", "new = 1\n")
    here("add", "src/staged.py", "src/both.py", "src/new with space.py")
    save(project / "src/both.py", "both = 3\n")
    save(project / "src/edited.py", "edited = 2\n")
    here("rm", "-q", "src/removed.py")
    save(project / "src/untracked.py", "untracked = 1\n")
    save(project / "src/intended.py", "intended = 1\n")
    here("add", "-N", "src/intended.py")
    save(project / "notes.mine", "ignored by the person\n")


STATUS = ("status", "--porcelain=v2", "--branch", "-uall")


def test_status_there_is_exactly_the_laptops(laptop: Laptop, here: Git, there: Git) -> None:
    disturb(laptop, here)
    before = here(*STATUS)
    with laptop.linked():
        (told,) = laptop.tell("git", "setup")
        assert told["differences"] == {}
        assert told["new"] is True
        assert there(*STATUS) == before == here(*STATUS)
        assert there("diff") == here("diff")
        assert there("diff", "--cached") == here("diff", "--cached")
        assert there("log", "--format=%H %an") == here("log", "--format=%H %an")
        assert laptop.tell("git", "status")[0]["relation"] == "same"
        assert not (laptop.project / ".git/index.lock").exists()


def test_commits_made_there_come_back_and_are_taken_over(
    laptop: Laptop, here: Git, there: Git
) -> None:
    with laptop.linked():
        laptop.tell("git", "setup")
        save(laptop.there / "src/edited.py", "edited = 'there'\n")
        wait_content(laptop.project / "src/edited.py", "edited = 'there'\n")
        there("commit", "-qam", "made there")
        commit = there("rev-parse", "HEAD")
        assert there("log", "-1", "--format=%an <%ae>") == "Ana <ana@example.org>"
        assert laptop.tell("git", "status")[0]["relation"] == "not fetched"
        refused = laptop.run("git", "setup")
        assert refused.returncode == ExitCode.HELD
        assert "git fetch" in refused.stderr
        assert there("rev-parse", "HEAD") == commit
        (told,) = laptop.tell("git", "fetch")
        assert (told["relation"], told["only_there"]) == ("there", 1)
        assert here("rev-parse", told["ref"]) == commit
        here("reset", "-q", told["ref"])  # What `towline git fetch` advises.
        assert here("status", "--porcelain") == ""
        assert laptop.tell("git", "setup")[0]["differences"] == {}
        assert laptop.tell("git", "status")[0]["relation"] == "same"


def test_when_both_sides_commit_the_merge_keeps_both(laptop: Laptop, here: Git, there: Git) -> None:
    with laptop.linked():
        laptop.tell("git", "setup")
        save(laptop.there / "src/edited.py", "edited = 'there'\n")
        save(laptop.there / "src/from_there.py", "there = 1\n")
        there("add", ".")
        there("commit", "-qm", "made there")
        save(laptop.project / "src/staged.py", "staged = 'here'\n")
        here("commit", "-qm", "made here", "src/staged.py")
        wait_content(laptop.project / "src/from_there.py", "there = 1\n")
        wait_content(laptop.project / "src/edited.py", "edited = 'there'\n")
        (told,) = laptop.tell("git", "fetch")
        assert (told["relation"], told["only_here"], told["only_there"]) == ("both", 1, 1)
        here("merge", "-q", "-s", "ours", "--no-commit", told["ref"])  # As advised.
        here("add", ".")
        here("commit", "-qm", "both")
        assert here("diff", "HEAD", told["ref"], "--", "src/edited.py", "src/from_there.py") == ""
        assert here("show", "HEAD:src/staged.py") == "staged = 'here'"
        assert laptop.tell("git", "setup")[0]["differences"] == {}
        assert there("rev-parse", "HEAD") == here("rev-parse", "HEAD")
        assert there("status", "--porcelain") == here("status", "--porcelain") == ""


def test_the_machine_pushes_and_stages_and_nothing_of_it_is_dropped(
    laptop: Laptop, here: Git, there: Git
) -> None:
    origin = laptop.directory / "origin.git"
    here("init", "-q", "--bare", str(origin))
    here("remote", "add", "origin", str(origin))
    here("push", "-qu", "origin", "main")
    with laptop.linked():
        laptop.tell("git", "setup")
        assert there("status", "-sb") == here("status", "-sb") == "## main...origin/main"
        save(laptop.there / "src/kept.py", "kept = 3\n")
        there("commit", "-qam", "pushed from there")
        there("push", "-q")
        assert here("ls-remote", "origin", "main").startswith(there("rev-parse", "HEAD"))
        save(laptop.there / "src/kept.py", "kept = 4\n")
        there("add", "src/kept.py")
        save(laptop.there / "src/kept.py", "kept = 5\n")
        wait_content(laptop.project / "src/kept.py", "kept = 5\n")
        here("fetch", "-q")
        here("reset", "-q", "origin/main")
        refused = laptop.run("git", "setup")
        assert refused.returncode == ExitCode.HELD, refused.stderr
        assert "staged on the machine" in refused.stderr
        assert there("show", ":src/kept.py") == "kept = 4"


def test_a_repository_that_is_there_is_left_as_it_is(laptop: Laptop, here: Git, there: Git) -> None:
    laptop.there.mkdir()
    there("init", "-q")
    before = sorted((laptop.there / ".git").rglob("*"))
    with laptop.linked():
        refused = laptop.run("git", "setup")
        assert refused.returncode == ExitCode.REFUSED
        assert "did not make" in refused.stderr
        assert "mv " in refused.stderr
        assert sorted((laptop.there / ".git").rglob("*")) == before


def test_without_a_commit_on_no_branch_and_from_a_shallow_worktree(
    laptop: Laptop, here: Git, there: Git
) -> None:
    here("checkout", "-q", "--detach")
    with laptop.linked():
        laptop.tell("git", "setup")
        assert there(*STATUS) == here(*STATUS)
        here("switch", "-q", "--orphan", "fresh")
        save(laptop.project / "first.py", "first = 1\n")
        here("add", "first.py")
        laptop.tell("git", "setup")
        assert there(*STATUS) == here(*STATUS)
        assert "# branch.oid (initial)" in here(*STATUS)


def test_a_shallow_clone_in_a_worktree_of_its_own(laptop: Laptop, here: Git, there: Git) -> None:
    """The project's `.git` is a file, and its history begins in the middle."""
    home = laptop.directory / "home"
    source = laptop.project.rename(laptop.directory / "source")
    clone = laptop.directory / "clone"
    everywhere = git_in(laptop.directory, home)
    everywhere("clone", "-q", "--depth", "1", f"file://{source}", str(clone))
    git_in(clone, home)("worktree", "add", "-q", "-b", "side", str(laptop.project))
    in_worktree = git_in(laptop.project, home)
    with laptop.linked():
        assert laptop.tell("git", "setup")[0]["differences"] == {}
        assert there("status", "-sb") == in_worktree("status", "-sb") == "## side"
        assert there("rev-list", "--count", "HEAD") == "1"
        save(laptop.there / "src/kept.py", "kept = 3\n")
        there("commit", "-qam", "made there")
        assert laptop.tell("git", "fetch")[0]["only_there"] == 1


def test_only_the_last_commits_of_a_long_history(laptop: Laptop, here: Git, there: Git) -> None:
    for number in range(5):
        here("commit", "-q", "--allow-empty", "-m", f"number {number}")
    with laptop.linked():
        assert laptop.tell("git", "setup", "--depth", "2")[0]["depth"] == 2
        assert there("rev-list", "--count", "HEAD") == "2"
        assert there("status", "-sb") == here("status", "-sb")
        save(laptop.there / "src/kept.py", "kept = 3\n")
        there("commit", "-qam", "made there")
        assert laptop.tell("git", "fetch")[0]["only_there"] == 1


@pytest.mark.parametrize("name", ["machine", "other"])
def test_the_next_machine_gets_the_repository_by_itself(
    laptop: Laptop, here: Git, short_path: Path, name: str
) -> None:
    with laptop.linked():
        laptop.tell("git", "setup")
    disturb(laptop, here)
    with next_machine(laptop, short_path / "machine2") as machine:
        with laptop.linked(name) as link:
            told = link.wait_for("equipped")
            assert (told["steps"], told["left"]) == (["git"], []), link.story()
            there = git_in(laptop.there, machine.home)
            assert there(*STATUS) == here(*STATUS)
        with laptop.linked(name) as link:  # Once is enough.
            wait_until(lambda: laptop.status()["behind_files"] == 0, "in step")
            assert laptop.tell("git", "status")[0]["relation"] == "same"
            assert not link.named("equipped")


def test_what_is_tracked_but_not_synced_is_not_missing_there(
    laptop: Laptop, here: Git, there: Git
) -> None:
    save(laptop.project / ".towlineignore", "/big\n")
    save(laptop.project / "big/data.bin", "0" * 1000)
    here("add", ".")
    here("commit", "-qm", "data")
    with laptop.linked():
        (told,) = laptop.tell("git", "setup")
        assert told["not_synced"] == ["big/data.bin"]
        assert told["differences"] == {}
        save(laptop.there / "src/kept.py", "kept = 3\n")
        there("commit", "-qam", "made there")
        assert there("show", "HEAD", "--format=", "--name-only") == "src/kept.py"


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (
            lambda git, project: save(project / ".gitattributes", "*.bin filter=lfs\n"),
            "a filter (lfs",
        ),
        (lambda git, project: (project / ".git/MERGE_HEAD").write_text("0" * 40), "a merge"),
        (lambda git, project: git("rm", "-rq", "--cached", "."), None),
        (
            lambda git, project: git(
                "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},vendored"
            ),
            "submodules",
        ),
    ],
)
def test_what_cannot_be_carried_over_is_said(
    laptop: Laptop, here: Git, prepare: Callable[[Git, Path], None], says: str | None
) -> None:
    save(laptop.project / "weights.bin", "0")
    here("add", ".")
    prepare(here, laptop.project)
    with laptop.linked():
        done = laptop.run("git", "setup")
        if says is None:
            assert done.returncode == 0, done.stderr
        else:
            assert done.returncode == ExitCode.FAILED or done.returncode == ExitCode.TRY_AGAIN
            assert says in done.stderr
            assert not (laptop.there / ".git").exists()


def test_a_project_that_is_no_repository(laptop: Laptop) -> None:
    with laptop.linked():
        assert "not a git repository" in laptop.run("git", "setup").stderr
        wait_until(lambda: not (laptop.there / ".git").exists(), "nothing was made there")


def test_a_shell_there_may_use_the_agent_here(laptop: Laptop, tmp_path: Path) -> None:
    if shutil.which("ssh-agent") is None:
        pytest.skip("needs ssh-agent")
    config = laptop.machine.config
    config.write_text(config.read_text().replace("IdentityAgent none", "IdentitiesOnly no"))
    agent = laptop.directory / "agent.sock"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(agent)], stdout=subprocess.DEVNULL) as one:
        try:
            keys = {"SSH_AUTH_SOCK": str(agent)}
            environment = {**laptop.environment, **keys}

            def answers() -> bool:  # That its socket is there is not enough: it listens later.
                asked = subprocess.run(["ssh-add", "-l"], env=environment, capture_output=True)
                return asked.returncode == 1  # It holds none.

            wait_until(answers, "the agent answers")
            key = laptop.machine.directory / "user_key"
            subprocess.run(["ssh-add", "-q", key], env=environment, check=True)
            with laptop.linked():
                lent = laptop.run("ssh", "-A", "--", "ssh-add", "-l", environment=keys)
                assert "user_key" in lent.stdout, lent.stderr
                kept = laptop.run("ssh", "--", "ssh-add", "-l", environment=keys)
                assert kept.returncode == 2  # No agent to ask.
        finally:
            one.kill()
