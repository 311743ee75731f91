"""Real file systems, mounted for as long as a test needs them."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

needs_mount = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can mount"
)


@contextmanager
def small_disk_at(place: Path, size: int) -> Iterator[None]:
    """A disk of so many bytes."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"mount refused: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def dead_mount_at(place: Path) -> Iterator[None]:
    """What is left of a FUSE mount whose program is gone, as of an sshfs that crashed."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        fuse = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        pytest.skip(f"no FUSE: {error}")
    options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0".encode()
    failed = libc.mount(b"none", os.fsencode(place), b"fuse", 0, options)
    os.close(fuse)
    if failed:
        pytest.skip(f"mount refused: {os.strerror(ctypes.get_errno())}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
