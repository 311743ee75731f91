"""The real OpenSSH server, run by us: its own configuration, host key, port and file of keys.

It listens on loopback only and lets one user in, by key. Nothing below /etc is read for it or
written; an sshd that runs already is none of our business. What cannot be done with it is for
the embedded server.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import Process

from towline.machine.place import Place, write_private

SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
PRIVILEGE_SEPARATION = Path(
    "/run/sshd"
)  # As Debian builds it; sshd of root does not start without.
START_S = 10.0
END_S = 3.0
LOOK_S = 0.02  # Between two looks at a server that is coming up: it tells nobody when it is.
BACKOFF_S = (0.0, 0.5, 2.0, 10.0)  # Between two starts; then the last one for ever.

# Lists are made of what this sshd has, less what is weak: each version has others, and a name that
# one does not know is an error to it.
CONFIG = """\
ListenAddress 127.0.0.1:{port}
HostKey "{directory}/host_key"
HostKeyAlgorithms ssh-ed25519
PidFile "{directory}/sshd.pid"
AuthorizedKeysFile "{directory}/authorized_keys"
AllowUsers {user}
AuthenticationMethods publickey
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
HostbasedAuthentication no
UsePAM no
PermitRootLogin prohibit-password
StrictModes no
PermitUserEnvironment no
PermitUserRC no
PermitTunnel no
X11Forwarding no
AllowAgentForwarding no
AllowTcpForwarding yes
AllowStreamLocalForwarding yes
StreamLocalBindUnlink yes
GatewayPorts no
PermitOpen 127.0.0.1:* localhost:* [::1]:*
PermitListen 127.0.0.1:* localhost:*
KexAlgorithms -diffie-hellman-*,ecdh-sha2-*
Ciphers -*cbc*,3des*,arcfour*
MACs -umac-64*,hmac-sha1*,hmac-md5*,hmac-sha2-256,hmac-sha2-512,umac-128@openssh.com
LoginGraceTime 20
MaxStartups 10:30:60
MaxAuthTries 6
MaxSessions 128
ClientAliveInterval 15
ClientAliveCountMax 4
TCPKeepAlive yes
PrintMotd no
PrintLastLog no
AcceptEnv LANG LC_*
Subsystem sftp internal-sftp
"""
NO_PENALTIES = "PerSourcePenalties no\n"
"""Every way in ends on loopback: whoever knocks has the owner's address, and since OpenSSH 9.8 one
that knocks without a key is shut out for a while. Older ones do not know the word."""


class SshdError(Exception):
    """The real sshd cannot be used here; the message says why."""


def find_sshd(path: str) -> str | None:
    """Return the sshd of this machine. It must be started by its full name."""
    found = shutil.which("sshd", path=f"{path}:{SBIN}")
    return os.path.abspath(found) if found else None


def configuration(place: Place, port: int, user: str, environment: Mapping[str, str]) -> str:
    """Return what sshd reads. Only the first SetEnv of a configuration counts: it is one line."""
    text = CONFIG.format(directory=place.directory, port=port, user=user)
    if not environment:
        return text
    return text + "SetEnv " + " ".join(_quoted(f"{k}={v}") for k, v in environment.items()) + "\n"


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@dataclass(frozen=True, slots=True)
class Sshd:
    """How to start it. `open_sshd` keeps it running."""

    program: str
    place: Place
    port: int

    def argv(self, *more: str) -> list[str]:
        return [self.program, *more, "-f", str(self.place.sshd_config)]


def prepare(
    program: str, place: Place, port: int, user: str, environment: Mapping[str, str]
) -> Sshd:
    """Write the configuration and have sshd check it. Raises `SshdError`."""
    if '"' in str(place.directory) or "%" in str(place.directory):
        raise SshdError(f"sshd's configuration cannot hold the name {place.directory}")
    sshd = Sshd(program, place, port)
    text = configuration(place, port, user, environment)
    for more in (NO_PENALTIES, ""):
        write_private(place.sshd_config, (more + text).encode("utf-8", "surrogateescape"))
        if not (why := _dislikes(sshd)):
            break
    else:
        raise SshdError(f"sshd does not like its configuration: {why[:300]}")
    return sshd


def _dislikes(sshd: Sshd) -> str:
    """Return what sshd does not like about its configuration, or nothing. Raises `SshdError`."""
    try:
        if os.getuid() == 0:
            PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
        done = subprocess.run(
            sshd.argv("-t"), capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise SshdError(f"{sshd.program} cannot be started: {error.strerror}") from None
    return (done.stderr.strip() or "it does not say why") if done.returncode else ""


@asynccontextmanager
async def open_sshd(sshd: Sshd) -> AsyncGenerator[None]:
    """Keep sshd running while the context lasts; every connection ends with it.

    Raises `SshdError` if it does not come up.
    """
    end_left_over(sshd.place)
    started = [await _start(sshd)]
    try:
        await _wait_listening(sshd, started[0])
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_keep_running, sshd, started)
            try:
                yield
            except Exception as error:  # A task group would wrap it.
                failure = error
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
    finally:
        await _end(sshd.place, started[-1])


async def _keep_running(sshd: Sshd, started: list[Process]) -> None:
    """Start it anew whenever it ends; the last of `started` is the one that runs."""
    attempt = 0
    while True:
        began = anyio.current_time()
        await started[-1].wait()
        steady = anyio.current_time() - began > BACKOFF_S[-1]
        attempt = 0 if steady else min(attempt + 1, len(BACKOFF_S) - 1)
        await anyio.sleep(BACKOFF_S[attempt])
        with suppress(OSError):  # There may be no memory for it now; later there is.
            started.append(await _start(sshd))


async def _start(sshd: Sshd) -> Process:
    with anyio.CancelScope(shield=True):  # Half started, it would be nobody's to end.
        return await anyio.open_process(
            sshd.argv("-D", "-E", str(sshd.place.sshd_log)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    raise AssertionError("a shield swallows nothing")


async def _wait_listening(sshd: Sshd, process: Process) -> None:
    ends_at = anyio.current_time() + START_S
    while True:
        if process.returncode is not None:
            raise SshdError(f"sshd ended at once: {_last_words(sshd.place)}")
        with (
            suppress(OSError, anyio.EndOfStream, anyio.BrokenResourceError),
            anyio.move_on_after(max(0.0, ends_at - anyio.current_time())),
        ):
            async with await anyio.connect_tcp("127.0.0.1", sshd.port) as stream:
                if (await stream.receive(4)) == b"SSH-":
                    return
        if anyio.current_time() >= ends_at:
            raise SshdError(f"sshd does not answer: {_last_words(sshd.place)}")
        await anyio.sleep(LOOK_S)


def _last_words(place: Place) -> str:
    try:
        return place.sshd_log.read_text(errors="replace").strip().splitlines()[-1][:300]
    except (OSError, IndexError):
        return "it says nothing"


# The end


async def _end(place: Place, last: Process) -> None:
    with anyio.CancelScope(shield=True):
        await anyio.to_thread.run_sync(end_left_over, place)
        with suppress(ProcessLookupError):
            last.kill()  # If it never came to writing its number down.
        await last.wait()


def end_left_over(place: Place) -> None:
    """End the sshd of this place and all its connections, also one that outlived its keeper.

    Its port is free when this returns.
    """
    pid = _pid_of(place)
    if pid is None:
        return
    for process in [pid, *_descendants(pid)]:  # The listener first: it starts no more then.
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process, signal.SIGKILL if process != pid else signal.SIGTERM)
    ends_at = time.monotonic() + END_S
    while _pid_of(place) == pid and time.monotonic() < ends_at:
        time.sleep(LOOK_S)
    place.sshd_pid.unlink(missing_ok=True)


def _pid_of(place: Place) -> int | None:
    """Return the process in the file, if it is our sshd: numbers are used again."""
    try:
        pid = int(place.sshd_pid.read_text())
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if os.fsencode(place.sshd_config) in line else None


def _descendants(pid: int) -> list[int]:
    """Return the processes of sshd that serve a connection. What runs in them is hung up on."""
    children: dict[int, list[int]] = {}
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            name, _, rest = (directory / "stat").read_text().partition("(")[2].rpartition(")")
            if name.startswith("sshd"):
                children.setdefault(int(rest.split()[1]), []).append(int(directory.name))
    family = [pid]
    for member in family:  # Grows while it is walked.
        family += children.get(member, [])
    return family[1:]
