"""A machine that gives little: no root, an account without a shell or a name, no sshd, no terminal.

`towline up` runs there as a user who owns nothing but a folder; the embedded server does all of it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import towline
from tests.end_to_end.borrowed import Borrowed, Laptop, Tunnel, why_not
from tests.end_to_end.laptop import save, wait_content

NOBODY = 65534  # Whose shell is nologin.
UNNAMED = 54321  # In no file of accounts.

HIDE = """\
mount --bind /dev/null /dev/ptmx
for sshd in /usr/sbin/sshd /usr/local/sbin/sshd; do
    [ ! -e $sshd ] || mount --bind /dev/null $sshd
done
exec "$@"
"""


def _python() -> str | None:
    """Return an interpreter of our version that everybody may start: root's own may be private."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    own = os.path.realpath(sys.executable)
    for python in filter(None, (own, shutil.which(version, path="/usr/bin:/bin"))):
        again = f"import subprocess; subprocess.check_call([{python!r}, '-c', ''])"
        done = subprocess.run([*_as(NOBODY), python, "-c", again], capture_output=True)
        if done.returncode == 0:
            return python
    return None


def _as(user: int) -> list[str]:
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--"]


def _reason() -> str | None:
    if why := why_not():
        return why
    if os.getuid() != 0 or not shutil.which("setpriv") or not shutil.which("unshare"):
        return "needs root, setpriv and unshare, to become somebody who has less"
    return None if _python() else "needs a Python that every account may start"


pytestmark = pytest.mark.skipif(_reason() is not None, reason=_reason() or "")


class Poor(Borrowed):
    """The machine of a user without rights, whose `before` takes away what is left."""

    def __init__(self, directory: Path, user: int, before: tuple[str, ...]) -> None:
        super().__init__(directory, Tunnel())
        self._choose_port()
        python = _python()
        assert python is not None
        self.command = (*before, *_as(user), python, "-P", "-m", "towline")
        packages = [path for path in sys.path if path.endswith("site-packages")]
        source = str(Path(towline.__file__).parents[1])
        self.environment["PYTHONPATH"] = os.pathsep.join([source, *packages])
        for path in (directory, self._runtime, *directory.rglob("*")):
            os.chown(path, user, user)

    def close(self) -> None:
        super().close()
        self.tunnel.close()


@pytest.fixture(
    params=[
        pytest.param((NOBODY, ()), id="no root"),
        pytest.param((UNNAMED, ("unshare", "-m", "sh", "-ec", HIDE, "sh")), id="nothing at all"),
    ]
)
def machine(request: pytest.FixtureRequest) -> Iterator[Poor]:
    user, before = request.param
    base = Path(tempfile.mkdtemp(prefix="tow-"))  # pytest's own is private to root.
    base.chmod(0o755)
    machine = Poor(base / "machine", user, before)
    yield machine
    machine.close()
    shutil.rmtree(base)


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Laptop]:
    laptop = Laptop(tmp_path / "laptop")
    yield laptop
    laptop.close()


def test_all_of_it_works_by_the_embedded_server(machine: Poor, laptop: Laptop) -> None:
    told = machine.up("--name", "box")
    assert told["server"] == "embedded"
    user = (machine.place / "host_key").stat().st_uid
    there = machine.home / "vision/train.py"
    with laptop.linked(told["ticket"]):
        assert there.read_text() == "print('here')\n"
        assert there.stat().st_uid == user
        save(laptop.project / "train.py", "print('again')\n")
        wait_content(there, "print('again')\n")
        assert laptop.towline("ssh", "box", "--", "id -u").stdout == f"{user}\n"
    assert laptop.towline("ssh", "box", "--", "cat", str(there)).stdout == "print('again')\n"
    (laptop.home / "blob").write_bytes(os.urandom(1 << 20))
    laptop.towline("cp", "blob", f"box:{machine.home}/there")
    assert (machine.home / "there").read_bytes() == (laptop.home / "blob").read_bytes()
    terminal = laptop.run(
        "ssh", "-F", str(laptop.state / "machines/box/host_config"), "-tt", "box", "tty",
        check=False,
    )  # fmt: skip
    if machine.command[0] == "unshare":
        assert "this machine gives no terminal" in terminal.stderr
        assert terminal.stdout == "not a tty\n", "it goes on without"
    else:
        assert terminal.stdout.startswith("/dev/pts/")
