"""What is said of a machine of a platform: its terms before, its expected end on the card."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from towline.core.address import Tcp
from towline.core.ticket import Ticket
from towline.machine.card import as_html, as_text
from towline.machine.platform import (
    COLAB,
    KAGGLE,
    NONE,
    expected_end,
    machine_began,
    platform_of,
)

TICKET = Ticket("box", "00" * 8, bytes(32), (Tcp("a.example", 1),), "root")


@pytest.mark.parametrize(
    ("environment", "platform"),
    [
        ({}, NONE),
        ({"COLAB_RELEASE_TAG": "release-colab_20260730"}, COLAB),
        ({"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}, KAGGLE),
    ],
)
def test_a_platform_is_known_by_its_environment(
    environment: dict[str, str], platform: object
) -> None:
    assert platform_of(environment) is platform


def test_the_end_is_reckoned_from_when_the_machine_began_not_from_up() -> None:
    assert expected_end(COLAB, 1000.0) == 1000.0 + 12 * 3600
    assert expected_end(NONE, 1000.0) == 0
    assert expected_end(KAGGLE, None) == 0


def test_when_it_began_is_read_from_the_system(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1/stat").write_text("1 (a) b) S " + " ".join(map(str, range(4, 22))) + " 60000 0")
    (tmp_path / "uptime").write_text("7200.50 1.0\n")
    began = machine_began(tmp_path)
    assert began is not None
    assert abs(time.time() - began - (7200.5 - 600)) < 60
    (tmp_path / "uptime").write_text("nonsense")
    assert machine_began(tmp_path) is None
    assert machine_began(tmp_path / "none") is None


def test_the_card_says_how_long_and_nothing_where_nobody_knows() -> None:
    status = {"server": "sshd", "routes": [{"route": "bore"}], "until": 0.0, "life": ""}
    assert not [line for line in as_text(TICKET, status) if "expect" in line]
    lent = {**status, "until": time.time(), "life": COLAB.life}
    now = time.strftime("%H:%M", time.localtime(lent["until"]))  # type: ignore[arg-type]
    said = f"expect this machine to live until {now}: {COLAB.life}"
    assert said in list(as_text(TICKET, lent))
    assert said in as_html(TICKET, lent)
