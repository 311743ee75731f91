"""`gcloud`: a Compute Engine VM as the server to hop through; gcloud makes the SSH connection.

The laptop hops by the alias that `gcloud compute config-ssh` writes there.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial

from towline.core.address import Jump
from towline.routes.base import (
    About,
    Route,
    Setting,
    Surroundings,
    Tunnel,
    enter_same_port,
    opening,
)
from towline.routes.errors import Saying
from towline.routes.program import open_program
from towline.routes.reverse import DEBUG, SAYINGS, port_there

INSTANCE = Setting("gcloud.instance", "TOWLINE_GCLOUD_INSTANCE", "the name of the VM")
ZONE = Setting("gcloud.zone", "TOWLINE_GCLOUD_ZONE", "its zone")
PROJECT = Setting("gcloud.project", "TOWLINE_GCLOUD_PROJECT", "its project")
IAP = Setting("gcloud.iap", "TOWLINE_GCLOUD_IAP", "yes: through IAP, for a VM without an address")

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

GCLOUD_SAYINGS = (
    Saying(
        r"You do not currently have an active account selected|Reauthentication|invalid_grant",
        "gcloud is not logged in",
        "run `gcloud auth login`; on Colab google.colab.auth.authenticate_user()",
    ),
    Saying(
        r"The resource '.*' was not found|Could not fetch resource",
        "there is no such VM",
        "check instance, zone and project",
    ),
    Saying(
        r"Required '.*' permission|PERMISSION_DENIED|does not have permission",
        "this account may not log in to that VM",
        "give it compute.instances.get and the OS login role",
    ),
    Saying(
        r"instance is not running|is not in RUNNING",
        "the VM is stopped",
        "start it: gcloud compute instances start NAME",
    ),
)


class Gcloud(Route):
    about = About(
        name="gcloud",
        needs="a Compute Engine VM, and gcloud logged in on both sides",
        limits="that VM's network",
        cost="that VM, and its traffic",
        laptop="`gcloud compute config-ssh`, once",
        settings=(INSTANCE, ZONE, PROJECT, IAP),
    )

    def is_configured(self, around: Surroundings) -> bool:
        return around.is_set(INSTANCE)

    def why_not(self, around: Surroundings) -> str:
        if not around.find("gcloud"):
            return "there is no gcloud program: install the Google Cloud CLI"
        for setting in (INSTANCE, ZONE, PROJECT):
            if not NAME.fullmatch(around.value(setting)):
                return f"set {setting.variable} to {setting.help}"
        return ""

    def open(self, port: int, around: Surroundings) -> AbstractAsyncContextManager[Tunnel]:
        return _open(port, around)


@asynccontextmanager
async def _open(port: int, around: Surroundings) -> AsyncGenerator[Tunnel]:
    alias = ".".join(around.value(setting) for setting in (INSTANCE, ZONE, PROJECT))
    async with AsyncExitStack() as stack:
        opener = partial(_open_at, around, alias, port)
        yield await enter_same_port(stack, around, alias, 0, opener)


@asynccontextmanager
async def _open_at(
    around: Surroundings, alias: str, port: int, remote: int
) -> AsyncGenerator[Tunnel]:
    """Take port `remote` on the VM, or any that is free for 0."""
    instance, zone, project = alias.split(".")
    argv = [
        *(around.find("gcloud") or "gcloud", "compute", "ssh", instance),
        *("--zone", zone, "--project", project, "--quiet"),
        *(("--tunnel-through-iap",) if around.value(IAP) == "yes" else ()),
        *("--", "-v", "-N", "-T", "-o", "ExitOnForwardFailure=yes", "-o", "BatchMode=yes"),
        *("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3"),
        *("-R", f"127.0.0.1:{remote}:127.0.0.1:{port}"),
    ]
    sayings = (*GCLOUD_SAYINGS, *SAYINGS)
    async with open_program("gcloud", argv, around.environment, sayings, DEBUG) as program:
        async with opening("gcloud", 90):  # The first time it makes a key and tells the VM.
            remote = await port_there(program, remote)
        around.remember_port(alias, remote)
        address = Jump("", alias, 22, "127.0.0.1", remote)
        yield Tunnel(address, program.wait_ended)


ROUTE = Gcloud()
