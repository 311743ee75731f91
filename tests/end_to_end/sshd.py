"""A machine to link to: a real OpenSSH sshd with its own keys, configuration and home directory.

It runs as whoever runs the tests, on loopback or behind a WAN link, and touches nothing of the
host's own ssh. It is no container: commands see the host's files, and only `home` is theirs.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lab.wan import Link

READY_TIMEOUT_S = 20
START_ATTEMPTS = 5  # Somebody else may take the free port before sshd does.
PORT_BEHIND_LINK = 22022  # A namespace of its own: nobody else listens there.
USUAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

SSHD_CONFIG = """\
ListenAddress {address}:{port}
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/authorized_keys
PidFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
AllowTcpForwarding yes
AllowStreamLocalForwarding yes
MaxStartups 100
MaxSessions 100
PrintMotd no
PrintLastLog no
Subsystem sftp internal-sftp
SetEnv HOME={home} PATH={directory}/bin:{path}
ForceCommand {directory}/login
{more}
"""

# sshd enters the home directory of the account, whatever HOME says.
LOGIN = """\
#!/bin/sh
cd
case $SSH_ORIGINAL_COMMAND in
    internal-sftp) exec {sftp_server} ;;
    "") exec "$SHELL" -l ;;
    *) exec "$SHELL" -c "$SSH_ORIGINAL_COMMAND" ;;
esac
"""

SSH_CONFIG = """\
Host machine
    HostName {address}
    Port {port}
    User {user}
    HostKeyAlias machine
    IdentityFile {directory}/user_key
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile {directory}/known_hosts
    GlobalKnownHostsFile none
    StrictHostKeyChecking yes
    BatchMode yes
"""


def why_not() -> str | None:
    """Return why no machine can be started here, or None if one can."""
    missing = [program for program in ("sshd", "ssh", "ssh-keygen") if not _find(program)]
    return f"needs {', '.join(missing)}" if missing else None


def _find(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{USUAL_PATH}")


class Machine:
    """A host named `machine` in `config`. `home` is where its logins start.

    `more` is added to the configuration of its sshd.
    """

    name = "machine"

    def __init__(self, directory: Path, python: Path, link: Link | None, more: str = "") -> None:
        self.directory = directory
        self.home = directory / "home"
        self.config = directory / "ssh_config"
        self.log = directory / "sshd.log"
        self.python_path = directory / "bin/python3"
        self._link = link
        self._more = more
        self._sshd: subprocess.Popen[bytes] | None = None
        self.address = link.far_address if link else "127.0.0.1"
        self.port = PORT_BEHIND_LINK if link else 0
        self._furnish(python)

    @property
    def pid(self) -> int:
        """The sshd that takes connections."""
        assert self._sshd is not None, "not started"
        return self._sshd.pid

    def argv(self, command: str) -> list[str]:
        """Return the command line that runs `command` there, as the person would type it."""
        return ["ssh", "-F", str(self.config), self.name, command]

    def ssh(self, command: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a shell command there. Raises `CalledProcessError` if it fails and `check`."""
        return subprocess.run(
            self.argv(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=check,
        )

    def start(self) -> None:
        """Start sshd and return when it greets. A second start takes the same port."""
        attempts = START_ATTEMPTS if self.port == 0 else 1
        for attempt in range(1, attempts + 1):
            port = self.port or _free_port()
            self._configure(port)
            if self._started(port):
                self.port = port
                return
            if attempt == attempts:
                raise RuntimeError(f"sshd did not start:\n{self.log.read_text()}")

    def stop(self) -> None:
        """End sshd, every connection and everything that was started over them."""
        if self._sshd:
            self.kill_connections()  # One that only forwards would outlive its sshd.
            self._sshd.kill()
            self._sshd.wait()
            self._sshd = None
        while processes := self.processes():
            for process in processes:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)

    def kill_connections(self) -> int:
        """Cut every connection, at once and unannounced; return how many processes held them.

        What runs over there goes on, as it does when a network is gone.
        """
        held = list(self._connections())
        for process in held:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        return len(held)

    def processes(self) -> dict[int, str]:
        """Return what runs over there, process id to command line: all with our home as HOME."""
        ours = f"HOME={self.home}".encode()
        return {
            process: _read(process, "cmdline").replace(b"\0", b" ").decode().strip()
            for process in _all_processes()
            if ours in _read(process, "environ").split(b"\0")
        }

    def _connections(self) -> Iterator[int]:
        """Yield the processes of sshd that serve a connection: its descendants of that name."""
        assert self._sshd is not None, "not started"
        parents = {process: _parent_of(process) for process in _all_processes()}
        family = [self._sshd.pid]
        for member in family:  # Grows while it is walked.
            children = [process for process, parent in parents.items() if parent == member]
            family += [child for child in children if _read(child, "comm").startswith(b"sshd")]
        yield from family[1:]

    def _furnish(self, python: Path) -> None:
        """Make keys, home and the files that do not depend on the port."""
        for made in (self.home, self.python_path.parent):
            made.mkdir(parents=True)
        self.python_path.symlink_to(python.resolve())
        for key in ("host_key", "user_key"):
            keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", key]
            subprocess.run([*keygen, "-f", self.directory / key], check=True)
        public_key = (self.directory / "host_key.pub").read_text()
        (self.directory / "known_hosts").write_text(f"{self.name} {public_key}")
        (self.directory / "user_key.pub").rename(self.directory / "authorized_keys")
        login = self.directory / "login"
        sftp_server = shutil.which("sftp-server", path="/usr/lib/openssh:/usr/libexec")
        login.write_text(LOGIN.format(sftp_server=sftp_server))
        login.chmod(0o755)

    def _configure(self, port: int) -> None:
        words = {
            "address": self.address,
            "port": port,
            "directory": self.directory,
            "home": self.home,
            "path": USUAL_PATH,
            "user": pwd.getpwuid(os.getuid()).pw_name,
            "more": self._more,
        }
        (self.directory / "sshd_config").write_text(SSHD_CONFIG.format(**words))
        config = SSH_CONFIG.format(**words)
        if self._link:
            command = self._link.connect_command(self.address, port)
            config += f"    ProxyCommand {command}\n    ProxyUseFdpass yes\n"
        self.config.write_text(config)

    def _started(self, port: int) -> bool:
        """Start sshd and wait for its greeting; return whether it came."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # Where it gives up its rights.
        argv = [str(_find("sshd")), "-D", "-e", "-f", str(self.directory / "sshd_config")]
        with self.log.open("ab") as log:
            self._sshd = subprocess.Popen(
                self._link.far(argv) if self._link else argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": USUAL_PATH},
                start_new_session=True,  # Ctrl-C in the tests is not for the machine.
            )
        deadline = time.monotonic() + READY_TIMEOUT_S
        while self._sshd.poll() is None and time.monotonic() < deadline:
            with suppress(ConnectionError), self.connect(port) as connection:
                if connection.recv(8).startswith(b"SSH-2.0"):
                    return True
            time.sleep(0.01)
        self.stop()
        return False

    def connect(self, port: int | None = None) -> socket.socket:
        """Return a bare TCP connection to sshd (or another port), by the way ssh would take."""
        port = self.port if port is None else port
        if self._link:
            return self._link.connect(self.address, port)
        return socket.create_connection((self.address, port))


@contextmanager
def machine_in(
    directory: Path, *, python: Path = Path(sys.executable), link: Link | None = None
) -> Generator[Machine]:
    """Start a machine whose files lie in `directory`; end it and all that runs on it.

    `python` is what `python3` means over there. With a link, the machine is at its far end.
    """
    machine = Machine(directory, python, link)
    machine.start()
    try:
        yield machine
    finally:
        machine.stop()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _all_processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _read(process: int, what: str) -> bytes:
    """Return a file of /proc, empty if the process is gone or not ours to see."""
    try:
        return Path(f"/proc/{process}/{what}").read_bytes()
    except OSError:
        return b""


def _parent_of(process: int) -> int | None:
    status = _read(process, "stat").rpartition(b")")[2].split()  # The name may hold anything.
    return int(status[1]) if status else None
