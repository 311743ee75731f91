"""lsyncd with rsync and `ssh mv`: with a delay of a second, and tuned over a shared connection."""

from __future__ import annotations

from bench.ground import Ground
from bench.peers.base import Processes, missing, run

CONFIG = """\
settings {{ nodaemon = true, insist = true }}
sync {{
    default.rsyncssh,
    source = "{near}", host = "{host}", targetdir = "{far}", delay = {delay},
    rsync = {{ archive = true, rsh = "{ssh}" }},
    ssh = {{ binary = "{ssh}" }},
}}
"""


class Lsyncd:
    copies_only = False

    def __init__(self, name: str, *, delay_s: int, shared: bool) -> None:
        self.name = name
        self._delay_s = delay_s
        self._shared = shared

    def why_not(self) -> str | None:
        return missing("lsyncd", "rsync")

    def start(self, ground: Ground) -> Processes:
        ssh = shared_ssh(ground) if self._shared else ground.ssh
        ground.far.mkdir()
        config = ground.state / "lsyncd.lua"
        config.write_text(
            CONFIG.format(
                near=ground.near,
                far=ground.far,
                host=ground.machine.name,
                delay=self._delay_s,
                ssh=ssh,
            )
        )
        return Processes(ground, [run(ground, ["lsyncd", config])])


def shared_ssh(ground: Ground) -> str:
    """Return an ssh that opens one connection and goes on using it."""
    control = ground.state / "ctl"
    options = ("-oControlMaster=auto", f"-oControlPath={control}", "-oControlPersist=30")
    return str(ground.wrapper("ssh-shared", *options))
