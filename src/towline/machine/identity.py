"""Who this machine is: its id, its host key, its port, and the name that people know it by.

They are made once and kept, so that a second `up`, or one after a restart, is the same machine to
every laptop that knows it.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass

from towline.core.ticket import MACHINE_SIZE
from towline.machine.keys import ensure_key
from towline.machine.place import Json, Place, read_json, write_private

ALIAS_MAX = 32


@dataclass(frozen=True, slots=True)
class Identity:
    machine: str  # 16 hexadecimal digits.
    host_key: str  # The public line.
    port: int  # 0: not chosen yet.


def ensure_identity(place: Place) -> Identity:
    """Return who this machine is. Where its host key is gone, it is another one."""
    kept = read_json(place.identity) if place.host_key.exists() else None
    host_key = ensure_key(place.host_key, "towline machine")
    known: Json = kept or {"machine": os.urandom(MACHINE_SIZE).hex(), "port": 0}
    if kept is None:
        write_private(place.identity, json.dumps(known))
    return Identity(known["machine"], host_key, known["port"])


def keep_port(place: Place, identity: Identity, port: int) -> None:
    if port != identity.port:
        write_private(place.identity, json.dumps({"machine": identity.machine, "port": port}))


def alias_of(text: str) -> str:
    """Return `text` as a name that ssh, tickets and files can all hold."""
    name = re.sub(r"[^a-z0-9-]+", "-", text.lower())[:ALIAS_MAX].strip("-")
    return name or "machine"
