"""syncthing: two of them that know each other, without discovery, relays or a wait of their own."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bench.ground import Ground
from bench.peers.base import Processes, family_of, missing, run

PORT_NEAR, PORT_FAR = 42201, 42202
GUI_NEAR, GUI_FAR = 42203, 42204

CONFIG = """\
<configuration version="36">
  <folder id="bench" path="{path}" type="{type}" rescanIntervalS="3600"
          fsWatcherEnabled="true" fsWatcherDelayS="1" ignorePerms="true">
    <device id="{own}"/><device id="{other}"/>
  </folder>
  <device id="{own}" name="own"><address>dynamic</address></device>
  <device id="{other}" name="other"><address>{address}</address></device>
  <gui enabled="true"><address>127.0.0.1:{gui}</address><apikey>bench</apikey></gui>
  <options>
    <listenAddress>{listen}</listenAddress>
    <globalAnnounceEnabled>false</globalAnnounceEnabled>
    <localAnnounceEnabled>false</localAnnounceEnabled>
    <relaysEnabled>false</relaysEnabled>
    <natEnabled>false</natEnabled>
    <startBrowser>false</startBrowser>
    <urAccepted>-1</urAccepted>
    <crashReportingEnabled>false</crashReportingEnabled>
    <autoUpgradeIntervalH>0</autoUpgradeIntervalH>
    <reconnectionIntervalS>1</reconnectionIntervalS>
    <setLowPriority>false</setLowPriority>
  </options>
</configuration>
"""


class Syncthing:
    name = "syncthing"
    copies_only = False

    def why_not(self) -> str | None:
        return missing("syncthing")

    def start(self, ground: Ground) -> Pair:
        return Pair(ground)


class Pair(Processes):
    def __init__(self, ground: Ground) -> None:
        link = ground.link
        hosts = (link.near_address, link.far_address) if link else ("127.0.0.1", "127.0.0.1")
        near, far = (f"tcp://{hosts[0]}:{PORT_NEAR}", f"tcp://{hosts[1]}:{PORT_FAR}")
        homes = [ground.state / name for name in ("near", "far")]
        ids = [_identity(home) for home in homes]
        for root in (ground.near, ground.far):
            (root / ".stfolder").mkdir(parents=True)
        _configure(homes[0], ground.near, "sendonly", *ids, near, far, GUI_NEAR)
        _configure(homes[1], ground.far, "receiveonly", ids[1], ids[0], far, near, GUI_FAR)
        argv = [["syncthing", "serve", "--home", home, "--no-browser"] for home in homes]
        env = {"STNOUPGRADE": "1"}
        self._far = run(ground, link.far(argv[1]) if link else argv[1], env=env)
        self._near = run(ground, link.near(argv[0]) if link else argv[0], env=env)
        super().__init__(ground, [self._near, self._far])

    def near(self) -> list[int]:
        return self._of(self._near)

    def far(self) -> list[int]:
        return self._of(self._far)

    def _of(self, process: subprocess.Popen[bytes]) -> list[int]:
        return list(family_of(process.pid))


def _identity(home: Path) -> str:
    generate = ["syncthing", "generate", "--home", str(home), "--no-default-folder"]
    subprocess.run([*generate, "--skip-port-probing"], capture_output=True, check=True)
    shown = subprocess.run(
        ["syncthing", "--home", str(home), "--device-id"],
        capture_output=True,
        text=True,
        check=True,
    )
    return shown.stdout.strip()


def _configure(
    home: Path, path: Path, kind: str, own: str, other: str, listen: str, address: str, gui: int
) -> None:
    text = CONFIG.format(
        path=path, type=kind, own=own, other=other, listen=listen, address=address, gui=gui
    )
    (home / "config.xml").write_text(text)
