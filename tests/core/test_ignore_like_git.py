"""Our answers and git's are the same, for rules and trees of every kind."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from towline.core.ignore import GIT_IGNORE, Rules, Source, SourceKind, lines_of

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="needs names of any bytes, as Linux has them"
)

_ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "XDG_CONFIG_HOME": os.devnull,
}


class Repository:
    """A real repository whose ignore files and tree a test sets."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q")
        self.git("config", "core.protectHFS", "false")
        self.git("config", "core.protectNTFS", "false")

    def git(self, *args: str, content: bytes = b"") -> bytes:
        done = subprocess.run(
            ["git", *args], cwd=self.root, env=_ENVIRONMENT, input=content, capture_output=True
        )
        assert done.returncode in (0, 1), done.stderr  # 1: no path is ignored.
        return done.stdout

    def write(self, files: Mapping[str, bytes]) -> None:
        for path, content in files.items():
            at = self.root / path
            at.parent.mkdir(parents=True, exist_ok=True)
            at.write_bytes(content)

    def make(self, paths: Iterable[str]) -> None:
        """Make empty files, and directories where a path ends in a slash."""
        for path in paths:
            if path.endswith("/"):
                (self.root / path).mkdir(parents=True, exist_ok=True)
            else:
                self.write({path: b""})

    def ignored(self, paths: Iterable[str]) -> dict[str, tuple[bool, str, int]]:
        """Return for each path whether it is ignored, and the file and line that say so.

        The line is 0 where no rule matches.
        """
        asked = list(paths)
        content = b"".join(b"./" + os.fsencode(path) + b"\0" for path in asked)
        said = self.git(
            "check-ignore", "--no-index", "--stdin", "-z", "-v", "-n", content=content
        ).split(b"\0")
        answers: dict[str, tuple[bool, str, int]] = {}
        for path, (source, line, pattern, echoed) in zip(
            asked, zip(*[iter(said)] * 4, strict=False), strict=True
        ):
            assert os.fsdecode(echoed) == f"./{path}"
            ignored = bool(pattern) and not pattern.startswith(b"!")
            answers[path] = (ignored, os.fsdecode(source), int(line or 0))
        return answers


IGNORE_FILES = {
    ".git/info/exclude": SourceKind.INFO_EXCLUDE,
    "excludes": SourceKind.EXCLUDES_FILE,
}


def rules_for(files: Mapping[str, bytes]) -> Rules:
    sources: list[Source] = []
    for path, content in files.items():
        directory, _, name = path.rpartition("/")
        if name == GIT_IGNORE:
            kind = SourceKind.GIT_IGNORE
        else:
            kind, directory = IGNORE_FILES[path], ""
        sources.append(Source(kind, directory, path, lines_of(content)))
    return Rules(sources)


def assert_like_git(repository: Repository, files: Mapping[str, bytes], paths: list[str]) -> None:
    """Compare the answer, and the file and line it is due to, for every path."""
    rules = rules_for(files)
    for path, (ignored, origin, line) in repository.ignored(p.rstrip("/") for p in paths).items():
        is_directory = (repository.root / path).is_dir()
        verdict = rules.explain(path, is_directory)
        found = verdict.rule
        ours = (verdict.ignored, found.origin if found else "", found.line if found else 0)
        assert ours == (ignored, origin, line), (files, path, is_directory)
        assert rules.ignores(path, is_directory) is ignored


NASTY: list[tuple[bytes, str]] = [
    (rb"foo", "foo foo/a a/foo a/foo/b foobar barfoo"),
    (rb"foo/", "foo a/foo/b b/foo"),
    (rb"/foo", "foo a/foo"),
    (rb"/foo/", "foo/x a/foo/x"),
    (rb"foo/bar", "foo/bar a/foo/bar foo/bar/x foo/x/bar"),
    (rb"foo//", "foo/x"),
    (rb"//foo", "foo a/foo"),
    (rb"/", "a b/c"),
    (rb"//", "a b/c"),
    (rb"*", "a a/b .hidden"),
    (rb"/*", "a a/b"),
    (rb"*/", "a b/c"),
    (rb"*/*", "a b/c b/d/e"),
    (rb"**", "a b/c"),
    (rb"/**", "a b/c"),
    (rb"**/", "a b/c"),
    (rb"**/foo", "foo a/foo a/b/foo xfoo a/xfoo"),
    (rb"**/foo/bar", "foo/bar a/foo/bar a/b/foo/bar a/xfoo/bar"),
    (rb"foo/**", "foo foo/a foo/a/b a/foo/b"),
    (rb"foo/**/", "foo/a foo/a/b"),
    (rb"foo/**/bar", "foo/bar foo/a/bar foo/a/b/bar foobar foo/xbar"),
    (rb"foo**/bar", "foo/bar fooa/bar fooa/b/bar foo/a/bar"),
    (rb"foo/**bar", "foo/bar foo/xbar foo/a/bar foo/a/xbar"),
    (rb"foo/b**", "foo/b foo/bar foo/bar/baz foo/bx/y"),
    (rb"foo/?**", "foo/b foo/bar foo/bar/baz"),
    (rb"a/**b/c", "a/b/c a/xb/c a/x/b/c"),
    (rb"?/**b/c", "a/b/c a/xb/c a/x/b/c"),
    (rb"**/**/foo", "foo a/foo a/b/foo"),
    (rb"**/a/**/b", "a/b x/a/b a/y/b x/a/y/z/b xa/b a/yb"),
    (rb"**/a*b*c/**/d", "abc/d axbxc/d x/aabbcc/y/d ab/c/d"),
    (rb"a/***/b", "a/b a/x/b a/x/y/b"),
    (rb"**foo", "foo xfoo a/xfoo"),
    (rb"foo**", "foo foox a/foox"),
    (rb"**\/foo", "foo a/foo a/b/foo"),
    (rb"a\/**", "a/b a/b/c"),
    (rb"a/**\/b", "a/b a/x/b"),
    (rb"?oo", "foo oo fooo zoo"),
    (rb"a?b", "a/b axb a/axb"),
    (rb"a/?", "a/b a/bc a/b/c"),
    (b"a/\xc3?", "a/\u00e9 a/x"),
    ("\u00e9".encode(), "\u00e9 e\u0301 a/\u00e9"),
    (b"??", "\u00e9 ab x"),
    (b"[\xc3][\xa9]", "\u00e9 ab"),
    (b"*\xa9", "\u00e9 a"),
    (b"caf\xe9", "caf\udce9 caf\u00e9"),
    (rb"[ab]", "a b c"),
    (rb"[!ab]", "a b c"),
    (rb"[^ab]", "a b c ^"),
    (rb"[a-c]x", "ax bx dx -x"),
    (rb"[c-a]x", "ax bx cx"),
    (rb"[]]", "] a"),
    (rb"[]-a]", "] ^ a b -"),
    (rb"[!]]", "] a"),
    (rb"[a-]", "a - b"),
    (rb"[-a]", "a - b"),
    (rb"[--0]", "- . 0 1"),
    (rb"[a-c-e]", "a b c d e -"),
    (rb"[\]]", "] \\"),
    (rb"[\a-\c]", "a b c \\"),
    (rb"[a\-c]", "a - b c"),
    (rb"[[:alpha:]]x", "ax 1x [x"),
    (rb"[[:digit:][:upper:]_]", "1 A _ a"),
    (rb"[[:nonsense:]]", "n a ["),
    (rb"[[:]", "[ : a"),
    (rb"[[:a]x", "[x :x ax"),
    (rb"[[::]]", "[ : ] :] []"),
    (rb"[[:alpha:", "a"),
    (rb"[a-[:digit:]]", "a] [] :] d] 1"),
    (rb"[", "[ a"),
    (rb"[a", "a [a"),
    (rb"a[]b", "a[]b ab"),
    (rb"[!]", "! ]"),
    (rb"a[/]b", "a/b axb"),
    (rb"a[!x]b", "a/b ayb"),
    (rb"a[.-0]b", "a/b a.b a0b"),
    (rb"\#a", "#a a"),
    (rb"#a", "#a a"),
    (rb"\!a", "!a a"),
    (rb"!a", "a"),
    (rb"!!a", "!a a"),
    (rb" a", "a"),
    (rb"a\b", "ab a\\b"),
    (rb"a\\b", "ab a\\b"),
    (rb"a\*", "a* ab"),
    (rb"a\ ", "a a\\"),
    (rb"a\\ ", "a a\\"),
    (rb"a\\\  ", "a a\\"),
    (rb"a   ", "a"),
    (b"a\t", "a a\t"),
    (rb"a\ b ", "a"),
    (b"a\\", "a a\\"),
    (b"a/\\", "a/b a/\\"),
    (b"a\\/", "a/x a\\/x"),
    (b"a\r", "a a\r"),
    (b"a\r\r", "a a\r"),
    (b"a \r", "a"),
    (b"a\r ", "a a\r"),
    (b"a\0b", "a ab"),
    (b"\0", "a"),
    (b"\xef\xbb\xbfa", "a \ufeffa"),
    (b"b\n\xef\xbb\xbfa", "a \ufeffa b"),
    (b"a\n\n\nb", "a b c"),
    (b"a", "a b"),
    (b"\r\n \n#\na", "a # \r"),
    (b"a\n!a", "a"),
    (b"*.log\n!keep.log", "a.log keep.log d/keep.log"),
    (b"d/\n!d/keep", "d/keep d/x"),
    (b"d/*\n!d/keep", "d/keep d/x"),
    (b"*\n!*/\n!*.py", "a.py d/a.py d/a.txt"),
    (b"/*\n!/src\n/src/*\n!/src/keep", "a src/a src/keep/b"),
    (b"*.egg-info/", "x.egg-info/a y.egg-info"),
    (b"*a*a*b", "aab aaa xaxaxb ab"),
    (b"x*y?z*w", "xyazw xyayazzw xyzw"),
    (b"a/*b*c/d", "a/bc/d a/xbxcx/d a/xbxc/d"),
    (b"*foo", "foo xfoo a/xfoo"),
    (b"*f\\oo", "foo xfoo"),
    (b"*foo/", "xfoo/a"),
]


@pytest.mark.parametrize(("content", "names"), NASTY, ids=[repr(c) for c, _ in NASTY])
def test_a_nasty_pattern_means_what_it_means_to_git(
    content: bytes, names: str, tmp_path: Path
) -> None:
    repository = Repository(tmp_path)
    for name in names.split(" "):
        # A row may name one path both as a file and as a directory; the first one counts.
        with contextlib.suppress(FileExistsError, NotADirectoryError, IsADirectoryError):
            repository.make([name])
    repository.write({GIT_IGNORE: content})
    paths = [str(p.relative_to(tmp_path)) for p in walk(tmp_path)]
    assert_like_git(repository, {GIT_IGNORE: content}, paths)


def walk(root: Path) -> Iterator[Path]:
    for path in root.iterdir():
        if path.name != ".git":
            yield path
            if path.is_dir():
                yield from walk(path)


def test_every_byte_is_in_the_same_classes(tmp_path: Path) -> None:
    names = [
        bytes([code]).decode("utf-8", "surrogateescape") + "x"
        for code in range(1, 256)
        if code != ord("/")
    ]
    repository = Repository(tmp_path)
    repository.make(names)
    classes = ["alnum", "alpha", "blank", "cntrl", "digit", "graph"]
    classes += ["lower", "print", "punct", "space", "upper", "xdigit"]
    contents = [*(f"[[:{name}:]]x" for name in classes), "[!-~]x", "[!!-~]x", "?x", "\\?x"]
    for content in contents:
        repository.write({GIT_IGNORE: content.encode()})
        assert_like_git(repository, {GIT_IGNORE: content.encode()}, names)


TREE = [
    "/".join(names) + end
    for depth in (1, 2, 3)
    for names in itertools.product(*[["a", "b", "ab"], ["a", "b.c", "[a]"], ["b", "a-b"]][:depth])
    for end in ["/" if depth < 3 else ""]
]
LEAVES = ["a.c", "a/x", "b/x.c", "ab/a/\u00e9", "ab/a/b\\", "b/b.c/#a", "a/a/!a", "a/[a]/a "]

names = st.sampled_from(["a", "b", "ab", ".c", "x", "\u00e9", " ", "\r", "!", "#", "-"])
globs = st.sampled_from(["*", "**", "?", "/", "/", "/**", "**/", "\\", "\\a"])
classes = st.sampled_from(["[ab]", "[!a]", "[a-c]", "[", "]", "[[:alpha:]]"])
patterns = st.lists(names | globs | classes, min_size=1, max_size=6).map("".join)
lines = st.tuples(st.sampled_from(["", "", "", "!"]), patterns).map("".join)
contents = st.lists(lines, max_size=6).map(lambda found: "\n".join(found).encode())


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    made = Repository(tmp_path_factory.mktemp("repository"))
    made.make([*TREE, *LEAVES])
    made.git("config", "core.excludesFile", "excludes")
    return made


PLACES = [GIT_IGNORE, f"a/{GIT_IGNORE}", f"ab/a/{GIT_IGNORE}", *IGNORE_FILES]


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(files=st.dictionaries(st.sampled_from(PLACES), contents, max_size=4))
def test_any_rules_mean_what_they_mean_to_git(
    repository: Repository, files: dict[str, bytes]
) -> None:
    repository.write({path: files.get(path, b"") for path in PLACES})
    assert_like_git(repository, files, [*TREE, *LEAVES])
