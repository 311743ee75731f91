"""Where a measurement happens: a machine, near or far, and fresh folders on both sides of it.

All lies on a tmpfs where there is one, so that no disk is measured. As root the machine's folders
get a tmpfs of their own, whose count of files says without looking that a copy may be complete.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.wan import Link, wan
from tests.end_to_end.sshd import Machine, machine_in

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  It is the tmpfs that every Linux has.
FREE_MIN = 6 << 30  # Bytes a run needs at most: two sides of a gigabyte, and what stages them.
OWN_NAMES = {".towline", ".stfolder", ".stversions", ".stignore"}
Listing = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Ground:
    """The folders of one peer in one scene. `near` is to appear as `far` on the machine."""

    machine: Machine
    link: Link | None
    near: Path
    far: Path
    state: Path  # For what the peer keeps, and for files that are not in step yet.

    @property
    def ssh(self) -> Path:
        """A program that is ssh, with this machine's configuration."""
        return self.wrapper("ssh")

    def wrapper(self, name: str, *options: str) -> Path:
        """Return a script that runs ssh with the machine's configuration and these options."""
        script = self.state / "bin" / name
        if not script.exists():
            script.parent.mkdir(exist_ok=True)
            words = " ".join(options)
            script.write_text(f'#!/bin/sh\nexec ssh -F {self.machine.config} {words} "$@"\n')
            script.chmod(0o755)
        return script

    def wire_bytes(self) -> int:
        """Return the bytes that went over the link so far, both ways; 0 where there is none."""
        if self.link is None:
            return 0
        status = self.link.status()
        return int(status["up"]["bytes"]) + int(status["down"]["bytes"])

    def told(self) -> str:
        """Return what the peer has printed so far."""
        log = self.state / "log"
        return log.read_text(errors="replace") if log.exists() else ""

    def files_used(self) -> int:
        """Return how many files the far side's file system holds, ours and others."""
        status = os.statvfs(self.far.parent)
        return status.f_files - status.f_ffree


class Place:
    """A machine at one distance."""

    def __init__(self, name: str, directory: Path, machine: Machine, link: Link | None) -> None:
        self.name = name
        self.machine = machine
        self.link = link
        self._directory = directory
        self._count = 0

    @property
    def rtt_s(self) -> float:
        return 0.0 if self.link is None else self.link.status()["settings"]["rtt"][0] / 1e3

    @contextmanager
    def ground(self) -> Generator[Ground]:
        """Yield folders nobody has used; `far` is yet to be made."""
        self._count += 1
        near = self._directory / f"n{self._count}"
        far = self._directory / "far" / f"f{self._count}"
        with ExitStack() as stack:
            far.mkdir(parents=True)
            if os.geteuid() == 0:
                stack.enter_context(_tmpfs_at(far))
            for made in (near / "proj", near / "state"):
                made.mkdir(parents=True)
            yield Ground(self.machine, self.link, near / "proj", far / "proj", near / "state")
        for used in (near, far):
            shutil.rmtree(used, ignore_errors=True)


@contextmanager
def place_at(name: str, rtt_ms: float, rate_mbit: float) -> Generator[Place]:
    """Start a machine `rtt_ms` away (0: on loopback). Raises `WanError` where that cannot be."""
    with (
        tempfile.TemporaryDirectory(prefix="twb-", dir=fast_directory()) as made,
        ExitStack() as up,
    ):
        directory = Path(made)
        link = up.enter_context(wan(rtt_ms=rtt_ms, rate_mbit=rate_mbit)) if rtt_ms else None
        machine = up.enter_context(machine_in(directory / "m", link=link))
        yield Place(name, directory, machine, link)


def fast_directory() -> Path | None:
    """Return a tmpfs with room, or None: the system's own temporary directory must do."""
    if not SHARED_MEMORY.is_dir() or not os.access(SHARED_MEMORY, os.W_OK):
        return None
    status = os.statvfs(SHARED_MEMORY)
    return SHARED_MEMORY if status.f_bavail * status.f_frsize > FREE_MIN else None


@contextmanager
def _tmpfs_at(directory: Path) -> Generator[None]:
    mount = ["mount", "-t", "tmpfs", "-o", "size=8g,nr_inodes=2m", "tmpfs", str(directory)]
    subprocess.run(mount, check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def listing(root: Path) -> Listing:
    """Return path → (kind, size) of all below `root`, without what peers keep for themselves."""
    found: Listing = {}
    for path, status in _walk(str(root), ""):
        found[path] = _entry(status)
    return found


def entry_at(path: Path) -> tuple[int, int] | None:
    """Return what `listing` says of one path; None if nothing is there."""
    try:
        return _entry(path.lstat())
    except OSError:
        return None


def _entry(status: os.stat_result) -> tuple[int, int]:
    is_file = stat.S_ISREG(status.st_mode)
    return stat.S_IFMT(status.st_mode), status.st_size if is_file else 0


def _walk(directory: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        with os.scandir(directory) as entries:
            here = [entry for entry in entries if entry.name not in OWN_NAMES]
        for entry in here:
            status = entry.stat(follow_symlinks=False)
            yield prefix + entry.name, status
            if stat.S_ISDIR(status.st_mode):
                yield from _walk(entry.path, f"{prefix}{entry.name}/")
    except FileNotFoundError:  # Somebody's temporary name, gone meanwhile.
        return
