"""The loop that people write themselves: `while inotifywait; do rsync; done`.

While it copies it does not listen: a save that falls in between is lost until the next one. The
benchmarks wait for it to listen again, or nothing but that would be measured.
"""

from __future__ import annotations

from shlex import quote

from bench.ground import Ground
from bench.peers.base import Processes, missing, run
from bench.peers.lsyncd import shared_ssh

LISTENS = "Watches established."  # inotifywait's word, on stderr.

LOOP = """\
copy() {{ echo copying; rsync -az --delete -e {ssh} {near}/ {host}:{far}/; }}
copy
while inotifywait -r -e close_write,move,create,delete {near} >/dev/null; do copy; done
"""


class RsyncLoop:
    name = "rsync-loop"
    copies_only = False

    def why_not(self) -> str | None:
        return missing("rsync", "inotifywait")

    def start(self, ground: Ground) -> Loop:
        script = LOOP.format(
            ssh=quote(shared_ssh(ground)),
            near=quote(str(ground.near)),
            far=quote(str(ground.far)),
            host=ground.machine.name,
        )
        return Loop(ground, [run(ground, ["/bin/sh", "-c", script])])


class Loop(Processes):
    def listens(self) -> bool:
        return self._ground.told().rstrip().endswith(LISTENS)
