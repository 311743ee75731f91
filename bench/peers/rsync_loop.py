"""The loop that people write themselves: `while inotifywait; do rsync; done`."""

from __future__ import annotations

from shlex import quote

from bench.ground import Ground
from bench.peers.base import Processes, missing, run
from bench.peers.lsyncd import shared_ssh

LOOP = """\
copy() {{ rsync -az --delete -e {ssh} {near}/ {host}:{far}/; }}
copy
while inotifywait -qq -r -e close_write,move,create,delete {near}; do copy; done
"""


class RsyncLoop:
    name = "rsync-loop"
    copies_only = False

    def why_not(self) -> str | None:
        return missing("rsync", "inotifywait")

    def start(self, ground: Ground) -> Processes:
        script = LOOP.format(
            ssh=quote(shared_ssh(ground)),
            near=quote(str(ground.near)),
            far=quote(str(ground.far)),
            host=ground.machine.name,
        )
        return Processes(ground, [run(ground, ["/bin/sh", "-c", script])])
