"""The ways from the laptop to the machine that the lab tries: for each its real part, set up.

A way says what stands on the relay, what `towline up` is told on the machine, what the person's own
ssh configuration on the laptop must know, and what makes it refuse. What is then done with it is
the same for all (`lab.journey`).
"""

from __future__ import annotations

import getpass
import json
import shutil
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lab.relay import (
    FRPS_PORT,
    GATEWAY_PORT,
    TOKEN,
    Server,
    bore_on,
    find,
    frps_on,
    running,
    sshd_on,
    why_no,
)
from lab.three import RELAY, Three
from tests.conformance.routes.worlds import install
from tests.end_to_end import sshd

HOP = """\
Host {hosts}
    HostName {address}
    Port {port}
    User {user}
    IdentityFile {key}
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile {directory}/known_hosts_of_laptop
    StrictHostKeyChecking accept-new
"""
PORTMAP_RULE = "tcp://ana-20022.portmap.host:20022"
FRP_PORT = 20023
USER = getpass.getuser()


@dataclass(frozen=True, slots=True)
class Stand:
    """A way whose part on the relay runs."""

    server: Server
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    refused: Mapping[str, str] = field(default_factory=dict[str, str])  # Settings or environment.
    means: str = ""  # What the message of a refusal says.
    config: str = ""  # The laptop's ~/.ssh/config.
    laptop: Mapping[str, str] = field(default_factory=dict[str, str])  # Its environment.
    name: str = "box"  # As `towline ssh` and `cp` take it.


Open = Callable[[Three, Path], AbstractContextManager[Stand]]


@dataclass(frozen=True, slots=True)
class Way:
    name: str
    route: str  # What `up --route` is given; empty: the machine has an sshd, and `up` is not used.
    part: str  # Real, or a stand-in: what it was.
    open: Open
    why_not: Callable[[], str]


def _hop(server: sshd.Machine, hosts: str = RELAY) -> str:
    return HOP.format(
        hosts=hosts,
        address=server.address,
        port=server.port,
        user=USER,
        key=server.directory / "user_key",
        directory=server.directory,
    )


def _another_key(directory: Path) -> str:
    """Return a private key that nobody knows: the relay's own host key."""
    return str(directory / "host_key")


@contextmanager
def ssh(lab: Three, directory: Path) -> Generator[Stand]:
    server = sshd_on(lab, directory / "relay")
    with running(server):
        settings = {
            "ssh.server": f"{USER}@{RELAY}:{server.port}",
            "ssh.key": str(server.directory / "user_key"),
        }
        refused = {"ssh.key": _another_key(server.directory)}
        yield Stand(server, settings, {}, refused, "does not accept the key", _hop(server))


@contextmanager
def ssh_public(lab: Three, directory: Path) -> Generator[Stand]:
    server = sshd_on(lab, directory / "relay", "GatewayPorts clientspecified")
    with running(server):
        settings = {
            "ssh.server": f"{USER}@{RELAY}:{server.port}",
            "ssh.key": str(server.directory / "user_key"),
            "ssh.public": "yes",
        }
        yield Stand(server, settings, {}, {"ssh.port": "22022"}, "does not give that port")


@contextmanager
def portmap(lab: Three, directory: Path) -> Generator[Stand]:
    """As portmap.io gives it out: a key whose name is the login, and a file with the rule."""
    server = sshd_on(lab, directory / "relay", "GatewayPorts yes")
    key = server.directory / f"{USER}.pem"
    shutil.copy(server.directory / "user_key", key)
    mapping = server.directory / "mapping_config.json"
    mapping.write_text(json.dumps({"rule": PORTMAP_RULE}))
    with running(server):
        settings = {
            "portmap.key": str(key),
            "portmap.mapping": str(mapping),
            "portmap.server": f"ana-20022.portmap.host:{server.port}",
        }
        stranger = server.directory / "stranger" / key.name
        stranger.parent.mkdir()
        shutil.copy(_another_key(server.directory), stranger)
        yield Stand(server, settings, {}, {"portmap.key": str(stranger)}, "does not accept the key")


@contextmanager
def gcloud(lab: Three, directory: Path) -> Generator[Stand]:
    """The stand-in checks what it is asked as recorded, and is ssh to the relay's sshd."""
    server = sshd_on(lab, directory / "relay")
    server.port = 22  # Where a VM has it.
    install(server.directory, ("gcloud",))
    config = server.directory / "gcloud_ssh_config"
    with running(server):
        config.write_text(_hop(server, "machine"))
        environment = {
            "PATH": f"{server.directory}/bin:{sshd.USUAL_PATH}",
            "STAND_IN_SSH_CONFIG": str(config),
            "STAND_IN_NOTE": str(server.directory / "note.json"),
        }
        settings = {
            "gcloud.instance": "gpu-hop",
            "gcloud.zone": "europe-west4-a",
            "gcloud.project": "mine",
        }
        said = "ERROR: (gcloud.compute.ssh) You do not currently have an active account selected."
        yield Stand(
            server,
            settings,
            environment,
            {"STAND_IN_SAYS": said},
            "not logged in",
            _hop(server, "gpu-hop.europe-west4-a.mine"),  # As `gcloud compute config-ssh` does.
        )


@contextmanager
def bore(lab: Three, directory: Path) -> Generator[Stand]:
    server = bore_on(lab)
    with running(server):
        yield Stand(
            server, {"bore.server": RELAY}, {}, {"bore.port": "80"}, "does not give that port"
        )


def _frp(settings: Mapping[str, str], refused: Mapping[str, str], means: str) -> Open:
    @contextmanager
    def open_(lab: Three, directory: Path) -> Generator[Stand]:
        server = frps_on(lab, directory / "relay")
        with running(server):
            given = {"frp.server": f"{RELAY}:{FRPS_PORT}", "frp.token": TOKEN, **settings}
            if "frp.gateway" in given:
                given["frp.key"] = str(directory / "relay/key")
            path = {"PATH": f"{Path(find('frpc') or '').parent}:{sshd.USUAL_PATH}"}
            # A laptop that visits has the program and the token, as its owner set them up.
            visits = {**path, "TOWLINE_FRP_TOKEN": TOKEN} if "frp.type" not in settings else {}
            yield Stand(server, given, path, refused, means, laptop=visits)

    return open_


@contextmanager
def jump(lab: Three, directory: Path) -> Generator[Stand]:
    """No route of towline's at all: ssh's own ProxyJump to a machine that has an sshd."""
    server = sshd_on(lab, directory / "relay")
    with running(server), sshd.machine_in(directory / "plain", link=lab.machine_link) as machine:
        config = _hop(server) + _hop(machine, "box") + f"    ProxyJump {RELAY}\n"
        yield Stand(server, config=config, name="vision")  # Of the workspace: no ticket named it.


def _no_sshd() -> str:
    return sshd.why_not() or ""


GATEWAY = {"frp.gateway": f"{RELAY}:{GATEWAY_PORT}"}
PUBLIC = {"frp.type": "tcp", "frp.port": str(FRP_PORT)}
WRONG_TOKEN = {"frp.token": "another"}

WAYS = [
    Way("ssh", "ssh", "real sshd", ssh, _no_sshd),
    Way("ssh, public port", "ssh", "real sshd", ssh_public, _no_sshd),
    Way("ProxyJump", "", "real sshd on both", jump, _no_sshd),
    Way("portmap", "portmap", "real sshd with a rule", portmap, _no_sshd),
    Way("gcloud", "gcloud", "stand-in gcloud to a real sshd", gcloud, _no_sshd),
    Way("bore", "bore", "real bore", bore, lambda: why_no("bore")),
    Way(
        "frp tcp",
        "frp",
        "real frps and frpc",
        _frp(PUBLIC, WRONG_TOKEN, "another token"),
        lambda: why_no("frps", "frpc"),
    ),
    Way(
        "frp stcp",
        "frp",
        "real frps, frpc on both ends",
        _frp({}, WRONG_TOKEN, "another token"),
        lambda: why_no("frps", "frpc"),
    ),
    Way(
        "frp tcp, by ssh",
        "frp",
        "real frps, its SSH gateway",
        _frp(PUBLIC | GATEWAY, {"frp.key": ""}, "does not accept the key"),
        lambda: why_no("frps"),
    ),
]


def ways_named(names: list[str]) -> list[Way]:
    """Return the ways of these names, all of them for none. Raises `KeyError`."""
    by_name = {way.name: way for way in WAYS}
    return [by_name[name] for name in names] if names else WAYS
