"""What ssh-audit says of both servers as we configure them: no failure, no unexplained warning.

Run by `nox -s audit`, which brings ssh-audit; its program is named in TOWLINE_SSH_AUDIT.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.borrowed import Borrowed, borrowed_in

AUDIT = os.environ.get("TOWLINE_SSH_AUDIT") or shutil.which("ssh-audit")

pytestmark = pytest.mark.skipif(AUDIT is None, reason="needs ssh-audit: `nox -s audit`")

EXPLAINED = {"does not provide protection against post-quantum attacks"}  # In docs/security.md.


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Borrowed]:
    with borrowed_in(tmp_path / "machine") as machine:
        yield machine


@pytest.mark.parametrize("server", [(), ("--embedded",)], ids=["sshd", "embedded"])
def test_no_failure_and_no_warning_that_is_not_explained(
    machine: Borrowed, server: tuple[str, ...]
) -> None:
    told = machine.up(*server)
    assert told["server"] == ("embedded" if server else "sshd")
    assert AUDIT is not None
    done = subprocess.run(
        [AUDIT, "--json", "-p", str(machine.tunnel.target), "127.0.0.1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    report = json.loads(done.stdout)
    found = [(kind, item["algorithm"], item["notes"]) for kind in ("kex", "key", "enc", "mac")
             for item in report[kind]]  # fmt: skip
    assert found
    assert not [row for row in found if row[2].get("fail")]
    warned = {text for _, _, notes in found for text in notes.get("warn", [])}
    assert warned <= EXPLAINED
