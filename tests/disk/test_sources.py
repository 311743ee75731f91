"""The rules of a project are found where git finds them, with real repositories."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from towline.core.ignore import DEFAULT_SOURCE, Rules, Source, SourceKind
from towline.core.problem import Problem, ProblemKind
from towline.disk import sources as module
from towline.disk.sources import is_rule_file, read_sources


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("GIT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "global.config"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "someone")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "someone@example.org")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    made.mkdir()
    return made


def git(at: Path, *args: str) -> str:
    return subprocess.run(["git", *args], cwd=at, check=True, capture_output=True, text=True).stdout


def write(at: Path, content: str = "") -> Path:
    at.parent.mkdir(parents=True, exist_ok=True)
    at.write_text(content)
    return at


def found(root: Path) -> list[tuple[SourceKind, str, str, tuple[str, ...]]]:
    return [
        (source.kind, source.directory, source.origin, source.lines)
        for source in read_sources(root)
        if source != DEFAULT_SOURCE
    ]


def synced(root: Path) -> Iterator[str]:
    """Yield the files that the rules let through."""
    rules = Rules(read_sources(root))
    for directory, _, names in os.walk(root):
        for name in names:
            path = Path(directory, name).relative_to(root).as_posix()
            if not rules.ignores(path, False):
                yield path


def test_a_folder_without_rules_has_the_defaults(root: Path) -> None:
    assert read_sources(root) == [DEFAULT_SOURCE]


def test_ignore_files_are_found_in_every_directory_that_is_not_ignored(root: Path) -> None:
    write(root / ".gitignore", "out/\n")
    write(root / "out/.gitignore", "!x\n")
    write(root / "a/b/.gitignore", "*.tmp")
    write(root / "a/.towlineignore", "c")
    write(root / ".venv/.gitignore", "*")
    assert found(root) == [
        (SourceKind.GIT_IGNORE, "", ".gitignore", ("out/",)),
        (SourceKind.TOWLINE_IGNORE, "a", "a/.towlineignore", ("c",)),
        (SourceKind.GIT_IGNORE, "a/b", "a/b/.gitignore", ("*.tmp",)),
    ]


def test_a_directory_that_towlineignore_brings_back_is_searched(root: Path) -> None:
    write(root / ".gitignore", "outputs/\n")
    write(root / ".towlineignore", "!outputs/\n")
    write(root / "outputs/.gitignore", "*.tmp\n")
    write(root / "outputs/a.txt")
    write(root / "outputs/b.tmp")
    assert "outputs/a.txt" in synced(root)
    assert "outputs/b.tmp" not in synced(root)


def test_the_configuration_ranks_below_towlineignore_and_above_gitignore(root: Path) -> None:
    write(root / ".gitignore", "!a\n!b\n")
    write(root / ".towlineignore", "!b\n")
    rules = Rules(read_sources(root, ["a", "b"]))
    assert rules.ignores("a", False)
    assert not rules.ignores("b", False)
    verdict = str(rules.explain("a", False))
    assert verdict == 'a is not synced: it matches "a" (towline\'s configuration:1)'


def test_git_s_own_files_are_read(root: Path, tmp_path: Path) -> None:
    git(root, "init", "-q")
    write(root / ".git/info/exclude", "private\n")
    git(root, "config", "core.excludesFile", str(write(tmp_path / "mine", "*.mine\n")))
    assert found(root) == [
        (SourceKind.EXCLUDES_FILE, "", "core.excludesFile", ("*.mine",)),
        (SourceKind.INFO_EXCLUDE, "", ".git/info/exclude", ("private",)),
    ]


@pytest.mark.parametrize("has_git", [True, False])
def test_without_a_setting_git_s_default_place_is_read(
    has_git: bool, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "xdg/git/ignore", "*.global\n")
    if not has_git:
        monkeypatch.setenv("PATH", str(tmp_path))
    assert found(root) == [(SourceKind.EXCLUDES_FILE, "", "core.excludesFile", ("*.global",))]


def test_a_tilde_in_the_setting_is_the_home(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "global.config", "[core]\n\texcludesFile = ~/mine\n")
    write(tmp_path / "mine", "x\n")
    assert [lines for _, _, _, lines in found(root)] == [("x",)]


def test_a_setting_of_nothing_means_none(root: Path, tmp_path: Path) -> None:
    write(tmp_path / "xdg/git/ignore", "*.global\n")
    git(root, "init", "-q")
    git(root, "config", "core.excludesFile", "")
    write(root / "a.global")
    assert SourceKind.EXCLUDES_FILE not in [kind for kind, *_ in found(root)]
    assert git(root, "status", "--porcelain") == "?? a.global\n"


def test_a_relative_setting_is_below_the_top_of_the_repository(root: Path) -> None:
    git(root, "init", "-q")
    git(root, "config", "core.excludesFile", "mine")
    write(root / "mine", "*.mine\n")
    write(root / "inside/a.mine")
    assert ("*.mine",) in [lines for *_, lines in found(root / "inside")]
    assert git(root / "inside", "check-ignore", "a.mine") == "a.mine\n"


def test_a_worktree_has_the_repository_s_exclude_file(root: Path, tmp_path: Path) -> None:
    git(root, "init", "-q")
    git(root, "commit", "-q", "--allow-empty", "-m", "first")
    git(root, "worktree", "add", "-q", str(tmp_path / "tree"))
    write(root / ".git/info/exclude", "private\n")
    assert [lines for _, _, _, lines in found(tmp_path / "tree")] == [("private",)]


def test_a_submodule_has_its_own_exclude_file(root: Path, tmp_path: Path) -> None:
    for at in (root, tmp_path / "part"):
        at.mkdir(exist_ok=True)
        git(at, "init", "-q")
        git(at, "commit", "-q", "--allow-empty", "-m", "first")
    part = str(tmp_path / "part")
    git(root, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", part, "sub")
    where = Path(git(root / "sub", "rev-parse", "--git-path", "info/exclude").strip())
    write(root / "sub" / where, "private\n")
    assert [lines for _, _, _, lines in found(root / "sub")] == [("private",)]


def test_the_rules_above_a_project_inside_a_repository_count(root: Path) -> None:
    git(root, "init", "-q")
    (root / ".git/info/exclude").write_text("")
    paths = ["x.ckpt", "data/a", "build/a", "src/build/a", "keep.ckpt", "src/only", "only"]
    write(root / ".gitignore", "*.ckpt\npackages/one/build\npackages/*/data/\n/only\n")
    write(root / "packages/.gitignore", "!keep.ckpt\none/src/only\n")
    one = root / "packages/one"
    for path in paths:
        write(one / path)
    theirs = subprocess.run(
        ["git", "check-ignore", "--stdin"], cwd=one, input="\n".join(paths),
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert theirs == ["x.ckpt", "data/a", "build/a", "src/only"]
    assert sorted(synced(one)) == sorted(set(paths) - set(theirs))
    origins = [origin for _, _, origin, _ in found(one)]
    assert sorted(origins) == ["../../.gitignore", "../.gitignore"]


def test_a_repository_that_ignores_the_whole_project_has_no_say(root: Path) -> None:
    git(root, "init", "-q")
    write(root / ".gitignore", "*\n")
    write(root / "code/project/a.py")
    assert list(synced(root / "code/project")) == ["a.py"]


def test_an_ignore_file_that_is_a_link_is_not_followed(root: Path, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", "*\n")
    (root / ".gitignore").symlink_to(tmp_path / "elsewhere")
    assert found(root) == []


def test_a_link_to_a_directory_is_not_walked(root: Path, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere/.gitignore", "*\n")
    (root / "link").symlink_to(tmp_path / "elsewhere")
    assert found(root) == []


def test_a_pipe_named_like_an_ignore_file_is_not_waited_for(root: Path) -> None:
    os.mkfifo(root / ".gitignore")
    assert found(root) == []


def test_an_ignore_file_that_is_too_large_is_reported(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FILE_SIZE_MAX", 10)
    write(root / "a/.gitignore", "x\n" * 10)
    write(root / ".gitignore", "x\n" * 5)
    problems: list[Problem] = []
    sources = read_sources(root, report=problems.append)
    assert [source.origin for source in sources[1:]] == [".gitignore"]
    assert problems == [Problem("a/.gitignore", ProblemKind.TOO_LARGE, problems[0].detail)]


def test_what_cannot_be_read_is_reported_and_the_rest_is_found(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root / "a/.gitignore", "x\n")
    write(root / "b/.gitignore", "y\n")
    real = os.open

    def refuse(path: Path, flags: int) -> int:
        if Path(path).parent.name == "a":
            raise PermissionError(13, "Permission denied")
        return real(path, flags)

    monkeypatch.setattr(module.os, "open", refuse)  # Root may read everything.
    problems: list[Problem] = []
    sources = read_sources(root, report=problems.append)
    assert [source.origin for source in sources[1:]] == ["b/.gitignore"]
    assert problems == [Problem("a/.gitignore", ProblemKind.UNREADABLE, "Permission denied")]


def test_an_ignore_file_that_lies_too_deep_is_a_problem(root: Path) -> None:
    write(root / ("d/" * 101) / ".gitignore", "x\n")
    problems: list[Problem] = []
    read_sources(root, report=problems.append)
    assert [problem.kind for problem in problems] == [ProblemKind.NAME]


def test_a_link_or_a_folder_named_like_an_ignore_file_is_none(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    write(tmp_path / "elsewhere", "x\n")
    (tmp_path / ".gitignore").symlink_to("elsewhere")
    (tmp_path / "a/.gitignore").mkdir(parents=True)
    (tmp_path / "a/b").mkdir()
    problems: list[Problem] = []
    read_sources(tmp_path / "a/b", report=problems.append)
    assert problems == []


def test_sources_found_by_walking_make_the_same_rules_at_once(root: Path) -> None:
    """What the walk steps over by its partial rules is what the whole rules step over."""
    write(root / ".gitignore", "b/\n")
    write(root / "a/.gitignore", "!b/\nc/\n")
    write(root / "a/b/.gitignore", "d\n")
    write(root / "a/c/.gitignore", "never\n")
    write(root / "b/.gitignore", "never\n")
    sources = read_sources(root)
    assert [s.origin for s in sources[1:]] == [".gitignore", "a/.gitignore", "a/b/.gitignore"]
    rules = Rules(sources)
    assert rules.ignores("a/b/d", False)
    assert not rules.ignores("a/b/e", False)


def test_a_bare_source_has_no_line_for_the_final_line_end(root: Path) -> None:
    (root / ".gitignore").write_bytes(b"\xef\xbb\xbfa\r\n\n")
    source = Source(SourceKind.GIT_IGNORE, "", ".gitignore", ("a\r", ""))
    assert read_sources(root)[1:] == [source]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".gitignore", True),
        ("a/b/.towlineignore", True),
        ("gitignore", False),
        (".gitignore/x", False),
        (".git/info/exclude", False),
    ],
)
def test_a_rule_file_is_known_by_its_name(path: str, expected: bool) -> None:
    assert is_rule_file(path) is expected
