"""Tickets and addresses: what is written is read, and nothing else is."""

from __future__ import annotations

import base64
import dataclasses
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.core.address import Jump, Tcp, Visit, WebSocket
from towline.core.ticket import (
    TICKET_MAX,
    Ticket,
    TicketError,
    decode,
    encode,
    looks_like_ticket,
    seal,
)

KEY = bytes(range(32))
TICKET = Ticket(
    alias="colab",
    machine="0123456789abcdef",
    host_key=KEY,
    addresses=(Tcp("0.tcp.eu.example.com", 12345), WebSocket("a-b.example.com")),
    user="root",
    folder="/content",
    port=42022,
    secret=bytes(16),
    expires=1_800_000_000,
)
TEXT = encode(TICKET)

labels = st.from_regex(r"[a-z][a-z0-9]{0,9}", fullmatch=True)
addresses = st.one_of(
    st.builds(Tcp, labels, st.integers(1, 65535)),
    st.builds(Jump, st.just("") | labels, labels, st.just(22), labels, st.integers(1, 65535)),
    st.builds(WebSocket, labels, token=st.just("") | labels),
    st.builds(Visit, st.just("frp"), labels),
)
tickets = st.builds(
    Ticket,
    alias=labels,
    machine=st.binary(min_size=8, max_size=8).map(bytes.hex),
    host_key=st.binary(min_size=32, max_size=32),
    addresses=st.lists(addresses, min_size=1, max_size=4).map(tuple),
    user=st.from_regex(r"[a-z_][a-z0-9_-]{0,20}", fullmatch=True),
    folder=st.sampled_from(["", "/content", "~/work", "/mnt/mit Leerzeichen/ü"]),
    port=st.integers(0, 65535),
    secret=st.none(),
) | st.builds(
    lambda secret, expires: dataclasses.replace(TICKET, secret=secret, expires=expires),
    st.binary(min_size=16, max_size=16),
    st.integers(0, (1 << 40) - 1),
)


@given(tickets)
def test_what_is_written_is_read(ticket: Ticket) -> None:
    text = encode(ticket)
    assert decode(text) == ticket
    assert set(text) <= set(string.ascii_letters + string.digits + "_-.")


LONG_HOST = ".".join(["a" * 62] * 4)
EXTREMES: list[dict[str, object]] = [
    {"alias": "a"},
    {"alias": "a" * 32},
    {"user": "_" * 64},
    {"addresses": (Tcp("h", 1),) * 16},
    {"addresses": (Jump("u" * 128, LONG_HOST, 65535, LONG_HOST, 65535),) * 8},
    {"folder": "/" + "x" * 1023},
    {"folder": "/" + "\u2603" * 1023},
    {"port": 0},
    {"port": 1},
    {"port": 65535},
    {"expires": 0},
    {"expires": (1 << 40) - 1},
]


@pytest.mark.parametrize("values", EXTREMES)
def test_the_most_and_the_least_that_a_ticket_may_hold_is_read(values: dict[str, object]) -> None:
    ticket = dataclasses.replace(TICKET, **values)  # type: ignore[arg-type]
    text = encode(ticket)
    assert decode(text) == ticket
    assert len(text) <= TICKET_MAX


def test_more_than_a_ticket_has_room_for_is_refused_as_it_is_made() -> None:
    with pytest.raises(TicketError, match="no ticket may hold"):
        dataclasses.replace(
            TICKET, folder="/" + "\U0001f600" * 1023, addresses=(Tcp(LONG_HOST, 1),) * 8
        )


@given(tickets, st.data())
def test_a_ticket_that_is_cut_off_says_so(ticket: Ticket, data: st.DataObject) -> None:
    text = encode(ticket)
    cut = data.draw(st.integers(len("towline_1."), len(text) - 1))
    with pytest.raises(TicketError, match="cut off"):
        decode(text[:cut])


@given(st.data())
def test_a_character_that_is_wrong_is_noticed(data: st.DataObject) -> None:
    at = data.draw(st.integers(len("towline_1."), len(TEXT) - 1))
    letter = data.draw(st.sampled_from(string.ascii_letters + string.digits + "_-"))
    if letter == TEXT[at]:
        return
    with pytest.raises(TicketError, match=r"wrong|cut off"):
        decode(f"{TEXT[:at]}{letter}{TEXT[at + 1 :]}")


@given(st.data())
def test_two_characters_swapped_are_noticed(data: st.DataObject) -> None:
    at = data.draw(st.integers(len("towline_1."), len(TEXT) - 2))
    if TEXT[at] == TEXT[at + 1]:
        return
    with pytest.raises(TicketError, match=r"wrong|cut off"):
        decode(TEXT[:at] + TEXT[at + 1] + TEXT[at] + TEXT[at + 2 :])


@given(st.text() | st.text().map("towline_1.{}".format))
def test_any_other_text_is_refused_in_words(text: str) -> None:
    with pytest.raises(TicketError):
        decode(text)


@given(st.binary(max_size=200))
def test_a_payload_with_a_right_check_may_still_be_nonsense(payload: bytes) -> None:
    with pytest.raises(TicketError):
        decode(_sealed(base64.urlsafe_b64encode(payload).rstrip(b"=").decode()))


def _sealed(payload: str) -> str:
    return seal("colab", payload)


def test_what_terminals_do_to_long_lines_does_no_harm() -> None:
    assert decode(f"  '{TEXT[:50]}\n  {TEXT[50:]}'\n") == TICKET
    assert decode(f"`{TEXT}`") == TICKET


def test_another_version_is_told_from_a_typing_error() -> None:
    with pytest.raises(TicketError, match="of version 2, and this towline reads version 1"):
        decode(TEXT.replace("towline_1", "towline_2"))


@pytest.mark.parametrize("text", ["", "gpu-box", "user@host:path", "towline1.example.com", "x" * 9])
def test_a_destination_is_no_ticket(text: str) -> None:
    assert not looks_like_ticket(text)
    with pytest.raises(TicketError, match="no ticket"):
        decode(text)


def test_half_a_ticket_is_meant_as_one() -> None:
    assert looks_like_ticket(TEXT[:20])
    assert looks_like_ticket(f" '{TEXT}'")


def test_absurd_lengths_are_refused_unread() -> None:
    with pytest.raises(TicketError, match="at most 8192"):
        decode(_sealed("A" * 10_000))
    around = len(_sealed(""))
    with pytest.raises(TicketError, match="at most 8192"):
        decode(_sealed("A" * (TICKET_MAX + 1 - around)))
    with pytest.raises(TicketError, match="no towline wrote"):  # Its records are nonsense.
        decode(_sealed("A" * (TICKET_MAX - around)))


@pytest.mark.parametrize(
    "text",
    [f"{TEXT}.", f"{TEXT}.more", TEXT.replace("colab", "c\u043elab"), f"{TEXT}x", TEXT.upper()],
)
def test_a_line_with_more_or_other_letters_is_no_ticket_any_more(text: str) -> None:
    with pytest.raises(TicketError, match=r"was changed|is no ticket"):
        decode(text)


def test_a_record_that_promises_more_than_there_is_is_refused() -> None:
    for payload in (b"\x01\0\x09\0\0\0\0\0\0\0\0", b"\x63\0\1"):
        with pytest.raises(TicketError, match="longer than what there is"):
            decode(_sealed(base64.urlsafe_b64encode(payload).rstrip(b"=").decode()))


def test_of_two_records_of_a_kind_the_first_counts() -> None:
    payload = base64.urlsafe_b64decode(TEXT.split(".")[2] + "==") + b"\4\0\5other"
    twice = base64.urlsafe_b64encode(payload).rstrip(b"=").decode()
    assert decode(_sealed(twice)) == TICKET


def test_a_record_of_a_later_towline_is_skipped() -> None:
    payload = base64.urlsafe_b64decode(TEXT.split(".")[2] + "==")
    later = base64.urlsafe_b64encode(payload + b"\x63\0\3abc").rstrip(b"=").decode()
    assert decode(_sealed(later)) == TICKET


def test_a_ticket_of_usual_size_fits_a_chat_message() -> None:
    assert len(TEXT) < 260


def test_an_expired_secret_is_known_by_the_clock_alone() -> None:
    assert not TICKET.has_expired(TICKET.expires - 1)
    assert TICKET.has_expired(TICKET.expires)
    assert not dataclasses.replace(TICKET, secret=None, expires=0).has_expired(TICKET.expires)


HOSTILE = {
    "user": ["-oProxyCommand=id", "root\n", "root;id", "", "a b", "x" * 99, "$(id)", "ro\0ot"],
    "alias": ["-oProxyCommand=id", "*", "a b", "", "../x", "UPPER", "x" * 40, "a\nHost *", "a/b"],
    "folder": ["-rf", "relative", "/a\nb", "/a\0b", "/" + "x" * 2000, "/\x1b[2J"],
    "machine": ["", "../../etc", "0123456789ABCDEF", "0" * 17],
    "host_key": [b"", bytes(31), bytes(33)],
    "addresses": [(), (Tcp("h", 1),) * 17],
    "port": [-1, 65536],
    "secret": [b"", bytes(15)],
    "expires": [-1, 1 << 40],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in HOSTILE.items() for value in values]
)
def test_hostile_values_are_refused(field: str, value: object) -> None:
    with pytest.raises(TicketError):
        dataclasses.replace(TICKET, **{field: value})


def test_a_time_without_a_secret_means_nothing() -> None:
    with pytest.raises(TicketError):
        dataclasses.replace(TICKET, secret=None)


def test_a_hostile_address_in_a_ticket_is_refused() -> None:
    good = TICKET.addresses[0]
    bad = str(good).replace("0.tcp.eu", "-oProxyC")
    payload = base64.urlsafe_b64decode(TEXT.split(".")[2] + "==")
    hostile = payload.replace(str(good).encode(), bad.encode())
    assert hostile != payload
    with pytest.raises(TicketError, match="not a host"):
        decode(_sealed(base64.urlsafe_b64encode(hostile).rstrip(b"=").decode()))
