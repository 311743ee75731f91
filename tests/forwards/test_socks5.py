"""What a SOCKS client may say, whole and in bits, and what it is told where that cannot be."""

from __future__ import annotations

import anyio
import pytest
from anyio.abc import ByteStream
from hypothesis import given
from hypothesis import strategies as st

from towline.forwards.place import Place
from towline.forwards.socks5 import SocksError, read_request

AGREED = b"\x05\x00"
HELLO = b"\x05\x01\x00"


class Client(ByteStream):
    """Has said `words`, which arrive in parts of `size`; remembers what it is told."""

    def __init__(self, words: bytes, size: int) -> None:
        self.unread = words
        self.told = b""
        self._size = size

    async def receive(self, max_bytes: int = 65536) -> bytes:
        part = self.unread[: min(max_bytes, self._size)]
        self.unread = self.unread[len(part) :]
        if not part:
            raise anyio.EndOfStream
        return part

    async def send(self, item: bytes) -> None:
        self.told += item

    async def send_eof(self) -> None: ...

    async def aclose(self) -> None: ...


def ask(client: Client) -> Place:
    return anyio.run(read_request, client)


def name(text: bytes, port: bytes = b"\x00\x50") -> bytes:
    return HELLO + b"\x05\x01\x00\x03" + bytes([len(text)]) + text + port


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("words", "place"),
    [
        (HELLO + b"\x05\x01\x00\x01\x7f\x00\x00\x01\x1f\x90", Place(8080, "127.0.0.1")),
        (HELLO + b"\x05\x01\x00\x04" + bytes(15) + b"\x01\x00\x50", Place(80, "::1")),
        (name(b"db.internal"), Place(80, "db.internal")),
        (name(b"n" * 255, b"\xff\xff"), Place(65535, "n" * 255)),
        (b"\x05\x03\x01\x02" + name(b"db")[2:], Place(80, "db")),
    ],
    ids=["v4", "v6", "name", "longest", "methods"],
)
def test_what_is_asked_for_is_understood_to_the_byte(words: bytes, place: Place, size: int) -> None:
    client = Client(words + b"GET / HTTP/1.1", size)
    assert ask(client) == place
    assert client.told == AGREED
    assert client.unread == b"GET / HTTP/1.1", "what follows is the connection's own"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (b"GET / HTTP/1.1\r\n", b""),
        (b"POST / HTTP/1.1\r\n", b""),
        (b"\x04\x01\x00\x50\x7f\x00\x00\x01user\x00", b""),
        (b"\x05\x00", b"\x05\xff"),
        (b"\x05\x02\x01\x02", b"\x05\xff"),
        (HELLO + b"\x04\x01\x00\x01", AGREED),
        (HELLO + b"\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x50", AGREED + b"\x05\x07"),  # BIND
        (HELLO + b"\x05\x03\x00\x01\x7f\x00\x00\x01\x00\x50", AGREED + b"\x05\x07"),  # UDP
        (HELLO + b"\x05\x01\x00\x02\x7f\x00\x00\x01\x00\x50", AGREED + b"\x05\x08"),
        (HELLO + b"\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x00", AGREED + b"\x05\x02"),
        (name(b""), AGREED + b"\x05\x02"),
        (name(b"a b"), AGREED + b"\x05\x02"),
        (name(b"a\x00b"), AGREED + b"\x05\x02"),
        (name(b"a\nb"), AGREED + b"\x05\x02"),
        (name("ü".encode()), AGREED + b"\x05\x02"),
    ],
)
def test_what_cannot_be_is_refused_in_the_words_of_the_protocol(words: bytes, told: bytes) -> None:
    client = Client(words, 1000)
    with pytest.raises(SocksError) as refused:
        ask(client)
    assert (client.told + refused.value.last_word)[: len(told)] == told
    assert len(client.told + refused.value.last_word) in (len(told), len(AGREED) + 10)


@given(st.binary(max_size=600), st.sampled_from([b"", HELLO, HELLO + b"\x05\x01\x00\x03"]))
def test_whatever_comes_is_a_place_or_refused(words: bytes, before: bytes) -> None:
    try:
        place = ask(Client(before + words, 7))
    except (SocksError, anyio.EndOfStream):
        return
    assert 0 < place.port < 1 << 16
    assert place.host.isprintable()
