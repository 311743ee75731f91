"""Who listens on this machine: the real tables of Linux, and a few that are made up."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

import pytest

from towline.agent.ports import Listener, listeners, ports_main, read_address

little_endian = pytest.mark.skipif(
    sys.byteorder != "little", reason="needs a little-endian computer: the table below is of one"
)


def test_a_listener_is_found_with_its_address_and_process() -> None:
    with socket.create_server(("127.0.0.2", 0)) as listener:
        address, port = listener.getsockname()
        (found,) = [one for one in listeners() if one.port == port]
        assert (found.address, found.pid) == (address, os.getpid())
        assert found.program
    assert all(one.port != port for one in listeners())


def test_ipv6_is_found_where_there_is_any() -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("needs an IPv6 loopback")
    with listener:
        (found,) = [one for one in listeners() if one.port == listener.getsockname()[1]]
        assert (found.address, found.pid) == ("::1", os.getpid())


def test_a_connection_is_no_listener() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as connection,
    ):
        port = connection.getsockname()[1]
        assert all(one.port != port for one in listeners())


def test_the_server_of_up_is_left_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        status = tmp_path / "status.json"
        status.write_text(json.dumps({"port": port}))
        environment = {"TOWLINE_STATUS_FILE": str(status)}
        assert all(one.port != port for one in listeners(environment=environment))
        status.write_text("[1")
        assert any(one.port == port for one in listeners(environment=environment))


@little_endian
@pytest.mark.parametrize(
    ("text", "family", "address"),
    [
        ("0100007F:1F90", socket.AF_INET, ("127.0.0.1", 8080)),
        ("00000000:0016", socket.AF_INET, ("0.0.0.0", 22)),  # noqa: S104
        ("00000000000000000000000001000000:1F91", socket.AF_INET6, ("::1", 8081)),
        ("B80D01200000000000000000010000EF:0050", socket.AF_INET6, ("2001:db8::ef00:1", 80)),
    ],
)
def test_addresses_are_read_as_linux_writes_them(
    text: str, family: int, address: tuple[str, int]
) -> None:
    assert read_address(text, family) == address


@little_endian
def test_a_listener_of_another_account_has_no_program(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    row = "0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000 70 0 4242 1"
    (tmp_path / "net/tcp").write_text(f"head\n  {row}\n")
    assert listeners(str(tmp_path), {}) == [Listener("127.0.0.1", 5432)]


def test_a_system_without_the_table_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("towline.agent.ports.TABLES", {"nothing": socket.AF_INET})
    assert ports_main() == 1
    assert "does not tell who listens" in json.loads(capsys.readouterr().out)["error"]
