"""Who is measured, one file each, behind the seam of `base`."""

from __future__ import annotations

from bench.peers.base import Peer
from bench.peers.floor import Floor
from bench.peers.lsyncd import Lsyncd
from bench.peers.mutagen import Mutagen
from bench.peers.rsync_loop import RsyncLoop
from bench.peers.syncthing import Syncthing
from bench.peers.tar import Tar
from bench.peers.towline import Towline
from bench.peers.unison import Unison

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Towline(),
        Floor(),
        Tar("tar"),
        Tar("tar.zst"),
        Lsyncd("lsyncd-0", delay_s=0, shared=True),
        Lsyncd("lsyncd-1", delay_s=1, shared=False),
        RsyncLoop(),
        Mutagen(),
        Unison("unison", "1"),
        Unison("unison-watch", "watch"),
        Syncthing(),
    )
}
