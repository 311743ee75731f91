"""The real bore server, for tests that have it: as `requirements/relays.sh` builds it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from lab.relay import find, why_no

# Its control port is fixed: an address that no other run of these tests listens on.
PLACE = f"127.77.{os.getpid() >> 8 & 255}.{os.getpid() & 255 or 1}"

real = pytest.mark.skipif(find("bore") is None, reason=why_no("bore"))


@contextmanager
def bore_server(*arguments: str) -> Generator[subprocess.Popen[str]]:
    """Yield a server that listens at `PLACE`."""
    program = find("bore")
    assert program is not None
    argv = [program, "server", "--bind-addr", PLACE, *arguments]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while "server listening" not in (line := process.stdout.readline()):
            assert line, "bore ended"
        try:
            yield process
        finally:
            process.kill()
