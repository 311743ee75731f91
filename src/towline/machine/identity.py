"""Who this machine is: its id, its host key, its port, and the name that people know it by.

They are made once and kept, so that a second `up`, or one after a restart, is the same machine to
every laptop that knows it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
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


def usual_alias(environment: Mapping[str, str], host: str) -> str:
    """Return what to call this machine if nobody says: hosts of notebooks have names of no use."""
    if is_colab(environment):
        return "colab"
    if "KAGGLE_KERNEL_RUN_TYPE" in environment:
        return "kaggle"
    return alias_of(host.partition(".")[0])


def is_colab(environment: Mapping[str, str]) -> bool:
    return "COLAB_RELEASE_TAG" in environment


def usual_folder(environment: Mapping[str, str]) -> str:
    """Return where notebooks of the platform have their files; empty: the home folder."""
    if is_colab(environment):
        return "/content"
    return "/kaggle/working" if "KAGGLE_KERNEL_RUN_TYPE" in environment else ""
