"""A provider's program, fetched once and run only if it is, byte for byte, the one that is meant.

From the network or from a file (a mirror, a mounted drive, a machine without internet): where it
comes from is never trusted. It lies in the private directory, and is looked at before each use.
"""

from __future__ import annotations

import hashlib
import os
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from towline.routes.base import Surroundings
from towline.routes.errors import RouteError

SIZE_MAX = 200 << 20  # Bytes; the largest of these programs has 40 MB.
TIMEOUT_S = 60.0
PART = 1 << 20

Source = Callable[[str], Iterator[bytes]]
"""Yields what lies at a place. Raises OSError."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One program in one version: what it is called, what it is, where it may be had."""

    program: str
    version: str
    sha256: str
    places: tuple[str, ...]  # https://… or the path of a file, tried in this order.


def read_place(place: str) -> Iterator[bytes]:
    """Yield what lies at an https URL or in a file."""
    if "://" in place and not place.startswith("https://"):
        raise OSError(f"{place}: https or a file")
    if not place.startswith("https://"):
        with Path(place).expanduser().open("rb") as file:
            yield from iter(lambda: file.read(PART), b"")
        return
    with urllib.request.urlopen(place, timeout=TIMEOUT_S) as answer:  # noqa: S310 - https only.
        yield from iter(lambda: answer.read(PART), b"")


async def ensure_program(around: Surroundings, pin: Pin, source: Source = read_place) -> Path:
    """Return the path of the program, fetched if it is not there. Raises `RouteError`."""
    return await anyio.to_thread.run_sync(_ensure, around.directory / "bin", pin, source)


def _ensure(directory: Path, pin: Pin, source: Source) -> Path:
    directory.mkdir(mode=0o700, exist_ok=True)
    path = directory / f"{pin.program}-{pin.version}"
    if path.is_file() and _digest(path) == pin.sha256:
        return path
    failures: list[str] = []
    for place in pin.places:
        stage = directory / f".{path.name}.{os.getpid()}"
        try:
            _fetch(place, stage, pin, source)
            os.replace(stage, path)
            return path
        except OSError as error:
            failures.append(f"{place}: {error}")
        finally:
            stage.unlink(missing_ok=True)
    raise RouteError(
        f"{pin.program} {pin.version} cannot be fetched: {'; '.join(failures) or 'from nowhere'}",
        f"put the program on PATH, or name a file or mirror that has sha256 {pin.sha256}",
    )


def _fetch(place: str, stage: Path, pin: Pin, source: Source) -> None:
    """Write what lies at `place`; it becomes executable only once it is known. Raises OSError."""
    digest, size = hashlib.sha256(), 0
    stage.unlink(missing_ok=True)
    stage.touch(0o600)
    with stage.open("wb") as file:
        for part in source(place):
            digest.update(part)
            size += len(part)
            if size > SIZE_MAX:
                raise OSError("too large")
            file.write(part)
    if digest.hexdigest() != pin.sha256:
        raise OSError(f"it is another program: sha256 {digest.hexdigest()}")
    stage.chmod(0o700)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
