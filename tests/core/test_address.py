"""An address is a place and nothing else, whoever it comes from."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.core.address import (
    PROGRAMS,
    Address,
    BadAddressError,
    Jump,
    Tcp,
    Visit,
    WebSocket,
    parse_address,
    split_place,
)

HOSTILE_HOSTS = [
    "-oProxyCommand=touch${IFS}x",
    "-",
    "a b",
    "a\nb",
    "a\0b",
    "a\x1b[2J",
    "a;b",
    "a$(b)",
    "a`b`",
    "%h",
    "user@host",
    "[::1]",
    "::1%eth0",
    "fe80::1%-oX",
    "::",
    "0.0.0.0",  # noqa: S104
    "224.0.0.1",
    "1.2.3",
    "256.1.1.1",
    "0x7f000001",
    "2130706433",
    "host.",
    ".host",
    "a..b",
    "a.-b",
    "a-.b",
    "",
    "a" * 64,
    ".".join(["a" * 60] * 5),
    "ho\u0455t",
    "host\u202e",
]

hosts = st.one_of(
    st.ip_addresses(v=4).filter(lambda ip: not (ip.is_unspecified or ip.is_multicast)).map(str),
    st.ip_addresses(v=6).filter(lambda ip: not (ip.is_unspecified or ip.is_multicast)).map(str),
    st.from_regex(r"[a-z][a-z0-9]{0,20}(-[a-z0-9]{1,9})?(\.[a-z]{2,9}){0,3}", fullmatch=True),
)
ports = st.integers(1, 65535)
users = st.from_regex(r"[a-z][a-z0-9_.+-]{0,20}", fullmatch=True)
tokens = st.from_regex(r"[A-Za-z0-9_-]{0,43}", fullmatch=True)
words = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,20}", fullmatch=True)
addresses: st.SearchStrategy[Address] = st.one_of(
    st.builds(Tcp, hosts, ports),
    st.builds(Jump, st.one_of(st.just(""), users), hosts, ports, hosts, ports),
    st.builds(WebSocket, hosts, ports, st.sampled_from(["/", "/a/b"]), tokens, st.booleans()),
    st.builds(Visit, st.sampled_from(PROGRAMS), words, tokens),
    st.builds(Visit, st.sampled_from(PROGRAMS), words, tokens, hosts, ports),
)


@given(addresses)
def test_an_address_is_read_as_it_was_written(address: Address) -> None:
    assert parse_address(str(address)) == address


@given(st.text(max_size=80))
def test_what_is_no_address_is_refused_and_nothing_else_happens(text: str) -> None:
    with suppress(BadAddressError):
        assert str(parse_address(text)) == text


@pytest.mark.parametrize("host", HOSTILE_HOSTS)
def test_a_hostile_host_is_refused_wherever_it_stands(host: str) -> None:
    for make in (
        lambda: Tcp(host, 22),
        lambda: Jump("me", host, 22, "box", 22),
        lambda: Jump("me", "box", 22, host, 22),
        lambda: WebSocket(host),
    ):
        with pytest.raises(BadAddressError):
            make()


@pytest.mark.parametrize("host", [h for h in HOSTILE_HOSTS if h not in ("[::1]", "user@host")])
@pytest.mark.parametrize(
    "form", ["tcp://{}:22", "jump://{}:22/a:22", "jump://a:22/{}:22", "wss://{}/"]
)
def test_a_hostile_host_is_refused_in_text_too(form: str, host: str) -> None:
    with pytest.raises(BadAddressError):
        parse_address(form.format(host))


@pytest.mark.parametrize("port", [0, -1, 65536, 99999, True])
def test_a_port_out_of_range_is_refused(port: int) -> None:
    with pytest.raises(BadAddressError):
        Tcp("box", port)


@pytest.mark.parametrize("user", ["-l", "a b", "a@b", "a'b", "a$b", "a\n"])
def test_a_hostile_user_is_refused(user: str) -> None:
    with pytest.raises(BadAddressError):
        Jump(user, "box", 22, "127.0.0.1", 22)


@pytest.mark.parametrize(
    "path", ["", "a", "/ ", "/a b", "/?q", "/#f", "/\r\nX: y", "/%0d", "/" * 40]
)
def test_a_hostile_path_is_refused(path: str) -> None:
    with pytest.raises(BadAddressError):
        WebSocket("box", path=path)


@pytest.mark.parametrize(
    ("text", "place"),
    [("box:22", ("box", 22)), ("[::1]:22", ("::1", 22)), ("box", ("box", 443))],
)
def test_a_place_is_split(text: str, place: tuple[str, int]) -> None:
    assert split_place(text, 443) == place


@pytest.mark.parametrize(
    "text", ["box:", "box:x", "::1:22", "[::1", "box:0", "box:22:22", "box: 22"]
)
def test_a_place_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadAddressError):
        split_place(text, 443)


def test_forms_for_ssh_and_for_people() -> None:
    assert Jump("me", "::1", 2222, "127.0.0.1", 40022).hop == "me@[::1]:2222"
    assert str(Jump("", "vps.example", 22, "nb", 22)) == "jump://vps.example:22/nb:22"
    assert WebSocket("a.example", token="t0k").url == "wss://a.example/"  # noqa: S106
    assert str(Tcp("2001:db8::1", 22)) == "tcp://[2001:db8::1]:22"
