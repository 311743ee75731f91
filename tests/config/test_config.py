"""A file, the environment and flags make frozen options; whatever is wrong is named."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any

import pytest

from towline import config
from towline.config import (
    Code,
    Compression,
    Environment,
    Jupyter,
    Keep,
    Notebook,
    Options,
    Pair,
    Ssh,
    load,
    options_of,
    read_settings,
)
from towline.config.option import OPTION_OF, OPTIONS, TABLES
from towline.core.checkpoint import Checkpoints
from towline.core.direction import RULES_MAX, Direction, Directions
from towline.errors import ExitCode, UserError
from towline.snapshots.location import Location
from towline.snapshots.schedule import Retention
from towline.snapshots.server import Server

EVERYTHING = """
machine = "gpu-box"
path = "~/work"
name = "proj"
direction = "push"
ignore = ["*.ckpt", "!keep.ckpt"]
size_max = "1.5 GiB"
compression = "always"
debounce = 5
bandwidth = "8 Mbit/s"
python = "python3.12"
sync = [
    {source = "src", destination = "src"},
    {source = "../common", destination = "~/common", direction = "pull"},
]
lives = "12 h"
directions.pull = ["outputs/"]
directions.both = ["outputs/notes/"]
checkpoints = {patterns = ["runs/"], marks = ["newest"], settle = "1.5 min"}
routes = ["cloudflared", "bore"]
keys = ["github:ana"]
route.bore = {server = "relay", port = 7}
ssh = {config = "my config", port = 2222, identity = "~/.ssh/key", jump = "a,b", options = ["A=b"]}
notebook.autoload = true
jupyter.program = "~/bin/jupyter-lab"
code = {program = "cs", extensions = ["a.b"], download = "cs.tar.gz", sha256 = "00"}
environment = {capture = false, restore = false, variables = ["A"], dotfiles = [".vimrc"]}
keep.to = "sftp:me@server:/keep"
keep.password = "file:~/key"
keep.interval = "2 h"
keep.retention = {last = 3, weekly = 0}
keep.exclude = ["*.bin"]
keep.bandwidth = "1 MB/s"
keep.mirror = "me@server:proj"
keep.watched = ["outputs"]
keep.mirror_key = "~/.ssh/mirror"
"""


def pyproject(at: Path, settings: str, above: str = "[project]\nname = 'x'\n") -> Path:
    (at / "pyproject.toml").write_text(f"{above}[tool.towline]\n{settings}")
    return at


def towline_toml(at: Path, settings: str) -> Path:
    (at / "towline.toml").write_text(settings)
    return at


def fault(
    project: Path, environment: dict[str, str] | None = None, **flags: object
) -> tuple[str, str]:
    with pytest.raises(UserError) as caught:
        load(project, environment or {}, flags)
    expected = ExitCode.USAGE if flags else ExitCode.CONFIG
    assert caught.value.exit_code is expected
    return caught.value.message, caught.value.hint


def test_without_anything_there_are_the_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, {}) == Options(
        machine=None,
        path=None,
        name=None,
        sync=(),
        direction=Direction.BOTH,
        directions=Directions(),
        ignore=(),
        size_max=100_000_000,
        compression=Compression.AUTO,
        debounce_s=0.0002,
        bandwidth=None,
        checkpoints=Checkpoints(size_max=100_000_000),
        lives_s=None,
        python=None,
        environment=Environment(),
        routes=(),
        keys=(),
        route={},
        ssh=Ssh(),
        keep=Keep(),
    )


@pytest.mark.parametrize("write", [pyproject, towline_toml])
def test_every_option_is_read_from_either_file(tmp_path: Path, write: Any) -> None:
    directions = Directions(
        [("outputs/", Direction.PULL), ("outputs/notes/", Direction.BOTH)], Direction.PUSH
    )
    assert load(write(tmp_path, EVERYTHING), {}) == Options(
        machine="gpu-box",
        path="~/work",
        name="proj",
        sync=(Pair("src", "src"), Pair("../common", "~/common", Direction.PULL)),
        direction=Direction.PUSH,
        directions=directions,
        ignore=("*.ckpt", "!keep.ckpt"),
        size_max=3 << 29,
        compression=Compression.ALWAYS,
        debounce_s=0.005,
        bandwidth=1_000_000,
        checkpoints=Checkpoints(["runs/"], ["newest"], 90.0, 3 << 29),
        lives_s=43200.0,
        python="python3.12",
        environment=Environment(False, False, None, ("A",), (".vimrc",)),
        routes=("cloudflared", "bore"),
        keys=("github:ana",),
        route={"bore.server": "relay", "bore.port": "7"},
        ssh=Ssh("my config", 2222, "~/.ssh/key", "a,b", ("A=b",)),
        notebook=Notebook(autoload=True),
        jupyter=Jupyter("~/bin/jupyter-lab"),
        code=Code("cs", ("a.b",), "cs.tar.gz", "00"),
        keep=Keep(
            to=Location("sftp:me@server:/keep", "sftp", "me@server"),
            password="file:~/key",  # noqa: S106 - where it comes from.
            interval=7200.0,
            retention=Retention(3, 24, 14, 0),
            exclude=("*.bin",),
            bandwidth=1_000_000,
            mirror=Server("me@server", "proj"),
            watched=("outputs",),
            mirror_key="~/.ssh/mirror",
        ),
    )


def test_the_environment_counts_more_than_the_file_and_flags_most(tmp_path: Path) -> None:
    project = pyproject(tmp_path, 'machine = "file"\npath = "file"\nname = "file"\n')
    environment = {"TOWLINE_PATH": "variable", "TOWLINE_NAME": "variable", "TOWLINE_OTHER": "x"}
    settings = read_settings(project, environment, {"name": "flag", "path": None, "ignore": []})
    found = {key: (setting.value, setting.origin) for key, setting in settings.items()}
    assert found["machine"] == ("file", "pyproject.toml:4")
    assert found["path"] == ("variable", "TOWLINE_PATH")
    assert found["name"] == ("flag", "the command line")
    assert found["ignore"] == ((), "default")
    assert list(settings) == [option.key for option in OPTIONS]
    assert options_of(settings).name == "flag"


def test_variables_hold_numbers_and_lists_as_text(tmp_path: Path) -> None:
    options = load(
        tmp_path,
        {
            "TOWLINE_SSH_PORT": "2200",
            "TOWLINE_SSH_OPTIONS": "A=b c\nD=e\n",
            "TOWLINE_SIZE_MAX": "1000",
            "TOWLINE_DEBOUNCE": "7",
            "TOWLINE_BANDWIDTH": "",
            "TOWLINE_IGNORE": "*.o\n!a.o",
        },
    )
    assert options.ssh == Ssh(port=2200, options=("A=b c", "D=e"))
    assert (options.size_max, options.debounce_s, options.bandwidth) == (1000, 0.007, None)
    assert options.ignore == ("*.o", "!a.o")


WRONG = [
    ('keep.to = "server:keep"', "tool.towline.keep.to: expected an absolute folder, ~/… or one of"),
    ('keep.interval = "1 ms"', 'keep.interval: expected a time such as "5 min"'),
    ("keep.interval = 5", 'keep.interval: expected a time such as "5 min"'),
    ('keep.interval = "8 d"', "from 1 s to 7 d"),
    ("keep.retention.last = -1", "keep.retention.last: expected a number from 0 to 10000, not -1"),
    ("keep.retention.last = true", "keep.retention.last: expected a number"),
    ("keep.retention = {last = 0, hourly = 0, daily = 0, weekly = 0}", "nothing would be kept"),
    ('keep.password = "hunter2"', "keep.password: expected env:VARIABLE, file:PATH"),
    ('keep.mirror = "server"', "keep.mirror: expected user@host:folder"),
    ("machine = 1", 'tool.towline.machine: expected a text, not 1'),
    ("machine = true", "tool.towline.machine: expected a text, not true"),
    ('machine = ""', "tool.towline.machine: expected a text of one line, not ''"),
    ('machine = "-oProxyCommand=x"', "not '-oProxyCommand=x'"),
    ('ssh.jump = "-x"', "tool.towline.ssh.jump: expected a text that does not begin with"),
    ('path = "a\\nb"', "expected a text of one line, not 'a\\nb'"),
    ("ssh = 5", "tool.towline.ssh: expected a table"),
    ("ssh.port = 0", "tool.towline.ssh.port: expected a port from 1 to 65535, not 0"),
    ("ssh.port = true", "expected a port from 1 to 65535, not true"),
    ('ssh.port = "22"', "not '22'"),
    ('ssh.options = "A=b"', "expected a list of texts, not 'A=b'"),
    ("ssh.options = [1]", "tool.towline.ssh.options[0]: expected a text, not 1"),
    ("ignore = {}", "expected a list of patterns, not a table"),
    ('ignore = ["a", "# b"]', "tool.towline.ignore[1]: expected a pattern as in .gitignore"),
    ('size_max = "1 XB"', "expected a size"),
    ('size_max = "1 MB/s"', "expected a size"),
    ("size_max = -1", "expected a size"),
    ("size_max = true", "expected a size"),
    ("size_max = 1.5", "expected a size"),
    ('size_max = "99999999999 TB"', "expected a size"),
    ('checkpoints.patterns = ["!x"]', 'checkpoints.patterns[0]: "!x": nothing is taken back'),
    ("checkpoints.patterns = [" + '"a",' * 501 + "]", "more than 500 patterns"),
    ('checkpoints.settle = "61 min"', "expected a time such as"),
    ("checkpoints.settle = 2", "expected a time such as"),
    ('lives = "0 h"', "expected a time such as"),
    ('lives = "400 d"', "expected a time such as"),
    ("debounce = nan", "expected a time"),
    ("debounce = inf", "expected a time"),
    ("debounce = true", "expected a time"),
    ('debounce = "-1 ms"', "expected a time"),
    ('debounce = "1 min"', "expected a time"),
    ("debounce = 10001", "expected a time such as"),
    ('bandwidth = "10 MB"', "expected a rate"),
    ("bandwidth = 10", "expected a rate"),
    ('bandwidth = "1 bit/s"', "of at least 8 kbit/s"),
    ('compression = "gzip"', 'expected "auto", "always" or "none", not \'gzip\''),
    ('direction = "up"', 'expected "both", "push" or "pull", not \'up\''),
    ("direction = []", "not an array"),
    ('directions = ["a"]', "expected a table, not an array"),
    ('directions.push = "a"', "tool.towline.directions.push: expected a list of patterns"),
    ('directions.push = ["a", "!b"]', "tool.towline.directions.push[1]: "),
    ("directions.push = [" + '"a",' * (RULES_MAX + 1) + "]", "more than 1000 patterns"),
    ("sync = {}", "expected a list of tables with source and destination, not a table"),
    ('sync = ["a"]', "tool.towline.sync[0]: expected a table, not 'a'"),
    ('sync = [{source = "a"}]', 'tool.towline.sync[0]: the key "destination" is missing'),
    ('sync = [{source = 1}]', "tool.towline.sync[0].source: expected a text, not 1"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_a_wrong_value_is_named_with_its_key_file_and_line(
    tmp_path: Path, text: str, message: str
) -> None:
    said, _ = fault(pyproject(tmp_path, f"\n{text}\n"))
    assert said.startswith("pyproject.toml:5: tool.towline.")
    assert message in said


UNKNOWN = [
    ("machin = 1", "tool.towline.machin", "machine"),
    ("size-max = 1", "tool.towline.size-max", "size_max"),
    ("Debounce = 1", "tool.towline.Debounce", "debounce"),
    ("port = 1", "tool.towline.port", "ssh.port"),
    ("ssh.prot = 1", "tool.towline.ssh.prot", "ssh.port"),
    ("ssh.identify = 1", "tool.towline.ssh.identify", "ssh.identity"),
    ("directions.pul = []", "tool.towline.directions.pul", "directions.pull"),
    ('sync = [{src = "a"}]', "tool.towline.sync[0].src", "sync.source"),
    ('sync = [{sourc = "a"}]', "tool.towline.sync[0].sourc", "sync.source"),
    ('"ssh.port" = 1', 'tool.towline."ssh.port"', "ssh.port"),
    ('"a\\nb" = 1', 'tool.towline."a\\nb"', ""),
    ("zzz = 1", "tool.towline.zzz", ""),
]


@pytest.mark.parametrize(("text", "key", "meant"), UNKNOWN)
def test_an_unknown_key_is_an_error_with_what_may_be_meant(
    tmp_path: Path, text: str, key: str, meant: str
) -> None:
    said, hint = fault(pyproject(tmp_path, f"\n{text}\n"))
    assert said == f"pyproject.toml:5: {key}: unknown key"
    assert hint == (f'Did you mean "{meant}"?' if meant else "")


def test_in_towline_toml_keys_are_named_as_they_stand_there(tmp_path: Path) -> None:
    said, _ = fault(towline_toml(tmp_path, "\n[ssh]\nport = 0\n"))
    assert said.startswith("towline.toml:3: ssh.port: expected a port")


def test_the_table_s_heading_in_towline_toml_is_explained(tmp_path: Path) -> None:
    said, hint = fault(towline_toml(tmp_path, "[tool.towline]\nmachine = 'a'\n"))
    assert said == "towline.toml:1: tool: unknown key"
    assert "top" in hint


def test_settings_in_both_files_are_an_error(tmp_path: Path) -> None:
    towline_toml(pyproject(tmp_path, "machine = 'a'\n"), "machine = 'b'\n")
    said, hint = fault(tmp_path)
    assert said.startswith("pyproject.toml:3: both")
    assert hint


@pytest.mark.parametrize("settings", ["", "# only a comment\n"])
def test_an_empty_file_beside_the_other_is_none(tmp_path: Path, settings: str) -> None:
    towline_toml(pyproject(tmp_path, "machine = 'a'\n"), settings)
    assert load(tmp_path, {}).machine == "a"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = ", "pyproject.toml: is not TOML: Invalid value (at "),
        (b"\n\xff = 1", "pyproject.toml:2: is not UTF-8"),
        (b"x = " + b"[" * 100_000, "pyproject.toml: "),
        (b"x = " + b"9" * 10_000, "pyproject.toml: "),
        (b"\ntool = 1", "pyproject.toml:2: tool: expected a table"),
        (b"[tool]\ntowline = [1]", "pyproject.toml:2: tool.towline: expected a table"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "pyproject.toml").write_bytes(content)
    said, _ = fault(tmp_path)
    assert said.startswith(message)
    assert "\n" not in said


def test_a_file_that_is_too_large_or_no_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "towline.toml").mkdir()
    assert fault(tmp_path)[0] == "towline.toml: cannot be read: Is a directory"
    (tmp_path / "towline.toml").rmdir()
    monkeypatch.setattr(config, "FILE_SIZE_MAX", 10)
    assert "larger" in fault(pyproject(tmp_path, ""))[0]


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    said, _ = fault(tmp_path, {"TOWLINE_SSH_PORT": "many"})
    assert said == "TOWLINE_SSH_PORT: expected a port from 1 to 65535, not 'many'"


def test_a_wrong_flag_is_a_fault_of_usage(tmp_path: Path) -> None:
    assert fault(tmp_path, direction="up")[0].startswith("direction: expected")


def test_line_ends_of_windows_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "towline.toml").write_bytes(b"name = 'a'\r\nport = 1\r\n")
    assert fault(tmp_path)[0].startswith("towline.toml:2: port")


def test_the_table_of_options_is_whole() -> None:
    assert len(OPTION_OF) == len(OPTIONS)
    assert not TABLES & set(OPTION_OF)
    assert all(option.help.endswith((".", "`).")) for option in OPTIONS)
    plain = {option.key for option in OPTIONS if "." not in option.key}
    assert plain == {f.name.removesuffix("_s") for f in dataclasses.fields(Options)} - TABLES
    for table in TABLES:
        inner = {o.key.partition(".")[2] for o in OPTIONS if o.key.startswith(f"{table}.")}
        assert inner == _fields_of(getattr(load(Path(), {}), table))


def _fields_of(made: object) -> set[str]:
    """Return what the options of a table are called."""
    names = inspect.signature(type(made)).parameters
    return {name.removesuffix("_s") for name in names}


@pytest.mark.parametrize(("written", "limit"), [("", 7), ('"10 GB"', 10**10), ('""', None)])
def test_checkpoints_have_a_limit_of_their_own_if_one_is_named(
    tmp_path: Path, written: str, limit: int | None
) -> None:
    own = f"checkpoints.size_max = {written}\n" if written else ""
    options = load(pyproject(tmp_path, f"size_max = 7\n{own}"), {})
    assert (options.size_max, options.checkpoints.size_max) == (7, limit)


def test_a_password_in_the_file_is_not_repeated(tmp_path: Path) -> None:
    message, hint = fault(towline_toml(tmp_path, 'keep.password = "hunter2"\n'))
    assert "hunter2" not in message + hint
