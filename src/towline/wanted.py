"""What a person wants of `up`, from all the places where they may have said it.

In this order: the arguments, the environment, the project's configuration where `up` is called, a
configuration in their own folder (`TOWLINE_HOME`, such as a mounted drive), and for secrets what
the notebook's platform keeps. Whether a route can do with it is for the route to say.
"""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from towline import config
from towline.errors import ExitCode, UserError
from towline.machine.secret import SecretError, has_platform, secret_named
from towline.routes.base import Setting
from towline.routes.catalog import routes as known_routes

AUTO = "auto"
HOME_VARIABLE = "TOWLINE_HOME"

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    routes: tuple[str, ...]
    name: str | None
    keys: tuple[str, ...]
    settings: Mapping[str, str] = field(repr=False)  # Of routes, by "ROUTE.NAME".


def gather(
    *,
    routes: Sequence[str],
    name: str | None,
    keys: Sequence[str],
    settings: Mapping[str, str],
    environment: Mapping[str, str],
    folder: Path,
    tell: Tell,
) -> Wanted:
    """Return what is wanted; an argument that is empty says nothing. Raises `UserError`."""
    here = config.read_settings(folder, environment)
    home = _home(environment)
    kept = config.read_settings(home, {}) if home else here
    if home:
        _warn_of_open(home, tell)

    def value(key: str) -> object:
        return (here[key] if here[key].origin != "default" else kept[key]).value

    all_settings = {**_from_files((kept, here) if home else (here,), environment, tell), **settings}
    _check_known(all_settings)
    wanted = _routes(routes or cast("Sequence[str]", value("routes")) or (AUTO,))
    all_settings |= _from_platform(wanted, all_settings, environment, tell)
    return Wanted(
        routes=wanted,
        name=name or cast("str | None", value("name")),
        keys=tuple(keys) or cast("tuple[str, ...]", value("keys")),
        settings=all_settings,
    )


def _routes(named: Sequence[str]) -> tuple[str, ...]:
    if len(set(named)) < len(named):
        raise UserError(f"a route is named twice: {', '.join(named)}", "", ExitCode.USAGE)
    return tuple(named)


def _home(environment: Mapping[str, str]) -> Path | None:
    named = environment.get(HOME_VARIABLE, "")
    return Path(named).expanduser() if named else None


def _warn_of_open(home: Path, tell: Tell) -> None:
    """On a mounted drive everybody on the machine may read what lies there, or write it."""
    try:
        mode = stat.S_IMODE(home.stat().st_mode)
    except OSError as error:
        tell(f"{HOME_VARIABLE}: {home} cannot be read: {error.strerror}")
        return
    if mode & 0o077 and os.name == "posix":
        tell(
            f"others on this machine may enter {home} (mode {mode:o}), and its file system may not"
            " keep them out: keys there are copied to a private place before use, no more"
        )


# Settings of routes


def _from_files(
    layers: Sequence[Mapping[str, config.Setting]], environment: Mapping[str, str], tell: Tell
) -> dict[str, str]:
    """Return what the files say, the last one counting most; the environment is above them."""
    variables = {setting.key: setting for setting in _all_settings()}
    found: dict[str, str] = {}
    for layer in layers:
        option = layer["route"]
        for key, value in cast("Mapping[str, str]", option.value).items():
            setting = variables.get(key)
            if setting and environment.get(setting.variable):
                continue
            if setting and setting.secret and option.origin.startswith(config.PYPROJECT):
                tell(f"{option.origin}: {key} is a secret, and this file is seldom kept as one")
            found[key] = value
    return found


def _check_known(settings: Mapping[str, str]) -> None:
    known = [setting.key for setting in _all_settings()]
    for key in settings:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]}?" if close else "`towline routes --json` lists them"
            raise UserError(f"no route has a setting {key!r}", hint, ExitCode.USAGE)


def _from_platform(
    routes: Sequence[str],
    settings: Mapping[str, str],
    environment: Mapping[str, str],
    tell: Tell,
) -> dict[str, str]:
    """Return the secrets of these routes that only the notebook's platform knows."""
    if not has_platform(environment):
        return {}
    found: dict[str, str] = {}
    for setting in _all_settings():
        asked = AUTO in routes or setting.key.rpartition(".")[0] in routes
        if not (asked and setting.secret) or setting.key in settings:
            continue
        try:
            value = secret_named(setting.variable, {**environment})
        except SecretError as error:
            tell(str(error))
            continue
        if value and not environment.get(setting.variable):
            found[setting.key] = value
    return found


def _all_settings() -> Iterator[Setting]:
    for route in known_routes():
        yield from route.about.settings
