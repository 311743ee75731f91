"""unison, repeating: each second, or by its own watcher."""

from __future__ import annotations

from bench.ground import Ground
from bench.peers.base import Processes, missing, run


class Unison:
    copies_only = False

    def __init__(self, name: str, repeat: str) -> None:
        self.name = name
        self._repeat = repeat

    def why_not(self) -> str | None:
        return missing("unison", *(["unison-fsmonitor"] if self._repeat == "watch" else []))

    def start(self, ground: Ground) -> Processes:
        remote = f"ssh://{ground.machine.name}/{ground.far}"
        options = ["-batch", "-auto", "-confirmbigdel=false", "-repeat", self._repeat]
        argv = ["unison", ground.near, remote, "-sshcmd", ground.ssh, *options]
        return Processes(ground, [run(ground, argv, env={"UNISON": str(ground.state / "u")})])
