"""`DEST[:PATH]`, a row per way of writing it."""

from __future__ import annotations

import pytest

from towline.line.destination import BadDestinationError, Destination, parse_destination


@pytest.mark.parametrize(
    ("text", "host", "path"),
    [
        ("gpu", "gpu", ""),
        ("gpu:", "gpu", ""),
        ("gpu:work/demo", "gpu", "work/demo"),
        ("gpu:~/demo", "gpu", "~/demo"),
        ("ada@10.0.0.7:/data/a:b", "ada@10.0.0.7", "/data/a:b"),
        ("first.last@corp@gpu", "first.last@corp@gpu", ""),
        ("::1", "::1", ""),
        ("ada@fe80::1%eth0", "ada@fe80::1%eth0", ""),
        ("[::1]", "::1", ""),
        ("ada@[fe80::1]:/data", "ada@fe80::1", "/data"),
        ("ssh://ada@gpu:2222", "ssh://ada@gpu:2222", ""),
        ("ssh://ada@gpu:2222/data/x", "ssh://ada@gpu:2222", "/data/x"),
        ("ssh://gpu/~/x", "ssh://gpu", "~/x"),
        ("ssh://[::1]:22/x", "ssh://[::1]:22", "/x"),
    ],
)
def test_a_destination_is_split(text: str, host: str, path: str) -> None:
    assert parse_destination(text) == Destination(host, path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        ":path",
        "-oProxyCommand=x",
        "-x:y",
        "a@-x",
        "ssh://-x",
        "ssh://",
        "ada@",
        "a b",
        "a;b",
    ],
)
def test_what_could_be_an_option_or_is_nothing_is_refused(text: str) -> None:
    with pytest.raises(BadDestinationError):
        parse_destination(text)
