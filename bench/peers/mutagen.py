"""mutagen, where its programs are given (on PATH). Its own daemon is started and ended."""

from __future__ import annotations

import subprocess

from bench.ground import Ground
from bench.peers.base import Processes, environment, missing, run


class Mutagen:
    name = "mutagen"
    copies_only = False

    def why_not(self) -> str | None:
        return missing("mutagen")

    def start(self, ground: Ground) -> Syncing:
        return Syncing(ground)


class Syncing(Processes):
    def __init__(self, ground: Ground) -> None:
        ground.wrapper("scp").write_text(f'#!/bin/sh\nexec scp -F {ground.machine.config} "$@"\n')
        self._env = {
            **environment(ground),
            "MUTAGEN_SSH_PATH": str(ground.ssh.parent),
            "MUTAGEN_DATA_DIRECTORY": str(ground.state / "data"),
        }
        daemon = run(ground, ["mutagen", "daemon", "run"], env=self._env)
        super().__init__(ground, [daemon])
        there = f"{ground.machine.name}:{ground.far}"
        self._do("sync", "create", "--name", "bench", str(ground.near), there)

    def stop(self) -> None:
        self._do("sync", "terminate", "--all")
        super().stop()

    def _do(self, *words: str) -> None:
        subprocess.run(["mutagen", *words], env=self._env, capture_output=True, check=True)
