"""A machine's change to what this laptop goes by is not taken; any other is."""

from __future__ import annotations

from pathlib import Path

import pytest

from towline.core.change import Change
from towline.core.entry import Entry, File, Symlink, digest_of
from towline.core.ignore import DEFAULT_SOURCE, Rules
from towline.disk.sources import read_sources
from towline.unasked import Unasked

PROXY = b'[tool.towline.ssh]\noptions = ["ProxyCommand=touch /tmp/pwned"]\n'
PROJECT = b'[project]\nname = "x"\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path.resolve() / "project"
    root.mkdir()
    return root


def refused(root: Path, *told: tuple[str, bytes | Entry | None], sends: bool = True) -> set[str]:
    """Return what is not taken of these files of a machine."""
    guard = Unasked(root, root, lambda: Rules(read_sources(root)), lambda _: sends)
    contents = {digest_of(new): new for _, new in told if isinstance(new, bytes)}
    changes = [
        Change(path, None, File(digest_of(new), False, len(new)) if isinstance(new, bytes) else new)
        for path, new in told
    ]
    judged = [change for change in changes if guard.concerns(change.path)]
    return set(guard.refusals(judged, contents))


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("pyproject.toml", PROJECT + PROXY),
        ("PyProject.toml", PROXY),
        ("towline.toml", b'sync = [{source = "/home/ana/.ssh", destination = "keys"}]\n'),
        ("Towline.TOML", b'[keep]\nto = "/x"\npassword = "command:touch /tmp/pwned"\n'),
    ],
)
def test_settings_of_the_machine_are_not_taken(root: Path, path: str, content: bytes) -> None:
    assert refused(root, (path, content)) == {path}


def test_what_is_no_setting_is_taken(root: Path) -> None:
    (root / "pyproject.toml").write_bytes(PROJECT + PROXY)
    more = PROJECT + b'dependencies = ["numpy"]\n' + PROXY
    assert refused(root, ("pyproject.toml", more), ("sub/pyproject.toml", PROXY)) == set()


def test_settings_are_not_taken_away(root: Path) -> None:
    (root / "towline.toml").write_text('ignore = ["secret"]\n')
    assert refused(root, ("towline.toml", None)) == {"towline.toml"}
    assert refused(root, ("towline.toml", b"no toml [")) == {"towline.toml"}


def test_no_link_takes_the_place_of_settings(root: Path) -> None:
    assert refused(root, ("towline.toml", Symlink("evil.toml"))) == {"towline.toml"}


def test_settings_that_a_link_here_leads_to_are_settings(root: Path) -> None:
    (root / "towline.toml").symlink_to("conf.toml")
    (root / "conf.toml").write_text("")
    assert refused(root, ("conf.toml", b'machine = "evil"\n')) == {"conf.toml"}


def test_a_content_that_is_not_known_is_not_taken(root: Path) -> None:
    large = File(digest_of(b"x"), False, 1)
    assert refused(root, ("towline.toml", large), (".gitignore", large)) == {
        "towline.toml",
        ".gitignore",
    }


@pytest.fixture
def secrets(root: Path) -> Path:
    """A project with two files that are left out, one of them twice."""
    (root / ".gitignore").write_text("*.log\n/secret\n")
    (root / "sub").mkdir()
    (root / "sub" / ".gitignore").write_text(".env\n")
    (root / "sub" / ".env").write_text("TOKEN=1\n")
    (root / "secret" / "deep").mkdir(parents=True)
    (root / "secret" / "deep" / "key").write_text("1\n")
    return root


@pytest.mark.parametrize(
    ("path", "content"),
    [
        (".gitignore", b"*.log\n"),
        (".GitIgnore", b"*.log\n"),
        (".gitignore", None),
        (".towlineignore", b"!/secret\n"),
        ("sub/.gitignore", None),
        ("sub/.towlineignore", b"!.env\n"),
    ],
)
def test_no_ignore_file_has_us_send_what_is_left_out(
    secrets: Path, path: str, content: bytes | None
) -> None:
    assert refused(secrets, (path, content)) == {path}
    assert refused(secrets, (path, content), sends=False) == set()


def test_an_ignore_file_that_lets_nothing_go_is_taken(secrets: Path) -> None:
    assert refused(secrets, (".gitignore", b"/secret\n"), ("new/.gitignore", b"*\n")) == set()


def test_two_ignore_files_open_nothing_together(secrets: Path) -> None:
    (secrets / ".gitignore").write_text("/secret\n.env\n")
    assert refused(secrets, ("sub/.gitignore", None)) == set()
    both = ((".gitignore", b"/secret\n"), ("sub/.gitignore", None))
    assert len(refused(secrets, *both)) == 1


def test_an_empty_directory_and_what_is_always_left_out_are_no_reason(root: Path) -> None:
    (root / ".gitignore").write_text("build/\n")
    (root / "build" / "__pycache__").mkdir(parents=True)
    (root / "build" / "__pycache__" / "a.pyc").touch()
    assert DEFAULT_SOURCE in read_sources(root)
    assert refused(root, (".gitignore", b"")) == set()
