"""Play the `console` blocks of the documents, in order, against a machine made for each page.

`python docs/examples.py --write` puts what the commands print into the pages; a test compares. A
page starts in the folder of a small project, `gpu-box` being the machine, both homes `/home/ana`.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from towline.demo.scene import end_agents
from towline.machine.embedded import embedded_machine

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md",
    "docs/sync.md",
    "docs/guide-ssh-host.md",
    "docs/guide-git.md",
    "docs/guide-run.md",
)
MACHINE = "gpu-box"
HOME = "/home/ana"
PROJECT = {
    ".gitignore": "*.log\n/checkpoints/\n",
    "README.md": "# vision\n",
    "notes.txt": "what we know so far\n",
    "train.py": "from model.net import LAYERS\n\nprint(LAYERS)\n",
    "model/__init__.py": "",
    "model/net.py": "LAYERS = 4\n",
    "train.log": "epoch 1\n",
    "checkpoints/epoch_1.pt": "0" * 5_000_000,
}

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMIT = re.compile(r"\b(?=[a-f]*\d)[0-9a-f]{7,40}\b")
NUMBER = re.compile(r"\d+([.,]\d+)*( ?(ms|min|s|h|B|kB|MB|GB)\b)?")


@dataclass(frozen=True, slots=True)
class Example:
    """A command with what the page says it prints."""

    command: str
    output: str


def examples_of(block: str) -> Iterator[Example]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield Example(command, output)


def shape(output: str) -> str:
    """What stays the same from run to run: no numbers, commits, units, plurals, widths."""
    plain = NUMBER.sub(
        "N", COMMIT.sub("N", output).replace("changes", "change").replace("files", "file")
    )
    return "\n".join(" ".join(line.split()) for line in plain.splitlines())


def play(text: str) -> list[str]:
    """Return the blocks of a page with what their commands print now."""
    return anyio.run(_play, [match[1] for match in BLOCK.finditer(text)])


async def _play(blocks: list[str]) -> list[str]:
    async with _world() as world:
        return [await world.played(block) for block in blocks]


# Told only if the first sync takes so long that it is worth a line.
FIRST_SYNC = re.compile(r"^[0-9:]+ first sync: .*\n", re.MULTILINE)


class _World:
    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self._directory = directory
        self._environment = environment

    async def played(self, block: str) -> str:
        said = [f"$ {e.command}\n{await self._output(e.command)}" for e in examples_of(block)]
        return "".join(said)

    async def _output(self, command: str) -> str:
        done = await anyio.run_process(
            ["sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            cwd=self._directory / "home/vision",
            env=self._environment,
            check=False,
        )
        said = done.stdout.decode()
        for home in ("machine/home", "home"):
            said = said.replace(str(self._directory / home), HOME)
        said = FIRST_SYNC.sub("", said)
        host = socket.gethostname().partition(".")[0]
        return re.sub(rf"conflict-{re.escape(host)}-", f"conflict-{MACHINE}-", said)


@asynccontextmanager
async def _world() -> AsyncGenerator[_World]:
    directory = Path(tempfile.mkdtemp(prefix="towline-docs-", dir="/tmp"))  # Sockets below it.
    try:
        for name, content in PROJECT.items():
            file = directory / "home/vision" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        (directory / "machine").mkdir()
        async with embedded_machine(directory / "machine", name=MACHINE) as machine:
            world = _World(directory, _environment(directory, machine.ssh_config))
            try:
                yield world
            finally:
                await world.played("$ towline links stop\n")
                end_agents(machine.home)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _environment(directory: Path, ssh_config: Path) -> dict[str, str]:
    """Return a person's environment in which `ssh gpu-box` leads to the machine."""
    programs = directory / "bin"
    programs.mkdir()
    ssh = programs / "ssh"
    ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {ssh_config} "$@"\n')
    ssh.chmod(0o700)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {"PATH": path, "LANG": "C.UTF-8", "TERM": "dumb", "HOME": f"{directory}/home"}
    for variable in ("STATE", "CONFIG", "CACHE"):
        environment[f"XDG_{variable}_HOME"] = f"{directory}/{variable.lower()}"
    (directory / "run").mkdir(mode=0o700)
    return {**environment, "XDG_RUNTIME_DIR": f"{directory}/run"}


def with_blocks(text: str, blocks: Iterable[str]) -> str:
    """Return the page with these blocks in place of its own."""
    left = iter(blocks)
    return BLOCK.sub(lambda _: f"```console\n{next(left)}```", text)


def main() -> None:
    for name in PAGES:
        page = ROOT / name
        text = page.read_text("utf-8")
        fresh = with_blocks(text, play(text))
        if "--write" in sys.argv[1:]:
            page.write_text(fresh, "utf-8")
        else:
            sys.stdout.write("\n".join(match[1] for match in BLOCK.finditer(fresh)))


if __name__ == "__main__":
    main()
