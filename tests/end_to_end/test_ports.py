"""`towline ports`: what listens on the machine, over the real Line."""

from __future__ import annotations

import os

from tests.end_to_end.laptop import Laptop
from tests.end_to_end.test_forwards import echo, opened


def test_a_listener_there_is_told_with_the_line_that_forwards_it(laptop: Laptop) -> None:
    with laptop.linked(), echo() as port:
        (found,) = [one for one in laptop.tell("ports") if one["port"] == port]
        assert found["pid"] == os.getpid()
        assert (found["addresses"], found["listen"]) == (["127.0.0.1"], None)
        assert found["command"] == f"towline forward {port}"
        shown = laptop.run("ports").stdout
        assert [f"({os.getpid()})", "towline", "forward", str(port)] in [
            line.split()[-4:] for line in shown.splitlines()
        ]
        forward = opened(laptop, f"0:{port}")
        (found,) = [one for one in laptop.tell("ports") if one["port"] == port]
        assert found["listen"] == forward["listen"]
        assert f"is at {forward['listen']}\n" in laptop.run("ports").stdout
