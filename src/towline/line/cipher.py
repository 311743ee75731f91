"""Which cipher ssh tries first: of those it would offer anyway, the one that is quickest here.

OpenSSH offers ChaCha20 first, for computers without instructions for AES. Where there are such,
AES-GCM takes a good half of the time, and its key is as long. A person's own choice stands, and no
cipher is offered that would not have been. What ssh does with it is not for here to know.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import anyio

from towline.line.options import SshOptions

QUICK = "aes256-gcm@openssh.com"
ANSWER_S = 1.0  # For ssh to read its configuration; what takes longer is not worth waiting for.

_CHACHA = "chacha20-poly1305@openssh.com"
_GCM = ("aes128-gcm@openssh.com", QUICK)
_CTR = ("aes128-ctr", "aes192-ctr", "aes256-ctr")
OFFERED = frozenset({(_CHACHA, *_CTR, *_GCM), (_CHACHA, *_GCM, *_CTR)})
"""What OpenSSH offers by itself, before version 10 and since: any other list is somebody's choice.
"""


async def with_quick_cipher(options: SshOptions, host: str) -> SshOptions:
    """Return the options, and the quick cipher before the others where nobody has chosen any."""
    if not has_aes() or os.environ.get("TOWLINE_SSH"):  # Another program has words of its own.
        return options
    offered = await _offered(options, host)
    if offered not in OFFERED:
        return options
    others = (cipher for cipher in offered if cipher != QUICK)
    return replace(options, options=(*options.options, f"Ciphers={','.join((QUICK, *others))}"))


async def _offered(options: SshOptions, host: str) -> tuple[str, ...]:
    """Return the ciphers that ssh would offer the host, in its order; none if it does not say."""
    command = ["ssh", "-G", "-T", *options.arguments(), "--", host]
    said = b""
    with anyio.move_on_after(ANSWER_S):
        try:
            ended = await anyio.run_process(
                command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
            )
        except OSError:
            return ()  # Whoever starts it next says so.
        said = ended.stdout
    return read_ciphers(said.decode("utf-8", "replace"))


def read_ciphers(configuration: str) -> tuple[str, ...]:
    """Return the ciphers of what `ssh -G` prints."""
    for line in configuration.splitlines():
        keyword, _, value = line.partition(" ")
        if keyword == "ciphers":
            return tuple(value.split(","))
    return ()


def has_aes() -> bool:
    """Whether this computer's processor is known to have instructions for AES."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    try:
        words = Path("/proc/cpuinfo").read_text("utf-8", "replace").split()
    except OSError:
        return False
    return "aes" in words
