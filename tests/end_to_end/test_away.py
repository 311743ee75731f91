"""The laptop is away, and the machine makes snapshots by itself, on the person's own server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.laptop import Laptop, wait_until
from tests.end_to_end.sshd import Machine, machine_in
from tests.end_to_end.test_mirror import holds_a_key
from tests.snapshots.repositories import KEY, NEEDS_RESTIC

pytestmark = NEEDS_RESTIC


@pytest.fixture
def server(short_path: Path, machine: Machine) -> Iterator[Machine]:
    with machine_in(short_path / "server") as server:
        yield server


def configure(laptop: Laptop, server: Machine, *more: str) -> None:
    config = laptop.directory / "ssh_config"
    config.write_text(server.config.read_text().replace("Host machine", "Host server", 1))
    (server.home / "keep").mkdir(exist_ok=True)
    laptop.environment["RESTIC_PASSWORD"] = KEY
    keep = ['to = "sftp:server:keep/repo"', 'interval = "1 s"', *more]
    laptop.configure("\n".join([f'ssh.config = "{config}"', "[keep]", *keep]) + "\n")


def holds_the_password(root: Path) -> list[Path]:
    return [
        path for path in root.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()
    ]


def test_what_the_machine_makes_while_the_laptop_is_away_is_in_a_snapshot(
    laptop: Laptop, server: Machine
) -> None:
    key = server.directory / "user_key"
    configure(laptop, server, f'mirror_key = "{key}"')
    (laptop.project / ".gitignore").write_text("/ignored\n")
    laptop.tell("snapshot", "now")
    with laptop.linked():
        assert laptop.tell("snapshot", "there")[-1]["detached"]
        assert laptop.tell("snapshot", "there")[-1]["running"]
    (laptop.there / "while away").write_text("1")
    (laptop.there / "ignored").write_text("2")

    def is_held() -> bool:
        return laptop.run("snapshots", "latest", "while away", timeout_s=60).returncode == 0

    wait_until(is_held, "a snapshot of the machine's", 60)
    assert laptop.run("snapshots", "latest", "ignored").returncode == 1
    assert not holds_a_key(laptop.machine.home)
    assert not holds_the_password(laptop.machine.home), "it is in memory only"
    laptop.tell("restore", "latest", "while away", "--to", str(laptop.directory / "back"))
    assert (laptop.directory / "back/while away").read_text() == "1"
    with laptop.linked():
        assert laptop.tell("snapshot", "there", "--stop")[-1]["stopped"]


@pytest.mark.soak
def test_it_is_said_what_is_missing(laptop: Laptop, server: Machine) -> None:
    configure(laptop, server)
    with laptop.linked():
        no_key = laptop.run("snapshot", "there")
        assert (no_key.returncode, "mirror_key is not set" in no_key.stderr) == (78, True)
        configure(laptop, server, f'mirror_key = "{server.directory / "user_key"}"')
        laptop.environment["RESTIC_PASSWORD"] = "wrong"  # noqa: S105
        laptop.run("snapshot", "now", environment={"RESTIC_PASSWORD": KEY})
        wrong = laptop.run("snapshot", "there")
        assert wrong.returncode == 69
        assert "wrong password" in wrong.stderr
