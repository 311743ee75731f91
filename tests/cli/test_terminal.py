"""What is typed to a job, and how it is left."""

from __future__ import annotations

import sys

import pytest

if sys.platform == "win32":
    pytest.skip("needs the terminals of a Unix", allow_module_level=True)

from towline.cli.terminal import Keys


@pytest.mark.parametrize(
    ("typed", "passed", "leaves"),
    [
        ([b"ls\r"], b"ls\r", False),
        ([b"~."], b"", True),
        ([b"ls\r~.more"], b"ls\r", True),
        ([b"ls\r~", b"."], b"ls\r", True),
        ([b"cd ~.\r"], b"cd ~.\r", False),
        ([b"~~."], b"~.", False),
        ([b"~/bin\r"], b"~/bin\r", False),
        ([b"\x03"], b"\x03", False),
    ],
)
def test_tilde_dot_at_the_beginning_of_a_line_leaves(
    typed: list[bytes], passed: bytes, leaves: bool
) -> None:
    keys = Keys()
    assert b"".join(keys.take(part) for part in typed) == passed
    assert keys.leaves is leaves
