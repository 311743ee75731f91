"""A provider's refusal, verbatim as recorded, becomes one message with the next step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.conformance.routes.ssh_standin import ssh_standin
from tests.conformance.routes.worlds import WORLDS, install
from towline.access import Token, statuses_with
from towline.core.address import WebSocket
from towline.routes.base import Surroundings
from towline.routes.catalog import route_named, routes
from towline.routes.errors import RouteError
from towline.routes.websocket import open_websocket

pytestmark = pytest.mark.anyio

PROGRAMS = {
    "cloudflared": ("cloudflared",),
    "zrok": ("zrok2",),
    "frp": ("frpc",),
    "ngrok": ("ngrok",),
    "tailscale": ("tailscaled", "tailscale"),
    "gcloud": ("gcloud",),
}
SETTINGS = {
    "cloudflared": {},
    "zrok": {},
    "frp": {"frp.server": "frps.example"},
    "ngrok": {"ngrok.authtoken": "t"},
    "tailscale": {"tailscale.auth_key": "tskey-x"},
    "gcloud": {"gcloud.instance": "a", "gcloud.zone": "b", "gcloud.project": "c"},
}

REFUSALS = [
    # The route, what its program said before it ended, what we say, what is to do, passing or not.
    (
        "cloudflared",
        'ERR Error unmarshaling QuickTunnel response: error code: 1015 error="invalid character'
        ' \'e\' looking for beginning of value" status_code="429 Too Many Requests"\n'
        "failed to unmarshal quick Tunnel: invalid character 'e' looking for beginning of value",
        "no more quick tunnels",
        "wait some minutes",
        True,
    ),
    (
        "cloudflared",
        "failed to parse quick Tunnel ID: invalid UUID length: 0",
        "service for quick tunnels is failing",
        "named tunnel",
        True,
    ),
    ("cloudflared", "error code: 1101", "is failing", "another route", True),
    (
        "cloudflared",
        'failed to request quick Tunnel: Post "https://api.trycloudflare.com/tunnel": dial tcp:'
        " lookup api.trycloudflare.com: no such host",
        "cannot be reached",
        "internet",
        True,
    ),
    (
        "cloudflared",
        "Provided Tunnel token is not valid.",
        "does not accept the tunnel's token",
        "dashboard",
        False,
    ),
    (
        "ngrok",
        "ERROR:  You must add a credit or debit card before you can use TCP endpoints on a free"
        " account.\nERROR:  ERR_NGROK_8013",
        "payment card",
        "TOWLINE_NGROK_TYPE=http",
        False,
    ),
    ("ngrok", "ERROR:  ERR_NGROK_105", "does not accept the token", "NGROK_AUTHTOKEN", False),
    ("ngrok", "ERROR:  ERR_NGROK_108", "another agent", "end it", True),
    ("ngrok", "ERROR:  ERR_NGROK_334", "another agent or endpoint", "end it", True),
    ("ngrok", "ERROR:  ERR_NGROK_121", "too old", "newer", False),
    (
        "frp",
        "[E] login to the server failed: token in login doesn't match token from configuration."
        " With loginFailExit enabled, no additional retries will be attempted",
        "another token",
        "auth.token",
        False,
    ),
    (
        "frp",
        "[W] [towline] start error: port already used",
        "does not give that port",
        "stcp",
        False,
    ),
    (
        "frp",
        "login to the server failed: dial tcp 203.0.113.1:7000: connect: connection refused. With"
        " loginFailExit enabled, no additional retries will be attempted",
        "cannot be reached",
        "runs",
        True,
    ),
    (
        "zrok",
        "[ERROR]: unable to load environment; did you 'zrok2 enable'?",
        "has not joined",
        "zrok2 enable",
        False,
    ),
    (
        "tailscale",
        "backend error: invalid key: unable to validate API key",
        "does not accept the auth key",
        "TS_AUTHKEY",
        False,
    ),
    (
        "gcloud",
        "ERROR: (gcloud.compute.ssh) You do not currently have an active account selected.",
        "not logged in",
        "gcloud auth login",
        False,
    ),
    (
        "gcloud",
        "ERROR: (gcloud.compute.ssh) Could not fetch resource:\n - The resource"
        " 'projects/c/zones/b/instances/a' was not found",
        "no such VM",
        "check instance",
        False,
    ),
]


@pytest.mark.parametrize(("name", "said", "means", "to_do", "passing"), REFUSALS)
async def test_a_program_s_last_words(
    around: Surroundings, name: str, said: str, means: str, to_do: str, passing: bool
) -> None:
    install(around.directory, PROGRAMS[name])
    note = str(around.directory / "note.json")
    environment = {**around.environment, "STAND_IN_SAYS": said, "STAND_IN_NOTE": note}
    set_up = replace(around, settings=SETTINGS[name], environment=environment)
    with pytest.raises(RouteError) as refused:
        async with route_named(name).open(1, set_up):
            pass
    assert means in refused.value.message
    assert to_do in refused.value.hint
    assert refused.value.passing is passing


SSH_REFUSALS = [
    ("pinggy", "forward", {}, "does not forward", "use an account"),
    ("localhost.run", "login", {}, "does not know the key", "register it"),
    ("serveo", "forward", {"serveo.alias": "gpu"}, "does not give that port", "another port"),
    ("sish", "forward", {}, "does not give that port", "another port"),
    ("sish", "login", {}, "does not accept the key", "public key"),
    ("ssh", "forward", {}, "does not forward for this account", "AllowTcpForwarding"),
]


@pytest.mark.parametrize(("name", "refuses", "settings", "means", "to_do"), SSH_REFUSALS)
async def test_an_ssh_server_that_refuses(
    around: Surroundings,
    name: str,
    refuses: str,
    settings: dict[str, str],
    means: str,
    to_do: str,
) -> None:
    async with ssh_standin(lambda _port: "", refuses) as server:
        given = {
            **settings,
            f"{name}.server": f"127.0.0.1:{server.port}",
            f"{name}.host_key": server.fingerprint,
        }
        if name == "ssh":
            around.private_file("key", "")
            given["ssh.key"] = str(around.directory / "key")
        with pytest.raises(RouteError) as refused:
            async with route_named(name).open(1, replace(around, settings=given)):
                pass
    assert means in refused.value.message
    assert to_do in refused.value.hint


HOSTILE_BANNERS = [
    ("sish", "TCP: -oProxyCommand=x:22"),
    ("sish", "TCP: [::]:22"),
    ("sish", "TCP: box:99999"),
    ("sish", "TCP Alias: -oProxyCommand=x"),
    ("serveo", "Forwarding HTTP traffic from https://-oProxyCommand=x"),
    (
        "localhost.run",
        '{"event":"tcpip-forward","status":"success","address":"-oProxyCommand=touch /x"}',
    ),
]


@pytest.mark.parametrize(("name", "banner"), HOSTILE_BANNERS)
async def test_a_hostile_address_is_refused(around: Surroundings, name: str, banner: str) -> None:
    async with ssh_standin(lambda _port: banner) as server:
        settings = {
            f"{name}.server": f"127.0.0.1:{server.port}",
            f"{name}.host_key": server.fingerprint,
        }
        with pytest.raises(RouteError, match="an address that cannot be"):
            async with route_named(name).open(1, replace(around, settings=settings)):
                pass


async def test_a_provider_with_another_host_key_is_refused(around: Surroundings) -> None:
    async with ssh_standin(lambda port: f"tcp://a.pinggy-free.link:{port}") as server:
        settings = {"pinggy.server": f"127.0.0.1:{server.port}"}  # The known key stays pinned.
        with pytest.raises(RouteError, match="host key is not the one that is known"):
            async with route_named("pinggy").open(1, replace(around, settings=settings)):
                pass


@pytest.mark.parametrize("route", routes(), ids=lambda route: route.name)
def test_what_is_missing_is_said_without_asking_anybody(
    around: Surroundings, route: object
) -> None:
    from towline.routes.base import Route

    assert isinstance(route, Route)
    bare = replace(around, environment={"PATH": ""}, settings={})
    why = route.why_not(bare)
    assert why.isprintable()
    assert (why == "") is (route.name == "bore")  # The only one that needs nothing at all.
    assert all((route.about.needs, route.about.limits, route.about.cost))


# By an access policy, to who comes in


@pytest.mark.parametrize(
    ("token", "means"),
    [
        (None, r"asks visitors to log in \(HTTP 302\)"),
        (Token("4a1b.access", "another"), r"does not accept the service token \(HTTP 403\)"),
    ],
    ids=["none", "another"],
)
async def test_a_policy_lets_nobody_through_without_its_token(
    around: Surroundings, echo: int, token: Token | None, means: str
) -> None:
    kind, _, make = WORLDS["cloudflared behind Access"]
    async with make(around, echo) as world, route_named(kind).open(echo, world.around) as tunnel:
        assert isinstance(tunnel.address, WebSocket)
        edge = WebSocket("127.0.0.1", world.outside(), token=tunnel.address.token, secure=False)
        headers = {} if token is None else token.headers()
        with pytest.raises(RouteError, match=means):
            async with open_websocket(edge, headers, statuses=statuses_with(token)):
                pass
