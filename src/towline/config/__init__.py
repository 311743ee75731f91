"""The configuration: a file, the environment and the command line, into frozen options.

The command line counts most, then the environment (`TOWLINE_…`), then the file, which is
`[tool.towline]` in pyproject.toml or towline.toml. Whatever is wrong is a `UserError` that names
the key, and the file and line or the variable. Nothing here asks what a value refers to.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from towline.config.kinds import Compression, Pair, UnknownKeyError, WrongValueError
from towline.config.locate import line_of
from towline.config.option import OPTION_OF, OPTIONS, TABLES, Option
from towline.core.checkpoint import Checkpoints
from towline.core.direction import Direction, Directions
from towline.errors import ExitCode, UserError
from towline.line.options import SshOptions
from towline.snapshots.location import Location
from towline.snapshots.password import USUAL
from towline.snapshots.schedule import Retention
from towline.snapshots.server import Server

__all__ = [
    "OPTIONS",
    "PYPROJECT",
    "Compression",
    "Environment",
    "Keep",
    "Option",
    "Options",
    "Pair",
    "Setting",
    "Ssh",
    "load",
    "options_of",
    "read_settings",
    "settings_in",
]

PYPROJECT = "pyproject.toml"
TOWLINE_TOML = "towline.toml"
PREFIXES: dict[str, tuple[str, ...]] = {PYPROJECT: ("tool", "towline"), TOWLINE_TOML: ()}
"""The files that may hold settings, and the table of each that they are in."""

FILE_SIZE_MAX = 4 << 20  # Bytes. A configuration is written by hand.


@dataclass(frozen=True, slots=True)
class Ssh:
    """What is passed on to ssh."""

    config: str | None = None
    port: int | None = None
    identity: str | None = None
    jump: str | None = None
    options: tuple[str, ...] = ()

    def below(self, given: SshOptions) -> SshOptions:
        """Return what ssh is told: what a command was given, and else what is configured."""
        return SshOptions(
            config_file=given.config_file or self.config,
            port=given.port if given.port is not None else self.port,
            identity=given.identity or self.identity,
            jump=given.jump or self.jump,
            options=(*given.options, *self.options),
        )


@dataclass(frozen=True, slots=True)
class Notebook:
    autoload: bool = False


@dataclass(frozen=True, slots=True)
class Jupyter:
    program: str | None = None


@dataclass(frozen=True, slots=True)
class Code:
    """How code-server is had, and what it is given."""

    program: str | None = None
    extensions: tuple[str, ...] = ()
    download: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Environment:
    """What of the machine's environment is written down, and put back on the next."""

    capture: bool = True
    restore: bool = True
    python: str | None = None
    variables: tuple[str, ...] = ()
    dotfiles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Keep:
    """Where the work is kept beside the laptop."""

    to: Location | None = None
    password: str = USUAL
    interval: float = 300.0  # Seconds.
    retention: Retention = Retention()  # noqa: RUF009 - it is frozen.
    exclude: tuple[str, ...] = ()
    bandwidth: int | None = None  # Bytes a second.
    mirror: Server | None = None
    watched: tuple[str, ...] = ()
    mirror_key: str | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """All options of a project, read and checked."""

    machine: str | None
    path: str | None
    name: str | None
    sync: tuple[Pair, ...]
    direction: Direction
    directions: Directions
    ignore: tuple[str, ...]
    size_max: int | None  # Bytes.
    compression: Compression
    debounce_s: float
    bandwidth: int | None  # Bytes a second.
    checkpoints: Checkpoints
    lives_s: float | None
    python: str | None
    environment: Environment
    routes: tuple[str, ...]
    keys: tuple[str, ...]
    route: Mapping[str, str]  # Settings of routes, by "ROUTE.NAME".
    ssh: Ssh
    keep: Keep
    notebook: Notebook = Notebook()
    jupyter: Jupyter = Jupyter()
    code: Code = Code()

    def folder_there(self, project: Path, given: str | None) -> str:
        """Return where on the machine a project lies: where a command said, else as configured."""
        return given or self.path or f"~/{project.name}"


@dataclass(frozen=True, slots=True)
class Setting:
    """An option as it is set: `raw` as a person wrote it, and where (`pyproject.toml:12`)."""

    option: Option
    raw: object
    value: object
    origin: str


def load(
    project: Path, environment: Mapping[str, str], flags: Mapping[str, object] | None = None
) -> Options:
    """Return the options of the project in a folder. Raises `UserError`, as `read_settings`."""
    return options_of(read_settings(project, environment, flags))


def read_settings(
    project: Path, environment: Mapping[str, str], flags: Mapping[str, object] | None = None
) -> dict[str, Setting]:
    """Return every option by its key, in the order of the table.

    `flags` are TOML values by key; None and the empty list stand for a flag that was not given.
    Raises `UserError` for whatever is unreadable, unknown or wrong.
    """
    settings = {option.key: _default(option) for option in OPTIONS}
    layers = [_from_file(project), _from_environment(environment), _from_flags(flags or {})]
    for layer in layers:
        settings |= {setting.option.key: setting for setting in layer}
    return settings


def settings_in(name: str, content: bytes) -> dict[str, object]:
    """Return the settings as they are written in a file of this name; none in what is no TOML."""
    try:
        value: object = tomllib.loads(content.decode("utf-8").replace("\r\n", "\n"))
    except (RecursionError, ValueError):  # Not UTF-8 and not TOML are ValueErrors, too.
        return {}
    for key in PREFIXES[name]:
        value = cast("dict[str, object]", value).get(key) if isinstance(value, dict) else None
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def options_of(settings: Mapping[str, Setting]) -> Options:
    values = {key: setting.value for key, setting in settings.items()}
    for table, make in _TABLE_OF.items():
        keys = [key for key in OPTION_OF if key.startswith(f"{table}.")]
        values[table] = make(**{key.removeprefix(f"{table}."): values.pop(key) for key in keys})
    values["debounce_s"] = values.pop("debounce")
    values["lives_s"] = values.pop("lives")
    values["checkpoints"] = _checkpoints(values, settings["checkpoints.size_max"])
    rules = cast("tuple[tuple[str, Direction], ...]", values["directions"])
    values["directions"] = Directions(rules, cast("Direction", values["direction"]))
    return Options(**values)  # type: ignore[arg-type]


_TABLE_OF: dict[str, Callable[..., object]] = {
    "ssh": Ssh,
    "notebook": Notebook,
    "jupyter": Jupyter,
    "code": Code,
    "environment": Environment,
    "keep": Keep,
}


def _checkpoints(values: dict[str, object], size_max: Setting) -> Checkpoints:
    """Take what belongs to checkpoints out of `values`."""
    patterns, marks, settle_s = (
        values.pop(f"checkpoints.{key}") for key in ("patterns", "marks", "settle")
    )
    own = values.pop("checkpoints.size_max")
    limit = values["size_max"] if size_max.raw is None else own
    return Checkpoints(patterns, marks, settle_s, limit)  # type: ignore[arg-type]


def _default(option: Option) -> Setting:
    value = None if option.default is None else option.kind.read(option.default)
    return Setting(option, option.default, value, "default")


def _wrong(where: str, what: str, hint: str = "", code: ExitCode = ExitCode.CONFIG) -> UserError:
    return UserError(f"{where}: {what}", hint=hint, exit_code=code)


def _from_environment(environment: Mapping[str, str]) -> Iterator[Setting]:
    for option in OPTIONS:
        if option.variable and (text := environment.get(option.variable)) is not None:
            try:
                raw = option.kind.from_text(text)
                yield Setting(option, raw, option.kind.read(raw), option.variable)
            except WrongValueError as error:
                raise _wrong(option.variable, error.reason) from None


def _from_flags(flags: Mapping[str, object]) -> Iterator[Setting]:
    for key, raw in flags.items():
        if raw is None or raw == []:
            continue
        option = OPTION_OF[key]
        try:
            yield Setting(option, raw, option.kind.read(raw), "the command line")
        except WrongValueError as error:
            raise UserError(f"{key}: {error.reason}", exit_code=ExitCode.USAGE) from None


def _from_file(project: Path) -> list[Setting]:
    files = [_File(name, project / name, prefix) for name, prefix in PREFIXES.items()]
    used = [file for file in files if file.table]
    if len(used) > 1:
        raise _wrong(
            f"{PYPROJECT}:{used[0].line()}",
            f"both [tool.towline] here and {TOWLINE_TOML} hold settings",
            "Keep one of them.",
        )
    return [setting for file in used for setting in file.settings()]


class _File:
    """A file that may hold settings, `prefix` being the table they are in."""

    def __init__(self, name: str, at: Path, prefix: tuple[str, ...]) -> None:
        self._name = name
        self._prefix = prefix
        self._text = _text_of(at, name)
        self.table = self._open()

    def _open(self) -> dict[str, object]:
        try:
            value: object = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            raise _wrong(self._name, f"is not TOML: {error}") from None
        except (RecursionError, ValueError) as error:  # Nested too deep, a number too long.
            raise _wrong(self._name, f"cannot be read: {error}") from None
        for depth, key in enumerate(self._prefix, 1):
            value = cast("dict[str, object]", value).get(key, {})
            if not isinstance(value, dict):
                keys = self._prefix[:depth]
                where = f"{self._name}:{line_of(self._text, keys)}"
                raise _wrong(where, f"{_dotted(keys)}: expected a table")
        return cast("dict[str, object]", value)

    def line(self, *keys: str | int) -> int:
        """Return the line of a key of the settings, or of where they begin."""
        return line_of(self._text, (*self._prefix, *keys))

    def settings(self) -> Iterator[Setting]:
        for key, raw in self.table.items():
            if key not in TABLES:
                yield self._setting(raw, key)
            elif not isinstance(raw, dict):
                raise self._wrong("expected a table", key)
            else:
                for inner, value in cast("dict[str, object]", raw).items():
                    yield self._setting(value, key, inner)

    def _setting(self, raw: object, *keys: str) -> Setting:
        option = OPTION_OF.get(".".join(keys))
        if option is None or any("." in key for key in keys):
            raise self._unknown((*OPTION_OF, *TABLES), *keys)
        try:
            value = option.kind.read(raw)
        except UnknownKeyError as error:
            known = tuple(f"{option.key}.{key}" for key in error.known)
            raise self._unknown(known, *keys, *error.keys) from None
        except WrongValueError as error:
            raise self._wrong(error.reason, *keys, *error.keys) from None
        return Setting(option, raw, value, f"{self._name}:{self.line(*keys)}")

    def _unknown(self, known: tuple[str, ...], *keys: str | int) -> UserError:
        wanted = ".".join(key for key in keys if isinstance(key, str))
        hint = _suggestion(wanted, known)
        if not self._prefix and keys[0] == "tool":
            hint = f"In {self._name} the keys stand at the top, without [tool.towline]."
        return self._wrong("unknown key", *keys, hint=hint)

    def _wrong(self, reason: str, *keys: str | int, hint: str = "") -> UserError:
        shown = _dotted((*self._prefix, *keys))
        return _wrong(f"{self._name}:{self.line(*keys)}", f"{shown}: {reason}", hint)


def _text_of(at: Path, name: str) -> str:
    """Return the text of a file, empty if there is none."""
    try:
        with at.open("rb") as file:
            content = file.read(FILE_SIZE_MAX + 1)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise _wrong(name, f"cannot be read: {error.strerror}") from None
    if len(content) > FILE_SIZE_MAX:
        raise _wrong(name, f"is larger than {FILE_SIZE_MAX >> 20} MiB")
    try:
        return content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _wrong(f"{name}:{line}", "is not UTF-8") from None


_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def _dotted(keys: tuple[str | int, ...]) -> str:
    """Return keys as a person writes them, on one line."""
    return "".join(_step(key) for key in keys).removeprefix(".")


def _step(key: str | int) -> str:
    if isinstance(key, int):
        return f"[{key}]"
    return f".{key if _BARE_KEY.fullmatch(key) else json.dumps(key)}"


def _suggestion(wanted: str, known: tuple[str, ...]) -> str:
    """Return the known key a person may have meant: by its spelling, or its last part's."""
    import difflib  # Only a mistake needs it.

    close = difflib.get_close_matches(wanted.lower().replace("-", "_"), known, n=1, cutoff=0.7)
    if not close:
        last = wanted.rpartition(".")[2].lower()
        by_last = {key.rpartition(".")[2]: key for key in known}
        close = [by_last[name] for name in difflib.get_close_matches(last, by_last, 1, 0.7)]
    return f'Did you mean "{close[0]}"?' if close else ""
