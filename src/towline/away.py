"""Snapshots made by the machine itself while the laptop is away: what it is told and lent for that.

The password, and the keys of a bucket or a restricted key of a server, go over the Line into the
memory of a process there, because a person asked for it. The machine's half is `agent/keeper.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from towline.across import Call, Program
from towline.config import Options
from towline.errors import ExitCode, UserError
from towline.keep import settings_of
from towline.mirror import key_text, told_by, way_to
from towline.places import Binding
from towline.snapshots.location import FOLDER
from towline.snapshots.password import password_for
from towline.snapshots.repository import TAG, Settings
from towline.there import There

COMMAND_S = 60.0  # For a command that gives the password.
LENT = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION",
        "B2_ACCOUNT_ID", "B2_ACCOUNT_KEY", "AZURE_ACCOUNT_NAME", "AZURE_ACCOUNT_KEY",
        "RESTIC_REST_USERNAME", "RESTIC_REST_PASSWORD")  # fmt: skip
"""What opens a bucket, where it is a value and no file of the laptop."""


def started(binding: Binding, there: There, options: Options) -> dict[str, Any]:
    """Have the machine make snapshots by itself from now on; return what it tells last.

    Raises UserError if it cannot, once it has told why.
    """
    settings = settings_of(binding.project, options)
    call = {
        "root": there.folder,
        "arguments": ["--tag", f"{TAG},ws:{settings.name}", "--host", there.host],
        "environment": _environment(settings, os.environ),
        "interval_s": options.keep.interval,
        "ignore": [*options.ignore, *options.keep.exclude],
        "way": _way(settings, options),
    }
    with Program(binding, Call(["keep", binding.id], agent=True)) as program:
        told = list(told_by(program, json.dumps(call).encode() + b"\n"))
    return told[-1] if told else {}


def stopped(binding: Binding) -> dict[str, Any]:
    """End it."""
    with Program(binding, Call(["keep-stop", binding.id], agent=True)) as program:
        told = list(told_by(program, b""))
    return told[-1] if told else {}


def _environment(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    if settings.location.scheme == FOLDER:
        raise UserError(
            f"{settings.location.text} is a folder of this laptop",
            "the machine can only reach a server or a bucket by itself",
            ExitCode.CONFIG,
        )
    text = settings.location.text
    if settings.location.scheme == "sftp":  # By the name that the machine is given for it.
        text = f"sftp:towline-server:{_folder(text)}"
    lent = {name: environment[name] for name in LENT if environment.get(name)}
    return {**lent, "RESTIC_REPOSITORY": text, "RESTIC_PASSWORD": _password(settings, environment)}


def _folder(location: str) -> str:
    """Return the folder in `sftp:HOST:FOLDER` or `sftp://HOST:PORT/FOLDER`."""
    if location.startswith("sftp://"):
        return location.removeprefix("sftp://").partition("/")[2]
    return location.split(":", 2)[2]


def _password(settings: Settings, environment: Mapping[str, str]) -> str:
    """Return the password itself: where it comes from is the laptop's, and not there."""
    source = password_for(settings.password, environment)
    if file := source.get("RESTIC_PASSWORD_FILE"):
        return Path(file).read_text(encoding="utf-8").strip()
    if command := source.get("RESTIC_PASSWORD_COMMAND"):
        done = subprocess.run(
            ["sh", "-c", command], capture_output=True, text=True, timeout=COMMAND_S, check=False
        )
        if done.returncode or not done.stdout.strip():
            raise UserError("the command of keep.password gives none", "", ExitCode.CONFIG)
        return done.stdout.strip()
    return source["RESTIC_PASSWORD"]


def _way(settings: Settings, options: Options) -> dict[str, Any] | None:
    if settings.location.scheme != "sftp":
        return None
    if options.keep.mirror_key is None:
        raise UserError(
            "the machine needs a key of its own for the server: keep.mirror_key is not set",
            "a forwarded agent would be gone when the laptop is",
            ExitCode.CONFIG,
        )
    way = way_to(settings.location.host, options.ssh.config, settings.location.port)
    return {**way, "key": key_text(options.keep.mirror_key), "root": "", "folder": ""}
