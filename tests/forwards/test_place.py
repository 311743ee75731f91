"""What a person writes after `towline forward`."""

from __future__ import annotations

import pytest

from towline.errors import UserError
from towline.forwards.place import Place, parse, parse_reverse, place_from_json


@pytest.mark.parametrize(
    ("text", "listen", "target"),
    [
        ("6006", None, Place(6006)),
        ("8080:6006", Place(8080), Place(6006)),
        ("0:6006", Place(0), Place(6006)),
        ("db:5432", None, Place(5432, "db")),
        ("10.0.0.7:5432", None, Place(5432, "10.0.0.7")),
        ("5433:db.internal:5432", Place(5433), Place(5432, "db.internal")),
        ("[fd00::1]:80", None, Place(80, "fd00::1")),
        ("8080:[fd00::1]:80", Place(8080), Place(80, "fd00::1")),
        ("/run/a.sock", None, Place(path="/run/a.sock")),
        ("~/a.sock", None, Place(path="~/a.sock")),
        ("8080:/run/a.sock", Place(8080), Place(path="/run/a.sock")),
        ("/run/b.sock:6006", Place(path="/run/b.sock"), Place(6006)),
        ("/run/b.sock:db:5432", Place(path="/run/b.sock"), Place(5432, "db")),
        ("/run/b.sock:/run/a.sock", Place(path="/run/b.sock"), Place(path="/run/a.sock")),
        ("/run/a:b.sock", None, Place(path="/run/a:b.sock")),
    ],
)
def test_what_is_written_is_understood(text: str, listen: Place | None, target: Place) -> None:
    assert parse(text) == (listen, target)
    assert place_from_json(target.as_json()) == target


@pytest.mark.parametrize(
    "text", ["", "x", "0", "65536", "db:0", "99999999999", "8080:0", "db:", ":80", "a b:80", "-1"]
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="not a port"):
        parse(text)


@pytest.mark.parametrize(
    "plain",
    [None, "80", -1, 65536, True, {}, {"path": ""}, {"host": "a"}, {"host": "a", "port": 0}],
)
def test_what_no_command_sends_is_refused(plain: object) -> None:
    with pytest.raises(UserError, match="not a port"):
        place_from_json(plain)


def test_a_place_reads_as_it_is_written() -> None:
    texts = ["6006", "db:5432", "[fd00::1]:80", "/run/a.sock"]
    assert [parse(text)[1].text for text in texts] == texts


@pytest.mark.parametrize(
    ("text", "listen", "target"),
    [
        ("8000", Place(8000), Place(8000)),
        ("8000:3000", Place(8000), Place(3000)),
        ("0:3000", Place(0), Place(3000)),
        ("8000:db.home:5432", Place(8000), Place(5432, "db.home")),
        ("8000:[fd00::1]:80", Place(8000), Place(80, "fd00::1")),
        ("8000:/run/a.sock", Place(8000), Place(path="/run/a.sock")),
        ("~/b.sock:3000", Place(path="~/b.sock"), Place(3000)),
        ("/run/b.sock:/run/a.sock", Place(path="/run/b.sock"), Place(path="/run/a.sock")),
    ],
)
def test_the_way_back_is_understood(text: str, listen: Place, target: Place) -> None:
    assert parse_reverse(text) == (listen, target)


def test_a_home_in_the_target_of_the_way_back_is_this_computer_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/ana")
    assert parse_reverse("~/b:~/a") == (Place(path="~/b"), Place(path="/home/ana/a"))


@pytest.mark.parametrize(
    "text", ["", "x", "0", "65536", "80:", "80:0", ":80", "~/s", "80:81:82", "80:~/a:82", "host:80"]
)
def test_what_is_no_way_back_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="not "):
        parse_reverse(text)
