"""`ngrok` by its package: a stand-in module of its name, called as the real one is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from towline.core.address import Tcp
from towline.routes.base import Surroundings
from towline.routes.errors import RouteError
from towline.routes.provider.ngrok import ROUTE

pytestmark = pytest.mark.anyio

STAND_IN = """\
import os


class Listener:
    def url(self):
        return "tcp://0.tcp.eu.ngrok.io:12345"


def forward(addr=None, proto=None, **options):
    assert addr == "localhost:22", addr
    assert proto == "tcp"
    if options["authtoken"] != "good":
        raise ValueError(os.environ["NGROK_ERROR"])
    return Listener()
"""


@pytest.fixture
def set_up(around: Surroundings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Surroundings:
    (tmp_path / "package").mkdir()
    (tmp_path / "package/ngrok.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(tmp_path / "package")  # Where the route finds it,
    environment = {  # and where its process does.
        **around.environment,
        "PYTHONPATH": str(tmp_path / "package"),
        "NGROK_AUTHTOKEN": "good",
    }
    return replace(around, environment=environment)


async def test_the_package_is_used_where_it_is_installed(set_up: Surroundings) -> None:
    assert ROUTE.why_not(set_up) == ""
    async with ROUTE.open(22, set_up) as tunnel:
        assert tunnel.address == Tcp("0.tcp.eu.ngrok.io", 12345)


@pytest.mark.parametrize(
    ("said", "means"),
    [
        # The last line is what the real package says where there is no network.
        ("authentication failed ... ERR_NGROK_107", "does not accept the token"),
        ("ERR_NGROK_8013", "payment card"),
        ("('failed to connect session', 'failed to establish tcp connection')", "be reached"),
    ],
)
async def test_its_errors_are_explained(set_up: Surroundings, said: str, means: str) -> None:
    environment = {**set_up.environment, "NGROK_AUTHTOKEN": "bad", "NGROK_ERROR": said}
    with pytest.raises(RouteError, match=means):
        async with ROUTE.open(22, replace(set_up, environment=environment)):
            pass
