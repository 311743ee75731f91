"""The floor: one open ssh channel, and a loop on the far side that writes what it is told.

It watches, scans, hashes and compares nothing: nothing that keeps folders in step can be faster.
"""

from __future__ import annotations

import os
import shlex
import shutil
import struct
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from bench.ground import Ground
from bench.peers.base import Edit, Inserted, Moved, Processes, Written, environment, missing

HEADER = struct.Struct(">BHQQ")  # What to do, length of the path, offset, length of the data.
WRITE, MOVE, INSERT = 1, 2, 3
PIECE = 1 << 20

FAR = """
import os, struct, sys
header = struct.Struct(">BHQQ")
read = sys.stdin.buffer.read
os.makedirs(sys.argv[1], exist_ok=True)
os.chdir(sys.argv[1])
known = {""}
def copy(size, file):
    while size:
        piece = read(min(size, 1 << 20))
        file.write(piece)
        size -= len(piece)
while head := read(header.size):
    what, length, offset, size = header.unpack(head)
    path = os.fsdecode(read(length))
    parent = os.path.dirname(path)
    if parent not in known:
        os.makedirs(parent, exist_ok=True)
        known.add(parent)
    if what == 1:
        with open(path + ".new", "wb", buffering=0) as file:
            copy(size, file)
        os.rename(path + ".new", path)
    elif what == 2:
        os.rename(path, os.fsdecode(read(size)))
    else:
        data = read(size)
        with open(path, "r+b", buffering=0) as file:
            file.seek(offset)
            rest = file.read()
            file.seek(offset)
            file.write(data + rest)
"""


class Floor:
    name = "floor"
    copies_only = False

    def why_not(self) -> str | None:
        return missing("ssh")

    def start(self, ground: Ground) -> Told:
        return Told(ground)


class Told(Processes):
    def __init__(self, ground: Ground) -> None:
        command = f"exec python3 -I -S -c {shlex.quote(FAR)} {shlex.quote(str(ground.far))}"
        self._ssh = subprocess.Popen(
            [str(ground.ssh), ground.machine.name, command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(ground),
            start_new_session=True,
        )
        assert self._ssh.stdin is not None
        self._to: IO[bytes] = self._ssh.stdin
        super().__init__(ground, [self._ssh])
        self.told([Written(path) for path in _files(ground.near)])

    def told(self, edits: Sequence[Edit]) -> None:
        for edit in edits:
            self._tell(edit)
        self._to.flush()

    def _tell(self, edit: Edit) -> None:
        match edit:
            case Written(path):
                self._send_file(path)
            case Moved(path, to):
                self._send(MOVE, path, 0, os.fsencode(to))
            case Inserted(path, offset, data):
                self._send(INSERT, path, offset, data)

    def _send(self, what: int, path: str, offset: int, data: bytes) -> None:
        name = os.fsencode(path)
        self._to.write(HEADER.pack(what, len(name), offset, len(data)) + name + data)

    def _send_file(self, path: str) -> None:
        with open(self._ground.near / path, "rb", buffering=0) as file:
            name, size = os.fsencode(path), os.fstat(file.fileno()).st_size
            self._to.write(HEADER.pack(WRITE, len(name), 0, size) + name)
            shutil.copyfileobj(file, self._to, PIECE)


def _files(root: Path) -> Iterator[str]:
    for directory, _, names in os.walk(root):
        for name in names:
            yield os.path.relpath(os.path.join(directory, name), root)
