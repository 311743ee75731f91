"""Where things live, who may read them, and what is remembered of a workspace."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from towline.errors import ExitCode, UserError
from towline.line.options import SshOptions
from towline.places import (
    SOCKET_PATH_MAX,
    Workspaces,
    as_name,
    ensure_private,
    places_of,
    runtime_dir,
    state_dir,
    write_private,
)
from towline.request import split_destination

pytestmark = pytest.mark.usefixtures("homes")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_state_and_sockets_are_private(homes):
    places = places_of("0123456789abcdef")
    assert places.state == homes / "state" / "towline" / "0123456789abcdef.sqlite"
    assert places.log.suffix == ".log"
    assert mode(state_dir()) == mode(places.socket.parent) == 0o700


def test_without_xdg_the_systems_own_place_is_used(homes, monkeypatch):
    monkeypatch.delenv("XDG_STATE_HOME")
    assert state_dir().is_relative_to(homes)


def test_a_relative_xdg_path_does_not_count(homes, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    assert state_dir().is_absolute()


def test_a_relative_runtime_directory_does_not_count(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", "run")
    assert runtime_dir().is_absolute(), "each directory would have engines of its own"


def test_a_socket_path_is_short_also_where_the_runtime_directory_is_not(tmp_path, monkeypatch):
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    socket = places_of("0" * 16).socket
    assert not socket.is_relative_to(long)
    assert len(os.fsencode(socket)) < SOCKET_PATH_MAX
    assert mode(runtime_dir()) == 0o700


def test_a_directory_that_was_open_to_others_is_closed(tmp_path):
    open_to_all = tmp_path / "open"
    open_to_all.mkdir(mode=0o755)
    assert mode(ensure_private(open_to_all)) == 0o700


def test_a_link_in_the_place_of_a_directory_is_refused(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(UserError, match="not a directory of yours") as raised:
        ensure_private(tmp_path / "link")
    assert raised.value.exit_code == ExitCode.REFUSED


def test_a_state_directory_that_cannot_be_made_is_one_sentence(homes, monkeypatch):
    (homes / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(homes / "file"))
    with pytest.raises(UserError, match="cannot be used: Not a directory") as raised:
        state_dir()
    assert raised.value.exit_code == ExitCode.CANNOT_WRITE


def test_a_write_is_whole_private_and_leaves_nothing_beside(tmp_path):
    path = tmp_path / "home" / "record"
    write_private(path, "one")
    write_private(path, "two")
    assert path.read_text() == "two"
    assert mode(path) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_write_is_on_the_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    """Else a power cut would leave the name with nothing in it."""
    order, real = [], os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: order.append(os.fstat(descriptor).st_size))
    monkeypatch.setattr(os, "replace", lambda *paths: order.append("in place") or real(*paths))
    write_private(tmp_path / "record", "whole")
    assert order == [len("whole"), "in place"]


def test_a_workspace_keeps_its_id_and_what_is_not_said_again(tmp_path):
    ssh = SshOptions(port=2200, options=("A=1",))
    first = Workspaces().ensure(tmp_path, "box", name="mine", ssh=ssh, machine_path="/x")
    again = Workspaces().ensure(tmp_path, "box")
    assert (again.id, again.name, again.ssh, again.machine_path) == (first.id, "mine", ssh, "/x")
    assert again.linked >= first.linked
    assert Workspaces().by_id(first.id) == again
    assert len(first.id) == 16


def test_another_destination_is_another_workspace_named_after_it(tmp_path):
    project = tmp_path / "demo"
    workspaces = Workspaces()
    names = [
        workspaces.ensure(project, host).name for host in ("one", "me@two.org", "ssh://three:2")
    ]
    assert names == ["demo", "demo-two.org", "demo-three-2"]
    assert workspaces.ensure(tmp_path / "other" / "demo", "two.org").name == "demo-2"
    assert workspaces.of_project(project)[0].destination == "ssh://three:2"


def test_it_is_found_from_inside_the_project_the_innermost_first(tmp_path):
    workspaces = Workspaces()
    outer = workspaces.ensure(tmp_path / "outer", "box")
    inner = workspaces.ensure(tmp_path / "outer" / "inner", "box")
    assert workspaces.of_project(tmp_path / "outer" / "inner" / "deep") == [inner]
    assert workspaces.of_project(tmp_path / "outer" / "else") == [outer]
    assert workspaces.of_project(tmp_path) == []


def test_two_workspaces_do_not_share_a_name(tmp_path):
    Workspaces().ensure(tmp_path / "a", "box", name="mine")
    with pytest.raises(UserError, match="another workspace is called 'mine'"):
        Workspaces().ensure(tmp_path / "b", "box", name="mine")


def test_an_unknown_name_says_which_there_are(tmp_path):
    Workspaces().ensure(tmp_path / "a", "box")
    with pytest.raises(UserError) as raised:
        Workspaces().named("b")
    assert raised.value.hint == "there are: a"


def test_what_is_forgotten_leaves_nothing(tmp_path):
    binding = Workspaces().ensure(tmp_path, "box")
    page = ensure_private(state_dir() / "pages") / f"{binding.id}.jupyter.html"
    for path in (binding.places.state, binding.places.log, binding.places.socket, page):
        path.write_text("")
    Workspaces().forget(binding)
    assert not [*state_dir().rglob(f"*{binding.id}*"), *runtime_dir().iterdir()]


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "3", '{"id": "x"}', "\xff\xfe", '{"id": "0", "project": "/", "ssh": {}}'],
)
def test_a_broken_record_is_named_and_says_what_to_do(content, tmp_path):
    workspaces = Workspaces()
    record = workspaces.directory / "0123456789abcdef.json"
    record.write_text(content, encoding="latin-1")
    with pytest.raises(UserError) as raised:
        workspaces.check()
    assert str(record) in raised.value.message
    assert "remove the file" in raised.value.hint
    assert raised.value.exit_code == ExitCode.CONFIG


def test_a_broken_record_is_no_other_workspaces_trouble_and_is_not_made_anew(tmp_path):
    workspaces = Workspaces()
    lost, other = (workspaces.ensure(tmp_path / name, "box") for name in ("a", "b"))
    (workspaces.directory / f"{lost.id}.json").write_text("")
    assert list(workspaces) == [other]
    assert workspaces.named("b") == workspaces.ensure(tmp_path / "b", "box") == other
    for look in (lambda: workspaces.named("a"), lambda: workspaces.ensure(tmp_path / "a", "box")):
        with pytest.raises(UserError, match="cannot be read"):
            look()


def test_a_record_of_a_later_version_is_read(tmp_path):
    binding = Workspaces().ensure(tmp_path, "box")
    record = Workspaces().directory / f"{binding.id}.json"
    record.write_text(record.read_text().replace("{", '{"new": 1,', 1))
    assert Workspaces().by_id(binding.id) == binding


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("demo", "demo"),
        ("My Project!", "My-Project"),
        ("../x", "x"),
        ("日本", "project"),
        ("", "project"),
    ],
)
def test_a_name_may_stand_in_a_file_name(text, name):
    assert as_name(text) == name


@pytest.mark.parametrize(
    ("text", "destination", "path"),
    [
        ("box", "box", None),
        ("me@box", "me@box", None),
        ("box:", "box", None),
        ("me@box:/data/x", "me@box", "/data/x"),
        ("box:dir/a:b@c", "box", "dir/a:b@c"),
        ("[::1]:x", "::1", "x"),
        ("me@[fe80::1%eth0]:x", "me@fe80::1%eth0", "x"),
        ("me@[::1]", "me@::1", None),
        ("::1", "::1", None),
        ("me@fe80::1%eth0", "me@fe80::1%eth0", None),
        ("ssh://me@box:22", "ssh://me@box:22", None),
        ("ssh://me@box:22/x/y", "ssh://me@box:22", "/x/y"),
    ],
)
def test_destination_and_path_are_told_apart(text, destination, path):
    assert split_destination(text) == (destination, path)


@pytest.mark.parametrize("text", ["", ":x", "-oProxyCommand=x", "me@", "ssh://", "@box"])
def test_what_is_no_destination_is_refused(text):
    with pytest.raises(UserError, match="not a destination"):
        split_destination(text)


def test_ssh_options_are_passed_on_in_order():
    assert SshOptions("f", 22, "k", "hop", ("A=1", "B=2")).arguments() == [
        "-F", "f", "-p", "22", "-i", "k", "-J", "hop", "-o", "A=1", "-o", "B=2",
    ]  # fmt: skip
