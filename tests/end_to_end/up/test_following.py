"""The laptop follows: two ways in, each dies in turn, and the link goes on without a new ticket.

One way is by a real bore server, the other a port of our own; by a relay see `test_relay_route`.
"""

from __future__ import annotations

import socket

from tests.conformance.routes.bore_server import PLACE, bore_server, real
from tests.end_to_end.borrowed import WAIT_S, Borrowed, Laptop
from tests.end_to_end.laptop import save, wait_content, wait_until


def follows(machine: Borrowed, laptop: Laptop, text: str) -> None:
    """What is saved on the laptop gets there, by whichever way."""
    save(laptop.project / "train.py", text)
    wait_content(machine.home / "vision/train.py", text, timeout_s=WAIT_S)


@real
def test_when_one_way_dies_the_link_goes_on_by_the_other_and_learns_where_it_is_again(
    machine: Borrowed, laptop: Laptop
) -> None:
    bore = ("--set", f"bore.server={PLACE}")
    with bore_server() as first:
        told = machine.up("--name", "box", *bore, routes=("bore", "direct"))
        ways = machine.routes()
        assert [route["route"] for route in told["routes"]] == ["bore", "direct"]
        with laptop.linked(told["ticket"]):
            assert laptop.addresses() == list(ways.values())
            assert machine.tunnel.connections == 1, "the first way carries; one look came by ours"
            first.kill()
            follows(machine, laptop, "print('by the other')\n")

            host, _, port = ways["bore"].removeprefix("tcp://").rpartition(":")
            with socket.create_server((host, int(port))), bore_server():  # Its old port is gone.
                wait_until(
                    lambda: machine.routes().get("bore", ways["bore"]) != ways["bore"],
                    "it is open again, elsewhere",
                    WAIT_S,
                )
                moved = machine.routes()["bore"]
                wait_until(
                    lambda: laptop.addresses() == [moved, ways["direct"]],
                    "the laptop knows",
                    WAIT_S,
                )
                machine.tunnel.close()
                assert machine.tunnel.cut() > 0
                follows(machine, laptop, "print('by the new one')\n")
                said = laptop.towline("log", cwd=laptop.project).stdout
                assert f"box is reached by {moved}, {ways['direct']} from now on" in said
                assert "a new life" not in said, "the line resumed each time"
