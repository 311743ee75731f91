"""An address is a place and nothing else, whoever it comes from."""

from __future__ import annotations

from collections.abc import Callable
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


FORMS = [
    ("tcp://box:22", Tcp("box", 22)),
    ("jump://me@hop:22/[::1]:40022", Jump("me", "hop", 22, "::1", 40022)),
    ("jump://hop:2222/nb:22", Jump("", "hop", 2222, "nb", 22)),
    ("wss://a.example/", WebSocket("a.example")),
    ("wss://a.example:80/p#t0k", WebSocket("a.example", 80, "/p", "t0k")),
    ("ws://a.example/", WebSocket("a.example", 80, secure=False)),
    ("ws://a.example:443/", WebSocket("a.example", 443, secure=False)),
    ("frp://box", Visit("frp", "box")),
    ("frp://me@host.box/frp.example:7000#s", Visit("frp", "me@host.box", "s", "frp.example", 7000)),
]


@pytest.mark.parametrize(("text", "address"), FORMS, ids=[text for text, _ in FORMS])
def test_every_form_has_one_text(text: str, address: Address) -> None:
    assert str(address) == text
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    ["", "box", "box:22", "tcp:box:22", "tcp://box:022", "tcp://box", "tcp://box:22#x",
     "wss://a.example:443/", "wss://a.example", "WSS://a.example/", "ssh://box:22", "frp://a/b"],
)  # fmt: skip
def test_another_text_for_a_place_is_refused(text: str) -> None:
    with pytest.raises(BadAddressError):
        parse_address(text)


@pytest.mark.parametrize("text", ["", "box", "box:22", "tcp:/box:22"])
def test_what_has_no_scheme_is_called_no_address(text: str) -> None:
    with pytest.raises(BadAddressError, match="not an address"):
        parse_address(text)


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
        lambda: Visit("frp", "box", host=host or "-", port=22),
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


PORTED: list[Callable[[int], Address]] = [
    lambda port: Tcp("box", port),
    lambda port: Jump("me", "hop", port, "box", 22),
    lambda port: Jump("me", "hop", 22, "box", port),
    lambda port: WebSocket("box", port),
    lambda port: Visit("frp", "box", host="frp.example", port=port),
]


@pytest.mark.parametrize("make", PORTED)
@pytest.mark.parametrize("port", [0, -1, 65536, 99999, True])
def test_a_port_out_of_range_is_refused(port: int, make: Callable[[int], Address]) -> None:
    with pytest.raises(BadAddressError):
        make(port)


@pytest.mark.parametrize("make", PORTED)
def test_the_first_and_the_last_port_are_ports(make: Callable[[int], Address]) -> None:
    for port in (1, 65535):
        assert parse_address(str(make(port))) == make(port)


@pytest.mark.parametrize("token", ["a b", "a#b", "a\n", "\u00e9", "x" * 129])
def test_a_hostile_secret_is_refused(token: str) -> None:
    with pytest.raises(BadAddressError, match="not a token"):
        WebSocket("box", token=token)
    with pytest.raises(BadAddressError, match="not a secret"):
        Visit("frp", "box", token)


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "a#b", "x" * 129])
def test_a_hostile_name_of_a_tunnel_is_refused(name: str) -> None:
    with pytest.raises(BadAddressError, match="name of a tunnel"):
        Visit("frp", name)


def test_a_visit_names_a_program_that_is_known_and_no_half_a_place() -> None:
    with pytest.raises(BadAddressError, match="no such program"):
        Visit("bash", "box")
    with pytest.raises(BadAddressError, match="a port without a host"):
        Visit("frp", "box", port=7000)


def test_the_longest_host_is_one_that_dns_has() -> None:
    longest = ".".join(["a" * 62] * 4) + ".a"  # 253 characters.
    assert parse_address(f"tcp://{longest}:22") == Tcp(longest, 22)
    with pytest.raises(BadAddressError, match="too long"):
        Tcp(f"{longest}a", 22)


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


def test_the_longest_of_each_form_can_be_read_again() -> None:
    host = ".".join(["a" * 62] * 4)
    for longest in (
        Jump("u" * 128, host, 65535, host, 65535),
        WebSocket(host, 65535, "/" + "p" * 511, "t" * 128),
        Visit("colab", "n" * 128, "s" * 128, host, 65535),
    ):
        assert parse_address(str(longest)) == longest
    with pytest.raises(BadAddressError, match="path of a URL"):
        WebSocket("box", path="/" + "p" * 512)
    with pytest.raises(BadAddressError, match="an address is too long"):
        parse_address("tcp://" + "a" * 1024)


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
