"""A tar stream over ssh: the reference for first copies. It copies once."""

from __future__ import annotations

from shlex import quote

from bench.ground import Ground
from bench.peers.base import Processes, missing, run


class Tar:
    copies_only = True

    def __init__(self, name: str) -> None:
        self.name = name

    def why_not(self) -> str | None:
        return missing("tar", *(["zstd"] if self._is_packed else []))

    @property
    def _is_packed(self) -> bool:
        return self.name.endswith(".zst")

    def start(self, ground: Ground) -> Processes:
        far = quote(str(ground.far))
        unpack = f"mkdir -p {far} && {'zstd -d | ' if self._is_packed else ''}tar -C {far} -xf -"
        pack = (
            f"tar -C {quote(str(ground.near))} -cf - . {'| zstd -q -1 ' if self._is_packed else ''}"
        )
        line = f"{pack} | {ground.ssh} {ground.machine.name} {quote(unpack)}"
        return Processes(ground, [run(ground, ["/bin/sh", "-c", line])])
