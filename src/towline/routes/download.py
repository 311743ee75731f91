"""A provider's program, fetched once and run only if it is, byte for byte, the one that is meant.

From the network or from a file (a mirror, a mounted drive, a machine without internet): where it
comes from is never trusted. It lies in the private directory, and is looked at before each use.
What reads a place is a process of its own, which can be ended whatever the place does.
"""

from __future__ import annotations

import hashlib
import os
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO

import anyio
import anyio.to_thread

from towline.routes.base import Surroundings
from towline.routes.errors import RouteError, quoted

SIZE_MAX = 200 << 20  # Bytes; the largest of these programs has 40 MB.
TIMEOUT_S = 60.0  # For a place to say something.
FETCH_S = 300.0  # For all of it, by a line that is still good for work.
PART = 1 << 20
# -P: what lies in the current directory must not be what it imports.
READER = (sys.executable, "-P", "-m", "towline.routes.download")


@dataclass(frozen=True, slots=True)
class Pin:
    """One program in one version: what it is called, what it is, where it may be had."""

    program: str
    version: str
    sha256: str
    places: tuple[str, ...]  # https://… or the path of a file, tried in this order.


async def ensure_program(around: Surroundings, pin: Pin) -> Path:
    """Return the path of the program, fetched if it is not there. Raises `RouteError`."""
    path = around.directory / "bin" / f"{pin.program}-{pin.version}"
    try:
        if await anyio.to_thread.run_sync(_digest, path) != pin.sha256:
            await _fetch_first(path, pin)
    except OSError as error:
        raise RouteError(
            f"{pin.program} cannot be kept here: {error}", "put the program on PATH"
        ) from error
    return path


async def _fetch_first(path: Path, pin: Pin) -> None:
    """Put it there from the first place that has it. Raises `RouteError` and OSError."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    stage = path.with_name(f".{path.name}.{os.getpid()}")
    failures: list[str] = []
    for place in pin.places:
        try:
            await _fetch(place, stage, pin)
            os.replace(stage, path)
            return
        except OSError as error:
            failures.append(f"{place}: {error}")
        finally:
            stage.unlink(missing_ok=True)
    raise RouteError(
        f"{pin.program} {pin.version} cannot be fetched: {'; '.join(failures) or 'from nowhere'}",
        f"put the program on PATH, or name a file or mirror that has sha256 {pin.sha256}",
    )


async def _fetch(place: str, stage: Path, pin: Pin) -> None:
    """Write what lies at `place`. Raises OSError. In an argv everybody could read a password."""
    try:
        with _open_private(stage) as file, anyio.fail_after(FETCH_S):
            reader = await anyio.run_process(
                READER, input=os.fsencode(place), stdout=file, check=False
            )
    except TimeoutError:
        raise OSError(f"not all of it came within {FETCH_S:.0f} s") from None
    if reader.returncode != 0:
        raise OSError(quoted(reader.stderr.decode("utf-8", "replace")))
    await anyio.to_thread.run_sync(_accept, stage, pin)


def _open_private(stage: Path) -> BinaryIO:
    stage.unlink(missing_ok=True)
    stage.touch(0o600)
    return stage.open("wb")


def _accept(stage: Path, pin: Pin) -> None:
    """Make it executable, now that it is known. Raises OSError if it is another program."""
    if (digest := _digest(stage)) != pin.sha256:
        raise OSError(f"it is another program: sha256 {digest}")
    stage.chmod(0o700)


def _digest(path: Path) -> str:
    """Return what is there, nothing where no file is. Raises OSError."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# The reading process


def main() -> int:
    """Write to standard output what lies at the place that standard input names."""
    place, size = os.fsdecode(sys.stdin.buffer.read()), 0
    try:
        for part in read_place(place):
            size += len(part)
            if size > SIZE_MAX:
                raise OSError("too large")
            sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()
    except (OSError, HTTPException, ValueError) as error:  # The last for what is no URL at all.
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def read_place(place: str) -> Iterator[bytes]:
    """Yield what lies at an https URL or in a file. Raises OSError, HTTPException, ValueError."""
    if "://" in place and not place.startswith("https://"):
        raise OSError(f"{place}: https or a file")
    if not place.startswith("https://"):
        with Path(place).expanduser().open("rb") as file:
            yield from iter(lambda: file.read(PART), b"")
        return
    with urllib.request.urlopen(place, timeout=TIMEOUT_S) as answer:  # noqa: S310 - https only.
        yield from iter(lambda: answer.read(PART), b"")


if __name__ == "__main__":
    sys.exit(main())
