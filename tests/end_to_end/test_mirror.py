"""A server of one's own: the machine sends to it and fetches from it by itself, over real sshds."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.laptop import Laptop, wait_content, wait_until
from tests.end_to_end.sshd import Machine, machine_in

pytestmark = pytest.mark.skipif(shutil.which("rsync") is None, reason="needs rsync")


@pytest.fixture
def server(short_path: Path, machine: Machine) -> Iterator[Machine]:
    """Another host, on which nothing of towline is ever put."""
    with machine_in(short_path / "server") as server:
        yield server


@pytest.fixture
def kept(server: Machine) -> Path:
    """The project's folder there."""
    return server.home / "keep"


@pytest.fixture
def known(laptop: Laptop, server: Machine) -> Path:
    """The laptop's ssh configuration, in which the server has a name."""
    config = laptop.directory / "ssh_config"
    config.write_text(server.config.read_text().replace("Host machine", "Host server", 1))
    return config


def configure(laptop: Laptop, known: Path, *more: str) -> None:
    lines = [f'ssh.config = "{known}"', "[keep]", 'mirror = "server:keep"', *more]
    laptop.configure("\n".join(lines) + "\n")


@contextmanager
def agent_of(laptop: Laptop, server: Machine) -> Generator[None]:
    """An SSH agent on the laptop, with the key of the server."""
    sock = str(laptop.directory / "agent.sock")
    with subprocess.Popen(["ssh-agent", "-D", "-a", sock], stdout=subprocess.DEVNULL) as agent:
        try:
            laptop.environment["SSH_AUTH_SOCK"] = sock
            wait_until(lambda: listens(laptop), "the agent listens")
            add = ["ssh-add", "-q", str(server.directory / "user_key")]
            subprocess.run(add, env=laptop.environment, check=True)
            yield
        finally:
            agent.terminate()


def listens(laptop: Laptop) -> bool:
    asked = subprocess.run(["ssh-add", "-l"], env=laptop.environment, capture_output=True)
    return asked.returncode != 2


def holds_a_key(root: Path) -> list[Path]:
    return [
        path for path in root.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()
    ]


def test_what_changes_on_the_machine_goes_to_the_server_with_the_laptops_agent(
    laptop: Laptop, server: Machine, known: Path, kept: Path
) -> None:
    configure(laptop, known, 'watched = ["outputs"]')
    (laptop.project / ".gitignore").write_text("/outputs/\n")
    kept.mkdir()
    (kept / "outputs").mkdir()
    (kept / "outputs/latest").write_text("of an earlier machine")
    with agent_of(laptop, server), laptop.linked():
        outputs = laptop.there / "outputs"
        wait_until(outputs.is_dir, "the machine watches")
        (outputs / "a").write_text("1")
        wait_content(kept / "outputs/a", "1")
        (outputs / "a").write_text("22")
        (outputs / "deep").mkdir()
        (outputs / "deep/b").write_text("b")
        wait_content(kept / "outputs/deep/b", "b")
        wait_content(kept / "outputs/a", "22")
        (outputs / "latest").write_text("of this one")
        wait_content(kept / "outputs/latest", "of this one")
        (outputs / "a").unlink()
        (outputs / "last").write_text("z")
        wait_content(kept / "outputs/last", "z")
    assert (kept / "outputs/a").read_text() == "22", "nothing is deleted on the server"
    replaced = [path.read_text() for path in (kept / ".towline-replaced").rglob("latest")]
    assert replaced == ["of an earlier machine"], "what a new life replaces is kept"
    assert not (kept / "towline.toml").exists(), "only what is watched goes there"
    assert not holds_a_key(laptop.machine.home)


def test_with_a_key_of_its_own_it_goes_on_while_the_laptop_is_away(
    laptop: Laptop, server: Machine, known: Path, kept: Path
) -> None:
    key = server.directory / "user_key"
    configure(laptop, known, 'watched = ["outputs"]', f'mirror_key = "{key}"')
    (laptop.project / ".gitignore").write_text("/outputs/\n")
    kept.mkdir()
    outputs = laptop.there / "outputs"
    with laptop.linked():
        told = laptop.tell("mirror")
        assert "running" in told[-1], "the engine's or this one"
        wait_until(outputs.is_dir, "the machine watches")
    (outputs / "while away").write_text("1")
    wait_content(kept / "outputs/while away", "1")

    for name in ("anew", "and again"):  # A script that begins anew.
        shutil.rmtree(outputs)
        outputs.mkdir()
        (outputs / name).write_text(name)
        wait_content(kept / "outputs" / name, name)

    server.stop()  # The server goes, and comes back: what could not be sent is sent then.
    (outputs / "meanwhile").write_text("2")
    server.start()
    (outputs / "nudge").write_text("3")
    wait_content(kept / "outputs/meanwhile", "2", timeout_s=30)
    assert not holds_a_key(laptop.machine.home), "the key is in memory only"
    laptop.configure("")  # Or the next engine would start another.
    with laptop.linked():
        assert laptop.tell("mirror", "--stop")[-1]["stopped"]
    wait_until(lambda: not agents_on(laptop.machine), "no agent holds the key any more", 30)


def agents_on(machine: Machine) -> list[str]:
    return [line for line in machine.processes().values() if line.startswith("ssh-agent")]


def test_a_machine_is_seeded_from_the_server_and_nothing_on_it_is_replaced(
    laptop: Laptop, server: Machine, known: Path, kept: Path
) -> None:
    configure(laptop, known, "")
    (laptop.project / ".gitignore").write_text("/data/\n")
    (kept / "data/deep").mkdir(parents=True)
    (kept / "data/large").write_bytes(os.urandom(3 << 20))
    (kept / "data/deep/x y").write_text("x")
    (kept / "data/mine").write_text("the server's")
    (kept / "other").write_text("not asked for")
    (kept / "data/link").symlink_to("large")
    os.utime(kept / "data/large", ns=(0, 1_600_000_000_000_000_000))
    with agent_of(laptop, server), laptop.linked():
        data = laptop.there / "data"
        data.mkdir(parents=True)
        (data / "mine").write_text("the machine's own")
        laptop.tell("seed", "data")
        assert (data / "large").read_bytes() == (kept / "data/large").read_bytes()
        assert (data / "large").stat().st_mtime_ns == 1_600_000_000_000_000_000
        assert os.readlink(data / "link") == "large"
        assert (data / "deep/x y").read_text() == "x"
        assert (data / "mine").read_text() == "the machine's own"
        assert not (laptop.there / "other").exists()
        assert not (laptop.project / "data").exists(), "it did not come by the laptop"


def test_a_server_whose_key_the_laptop_does_not_know_is_not_believed(
    laptop: Laptop, server: Machine, known: Path
) -> None:
    (server.directory / "known_hosts").write_text("")
    configure(laptop, known)
    with agent_of(laptop, server), laptop.linked() as link:
        link.wait_for("note")
        refused = laptop.run("seed")
    assert refused.returncode == 77
    assert "does not know the host key" in refused.stderr


def test_without_an_agent_and_without_a_key_it_says_what_to_do(laptop: Laptop, known: Path) -> None:
    configure(laptop, known)
    with laptop.linked() as link:
        note = link.wait_for("note")
        refused = laptop.run("seed")
    assert "no SSH agent" in note["text"]
    assert refused.returncode == 69
    assert "keep.mirror_key" in refused.stderr


@pytest.mark.soak
def test_a_killed_engine_takes_the_agent_it_lent_with_it_and_the_next_goes_on(
    laptop: Laptop, server: Machine, known: Path, kept: Path
) -> None:
    configure(laptop, known, 'watched = ["outputs"]')
    kept.mkdir()
    with agent_of(laptop, server):
        link = laptop.start()
        link.wait_for("ready")
        wait_until((laptop.there / "outputs").is_dir, "the machine watches")
        os.kill(link.pid, signal.SIGKILL)
        link.wait_exit()
        wait_until(lambda: not lending(laptop), "no agent is lent any more")
        (laptop.there / "outputs/a").write_text("1")
        with laptop.linked():
            wait_content(kept / "outputs/a", "1", timeout_s=30)


def lending(laptop: Laptop) -> list[str]:
    return [line for line in laptop.processes().values() if "ForwardAgent" in line]
