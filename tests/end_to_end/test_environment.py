"""What was installed on a machine is on the laptop when the machine dies, and on the next one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.end_to_end.image import IMAGE, OTHER_IMAGE, Image, image_on
from tests.end_to_end.laptop import Laptop, next_machine, save, wait_until
from tests.end_to_end.sshd import Machine
from towline.errors import ExitCode

pytestmark = pytest.mark.timeout(300)  # A package index may be slow.

CONFIGURATION = """\
[environment]
python = "~/image/bin/python"
dotfiles = [".vimrc", ".netrc"]
variables = ["MODEL_CACHE", "HF_TOKEN"]
"""
MINE = ("rich==13.7.1", "tabulate==0.9.0", "python-dotenv==1.0.1")
MINE_AND_THEIRS = {"rich", "tabulate", "python-dotenv", "pygments", "markdown-it-py", "mdurl"}
INSTALL_S = 60.0


def made(machine: Machine, packages: tuple[str, ...] = IMAGE) -> Image:
    image = image_on(machine, packages)
    if isinstance(image, str):
        pytest.skip(image)
    return image


@pytest.fixture
def image(laptop: Laptop, machine: Machine) -> Image:
    laptop.configure(CONFIGURATION)
    return made(machine)


def lock_of(laptop: Laptop) -> dict[str, dict[str, str]]:
    path = laptop.project / "towline.lock"
    return tomllib.loads(path.read_text()) if path.exists() else {}


def wait_looked_at(machine: Machine) -> None:
    """Wait until the machine knows what its image has."""
    known = machine.home / ".cache/towline/environment"
    wait_until(lambda: any(known.glob("*.json")), "the image was looked at", INSTALL_S)


def wait_added(laptop: Laptop, *names: str) -> None:
    wait_until(
        lambda: {*names} <= lock_of(laptop).get("added", {}).keys(), f"{names} written", INSTALL_S
    )


@pytest.fixture(scope="module")
def uv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if found := shutil.which("uv"):
        return Path(found)
    folder = tmp_path_factory.mktemp("uv")
    argv = [sys.executable, "-m", "pip", "install", "-q", "--target", folder, "uv"]
    if subprocess.run(argv, capture_output=True, timeout=120).returncode:
        pytest.skip("uv cannot be downloaded")
    return folder / "bin/uv"


@pytest.mark.parametrize("installer", ["uv", pytest.param("pip", marks=pytest.mark.soak)])
def test_the_next_machine_has_what_was_installed_on_the_last(
    laptop: Laptop, image: Image, short_path: Path, installer: str, uv: Path
) -> None:
    save(laptop.project / "pyproject.toml", PYPROJECT)
    save(laptop.project / "src/ours/__init__.py", "ANSWER = 42\n")
    home = laptop.machine.home
    (home / ".vimrc").write_text('set number\n" a quote\n')
    (home / ".netrc").write_text("password\n")
    with (home / ".profile").open("a") as profile:
        profile.write("export MODEL_CACHE=/data/models HF_TOKEN=secret\n")
    with laptop.linked():
        wait_looked_at(laptop.machine)
        assert not image.install(*MINE, "idna==3.7")
        wait_added(laptop, *MINE_AND_THEIRS)
        assert not image.install("--no-deps", "-e", str(laptop.there))
        subprocess.run([image.python, "-m", "pip", "uninstall", "-qy", "toml"], check=True)
        wait_until(lambda: "toml" in lock_of(laptop).get("removed", {}), "all of it", INSTALL_S)
        lock = lock_of(laptop)
        text = (laptop.project / "towline.lock").read_text()
    assert lock["changed"] == {"idna": {"was": "3.6", "now": "3.7"}}
    assert lock["editable"] == {"ours": "."}
    assert lock["requested"] == ["idna", "ours", "python-dotenv", "rich", "tabulate"]
    assert lock["variables"] == {"MODEL_CACHE": "/data/models"}
    assert lock["dotfiles"] == {".vimrc": 'set number\n" a quote\n'}
    assert "secret" not in text
    assert "password" not in text
    before = image.frozen()
    with next_machine(laptop, short_path / "machine2") as machine:
        fresh = made(machine)
        if installer == "uv":
            (machine.home / ".local/bin").mkdir(parents=True)
            (machine.home / ".local/bin/uv").symlink_to(uv)
        name = "other" if installer == "uv" else "machine"  # Another workspace, or the same.
        with laptop.linked(name) as link:
            told = link.wait_for("equipped", timeout_s=INSTALL_S)
            assert told["left"] == [], link.story()
            assert f"by {installer}" in link.named("restored")[0]["what"]
            assert fresh.frozen() == before
            assert fresh.run("import ours, rich; print(ours.ANSWER)") == "42"
            assert (machine.home / ".vimrc").read_text() == 'set number\n" a quote\n'
            assert machine.ssh("bash -lc 'echo $MODEL_CACHE'").stdout == "/data/models\n"
            assert laptop.tell("env", "diff") == []
            assert (laptop.project / "towline.lock").read_text() == text
            assert not fresh.install("toolz==0.12.1")  # From here on it is written down again.
            wait_added(laptop, "toolz")


PYPROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "ours"
version = "1"
"""


@pytest.mark.soak
def test_another_image_keeps_what_is_its_own(
    laptop: Laptop, image: Image, short_path: Path
) -> None:
    with laptop.linked():
        wait_looked_at(laptop.machine)
        assert not image.install("tabulate==0.9.0")
        wait_added(laptop, "tabulate")
    lock = (laptop.project / "towline.lock").read_text()
    torch = '[changed]\ntorch = { was = "2.3.0", now = "2.4.0" }\n'
    gone = 'tabulate = "0.9.0"\nno-such-package-at-all = "1.0"\n'
    save(laptop.project / "towline.lock", lock.replace('tabulate = "0.9.0"\n', gone) + torch)
    with next_machine(laptop, short_path / "machine2") as machine:
        other = made(machine, OTHER_IMAGE)
        before = other.frozen()
        with laptop.linked() as link:
            told = link.wait_for("equipped", timeout_s=INSTALL_S)  # It is not as we wrote it.
            assert "came from elsewhere" in told["left"][0]
            assert other.frozen() == before
            done = laptop.run("env", "restore", timeout_s=INSTALL_S)
            assert done.returncode == ExitCode.FAILED
            assert "no-such-package-at-all" in done.stderr
            assert "torch: the image's 2.3.0+cu121 fits its driver" in done.stderr
            assert other.frozen() == {**before, "tabulate": "0.9.0"}
            assert "no-such-package-at-all" in (laptop.project / "towline.lock").read_text()
            known = machine.home / ".cache/towline/environment"
            (record,) = (json.loads(path.read_text()) for path in known.glob("*.json"))
            assert record["holds"] == []  # So nothing that is missing is dropped from the list.


@pytest.mark.soak  # What is decided there, tests/environment/test_keep.py holds.
def test_what_was_not_put_back_is_not_dropped_from_the_list(
    laptop: Laptop, image: Image, short_path: Path
) -> None:
    with laptop.linked():
        wait_looked_at(laptop.machine)
        assert not image.install("tabulate==0.9.0")
        wait_added(laptop, "tabulate")
    text = (laptop.project / "towline.lock").read_text()
    laptop.configure(CONFIGURATION + "restore = false\n")
    with next_machine(laptop, short_path / "machine2") as machine:
        fresh = made(machine)
        with laptop.linked() as link:
            note = link.wait_for("note", timeout_s=INSTALL_S)
            assert "env restore" in note["text"]
            assert not fresh.install("toolz==0.12.1")
            differs = laptop.run("env", "diff")
            assert differs.returncode == ExitCode.FAILED
            assert "tabulate is not there, was 0.9.0\ntoolz is there, 0.12.1\n" in differs.stdout
            assert (laptop.project / "towline.lock").read_text() == text
            laptop.tell("env", "capture")
            assert lock_of(laptop)["added"] == {"toolz": "0.12.1"}
